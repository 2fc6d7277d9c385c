"""The timer that all measurements share: calls take turns."""

import time

import torch

# Seconds that one turn of a timed call takes, so that a clock can tell.
TURN = {"cuda": 0.005, "cpu": 0.05}


def _milliseconds(call, times, device_type):
    """A call's mean over several, on a GPU between its own events."""
    if device_type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / times
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return 1000 * (time.perf_counter() - begin) / times


def _nobody(*_):
    pass


def take_turns(calls, seconds, device_type="cpu", begin=_nobody, tell=_nobody):
    """Milliseconds of each call, a figure a turn: A B C, C B A, and again.

    What slows the machine for a while slows all of them alike, and each
    turn's ratio is of neighbours.

    Arguments
    ---------
    calls : dict
        What to call, by any key.
    seconds : float
        For all together; each has four turns at least. 0 for turns of one
        call, where nobody reads the times.
    device_type : str
        ``cuda`` for a GPU's own clock.
    begin, tell : callable
        Told whose turn it is, and then its number and milliseconds as well.

    Returns
    -------
    dict
        Key -> list of milliseconds.

    Example
    -------
    >>> times = take_turns({"a": lambda: 1, "b": lambda: 2}, 0)
    >>> len(times["a"]), len(times["b"])
    (4, 4)
    """
    counts, times = {}, {key: [] for key in calls}
    turn = TURN[device_type] if seconds else 0
    for key, call in calls.items():
        begin(key)
        for _ in range(3):  # TorchScript specialises itself at first.
            call()
        once = _milliseconds(call, 1, device_type) / 1000
        counts[key] = max(1, round(turn / max(once, 1e-7)))
    end = time.monotonic() + seconds
    rounds = 0
    while calls and (rounds < 2 or time.monotonic() < end):
        for key in (*calls, *reversed(calls)):
            begin(key)
            ms = _milliseconds(calls[key], counts[key], device_type)
            times[key].append(ms)
            tell(key, len(times[key]), ms)
        rounds += 1
    return times
