"""The recipes, end to end, on seconds of audio."""

import json
import os
import re
import shlex
import shutil

import pytest
import soundfile
import tiny_corpora
import torch
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.inference.ASR import EncoderDecoderASR
from speechbrain.lobes.models.RNNLM import RNNLM
from speechbrain.tokenizers.SentencePiece import SentencePiece
from tiny_recipes import CPU, rows
from tiny_systems import HPARAMS

from speechbrain_ligru_fast.asr.metrics import ErrorRate
from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.deploy import transcribe
from speechbrain_ligru_fast.deploy.streaming import StreamingRecognizer
from speechbrain_ligru_fast.lobe.sincnet import SincNet
from speechbrain_ligru_fast.recognition.tokenizer import phone_tokenizer
from speechbrain_ligru_fast.training.results import read_rows


@pytest.fixture
def lm_recipe(recipe):
    def run(folder, asr_folder, *arguments):
        command = ["LibriSpeech/LM/train.py", "tiny_lm.yaml", *CPU]
        command += ["--asr_folder", asr_folder, "--output_folder", folder]
        recipe(*command, *arguments)

    return run


def load_export(folder, device="cpu"):
    return EncoderDecoderASR.from_hparams(
        source=str(folder), run_opts={"device": device}
    )


def transcribed(capsys, folder, path, *options):
    """The transcriber's last line; training has set logging up, too."""
    capsys.readouterr()
    assert transcribe.main([str(folder), str(path), *options]) == 0
    return capsys.readouterr().out.splitlines()[-1]


def test_from_a_training_to_a_language_model(
    train, lm_recipe, trained_librispeech, librispeech, tmp_path, capsys
):
    folder = shutil.copytree(trained_librispeech, tmp_path / "asr")
    # Two checkpoints, whose mean is tested and exported
    epochs = ["--number_of_epochs", "2"]
    _, row = train("LibriSpeech", folder, *epochs)
    assert (row["split"], row["lm"]) == ("test-tiny", "none")
    assert (row["rnn"], row["impl"]) == ("SLiGRU", "torchscript")
    assert row["epochs"] == "2"
    assert float(row["epoch_s"]) > 0 and float(row["decode_rtf"]) > 0
    assert float(row["peak_mb"]) > 100
    assert float(row["cer"]) >= 0 and row["per"] == ""
    assert not any(map(os.path.isabs, shlex.split(row["command"])))

    # What was exported recognises what the test did.
    references = read_texts(folder / "save" / "test-tiny.json", "wrd")
    recognizer = load_export(folder / "export")

    def check_error_rate(recognizer, row):
        metric = ErrorRate("word")
        for name, text in references.items():
            path = str(next(librispeech.rglob(f"{name}.flac")))
            metric.append([name], [text], [recognizer.transcribe_file(path)])
        assert metric.summarize() == pytest.approx(float(row["wer"]), abs=0.01)

    check_error_rate(recognizer, row)
    path = next(librispeech.rglob("3-1-0001.flac"))
    text = recognizer.transcribe_file(str(path))
    assert transcribed(capsys, folder, path) == f"{path}: {text}"
    # All of it moves to a device, the statistics of its features too.
    moved = load_export(folder / "export", "meta").mods
    found = [p.device.type for p in moved.parameters()]
    found.append(moved["encoder"].normalize.glob_mean.device.type)
    assert set(found) == {"meta"}

    # A language model with the same tokenizer changes the test, not the
    # training, and is exported with it, beside what there is.
    def files_of(test):
        names = [f"{x}_{test}" for x in ("wer", "cer", "texts")]
        return [next(folder.glob(f"{name}.*")) for name in names]

    test = f"{row['settings']}_{row['test_manifest']}"
    tested = sorted((folder / "export").iterdir())
    tested += files_of(f"test-tiny_{test}")
    before = [path.read_bytes() for path in tested]
    lm = tmp_path / "lm"
    lm_recipe(lm, folder)
    with_lm = [*epochs, "--lm_folder", lm]
    *_, row = train("LibriSpeech", folder, *with_lm, "--test_only")
    assert (row["lm"], row["epochs"]) == ("lm", "2")
    assert [path.read_bytes() for path in tested] == before
    *_, texts = files_of(f"test-tiny_lm_{row['settings']}_*")
    said = {text["id"]: text["reference"] for text in read_rows(texts)[1]}
    assert said == references
    recognizer = load_export(folder / "export_rnnlm")
    assert "rnnlm" in recognizer.mods["decoder"].scorer.full_scorers
    check_error_rate(recognizer, row)

    # One that validates is a setting, whose change no row may claim.
    with pytest.raises(ValueError, match="with other lm_folder. Give"):
        train("LibriSpeech", folder, *with_lm)
    with pytest.raises(ValueError, match="lm/save holds .* other extra_text"):
        lm_recipe(lm, folder, "--extra_text", "more")
    assert len(rows(folder)) == 3
    # So is that of another tokenizer, also where it is yet to be trained.
    with pytest.raises(ValueError, match="another tokenizer than .*other"):
        other = ["--token_type", "bpe", "--lm_folder", lm]
        train("LibriSpeech", tmp_path / "other", *other)
    with pytest.raises(FileNotFoundError, match="no checkpoint in .*: train"):
        lm_recipe(tmp_path / "new", folder, "--test_only")
    assert not (tmp_path / "new" / "lm.ckpt").exists()


