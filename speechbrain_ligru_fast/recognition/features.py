"""Filter bank features of each utterance alone."""

import torch
from speechbrain.lobes import features as stock
from speechbrain.processing.features import spectral_magnitude
from speechbrain.utils.autocast import fwd_default_precision

from speechbrain_ligru_fast.scan.lengths import count_frames, valid_frames


class Fbank(stock.Fbank):
    """SpeechBrain's filter banks, which may be told the lengths.

    Then what they make of an utterance does not depend on what follows it in
    a batch: not on samples in its padding, nor, where they are asked for, do
    its deltas and its context reach beyond its last frame.

    Arguments
    ---------
    *args, **kwargs
        See speechbrain.lobes.features.Fbank.

    Example
    -------
    >>> fbank = Fbank()
    >>> fbank(torch.rand(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 101, 40])
    >>> fbank.shorten(torch.tensor([16000, 8000]))
    tensor([101,  51])
    """

    @fwd_default_precision(cast_inputs=torch.float32)
    def forward(self, wav, lengths=None):
        """From (B, N) samples, (B,) relative lengths to (B, T, features)."""
        if lengths is None:
            return super().forward(wav)
        samples = count_frames(lengths, wav)
        frames = self.shorten(samples)
        stft = self.compute_STFT(_silence(wav, samples))
        # What is loudest in an utterance sets its floor.
        fbanks = self.compute_fbanks(_silence(spectral_magnitude(stft), frames))
        if self.deltas:
            delta1 = self.compute_deltas(_hold(fbanks, frames))
            delta2 = self.compute_deltas(_hold(delta1, frames))
            fbanks = torch.cat([fbanks, delta1, delta2], dim=2)
        if self.context:
            fbanks = self.context_window(_silence(fbanks, frames))
        return fbanks

    def shorten(self, samples):
        """Counts the frames of so many samples."""
        return samples // self.compute_STFT.hop_length + 1


def _silence(x, frames):
    """Zeros in the padding of (B, T, ...)."""
    padding = ~valid_frames(frames, x.size(1))
    return x.masked_fill(padding.view(*padding.shape, *[1] * (x.dim() - 2)), 0)


def _hold(x, frames):
    """Each utterance's last frame in the padding of (B, T, C)."""
    t = torch.arange(x.size(1), device=x.device)
    index = torch.minimum(t, frames.unsqueeze(1) - 1)
    return x.gather(1, index.unsqueeze(2).expand_as(x))
