#!/usr/bin/env bash
# The arms of docs/evaluation.md: all of them for each seed given (0 1 2), then compared. BASE: a model
# folder or hub name that all seeds begin from; without it each seed trains a base of its own.
set -euo pipefail
source "$(dirname "$0")/env.sh"
seeds=("$@")
[ $# -eq 0 ] && seeds=(0 1 2)
registries=()
for seed in "${seeds[@]}"; do
    tinr study arms --seed "$seed" --out "runs/arms$seed" --base "${BASE:-}"
    registries+=(--registry "runs/arms$seed/registry")
done
tinr compare arm-internalized arm-internalized=on_select arm-retrieved arm-in_prompt arm-names \
    arm-one_direction --size 250 --out runs/arms "${registries[@]}"
