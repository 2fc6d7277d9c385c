"""A unidirectional recogniser's CTC part as ONNX that takes audio in chunks.

Inputs are a chunk of samples and a state, outputs the scores of what can be
told by now and the next state: the form of a T-one model, which sherpa-onnx
reads.
"""

import copy
import math
import pathlib

import torch
from torch import nn
from torch.export import Dim

from speechbrain_ligru_fast.deploy.onnx import OPSET, check, convert, put
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
# A number of the state is two of float16: its 11 first bits, then the next.
_REST = 2048.0

# The state: the samples that later outputs depend on, how many these are, how
# many of their outputs are out already, the loudest filter bank, hidden states.
# Outputs that depend on later samples wait for them, and one more does: a
# recurrent node fails at 0 frames, which could be at the end.
_GRAPH = """
<ir_version: 10, opset_import: ["" : {opset}]>
chunks (int32[1, samples, 1] x, float16[1, {numbers2}] state) => (
    float[1, frames, {tokens}] log_probs, float16[1, {numbers2}] state_next)
<int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}},
 int64[1] numbers = {{{numbers}}}, int64[1] numbers2 = {{{numbers2}}},
 int64[1] kept = {{{kept}}}, int64[5] parts = {{{kept}, 1, 1, 1, {hidden}}},
 int64[3] shape = {{{layers}, 1, {width}}}, int64[2] row = {{1, -1}},
 int64[1] chunk = {{{chunk}}}, int64[1] hop = {{{hop}}},
 int64[1] ahead = {{{ahead}}}, int64[1] again = {{{again}}},
 int64[1] least = {{{least}}}, int64[3] before = {{0, 0, 0}},
 int64[1] end = {{{end}}}, int64[2] behind = {{0, 0}},
 float none = {{0}}, float scale = {{{scale}}}, float rest = {{{rest}}}>
{{
  halves = Cast <to = 1> (state)
  high = Slice (halves, zero, numbers, one)
  low = Slice (halves, numbers, numbers2, one)
  small = Div (low, rest)
  all = Add (high, small)
  past, n_, skip_, loudest_, hx_ = Split <axis = 1> (all, parts)
  n_1 = Squeeze (n_, zero)
  n = Cast <to = 7> (n_1)
  skip_1 = Squeeze (skip_, zero)
  skip = Cast <to = 7> (skip_1)
  front_loudest = Squeeze (loudest_, zero)
  back_hx = Reshape (hx_, shape)

  first = Sub (kept, n)
  old = Slice (past, first, kept, one)
  flat = Squeeze (x, two)
  number = Cast <to = 1> (flat)
  new = Div (number, scale)
  known = Concat <axis = 1> (old, new)
  length = Shape <start = 1, end = 2> (known)
  lack = Sub (least, length)
  lacking = Max (lack, zero)
  pads = Concat <axis = 0> (before, lacking)
  front_x = Pad (known, pads)

  given = Shape <start = 1, end = 2> (x)
  over = Mod (given, chunk)
  whole = Equal (over, zero)
  some = Greater (given, zero)
  goes_on = And (whole, some)

  rows = Shape <start = 1, end = 2> (front_rows)
  sure = Sub (length, ahead)
  hops = Div (sure, hop)
  waiting = Add (hops, one)
  until = Where (goes_on, waiting, rows)
  back_x = Slice (front_rows, skip, until, one)
  log_probs = Identity (back_log_probs)

  passed = Sub (until, again)
  dropped = Max (passed, zero)
  start = Mul (dropped, hop)
  later = Slice (known, start, end, one)
  n_next = Shape <start = 1, end = 2> (later)
  silent = Sub (kept, n_next)
  pads_next = Concat <axis = 0> (zero, silent, behind)
  past_next = Pad (later, pads_next)
  skip_next = Min (until, again)
  counts = Concat <axis = 0> (n_next, skip_next)
  counts_f = Cast <to = 1> (counts)
  figures = Concat <axis = 0> (counts_f, front_loudest_next)
  figures_row = Reshape (figures, row)
  hidden = Reshape (back_hidden, row)
  all_next = Concat <axis = 1> (past_next, figures_row, hidden)
  kept_on = Where (goes_on, all_next, none)
  high_next = Cast <to = 10> (kept_on)
  rounded = Cast <to = 1> (high_next)
  error = Sub (kept_on, rounded)
  large = Mul (error, rest)
  low_next = Cast <to = 10> (large)
  state_next = Concat <axis = 1> (high_next, low_next)
}}
"""


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
    path = pathlib.Path(path)
    check(nn.ModuleList([encoder, ctc_lin]), path)
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
    numbers = kept + 3 + hidden
    text = _GRAPH.format(
        **{"opset": opset, "tokens": tokens, "chunk": CHUNK, "hop": hop},
        **{"ahead": ahead, "again": again, "least": least, "kept": kept},
        **{"numbers": numbers, "numbers2": 2 * numbers, "hidden": hidden},
        **{"layers": layers, "width": rnn.hidden_size, "scale": _FULL_SCALE},
        **{"rest": _REST, "end": 2**62},
    )
    model = _joined(
        text,
        front=convert(
            portable(front),
            {"x": torch.randn(1, CHUNK), "loudest": torch.ones(1)},
            {"x": {1: Dim.AUTO}, "loudest": {}},
            ["rows", "loudest_next"],
            opset,
        ),
        back=convert(
            portable(back, gru=not int8),
            {
                "x": torch.randn(1, 5, rnn.fea_dim),
                "hx": torch.rand(layers, 1, rnn.hidden_size),
            },
            {"x": {1: Dim.AUTO}, "hx": {}},
            ["log_probs", "hidden"],
            opset,
        ),
    )

    def difference(partial):
        return _difference(encoder, ctc_lin, partial)

    return put(model, path, int8, difference)


def _joined(text, **parts):
    """A graph and the parts whose values it names ``part_value``."""
    import onnx
    import onnx_ir
    from onnx_ir.traversal import RecursiveGraphIterator

    whole = onnx.parser.parse_model(text)
    for name, part in parts.items():
        graph = part.graph
        nodes = list(RecursiveGraphIterator(graph))
        values = [value for node in nodes for value in node.outputs]
        values += [*graph.inputs, *graph.initializers.values()]
        # onnx.compose.add_prefix forgets what a Scan's body uses of the graph.
        for thing in (*nodes, *values):
            if thing.name:
                thing.name = f"{name}_{thing.name}"
        graph = onnx_ir.to_proto(part).graph
        whole.graph.node.extend(graph.node)
        whole.graph.initializer.extend(graph.initializer)
    model = onnx_ir.from_proto(whole)
    model.graph.sort()
    return model


@torch.no_grad()
def _difference(encoder, ctc_lin, path):
    """The largest relative difference from whole utterances, of three."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
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
