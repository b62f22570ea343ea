#!/usr/bin/env bash
# All tests, a process for each core; options go to pytest (-n 0: in one process).
set -euo pipefail
source "$(dirname "$0")/env.sh"
cores=$(env -u OMP_NUM_THREADS nproc) # which would name no more than that
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python -m pytest -n "$cores" --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
