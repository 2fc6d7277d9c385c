"""Tries backends on one kind of scan; runs in a process of its own."""

import statistics
import time

import torch

from speechbrain_ligru_fast.backends import child, loading, trial
from speechbrain_ligru_fast.backends.failures import CannotRun, is_alive
from speechbrain_ligru_fast.backends.kinds import Kind
from speechbrain_ligru_fast.backends.turns import take_turns

# Seconds that all backends are timed.
TIMED = 1.0


def prove(names, device, values, seed=0):
    """Says of each backend whether it is right, and how fast.

    Arguments
    ---------
    names : list
        Backends.
    device : str
        Where.
    values : list
        A kinds.Kind.
    seed : int
        Of the random numbers.
    """
    kind = Kind.read(values)
    place = torch.device(device)
    torch.backends.cuda.matmul.allow_tf32 = kind.tf32
    # Before anyone's time begins: large sizes take a CPU long.
    trial.expected(kind, seed)
    right = []
    for name in names:
        child.say(begin=name)
        begin = time.monotonic()
        found = _verdict(name, kind, place, seed)
        seconds = round(time.monotonic() - begin, 2)
        child.say(name=name, seconds=seconds, **found)
        if found["verdict"] == "right":
            right.append(name)
        elif not is_alive(place):
            # What follows would fail for this one's sake.
            raise SystemExit(1)
    _time(right, kind, place)


def _verdict(name, kind, device, seed):
    try:
        wrong = trial.check(loading.load(name), kind, device, seed)
    except CannotRun as error:
        return {"verdict": "cannot", "why": str(error)}
    # The caller's memory is full: that says nothing of the backend.
    except torch.OutOfMemoryError as error:
        return {"verdict": "unknown", "why": str(error)}
    # A library may raise anything.
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return {"verdict": "failed", "why": why[:2000]}
    if wrong:
        return {"verdict": "wrong", "why": "; ".join(wrong)[:2000]}
    return {"verdict": "right"}


def _time(names, kind, device):
    """Says the microseconds that each takes for a step, in turns."""
    calls = {}
    # What is left when all else fails, whatever it takes.
    names = [name for name in names if name != "reference"]
    for name in names:
        child.say(begin=name)
        both = trial.calls(loading.load(name), kind, device)
        calls |= zip(((name, "forward"), (name, "backward")), both)
    times = take_turns(
        calls, TIMED, device.type, begin=lambda key: child.say(begin=key[0])
    )
    steps = kind.steps if kind.steps == 1 else trial.TIMED
    for name in names:
        us = {
            f"{way}_us": 1000 * statistics.median(times[name, way]) / steps
            for way in ("forward", "backward")
        }
        child.say(name=name, **us)
