"""From waveforms to what the encoder makes of them, and its lengths.

A relative length is of the tensor that it came with: n of N samples are not
the same part of a batch's frames, since a number of frames is rounded down.
So the frames of each utterance are counted from part to part, by the part's
method ``shorten``, as they would be of it alone.
"""

from torch import nn

from speechbrain_ligru_fast.scan.lengths import count_frames, to_relative


def encode(
    wavs, lengths, compute_features, normalize, enc, counter=None, **options
):
    """What an encoder makes of waveforms, and how long that is.

    Arguments
    ---------
    wavs, lengths : torch.Tensor
        (B, N) and their relative lengths (B,) in (0, 1].
    compute_features, normalize, enc : torch.nn.Module
        Of the experiment.
    counter : torch.nn.Module | None
        The encoder itself, where ``enc`` wraps it, or is scripted.
    **options : dict
        For ``normalize``.

    Returns
    -------
    encoded, lengths : torch.Tensor
        (B, T, neurons) and its relative lengths (B,).
    """
    if hasattr(compute_features, "shorten"):
        frames = compute_features.shorten(count_frames(lengths, wavs))
        features = compute_features(wavs, lengths)
        lengths = to_relative(frames, features.size(1))
    else:
        features = compute_features(wavs)
        frames = count_frames(lengths, features)
    # It rounds up: what 32 bits make too large would count a frame more.
    features = normalize(
        features, (frames - 0.25) / features.size(1), **options
    ).detach()
    encoded = enc(features, lengths)
    counter = enc if counter is None else counter
    if hasattr(counter, "shorten"):
        lengths = to_relative(counter.shorten(frames), encoded.size(1))
    return encoded, lengths


class Encoder(nn.Module):
    """Features, normalisation and encoder in one, for inference.

    Arguments
    ---------
    compute_features, normalize, enc : torch.nn.Module
        Of the experiment.

    Example
    -------
    >>> import torch
    >>> from speechbrain.processing.features import InputNormalization
    >>> from speechbrain_ligru_fast.recognition.features import Fbank
    >>> from speechbrain_ligru_fast.lobe import CRDNN
    >>> enc = CRDNN(
    ...     input_shape=[None, None, 40], rnn_neurons=8, time_pooling=True
    ... )
    >>> normalize = InputNormalization(norm_type="sentence")
    >>> encoder = Encoder(Fbank(), normalize, enc)
    >>> encoded = encoder(torch.rand(2, 16000), torch.tensor([1.0, 0.31]))
    >>> encoded.shape, (encoded.own_lengths * 50).round()
    (torch.Size([2, 50, 512]), tensor([50., 16.]))
    """

    def __init__(self, compute_features, normalize, enc):
        super().__init__()
        self.compute_features = compute_features
        self.normalize = normalize
        self.enc = enc

    def forward(self, wavs, lengths=None):
        """From (B, N) samples, (B,) relative lengths to (B, T, neurons).

        The attribute ``own_lengths`` of what is returned holds its relative
        lengths, for the search: SpeechBrain's interfaces hand over those of
        the waveforms.
        """
        if lengths is None:
            return self.enc(self.normalize(self.compute_features(wavs)))
        encoded, encoded.own_lengths = encode(
            wavs, lengths, self.compute_features, self.normalize, self.enc
        )
        return encoded
