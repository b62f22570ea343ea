#!/usr/bin/env bash
# The benchmarks whose tables stand in docs/benchmarks.md, on this machine: JSON in OUT (default
# runs/bench), one file each. REGISTRY has the policy of the rollouts; REAL, a folder of real tools
# (tools.jsonl in it), is optional. Let nothing else run beside it.
set -euo pipefail
source "$(dirname "$0")/env.sh"
out=${OUT:-runs/bench}
registry=${REGISTRY:-runs/quickstart/registry}
mkdir -p "$out"
measure() { # measure NAME COMMAND...: printed, and kept whole or not at all
    echo "$1"
    "${@:2}" --json > "$out/$1.json.part"
    mv "$out/$1.json.part" "$out/$1.json"
    cat "$out/$1.json"
}
measure training tinr bench training
if [ -n "${REAL:-}" ]; then
    measure training-real tinr bench training --tools "$REAL/tools.jsonl"
fi
if [ -d "$registry" ]; then
    measure rollouts tinr bench rollouts --registry "$registry"
    measure search tinr bench search --checkpoint sft@latest --registry "$registry"
else
    echo "rollouts and search need a policy: run scripts/quickstart.sh first, or set REGISTRY"
fi
measure prompt-cost tinr bench prompt-cost
measure catalogue tinr bench catalogue
