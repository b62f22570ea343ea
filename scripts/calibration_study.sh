#!/usr/bin/env bash
# What calibration gains (docs/studies.md): all variants for each seed given (0 1 2), each in a
# run of its own, then compared over the seeds: on all queries, and on those with several calls; and
# what the same number of written tokens buys. BASE: a model folder or hub name that all seeds begin
# from; without it each seed trains a base of its own.
set -euo pipefail
source "$(dirname "$0")/env.sh"
seeds=("$@")
[ $# -eq 0 ] && seeds=(0 1 2)
measured=runs/calibration # every seed's evaluations, so that nothing is measured twice
mkdir -p "$measured"
registries=()
for seed in "${seeds[@]}"; do
    tinr study calibration --seed "$seed" --out "runs/calibration$seed" --base "${BASE:-}"
    cp "runs/calibration$seed/eval/"*.jsonl "$measured"
    registries+=(--registry "runs/calibration$seed/registry")
done
compare() { tinr compare "$@" --size 250 --out "$measured" "${registries[@]}"; }
variants=()
for name in sft grpo simpo dpo ipo orpo simpo_grpo rejection; do variants+=("calibration-$name"); done
for part in "" --several; do
    compare "${variants[@]}" $part
    compare calibration-rejection calibration-simpo $part
done
