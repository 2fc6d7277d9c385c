# Sourced by each finding: `environment PACKAGE==VERSION...` makes a virtual
# environment in a temporary folder and goes there; `python` is then its own.
set -euo pipefail

environment() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cd "$folder"
    "${PYTHON:-python3}" -m venv venv
    PATH=$folder/venv/bin:$PATH
    unset PYTHONPATH
    python -m pip install --quiet --disable-pip-version-check uv
    python -m uv pip install --quiet --python venv/bin/python "$@"
}
