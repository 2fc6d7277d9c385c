"""Backends that are right, wrong, slow, or the end of their process.

They stand for a GPU's, on a CPU. ``PROGRAM`` starts a child that knows them.
"""

import importlib
import json
import os
import pathlib
import signal
import sys
import time
import types

from speechbrain_ligru_fast.backends import child, loading, reference, trial
from speechbrain_ligru_fast.backends.failures import CannotRun

PROGRAM = (
    sys.executable, "-c",
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "import stand_ins; stand_ins.install(quick=True); "
    "from speechbrain_ligru_fast.backends import child; child.work()",
)  # fmt: skip
# A file whose name is in the environment appears when ``hang`` does.
HANGS = "STAND_IN_HANGS"


def says(**message):
    """A shell's words for a child's message."""
    return f"printf '\\n{child._MARK}%s\\n' '{json.dumps(message)}'; "


def _hang():
    pathlib.Path(os.environ[HANGS]).touch()
    time.sleep(10**6)


def _raise(error):
    raise error


def _backend(name, before=lambda: None, output=1.0, gradient=1.0):
    def scan_forward(*arguments):
        before()
        first, *rest = reference.scan_forward(*arguments)
        return first * output, *rest

    def scan_backward(*arguments):
        first, *rest = reference.scan_backward(*arguments)
        return first * gradient, *rest

    return types.SimpleNamespace(
        __name__=f"backends.{name}",
        unavailable=lambda *_: None,
        scan_forward=scan_forward,
        scan_backward=scan_backward,
    )


MODULES = {
    "crash": _backend("crash", lambda: os.kill(os.getpid(), signal.SIGSEGV)),
    "hang": _backend("hang", _hang),
    "raises": _backend("raises", lambda: _raise(OSError("no such driver"))),
    "too_large": _backend("too_large", lambda: _raise(CannotRun("H too big"))),
    "off": _backend("off", output=1.01),
    "gradient": _backend("gradient", gradient=1.01),
    "nan": _backend("nan", gradient=float("nan")),
    "slow": _backend("slow", lambda: time.sleep(0.5)),
    "right": _backend("right"),
}


def wait(names, path):
    """A child's work that has no end; its number stands in a file."""
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(10**6)


def install(quick=False):
    """Puts them beside the genuine ones, in this process for good."""
    genuine = loading.load
    loading.load = lambda name: MODULES.get(name) or genuine(name)
    if quick:
        from speechbrain_ligru_fast.backends import prover, turns

        prover.TIMED = 0
        turns.TURN["cpu"] = 0
        trial.TIMED = 12


def run_here(monkeypatch):
    """Children's work is done in this process, and takes no time."""
    from speechbrain_ligru_fast.backends import turns

    monkeypatch.setitem(turns.TURN, "cpu", 0)
    monkeypatch.setattr(trial, "TIMED", 12)

    def run(found, path, names, arguments, *limits):
        def say(**message):
            if "name" in message:
                child._note(found, **message)

        monkeypatch.setattr(child, "say", say)
        module, function = path.split(":")
        call = getattr(importlib.import_module(module), function)
        call(*json.loads(json.dumps([names, *arguments])))

    monkeypatch.setattr(child, "run", run)
