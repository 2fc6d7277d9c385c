"""Light GRUs made of operators that every runtime has, for inference.

Two forms of a layer: ``GRULayer`` is one ONNX ``GRU`` node, ``ScanLayer`` one
loop, torch's ``scan`` and ONNX's ``Scan``. Both hold copies of the parameters.
"""

import copy

import torch
from torch import nn
from torch._higher_order_ops.scan import scan

from speechbrain_ligru_fast.backends.reference import activation
from speechbrain_ligru_fast.backends.rows import flip_frames, to_scan_order
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE
from speechbrain_ligru_fast.layers import LiGRU, SLiGRU
from speechbrain_ligru_fast.layers.batch_norm import is_rowwise, is_tracking
from speechbrain_ligru_fast.layers.wrapped import (
    check_layer_norm,
    is_plain,
    recurrent_matrix,
)
from speechbrain_ligru_fast.scan.lengths import valid_frames

# The activations that ONNX names. It has no sine.
_ONNX_NAMES = {"relu": "Relu", "tanh": "Tanh", "leaky_relu": "LeakyRelu"}
# The reset gate of a GRU with this bias is 1, exactly, in float32.
_OPEN = 100.0


class GRULayer(nn.Module):
    """One LiGRU layer as one ONNX ``GRU`` node, both directions in it.

    A Light GRU is a GRU whose reset gate stays open (arXiv 1803.10225,
    equations 1 to 4 and 9 to 12); a batch norm in evaluation is a scale of W
    and a bias. Outside of ``torch.onnx.export`` it returns zeros.

    Arguments
    ---------
    layer : LightGRULayer
        One that ``fits``.
    """

    def __init__(self, layer):
        super().__init__()
        h = self.hidden_size = layer.hidden_size
        self.directions = layer.directions
        self.nonlinearity = layer.nonlinearity
        scale, shift = _affine(layer.norm, 2 * h)
        w = layer.w.weight.detach().double() * scale.unsqueeze(1)
        u = recurrent_matrix(layer.u, layer.h_init).detach()

        def gates(of_ours, reset):
            # ONNX: update, reset, candidate. Ours: candidate, update.
            parts = [of_ours[h:], reset.expand_as(of_ours[:h]), of_ours[:h]]
            both = torch.cat(parts).to(layer.h_init.dtype)
            return both.expand(self.directions, *both.shape).contiguous()

        closed = torch.zeros((), device=u.device)
        self.register_buffer("w", gates(w, closed))
        self.register_buffer("u", gates(u, closed))
        bias = gates(shift, closed + _OPEN)
        self.register_buffer("b", torch.cat([bias, torch.zeros_like(bias)], 1))

    @staticmethod
    def fits(layer):
        """Whether ONNX's GRU can compute what a layer computes."""
        return (
            not layer.stabilised
            and layer.nonlinearity in _ONNX_NAMES
            and is_plain(layer.w, nn.Linear)
            and (is_tracking(layer.norm) or is_plain(layer.norm, nn.Identity))
            and layer.h_init.dtype == torch.float32
        )

    def forward(self, x, hx, frames):
        """As ``ScanLayer.forward``."""
        directions = self.directions
        attributes = {
            "hidden_size": self.hidden_size,
            "direction": "bidirectional" if directions == 2 else "forward",
            "activations": ["Sigmoid", _ONNX_NAMES[self.nonlinearity]]
            * directions,
        }
        if self.nonlinearity == "leaky_relu":
            attributes["activation_alpha"] = [LEAKY_SLOPE] * directions
        shape = [directions, x.size(0), self.hidden_size]
        y, _ = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (
                x.transpose(0, 1),
                self.w,
                self.u,
                self.b,
                None if frames is None else frames.int(),
                hx,
            ),
            attributes,
            dtypes=(x.dtype, x.dtype),
            shapes=([x.size(1), *shape], shape),
            version=14,
        )
        return y.permute(2, 0, 1, 3).flatten(2)


def _affine(norm, size):
    """A normalisation in evaluation as a scale and a shift, float64."""
    if isinstance(norm, nn.Identity):
        return torch.ones(size).double(), torch.zeros(size).double()
    mean, var = norm.running_mean.double(), norm.running_var.double()
    scale = torch.rsqrt(var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift


class ScanLayer(nn.Module):
    """One LiGRU or SLiGRU layer, its recurrence torch's ``scan`` operator.

    Arguments
    ---------
    layer : LightGRULayer
        Any; its ``w`` and ``norm`` are called as they are.
    """

    def __init__(self, layer):
        super().__init__()
        self.hidden_size = layer.hidden_size
        self.directions = layer.directions
        self.nonlinearity = layer.nonlinearity
        self.w = copy.deepcopy(layer.w)
        self.norm = copy.deepcopy(layer.norm)
        self.layer_norm = nn.Identity()
        if layer.stabilised:
            check_layer_norm(layer.layer_norm)
            self.layer_norm = copy.deepcopy(layer.layer_norm)
        u = recurrent_matrix(layer.u, layer.h_init).detach()
        self.register_buffer("u", u.t().contiguous())

    def forward(self, x, hx, frames):
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
        if is_rowwise(self.norm):
            w = self.norm(w)
        else:
            w = self.norm(w.flatten(0, 1)).view_as(w)
        rows = to_scan_order(w.unsqueeze(0), self.directions, frames)
        h = self.hidden_size

        def step(state, gates):
            gates = gates + self.layer_norm(state @ self.u)
            candidate = activation(self.nonlinearity, gates[:, :h])
            z = torch.sigmoid(gates[:, h:])
            state = z * state + (1 - z) * candidate
            return state, state.clone()

        _, y = scan(step, hx.flatten(0, 1), rows)
        y = y.transpose(0, 1)
        if self.directions == 2:
            # Slices: onnxscript fails at a chunk of a batch of any size.
            b = x.size(0)
            y = torch.cat([y[:b], flip_frames(y[b:], frames)], 2)
        if frames is None:
            return y
        padding = ~valid_frames(frames, x.size(1)).unsqueeze(2)
        return y.masked_fill(padding, 0.0)


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

    def forward(self, x, hx=None, lengths=None):
        """See ``LiGRU.forward``; nothing is checked."""
        d = self.directions
        if x.dim() == 4:
            x = x.flatten(2)
        frames = None
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
