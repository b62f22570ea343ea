#!/usr/bin/env bash
# Evaluate a checkpoint on the in_domain suite in two documents modes; options go to `tinr eval`.
# Example: scripts/eval_in_domain.sh --checkpoint grpo@latest --registry runs/quickstart/registry
set -euo pipefail
source "$(dirname "$0")/env.sh"
for documents in none on_select; do
    tinr eval --suite in_domain --documents "$documents" "$@"
done
