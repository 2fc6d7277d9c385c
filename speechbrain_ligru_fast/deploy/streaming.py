"""Recognition of audio while it arrives, by a unidirectional encoder."""

import copy
import time

import torch
from speechbrain.decoders.ctc import filter_ctc_output
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.pooling import Pooling1d, Pooling2d


class Windowed:
    """A function of windows, fed piece by piece.

    Output ``i`` of the function must depend on the inputs from
    ``hop * i - left`` up to, but without, ``hop * i + right``; at the ends
    of the whole input it may do as it likes with what is missing.

    Arguments
    ---------
    function : callable
        (1, N, ...) to (1, M, ...).
    hop, left, right : int
        In inputs.

    Example
    -------
    >>> pairs = Windowed(lambda x: x[:, ::2] + x[:, 1::2], 2, 0, 2)
    >>> [pairs.feed(torch.ones(1, 3)).shape[1] for _ in range(2)]
    [1, 2]
    """

    def __init__(self, function, hop, left, right):
        self.function = function
        self.hop, self.left, self.right = hop, left, right
        self._buffer = None
        self._start = self._done = 0

    def feed(self, x, last=False):
        """Takes (1, N, ...) inputs after the earlier ones; `last` has none.

        Returns the (1, M, ...) outputs that could not be computed before, or
        None instead of M = 0.
        """
        if self._buffer is not None:
            x = torch.cat([self._buffer, x], 1)
        ready = (self._start + x.shape[1] - self.right) // self.hop + 1
        new = x[:, :0]
        if last or ready > self._done:
            first = self._start // self.hop
            end = None if last else ready - first
            new = self.function(x)[:, self._done - first : end]
            self._done += new.shape[1]
        # A multiple of hop, so that outputs stay where they are.
        first = max(self._done - -(-self.left // self.hop), 0)
        start = max(first * self.hop, self._start)
        self._buffer = x[:, start - self._start :]
        self._start = start
        return new if new.shape[1] else None


class StreamingEncoder:
    """A CRDNN in pieces: the same output as on the whole utterance.

    The recurrent state is carried from piece to piece. The convolutions
    look ahead by a few frames, for which a piece waits. Raises ValueError
    for what is no CRDNN in one direction with one recurrent layer.

    Example
    -------
    >>> from speechbrain_ligru_fast.lobe import CRDNN
    >>> crdnn = CRDNN(
    ...     input_shape=[None, None, 40], rnn_neurons=8, rnn_bidirectional=False
    ... )
    >>> x = torch.rand(1, 30, 40)
    >>> with torch.no_grad():
    ...     encoder, whole = StreamingEncoder(crdnn.eval()), crdnn(x)
    ...     pieces = [encoder.feed(x[:, :20]), encoder.feed(x[:, 20:], True)]
    >>> torch.allclose(torch.cat(pieces, 1), whole, atol=1e-5)
    True
    """

    def __init__(self, crdnn):
        before, self._rnn, self._after = split(crdnn)
        self._state = None
        hop, left, right = window(before)
        self.look_ahead = right - hop
        self._front = Windowed(before, hop, left, right)

    def feed(self, x, last=False):
        """Returns the new (1, M, dnn_neurons), or None, as `Windowed`."""
        x = self._front.feed(x, last)
        if x is None:
            return None
        x, self._state = self._rnn(x, hx=self._state)
        return self._after(x)


def split(crdnn):
    """Front, recurrent module and end of a CRDNN in one direction.

    Raises ValueError as ``StreamingEncoder``.

    Example
    -------
    >>> from speechbrain_ligru_fast.lobe import CRDNN
    >>> crdnn = CRDNN(input_shape=[None, None, 40], rnn_bidirectional=False)
    >>> [type(part).__name__ for part in split(crdnn)]
    ['Sequential', 'LiGRU', 'Sequential']
    """
    names = list(crdnn.keys()) if hasattr(crdnn, "keys") else []
    rnn = crdnn["RNN"] if "RNN" in names else crdnn
    # SpeechBrain's LSTM, GRU and RNN wrap torch's.
    inner = getattr(rnn, "rnn", None)
    layer = inner if isinstance(inner, torch.nn.RNNBase) else rnn
    if not hasattr(layer, "bidirectional"):
        raise ValueError(
            "streaming needs a CRDNN behind filter banks, with one "
            f"recurrent module, not {type(rnn).__name__}"
        )
    if layer.bidirectional:
        raise ValueError(
            "rnn_bidirectional: a bidirectional encoder needs the whole "
            "utterance. Train with --rnn_bidirectional False"
        )
    modules, position = list(crdnn.values()), names.index("RNN")
    before = torch.nn.Sequential(*modules[:position])
    return before, rnn, torch.nn.Sequential(*modules[position + 1 :])


def window(module):
    """Hop, left and right, as for `Windowed`, of a CRDNN's front.

    Example
    -------
    >>> window(Conv2d(4, (3, 5), input_shape=(1, 9, 9, 1)))
    (1, 2, 3)
    """
    low, high, hop = 0, 0, 1
    for part in reversed(list(module.modules())):
        if isinstance(part, Conv2d):
            reach = part.kernel_size[-1] // 2 * part.dilation[-1]
            low, high = low - reach, high + reach
            continue
        size = _pooled_frames(part)
        low, high = low * size, high * size + size - 1
        hop *= size
    return hop, -low, high + 1


def _pooled_frames(module):
    """Frames that a pooling makes one of; 1 for other modules."""
    size = 1
    if isinstance(module, Pooling1d) and module.pool_axis == 1:
        size = module.pool_layer.kernel_size
    if isinstance(module, Pooling2d) and 1 in module.pool_axis:
        size = module.kernel_size[module.pool_axis.index(1)]
    return size[-1] if isinstance(size, tuple) else size


class StreamingFeatures:
    """SpeechBrain's filter bank features of audio that arrives in pieces.

    They equal those of the whole utterance but for one thing: filter banks
    are cut off 80 dB below the loudest one of the utterance, which here is
    the loudest so far. Raises ValueError for other features, and for deltas
    or contexts.
    """

    def __init__(self, fbank):
        stft = getattr(fbank, "compute_STFT", None)
        if stft is None or fbank.deltas or fbank.context:
            raise ValueError(
                "compute_features: streaming needs filter banks without "
                "deltas and context"
            )
        # The recogniser's own stays as it is.
        fbank = copy.deepcopy(fbank)
        self._top_db = fbank.compute_fbanks.top_db
        fbank.compute_fbanks.top_db = float("inf")
        self._loudest = float("-inf")
        half = stft.win_length // 2
        self.look_ahead = half
        self._frames = Windowed(fbank, stft.hop_length, half, half)

    def feed(self, wav, last=False):
        """Returns the new (1, M, mels), or None, as `Windowed`."""
        x = self._frames.feed(wav, last)
        if x is None:
            return None
        self._loudest = max(self._loudest, float(x.max()))
        return x.clamp(min=self._loudest - self._top_db)


def _check_global(normalize):
    if normalize.norm_type == "global":
        return normalize
    raise ValueError(
        f"norm_type: {normalize.norm_type!r} needs the whole utterance. "
        "Train with --norm_type global"
    )


class StreamingRecognizer:
    """Text of audio while it arrives.

    Arguments
    ---------
    recognizer : speechbrain.inference.ASR.EncoderDecoderASR
        See speechbrain_ligru_fast.deploy.transcribe.load_recognizer.

    Raises
    ------
    ValueError
        If its normalisation, features or encoder need the whole utterance:
        all reasons at once, since each may take another training.
    """

    def __init__(self, recognizer):
        self._recognizer = recognizer
        encoder = recognizer.mods.encoder
        made, reasons = [], []
        for make, part in (
            (_check_global, encoder.normalize),
            (StreamingFeatures, encoder.compute_features),
            (StreamingEncoder, encoder.enc),
        ):
            try:
                made.append(make(part))
            except ValueError as error:
                reasons.append(str(error))
        if reasons:
            raise ValueError("; ".join(reasons))
        self._normalize, self._features, self._encoder = made
        self._encoded, self._ids = [], []
        self.seconds = []  # of computing, a piece

    @property
    def look_ahead(self):
        """Samples that must have arrived after what is recognised."""
        hop = self._features._frames.hop
        return self._features.look_ahead + self._encoder.look_ahead * hop

    @torch.no_grad()
    def feed(self, wav, last=False):
        """Takes (N,) samples and returns the text of all so far.

        Until the `last` it is that of CTC alone, then of the beam search.
        """
        start = time.perf_counter()
        wav = wav.unsqueeze(0).to(self._recognizer.device)
        ones = torch.ones(1, device=wav.device)
        encoded = self._features.feed(wav, last)
        if encoded is not None:
            encoded = self._normalize(encoded, ones)
            encoded = self._encoder.feed(encoded, last)
        if encoded is not None:
            self._encoded.append(encoded)
            best = self._recognizer.mods.ctc_lin(encoded).argmax(-1)
            self._ids += best[0].tolist()
        if last:
            encoded = torch.cat(self._encoded, 1)
            (ids, *_), *_ = self._recognizer.mods.decoder(encoded, ones)
        else:
            blank = self._recognizer.hparams.blank_index
            ids = filter_ctc_output(self._ids, blank_id=blank)
        text = self._recognizer.tokenizer.decode_ids(ids)
        self.seconds.append(time.perf_counter() - start)
        return text
