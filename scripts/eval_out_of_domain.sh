#!/usr/bin/env bash
# Evaluate a checkpoint on the out_of_domain suite in two documents modes; options go to `tinr eval`.
# Example: scripts/eval_out_of_domain.sh --checkpoint grpo@latest --registry runs/quickstart/registry
set -euo pipefail
source "$(dirname "$0")/env.sh"
for documents in none on_select; do
    tinr eval --suite out_of_domain --documents "$documents" "$@"
done
