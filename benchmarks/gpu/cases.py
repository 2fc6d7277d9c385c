"""What the GPU suite runs, the most telling cases first.

The suite stops at its time limit, so the order decides what is measured.
"""

import itertools
from dataclasses import dataclass, replace

from benchmarks.cases import Case


@dataclass(frozen=True)
class Plan:
    """Shapes to verify and to measure.

    Arguments
    ---------
    small : tuple of int
        H of scans in every type, the first to verify: on an H200 the CUDA
        backend's two tiers hold them.
    options : tuple of dict
        Small odd scans, every option; H and dtype vary as well.
    sizes : tuple of tuple
        (H, batch, directions, steps) of larger scans to verify.
    cases : tuple of Case
        Layers to measure, all models of a shape together.
    slow : tuple of Case
        Layers to measure as loops that launch kernels each step too,
        SpeechBrain's among them.
    rivals : tuple of Case
        LiGRU layers on which other ways to run one are measured too.
    first : int
        Cases that every backend measures before anything goes on to more.
    repeats : int
        Runs of one scan that must give the same bits.
    """

    small: tuple
    options: tuple
    sizes: tuple
    cases: tuple
    slow: tuple
    rivals: tuple
    first: int
    repeats: int


def _options(hidden_sizes):
    hidden = itertools.cycle(hidden_sizes)
    nonlinearity = itertools.cycle(("relu", "tanh", "sin", "leaky_relu"))
    return tuple(
        dict(
            hidden=next(hidden),
            nonlinearity=next(nonlinearity),
            directions=directions,
            layernorm=layernorm,
            affine=affine,
            lengths=lengths,
            h0=h0,
            mask=mask,
        )
        for directions, (layernorm, affine), lengths, h0, mask in (
            itertools.product(
                (1, 2),
                ((False, False), (True, False), (True, True)),
                (False, True),
                (False, True),
                (False, True),
            )
        )
    )


# SpeechBrain's TIMIT layer, and as much of it as torch.compile can unroll.
BASE = Case("LiGRU", 512, 512, 8, 1000, directions=2, dtype="bf16")
SHORT = replace(BASE, steps=25)
# A decoder's step goes on from the state before.
DECODER = replace(BASE, steps=1, directions=1, with_hx=True)
LARGE = replace(BASE, hidden=1024, features=1024, batch=24)


def _layers(models):
    """SpeechBrain's workloads first, then the grid of sizes."""
    shapes = [
        BASE,
        DECODER,
        LARGE,
        SHORT,
        replace(BASE, batch=64, steps=500),
        replace(DECODER, hidden=128, features=128),
    ]
    for steps, hidden, rows, directions in itertools.product(
        (1000, 250), (512, 1024, 256, 2048), (16, 48, 128), (2, 1)
    ):
        shape = replace(
            BASE,
            hidden=hidden,
            features=hidden,
            batch=rows // directions,
            directions=directions,
            steps=steps,
        )
        if shape not in shapes:
            shapes.append(shape)
    return tuple(
        replace(shape, model=model) for shape in shapes for model in models
    )


# What the others are compared with comes first, should the time be short.
MODELS = ("LSTM", "GRU", "LiGRU", "SLiGRU")

FULL = Plan(
    small=(64, 1024),
    options=_options((16, 33, 100, 512, 777)),
    sizes=(
        (256, 8, 2, 50),
        (512, 8, 2, 50),
        (512, 64, 2, 20),
        (1024, 24, 2, 30),
        (2048, 16, 1, 20),
    ),
    cases=_layers(MODELS),
    slow=(
        *(replace(BASE, model=model) for model in MODELS),
        *(replace(DECODER, model=model) for model in MODELS[:3]),
        *(replace(LARGE, model=model) for model in MODELS[:3]),
    ),
    rivals=(BASE, SHORT),
    # The two layers and the decoder's step that SpeechBrain's recipes use.
    first=3 * len(MODELS),
    repeats=20,
)

# The same path on a CPU, in seconds.
DRY = Plan(
    small=(5,),
    options=_options((5, 16))[::9],
    sizes=((32, 2, 2, 5),),
    cases=tuple(
        Case(model, 16, 16, 2, steps, directions, dtype="bf16", with_hx=hx)
        for steps, directions, hx in ((6, 2, False), (1, 1, True))
        for model in MODELS
    ),
    slow=tuple(
        Case(model, 16, 16, 2, 6, directions=2, dtype="bf16")
        for model in MODELS[:3]
    ),
    rivals=(Case("LiGRU", 8, 8, 2, 2, directions=2, dtype="bf16"),),
    first=len(MODELS),
    repeats=2,
)


def by_shape(cases):
    """Yields lists of cases that differ in nothing but the model.

    Arguments
    ---------
    cases : tuple of Case
        Those of one shape one after another.

    Example
    -------
    >>> [len(group) for group in by_shape(DRY.cases)]
    [4, 4]
    """
    for _, group in itertools.groupby(
        cases, lambda case: replace(case, model="LiGRU")
    ):
        yield list(group)
