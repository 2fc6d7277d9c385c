"""Interleaved timing: every round runs each candidate once, in random order.

What slows the machine for a while then slows all of them alike, and none
always runs in the cache that another left.
"""

import gc
import random
import time

import numpy as np
import torch

SEED = 1234
GEMM_SIZE = 2048
GEMM = "gemm"


class Gemm:
    """The machine's own large float32 matrix product, as a yardstick."""

    flops = 2 * GEMM_SIZE**3

    def __init__(self):
        generator = torch.Generator().manual_seed(SEED)
        self.a, self.b = (
            torch.randn(GEMM_SIZE, GEMM_SIZE, generator=generator)
            for _ in range(2)
        )
        self.out = torch.empty(GEMM_SIZE, GEMM_SIZE)

    def prepare(self):
        """Nothing to forget between calls."""

    def __call__(self):
        """Multiplies."""
        return torch.mm(self.a, self.b, out=self.out)


def interleave(steps, warmups, rounds, min_seconds):
    """Times callables in turn.

    Arguments
    ---------
    steps : dict
        Key -> callable with a `prepare()` that runs before it, untimed.
    warmups : dict
        Key -> calls to make before the first round.
    rounds : int
        Least number of rounds.
    min_seconds : float
        Least time to spend on rounds.

    Returns
    -------
    dict
        Key -> list of milliseconds, one per round.

    Example
    -------
    >>> times = interleave({GEMM: Gemm()}, {GEMM: 1}, 3, 0.0)
    >>> len(times[GEMM])
    3
    """
    for key, step in steps.items():
        for _ in range(warmups[key]):
            step.prepare()
            step()
    times = {key: [] for key in steps}
    order = list(steps)
    shuffle = random.Random(SEED).shuffle
    begin = time.perf_counter()
    done = 0
    while done < rounds or time.perf_counter() - begin < min_seconds:
        shuffle(order)
        gc.collect()
        gc.disable()
        try:
            for key in order:
                times[key].append(_milliseconds(steps[key]))
        finally:
            gc.enable()
        done += 1
    return times


def _milliseconds(step):
    step.prepare()
    begin = time.perf_counter()
    kept = step()
    elapsed = time.perf_counter() - begin
    # Freeing the result and its graph belongs to the caller's next step.
    del kept
    return 1000 * elapsed


def percentiles(times):
    """20th, 50th and 80th percentile, as columns of a result row.

    Example
    -------
    >>> percentiles([1.0, 2.0, 3.0])["p50_ms"]
    2.0
    """
    return {
        f"p{q}_ms": round(float(np.percentile(times, q)), 4)
        for q in (20, 50, 80)
    }


def scan_flops(case):
    """Arithmetic that a scan cannot do without.

    Forward: one (2H x H) product per row and step. Backward: its two
    gradients, by the state and by the weights.

    Arguments
    ---------
    case : Case
        What is run.

    Returns
    -------
    int
        Multiplications and additions.
    """
    product = 4 * case.hidden**2 * case.rows * case.steps
    return 3 * product if case.mode == "train" else product
