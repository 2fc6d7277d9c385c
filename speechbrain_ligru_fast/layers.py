"""Drop-in LiGRU and SLiGRU layers.

They take SpeechBrain's arguments, hold SpeechBrain's parameters under
SpeechBrain's names and load its checkpoints; the differences are listed in
docs/differences.md.
"""

import logging
import math
from typing import List, Optional, Tuple

import torch
from speechbrain.nnet.RNN import rnn_init
from torch import Tensor, nn

from speechbrain_ligru_fast.norm import (
    masked_batch_norm,
    valid_frames,
)
from speechbrain_ligru_fast.ops import ligru_scan
from speechbrain_ligru_fast.spec import (
    check_backend_name,
    check_nonlinearity,
)

logger = logging.getLogger(__name__)

# Buffers of stock checkpoints that hold no learnt value.
_STOCK_ONLY_BUFFERS = ("drop_masks", "drop_mask_te")


def _make_norm(normalization, gates):
    """The feed-forward normalisation, with stock's default for others."""
    if normalization == "batchnorm":
        return nn.BatchNorm1d(gates, momentum=0.05)
    if normalization == "identity":
        return nn.Identity()
    return nn.LayerNorm(gates)


class LightGRULayer(nn.Module):
    """One (S)LiGRU layer: project, normalise, mask, scan.

    Arguments
    ---------
    input_size : int
        Number of input features.
    hidden_size : int
        Number of hidden units per direction.
    nonlinearity : str
        relu, tanh, sin or leaky_relu.
    normalization : str
        Feed-forward normalisation: batchnorm, layernorm or identity.
    bias : bool
        If False, the normalisation's bias is frozen at 0.
    dropout : float
        Recurrent dropout rate.
    bidirectional : bool
        Whether to scan in both directions.
    layer_norm : nn.LayerNorm | None
        SLiGRU's LayerNorm on the recurrent projection.
    backend : str
        A backend's name or ``auto``.
    recompute : bool
        Whether the backward computes the gates again.
    """

    __constants__ = ["batch_norm", "stabilised"]

    def __init__(
        self,
        input_size,
        hidden_size,
        nonlinearity,
        normalization,
        bias,
        dropout,
        bidirectional,
        layer_norm,
        backend,
        recompute=False,
    ):
        super().__init__()
        self.hidden_size = int(hidden_size)
        self.input_size = int(input_size)
        self.directions = 2 if bidirectional else 1
        self.dropout = float(dropout)
        self.nonlinearity = nonlinearity
        self.backend = backend
        self.recompute = recompute
        gates = 2 * self.hidden_size
        self.w = nn.Linear(self.input_size, gates, bias=False)
        self.u = nn.Linear(self.hidden_size, gates, bias=False)
        self.stabilised = layer_norm is not None
        self.eps = 1e-5
        if layer_norm is not None:
            self.layer_norm = layer_norm
            self.eps = float(layer_norm.eps)
        self.norm = _make_norm(normalization, gates)
        self.batch_norm = normalization == "batchnorm"
        if not bias and normalization != "identity":
            self.norm.bias.data.fill_(0)
            self.norm.bias.requires_grad = False
        self.register_buffer("h_init", torch.zeros(1, self.hidden_size))

    def forward(
        self,
        x: Tensor,
        hx: Optional[Tensor] = None,
        frames: Optional[Tensor] = None,
    ) -> Tensor:
        """Returns the states of every frame.

        Arguments
        ---------
        x : Tensor
            (B, T, input_size).
        hx : Tensor | None
            (directions * B, H) initial state, forward rows first.
        frames : Tensor | None
            (B,) int64 valid frames.

        Returns
        -------
        Tensor
            (B, T, directions * H).
        """
        rows = self.directions * x.size(0)
        if hx is None:
            hx = self.h_init.expand(rows, self.hidden_size)
        if x.size(0) * x.size(1) == 0:
            # BatchNorm has no statistics of nothing. A part of the graph, so
            # that a backward finds its way.
            nothing = self.w(x)[..., :1] * 0.0
            return nothing.expand(-1, -1, self.directions * self.hidden_size)
        w = self._normalise(self.w(x), frames)
        mask: Optional[Tensor] = None
        if self.training and self.dropout > 0.0:
            mask = self._sample_mask(rows, hx)
        ln_weight: Optional[Tensor] = None
        ln_bias: Optional[Tensor] = None
        if self.stabilised:
            ln_weight = self.layer_norm.weight
            ln_bias = self.layer_norm.bias
        return ligru_scan(
            w,
            self.u.weight,
            hx,
            mask,
            frames,
            self.nonlinearity,
            self.directions,
            self.stabilised,
            ln_weight,
            ln_bias,
            self.eps,
            self.backend,
            self.recompute,
        )

    def _sample_mask(self, rows: int, like: Tensor) -> Tensor:
        """A fresh recurrent dropout mask, (rows, H)."""
        ones = torch.ones(
            [rows, self.hidden_size], dtype=like.dtype, device=like.device
        )
        return nn.functional.dropout(ones, self.dropout, True)

    def _normalise(self, w: Tensor, frames: Optional[Tensor]) -> Tensor:
        """Feed-forward normalisation of (B, T, 2H), padding left out."""
        if not self.batch_norm:
            return self.norm(w)
        if not self.norm.training:
            return self.norm(w.flatten(0, 1)).reshape(w.shape)
        if frames is not None:
            valid = valid_frames(frames, w.size(1))
            if not torch.jit.is_scripting():
                if isinstance(self.norm, nn.SyncBatchNorm):
                    # Its statistics cross processes: give it only frames.
                    out = torch.zeros_like(w)
                    out[valid] = self._count_directions(w[valid]).to(w.dtype)
                    return out
            self.norm.num_batches_tracked.add_(1)
            return masked_batch_norm(
                w,
                valid,
                self.norm.running_mean,
                self.norm.running_var,
                self.norm.weight,
                self.norm.bias,
                self.norm.momentum,
                self.norm.eps,
                self.directions,
            )
        return self._count_directions(w.flatten(0, 1)).reshape(w.shape)

    def _count_directions(self, flat: Tensor) -> Tensor:
        """BatchNorm of (N, 2H), counting each frame once a direction.

        Stock normalises x and its flip together: the same mean and biased
        variance as over x alone, but twice the count in running_var.
        """
        if self.directions == 1:
            return self.norm(flat)
        n = flat.size(0)
        if not torch.jit.is_scripting():
            if isinstance(self.norm, nn.SyncBatchNorm):
                return self.norm(torch.cat([flat, flat]))[:n]
        # Autograd keeps the statistics that batch_norm updates: give it
        # copies, so that correcting the buffer afterwards is allowed.
        var = self.norm.running_var.clone()
        out = nn.functional.batch_norm(
            flat.expand(2, -1) if n == 1 else flat,
            self.norm.running_mean,
            var,
            self.norm.weight,
            self.norm.bias,
            True,
            self.norm.momentum,
            self.norm.eps,
        )
        with torch.no_grad():
            self.norm.num_batches_tracked.add_(1)
            # n / (n - 1) is in the update; (2n) / (2n - 1) belongs there.
            ratio = 1.0 if n == 1 else 2.0 * (n - 1) / (2 * n - 1)
            kept = (1 - self.norm.momentum) * self.norm.running_var
            self.norm.running_var.copy_(kept + (var - kept) * ratio)
        return out[:n]

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for name in _STOCK_ONLY_BUFFERS:
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class _LightGRU(nn.Module):
    """What LiGRU and SLiGRU share: a stack of layers and the checks."""

    def __init__(
        self,
        hidden_size,
        input_shape,
        nonlinearity,
        normalization,
        num_layers,
        bias,
        dropout,
        re_init,
        bidirectional,
        backend,
        recompute,
        make_layer_norm,
    ):
        super().__init__()
        check_nonlinearity(nonlinearity)
        check_backend_name(backend)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout: got {dropout}, expected 0 to 1")
        if normalization not in ("batchnorm", "layernorm", "identity"):
            logger.warning(
                "normalization %r is unknown: LayerNorm is used, as "
                "SpeechBrain does. Known are batchnorm, layernorm and "
                "identity (none).",
                normalization,
            )
        self.hidden_size = int(hidden_size)
        self.nonlinearity = nonlinearity
        self.num_layers = num_layers
        self.bias = bias
        self.dropout = dropout
        self.re_init = re_init
        self.bidirectional = bidirectional
        self.backend = backend
        self.recompute = recompute
        self.directions = 2 if bidirectional else 1
        self.reshape = len(input_shape) > 3
        self.fea_dim = math.prod(int(n) for n in input_shape[2:])
        sizes = [self.fea_dim] + [self.directions * self.hidden_size] * (
            num_layers - 1
        )
        self.rnn = nn.ModuleList(
            LightGRULayer(
                size,
                hidden_size,
                nonlinearity,
                normalization,
                bias,
                dropout,
                bidirectional,
                make_layer_norm(),
                backend,
                recompute,
            )
            for size in sizes
        )
        if re_init:
            rnn_init(self.rnn)

    def forward(
        self,
        x: Tensor,
        hx: Optional[Tensor] = None,
        lengths: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor]:
        """Returns the output of the last layer and the final states.

        Arguments
        ---------
        x : Tensor
            (B, T, F) or (B, T, F, C), floating point.
        hx : Tensor | None
            (num_layers * directions, B, H) initial states in
            torch.nn.GRU's order.
        lengths : Tensor | None
            (B,) relative lengths in (0, 1]; an utterance has
            ``round(lengths * T)`` frames, at least one. Given, the result
            for an utterance does not depend on the padding around it.

        Returns
        -------
        output : Tensor
            (B, T, directions * H).
        hidden : Tensor
            (num_layers * directions, B, H): the forward state at the last
            frame, the backward state at the first.

        Raises
        ------
        ValueError
            For a wrong shape, a wrong device, lengths outside (0, 1].
        TypeError
            For an input that is not floating point or, unless autocast is
            on, not of the parameters' dtype.
        """
        if self.reshape and x.dim() == 4:
            x = x.flatten(2)
        self._check(x, hx)
        frames: Optional[Tensor] = None
        if lengths is not None:
            frames = self._frames(lengths, x)
            # Whatever is there, NaN too, must not reach W's gradient.
            padding = ~valid_frames(frames, x.size(1))
            x = x.masked_fill(padding.unsqueeze(2), 0.0)
        hidden = []
        d = self.directions
        for i, layer in enumerate(self.rnn):
            layer_hx: Optional[Tensor] = None
            if hx is not None:
                layer_hx = hx[i * d : (i + 1) * d].flatten(0, 1)
            x = layer(x, layer_hx, frames)
            if x.size(1) == 0:
                last = torch.zeros(
                    [d, x.size(0), self.hidden_size],
                    dtype=x.dtype,
                    device=x.device,
                )
                if layer_hx is not None:
                    last = layer_hx.view_as(last)
                hidden.append(last)
            else:
                hidden.append(self._last(x, frames))
        return x, torch.cat(hidden)

    def _last(self, output: Tensor, frames: Optional[Tensor]) -> Tensor:
        """(directions, B, H): each direction's state after its last step."""
        if frames is None:
            forward = output[:, -1, : self.hidden_size]
        else:
            index = (frames - 1).view(-1, 1, 1)
            index = index.expand(-1, -1, self.hidden_size)
            forward = output[:, :, : self.hidden_size].gather(1, index)
            forward = forward.squeeze(1)
        if self.directions == 1:
            return forward.unsqueeze(0)
        return torch.stack([forward, output[:, 0, self.hidden_size :]])

    def _check(self, x: Tensor, hx: Optional[Tensor]):
        if x.dim() != 3:
            raise ValueError(
                f"x: got {x.dim()} dimensions, expected (batch, time, features)"
            )
        if x.size(2) != self.fea_dim:
            raise ValueError(
                f"x: got {x.size(2)} features, expected {self.fea_dim}"
            )
        if not x.is_floating_point():
            raise TypeError(
                f"x: got dtype {x.dtype}, expected a floating point type"
            )
        weight = self.rnn[0].w.weight
        if x.device != weight.device:
            raise ValueError(
                f"x: got device {x.device}, expected that of the "
                f"parameters, {weight.device}"
            )
        if not torch.jit.is_scripting():
            autocast = torch.is_autocast_enabled(x.device.type)
            if x.dtype != weight.dtype and not autocast:
                raise TypeError(
                    f"x: got dtype {x.dtype}, expected that of the "
                    f"parameters, {weight.dtype}"
                )
        if hx is not None:
            want = [
                self.num_layers * self.directions,
                x.size(0),
                self.hidden_size,
            ]
            if list(hx.shape) != want:
                raise ValueError(
                    f"hx: got shape {list(hx.shape)}, expected {want} "
                    "(num_layers * directions, batch, hidden_size)"
                )
            if hx.device != x.device:
                raise ValueError(
                    f"hx: got device {hx.device}, expected that of x, "
                    f"{x.device}"
                )
            if not hx.is_floating_point():
                raise TypeError(
                    f"hx: got dtype {hx.dtype}, expected a floating point type"
                )
            if not torch.jit.is_scripting():
                autocast = torch.is_autocast_enabled(x.device.type)
                if hx.dtype != weight.dtype and not autocast:
                    raise TypeError(
                        f"hx: got dtype {hx.dtype}, expected that of the "
                        f"parameters, {weight.dtype}"
                    )

    def _frames(self, lengths: Tensor, x: Tensor) -> Tensor:
        """Relative lengths (B,) -> int64 frames (B,)."""
        if list(lengths.shape) != [x.size(0)]:
            raise ValueError(
                f"lengths: got shape {list(lengths.shape)}, expected "
                f"[{x.size(0)}] (batch)"
            )
        # Reading values would break a compiled graph or stall a GPU.
        readable = lengths.device.type == "cpu"
        if not torch.jit.is_scripting():
            readable = readable and not torch.compiler.is_compiling()
        if readable and not bool(((lengths > 0) & (lengths <= 1)).all()):
            values: List[float] = lengths.double().tolist()
            raise ValueError(
                f"lengths: got {values}, expected relative lengths in (0, 1]"
            )
        frames = torch.round(lengths.to(x.device) * x.size(1))
        return frames.clamp(1, max(x.size(1), 1)).to(torch.int64)


