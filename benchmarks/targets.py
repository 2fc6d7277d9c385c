"""The speed, memory and parity that the project set out to reach.

Every line names two sets of rows; what is judged is their ratio within one
run, two threads, float32 unless said otherwise, medians.
"""

from dataclasses import dataclass, field

from benchmarks.impls import STOCK, TORCH, is_ours
from benchmarks.rows import newest_pair, where

THREADS = 2
GEMM_SHARE = 0.7


@dataclass(frozen=True)
class Target:
    """One line of what must be reached.

    Arguments
    ---------
    text : str
        What is measured.
    ours : dict
        Column -> value, or a test of values, of our rows.
    theirs : dict
        Column -> value of the rows compared with; empty where a column of
        ours is the figure itself.
    column : str
        The figure.
    bound : float
        What it must reach.
    at_most : bool
        True where smaller is better.
    source : str
        layers, parity or convergence: the result file.
    """

    text: str
    ours: dict
    theirs: dict = field(default_factory=dict)
    column: str = "p50_ms"
    bound: float = 1.0
    at_most: bool = False
    source: str = "layers"

    def measure(self, frame):
        """The figure, or None where no row holds it.

        Arguments
        ---------
        frame : pandas.DataFrame
            Rows of the source, of one device.

        Returns
        -------
        float | None
        """
        return self.find(frame)[0]

    def find(self, frame):
        """The figure as `measure` gives it, and the run that it is of.

        Arguments
        ---------
        frame : pandas.DataFrame

        Returns
        -------
        figure : float | None
        run : str | None
        """
        ours = where(frame, **self.ours)
        if self.theirs:
            theirs = where(frame, **self.theirs)
            pair = newest_pair(ours, theirs, self.column)
            if pair is None:
                return None, None
            found = pair[self.column]
            return 1 / found if found and self.at_most else found, pair["run"]
        if ours.empty:
            return None, None
        # All rows of the newest run count; the worst one is the figure.
        run = ours["run"].iloc[-1]
        figures = ours[ours["run"] == run][self.column]
        return figures.max() if self.at_most else figures.min(), run

    def met(self, figure):
        """Whether a figure reaches the bound."""
        if self.at_most:
            return bool(figure <= self.bound)
        return bool(figure >= self.bound)


def _shape(hidden, steps, batch=8):
    return {
        "hidden": hidden,
        "features": hidden,
        "steps": steps,
        "batch": batch,
        "directions": 2,
        "layers": 1,
    }


def _ours(model, mode, shape, dtype="fp32", op="layer"):
    return {
        "model": model,
        "auto": "yes",
        "mode": mode,
        "dtype": dtype,
        "op": op,
        **shape,
    }


def _theirs(model, impl, mode, shape):
    return {
        "model": model,
        "impl": impl,
        "mode": mode,
        "dtype": "fp32",
        "op": "layer",
        **shape,
    }


def _targets():
    size = "H={hidden}, T={steps}".format_map
    for hidden, steps, bound in (
        (512, 100, 2.4),
        (512, 400, 4.0),
        (256, 100, 2.5),
        (1024, 100, 3.0),
    ):
        shape = _shape(hidden, steps)
        for model in ("LiGRU", "SLiGRU"):
            yield Target(
                f"train step, {model} against SpeechBrain's, {size(shape)}",
                _ours(model, "train", shape),
                _theirs(model, STOCK, "train", shape),
                bound=bound,
            )
    for hidden, steps, bound in (
        (512, 100, 1.9),
        (512, 400, 1.9),
        (256, 100, 1.6),
        (1024, 100, 2.8),
    ):
        shape = _shape(hidden, steps)
        yield Target(
            f"train step, LiGRU against torch.nn.LSTM, {size(shape)}",
            _ours("LiGRU", "train", shape),
            _theirs("LSTM", TORCH, "train", shape),
            bound=bound,
        )
    for steps in (100, 400):
        shape = _shape(512, steps)
        yield Target(
            f"inference, LiGRU against SpeechBrain's, {size(shape)}",
            _ours("LiGRU", "infer", shape),
            _theirs("LiGRU", STOCK, "infer", shape),
            bound=2.0,
        )
        yield Target(
            f"inference, LiGRU against torch.nn.LSTM, {size(shape)}",
            _ours("LiGRU", "infer", shape),
            _theirs("LSTM", TORCH, "infer", shape),
            bound=1.7,
        )
    shape = _shape(512, 100)
    for mode, text in (("infer", "inference"), ("train", "train step")):
        yield Target(
            f"{text}, LiGRU, bf16 autocast against fp32, {size(shape)}",
            _ours("LiGRU", mode, shape, dtype="bf16"),
            _ours("LiGRU", mode, shape),
            bound=1.5,
        )
    for mode, text in (("infer", "forward"), ("train", "with backward")):
        for batch in (8, 16, 24):
            yield Target(
                f"recurrence alone, {text}, {2 * batch} rows, H=512: share "
                "of the large fp32 GEMM's rate",
                _ours("LiGRU", mode, _shape(512, 100, batch), op="scan"),
                column="gemm_ratio",
                bound=GEMM_SHARE,
            )
    shape = _shape(512, 400)
    for model in ("LiGRU", "SLiGRU"):
        yield Target(
            f"peak memory of a train step, {model}: share of SpeechBrain's, "
            f"{size(shape)}",
            _ours(model, "train", shape),
            _theirs(model, STOCK, "train", shape),
            column="peak_mb",
            bound=0.5,
            at_most=True,
        )
    for quantity, bound in (("output", 1e-10), ("gradient", 1e-8)):
        yield Target(
            f"largest relative {quantity} error in float64, all options and "
            "backends",
            {"dtype": "fp64", "scope": "all", "impl": is_ours},
            column=f"{quantity}_error",
            bound=bound,
            at_most=True,
            source="parity",
        )
    yield Target(
        "largest error in float32, at the timed sizes: share of what a "
        "float64 reference allows",
        {"dtype": "fp32", "scope": "all", "impl": is_ours},
        column="share_of_limit",
        bound=1.0,
        at_most=True,
        source="parity",
    )
    for dtype in ("fp64", "fp32"):
        yield Target(
            f"CRDNN trained from one seed, {dtype}: largest difference of "
            "the loss from SpeechBrain's layer in the first 50 steps",
            {"dtype": dtype, "model": "LiGRU", "impl": is_ours, "steps": 50},
            column="difference",
            bound=1e-4,
            at_most=True,
            source="convergence",
        )


TARGETS = tuple(_targets())
