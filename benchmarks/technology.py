"""Tables of docs/investigation.md: code per technology, GPU time per step."""

import pathlib

import speechbrain_ligru_fast
from benchmarks import rows
from benchmarks.tables import NOTHING, markdown, number

PACKAGE = pathlib.Path(speechbrain_ligru_fast.__file__).parent
BENCHMARKS = pathlib.Path(__file__).parent

# What each technology's own code is; shared code is left out.
SOURCES = {
    "torch, plain (`reference`)": (PACKAGE, ["backends/reference.py"]),
    "TorchScript (`torchscript`)": (PACKAGE, ["backends/torchscript.py"]),
    "Numba on a CPU (`numba`)": (
        PACKAGE,
        [
            "backends/numba/__init__.py",
            "backends/numba/compiling.py",
            "backends/numba/cpu/*.py",
            "matrix_unit.py",
        ],
    ),
    "Numba on a GPU (`numba`)": (PACKAGE, ["backends/numba/gpu.py"]),
    "Triton (`triton`)": (PACKAGE, ["backends/triton/*.py"]),
    "CUDA C++ (`cuda`)": (
        PACKAGE,
        ["backends/cuda/*.py", "backends/cuda/kernels/*"],
    ),
    "cuDNN's graph API, forward": (BENCHMARKS, ["gpu/cudnn_graph.py"]),
}
# Lines are rounded to this, so that not each edit makes a page stale.
ROUND = 50

# The layer and the recurrence that every technology is measured on.
SHAPE = dict(hidden=512, batch=8, directions=2)


def lines(data):
    """Lines of each technology's own files.

    Arguments
    ---------
    data : Data
        Not looked at: the files themselves are.

    Returns
    -------
    str
    """
    found = []
    for name, (root, patterns) in SOURCES.items():
        paths = [path for pattern in patterns for path in root.glob(pattern)]
        paths = [path for path in paths if path.is_file()]
        if len(paths) < len(patterns):
            raise ValueError(f"{name}: no files for one of {patterns}")
        count = sum(len(path.read_text().splitlines()) for path in paths)
        found.append([name, len(paths), ROUND * max(1, round(count / ROUND))])
    return markdown(["technology", "files", "lines, about"], found)


def steps(data):
    """Microseconds per step of a LiGRU on each GPU, from the GPU suite's rows.

    Arguments
    ---------
    data : Data
        The result rows.

    Returns
    -------
    str
    """
    measured = rows.where(
        data.gpu, driver=lambda driver: driver != "", model="LiGRU", **SHAPE
    )
    if measured.empty:
        return NOTHING
    measured = rows.newest(measured, ["device", "impl", *rows.CASE])
    order = ["device", "op", "steps", "dtype", "mode", "p50_ms"]
    return markdown(
        ["GPU", "what", "T", "type", "mode", "by", "us per step"],
        [
            [
                row["device"], row["op"], row["steps"], row["dtype"],
                row["mode"], row["impl"],
                number(1000 * row["p50_ms"] / row["steps"]),
            ]
            for _, row in measured.sort_values(order).iterrows()
        ],
    )  # fmt: skip


TABLES = {"lines": lines, "steps": steps}
