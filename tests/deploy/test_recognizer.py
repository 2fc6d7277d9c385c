"""A trained recipe as an ONNX file that needs ONNX Runtime alone."""

import pytest
import torch
from exports import export, recognized
from speechbrain.decoders.ctc import filter_ctc_output

from speechbrain_ligru_fast.deploy.recognizer import export_ctc, main
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer

onnxruntime = pytest.importorskip(
    "onnxruntime", reason="the extra deploy is not installed"
)
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def exported(trained_librispeech, tmp_path_factory):
    """The folder of a recogniser."""
    out = tmp_path_factory.mktemp("exported") / "recognizer"
    assert export_ctc(trained_librispeech, out) < 1e-4
    return out


def greedy(recognizer, samples):
    """What CTC alone finds in torch."""
    encoder, ctc_lin = recognizer.mods.encoder, recognizer.mods.ctc_lin
    with torch.no_grad():
        scores = ctc_lin(encoder(samples.unsqueeze(0), torch.ones(1)))
    blank = recognizer.hparams.blank_index
    ids = filter_ctc_output(scores.argmax(-1)[0].tolist(), blank_id=blank)
    return recognizer.tokenizer.decode_ids(ids).strip()


def test_the_file_recognises_what_the_experiment_does(
    librispeech, trained_librispeech, exported, tmp_path
):
    names = ["README.md", "model.onnx", "recognize.py", "tokens.txt"]
    assert sorted(path.name for path in exported.iterdir()) == names
    readme = (exported / "README.md").read_text("utf-8").splitlines()
    _, convert, _ = (line for line in readme if line.startswith("    "))
    assert "-ar 16000 -ac 1" in convert
    recognizer = load_recognizer(trained_librispeech)
    lines = (exported / "tokens.txt").read_text("utf-8").splitlines()
    blank = recognizer.hparams.blank_index
    assert len(lines) == recognizer.tokenizer.get_piece_size()
    assert lines[blank] == f"<blk> {blank}"
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert facts == {
        "sample_rate": "16000",
        "vocab_size": str(len(lines)),
        "blank_id": str(blank),
        "special_ids": "0 1 2",
    }
    wav = str(next(librispeech.glob("test-*/**/*.flac")))
    samples, mods = recognizer.load_audio(wav), recognizer.mods
    assert recognized(exported, wav) == greedy(recognizer, samples)

    # <s> is no text where it is the best, here of a third of the frames.
    with torch.no_grad():
        scores = mods.ctc_lin(mods.encoder(samples.unsqueeze(0), torch.ones(1)))
        lack = scores[0, :, 2:].amax(1) - scores[0, :, 1]
        mods.ctc_lin.w.bias[1] += lack.quantile(0.37)
    export(tmp_path / "out", recognizer)
    text = greedy(recognizer, samples)
    assert recognized(tmp_path / "out", wav) == text != ""


def test_sherpa_onnx_reads_it(librispeech, trained_librispeech, exported):
    sherpa_onnx = pytest.importorskip("sherpa_onnx")
    theirs = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(exported / "model.onnx"), tokens=str(exported / "tokens.txt")
    )
    recognizer = load_recognizer(trained_librispeech)
    for path in sorted(librispeech.glob("test-*/**/*.flac"))[:3]:
        samples = recognizer.load_audio(str(path))
        stream = theirs.create_stream()
        stream.accept_waveform(16000, samples.numpy())
        theirs.decode_stream(stream)
        # What it does to samples first.
        scale = torch.sqrt(samples.var(correction=0) + 1e-5)
        text = greedy(recognizer, (samples - samples.mean()) / scale)
        assert stream.result.text.strip() == text != ""


def test_what_can_not_be_exported(trained_librispeech, tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "new")]) == 1
    assert "no trained experiment in" in capsys.readouterr().err
    assert main([str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "expected a new folder" in capsys.readouterr().err
    file = tmp_path / "file"
    file.touch()
    asr = str(trained_librispeech)
    for words, options in {
        "expected a new folder": ["--out", str(file / "new")],
        "opset: got 99, expected 18 to": ["--opset", "99"],
        "Train with --rnn_bidirectional False": ["--streaming"],
    }.items():
        assert main([asr, "--out", str(tmp_path / "new"), *options]) == 1
        assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]
