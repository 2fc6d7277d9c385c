"""How fast are the layers on this GPU? Ours beside cuDNN's and SpeechBrain's.

In each process cuDNN's LSTM and GRU, of as many units and of as many
parameters, take turns with what is timed there.
"""

import itertools
import random
import time
from dataclasses import asdict, replace

import numpy as np
import torch

from benchmarks import layers
from benchmarks.cases import (
    LIGRU_MODELS,
    TORCH_MODELS,
    Case,
    of_as_many_parameters,
)
from benchmarks.gpu.checks import allow_tf32

# (name of the figure's type, autocast's or None, whether TF32 is on)
PRECISIONS = (
    ("bf16", torch.bfloat16, False),
    ("fp16", torch.float16, False),
    ("tf32", None, True),
    ("fp32", None, False),
)
# Loops that launch kernels each step: on few layers, in few types.
SLOW = ("torchscript", "reference", "speechbrain")
# TorchScript specialises itself on the first calls.
WARMUPS = 3
# Each round times every call twice.
LEAST_ROUNDS, MOST_ROUNDS = 2, 15

# SpeechBrain's TIMIT layer; a decoder's step, which goes on from a state; and
# a LibriSpeech layer.
BASE = Case("LiGRU", 512, 512, 8, 1000, directions=2)
DECODER = replace(BASE, steps=1, directions=1, with_hx=True)
LARGE = replace(BASE, hidden=1024, features=1024, batch=24)
TINY = Case("LiGRU", 16, 16, 3, 6, directions=2)
# Fast backends time the first shapes, then, when all have, the rest. A CPU
# takes the same path in seconds.
SHAPES = {
    "cuda": {
        "first": (BASE, DECODER, LARGE),
        "rest": [
            Case("LiGRU", hidden, hidden, batch, steps, directions)
            for steps, hidden, batch, directions in itertools.product(
                (250, 1000), (512, 256, 1024, 2048), (16, 64), (2, 1)
            )
        ],
    },
    "cpu": {
        "first": (TINY,),
        "rest": (replace(TINY, steps=1, directions=1, with_hx=True),),
    },
}
# What names a shape in a row, whatever is timed on it.
SHAPE = ("features", "directions", "batch", "steps")


def wanted(name, dtype, mode):
    """The implementations of a job's name that a type and mode ask for."""
    if name in SLOW and dtype not in ("bf16", "fp32"):
        return []
    if name == "speechbrain":
        return [name, f"{name}-jit"]
    again = name not in SLOW and (dtype, mode) == ("bf16", "train")
    return [name, *[name + layers.RECOMPUTE] * again]


def timed(shape, impls):
    """What is timed in turn on a shape: pairs of a case and what runs it."""
    for model in TORCH_MODELS:
        yield replace(shape, model=model), "torch"
        yield of_as_many_parameters(shape, model), "torch"
    # A step's own way of ``auto``, which is no backend.
    impls = [*impls, *["auto"] * (shape.steps == 1)]
    for impl, model in itertools.product(impls, LIGRU_MODELS):
        yield replace(shape, model=model), impl


def prepared(case, impl, device, dtype, mode):
    """A call that runs a layer on random input, and has run a few times."""
    layer = layers.build(impl, case).to(device).train(mode == "train")
    layer = torch.jit.script(layer) if impl == "speechbrain-jit" else layer
    directions, batch, hidden = case.directions, case.batch, case.hidden
    given = [torch.randn(case.input_shape, device=device)]
    grad = torch.randn(batch, case.steps, directions * hidden, device=device)
    if case.with_hx:
        state = torch.randn(directions, batch, hidden, device=device)
        given.append((state, state) if case.model == "LSTM" else state)

    def call():
        with (
            torch.set_grad_enabled(mode == "train"),
            torch.autocast(device, dtype, dtype is not None),
        ):
            output = layer(*given)[0]
        if mode == "train":
            layer.zero_grad(set_to_none=True)
            output.backward(grad.to(output.dtype))
        return output

    for _ in range(WARMUPS):
        call()
    return call


def milliseconds(call, device):
    """One call's time, on a GPU between its own events."""
    if device == "cpu":
        begin = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - begin)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def peak(call, device):
    """MiB that a call adds to what is held; on a CPU nobody counts."""
    if device == "cpu":
        return ""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)


def interleave(calls, seconds, device):
    """Times warm calls: each round runs them A B .. B A, in another order.

    What slows the machine down, or drifts, then meets all of them alike.

    Returns key -> list of milliseconds; ``seconds`` are for each of the calls.
    """
    times = {key: [] for key in calls}
    order, shuffle = list(calls), random.Random(1234).shuffle
    begin = time.perf_counter()
    for done in range(MOST_ROUNDS):
        spent = time.perf_counter() - begin
        if done >= LEAST_ROUNDS and spent > seconds * len(calls):
            break
        shuffle(order)
        for key in (*order, *reversed(order)):
            times[key].append(milliseconds(calls[key], device))
    return times


def expect_usable(device):
    """Raises if an error has spoilt the device for the whole process."""
    if device == "cuda":
        torch.cuda.synchronize()


def figures(shape, impls, precision, mode, job):
    """Yields a row per layer and implementation of one type and mode."""
    name, dtype, tf32 = precision
    allow_tf32(tf32)
    calls = {}
    for case, impl in timed(shape, impls):
        try:
            call = prepared(case, impl, job.device, dtype, mode)
            calls[case, impl] = call, peak(call, job.device)
        # One that can't run, or has no memory, must not end the others.
        except Exception as error:
            job.note(f"no row: {impl} {name} {mode} {case.name}: {error!r}")
            expect_usable(job.device)
    times = interleave(
        {key: call for key, (call, _) in calls.items()}, job.figure, job.device
    )
    for (case, impl), found in times.items():
        row = {**asdict(case), "impl": impl, "op": "layer"}
        row |= {"dtype": name, "mode": mode, "peak_mb": calls[case, impl][1]}
        columns = {"p{}_ms": found}
        # An LSTM takes turns with both models: it is compared with the first.
        ours = case if case.model in LIGRU_MODELS else shape, impls[0]
        if ours in times:
            columns["ratio_p{}"] = np.divide(found, times[ours])
            row["ratio_to"] = impls[0]
        for column, values in columns.items():
            for q in (20, 50, 80):
                row[column.format(q)] = np.percentile(values, q).round(4)
        row["us_per_step"] = round(1000 * row["p50_ms"] / case.steps, 4)
        yield row


def work(job):
    """Times what the job names on its shapes until its time is over.

    What an earlier run of this commit has timed on this GPU stands.
    """
    columns = ("impl", *SHAPE, "dtype", "mode")
    done = {tuple(row[c] for c in columns) for row in job.rows("gpu.csv")}
    # On a CPU those that it has.
    precisions = PRECISIONS[:: 1 if job.device == "cuda" else 3]
    for shape, precision, mode in itertools.product(
        SHAPES[job.device][job.shapes], precisions, ("infer", "train")
    ):
        impls = wanted(job.name, precision[0], mode)
        size = [str(getattr(shape, column)) for column in SHAPE]
        if {(impl, *size, precision[0], mode) for impl in impls} <= done:
            continue
        if job.left() < 0:
            job.note(f"{job.name}: the {job.shapes} shapes' time is over")
            return
        for row in figures(shape, impls, precision, mode, job):
            job.row("gpu.csv", row)
