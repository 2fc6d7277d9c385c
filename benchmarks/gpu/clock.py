"""Times calls on one device, in turn."""

import random
import time

import torch

from benchmarks import timing

WARMUPS = 3
LEAST_RUNS = 3
MAX_RUNS = 30
# Cycles, about half a millisecond: the launches are queued meanwhile.
AHEAD = 1_000_000
SEED = 1234


class Clock:
    """Times calls on one device.

    Arguments
    ---------
    device : str
        cpu or cuda.
    seconds : float
        Time to spend on one figure; more for the least number of calls.
    """

    def __init__(self, device, seconds):
        self.device = device
        self.seconds = seconds

    def warm(self, call, least=2):
        """Calls before anything is timed, fewer of a slow one.

        Arguments
        ---------
        call : callable
            What is to be timed.
        least : int
            Calls that even a slow one needs to run at its own speed: the
            first may compile.
        """
        begin = time.perf_counter()
        for done in range(1, WARMUPS + 1):
            call()
            if done >= least and time.perf_counter() - begin > self.seconds:
                break

    def _once(self, call, queued):
        if self.device == "cpu":
            begin = time.perf_counter()
            call()
            return 1000 * (time.perf_counter() - begin)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        if queued:
            torch.cuda._sleep(AHEAD)
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def _peak(self, call):
        """MiB that a call adds to what is held; on a CPU nobody counts."""
        if self.device == "cpu":
            return ""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        grown = torch.cuda.max_memory_allocated() - before
        return round(grown / 2**20, 1)

    def interleave(self, calls, queued=False):
        """Times warm calls: every round runs each once, in random order.

        What slows the machine for a while then slows all of them alike.

        Arguments
        ---------
        calls : dict
            Key -> callable.
        queued : bool
            Whether a GPU's time alone counts, without what launching costs
            where it has nothing else to do.

        Returns
        -------
        dict
            Key -> columns of a row: percentiles, and peak memory on a GPU.

        Example
        -------
        >>> found = Clock("cpu", 0).interleave({"a": int, "b": float})
        >>> list(found), list(found["a"])[-1]
        (['a', 'b'], 'peak_mb')
        """
        peaks = {key: self._peak(call) for key, call in calls.items()}
        times = {key: [] for key in calls}
        order = list(calls)
        shuffle = random.Random(SEED).shuffle
        begin = time.perf_counter()
        for done in range(MAX_RUNS):
            spent = time.perf_counter() - begin
            if done >= LEAST_RUNS and spent > self.seconds * len(calls):
                break
            shuffle(order)
            for key in order:
                times[key].append(self._once(calls[key], queued))
        return {
            key: {**timing.percentiles(times[key]), "peak_mb": peaks[key]}
            for key in calls
        }

    def __call__(self, call, queued=False, least=2):
        """Warms one call up and times it alone; see ``interleave``."""
        self.warm(call, least)
        return self.interleave({"": call}, queued)[""]
