"""The one list of cases that the benchmarks time and the tests compare."""

from dataclasses import asdict, dataclass, replace
from itertools import cycle, product

from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

LIGRU_MODELS = ("LiGRU", "SLiGRU")
TORCH_MODELS = ("LSTM", "GRU")
NORMALIZATIONS = ("batchnorm", "layernorm")
DTYPES = ("fp64", "fp32", "bf16")
MODES = ("infer", "forward", "train")
OPS = ("layer", "scan")


@dataclass(frozen=True)
class Case:
    """One shape, one set of options, one way to run it.

    Arguments
    ---------
    model : str
        LiGRU, SLiGRU, LSTM or GRU.
    hidden : int
        Hidden units per direction.
    features : int
        Input features per frame.
    batch : int
        Utterances.
    steps : int
        Frames per utterance.
    directions : int
        1, or 2 for a bidirectional layer.
    layers : int
        Stacked layers.
    nonlinearity : str
        Candidate's nonlinearity (LiGRU and SLiGRU).
    normalization : str
        Normalisation of the projected input (LiGRU and SLiGRU).
    bias : bool
        Whether that normalisation has a trainable bias.
    affine : bool
        Whether SLiGRU's recurrent LayerNorm has parameters.
    with_hx : bool
        Whether a starting state is given.
    dtype : str
        fp64 and fp32 are the parameters' type; bf16 is autocast over fp32.
    mode : str
        infer (no gradient, eval), forward (train mode, graph kept) or train
        (forward, then the gradient of every parameter and of the input).
    op : str
        layer, or scan: the recurrence alone, as a functional call.
    memory : bool
        Whether the peak memory of a train step is measured as well.

    Example
    -------
    >>> Case("LiGRU", 512, 512, 8, 100, directions=2).shape
    'h512-f512-b8-t100-bi'
    """

    model: str
    hidden: int
    features: int
    batch: int
    steps: int
    directions: int = 1
    layers: int = 1
    nonlinearity: str = "relu"
    normalization: str = "batchnorm"
    bias: bool = True
    affine: bool = False
    with_hx: bool = False
    dtype: str = "fp32"
    mode: str = "train"
    op: str = "layer"
    memory: bool = False

    def __post_init__(self):
        for field, allowed in (
            ("model", LIGRU_MODELS + TORCH_MODELS),
            ("directions", (1, 2)),
            ("nonlinearity", NONLINEARITIES),
            ("normalization", NORMALIZATIONS),
            ("dtype", DTYPES),
            ("mode", MODES),
            ("op", OPS),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(
                    f"{field} is {value!r}; allowed: "
                    + ", ".join(map(str, allowed))
                )

    @property
    def rows(self):
        """Rows of the recurrence: one per utterance and direction."""
        return self.batch * self.directions

    @property
    def bidirectional(self):
        """Whether the layer reads time both ways."""
        return self.directions == 2

    @property
    def input_shape(self):
        """Shape of the input; a scan's is the projected one."""
        width = 2 * self.hidden if self.op == "scan" else self.features
        return self.batch, self.steps, width

    @property
    def shape(self):
        """Name of what is computed, whoever computes it."""
        name = (
            f"h{self.hidden}-f{self.features}-b{self.batch}-t{self.steps}-"
            + ("bi" if self.bidirectional else "uni")
        )
        if self.layers > 1:
            name += f"-l{self.layers}"
        return f"scan-{name}" if self.op == "scan" else name

    @property
    def name(self):
        """Full name: model, shape, type, mode and unusual options."""
        defaults = asdict(Case("LiGRU", 1, 1, 1, 1))
        options = [
            getattr(self, key)
            if isinstance(defaults[key], str)
            else ("" if getattr(self, key) else "no-") + key
            for key in (
                "nonlinearity",
                "normalization",
                "bias",
                "affine",
                "with_hx",
            )
            if getattr(self, key) != defaults[key]
        ]
        return "-".join(
            [self.model, self.shape, self.dtype, self.mode, *options]
        )


# Units of an LSTM of equal size are a multiple of this, for its vectors' sake.
_EQUAL_UNITS = 16


def parameters(case):
    """Number of parameters of a single layer.

    Directions share a LiGRU's, and are a torch layer each.

    Arguments
    ---------
    case : Case
        With biases, batch normalisation and one layer.

    Returns
    -------
    int

    Example
    -------
    >>> parameters(Case("LiGRU", 512, 512, 8, 100, directions=2))
    1050624
    >>> parameters(Case("LSTM", 512, 512, 8, 100, directions=2))
    4202496
    """
    inputs = case.hidden + case.features + 2
    if case.model in LIGRU_MODELS:
        return 2 * case.hidden * inputs
    gates = {"LSTM": 4, "GRU": 3}[case.model]
    return case.directions * gates * case.hidden * inputs


def lstm_of_equal_size(case):
    """The LSTM with as many parameters as a LiGRU, on the same input.

    Arguments
    ---------
    case : Case
        Of one layer of LiGRU or SLiGRU.

    Returns
    -------
    Case
        Its hidden units are the multiple of 16 whose number of parameters is
        nearest.

    Example
    -------
    >>> case = Case("LiGRU", 512, 512, 8, 100, directions=2)
    >>> equal = lstm_of_equal_size(case)
    >>> equal.hidden, equal.features, parameters(equal) / parameters(case)
    (192, 512, 1.03...)
    """
    widths = range(_EQUAL_UNITS, 2 * case.hidden + 1, _EQUAL_UNITS)
    return min(
        (replace(case, model="LSTM", hidden=width) for width in widths),
        key=lambda lstm: abs(parameters(lstm) - parameters(case)),
    )


# (batch, steps, features, hidden): odd on purpose, so that a tile, a vector
# or a stride that only fits round sizes is caught. Batch normalisation needs
# more than one frame, hence no shape of one utterance and one frame.
ODD_SHAPES = (
    (3, 5, 4, 7),
    (1, 13, 5, 33),
    (3, 1, 3, 7),
    (2, 13, 9, 1),
    (1, 5, 3, 33),
)


def _parity_cases():
    shapes = cycle(ODD_SHAPES)
    for model in LIGRU_MODELS:
        for (
            directions,
            layers,
            nonlinearity,
            normalization,
            bias,
            affine,
            with_hx,
            mode,
        ) in product(
            (1, 2),
            (1, 2),
            NONLINEARITIES,
            NORMALIZATIONS,
            (True, False),
            (False, True) if model == "SLiGRU" else (False,),
            (False, True),
            ("infer", "train"),
        ):
            batch, steps, features, hidden = next(shapes)
            yield Case(
                model,
                hidden,
                features,
                batch,
                steps,
                directions=directions,
                layers=layers,
                nonlinearity=nonlinearity,
                normalization=normalization,
                bias=bias,
                affine=affine,
                with_hx=with_hx,
                dtype="fp64",
                mode=mode,
            )


# Every combination of options; 5 shapes rotate through them.
PARITY_CASES = tuple(_parity_cases())

# One in 7 of them: coprime with every option's count, so that each value of
# each option stays in.
QUICK_PARITY_CASES = PARITY_CASES[::7]


def _timing_cases():
    layer = Case("LiGRU", 512, 512, 8, 100, directions=2)
    shapes = (
        layer,
        replace(layer, hidden=256, features=256),
        replace(layer, hidden=1024, features=1024),
        replace(layer, steps=25),
        replace(layer, steps=400, memory=True),
    )
    models = LIGRU_MODELS + TORCH_MODELS
    timed = ("infer", "train")
    for shape, mode in product(shapes, timed):
        for model in models:
            yield replace(shape, model=model, mode=mode)
        yield lstm_of_equal_size(replace(shape, mode=mode))
    for model in models:
        yield replace(layer, model=model, mode="forward")
    for mode, model in product(timed, models):
        yield replace(layer, model=model, mode=mode, dtype="bf16")
    for batch, mode in product((8, 16, 24), timed):
        yield replace(layer, batch=batch, mode=mode, op="scan")


TIMING_CASES = tuple(_timing_cases())

# A decoder's step, and sequences that hardly repay packing the weights.
SHORT_CASES = tuple(
    Case(model, 512, 512, 8, steps, directions=2, mode="infer")
    for steps, model in product((1, 2, 3, 4, 8), LIGRU_MODELS + TORCH_MODELS)
)

# Ten and twenty seconds of frames: with SpeechBrain's layers a round takes
# minutes.
LONG_CASES = tuple(
    Case(model, 512, 512, 8, steps, directions=2, memory=True)
    for steps, model in product((1000, 2000), LIGRU_MODELS + TORCH_MODELS)
)

# Timed only if they are asked for.
NAMED_CASES = SHORT_CASES + LONG_CASES

# What --deep times: in a stack, all layers but one keep what their backward
# needs.
DEEP_CASES = tuple(
    replace(
        Case(model, 512, 512, 8, 400, memory=True),
        directions=directions,
        layers=layers,
    )
    for directions, layers, model in product((2, 1), (4, 1), LIGRU_MODELS)
)

# What --quick times: the two smaller layers, and one scan.
QUICK_TIMING_CASES = tuple(
    case
    for case in TIMING_CASES
    if case.steps == 100
    and case.hidden <= 512
    and case.batch == 8
    and case.mode != "forward"
    and case.dtype == "fp32"
)
