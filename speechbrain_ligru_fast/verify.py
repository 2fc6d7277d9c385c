"""Proves and times what computes the layers on this machine.

    python -m speechbrain_ligru_fast verify

Each backend that can run is checked against float64 and timed, as ``auto``
does it before it takes one (backends/verdicts.py), then whole layers beside
torch's LSTM and GRU and SpeechBrain's layers. All of it in processes of their
own: what crashes or hangs is named. The file that is written can be sent.
"""

import argparse
import importlib
import json
import statistics
import time

import torch
from tqdm import tqdm

from speechbrain_ligru_fast.backends import auto, child, trial, verdicts
from speechbrain_ligru_fast.backends.failures import is_alive
from speechbrain_ligru_fast.backends.kinds import cases
from speechbrain_ligru_fast.backends.turns import take_turns

# Of layers that are timed: (autocast's type or None, whether TF32 is on).
PRECISIONS = {
    "bf16": (torch.bfloat16, False),
    "tf32": (None, True),
    "fp16": (torch.float16, False),
    "fp32": (None, False),
}
SHAPE = dict(hidden=512, features=512, batch=8, steps=100, directions=2)
RIVALS = ("LiGRU speechbrain", "SLiGRU speechbrain", "LSTM torch", "GRU torch")
# A layer's output may differ by rounding, in any precision.
MOST = 0.02
# Of the time; the rest is for the layers.
PROVING = 0.6
# Seconds that all layers take turns, and in which each must come to an end.
TURNS, LIMIT = 15.0, 60


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
    """Raises ArithmeticError unless a layer of ours is what it should be."""
    name = getattr(layer, "backend", "reference")
    if name == "reference":
        return
    got = infer()
    layer.set_backend("reference")
    want = infer()
    layer.set_backend(name)
    error, _ = trial.errors(got, want)
    if not error <= MOST:
        raise ArithmeticError(f"its output is wrong by {error:.2g}")


def time_layers(names, device, shape, precision, seconds, maker):
    """Says how many milliseconds layers take, in turns; runs in a child.

    Arguments
    ---------
    names : list
        Of the layers, as ``build`` takes them.
    device : str
        Where.
    shape : dict
        As SHAPE.
    precision : str
        One of PRECISIONS.
    seconds : float
        For all turns.
    maker : str
        ``module:function`` that builds them.
    """
    place = torch.device(device)
    dtype, tf32 = PRECISIONS[precision]
    module, function = maker.split(":")
    make = getattr(importlib.import_module(module), function)
    calls, peaks = {}, {}
    for name in names:
        child.say(begin=name)
        try:
            torch.manual_seed(0)
            layer = make(name, shape).to(place)
            # Importing SpeechBrain allows it.
            torch.backends.cuda.matmul.allow_tf32 = tf32
            torch.backends.cudnn.allow_tf32 = tf32
            ways = _calls(layer, shape, place, dtype)
            _expect_right(layer, ways["infer"])
            for mode, call in ways.items():
                peaks[name, mode] = _peak(call, place)
        # What is not installed, or has no memory, must not end the others.
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            child.say(name=name, verdict="failed", why=why[:500])
            if not is_alive(place):
                raise SystemExit(1) from error
            continue
        calls |= {(name, mode): call for mode, call in ways.items()}
    times = take_turns(
        calls, seconds, place.type, begin=lambda key: child.say(begin=key[0])
    )
    for (name, mode), found in times.items():
        first = times.get((names[0], mode), found)
        ratios = [a / b for a, b in zip(found, first)]
        row = {"peak_mb": peaks[name, mode], "ratio_to": names[0]}
        for column, values in (("p{}_ms", found), ("ratio_p{}", ratios)):
            for q, value in zip((20, 50, 80), _quantiles(values)):
                row[column.format(q)] = round(value, 4)
        child.say(name=name, mode=mode, **row)


def _quantiles(values):
    """Their 20 %, 50 % and 80 %.

    Example
    -------
    >>> _quantiles([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    [2.0, 3.5, 5.0]
    """
    fifths = statistics.quantiles(values, n=5, method="inclusive")
    return [fifths[0], statistics.median(values), fifths[3]]


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


