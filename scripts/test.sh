#!/usr/bin/env bash
# All tests; options go to pytest.
set -euo pipefail
source "$(dirname "$0")/env.sh"
exec python -m pytest "$@"
