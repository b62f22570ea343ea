#!/usr/bin/env bash
# Phase 1, align, on the accelerators of this machine or of a cluster. All arguments go to the phase, as
# in `tinr align`: --config FILE key=value ...
# Environment: HOSTFILE, ACCELERATORS (per node), INCLUDE (such as localhost:0,1), MASTER_PORT.
# Example: ACCELERATORS=8 scripts/align.sh --config scripts/configs/qwen2.5-7b/align.yaml registry=/data/registry
set -euo pipefail
source "$(dirname "$0")/launch.sh"
launch align "$@"
