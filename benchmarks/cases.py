"""What the benchmarks run: one layer, whoever computes it."""

from dataclasses import dataclass, replace

LIGRU_MODELS = ("LiGRU", "SLiGRU")
TORCH_MODELS = ("LSTM", "GRU")


@dataclass(frozen=True)
class Case:
    """A layer, its input, and one way to run it.

    Example
    -------
    >>> Case("LiGRU", 512, 512, 8, 100, directions=2).name
    'LiGRU-h512-f512-b8-t100-d2-l1-fp32-train'
    """

    model: str
    hidden: int  # Units of each direction
    features: int
    batch: int
    steps: int
    directions: int = 1
    layers: int = 1
    with_hx: bool = False  # Whether a starting state is given
    dtype: str = "fp32"  # Or bf16: autocast over it
    mode: str = "train"  # Forward and every gradient; or infer

    @property
    def bidirectional(self):
        """Whether the layer reads time both ways."""
        return self.directions == 2

    @property
    def input_shape(self):
        """Shape of the input."""
        return self.batch, self.steps, self.features

    @property
    def name(self):
        """What it is called in a message."""
        words = [self.model, f"h{self.hidden}", f"f{self.features}"]
        words += [f"b{self.batch}", f"t{self.steps}", f"d{self.directions}"]
        return "-".join([*words, f"l{self.layers}", self.dtype, self.mode])


def parameters(case):
    """Number of parameters; a LiGRU's directions share theirs.

    Example
    -------
    >>> parameters(Case("LSTM", 512, 512, 8, 100, directions=2))
    4202496
    """
    copies, gates = {
        "LSTM": (case.directions, 4),
        "GRU": (case.directions, 3),
    }.get(case.model, (1, 2))
    deeper = (case.layers - 1) * case.directions * case.hidden
    inputs = case.features + deeper + case.layers * (case.hidden + 2)
    return copies * gates * case.hidden * inputs


def of_as_many_parameters(case, model):
    """The LSTM or GRU with the nearest number of parameters, by 16 units.

    Example
    -------
    >>> case = Case("LiGRU", 512, 512, 8, 100, directions=2)
    >>> of_as_many_parameters(case, "LSTM").hidden
    192
    """
    widths = range(16, 2 * case.hidden + 16, 16)
    return min(
        (replace(case, model=model, hidden=width) for width in widths),
        key=lambda peer: abs(parameters(peer) - parameters(case)),
    )
