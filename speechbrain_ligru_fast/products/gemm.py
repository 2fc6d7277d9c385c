"""float32 products of matrices on a CPU, by the fastest library in torch.

A wheel of torch has two libraries for them: ``torch.mm`` calls MKL, torch's
own LSTM oneDNN. On Intel's CPUs they are about as fast; on others MKL may
take twice the time. So both are timed, once for a machine and a torch, and
the result is kept on disk.
"""

import concurrent.futures
import functools
import hashlib
import json
import logging
import os
import platform
import time

import torch

from speechbrain_ligru_fast import kept

logger = logging.getLogger(__name__)

# Who multiplies: auto measures, the others are taken unasked.
SWITCH = "SPEECHBRAIN_LIGRU_PRODUCTS"
CHOICES = ("auto", "torch", "onednn")

# Multiplications below which asking costs more than the answer saves.
WORTH = 1 << 24

_FORMAT = 3
# How much faster another route must be: what is measured shall repeat, for a
# machine's processes to round alike.
_MARGIN = 0.97
# Those that count: the first call of a route makes its code.
_ROUNDS = 6
# Rows, sums and columns that are timed: a layer's. A library may be as fast as
# another in a cache of 1 MB, and fall behind beyond it.
_SIZES = 768, 512, 1024


def _mkldnn(a, b):
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")


# Each computes a @ b, row-major. oneDNN copies a first operand that is not,
# and takes the second as it is: with both transposed, the other is copied, and
# the result, which would cost whoever reads it more than the copy does.
ROUTES = {
    "torch": torch.mm,
    "onednn": _mkldnn,
    "onednn-transposed": lambda a, b: _mkldnn(b.t(), a.t()).t().contiguous(),
}


def _layout(a, b):
    """What is row-major of two operands, "00" where one is neither way."""
    orders = [_order(a), _order(b)]
    return "00" if "" in orders else "".join(orders)


def _order(x):
    rows, columns = x.shape
    down, right = x.stride()
    # What was expanded has rows in the same place.
    if right == 1 and down >= columns:
        return "1"
    return "0" if down == 1 and right >= rows else ""


# Which operands are row-major, and whose layout that is.
_LAYOUTS = {
    "10": "projections",
    "11": "gradients of inputs",
    "01": "gradients of weights",
}


def product(a, b):
    """``a @ b`` by the fastest route on this CPU.

    Arguments
    ---------
    a : Tensor
        (N, K).
    b : Tensor
        (K, M) of a's dtype.

    Returns
    -------
    Tensor
        (N, M). No graph is recorded.

    Example
    -------
    >>> product(torch.ones(2, 3), torch.ones(3, 4)).shape
    torch.Size([2, 4])
    """
    if not repays(a.size(0) * b.numel()) or not ordinary(a, b):
        return torch.mm(a, b)
    return ROUTES[routes()[_layout(a, b)]](a, b)


def repays(multiplications):
    """Whether a product is large enough to ask for its fastest route.

    Example
    -------
    >>> repays(8 * 512 * 1024), repays(800 * 512 * 1024)
    (False, True)
    """
    return multiplications >= WORTH


def ordinary(*tensors):
    """Whether another library may multiply these tensors here and now.

    Not where somebody watches, records or replaces torch's operators, nor
    where torch was asked for the same bits always: what is measured may be
    chosen otherwise in the next process.
    """
    return (
        all(
            type(x) in (torch.Tensor, torch.nn.Parameter)
            and x.dtype == torch.float32
            and x.device.type == "cpu"
            and x.layout == torch.strided
            for x in tensors
        )
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.are_deterministic_algorithms_enabled()
    )


def differs():
    """Whether any product goes another way than torch.mm's.

    Example
    -------
    >>> differs() in (True, False)
    True
    """
    return set(routes().values()) != {"torch"}


def routes():
    """The name of the fastest of ``ROUTES`` for each layout of operands.

    Raises
    ------
    ValueError
        If the environment asks for what there is not.
    """
    asked = os.environ.get(SWITCH) or "auto"
    if asked not in CHOICES:
        raise ValueError(
            f"{SWITCH}: got {asked!r}, allowed are {', '.join(CHOICES)}"
        )
    return _routes(asked)


