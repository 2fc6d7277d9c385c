"""What a layer computes of each frame alone: its projection, normalised."""

from typing import TYPE_CHECKING, Any, Optional

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
from speechbrain_ligru_fast.scan.lengths import valid_frames


class FeedForward(nn.Module):
    """The half of a layer that knows no time.

    Who inherits it has ``w``, what stands for W; ``norm``, any module; and
    ``hidden_size`` and ``directions``.
    """

    if TYPE_CHECKING:  # TorchScript would take them for attributes.
        w: Any
        norm: Any
        hidden_size: int
        directions: int

    @property
    def rowwise_norm(self):
        """Whether ``norm`` can be called without a thought of padding."""
        return is_rowwise(self.norm)

    @property
    def batch_norm(self):
        """Whether ``norm`` is a batch norm that need not be called."""
        return is_tracking(self.norm)

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
