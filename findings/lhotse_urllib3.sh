#!/usr/bin/env bash
# lhotse 1.33.0
# Guessed: what pip installs can be imported.
# Does: its import needs urllib3, which is not among what it requires; nor does
#     torch bring it.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment lhotse==1.33.0 torch==2.15.0 numpy==2.4.6
python - <<'PYTHON'
from importlib.metadata import requires

assert not any("urllib3" in name for name in requires("lhotse"))
try:
    import lhotse
except ModuleNotFoundError as error:
    print(error)
    assert error.name == "urllib3"
else:
    raise AssertionError(f"lhotse {lhotse.__version__} was imported")
PYTHON