@functools.cache
def _routes(asked):
    everywhere = dict.fromkeys(("00", *_LAYOUTS), "torch")
    if asked == "torch" or not _has_onednn():
        return everywhere
    if asked == "onednn":
        return dict.fromkeys(everywhere, "onednn")
    found = _kept()
    logger.info(
        "Products of float32 on the CPU: %s",
        ", ".join(f"{_LAYOUTS[name]} by {found[name]}" for name in _LAYOUTS),
    )
    return everywhere | found


def _has_onednn():
    mkldnn = torch.backends.mkldnn
    return (
        mkldnn.is_available()
        and getattr(mkldnn, "enabled", True)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _kept():
    """What was measured before, here, or what is measured now."""
    folder = kept.folder()
    path = folder / f"{_fingerprint()}.products" if folder else None
    content = kept.read(path) if path else None
    if content is not None:
        return json.loads(content)
    found = measure()
    if path:
        kept.write(path, json.dumps(found).encode())
    return found


def _fingerprint():
    """Hash of all that the fastest route depends on."""
    cpu = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                # The first processor's; its clock changes all the time.
                if not name.strip():
                    break
                if name.strip() not in ("cpu MHz", "bogomips"):
                    cpu[name.strip()] = value.strip()
    except OSError:
        cpu["name"] = platform.processor()
    libraries = ("MKL_", "ONEDNN_", "DNNL_", "ATEN_CPU_")
    told = {k: v for k, v in os.environ.items() if k.startswith(libraries)}
    facts = _FORMAT, platform.machine(), cpu, torch.__version__, told
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def measure(clock=None):
    """Times all routes, which takes some tenths of a second.

    On one thread, by its own clock: of several, those wait that a busy
    machine runs late. The library that is faster there is so on many.

    Arguments
    ---------
    clock : callable | None
        Tells the seconds.

    Returns
    -------
    dict
        The name of a route for each layout.
    """
    if clock is None:
        clock = time.perf_counter
        # Windows' counts hundredths of a second.
        if time.get_clock_info("thread_time").resolution < 1e-5:
            clock = time.thread_time
    # A thread's number of threads is its own, but for that of new ones.
    with concurrent.futures.ThreadPoolExecutor(1) as alone:
        return alone.submit(_measure, clock, torch.get_num_threads()).result()


def _measure(clock, threads):
    rows, sums, columns = _SIZES
    found = {}
    torch.set_num_threads(1)
    try:
        for layout in _LAYOUTS:
            # No random numbers: the caller's generator stays as it is.
            a = torch.full((rows, sums), 0.5, dtype=torch.float32)
            b = torch.full((sums, columns), 0.5, dtype=torch.float32)
            a = a if layout[0] == "1" else a.t().contiguous().t()
            b = b if layout[1] == "1" else b.t().contiguous().t()
            found[layout] = _fastest(a, b, clock)
    finally:
        torch.set_num_threads(threads)
    return found


def _fastest(a, b, clock):
    times = {name: [] for name in ROUTES}
    for _ in range(1 + _ROUNDS):
        for name, route in ROUTES.items():
            begin = clock()
            route(a, b)
            times[name].append(clock() - begin)
    # What slows the machine for a while slows a round's routes alike. A route
    # must win twice, for it may spare one by chance.
    halves = [
        {name: _median_ratio(times, name, first) for name in ROUTES}
        for first in (1, 2)
    ]
    fastest = min(ROUTES, key=lambda name: sum(half[name] for half in halves))
    if all(half[fastest] < _MARGIN for half in halves):
        return fastest
    return "torch"


def _median_ratio(times, name, first):
    """Of every second round's time to torch's."""
    pairs = zip(times[name][first::2], times["torch"][first::2])
    # A clock may stand still for a fast one.
    ratios = sorted(own / max(torchs, 1e-9) for own, torchs in pairs)
    return ratios[len(ratios) // 2]
