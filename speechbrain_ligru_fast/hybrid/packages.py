"""Kaldi's parts, imported when they are first used.

They are the extra ``hybrid``. Nothing else of this package needs them.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

_MODULES = {
    "khg": "kaldi_hmm_gmm",
    "kaldifst": "kaldifst",
    "kaldi_decoder": "kaldi_decoder",
    "kaldilm": "kaldilm",
    "kaldingram": "kaldingram.train",
}
# Their C++ types are one only if all were compiled by pybind11 of like
# versions. kaldi-hmm-gmm 1.1.4, of which there is no newer, takes no graph of
# what is as new as this.
TOO_NEW = {"kaldifst": "1.8", "kaldi_decoder": "0.3", "kaldilm": "1.15.5"}
_INSTALL = "pip install '.[hybrid]' installs all that it needs"


def __getattr__(name):
    """A module of theirs, as ``packages.khg``."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    package = module.partition(".")[0]
    try:
        found = version(package)
        bound = TOO_NEW.get(package)
        if bound and Version(found) >= Version(bound):
            raise ImportError(
                f"a hybrid recogniser needs {package} before {bound}, found "
                f"{found}: kaldi-hmm-gmm can't share graphs with newer ones. "
                f"{_INSTALL}"
            )
        return importlib.import_module(module)
    except (PackageNotFoundError, ModuleNotFoundError) as error:
        raise ImportError(
            f"a hybrid recogniser needs {package}, which is not installed: "
            f"{_INSTALL}"
        ) from error


def require():
    """Import them all; ImportError names the first that can't be."""
    for name in _MODULES:
        __getattr__(name)
