"""Times whole layers in turns, in a process of their own."""

import importlib

import numpy as np
import torch

from speechbrain_ligru_fast.backends import child, prover, trial

# Of layers that are timed: (autocast's type or None, whether TF32 is on).
PRECISIONS = {
    "bf16": (torch.bfloat16, False),
    "tf32": (None, True),
    "fp16": (torch.float16, False),
    "fp32": (None, False),
}
SHAPE = dict(hidden=512, features=512, batch=8, steps=100, directions=2)
# A layer's output may differ by rounding, in any precision.
MOST = 0.02


def build(name, shape):
    """A layer by its name: a model, and what computes it.

    Example
    -------
    >>> shape = dict(hidden=4, features=3, batch=2, steps=5, directions=2)
    >>> type(build("GRU torch", shape)).__name__
    'GRU'
    """
    import speechbrain.nnet.RNN as stock

    from speechbrain_ligru_fast import layers

    model, impl = name.split()
    both = shape["directions"] == 2
    if impl == "torch":
        kind = getattr(torch.nn, model)
        sizes = shape["features"], shape["hidden"]
        return kind(*sizes, batch_first=True, bidirectional=both)
    sizes = shape["batch"], shape["steps"], shape["features"]
    options = {} if impl == "speechbrain" else {"backend": impl}
    kind = getattr(layers if options else stock, model)
    return kind(shape["hidden"], sizes, bidirectional=both, **options)


def _calls(layer, shape, device, dtype):
    """Inference, and a step of training, as calls."""
    x = torch.randn(
        shape["batch"], shape["steps"], shape["features"], device=device
    )
    half = torch.autocast(device.type, dtype, dtype is not None)

    def infer():
        layer.eval()
        with torch.no_grad(), half:
            return layer(x)[0]

    def train():
        layer.train()
        layer.zero_grad(set_to_none=True)
        with half:
            output = layer(x)[0]
        output.backward(torch.ones_like(output))

    return {"infer": infer, "train": train}


def _expect_right(layer, infer):
    """Raises trial.Wrong unless a layer of ours is what it should be."""
    name = getattr(layer, "backend", "reference")
    if name == "reference":
        return
    got = infer()
    layer.set_backend("reference")
    want = infer()
    layer.set_backend(name)
    error, _ = trial.errors(got, want)
    if not error <= MOST:
        raise trial.Wrong(f"its output is wrong by {error:.2g}")


def compete(names, device, shape, precision, seconds, maker):
    """Says how many milliseconds layers take, in turns; runs in a child.

    See ``time_layers``.
    """
    place = prover.use(device)
    dtype, tf32 = PRECISIONS[precision]
    module, function = maker.split(":")
    make = getattr(importlib.import_module(module), function)

    def ready(name):
        torch.manual_seed(0)
        layer = make(name, shape).to(place)
        # Importing SpeechBrain allows it.
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        calls = _calls(layer, shape, place, dtype)
        _expect_right(layer, calls["infer"])
        peaks = {f"{way}_mb": _peak(call, place) for way, call in calls.items()}
        child.say(name=name, **peaks)
        return calls

    prover.compete(names, place, ready, seconds)


def time_layers(
    names, device, shape, precision, seconds, limit, until,
    maker=f"{__name__}:build",
):  # fmt: skip
    """Yields rows of layers that take turns, also where time ends.

    Arguments
    ---------
    names : list
        Of the layers; ratios are to the first that is timed.
    device, shape, precision
        A torch.device; sizes, as in SHAPE; one of PRECISIONS.
    seconds, limit, until
        For all turns, and as ``child.run`` takes them.
    maker : str
        ``module:function`` that builds a layer by its name and the shape.

    Yields
    ------
    dict
        Of each mode of a layer; or of a layer's verdict, if it isn't right.
    """
    found = {}
    job = str(device), shape, precision, seconds, maker
    try:
        child.run(found, f"{__name__}:compete", names, job, limit, until)
    finally:
        right = {n: c for n, c in found.items() if c.get("verdict") == "right"}
        first = next((n for n in names if right.get(n, {}).get("turns")), None)
        theirs = right[first]["turns"] if first else {}
        for name, cells in found.items():
            row = {"name": name}
            if cells.get("verdict", "right") != "right":
                yield row | {key: cells[key] for key in ("verdict", "why")}
                continue
            for mode, own in cells["turns"].items():
                more = {"mode": mode, "turns": len(own), "ratio_to": first}
                more["peak_mb"] = cells[f"{mode}_mb"]
                yield row | more | _quantiles(own, theirs.get(mode, {}))


def _quantiles(own, first):
    """Of turns' milliseconds and their ratios to another's, by column.

    Example
    -------
    >>> found = _quantiles({1: 2.0, 2: 2.0, 3: 4.0}, {1: 1.0, 2: 1.0})
    >>> found["p50_ms"], found["ratio_p80"]
    (2.0, 2.0)
    """
    ratios = [ms / first[turn] for turn, ms in own.items() if turn in first]
    return {
        column.format(q): round(float(np.percentile(values, q)), 4)
        for column, values in (("p{}_ms", [*own.values()]),
                               ("ratio_p{}", ratios))
        if values
        for q in (20, 50, 80)
    }  # fmt: skip


def _peak(call, device):
    """MiB that a call adds to what is held; on a CPU nobody counts."""
    call()
    if device.type != "cuda":
        return ""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    peak = torch.cuda.max_memory_allocated(device)
    return round((peak - before) / 2**20, 1)
