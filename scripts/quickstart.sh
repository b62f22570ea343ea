#!/usr/bin/env bash
# Run everything on the shipped corpora; options go to `tinr quickstart`.
set -euo pipefail
source "$(dirname "$0")/env.sh"
exec tinr quickstart "$@"
