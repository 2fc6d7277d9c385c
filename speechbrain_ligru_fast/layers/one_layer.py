"""One LiGRU or SLiGRU layer: project, normalise, drop out, scan."""

from typing import Optional

import torch
from torch import Tensor, nn

from speechbrain_ligru_fast.layers.batch_norm import (
    count_batch,
    is_of_one_dtype,
    is_rowwise,
    is_tracking,
    masked_batch_norm,
)
from speechbrain_ligru_fast.layers.packed_frames import (
    index_of,
    pack,
    unpack,
)
from speechbrain_ligru_fast.layers.projection import only_multiplies, project
from speechbrain_ligru_fast.layers.wrapped import (
    check_layer_norm,
    recurrent_matrix,
)
from speechbrain_ligru_fast.scan.lengths import valid_frames
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
    def rowwise_norm(self):
        """Whether ``norm`` can be called without a thought of padding."""
        return is_rowwise(self.norm)

    @property
    def batch_norm(self):
        """Whether ``norm`` is a batch norm that need not be called."""
        return is_tracking(self.norm)

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
    def _feed_forward(self, x: Tensor, frames: Optional[Tensor]) -> Tensor:
        """W x, normalised; without padding where that is faster."""
        index = None if frames is None else index_of(x, frames)
        if index is None:
            return self._normalise(self._project(x), frames)
        if only_multiplies(self.w):
            rows = self._project(pack(x, index).unsqueeze(0))
        else:
            # It may look at utterances.
            rows = pack(self._project(x), index).unsqueeze(0)
        normed = self._normalise(rows, None).squeeze(0)
        return unpack(normed, index, x.size(0), x.size(1))

    def _project(self, x: Tensor) -> Tensor:
        return project(self.w, x, 2 * self.hidden_size)

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

    def _normalise(self, w: Tensor, frames: Optional[Tensor]) -> Tensor:
        """Feed-forward normalisation of (B, T, 2H), padding left out."""
        if self.rowwise_norm:
            return self.norm(w)
        if not self.batch_norm:
            return self._call_norm(w, frames)
        if not torch.jit.is_scripting():
            if self.norm.training and isinstance(self.norm, nn.SyncBatchNorm):
                # Its statistics cross processes.
                return self._call_norm(w, frames)
            if not is_of_one_dtype(self.norm):
                return self._normalise_cast(w, frames)
        if not self.norm.training:
            return self.norm(w.flatten(0, 1)).reshape(w.shape)
        if frames is not None:
            return self._normalise_masked(w, frames)
        return self._count_directions(w.flatten(0, 1)).reshape(w.shape)

    @torch.jit.unused
    def _normalise_cast(self, w: Tensor, frames: Optional[Tensor]) -> Tensor:
        """As ``_normalise``, where torch's kernels refuse the parameters."""
        norm = self.norm
        if norm.training:
            if frames is None:
                frames = torch.full([w.size(0)], w.size(1), device=w.device)
            return self._normalise_masked(w, frames)
        dtype = norm.running_mean.dtype
        out = nn.functional.batch_norm(
            w.flatten(0, 1).to(dtype),
            norm.running_mean,
            norm.running_var,
            None if norm.weight is None else norm.weight.to(dtype),
            None if norm.bias is None else norm.bias.to(dtype),
            False,
            0.0,
            norm.eps,
        )
        return out.reshape(w.shape).to(w.dtype)

    def _normalise_masked(self, w: Tensor, frames: Tensor) -> Tensor:
        return masked_batch_norm(
            w,
            valid_frames(frames, w.size(1)),
            self.norm.running_mean,
            self.norm.running_var,
            self.norm.weight,
            self.norm.bias,
            self._count_batch(),
            self.norm.eps,
            self.directions,
        )

    def _call_norm(self, w: Tensor, frames: Optional[Tensor]) -> Tensor:
        """What any module makes of the rows that stock gives to it.

        Those of x and of its flip; the flip's results are not used. Given
        ``frames``, it sees no padding.
        """
        if frames is not None:
            valid = valid_frames(frames, w.size(1))
            rows = w[valid]
            normed = self._first_half_of_norm(rows, rows)
            out = torch.zeros_like(w, dtype=normed.dtype)
            out[valid] = normed
            return out
        flip = w.flip(1) if self.directions == 2 else w
        normed = self._first_half_of_norm(w.flatten(0, 1), flip.flatten(0, 1))
        return normed.reshape(w.shape)

    def _first_half_of_norm(self, rows: Tensor, flipped: Tensor) -> Tensor:
        if self.directions == 1:
            return self.norm(rows)
        return self.norm(torch.cat([rows, flipped]))[: rows.size(0)]

    def _count_batch(self) -> float:
        """The weight of one more batch in BatchNorm's statistics."""
        return count_batch(self.norm.num_batches_tracked, self.norm.momentum)

    def _count_directions(self, flat: Tensor) -> Tensor:
        """BatchNorm of (N, 2H), counting each frame once a direction.

        Stock normalises x and its flip together: the same mean and biased
        variance as over x alone, but twice the count in running_var.
        """
        if self.directions == 1:
            return self.norm(flat)
        n = flat.size(0)
        # Autograd keeps the statistics that batch_norm updates: give it
        # copies, so that correcting the buffer afterwards is allowed.
        var = self.norm.running_var.clone()
        momentum = self._count_batch()
        out = nn.functional.batch_norm(
            flat.expand(2, -1) if n == 1 else flat,
            self.norm.running_mean,
            var,
            self.norm.weight,
            self.norm.bias,
            True,
            momentum,
            self.norm.eps,
        )
        with torch.no_grad():
            # n / (n - 1) is in the update; (2n) / (2n - 1) belongs there.
            ratio = 1.0 if n == 1 else 2.0 * (n - 1) / (2 * n - 1)
            kept = (1 - ratio) * (1 - momentum)
            self.norm.running_var.mul_(kept).add_(var, alpha=ratio)
        # A part of all would cost the backward a copy.
        return out[:n] if n == 1 else out

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for name in _STOCK_ONLY_BUFFERS:
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