class LiGRU(_LightGRU):
    """Light GRU (single gate, ReLU, batch norm), fast and drop-in.

    M. Ravanelli, P. Brakel, M. Omologo, Y. Bengio, "Light Gated Recurrent
    Units for Speech Recognition", 2018 (arXiv 1803.10225), equations 9-12.

    Arguments
    ---------
    hidden_size : int
        Number of hidden units per direction.
    input_shape : tuple
        Shape of an example input, (B, T, F) or (B, T, F, C).
    nonlinearity : str
        relu, tanh, sin or leaky_relu.
    normalization : str
        batchnorm, layernorm or identity (none). Any other string means
        layernorm, as in SpeechBrain, with a warning.
    num_layers : int
        Number of layers.
    bias : bool
        If False, the normalisation's bias is frozen at 0.
    dropout : float
        Recurrent dropout rate, in [0, 1].
    re_init : bool
        Orthogonal recurrent and Xavier input weights.
    bidirectional : bool
        Whether to scan in both directions, with shared weights.
    backend : str
        auto (the fastest that can run), reference, torchscript, numba,
        triton or cuda.
    recompute : bool
        Whether the backward computes the gates again instead of keeping
        them from the forward: less memory, more time.

    Raises
    ------
    ValueError
        For an unknown nonlinearity or backend, or a dropout outside [0, 1].

    Example
    -------
    >>> inputs = torch.rand([4, 10, 20])
    >>> net = LiGRU(hidden_size=5, input_shape=inputs.shape)
    >>> output, hidden = net(inputs, lengths=torch.tensor([1, 0.5, 1, 0.7]))
    >>> output.shape, hidden.shape
    (torch.Size([4, 10, 5]), torch.Size([1, 4, 5]))
    """

    def __init__(
        self,
        hidden_size,
        input_shape,
        nonlinearity="relu",
        normalization="batchnorm",
        num_layers=1,
        bias=True,
        dropout=0.0,
        re_init=True,
        bidirectional=False,
        backend="auto",
        recompute=False,
    ):
        super().__init__(
            hidden_size,
            input_shape,
            nonlinearity,
            normalization,
            num_layers,
            bias,
            dropout,
            re_init,
            bidirectional,
            backend,
            recompute,
            make_layer_norm=lambda: None,
        )
        self.normalization = normalization


