#!/usr/bin/env bash
# Train a 100M-class model from scratch on thousands of real tools through all phases, time each part,
# then run the benchmarks: the accelerator figures that docs/benchmarks.md is to report. It has not
# been run on an accelerator yet. A miniature version runs anywhere:
#     REAL=folder HIDDEN=64 LAYERS=2 TOKENS=20000 EPOCHS=1 STEPS=2 SKIP_BENCH=1 scripts/accelerator.sh
# REAL: folders of real tools, each with tools.jsonl and queries.jsonl. OUT: folder for the results.
set -euo pipefail
source "$(dirname "$0")/env.sh"
out=${OUT:-runs/accelerator}
registry=$out/registry
hidden=${HIDDEN:-768} layers=${LAYERS:-12} tokens=${TOKENS:-60000000}
: "${REAL:?missing; set it to folders of real tools}"
mkdir -p "$out"
common=("registry=$registry" "run=$out/logs")
part() { # part NAME COMMAND...: run it and add its seconds to OUT/times.tsv
    local began=$SECONDS
    echo "-- $1"
    "${@:2}"
    printf '%s\t%s\n' "$1" "$((SECONDS - began))" >> "$out/times.tsv"
}
tools=() queries=()
for folder in $REAL; do tools+=("$folder/tools.jsonl") queries+=("$folder/queries.jsonl"); done
rm -f "$out/times.tsv"
if [ ! -f "$out/tools/tools.jsonl" ]; then
    part import tinr catalogue import "${tools[@]}" --out "$out/tools"
fi
if [ ! -f "$out/traces.jsonl" ]; then
    part queries tinr traces import "${queries[@]}" --catalogue "$out/tools" --out "$out/queries.jsonl"
    part traces tinr traces build --queries "$out/queries.jsonl" --catalogue "$out/tools" \
        --out "$out/traces.jsonl"
fi
part base tinr base --preset tiny "${common[@]}" "hidden=$hidden" "layers=$layers" \
    "heads=$((hidden / 64))" "tokens=$tokens" positions=4096
gates='accept=[document_to_token, token_to_document, token_to_schema]' # the gates' recall is the result
part align tinr align "${common[@]}" parent=base@latest "catalogue=[$out/tools]" "$gates" \
    "epochs=${EPOCHS:-6}" training.optimiser.name=muon training.optimiser.learning_rate=0.003
part sft tinr sft "${common[@]}" "queries=$out/traces.jsonl" "$gates" \
    training.optimiser.name=muon training.optimiser.learning_rate=0.002
part grpo tinr grpo "${common[@]}" "queries=$out/traces.jsonl" "$gates" \
    "policy.steps=${STEPS:-50}" pseudo=0
part probe tinr probe --checkpoint grpo@latest --registry "$registry"
cat "$out/times.tsv"
if [ -z "${SKIP_BENCH:-}" ]; then
    OUT=$out/bench REGISTRY=$registry REAL=$REAL bash scripts/bench.sh
fi
