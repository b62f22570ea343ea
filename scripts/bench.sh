#!/usr/bin/env bash
# The benchmarks whose tables stand in docs/benchmarks.md, on this machine and its accelerator, if it
# has one: JSON in OUT (default runs/bench), one file each, and plots. REGISTRY has the policy of the
# rollouts and of the search; REAL names folders of real tools (tools.jsonl in each) and is optional;
# of REPEATS runs the median counts (default 3). Let nothing else run beside it; with one run of each
# it takes about twenty minutes on two cores.
set -euo pipefail
source "$(dirname "$0")/env.sh"
out=${OUT:-runs/bench}
registry=${REGISTRY:-runs/quickstart/registry}
real=()
for folder in ${REAL:-}; do real+=(--tools "$folder/tools.jsonl"); done
repeats=(--repeats "${REPEATS:-3}")
mkdir -p "$out"
measure() { # measure NAME COMMAND...: printed, and kept whole or not at all
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