class SLiGRU(_LightGRU):
    """Stabilised Light GRU: LiGRU with LayerNorm on the recurrence.

    A. Moumen, T. Parcollet, "Stabilising and Accelerating Light Gated
    Recurrent Units for Automatic Speech Recognition", 2023
    (arXiv 2302.10144), equations 5-6.

    Arguments
    ---------
    hidden_size : int
        Number of hidden units per direction.
    input_shape : tuple
        Shape of an example input, (B, T, F) or (B, T, F, C).
    nonlinearity : str
        relu, tanh, sin or leaky_relu.
    ff_normalization : str
        Feed-forward normalisation: batchnorm, layernorm or identity (none).
        Any other string means layernorm, as in SpeechBrain, with a warning.
    recurrent_elementwise_affine : bool
        Whether the recurrent LayerNorm has a weight and a bias.
    num_layers : int
        Number of layers.
    bias : bool
        If False, the feed-forward normalisation's bias is frozen at 0.
    dropout : float
        Recurrent dropout rate, in [0, 1].
    re_init : bool
        Orthogonal recurrent and Xavier input weights.
    bidirectional : bool
        Whether to scan in both directions, with shared weights.
    backend : str
        auto (the fastest that can run), reference, torchscript, numba,
        triton or cuda.
    recompute : bool
        Whether the backward computes the gates again instead of keeping
        them from the forward: less memory, more time.

    Raises
    ------
    ValueError
        For an unknown nonlinearity or backend, or a dropout outside [0, 1].

    Example
    -------
    >>> inputs = torch.rand([4, 10, 20])
    >>> net = SLiGRU(5, inputs.shape, num_layers=2, bidirectional=True)
    >>> output, hidden = net(inputs)
    >>> output.shape, hidden.shape
    (torch.Size([4, 10, 10]), torch.Size([4, 4, 5]))
    """

    def __init__(
        self,
        hidden_size,
        input_shape,
        nonlinearity="relu",
        ff_normalization="batchnorm",
        recurrent_elementwise_affine=False,
        num_layers=1,
        bias=True,
        dropout=0.0,
        re_init=True,
        bidirectional=False,
        backend="auto",
        recompute=False,
    ):
        super().__init__(
            hidden_size,
            input_shape,
            nonlinearity,
            ff_normalization,
            num_layers,
            bias,
            dropout,
            re_init,
            bidirectional,
            backend,
            recompute,
            make_layer_norm=lambda: nn.LayerNorm(
                2 * int(hidden_size),
                elementwise_affine=recurrent_elementwise_affine,
            ),
        )
        self.ff_normalization = ff_normalization
        self.recurrent_elementwise_affine = recurrent_elementwise_affine
