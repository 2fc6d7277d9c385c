"""A unidirectional recogniser's CTC part as ONNX that takes audio in chunks.

Inputs are a chunk of samples and a state, outputs the scores of what can be
told by now and the next state: the form of a T-one model, which sherpa-onnx
reads.
"""

import copy
import math

import torch
from torch import nn
from torch.export import Dim

from speechbrain_ligru_fast.deploy.chunk_graph import surround
from speechbrain_ligru_fast.deploy.conversion import convert
from speechbrain_ligru_fast.deploy.onnx import OPSET, write_model
from speechbrain_ligru_fast.deploy.portable import portable
from speechbrain_ligru_fast.deploy.streaming import (
    StreamingRecognizer,
    split,
    window,
)
from speechbrain_ligru_fast.layers import LiGRU, SLiGRU

# What sherpa-onnx gives a T-one model at once: 300 ms at 8000 samples a second.
CHUNK = 2400
_FULL_SCALE = 32768.0  # Samples have 16 bits.


class _Front(nn.Module):
    """From samples, and the loudest filter bank so far, to recurrent input."""

    def __init__(self, encoder, before):
        super().__init__()
        self.fbank = copy.deepcopy(encoder.compute_features)
        self.normalize, self.before = encoder.normalize, before
        banks, stft = self.fbank.compute_fbanks, self.fbank.compute_STFT
        self.top_db, banks.top_db = banks.top_db, math.inf
        # No filter bank is below it: what a state of zeros means.
        self.floor = banks.multiplier * (
            math.log10(banks.amin) - banks.db_multiplier
        )
        self.hop = stft.hop_length
        self.half = stft.win_length // 2
        # Frames at an end of a window of samples, which see beyond it.
        self.cut = -(-self.half // self.hop)

    def forward(self, x, loudest):
        x = self.fbank(x)
        inner = x[:, self.cut : -self.cut].amax((1, 2)) - self.floor
        loudest = torch.maximum(loudest, inner)
        x = torch.maximum(x, loudest + (self.floor - self.top_db))
        x = self.normalize(x, torch.ones(1))
        return self.before(x).flatten(2), loudest


class _Back(nn.Module):
    """From recurrent input and hidden states to scores of tokens."""

    def __init__(self, rnn, after, ctc_lin):
        super().__init__()
        self.rnn, self.after, self.ctc_lin = rnn, after, ctc_lin

    def forward(self, x, hx):
        y, hidden = self.rnn(x, hx)
        return self.ctc_lin(self.after(y)).log_softmax(-1), hidden


def check_chunks(recognizer):
    """Raises ValueError, with all reasons, if it can't take audio in chunks."""
    StreamingRecognizer(recognizer)
    _, rnn, _ = split(recognizer.mods.encoder.enc)
    if not isinstance(rnn, (LiGRU, SLiGRU)):
        raise ValueError(
            f"rnn_class: got {type(rnn).__name__}, expected LiGRU or SLiGRU"
        )
    if any(part.training for part in recognizer.mods.encoder.modules()):
        raise ValueError(
            "recognizer: got a part in training mode, expected all of it in "
            "evaluation mode (call eval())"
        )


def hop_samples(encoder):
    """Samples of which one frame of an encoder's output is made."""
    before, *_ = split(encoder.enc)
    return window(before)[0] * encoder.compute_features.compute_STFT.hop_length


def write_chunks(recognizer, path, tokens, int8=False, opset=OPSET):
    """Writes the file.

    Arguments
    ---------
    recognizer : speechbrain.inference.ASR.EncoderDecoderASR
        See ``check_chunks``.
    path : str | Path
        The file.
    tokens : int
        How many there are.
    int8 : bool
    opset : int
        See ``to_onnx``.

    Returns
    -------
    float
        The largest difference from the scores of whole utterances, relative
        to the largest score.

    Raises
    ------
    ValueError
        As ``check_chunks``, or if the encoder looks ahead too far.
    """
    check_chunks(recognizer)
    encoder, ctc_lin = recognizer.mods.encoder, recognizer.mods.ctc_lin
    before, rnn, after = split(encoder.enc)
    front = _Front(encoder, before).eval()
    back = _Back(rnn, after, ctc_lin).eval()
    # In frames, then in samples.
    hop, left, right = window(before)
    ahead = front.hop * (right - 1) + front.half
    again = -(-(front.hop * left + front.half) // (front.hop * hop))
    least = front.hop * (max(encoder.enc.shortest, 2 * front.cut + 1) - 1)
    hop *= front.hop
    ahead += hop  # The output that waits for the end
    if max(ahead, hop) > CHUNK:
        raise ValueError(
            f"cnn: needs {ahead} samples to come, expected at most {CHUNK}"
        )
    kept, layers = again * hop + ahead, rnn.num_layers
    hidden = layers * rnn.hidden_size
    sizes = {
        **{"opset": opset, "tokens": tokens, "chunk": CHUNK, "hop": hop},
        **{"ahead": ahead, "again": again, "least": least, "kept": kept},
        **{"layers": layers, "width": rnn.hidden_size, "hidden": hidden},
        "scale": _FULL_SCALE,
    }

    def make():
        front_model = convert(
            portable(front),
            {"x": torch.randn(1, CHUNK), "loudest": torch.ones(1)},
            {"x": {1: Dim.AUTO}, "loudest": {}},
            ["rows", "loudest_next"],
            opset,
        )
        back_model = convert(
            portable(back, gru=not int8),
            {
                "x": torch.randn(1, 5, rnn.fea_dim),
                "hx": torch.rand(layers, 1, rnn.hidden_size),
            },
            {"x": {1: Dim.AUTO}, "hx": {}},
            ["log_probs", "hidden"],
            opset,
        )
        return surround(front_model, back_model, **sizes)

    return write_model(
        nn.ModuleList([encoder, ctc_lin]),
        path,
        int8,
        make,
        lambda session: _difference(encoder, ctc_lin, session),
    )


@torch.no_grad()
def _difference(encoder, ctc_lin, session):
    """The largest relative difference from whole utterances, of three."""
    worst = 0.0
    for length in (CHUNK // 3, 4 * CHUNK, 9 * CHUNK + 77):
        # The loudest comes first: see StreamingFeatures.
        x = 3000 * torch.randn(1, length) * torch.linspace(1, 0.1, length)
        x = x.clamp(-32768, 32767).round()
        want = ctc_lin(encoder(x / _FULL_SCALE, torch.ones(1))).log_softmax(-1)
        got = torch.from_numpy(run_chunks(session, x[0].int().numpy()))
        scale = want.abs().max()
        if got.shape != want.shape:
            raise RuntimeError(
                f"chunks: {got.shape[1]} frames, expected {want.shape[1]}"
            )
        worst = max(worst, float((want - got).abs().max() / scale))
    return worst


def run_chunks(session, samples, size=CHUNK):
    """All scores of samples that are given in chunks.

    Arguments
    ---------
    session : onnxruntime.InferenceSession
        Of a file that ``write_chunks`` wrote.
    samples : numpy.ndarray
        (N,) int32, of 16 bits.
    size : int
        A multiple of ``CHUNK``.

    Returns
    -------
    numpy.ndarray
        (1, T, tokens) float32.
    """
    import numpy

    state = numpy.zeros(session.get_inputs()[1].shape, numpy.float16)
    scores, start, goes_on = [], 0, True
    while goes_on:
        piece = samples[start : start + size]
        start += len(piece)
        goes_on = len(piece) > 0 and len(piece) % CHUNK == 0
        given = {"x": piece[None, :, None], "state": state}
        found, state = session.run(None, given)
        scores.append(found)
    return numpy.concatenate(scores, 1)
