"""Hooks for the whole test session."""

import sys

import pytest
from speechbrain.utils.importutils import LazyModule


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    """Let hypothesis look at every module.

    It asks each for ``__file__``, which makes SpeechBrain's lazy modules
    import libraries that are not installed, and fail.
    """
    for module in list(sys.modules.values()):
        if isinstance(module, LazyModule):
            vars(module).setdefault("__file__", None)
