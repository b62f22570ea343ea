#!/usr/bin/env bash
# The optional phase calibrate, on the accelerators of this machine or of a cluster. All arguments go
# to the phase, as in `tinr calibrate`: --config FILE key=value ...
# Environment: HOSTFILE, ACCELERATORS (per node), INCLUDE (such as localhost:0,1), MASTER_PORT.
# Example: ACCELERATORS=8 scripts/calibrate.sh --config scripts/configs/lora/calibrate.yaml registry=/data/registry
set -euo pipefail
source "$(dirname "$0")/launch.sh"
launch calibrate "$@"
