"""Chunks through ONNX Runtime give what the whole recording gives."""

import functools

import numpy
import pytest
import soundfile
import torch
from exports import export, recognized, untrained
from speechbrain.decoders.ctc import filter_ctc_output
from speechbrain.nnet import RNN as stock

from speechbrain_ligru_fast import SLiGRU
from speechbrain_ligru_fast.deploy.chunks import CHUNK, run_chunks
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

onnxruntime = pytest.importorskip(
    "onnxruntime", reason="the extra deploy is not installed"
)
pytest.importorskip("onnxscript")
LABELS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
make = functools.partial(
    untrained,
    LABELS,
    seed=1,  # Several tokens are the best somewhere.
    activation=torch.nn.LeakyReLU,
    using_2d_pooling=True,
    time_pooling=True,
)
export = functools.partial(export, streaming=True)


@torch.no_grad()
def whole(recognizer, samples):
    """Scores of all samples at once."""
    mods, x = recognizer.mods, torch.from_numpy(samples) / 32768
    encoded = mods.encoder(x.unsqueeze(0), torch.ones(1))
    return mods.ctc_lin(encoded).log_softmax(-1).numpy()


def noise(length):
    """The loudest comes first."""
    noise = numpy.random.default_rng(length).standard_normal(length)
    loud = noise * numpy.geomspace(9000, 300, length)
    return loud.clip(-32768, 32767).astype("int32")


def text(scores, join=""):
    """What the best tokens say."""
    ids = filter_ctc_output(scores[0].argmax(-1).tolist(), blank_id=0)
    return join.join(LABELS[i - 1] for i in ids)


@pytest.mark.parametrize(
    "options, opset",
    [({}, 20), ({"rnn_class": SLiGRU, "time_pooling_size": 3}, 18)],
)
def test_the_file_gives_what_the_whole_gives(tmp_path, options, opset):
    recognizer, out = make(**options), tmp_path / "out"
    assert export(out, recognizer, opset=opset) < 1e-5
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
    assert heard(out, samples) == text(want, " ") != ""


def heard(out, samples):
    """What an export's own program prints of samples."""
    wav = out.parent / "speech.wav"
    soundfile.write(wav, samples.astype("int16"), 16000)
    return recognized(out, wav)


def test_special_tokens_are_no_text(tmp_path):
    recognizer, out = make(), tmp_path / "out"
    # The last of three becomes the best of a third of the frames.
    recognizer.tokenizer = LabelTokenizer(LABELS[2:])
    samples, bias = noise(6 * CHUNK), recognizer.mods.ctc_lin.bias
    scores = torch.from_numpy(whole(recognizer, samples))[0]
    with torch.no_grad():
        bias[2] += (scores[:, 3:].amax(1) - scores[:, 2]).quantile(0.37)
    export(out, recognizer)
    found = whole(recognizer, samples)[0].argmax(-1)
    ids = filter_ctc_output(found.tolist(), blank_id=0)
    assert {2} < set(ids)
    want = recognizer.tokenizer.decode_ids(ids)
    assert heard(out, samples) == want != ""


def test_sherpa_onnx_reads_it(tmp_path):
    sherpa_onnx = pytest.importorskip("sherpa_onnx")
    recognizer, out = make(), tmp_path / "out"
    export(out, recognizer)
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
def test_what_can_not_be_streamed(tmp_path, options, words):
    more = {"opset": options.pop("opset")} if "opset" in options else {}
    training = options.pop("training", False)
    recognizer = make(**options)
    recognizer.mods.encoder.enc.train(training)
    with pytest.raises(ValueError, match=words):
        export(tmp_path / "out", recognizer, **more)
    assert not list(tmp_path.iterdir())
