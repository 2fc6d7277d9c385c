"""Drop-in LiGRU and SLiGRU layers.

They take SpeechBrain's arguments, hold SpeechBrain's parameters under
SpeechBrain's names and load its checkpoints; the differences are listed in
docs/reference/differences.md.
"""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
import logging
import math
from collections.abc import Sequence
from typing import Optional, Tuple

import torch
from speechbrain.nnet.RNN import rnn_init
from torch import Tensor, nn

from speechbrain_ligru_fast.backends.spec import (
    check_backend_name,
    check_nonlinearity,
)
from speechbrain_ligru_fast.layers import few_frames
from speechbrain_ligru_fast.layers.one_layer import LightGRULayer
from speechbrain_ligru_fast.scan.lengths import count_frames, valid_frames

logger = logging.getLogger(__name__)


def _number(name, value):
    """A number as a float; float() would read one from a string."""
    if not isinstance(value, (str, bytes)):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    raise TypeError(
        f"{name}: got {value!r} ({type(value).__name__}), expected a number"
    )


def _check_sizes(hidden_size, input_shape, num_layers, dropout):
    # As stock does, 256.0 is taken for a size, but not for a count.
    if not hasattr(num_layers, "__index__"):
        raise TypeError(
            f"num_layers: got {num_layers!r} ({type(num_layers).__name__}), "
            "expected an int, 1 or more"
        )
    if num_layers < 1:
        raise ValueError(f"num_layers: got {num_layers}, expected 1 or more")
    size = _number("hidden_size", hidden_size)
    if size < 1 or not size.is_integer():
        raise ValueError(
            f"hidden_size: got {hidden_size}, expected 1 or more, whole"
        )
    if len(input_shape) < 3 or None in list(input_shape)[2:]:
        raise ValueError(
            f"input_shape: got {tuple(input_shape)}, expected (batch, time, "
            "features) with a number of features"
        )
    if not 0 <= _number("dropout", dropout) <= 1:
        raise ValueError(f"dropout: got {dropout}, expected 0 to 1")


def _check_tensor(name, value, more=""):
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name}: got {type(value).__name__}, expected a tensor{more}"
        )


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
        _check_sizes(hidden_size, input_shape, num_layers, dropout)
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
        # Of the example, as stock has it; any other batch is taken, too.
        self.batch_size = input_shape[0]
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

    def set_backend(self, backend: str) -> None:
        """Changes what runs all layers.

        Arguments
        ---------
        backend : str
            A backend's name or ``auto``.

        Raises
        ------
        ValueError
            For an unknown name.
        """
        check_backend_name(backend)
        self.backend = backend
        for layer in self.rnn:
            layer.backend = backend

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
            For a wrong shape, a wrong device, lengths on a CPU outside
            (0, 1]; on a GPU these fail an assertion of the device.
        TypeError
            For an input that is no tensor, not floating point or, unless
            autocast is on, not of the parameters' dtype; for lengths that
            are no tensor.
        RuntimeError
            For a module in place of a layer's ``u`` that is not a linear map
            without a bias, or in place of ``layer_norm`` that is not one;
            ``restore`` gives layers that call any.
        """
        if not torch.jit.is_scripting():
            _check_tensor("x", x, " (batch, time, features), padded")
            if hx is not None:
                _check_tensor("hx", hx)
        if self.reshape and x.dim() == 4:
            x = x.flatten(2)
        if not torch.jit.is_scripting() and lengths is None:
            found = few_frames.compute(self, x, hx)
            if found is not None:
                return found
        self._check(x, hx)
        frames: Optional[Tensor] = None
        if lengths is not None:
            frames = count_frames(lengths, x)
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

    def _device(self) -> torch.device:
        """Where the parameters are; their dtype is each layer's own."""
        first = self.rnn[0]
        if not torch.jit.is_scripting():
            # Not where adapters or quantisation have replaced the module.
            if not isinstance(getattr(first.w, "weight", None), Tensor):
                return first.h_init.device
        return first.w.weight.device

    def _check(self, x: Tensor, hx: Optional[Tensor]) -> None:
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
        device = self._device()
        if x.device != device:
            raise ValueError(
                f"x: got device {x.device}, expected that of the "
                f"parameters, {device}"
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
        For an unknown nonlinearity or backend, a dropout outside [0, 1], a
        size below 1, or an input_shape without its features.
    TypeError
        For a size or a dropout that is not a number, a num_layers that is
        not an int.

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
        hidden_size: int,
        input_shape: Sequence[Optional[int]],
        nonlinearity: str = "relu",
        normalization: str = "batchnorm",
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        re_init: bool = True,
        bidirectional: bool = False,
        backend: str = "auto",
        recompute: bool = False,
    ) -> None:
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
        For an unknown nonlinearity or backend, a dropout outside [0, 1], a
        size below 1, or an input_shape without its features.
    TypeError
        For a size or a dropout that is not a number, a num_layers that is
        not an int.

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
        hidden_size: int,
        input_shape: Sequence[Optional[int]],
        nonlinearity: str = "relu",
        ff_normalization: str = "batchnorm",
        recurrent_elementwise_affine: bool = False,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        re_init: bool = True,
        bidirectional: bool = False,
        backend: str = "auto",
        recompute: bool = False,
    ) -> None:
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
