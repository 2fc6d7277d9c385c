"""Short-time spectra in ONNX, by a convolution.

ONNX Runtime takes longer for its own STFT of 400 samples than for all of a
small recogniser. The convolution's weights would be larger than such a
recogniser's: they are computed when the file is loaded.
"""

import math

import torch
from speechbrain.processing.features import STFT
from torch import nn
from torch.nn import functional as F

_WEIGHTS = """
<ir_version: 10, opset_import: ["" : 18]>
weights (float[{size}] window) => (float[{rows}, 1, {size}] weights)
<int64 zero = {{0}}, int64 one = {{1}}, int64 bins = {{{bins}}},
 int64 size = {{{size}}}, int64[1] axis = {{1}}, float step = {{{step!r}}}>
{{
  bin = Range (zero, bins, one)
  sample = Range (zero, size, one)
  column = Unsqueeze (bin, axis)
  product = Mul (column, sample)
  turn = Mod (product, size)
  number = Cast <to = 1> (turn)
  angle = Mul (number, step)
  cosine = Cos (angle)
  sine = Sin (angle)
  both = Concat <axis = 0> (cosine, sine)
  seen = Mul (both, window)
  weights = Unsqueeze (seen, axis)
}}
"""


class Spectrum(nn.Module):
    """What SpeechBrain's STFT computes, by a convolution.

    Arguments
    ---------
    stft : speechbrain.processing.features.STFT
        One that ``fits``.

    Example
    -------
    >>> stft, x = STFT(16000), torch.rand(2, 1000)
    >>> torch.allclose(Spectrum(stft)(x), stft(x), atol=1e-4)
    True
    """

    def __init__(self, stft):
        super().__init__()
        self.hop_length, self.size = stft.hop_length, stft.n_fft
        side = (self.size - stft.win_length) // 2
        rest = self.size - stft.win_length - side
        window = F.pad(stft.window.double(), (side, rest))
        samples = torch.arange(self.size)
        turns = samples[: self.size // 2 + 1].unsqueeze(1) * samples % self.size
        self.step = -2 * math.pi / self.size
        angles = turns * self.step
        weights = torch.cat([angles.cos(), angles.sin()]) * window
        self.register_buffer("weights", weights.float().unsqueeze(1))
        self.window = window.float()

    @staticmethod
    def fits(part):
        """Whether a module is an STFT that this can compute."""
        return (
            isinstance(part, STFT)
            and part.center
            and part.pad_mode == "constant"
            and part.onesided
            and not part.normalized_stft
        )

    def forward(self, x):
        """From (B, N) samples to (B, T, bins, 2)."""
        half = self.size // 2
        x = F.pad(x, (half, half)).unsqueeze(1)
        x = F.conv1d(x, self.weights, stride=self.hop_length)
        return x.unflatten(1, (2, -1)).permute(0, 3, 2, 1)


def use_spectra(module):
    """Puts a Spectrum in the place of every STFT that it fits."""
    for part in list(module.modules()):
        for name, child in part.named_children():
            if Spectrum.fits(child):
                setattr(part, name, Spectrum(child))


def drop_weights(model, module):
    """A model of ``onnx_ir`` in which spectra's weights are computed.

    Arguments
    ---------
    model : onnx_ir.Model
        Of the module.
    module : torch.nn.Module
        That holds spectra.

    Returns
    -------
    onnx_ir.Model
    """
    import onnx
    import onnx_ir

    whole = onnx_ir.to_proto(model)
    weights = whole.graph.initializer
    for name, part in module.named_modules():
        if not isinstance(part, Spectrum):
            continue
        place = [w.name for w in weights].index(f"{name}.weights")
        del weights[place]
        text = _WEIGHTS.format(
            size=part.size,
            rows=part.weights.size(0),
            bins=part.weights.size(0) // 2,
            step=part.step,
        )
        made = onnx.parser.parse_model(text)
        made = onnx.compose.add_prefix(made, f"{name}.").graph
        whole.graph.node.extend(made.node)
        weights.extend(made.initializer)
        window = onnx.numpy_helper.from_array(part.window.numpy())
        window.name = f"{name}.window"
        weights.append(window)
    model = onnx_ir.from_proto(whole)
    model.graph.sort()
    return model