def test_tokenizer_and_language_model_of_speechbrain(train, tmp_path):
    """Its blank, begin, end and unknown are one id, 0."""
    texts = {"a": {"wrd": " ".join(tiny_corpora.WORDS)}}
    (tmp_path / "train.json").write_text(json.dumps(texts))
    SentencePiece(
        *(str(tmp_path), 17, str(tmp_path / "train.json"), "wrd", "char"),
        annotation_format="json",
    )
    lm = tmp_path / "lm"
    lm.mkdir()
    tokenizer = lm / "tokenizer.ckpt"
    (tmp_path / "17_char.model").rename(tokenizer)
    sizes = {"embedding_dim": 4, "rnn_neurons": 8, "dnn_neurons": 8}
    model = RNNLM(17, **sizes)
    torch.save(model.state_dict(), lm / "lm.ckpt")
    options = "".join(f"   {key}: {size}\n" for key, size in sizes.items())
    (lm / "lm.yaml").write_text(
        "model: !new:speechbrain.lobes.models.RNNLM.RNNLM\n"
        "   output_neurons: 17\n   return_hidden: True\n" + options
    )
    given = ["--number_of_epochs", 1, "--output_neurons", 17]
    given += ["--tokenizer_file", tokenizer]
    with pytest.raises(ValueError, match="bos_index=1 is none .* 0 and for a"):
        train("LibriSpeech", tmp_path / "refused", *given)
    given += ["--bos_index", 0, "--eos_index", 0, "--ctc_weight_decode", 0]
    given += ["--lm_folder", lm]
    (row,) = train("LibriSpeech", tmp_path / "asr", *given)
    assert row["lm"] == "lm" and float(row["wer"]) > 0


