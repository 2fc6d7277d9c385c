"""The parts of SpeechBrain's CRDNN, told how long each utterance is.

Each is stock's and computes what stock's does unless it is given ``frames``;
then what it makes of an utterance does not depend on what surrounds it.
``shorten`` tells how many frames of an utterance are left behind a part.
"""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
from types import FunctionType
from typing import List, Optional

import torch
from speechbrain.lobes.models.CRDNN import CNN_Block, DNN_Block
from speechbrain.nnet.CNN import Conv2d, get_padding_elem
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.normalization import BatchNorm1d
from speechbrain.nnet.pooling import Pooling1d, Pooling2d
from torch import Tensor, nn

from speechbrain_ligru_fast.layers.batch_norm import (
    count_batch,
    is_of_one_dtype,
    is_tracking,
    masked_batch_norm,
)
from speechbrain_ligru_fast.layers.packed_frames import (
    index_of,
    pack,
    unpack,
)
from speechbrain_ligru_fast.lobe.cnn import (
    conv2d,
    conv2d_as_it_lies,
    lies_well,
    max_pool,
    reflect_ends,
)
from speechbrain_ligru_fast.lobe.groups import compute, groups_of
from speechbrain_ligru_fast.scan.lengths import valid_frames


def _stock_forward(part):
    # TorchScript names what it compiles after __name__, and has a forward.
    forward = part.forward
    return FunctionType(forward.__code__, forward.__globals__, "stock_forward")


def _compiles():
    """Whether a compiler traces; a program that is exported is stock's."""
    return (
        torch.compiler.is_dynamo_compiling()
        and not torch.compiler.is_exporting()
    )


class AwareSequential(Sequential):
    """Stock's container, which hands ``frames`` to the parts that know them."""

    def forward(self, x: Tensor, frames: Optional[Tensor] = None) -> Tensor:
        """Returns the output of the last part."""
        if not torch.jit.is_scripting():
            if frames is not None:
                groups = groups_of(self, x, frames)
                if groups is not None:
                    steps = self.shorten(torch.tensor(x.size(1)))
                    return compute(self, x, frames, groups, steps)
        for part in self.values():
            if hasattr(part, "shorten"):
                x = part(x, frames)
                frames = part.shorten(frames)
            else:
                x = part(x)
        return x

    def shorten(self, frames: Optional[Tensor]) -> Optional[Tensor]:
        """Frames behind all parts."""
        for part in self.values():
            if hasattr(part, "shorten"):
                frames = part.shorten(frames)
        return frames

    def lengthen(self, frames):
        """The fewest frames of which so many are left, and all can be read."""
        for part in reversed(self.values()):
            if hasattr(part, "lengthen"):
                frames = part.lengthen(frames)
        return frames


class AwareCNNBlock(AwareSequential, CNN_Block):
    """Stock's block of convolutions and a pooling."""


class AwareDNNBlock(AwareSequential, DNN_Block):
    """Stock's block of a linear layer and a batch norm."""


class AwareConv2d(Conv2d):
    """Stock's "same" convolution of (batch, time[, frequency, channel]).

    With ``frames``, an utterance is reflected at its own end.
    """

    stock_forward = _stock_forward(Conv2d)

    def forward(self, x: Tensor, frames: Optional[Tensor] = None) -> Tensor:
        """Returns the convolved input."""
        if not torch.jit.is_scripting():
            if _compiles():
                return self._compiled(x, frames)
            if lies_well(x, self.conv) and not self._squeezes():
                x = x.unsqueeze(-1) if self.unsqueeze else x
                return conv2d_as_it_lies(x, self.conv, self._padding(), frames)
        if frames is None:
            return self.stock_forward(x)
        x = x.transpose(1, -1)
        if self.unsqueeze:
            x = x.unsqueeze(1)
        x = self._manage_padding(
            x, self.kernel_size, self.dilation, self.stride
        )
        x = self.conv(reflect_ends(x, frames, self._reach()))
        if self.unsqueeze:
            x = x.squeeze(1)
        return x.transpose(1, -1)

    def shorten(self, frames: Optional[Tensor]) -> Optional[Tensor]:
        """All are left."""
        return frames

    def lengthen(self, frames):
        """A reflection needs one frame more than it adds."""
        return max(frames, self._reach() + 1)

    def _squeezes(self) -> bool:
        return self.unsqueeze and self.conv.out_channels == 1

    def _reach(self) -> int:
        return self.dilation[-1] * (self.kernel_size[-1] - 1) // 2

    @torch.jit.unused
    def _padding(self) -> List[int]:
        """Of the time, before and after, then of the frequency."""
        return [
            pad
            for axis in (-1, -2)
            for pad in get_padding_elem(
                self.in_channels,
                self.stride[axis],
                self.kernel_size[axis],
                self.dilation[axis],
            )
        ]

    @torch.jit.unused
    def _compiled(self, x: Tensor, frames: Optional[Tensor]) -> Tensor:
        conv = self.conv
        tensors = [x, conv.weight, conv.bias]
        if self.unsqueeze:
            tensors[0] = x.unsqueeze(-1)
        device = x.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            tensors = [t if t is None else t.to(dtype) for t in tensors]
        return conv2d(
            *(*tensors, self._padding(), self.stride, self.dilation),
            conv.groups,
            frames,
        )


