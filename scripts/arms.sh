#!/usr/bin/env bash
# Train the arms of docs/studies.md with each seed and compare them:
#     scripts/arms.sh [SEED ...] [ARM ...] [--change PHASE.KEY=VALUE ...]
# Default: seeds 0 1 2, all arms. BASE: a model folder or hub name that all seeds start from;
# without it, SmolLM2-135M-Instruct.
set -euo pipefail
source "$(dirname "$0")/env.sh"
seeds=() arms=()
while [[ "${1:-}" =~ ^[0-9]+$ ]]; do seeds+=("$1") && shift; done
while [ $# -gt 0 ] && [[ "$1" != --* ]]; do arms+=("$1") && shift; done
[ ${#seeds[@]} -eq 0 ] && seeds=(0 1 2)
contenders=("${arms[@]/#/arm-}")
[ ${#arms[@]} -eq 0 ] && contenders=(arm-internalized arm-internalized=on_select arm-retrieved
    arm-in_prompt arm-names arm-one_direction)
registries=()
for seed in "${seeds[@]}"; do
    tinr study arms "${arms[@]}" --seed "$seed" --out "runs/arms$seed" --base "${BASE:-}" "$@"
    registries+=(--registry "runs/arms$seed/registry")
done
tinr compare "${contenders[@]}" --size 250 --out runs/arms "${registries[@]}"
