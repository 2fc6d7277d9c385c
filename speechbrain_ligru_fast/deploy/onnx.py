"""A model as one ONNX file, checked against the model itself.

``pip install 'speechbrain-ligru-fast[deploy]'`` brings what it needs.
"""

import importlib.util
import os
import pathlib
import tempfile

import torch
from torch.export import Dim

from speechbrain_ligru_fast.deploy.conversion import convert
from speechbrain_ligru_fast.deploy.portable import portable
from speechbrain_ligru_fast.deploy.quantization import quantize
from speechbrain_ligru_fast.layers import LiGRU, SLiGRU

OPSET = 20
_OPSETS = range(18, 24)  # What torch's exporter and the GRU's form have.
# Largest difference from eager, relative to the largest output: of float32, of
# int8 products.
_TOLERANCE = {False: 1e-4, True: 0.1}


def to_onnx(
    module,
    path,
    example=None,
    lengths=True,
    states=False,
    int8=False,
    opset=OPSET,
    gru=True,
):
    """Writes a model as ONNX: one ``GRU`` node for every LiGRU layer.

    SLiGRU, the sine and adapted layers become a ``Scan``. Batch and time are
    dynamic; no operator is our own.

    Arguments
    ---------
    module : torch.nn.Module
        A LiGRU, a SLiGRU, a CRDNN or any module that holds them, float32,
        in evaluation mode. Its ``forward`` takes ``x`` and, if asked for,
        ``lengths`` and ``hx``.
    path : str | Path
        The file, written whole or not at all.
    example : Tensor | None
        (B, T, ...) an input; a LiGRU or SLiGRU needs none.
    lengths : bool
        Whether the file has the input ``lengths``: (B,) relative lengths.
    states : bool
        Whether it has the input ``hx``, (num_layers * directions, B, H), so
        that a unidirectional LiGRU or SLiGRU streams.
    int8 : bool
        Whether the weights, recurrent ones too, are int8 and what they are
        multiplied with is rounded as it comes. A GRU node has no such form:
        all layers become a ``Scan``.
    opset : int
        ONNX's version of its operators, 18 to 23.
    gru : bool
        If False, all layers become a ``Scan``. It has no reset gate to
        multiply with: ONNX Runtime is faster with wide layers and slower with
        narrow ones, and the file is smaller.

    Returns
    -------
    float
        The largest difference from the module that was seen, over three
        batches, relative to the largest output.

    Raises
    ------
    ValueError
        For a module in training mode or not in float32, a missing example,
        an unknown opset, a path that can't be written.
    ImportError
        If the extra ``deploy`` is not installed, or torch is older than 2.8.
    RuntimeError
        If the file's results are not the module's; nothing is written. For an
        adapted ``u`` that is no linear map.

    Example
    -------
    >>> to_onnx(LiGRU(4, [None, None, 3]), "net.onnx")
    Traceback (most recent call last):
    ValueError: module: got LiGRU in training mode, expected all of it in ...
    """
    check_opset(opset)
    plain = portable(module, gru=gru and not int8)
    if example is None:
        if not _is_recurrent(module):
            raise ValueError(
                "example: got None, expected an input of the "
                f"{type(module).__name__}"
            )
        example = torch.zeros(2, 7, module.fea_dim)
    if states and not _is_recurrent(module):
        raise ValueError(
            f"states: got True for a {type(module).__name__}, expected a LiGRU "
            "or SLiGRU"
        )

    def inputs(batch, steps):
        made = {"x": torch.randn(batch, steps, *example.shape[2:])}
        if lengths:
            made["lengths"] = torch.linspace(1.0, 0.5, batch)
        if states:
            size = module.num_layers * module.directions
            made["hx"] = torch.rand(size, batch, module.hidden_size)
        return made

    outputs = ["output", "hidden"] if _is_recurrent(module) else ["output"]
    steps = max(example.size(1), 2)
    return write_module(
        module, plain, path, inputs, steps, outputs, int8, opset
    )


