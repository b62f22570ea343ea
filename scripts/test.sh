#!/usr/bin/env bash
# Run all tests, one process per core; options go to pytest (-n 0: one process).
set -euo pipefail
source "$(dirname "$0")/env.sh"
cores=$(env -u OMP_NUM_THREADS nproc) # with OMP_NUM_THREADS set, nproc reports no more than that
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python -m pytest -n "$cores" --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