def able(kind, device):
    """Names of the backends that can run a kind, as ``auto`` asks them."""
    dtype = torch.float64 if kind.io == "float64" else kind.dtype
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    asked = auto.by_speed(device.type, dtype, kind.spec, False)
    return tuple(name for name, reason in asked if reason is None)


def prove(kind, device, seed=0, until=float("inf"), names=None):
    """Yields a row for each backend of a kind; keeps a GPU's for ``auto``."""
    candidates = able(kind, device)
    chosen = [n for n in candidates if names is None or n in names]
    found = verdicts.prove(kind, device, chosen, seed, until)
    if device.type in auto.PROVEN_ON and len(chosen) == len(candidates):
        verdicts.keep(found, kind, device, candidates)
    for name, verdict in found.items():
        yield {"kind": str(kind), "backend": name, **verdict}


def _table(rows):
    """Microseconds a step of each layer, as lines."""
    found = {}
    for row in rows:
        if "p50_ms" in row:
            us = 1000 * row["p50_ms"] / SHAPE["steps"]
            found.setdefault(row["name"], {})[row["mode"]] = f"{us:12.2f}"
        elif "why" in row:
            found[row["name"]] = {"infer": f"{row['verdict']}: {row['why']}"}
    yield f"{'us a step':24}{'infer':>12}{'train':>12}"
    for name, cells in found.items():
        yield f"{name:24}" + "".join(cells.get(m, "") for m in cells)


def verify(device, until, bar):
    """Proves the backends, then times the layers; returns both's rows."""
    begin = time.monotonic()
    kinds = cases(device.type)
    half = begin + PROVING * (until - begin)
    checks, times = [], []
    for kind in kinds:
        try:
            checks += prove(kind, device, until=half)
        except child.Ended as error:
            checks.append({"kind": str(kind), "verdict": f"none: {error}"})
        bar.update()
    bad = {r["backend"] for r in checks if r["verdict"] in verdicts.BAD}
    ours = [
        f"{model} {name}"
        for model in ("LiGRU", "SLiGRU")
        for name in able(kinds[0], device)
        if name not in bad and name != "reference"
    ]
    job = str(device), SHAPE, "tf32", TURNS, f"{__name__}:build"
    path = f"{__name__}:time_layers"
    try:
        for row in child.run(path, [*ours, *RIVALS], job, LIMIT, until):
            times += [row] if "name" in row else []
    except child.Ended as error:
        tqdm.write(f"{device}: not all layers are timed: {error}")
    bar.update()
    return checks, times


def by_hand(argv, environment):
    """Runs the command; returns the exit status.

    Arguments
    ---------
    argv : list
        Words of the command line.
    environment : str
        What the file begins with.
    """
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ligru_fast verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    here = ["cpu"] if not torch.cuda.is_available() else ["cuda", "cpu"]
    here = [torch.device(name) for name in here]
    add = parser.add_argument
    add(
        "--devices",
        nargs="+",
        default=[*map(torch.device, here)],
        type=torch.device,
    )
    add("--minutes", type=float, default=3.0)
    add("--out", default="ligru-verify.json", help="file to write")
    args = parser.parse_args(argv)
    begin, found, failed = time.monotonic(), {}, False
    print(environment)
    steps = sum(1 + len(cases(d.type)) for d in args.devices)
    with tqdm(total=steps, unit="check") as bar:
        for i, device in enumerate(args.devices, 1):
            end = begin + 60 * args.minutes * i / len(args.devices)
            checks, times = verify(device, end, bar)
            found[str(device)] = {"checks": checks, "times": times}
            for row in checks:
                words = row.get("backend", ""), row["verdict"], row["kind"]
                tqdm.write("{:12}{:9} {}".format(*words))
                if row["verdict"] in verdicts.BAD:
                    failed = True
                    tqdm.write(f"    {row.get('why')}")
            for line in _table(times):
                tqdm.write(line)
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"environment": environment, **found}, file, indent=1)
    print(f"wrote {args.out}: please add it to an issue")
    return 1 if failed else 0
