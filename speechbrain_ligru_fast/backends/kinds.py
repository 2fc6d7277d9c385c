"""What is proven: kinds of scans, each of which runs the same kernels."""

import itertools
from typing import NamedTuple

from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec

# Steps of a scan that is checked.
STEPS = 12


class Kind(NamedTuple):
    """Scans that run the same kernels.

    Arguments
    ---------
    hidden : int
        H.
    rows : int
        Utterances times directions, as rows.size_class rounds them up.
    spec : ScanSpec
        Options.
    dtype : str
        Of U, and so of the products' operands.
    io : str
        Of input and output.
    tf32 : bool
        Whether float32 products may be TF32.
    steps : int
        STEPS, or 1: a single step may be launched in another way.

    Example
    -------
    >>> str(Kind(512, 16, ScanSpec(layernorm=True), "bfloat16"))
    'SLiGRU relu, 1 direction, H=512, 16 rows, bfloat16/float32'
    """

    hidden: int
    rows: int
    spec: ScanSpec = ScanSpec()
    dtype: str = "float32"
    io: str = "float32"
    tf32: bool = False
    steps: int = STEPS

    @classmethod
    def read(cls, values):
        """The kind that JSON made a list of."""
        hidden, rows, spec, *more = values
        return cls(hidden, rows, ScanSpec(*spec), *more)

    def __str__(self):
        spec = self.spec
        return (
            f"{'SLiGRU' if spec.layernorm else 'LiGRU'} {spec.nonlinearity}, "
            f"{spec.directions} direction{'s' * (spec.directions > 1)}, "
            f"H={self.hidden}, {self.rows} rows, {self.dtype}/{self.io}"
            + ", TF32" * self.tf32
            + ", one step" * (self.steps == 1)
        )


# (U, input and output, TF32) of the first cases, and of all. Layers have TF32,
# since importing SpeechBrain allows it.
_FIRST = (("float32", "float32", True), ("bfloat16", "float32", False))
_TYPES = (
    *_FIRST,
    ("float32", "float32", False),
    ("bfloat16", "bfloat16", False),
    ("float16", "float16", False),
)
# (H, rows, directions) of what other plans need; and H that fills no vector.
_SIZES = ((1024, 48, 2), (256, 16, 2), (512, 128, 2), (2048, 16, 1), (64, 8, 2))
_ODD = (16, 33, 100, 777)


def cases(device_type, everything=False):
    """The kinds that are proven by hand, the most important first.

    Arguments
    ---------
    device_type : str
        ``cpu`` or ``cuda``: only a GPU has TF32.
    everything : bool
        Else a few, in seconds.

    Returns
    -------
    list

    Example
    -------
    >>> len(cases("cpu")) < len(cases("cpu", everything=True)) / 10
    True
    """
    found = []

    def add(hidden, rows, spec, types, steps=STEPS):
        *types, tf32 = types
        tf32 = tf32 and device_type == "cuda"
        found.append(Kind(hidden, rows, spec, *types, tf32, steps))

    def both(directions):
        return [ScanSpec("relu", directions, norm) for norm in (False, True)]

    for types, spec in itertools.product(_FIRST, both(2)):
        add(512, 16, spec, types)
    if everything:
        for types, spec in itertools.product(_TYPES, both(2)):
            add(512, 16, spec, types)
        for size, types in itertools.product(_SIZES, _FIRST):
            for spec in both(size[2]):
                add(*size[:2], spec, types)
        for spec, types in itertools.product(both(1), _TYPES):
            add(512, 8, spec, types, 1)
        # What is not multiplied takes turns, in numbers without a factor.
        turns = zip(itertools.cycle(_ODD), itertools.cycle(_TYPES))
        for spec in itertools.product(NONLINEARITIES, (1, 2), (False, True)):
            for _ in range(2):
                hidden, types = next(turns)
                add(hidden, 8, ScanSpec(*spec), types)
    return list(dict.fromkeys(found))
