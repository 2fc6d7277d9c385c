"""What the benchmarks run: one layer, whoever computes it."""

from dataclasses import astuple, dataclass, replace

LIGRU_MODELS = ("LiGRU", "SLiGRU")
TORCH_MODELS = ("LSTM", "GRU")


@dataclass(frozen=True)
class Case:
    """A layer, its input, and one way to run it.

    Example
    -------
    >>> Case("LiGRU", 512, 512, 8, 100, directions=2).name
    'LiGRU-512-512-8-100-2-1-fp32-train'
    """

    model: str
    hidden: int  # Units of each direction
    features: int
    batch: int
    steps: int
    directions: int = 1
    layers: int = 1
    dtype: str = "fp32"  # Or bf16: autocast over it
    mode: str = "train"  # Forward and every gradient; or infer

    @property
    def input_shape(self):
        """Shape of the input."""
        return self.batch, self.steps, self.features

    @property
    def name(self):
        """What it is called in a message."""
        return "-".join(map(str, astuple(self)))


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
