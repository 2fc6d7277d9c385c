"""One LiGRU or SLiGRU layer: project, normalise, drop out, scan."""

from typing import Optional

import torch
from torch import Tensor, nn

from speechbrain_ligru_fast.layers.feed_forward import FeedForward
from speechbrain_ligru_fast.layers.wrapped import (
    check_layer_norm,
    recurrent_matrix,
)
from speechbrain_ligru_fast.scan.operator import ligru_scan

# Buffers of stock checkpoints that hold no learnt value.
_STOCK_ONLY_BUFFERS = ("drop_masks", "drop_mask_te")


def _make_norm(normalization, gates):
    """The feed-forward normalisation, with stock's default for others."""
    if normalization == "batchnorm":
        return nn.BatchNorm1d(gates, momentum=0.05)
    if normalization == "identity":
        return nn.Identity()
    return nn.LayerNorm(gates)


class LightGRULayer(FeedForward):
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

    # The properties are asked when a layer is scripted, and stay what they are.
    __constants__ = ["batch_norm", "rowwise_norm", "stabilised"]
    __jit_unused_properties__ = ["batch_norm", "rowwise_norm", "eps"]

    h_init: Tensor

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
        if layer_norm is not None:
            self.layer_norm = layer_norm
        self.norm = _make_norm(normalization, gates)
        if not bias and normalization != "identity":
            self.norm.bias.data.fill_(0)
            self.norm.bias.requires_grad = False
        self.register_buffer("h_init", torch.zeros(1, self.hidden_size))

    @property
    def eps(self):
        """SLiGRU's LayerNorm's epsilon."""
        return self.layer_norm.eps if self.stabilised else 1e-5

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
        if not torch.jit.is_scripting():
            self._check_dtype("x", x, x)
            if hx is not None:
                self._check_dtype("hx", hx, x)
        rows = self.directions * x.size(0)
        if hx is None:
            hx = self.h_init.expand(rows, self.hidden_size)
        if x.size(0) * x.size(1) == 0:
            # BatchNorm has no statistics of nothing. A part of the graph, so
            # that a backward finds its way.
            nothing = self.w(x)[..., :1] * 0.0
            return nothing.expand(-1, -1, self.directions * self.hidden_size)
        if torch.jit.is_scripting():
            w = self._normalise(self.w(x), frames)
        else:
            w = self._feed_forward(x, frames)
        mask: Optional[Tensor] = None
        if self.training and self.dropout > 0.0:
            mask = self._sample_mask(rows, hx)
        ln_weight: Optional[Tensor] = None
        ln_bias: Optional[Tensor] = None
        eps = 1e-5
        if self.stabilised:
            if not torch.jit.is_scripting():
                check_layer_norm(self.layer_norm)
            eps = self.layer_norm.eps
            ln_weight = self.layer_norm.weight
            ln_bias = self.layer_norm.bias
        return ligru_scan(
            w,
            self._recurrent_weight(),
            hx,
            mask,
            frames,
            self.nonlinearity,
            self.directions,
            self.stabilised,
            ln_weight,
            ln_bias,
            eps,
            self.backend,
            self.recompute,
        )

    @torch.jit.unused
    def _check_dtype(self, name: str, given: Tensor, x: Tensor) -> None:
        """Compares a dtype with the parameters' as they are by now.

        FSDP2 casts them, and the inputs, just before this layer runs.
        """
        weight = getattr(self.w, "weight", None)
        # Adapters and quantisation may have replaced the module.
        like = weight if isinstance(weight, Tensor) else self.h_init
        if given.dtype == like.dtype:
            return
        # There is no autocast of tensors without data.
        device = x.device.type
        if device == "meta" or not torch.is_autocast_enabled(device):
            raise TypeError(
                f"{name}: got dtype {given.dtype}, expected that of the "
                f"parameters, {like.dtype}"
            )

    def _recurrent_weight(self) -> Tensor:
        """U, as calling ``self.u`` would apply it.

        Adapters and quantisation put another module in its place, pruning
        and spectral normalisation a hook before it.
        """
        if not torch.jit.is_scripting():
            return recurrent_matrix(self.u, self.h_init)
        return self.u.weight

    def _sample_mask(self, rows: int, like: Tensor) -> Tensor:
        """A fresh recurrent dropout mask, (rows, H)."""
        ones = torch.ones(
            [rows, self.hidden_size], dtype=like.dtype, device=like.device
        )
        return nn.functional.dropout(ones, self.dropout, True)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for name in _STOCK_ONLY_BUFFERS:
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