def write_module(module, plain, path, inputs, steps, outputs, int8, opset):
    """Writes and checks the file of a module and its portable form.

    Arguments
    ---------
    module, plain : torch.nn.Module
        Both compute the same.
    path : str | Path
        The file.
    inputs : callable
        (batch, steps) -> a dict of arguments by name, x among them.
    steps : int
        An allowed number of steps, as are those above it.
    outputs : list of str
        Their names.
    int8 : bool
    opset : int
        See ``to_onnx``.

    Returns
    -------
    float
        See ``to_onnx``.
    """
    arguments = inputs(2, steps)
    # hx alone has the batch at its second place.
    dims = {
        name: {1: Dim.AUTO} if name == "hx" else {0: Dim.AUTO, 1: Dim.AUTO}
        for name in arguments
    }
    if "lengths" in dims:
        dims["lengths"] = {0: Dim.AUTO}
    return write_model(
        module,
        path,
        int8,
        lambda: convert(plain, arguments, dims, outputs, opset),
        lambda session: _difference(module, session, inputs, steps),
    )


def write_model(module, path, int8, make, difference):
    """Writes a model's file whole, or not at all.

    Arguments
    ---------
    module : torch.nn.Module
        What it is made of.
    path : str | Path
        The file.
    int8 : bool
        See ``to_onnx``.
    make : callable
        Returns it, an ``onnx_ir.Model``, see ``convert``.
    difference : callable
        From an ``onnxruntime.InferenceSession`` to how much it differs from
        what it was made of.

    Returns
    -------
    float
        The difference.

    Raises
    ------
    ImportError, ValueError
        As ``to_onnx``, before anything is made.
    RuntimeError
        If the difference is too large.
    """
    path = pathlib.Path(path)
    _check(module, path)
    import onnx_ir
    import onnxruntime

    model = make()
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        partial = pathlib.Path(folder, "model.onnx")
        onnx_ir.save(model, partial)
        if int8:
            partial = quantize(partial)
        providers = ["CPUExecutionProvider"]
        error = difference(
            onnxruntime.InferenceSession(partial, None, providers)
        )
        if not error <= _TOLERANCE[int8]:
            raise RuntimeError(
                f"module: its ONNX form differs from it by {error:.1e} "
                f"of the largest output, expected at most {_TOLERANCE[int8]}"
            )
        partial.replace(path)
    return error


def _check(module, path):
    """Raises what ``to_onnx`` does before it begins."""
    missing = [
        name
        for name in ("onnx", "onnxscript", "onnxruntime")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ImportError(
            f"{', '.join(missing)}: not installed; "
            "pip install 'speechbrain-ligru-fast[deploy]'"
        )
    if not hasattr(torch.onnx, "ops"):
        raise ImportError(f"torch: got {torch.__version__}, needs 2.8 or later")
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ValueError(
                f"module: got {name} of {tensor.dtype}, expected float32"
            )
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(
            f"path: got {path}, expected a file in a folder that can be "
            "written to"
        )


def check_opset(opset):
    """Raises ValueError for an opset that is unknown here."""
    if opset not in _OPSETS:
        raise ValueError(
            f"opset: got {opset}, expected {_OPSETS[0]} to {_OPSETS[-1]}"
        )


def _is_recurrent(module):
    return isinstance(module, (LiGRU, SLiGRU))


@torch.no_grad()
def _difference(module, session, inputs, t):
    """The largest relative difference over three batches of other sizes."""
    worst = 0.0
    for batch, steps in ((2, t), (1, t + 5), (3, 2 * t + 1)):
        given = inputs(batch, steps)
        want = module(**given)
        want = want if isinstance(want, tuple) else (want,)
        got = session.run(None, {k: v.numpy() for k, v in given.items()})
        for ours, theirs in zip(want, got):
            scale = ours.abs().max().clamp(min=1e-6)
            error = (ours - torch.from_numpy(theirs)).abs().max() / scale
            worst = max(worst, float(error))
    return worst
