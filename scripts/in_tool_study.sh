#!/usr/bin/env bash
# Compare in-tool and in-weight learning on small models; options go to `tinr study in-tool`.
set -euo pipefail
source "$(dirname "$0")/env.sh"
exec tinr study in-tool "$@"
