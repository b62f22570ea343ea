#!/usr/bin/env bash
# Run the benchmarks of docs/benchmarks.md on this machine, and on its accelerator if it has one. Each
# writes one JSON file to OUT (default runs/bench), some also a plot. REGISTRY has the policy for
# rollouts and search. REAL (optional): folders of real tools, each with tools.jsonl. REPEATS: runs
# per benchmark, of which the median is reported (default 3). Run nothing else at the same time. With
# one run per benchmark it takes about twenty minutes on two cores.
set -euo pipefail
source "$(dirname "$0")/env.sh"
out=${OUT:-runs/bench}
registry=${REGISTRY:-runs/quickstart/registry}
real=()
for folder in ${REAL:-}; do real+=(--tools "$folder/tools.jsonl"); done
repeats=(--repeats "${REPEATS:-3}")
mkdir -p "$out"
measure() { # measure NAME COMMAND...: print its JSON and write it completely or not at all
    echo "$1"
    "${@:2}" --json > "$out/$1.json.part"
    mv "$out/$1.json.part" "$out/$1.json"
    cat "$out/$1.json"
}
measure training tinr bench training "${real[@]}" "${repeats[@]}"
if [ -d "$registry" ]; then
    measure rollouts tinr bench rollouts --registry "$registry" "${repeats[@]}"
    measure search tinr bench search --checkpoint sft@latest --registry "$registry"
else
    echo "rollouts and search need a policy: run scripts/quickstart.sh first, or set REGISTRY"
fi
measure scaling tinr bench scaling "${real[@]}" "${repeats[@]}" --plot "$out/scaling.svg"
measure prompt-cost tinr bench prompt-cost --plot "$out/prompt_cost.svg"
measure catalogue tinr bench catalogue
measure roundtrip tinr bench roundtrip
