"""A learnt filter bank on the waveform, in front of an encoder."""

import torch
from speechbrain.nnet.CNN import SincConv
from speechbrain.utils.autocast import fwd_default_precision
from torch import nn

from speechbrain_ligru_fast.scan.lengths import (
    continue_frames,
    count_frames,
    to_relative,
    valid_frames,
)


class SincNet(nn.Module):
    """Sinc filters, rectified, averaged over frames, compressed, normalised.

    M. Ravanelli, Y. Bengio, "Speaker Recognition from Raw Waveform with
    SincNet", 2018 (arXiv 1808.00158); the logarithm is that of L. Kürzinger
    et al., "Lightweight End-to-End Speech Recognition from Raw Audio Data
    Using Sinc-Convolutions", 2020 (arXiv 2010.07597).

    Arguments
    ---------
    filters : int
        Number of band-pass filters.
    kernel_size : int
        Their length in samples, odd.
    stride : int
        Samples between two outputs of a filter.
    frame : int
        Samples averaged into a frame.
    hop : int
        Samples between two frames; a multiple of `stride`.
    sample_rate : int

    Raises
    ------
    ValueError
        If `frame` or `hop` is no multiple of `stride`.

    Example
    -------
    >>> net = SincNet(filters=40)
    >>> net(torch.rand(2, 16000)).shape
    torch.Size([2, 100, 40])
    """

    def __init__(
        self,
        filters=64,
        kernel_size=251,
        stride=8,
        frame=400,
        hop=160,
        sample_rate=16000,
    ):
        super().__init__()
        if frame % stride or hop % stride:
            raise ValueError(
                f"frame={frame} and hop={hop} must be multiples of "
                f"stride={stride}"
            )
        self.conv = SincConv(
            filters,
            kernel_size,
            in_channels=1,
            stride=stride,
            sample_rate=sample_rate,
        )
        width, step = frame // stride, hop // stride
        # As many frames as hops; those at the ends average what there is.
        self.step = step
        self.pool = nn.AvgPool1d(
            width, step, (width - step + 1) // 2, count_include_pad=False
        )
        # Over the filters of a frame, so that padding has no part in it.
        self.norm = nn.LayerNorm(filters)

    # As SpeechBrain's features: a phase far from a filter's middle is hundreds
    # of radians, of which bfloat16 would keep whole ones.
    @fwd_default_precision(cast_inputs=torch.float32)
    def forward(self, wavs, lengths=None):
        """From (B, samples), (B,) relative lengths to (B, frames, filters).

        Given lengths, the frames of an utterance do not depend on what
        follows it.
        """
        if lengths is None:
            energies = self.pool(self._rectify(wavs))
        else:
            samples = count_frames(lengths, wavs)
            # As it is reflected at its end when it is alone.
            reach = self.conv.kernel_size // 2
            longer = continue_frames(
                wavs.unsqueeze(2), samples, wavs.size(1) + reach
            )
            bands = self._rectify(longer.squeeze(2))[
                ..., : self._bands(wavs.size(1))
            ]
            valid = valid_frames(self._bands(samples), bands.size(2))
            valid = valid.unsqueeze(1).to(bands.dtype)
            # A frame at the end averages what there is, as alone.
            share = self.pool(valid)
            energies = self.pool(bands * valid) / share.clamp(min=1e-6)
        return self.norm(torch.log(energies.transpose(1, 2) + 1e-4))

    def shorten(self, samples):
        """Counts the frames of so many samples."""
        return (self._bands(samples) // self.step).clamp(min=1)

    def _rectify(self, wavs):
        return self.conv(wavs).abs().transpose(1, 2)

    def _bands(self, samples):
        """How many outputs a filter has of so many samples."""
        return (samples - 1) // self.conv.stride + 1


class FrontEnd(nn.Module):
    """A front end and the encoder behind it, to call as one.

    Arguments
    ---------
    front : torch.nn.Module
        Takes (B, samples) and relative lengths; ``shorten`` counts its frames.
    encoder : torch.nn.Module
        Takes the front end's output and relative lengths.

    Example
    -------
    >>> from speechbrain_ligru_fast.lobe import CRDNN
    >>> crdnn = CRDNN(input_shape=[None, None, 40], rnn_neurons=8)
    >>> enc = FrontEnd(SincNet(filters=40), crdnn)
    >>> enc(torch.rand(2, 16000), torch.ones(2)).shape
    torch.Size([2, 100, 512])
    """

    def __init__(self, front, encoder):
        super().__init__()
        self.front = front
        self.encoder = encoder

    def forward(self, wavs, lengths=None):
        """Returns what the encoder makes of it."""
        if lengths is None:
            return self.encoder(self.front(wavs))
        x = self.front(wavs, lengths)
        frames = self.front.shorten(count_frames(lengths, wavs))
        return self.encoder(x, to_relative(frames, x.size(1)))

    def shorten(self, samples):
        """Counts the frames that the encoder makes of so many samples."""
        return self.encoder.shorten(self.front.shorten(samples))
