"""The CRDNN lobe with fast recurrent layers."""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
from collections.abc import Callable
from typing import Any, Optional

from speechbrain.lobes.models import CRDNN as stock_crdnn
from torch import Tensor, nn

from speechbrain_ligru_fast.layers import LiGRU
from speechbrain_ligru_fast.lobe.crdnn_parts import AwareSequential, make_aware
from speechbrain_ligru_fast.lobe.rnn_class import layer_maker
from speechbrain_ligru_fast.scan.lengths import (
    continue_frames,
    count_frames,
    to_relative,
)


class CRDNN(AwareSequential, stock_crdnn.CRDNN):
    """SpeechBrain's CRDNN with a fast LiGRU and knowledge of lengths.

    It takes the arguments of ``speechbrain.lobes.models.CRDNN.CRDNN``, in
    the same order, and holds the same parameters.

    Arguments
    ---------
    *args : tuple
        Arguments of the stock CRDNN.
    rnn_class : class
        Any recurrent class of SpeechBrain or of this package.
    backend : str
        Passed on to ``rnn_class`` if it takes a backend.
    **kwargs : dict
        Arguments of the stock CRDNN.

    Example
    -------
    >>> import torch
    >>> inputs = torch.rand([10, 15, 60])
    >>> model = CRDNN(input_shape=inputs.shape, rnn_neurons=32)
    >>> model(inputs, torch.ones(10)).shape
    torch.Size([10, 15, 512])
    """

    def __init__(
        self,
        *args: Any,
        rnn_class: Callable[..., nn.Module] = LiGRU,
        backend: str = "auto",
        **kwargs: Any,
    ) -> None:
        built: dict[Any, str | None] = {}
        super().__init__(
            *args, rnn_class=layer_maker(rnn_class, backend, built), **kwargs
        )
        for rnn, name in built.items():
            if name is not None:
                rnn.set_backend(name)
        # By name: accelerate and restore put others in their places.
        self.recurrent = [name for name, part in self.items() if part in built]
        make_aware(self)
        # Frames that the convolutions and poolings need.
        self.shortest = self.lengthen(1)

    def forward(self, x: Tensor, lengths: Optional[Tensor] = None) -> Tensor:
        """Returns the encoded features.

        Arguments
        ---------
        x : Tensor
            (B, T, F) features.
        lengths : Tensor | None
            (B,) relative lengths in (0, 1]; an utterance has
            ``round(lengths * T)`` frames, at least one. Given, the result
            for an utterance does not depend on what surrounds it. One shorter
            than the convolutions and poolings need is continued by its
            reflection. A recurrent layer that takes no lengths reads padding,
            and so do then the parts around it, as in SpeechBrain's recipes.

        Returns
        -------
        Tensor
            (B, T', dnn_neurons); T' = T unless time is pooled. The frames
            beyond those that ``shorten`` counts carry no meaning.
        """
        frames: Optional[Tensor] = None
        if lengths is not None and self._tells_lengths():
            frames = count_frames(lengths, x)
            x = continue_frames(x, frames, self.shortest)
            frames = frames.clamp(min=self.shortest)
        for part in self.values():
            steps = x.size(1)
            if hasattr(part, "takes_lengths"):
                relative: Optional[Tensor] = None
                if frames is not None:
                    relative = to_relative(frames, steps)
                out = part(x, lengths=relative)
            elif hasattr(part, "shorten"):
                out = part(x, frames)
                frames = part.shorten(frames)
            else:
                out = part(x)
            if isinstance(out, tuple):
                x = out[0]
                if x.size(1) < steps:
                    # What packs its input drops the padding that all have.
                    x = nn.functional.pad(x, (0, 0, 0, steps - x.size(1)))
            else:
                x = out
        return x

    def _tells_lengths(self) -> bool:
        told = True
        for name, part in self.items():
            if not hasattr(part, "takes_lengths"):
                told = told and name not in self.recurrent
        return told

    def shorten(self, frames: Optional[Tensor]) -> Optional[Tensor]:
        """Counts the frames of the output.

        Arguments
        ---------
        frames : Tensor | None
            (B,) frames of the input.

        Returns
        -------
        Tensor | None
            (B,), at least one.
        """
        if frames is None:
            return None
        return super().shorten(frames.clamp(min=self.shortest))
