"""A LiGRU is a GRU whose reset gate stays open: ONNX's, and torch's.

arXiv 1803.10225, equations 1 to 4 and 9 to 12. A batch norm in evaluation is a
scale of W and a bias.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from speechbrain_ligru_fast.backends.rows import flip_frames, to_scan_order
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE
from speechbrain_ligru_fast.layers.batch_norm import is_tracking
from speechbrain_ligru_fast.layers.one_layer import LightGRULayer
from speechbrain_ligru_fast.layers.wrapped import is_plain, recurrent_matrix

# The activations that ONNX names. It has no sine.
_ONNX_NAMES = {"relu": "Relu", "tanh": "Tanh", "leaky_relu": "LeakyRelu"}
# The reset gate of a GRU with this bias is 1, exactly, in float32.
_OPEN = 100.0


class GRULayer(nn.Module):
    """One LiGRU layer as one ONNX ``GRU`` node, both directions in it.

    They share their weights, and so are rows of one batch. Outside of
    ``torch.onnx.export`` the layer returns zeros.

    Arguments
    ---------
    layer : LightGRULayer
        One that ``fits``.
    """

    def __init__(self, layer):
        super().__init__()
        self.hidden_size = layer.hidden_size
        self.directions = layer.directions
        self.nonlinearity = layer.nonlinearity
        # ONNX: update, reset, candidate. Its biases: W's, then U's.
        w, u, b = (x.unsqueeze(0) for x in _gru_weights(layer, "zrh"))
        self.register_buffer("w", w)
        self.register_buffer("u", u)
        self.register_buffer("b", torch.cat([b, torch.zeros_like(b)], 1))

    @staticmethod
    def fits(layer):
        """Whether ONNX's GRU can compute what a layer computes."""
        return _is_gru(layer) and layer.nonlinearity in _ONNX_NAMES

    def forward(self, x, hx, frames):
        """As ``ScanLayer.forward``."""
        rows = to_scan_order(x.unsqueeze(0), self.directions, frames)
        attributes = {
            "hidden_size": self.hidden_size,
            "activations": ["Sigmoid", _ONNX_NAMES[self.nonlinearity]],
            "linear_before_reset": 1,  # All gates are then one product.
        }
        if self.nonlinearity == "leaky_relu":
            attributes["activation_alpha"] = [LEAKY_SLOPE]
        lengths = None
        if frames is not None:
            lengths = torch.cat([frames.int()] * self.directions)
        shape = [1, rows.size(1), self.hidden_size]
        y, _ = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (rows, self.w, self.u, self.b, lengths, hx.flatten(0, 1)[None]),
            attributes,
            dtypes=(x.dtype, x.dtype),
            shapes=([rows.size(0), *shape], shape),
            version=14,
        )
        y = y.squeeze(1)
        return in_time_order(y, self.directions, x.size(0), frames)


def _is_gru(layer):
    """Whether a layer is a GRU with an open reset gate and no normalisation."""
    return (
        not layer.stabilised
        and is_plain(layer.w, nn.Linear)
        and (is_tracking(layer.norm) or is_plain(layer.norm, nn.Identity))
        and layer.h_init.dtype == torch.float32
    )


def _gru_weights(layer, order):
    """W, U and W's bias of a GRU that computes what a layer computes.

    Arguments
    ---------
    layer : LightGRULayer
        In evaluation mode: its normalisation becomes part of W and the bias.
    order : str
        In which the GRU has its reset and update gate and its candidate: r,
        z and h.

    Returns
    -------
    tuple of Tensor
        (3H, F), (3H, H) and (3H,).
    """
    h = layer.hidden_size
    scale, shift = _affine(layer.norm, 2 * h)
    w = layer.w.weight.detach().double() * scale.unsqueeze(1)
    u = recurrent_matrix(layer.u, layer.h_init).detach()

    def gates(ours, reset):
        # Ours: candidate, update.
        parts = {"h": ours[:h], "z": ours[h:]}
        parts["r"] = torch.full_like(ours[:h], reset)
        return torch.cat([parts[name] for name in order]).to(layer.h_init.dtype)

    return gates(w, 0.0), gates(u, 0.0), gates(shift, _OPEN)


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


def in_time_order(
    rows: Tensor, directions: int, batch: int, frames: Optional[Tensor]
) -> Tensor:
    """(T, directions * B, H) in scan order -> (B, T, directions * H)."""
    y = rows.transpose(0, 1)
    if directions == 1:
        return y
    # Slices: onnxscript fails at a chunk of a batch of any size.
    return torch.cat([y[:batch], flip_frames(y[batch:], frames)], 2)


def torch_gru(rnn):
    """A ``torch.nn.GRU`` that computes what a LiGRU with tanh does.

    Its weights are copies, which can be trained further; then its reset gate
    may close, and the directions, which share weights here, part.

    Arguments
    ---------
    rnn : LiGRU
        With tanh, in evaluation mode: in training its batch norm and its
        recurrent dropout are no part of a GRU.

    Returns
    -------
    torch.nn.GRU
        ``batch_first``; called with ``x`` and ``hx`` it returns the same.

    Raises
    ------
    ValueError
        For another module, another activation, training mode, and for parts
        that were replaced.

    Example
    -------
    >>> from speechbrain_ligru_fast import LiGRU
    >>> net = LiGRU(4, [None, None, 3], nonlinearity="tanh").eval()
    >>> x = torch.rand(2, 5, 3)
    >>> torch.allclose(torch_gru(net)(x)[0], net(x)[0], atol=1e-6)
    True
    """
    layers = list(getattr(rnn, "rnn", []))
    if not layers or not all(
        isinstance(layer, LightGRULayer)
        and _is_gru(layer)
        and layer.nonlinearity == "tanh"
        and not layer.training
        for layer in layers
    ):
        raise ValueError(
            f"rnn: got {type(rnn).__name__}, expected a LiGRU in float32 with "
            'nonlinearity="tanh", in evaluation mode, with modules of its own'
        )
    gru = nn.GRU(
        rnn.fea_dim,
        rnn.hidden_size,
        rnn.num_layers,
        batch_first=True,
        bidirectional=rnn.bidirectional,
    )
    with torch.no_grad():
        for i, layer in enumerate(layers):
            w, u, b = _gru_weights(layer, "rzh")
            for end in ("", "_reverse")[: rnn.directions]:
                for name, value in (
                    ("weight_ih", w),
                    ("weight_hh", u),
                    ("bias_ih", b),
                    ("bias_hh", torch.zeros_like(b)),
                ):
                    getattr(gru, f"{name}_l{i}{end}").copy_(value)
    return gru.to(w.device).eval()