def test_annotations_of_ones_own(train, librispeech, tmp_path):
    """Kaldi folders and a JSON file, in lower case; the audio is elsewhere."""
    for name in ("train", "dev"):
        folder = tmp_path / name
        folder.mkdir()
        split = librispeech / f"{name}-tiny"
        said = next(split.rglob("*.trans.txt")).read_text().lower()
        (folder / "text").write_text(said)
        lines = [
            f"{path.stem} {path.relative_to(librispeech)}\n"
            for path in sorted(split.rglob("*.flac"))
        ]
        (folder / "wav.scp").write_text("".join(lines))
    wav = str(next((librispeech / "test-tiny").rglob("*.flac")))
    items = {"a": {"wav": wav, "wrd": "four one"}}
    (tmp_path / "test.json").write_text(json.dumps(items))
    folder = tmp_path / "asr"
    given = ["--letter_case", "upper", "--number_of_epochs", 1]
    given += ["--train_annotation", tmp_path / "train"]
    given += ["--valid_annotation", tmp_path / "dev"]
    mine = f"{{mine: {tmp_path / 'test.json'}}}"
    tests = ["--test_annotations", mine]
    (row,) = train("LibriSpeech", folder, *given, *tests)
    assert row["split"] == "mine" and "{mine: .." in row["command"]
    (text,) = read_rows(next(folder.glob("texts_mine_*.csv")))[1]
    assert text["reference"] == "FOUR ONE"
    texts = read_texts(folder / "save" / "train.json", "wrd")
    assert len(texts) == 12
    assert {*" ".join(texts.values()).split()} <= {*tiny_corpora.WORDS}
    # Trained on one's own, tested on a split.
    _, row = train("LibriSpeech", folder, *given, "--test_only")
    assert row["split"] == "test-tiny"


def test_what_can_not_be_tested_is_said_before_training(
    train, librispeech, tmp_path
):
    corpus = tmp_path / "corpus"
    shutil.copytree(librispeech, corpus)
    soundfile.write(next(corpus.rglob("3-1-0001.flac")), [0.1] * 20, 16000)
    words = "test-tiny.json: 3-1-0001 shorter than the 0.0"
    with pytest.raises(ValueError, match=words):
        train("LibriSpeech", tmp_path / "asr", data=corpus)
    assert not list((tmp_path / "asr" / "save").glob("CKPT*"))


def test_timit_with_jit_and_noise(train, timit, tmp_path, capsys):
    noise = tmp_path / "noise" / "kind"
    noise.mkdir(parents=True)
    soundfile.write(noise / "n.wav", tiny_corpora.tone(9).numpy(), 16000)
    folder = tmp_path / "asr"
    given = ["--jit", "--noise_folder", noise.parent]
    given += ["--phn_set", 48, "--output_neurons", 51]
    given += ["--results_csv", folder / "results.csv"]
    train("TIMIT", folder, *given, "--debug")
    assert not list((folder / "save").glob("CKPT*"))
    # What two batches have made is not taken for what was trained.
    assert (folder / "debug" / "export" / "enc.ckpt").is_file()
    assert not list(folder.glob("export*"))
    assert not (folder / "train_log.txt").exists()
    assert not list(folder.glob("per_*"))
    debug, row = train("TIMIT", folder, *given)
    assert (row["rnn"], row["impl"]) == ("LiGRU", "torchscript")
    assert debug["settings"] != row["settings"]
    assert float(row["per"]) > 0 and row["wer"] == ""
    assert row["scored"] == "39 phones"
    # The first epoch had no decoder: its checkpoint can't be the best.
    (best,) = (folder / "save").glob("CKPT*")
    assert "PER: " in (best / "CKPT.yaml").read_text()

    assert "n.wav" in (folder / "save" / "noise.csv").read_text()

    path = next(timit.rglob("MTST0/SX0.WAV"))
    _, _, phones = transcribed(capsys, folder, path).partition(": ")
    assert set(phones.split()) <= set(phone_tokenizer(48).labels)


SMALL = [
    *["--number_of_epochs", "1", "--batch_size", "4", "--emb_size", "8"],
    *["--rnn_layers", "1", "--rnn_neurons", "16", "--dnn_neurons", "16"],
    *["--cnn_channels=(4, 4)", "--dec_neurons", "16", "--attn_dim", "8"],
    *["--dnn_blocks", "1", "--beam_size", "2", "--attn_kernel_size", "20"],
    *["--n_mels", "8", "--sinc_stride", "16"],
]
OWN = {
    "TIMIT": ["--dev_speakers", "FDEV0", "--test_speakers", "MTST0"],
    "LibriSpeech": [
        *["--train_splits=[train-tiny]", "--dev_splits=[dev-tiny]"],
        *["--test_splits=[test-tiny]", "--output_neurons", "20"],
        *["--dynamic_batching", "False", "--num_workers", "0"],
    ],
}


