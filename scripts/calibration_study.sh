#!/usr/bin/env bash
# Measure what calibration gains (docs/studies.md). Train all variants with each given seed (default
# 0 1 2), each seed in its own run. Then compare them over the seeds: on all queries, on queries with
# several calls, and at the same number of generated tokens. BASE: a model folder or hub name that all
# seeds start from; without it, SmolLM2-135M-Instruct.
set -euo pipefail
source "$(dirname "$0")/env.sh"
seeds=("$@")
[ $# -eq 0 ] && seeds=(0 1 2)
measured=runs/calibration # the evaluations of all seeds, so that nothing is measured twice
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
