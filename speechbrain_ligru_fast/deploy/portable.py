"""Light GRUs made of operators that every runtime has, for inference.

Two forms of a layer: ``GRULayer`` is one ONNX ``GRU`` node, ``ScanLayer`` one
loop: torch's ``scan`` and ONNX's ``Scan``, in TorchScript a ``for``. Both hold
copies of the parameters.
"""

import copy
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from speechbrain_ligru_fast.backends.rows import to_scan_order
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE
from speechbrain_ligru_fast.deploy.gru import GRULayer, in_time_order
from speechbrain_ligru_fast.layers import LiGRU, SLiGRU
from speechbrain_ligru_fast.layers.batch_norm import is_rowwise
from speechbrain_ligru_fast.layers.wrapped import (
    check_layer_norm,
    recurrent_matrix,
)
from speechbrain_ligru_fast.scan.lengths import valid_frames


class _Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


_MODULES = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
    "sin": _Sine,
}


class ScanLayer(nn.Module):
    """One LiGRU or SLiGRU layer, its recurrence torch's ``scan`` operator.

    In TorchScript, which has no such operator, it is a loop.

    Arguments
    ---------
    layer : LightGRULayer
        Any; its ``w`` and ``norm`` are called as they are.
    """

    def __init__(self, layer):
        super().__init__()
        self.hidden_size = layer.hidden_size
        self.directions = layer.directions
        self.w = copy.deepcopy(layer.w)
        self.norm = copy.deepcopy(layer.norm)
        self.rowwise = is_rowwise(layer.norm)
        self.layer_norm = nn.Identity()
        if layer.stabilised:
            check_layer_norm(layer.layer_norm)
            self.layer_norm = copy.deepcopy(layer.layer_norm)
        self.activation = _MODULES[layer.nonlinearity]()
        u = recurrent_matrix(layer.u, layer.h_init).detach()
        self.register_buffer("u", u.t().contiguous())

    def forward(
        self, x: Tensor, hx: Tensor, frames: Optional[Tensor]
    ) -> Tensor:
        """Returns the states of every frame.

        Arguments
        ---------
        x : Tensor
            (B, T, input_size).
        hx : Tensor
            (directions, B, H).
        frames : Tensor | None
            (B,) int64 valid frames.

        Returns
        -------
        Tensor
            (B, T, directions * H); padding is 0.
        """
        w = self.w(x)
        if self.rowwise:
            w = self.norm(w)
        else:
            w = self.norm(w.flatten(0, 1)).view_as(w)
        rows = to_scan_order(w.unsqueeze(0), self.directions, frames)
        # Matrices: with the directions as an axis of their own ExecuTorch
        # 1.5.1 computes something else.
        state = hx.flatten(0, 1)
        if torch.jit.is_scripting():
            y = self._loop(rows, state)
        else:
            y = self._scan(rows, state)
        y = in_time_order(y, self.directions, x.size(0), frames)
        if frames is None:
            return y
        padding = ~valid_frames(frames, x.size(1)).unsqueeze(2)
        return y.masked_fill(padding, 0.0)

    def _step(self, state: Tensor, gates: Tensor) -> Tensor:
        """arXiv 1803.10225, equations 9 to 12."""
        gates = gates + self.layer_norm(state @ self.u)
        candidate = self.activation(gates[..., : self.hidden_size])
        z = torch.sigmoid(gates[..., self.hidden_size :])
        return z * state + (1 - z) * candidate

    def _loop(self, rows: Tensor, state: Tensor) -> Tensor:
        states: List[Tensor] = []
        for t in range(rows.size(0)):
            state = self._step(state, rows[t])
            states.append(state)
        return torch.stack(states)

    @torch.jit.unused
    def _scan(self, rows: Tensor, state: Tensor) -> Tensor:
        def step(state, gates):
            state = self._step(state, gates)
            return state, state.clone()

        return scan(step, state, rows)[1]


class PortableLiGRU(nn.Module):
    """A stack of layers in one of the two forms; calls as LiGRU's.

    Arguments
    ---------
    rnn : LiGRU | SLiGRU
        Whose parameters it takes.
    gru : bool
        Whether to use ONNX's GRU where it fits.
    """

    # CRDNN gives lengths to who takes them.
    takes_lengths = True

    def __init__(self, rnn, gru):
        super().__init__()
        self.directions = rnn.directions
        self.hidden_size = rnn.hidden_size
        self.layers = nn.ModuleList(
            GRULayer(layer)
            if gru and GRULayer.fits(layer)
            else ScanLayer(layer)
            for layer in rnn.rnn
        )

    def forward(
        self,
        x: Tensor,
        hx: Optional[Tensor] = None,
        lengths: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor]:
        """See ``LiGRU.forward``; nothing is checked."""
        if not torch.jit.is_scripting():
            _forget_exports()
        d = self.directions
        if x.dim() == 4:
            x = x.flatten(2)
        frames: Optional[Tensor] = None
        if lengths is not None:
            frames = torch.round(lengths * x.size(1)).clamp(min=1).long()
            padding = ~valid_frames(frames, x.size(1))
            x = x.masked_fill(padding.unsqueeze(2), 0.0)
        if hx is None:
            hx = x.new_zeros(d * len(self.layers), x.size(0), self.hidden_size)
        hidden = []
        for i, layer in enumerate(self.layers):
            x = layer(x, hx[i * d : (i + 1) * d], frames)
            hidden.append(self._last(x, frames))
        return x, torch.cat(hidden)

    _last = LiGRU._last


def _forget_exports():
    """Once an export: what torch compiled for a scan of an earlier one.

    It would fix the batch of this one to that one's, without a word.
    """
    exporting = torch.compiler.is_exporting()
    if exporting and not torch.compiler.is_dynamo_compiling():
        torch.compiler.reset()


def portable(module, gru=False):
    """A copy of a model whose Light GRUs are plain operators.

    ``torch.export`` makes a file of it that loads where this package is not
    installed.

    Arguments
    ---------
    module : torch.nn.Module
        A LiGRU, a SLiGRU, a CRDNN or anything that holds them, in
        evaluation mode. It stays as it is.
    gru : bool
        Whether to use ONNX's ``GRU`` where it fits, for ``to_onnx``: then
        the copy computes only once it is exported.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, without gradients.

    Raises
    ------
    ValueError
        If a part of the module is in training mode.
    RuntimeError
        For an adapted ``u`` that is no linear map.

    Example
    -------
    >>> net = LiGRU(4, [None, None, 3]).eval()
    >>> x = torch.rand(2, 5, 3)
    >>> with torch.no_grad():
    ...     torch.allclose(portable(net)(x)[0], net(x)[0], atol=1e-6)
    True
    """
    for name, part in module.named_modules():
        if part.training:
            raise ValueError(
                f"module: got {name or type(module).__name__} in training "
                "mode, expected all of it in evaluation mode (call eval())"
            )
    # Copying a module puts these in the places of the originals.
    memo = {
        id(part): PortableLiGRU(part, gru)
        for part in module.modules()
        if isinstance(part, (LiGRU, SLiGRU))
    }
    copied = copy.deepcopy(module, memo)
    return copied.eval().requires_grad_(False)
