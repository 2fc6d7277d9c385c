"""What a child does: tries some names, then times them in turns.

The parent is told of each step, so that it knows what came before an end.
"""

import os
import time

import torch

from speechbrain_ligru_fast.backends import child, loading, trial
from speechbrain_ligru_fast.backends.failures import CannotRun, is_alive
from speechbrain_ligru_fast.backends.kinds import Kind
from speechbrain_ligru_fast.backends.turns import take_turns

# Seconds that all backends are timed.
TIMED = 1.0
# What torch, Numba and drivers say where memory is short.
_SHORT = ("out of memory", "out_of_memory", "t allocate", "to allocate")


def use(device):
    """Makes the device of a name the current one, whose clock is then read.

    Raises RuntimeError if it can't be had, as where only one process may use
    a GPU: before anybody has begun, so that no backend is blamed.
    """
    found = torch.device(device)
    if found.type == "cuda":
        torch.cuda.set_device(found.index or 0)
    torch.zeros(1, device=found)
    return found


def compete(names, device, ready, seconds):
    """Says of each name whether it is right, then the time of each turn.

    Arguments
    ---------
    names : list
        What competes.
    device : torch.device
        Where.
    ready : callable
        Takes a name; returns calls that are to be timed, by their own names.
        Raises trial.Wrong for wrong results.
    seconds : float
        That all turns take.
    """
    calls = {}
    for name in names:
        child.say(begin=name)
        begin, found = time.monotonic(), {"verdict": "right"}
        try:
            calls |= {(name, way): call for way, call in ready(name).items()}
        # A library may raise anything.
        except Exception as error:
            found = _judge(error)
        took = round(time.monotonic() - begin, 2)
        child.say(name=name, seconds=took, **found)
        if found["verdict"] in ("wrong", "failed") and not is_alive(device):
            # What follows would fail for this one's sake.
            raise SystemExit(1)

    def tell(key, number, ms):
        # Another child's turns are others.
        turn = key[1], f"{os.getpid()}.{number}", ms
        child.say(name=key[0], turn=turn)

    take_turns(
        calls, seconds, device.type, lambda key: child.say(begin=key[0]), tell
    )


def _judge(error):
    """The verdict of who has raised an error."""
    verdict, why = "failed", f"{type(error).__name__}: {error}"
    if isinstance(error, trial.Wrong):
        verdict, why = "wrong", str(error)
    elif isinstance(error, CannotRun):
        verdict, why = "cannot", str(error)
    # The caller's training needs it: that says nothing of the backend.
    elif any(words in why.lower() for words in _SHORT):
        verdict = "unknown"
    return {"verdict": verdict, "why": why[:2000]}


def prove(names, device, values, seed=0):
    """Says of each backend whether it is right at a kind, and how fast."""
    kind, place = Kind.read(values), use(device)
    torch.backends.cuda.matmul.allow_tf32 = kind.tf32
    # Before anyone's time begins: large sizes take a CPU long.
    trial.expected(kind, seed)

    def ready(name):
        module = loading.load(name)
        wrong = trial.check(module, kind, place, seed)
        if wrong:
            raise trial.Wrong("; ".join(wrong))
        # What is left when all else fails, whatever it takes.
        return {} if name == "reference" else trial.calls(module, kind, place)

    compete(names, place, ready, TIMED)
