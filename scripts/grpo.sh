#!/usr/bin/env bash
# Phase 3, grpo, on the accelerators of this machine or of a cluster. All arguments go to the phase, as
# in `tinr grpo`: --config FILE key=value ...
# Environment: HOSTFILE, ACCELERATORS (per node), INCLUDE (such as localhost:0,1), MASTER_PORT.
# Example: ACCELERATORS=8 scripts/grpo.sh --config scripts/configs/qwen2.5-7b/grpo.yaml registry=/data/registry
set -euo pipefail
source "$(dirname "$0")/launch.sh"
launch grpo "$@"
