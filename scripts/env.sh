# Sourced by the other scripts: activates the environment in .venv and creates it if it is missing.
# Needs Python 3.11; set PYTHON to name another interpreter.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=.venv/installed
wanted=$(cat scripts/requirements.txt scripts/requirements-base.txt setup.cfg pyproject.toml | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "creating .venv (once; a minute or two on an idle machine): torch"
    "${PYTHON:-python3.11}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
        "$(grep '^torch==' scripts/requirements.txt)"
    echo "creating .venv: the other packages"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r scripts/requirements.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
        -r scripts/requirements-base.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --editable .
    echo "$wanted" > "$stamp"
fi
export TOKENIZERS_PARALLELISM=false TRL_EXPERIMENTAL_SILENCE=1 HF_HUB_DISABLE_TELEMETRY=1
export PATH="$PWD/.venv/bin:$PATH"
