#!/usr/bin/env bash
# The optional phase calibrate, on the accelerators of this machine or of a cluster; what is not said here goes to the
# phase, the same as `tinr calibrate`: --config FILE key=value ...
# Facts of the machine: HOSTFILE, ACCELERATORS (a node), INCLUDE (such as localhost:0,1), MASTER_PORT.
# Example: ACCELERATORS=8 scripts/calibrate.sh --config scripts/configs/lora/calibrate.yaml registry=/data/registry
set -euo pipefail
source "$(dirname "$0")/launch.sh"
launch calibrate "$@"
