#!/usr/bin/env bash
# Check lint, format and types; changes nothing.
set -euo pipefail
source "$(dirname "$0")/env.sh"
ruff check .
ruff format --check .
pyright