def _pooled(frames: Optional[Tensor], size: int) -> Optional[Tensor]:
    # A rest is dropped, as it is of an utterance alone.
    return None if frames is None else frames // size


class AwarePooling1d(Pooling1d):
    """Stock's max pooling of one axis, as CRDNN uses it.

    Windows start with the utterance, so that no window reads both of it and
    of what follows.
    """

    def forward(self, x: Tensor, frames: Optional[Tensor] = None) -> Tensor:
        """Returns the pooled input."""
        if not torch.jit.is_scripting():
            if _compiles():
                size = self.pool_layer.kernel_size[1]
                return max_pool(x, self.pool_axis, size)[0]
        pooled = self.pool_layer(x.transpose(-1, self.pool_axis))
        return pooled.transpose(-1, self.pool_axis)

    def shorten(self, frames: Optional[Tensor]) -> Optional[Tensor]:
        """Frames of pooled time."""
        return _pooled(frames, self._size())

    def lengthen(self, frames):
        """Frames before time was pooled."""
        return frames * self._size()

    def _size(self) -> int:
        if self.pool_axis != 1:
            return 1
        return self.pool_layer.kernel_size[1]


class AwarePooling2d(Pooling2d):
    """Stock's max pooling of time and frequency, as CRDNN uses it."""

    def forward(self, x: Tensor, frames: Optional[Tensor] = None) -> Tensor:
        """Returns the pooled input."""
        if not torch.jit.is_scripting():
            if _compiles():
                for axis, size in zip(self.pool_axis, self.kernel_size):
                    x = max_pool(x, axis, size)[0]
                return x
        pooled = self.pool_layer(x.movedim(self.pool_axis, (-2, -1)))
        return pooled.movedim((-2, -1), self.pool_axis)

    def shorten(self, frames: Optional[Tensor]) -> Optional[Tensor]:
        """Frames of pooled time."""
        return _pooled(frames, self.kernel_size[0])

    def lengthen(self, frames):
        """Frames before time was pooled."""
        return frames * self.kernel_size[0]


class AwareBatchNorm1d(BatchNorm1d):
    """Stock's batch norm of (batch, time, channel).

    With ``frames``, its statistics are those of all utterances' own frames.
    """

    # Asked when a part is scripted, and stays what it is.
    __constants__ = ["tracking"]
    __jit_unused_properties__ = ["tracking"]

    stock_forward = _stock_forward(BatchNorm1d)

    @property
    def tracking(self):
        """Whether the statistics of a batch can be taken without a call."""
        return is_tracking(self.norm) and isinstance(self.norm, nn.BatchNorm1d)

    def forward(self, x: Tensor, frames: Optional[Tensor] = None) -> Tensor:
        """Returns the normalized input."""
        if frames is None:
            return self.stock_forward(x)
        norm = self.norm
        if not self.tracking:
            return self._call(x, frames)
        if not norm.training:
            return self.stock_forward(x)
        if not torch.jit.is_scripting():
            index = index_of(x, frames) if is_of_one_dtype(norm) else None
            if index is not None:
                return unpack(
                    self.norm(pack(x, index)), index, x.size(0), x.size(1)
                )
        return masked_batch_norm(
            x,
            valid_frames(frames, x.size(1)),
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            count_batch(norm.num_batches_tracked, norm.momentum),
            norm.eps,
            1,
        )

    def shorten(self, frames: Optional[Tensor]) -> Optional[Tensor]:
        """All are left."""
        return frames

    def _call(self, x: Tensor, frames: Tensor) -> Tensor:
        """What any module in place of the batch norm makes of the frames."""
        valid = valid_frames(frames, x.size(1))
        normed = self.norm(x[valid])
        out = torch.zeros_like(x, dtype=normed.dtype)
        out[valid] = normed
        return out


_AWARE: dict[type, type] = {
    Sequential: AwareSequential,
    CNN_Block: AwareCNNBlock,
    DNN_Block: AwareDNNBlock,
    Conv2d: AwareConv2d,
    Pooling1d: AwarePooling1d,
    Pooling2d: AwarePooling2d,
    BatchNorm1d: AwareBatchNorm1d,
}


def make_aware(module: nn.Module) -> None:
    """Has the parts of a stock CRDNN know their utterances' lengths.

    They compile once for all batch sizes and lengths, too.

    Arguments
    ---------
    module : nn.Module
        Changed in place: its parts stay the same objects with the same
        parameters. They have the options that CRDNN gives them.

    Example
    -------
    >>> pooling = Pooling1d("max", 2, input_dims=4, pool_axis=1)
    >>> make_aware(pooling)
    >>> pooling(torch.ones(2, 5, 8, 3)).shape
    torch.Size([2, 2, 8, 3])
    >>> pooling.shorten(torch.tensor([5, 3]))
    tensor([2, 1])
    """
    for part in module.modules():
        part.__class__ = _AWARE.get(type(part), type(part))