@pytest.mark.parametrize("corpus", OWN)
def test_sincnet(train, request, corpus, tmp_path, capsys):
    data, folder = request.getfixturevalue(corpus.lower()), tmp_path / "asr"
    yaml = HPARAMS / f"{corpus.lower()}/ligru_fast_sincnet.yaml"
    (row,) = train(corpus, folder, *SMALL, *OWN[corpus], yaml=yaml)
    assert row["recipe"] == f"{corpus.lower()}/ligru_fast_sincnet"
    # The filters moved from where they begin, and are exported.
    state = torch.load(folder / "export" / "enc.ckpt")
    begin = SincNet(filters=8, stride=16).state_dict()
    for name in ("conv.low_hz_", "conv.band_hz_", "norm.weight"):
        assert not torch.equal(state[f"front.{name}"], begin[name]), name
    path = next(p for p in data.rglob("*.*") if p.suffix in (".flac", ".WAV"))
    assert transcribed(capsys, folder, path).startswith(f"{path}: ")


def test_streaming(train, timit, tmp_path, capsys):
    folder = tmp_path / "asr"
    given = ["--rnn_bidirectional", "False", "--number_of_ctc_only_epochs", "0"]
    train("TIMIT", folder, *given)
    path = next(timit.rglob("MTST0/SX0.WAV"))
    whole = transcribed(capsys, folder, path)
    command = [str(folder), str(path), "--stream", "--chunk", "0.1"]
    assert transcribe.main(command) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == whole
    chunks = -(-soundfile.info(path).duration // 0.1)
    assert len(re.findall(r"^ +\d\.\d\d s  ", out, re.MULTILINE)) == chunks
    assert f"{chunks:.0f} chunks, " in err and "look-ahead 0.0" in err

    # Its encoder gives that of the whole, the loudest part coming first, and
    # before the end its text is CTC's of the frames so far. Trained for two
    # epochs, CTC would say nothing yet.
    recognizer = transcribe.load_recognizer(folder)
    blank = recognizer.hparams.blank_index
    with torch.no_grad():
        recognizer.mods.ctc_lin.w.bias[blank] -= 100
    wav = recognizer.load_audio(str(path)).unsqueeze(0)[:, 960:]
    wav = wav * torch.logspace(0, -1, wav.shape[1])
    with torch.no_grad():
        want = recognizer.encode_batch(wav, torch.ones(1))
        p_ctc = recognizer.mods.ctc_lin(want)
    streaming = StreamingRecognizer(recognizer)
    texts = []
    for start in range(0, wav.shape[1], 1000):
        last = start + 1000 >= wav.shape[1]
        texts.append(streaming.feed(wav[0, start : start + 1000], last))
        frames = sum(part.shape[1] for part in streaming._encoded)
        if frames and not last:
            (ids,) = ctc_greedy_decode(p_ctc[:, :frames], torch.ones(1), blank)
            assert texts[-1] == recognizer.tokenizer.decode_ids(ids) != ""
    assert len(set(texts[:-1])) > 1
    got = torch.cat(streaming._encoded, 1)
    assert torch.allclose(got, want, atol=1e-4)

    short = tmp_path / "short.wav"
    soundfile.write(short, [0.1] * 10, 16000)
    for more in ([], ["--stream"]):
        assert transcribe.main([str(folder), str(short), *more]) == 1
        assert "short.wav: shorter than the 0.0" in capsys.readouterr().err

    slow = tmp_path / "slow.wav"
    soundfile.write(slow, [0.0] * 800, 8000)
    assert transcribe.main([str(folder), str(slow), "--stream"]) == 1
    assert "has 8000 samples a second" in capsys.readouterr().err
