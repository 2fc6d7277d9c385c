"""Chunks through ONNX Runtime give what the whole recording gives."""

import subprocess
import sys
from types import SimpleNamespace

import numpy
import pytest
import soundfile
import torch
from speechbrain.decoders.ctc import filter_ctc_output
from speechbrain.nnet import RNN as stock
from speechbrain.processing.features import InputNormalization

from speechbrain_ligru_fast import LiGRU, SLiGRU
from speechbrain_ligru_fast.deploy import recognizer as deploy
from speechbrain_ligru_fast.deploy.chunks import CHUNK, run_chunks
from speechbrain_ligru_fast.lobe import CRDNN
from speechbrain_ligru_fast.recognition.encoding import Encoder
from speechbrain_ligru_fast.recognition.features import Fbank
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

onnxruntime = pytest.importorskip(
    "onnxruntime", reason="the extra deploy is not installed"
)
pytest.importorskip("onnxscript")
LABELS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


def make(rnn_class=LiGRU, norm_type="global", ctc_weight=0.5, **options):
    """A recogniser that was not trained."""
    torch.manual_seed(1)
    options = {
        "activation": torch.nn.LeakyReLU,
        "cnn_channels": (3,),
        "cnn_blocks": 1,
        "using_2d_pooling": True,
        "time_pooling": True,
        "rnn_layers": 2,
        "rnn_neurons": 10,
        "rnn_bidirectional": False,
        "dnn_neurons": 6,
    } | options
    crdnn = CRDNN(input_shape=[None, None, 20], rnn_class=rnn_class, **options)
    normalize = InputNormalization(norm_type=norm_type)
    normalize.glob_mean = torch.linspace(-30, -10, 20)
    normalize.glob_std = torch.full((20,), 12.0)
    encoder = Encoder(Fbank(n_mels=20), normalize, crdnn)
    ctc_lin = torch.nn.Linear(6, 1 + len(LABELS))
    return SimpleNamespace(
        mods=SimpleNamespace(encoder=encoder.eval(), ctc_lin=ctc_lin),
        audio_normalizer=SimpleNamespace(sample_rate=16000),
        hparams=SimpleNamespace(blank_index=0, ctc_weight=ctc_weight),
        tokenizer=LabelTokenizer(LABELS, special=1),
    )


def export(monkeypatch, out, recognizer, **options):
    """Exports a recogniser as if an experiment had it."""
    monkeypatch.setattr(deploy, "load_recognizer", lambda *_, **__: recognizer)
    return deploy.export_ctc("experiment", out, streaming=True, **options)


@torch.no_grad()
def whole(recognizer, samples):
    """Scores of all samples at once."""
    mods, x = recognizer.mods, torch.from_numpy(samples) / 32768
    encoded = mods.encoder(x.unsqueeze(0), torch.ones(1))
    return mods.ctc_lin(encoded).log_softmax(-1).numpy()


def noise(length):
    """The loudest comes first."""
    rng = numpy.random.default_rng(length)
    loudness = numpy.geomspace(9000, 300, length)
    return (
        (rng.standard_normal(length) * loudness)
        .clip(-32768, 32767)
        .astype("int32")
    )


def text(scores, join=""):
    """What the best tokens say."""
    ids = filter_ctc_output(scores[0].argmax(-1).tolist(), blank_id=0)
    return join.join(LABELS[i - 1] for i in ids)


@pytest.mark.parametrize(
    "options, opset",
    [({}, 20), ({"rnn_class": SLiGRU, "time_pooling_size": 3}, 18)],
)
def test_the_file_gives_what_the_whole_gives(
    monkeypatch, tmp_path, options, opset
):
    recognizer, out = make(**options), tmp_path / "out"
    assert export(monkeypatch, out, recognizer, opset=opset) < 1e-5
    session = onnxruntime.InferenceSession(out / "model.onnx")
    for length in (1000, CHUNK, 4 * CHUNK, 4 * CHUNK + 1, 7 * CHUNK + 999):
        samples = noise(length)
        want = whole(recognizer, samples)
        for size in (CHUNK, 3 * CHUNK):
            got = run_chunks(session, samples, size)
            assert got.shape == want.shape
            assert numpy.abs(got - want).max() < 1e-4
    # Fewer samples than the network needs: silence is added.
    assert run_chunks(session, noise(10)).shape[1] >= 1
    assert recognized(out, samples) == text(want, " ") != ""


def recognized(out, samples):
    """What an export's own program prints of samples."""
    wav = out.parent / "speech.wav"
    soundfile.write(wav, samples.astype("int16"), 16000)
    done = subprocess.run(
        [sys.executable, "recognize.py", wav],
        cwd=out,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_special_tokens_are_no_text(monkeypatch, tmp_path):
    recognizer, out = make(), tmp_path / "out"
    # The last of three becomes the best of a third of the frames.
    recognizer.tokenizer = LabelTokenizer(LABELS[2:])
    samples, bias = noise(6 * CHUNK), recognizer.mods.ctc_lin.bias
    scores = torch.from_numpy(whole(recognizer, samples))[0]
    with torch.no_grad():
        bias[2] += (scores[:, 3:].amax(1) - scores[:, 2]).quantile(0.37)
    export(monkeypatch, out, recognizer)
    found = whole(recognizer, samples)[0].argmax(-1)
    ids = filter_ctc_output(found.tolist(), blank_id=0)
    assert {2} < set(ids)
    want = recognizer.tokenizer.decode_ids(ids)
    assert recognized(out, samples) == want != ""


def test_sherpa_onnx_reads_it(monkeypatch, tmp_path):
    sherpa_onnx = pytest.importorskip("sherpa_onnx")
    recognizer, out = make(), tmp_path / "out"
    export(monkeypatch, out, recognizer)
    theirs = sherpa_onnx.OnlineRecognizer.from_t_one_ctc(
        model=str(out / "model.onnx"),
        tokens=str(out / "tokens.txt"),
        num_threads=1,
    )
    samples, stream = noise(6 * CHUNK), theirs.create_stream()
    # It multiplies by 32767 and drops what is behind the point.
    wav = (samples + 0.5 * numpy.sign(samples)) / 32767
    stream.accept_waveform(8000, wav.astype("float32"))
    # It takes a chunk once the next has begun.
    stream.accept_waveform(8000, numpy.zeros(CHUNK, "float32"))
    while theirs.is_ready(stream):
        theirs.decode_stream(stream)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    scores = run_chunks(session, samples)
    got = theirs.get_result(stream)
    # The last two frames wait for an end.
    assert got == text(scores[:, :-2]) != ""


@pytest.mark.parametrize(
    "options, words",
    [
        ({"rnn_bidirectional": True}, "--rnn_bidirectional False"),
        ({"norm_type": "sentence"}, "--norm_type global"),
        ({"rnn_class": stock.LSTM}, "rnn_class: got LSTM, expected LiGRU"),
        ({"ctc_weight": 0}, "trained with ctc_weight 0"),
        ({"cnn_kernelsize": (3, 19)}, "samples to come, expected at most"),
        ({"training": True}, "got a part in training mode"),
        ({"opset": 5}, "opset: got 5, expected 18 to"),
    ],
    ids=str,
)
def test_what_can_not_be_streamed(monkeypatch, tmp_path, options, words):
    more = {"opset": options.pop("opset")} if "opset" in options else {}
    training = options.pop("training", False)
    recognizer = make(**options)
    recognizer.mods.encoder.enc.train(training)
    with pytest.raises(ValueError, match=words):
        export(monkeypatch, tmp_path / "out", recognizer, **more)
    assert not list(tmp_path.iterdir())
