"""The recipes, end to end, on seconds of audio."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import tiny_corpora
import torch
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.inference.ASR import EncoderDecoderASR
from speechbrain.lobes.models.RNNLM import RNNLM
from speechbrain.tokenizers.SentencePiece import SentencePiece
from speechbrain.utils.checkpoints import Checkpointer
from tiny_systems import HPARAMS, tiny

from speechbrain_ligru_fast.asr.metrics import ErrorRate
from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.asr.tokenizer import phone_tokenizer
from speechbrain_ligru_fast.deploy import transcribe
from speechbrain_ligru_fast.deploy.streaming import StreamingRecognizer
from speechbrain_ligru_fast.lobe.sincnet import SincNet

ROOT = Path(__file__).parent.parent
QUIET = ["--device", "cpu", "--noprogressbar", "--backend", "torchscript"]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def logged_epochs(folder):
    log = (folder / "train_log.txt").read_text()
    return [int(n) for n in re.findall(r"^epoch: (\d+)", log, re.MULTILINE)]


def last_epoch(folder):
    """What was logged of the last epoch, but the time it took."""
    log = (folder / "train_log.txt").read_text()
    last = re.findall("^epoch.*", log, re.MULTILINE)[-1]
    return re.sub(r"(train|elapsed) s: \S+", "", last)


def last_model(folder):
    """The weights of the newest checkpoint."""
    newest = Checkpointer(folder / "save").find_checkpoint(max_key="epoch")
    return torch.load(newest.path / "model.ckpt")


def error_rate(recognizer, corpus, references):
    """WER of what the inference interface returns for the test set."""
    metric = ErrorRate("word")
    for name, text in references.items():
        path = next(corpus.rglob(f"{name}.flac"))
        metric.append([name], [text], [recognizer.transcribe_file(str(path))])
    return metric.summarize()


def test_librispeech_killed_and_resumed(
    recipe, librispeech, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "asr"
    arguments = ["--data_folder", librispeech, "--output_folder", folder]
    arguments += [*QUIET, "--ckpt_interval_steps", "1"]

    # Enough epochs not to end before the kill; as many threads as here, for
    # sums depend on them in the last bit.
    command = [sys.executable, "train.py", tiny("tiny_librispeech.yaml")]
    process = subprocess.Popen(
        [*map(str, [*command, *arguments]), "--number_of_epochs", "1000"],
        cwd=ROOT / "recipes" / "LibriSpeech",
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 1200
    log = folder / "train_log.txt"
    while not (log.exists() and "epoch: 2," in log.read_text()):
        assert process.poll() is None, "training ended by itself"
        assert time.monotonic() < deadline, "no second epoch"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()

    done = logged_epochs(folder)
    total = done[-1] + 2
    recipe(
        "LibriSpeech/train.py",
        "tiny_librispeech.yaml",
        *arguments,
        "--number_of_epochs",
        total,
    )
    # The last epoch was logged before its checkpoint was complete, or not.
    resumed = logged_epochs(folder)[len(done) :]
    assert resumed[0] in (done[-1], done[-1] + 1)
    assert resumed == list(range(resumed[0], total + 1))

    # The same as never interrupted: dropout, augmentation and order too.
    whole = tmp_path / "whole"
    arguments[3] = whole
    recipe(
        "LibriSpeech/train.py",
        "tiny_librispeech.yaml",
        *[*arguments, "--number_of_epochs", total],
    )
    arguments[3] = folder
    assert last_epoch(folder) == last_epoch(whole)
    # Not what is exported: which of equally good checkpoints are the best
    # depends on when they were written.
    got, want = (last_model(place) for place in (folder, whole))
    assert all(torch.equal(got[name], want[name]) for name in want)

    (row,) = rows_of(folder / "results.csv")
    assert row["split"] == "test-tiny"
    assert row["lm"] == "none"
    assert (row["rnn"], row["impl"]) == ("SLiGRU", "torchscript")
    assert int(row["epochs"]) == total
    assert float(row["epoch_s"]) > 0 and float(row["decode_rtf"]) > 0
    assert float(row["peak_mb"]) > 100
    assert float(row["cer"]) >= 0 and row["per"] == ""
    assert not any(map(os.path.isabs, shlex.split(row["command"])))

    # What was exported recognises what the test did.
    references = read_texts(folder / "save" / "test-tiny.json", "wrd")
    recognizer = EncoderDecoderASR.from_hparams(
        source=str(folder / "export"), run_opts={"device": "cpu"}
    )
    wer = error_rate(recognizer, librispeech, references)
    assert wer == pytest.approx(float(row["wer"]), abs=0.01)
    # All of it moves to a device, the statistics of its features too.
    moved = EncoderDecoderASR.from_hparams(
        source=str(folder / "export"), run_opts={"device": "meta"}
    )
    found = [p.device.type for p in moved.mods.parameters()]
    found.append(moved.mods["encoder"].normalize.glob_mean.device.type)
    assert set(found) == {"meta"}

    path = next(librispeech.rglob("3-1-0001.flac"))
    capsys.readouterr()
    assert transcribe.main([str(folder), str(path)]) == 0
    text = recognizer.transcribe_file(str(path))
    # Training in this process has set logging up, so there are more lines.
    assert capsys.readouterr().out.splitlines()[-1] == f"{path}: {text}"

    # A language model with the same tokenizer changes the test, not the
    # training, and is exported with it, beside what there is.
    tested = sorted((folder / "export").iterdir())
    test = f"test-tiny_{row['settings']}_{row['test_manifest']}"
    tested += [folder / f"{n}_{test}.txt" for n in ("wer", "cer")]
    tested.append(folder / f"texts_{test}.csv")
    before = [path.read_bytes() for path in tested]
    lm = tmp_path / "lm"
    recipe(
        "LibriSpeech/LM/train.py",
        "tiny_lm.yaml",
        *["--asr_folder", folder, "--output_folder", lm],
        *["--device", "cpu", "--noprogressbar"],
    )
    recipe(
        "LibriSpeech/train.py",
        "tiny_librispeech.yaml",
        *arguments,
        *["--number_of_epochs", total, "--test_only", "--lm_folder", lm],
    )
    row = rows_of(folder / "results.csv")[1]
    assert (row["lm"], int(row["epochs"])) == ("lm", total)
    assert [path.read_bytes() for path in tested] == before
    test = f"test-tiny_lm_{row['settings']}_{row['test_manifest']}"
    assert (folder / f"wer_{test}.txt").exists()
    assert (folder / f"cer_{test}.txt").exists()
    texts = rows_of(folder / f"texts_{test}.csv")
    assert {row["id"]: row["reference"] for row in texts} == references
    recognizer = EncoderDecoderASR.from_hparams(
        source=str(folder / "export_rnnlm"), run_opts={"device": "cpu"}
    )
    assert "rnnlm" in recognizer.mods["decoder"].scorer.full_scorers
    wer = error_rate(recognizer, librispeech, references)
    assert wer == pytest.approx(float(row["wer"]), abs=0.01)

    # A model that validates is a setting too; that of another tokenizer is
    # refused, also where the tokenizer is yet to be trained.
    with pytest.raises(ValueError, match="with other lm_folder. Give"):
        recipe(
            "LibriSpeech/train.py",
            "tiny_librispeech.yaml",
            *[*arguments, "--number_of_epochs", total, "--lm_folder", lm],
        )
    with pytest.raises(ValueError, match="another tokenizer than .*other"):
        recipe(
            "LibriSpeech/train.py",
            "tiny_librispeech.yaml",
            *["--data_folder", librispeech, *QUIET, "--token_type", "bpe"],
            *["--output_folder", tmp_path / "other", "--lm_folder", lm],
        )
    with pytest.raises(FileNotFoundError, match="no checkpoint in .*: train"):
        recipe(
            "LibriSpeech/LM/train.py",
            "tiny_lm.yaml",
            *["--asr_folder", folder, "--output_folder", tmp_path / "new"],
            *["--device", "cpu", "--noprogressbar", "--test_only"],
        )
    assert not (tmp_path / "new" / "lm.ckpt").exists()

    # What differs in the same folder is refused, not claimed by a row.
    with pytest.raises(ValueError, match="with other beam_size, lr. Give"):
        recipe(
            "LibriSpeech/train.py",
            "tiny_librispeech.yaml",
            *[*arguments, "--lr", "9", "--beam_size", "5"],
        )
    with pytest.raises(ValueError, match="with other rnn_neurons. Give"):
        recipe(
            "LibriSpeech/train.py",
            "tiny_librispeech.yaml",
            *[*arguments, "--rnn_neurons", "8", "--test_only"],
        )
    with pytest.raises(ValueError, match="lm/save holds .* other extra_text"):
        recipe(
            "LibriSpeech/LM/train.py",
            "tiny_lm.yaml",
            *["--asr_folder", folder, "--output_folder", lm],
            *["--device", "cpu", "--noprogressbar", "--extra_text", "more"],
        )
    assert len(rows_of(folder / "results.csv")) == 2


def test_tokenizer_and_language_model_of_speechbrain(
    recipe, librispeech, tmp_path
):
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
    command = ["LibriSpeech/train.py", "tiny_librispeech.yaml", *QUIET]
    command += ["--data_folder", librispeech, "--number_of_epochs", 1]
    command += ["--tokenizer_file", tokenizer, "--output_neurons", 17]
    with pytest.raises(ValueError, match="bos_index=1 is none .* 0 and for a"):
        recipe(*command, "--output_folder", tmp_path / "refused")
    command += ["--bos_index", 0, "--eos_index", 0, "--ctc_weight_decode", 0]
    recipe(*command, "--output_folder", tmp_path / "asr", "--lm_folder", lm)
    (row,) = rows_of(tmp_path / "asr" / "results.csv")
    assert row["lm"] == "lm" and float(row["wer"]) > 0


def test_annotations_of_ones_own(recipe, librispeech, tmp_path):
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
    command = ["LibriSpeech/train.py", "tiny_librispeech.yaml", *QUIET]
    command += ["--data_folder", librispeech, "--output_folder", folder]
    command += ["--train_annotation", tmp_path / "train"]
    command += ["--valid_annotation", tmp_path / "dev"]
    command += ["--letter_case", "upper", "--number_of_epochs", 1]
    mine = f"{{mine: {tmp_path / 'test.json'}}}"
    recipe(*command, "--test_annotations", mine)
    (row,) = rows_of(folder / "results.csv")
    assert row["split"] == "mine" and "{mine: .." in row["command"]
    (text,) = rows_of(next(folder.glob("texts_mine_*.csv")))
    assert text["reference"] == "FOUR ONE"
    train = read_texts(folder / "save" / "train.json", "wrd")
    assert len(train) == 12
    assert {*" ".join(train.values()).split()} <= {*tiny_corpora.WORDS}
    # Trained on one's own, tested on a split.
    recipe(*command, "--test_only")
    assert rows_of(folder / "results.csv")[1]["split"] == "test-tiny"


def test_what_can_not_be_tested_is_said_before_training(
    recipe, librispeech, tmp_path
):
    corpus = tmp_path / "corpus"
    shutil.copytree(librispeech, corpus)
    soundfile.write(next(corpus.rglob("3-1-0001.flac")), [0.1] * 20, 16000)
    folder = tmp_path / "asr"
    arguments = ["LibriSpeech/train.py", "tiny_librispeech.yaml", *QUIET]
    arguments += ["--data_folder", corpus, "--output_folder", folder]
    words = "test-tiny.json: 3-1-0001 shorter than the 0.0"
    with pytest.raises(ValueError, match=words):
        recipe(*arguments)
    assert not list((folder / "save").glob("CKPT*"))


def test_timit_with_jit_and_noise(recipe, timit, tmp_path, capsys):
    noise = tmp_path / "noise" / "kind"
    noise.mkdir(parents=True)
    soundfile.write(noise / "n.wav", tiny_corpora.tone(9).numpy(), 16000)
    folder = tmp_path / "asr"
    command = ["TIMIT/train.py", "tiny_timit.yaml", "--data_folder", timit]
    command += ["--output_folder", folder, *QUIET, "--jit"]
    command += ["--noise_folder", noise.parent]
    command += ["--phn_set", 48, "--output_neurons", 51]
    command += ["--results_csv", tmp_path / "shared" / "results.csv"]
    recipe(*command, "--debug")
    assert not list((folder / "save").glob("CKPT*"))
    # What two batches have made is not taken for what was trained.
    assert (folder / "debug" / "export" / "enc.ckpt").is_file()
    assert not list(folder.glob("export*"))
    assert not (folder / "train_log.txt").exists()
    assert not list(folder.glob("per_*"))
    recipe(*command)
    debug, row = rows_of(tmp_path / "shared" / "results.csv")
    assert (row["rnn"], row["impl"]) == ("LiGRU", "torchscript")
    assert debug["settings"] != row["settings"]
    assert float(row["per"]) > 0 and row["wer"] == ""
    assert row["scored"] == "39 phones"
    # The first epoch had no decoder: its checkpoint can't be the best.
    (best,) = (folder / "save").glob("CKPT*")
    assert "PER: " in (best / "CKPT.yaml").read_text()

    assert "n.wav" in (folder / "save" / "noise.csv").read_text()

    path = next(timit.rglob("MTST0/SX0.WAV"))
    capsys.readouterr()
    assert transcribe.main([str(folder), str(path)]) == 0
    _, _, phones = capsys.readouterr().out.splitlines()[-1].partition(": ")
    assert set(phones.split()) <= set(phone_tokenizer(48).labels)


SMALL = [
    *["--number_of_epochs", "1", "--batch_size", "4", "--emb_size", "8"],
    *["--rnn_layers", "1", "--rnn_neurons", "16", "--dnn_neurons", "16"],
    *["--cnn_channels=(4, 4)", "--dec_neurons", "16", "--attn_dim", "8"],
    *["--dnn_blocks", "1", "--beam_size", "2", "--attn_kernel_size", "20"],
]


@pytest.mark.parametrize("corpus", ["timit", "librispeech"])
def test_sincnet(recipe, request, corpus, tmp_path, capsys):
    data = request.getfixturevalue(corpus)
    options = {
        "timit": ["--dev_speakers", "FDEV0", "--test_speakers", "MTST0"],
        "librispeech": [
            *["--train_splits=[train-tiny]", "--dev_splits=[dev-tiny]"],
            *["--test_splits=[test-tiny]", "--output_neurons", "20"],
            *["--dynamic_batching", "False", "--num_workers", "0"],
        ],
    }[corpus]
    script = {"timit": "TIMIT", "librispeech": "LibriSpeech"}[corpus]
    yaml = HPARAMS / f"{corpus}/ligru_fast_sincnet.yaml"
    folder = tmp_path / "asr"
    recipe(
        f"{script}/train.py",
        yaml,
        *["--data_folder", data, "--output_folder", folder, *QUIET, *SMALL],
        *[*options, "--n_mels", "8", "--sinc_stride", "16"],
    )
    (row,) = rows_of(folder / "results.csv")
    assert row["recipe"] == f"{corpus}/ligru_fast_sincnet"
    # The filters moved from where they begin, and are exported.
    state = torch.load(folder / "export" / "enc.ckpt")
    begin = SincNet(filters=8, stride=16).state_dict()
    for name in ("conv.low_hz_", "conv.band_hz_", "norm.weight"):
        assert not torch.equal(state[f"front.{name}"], begin[name]), name
    path = next(data.rglob("*.flac" if corpus == "librispeech" else "*.WAV"))
    assert transcribe.main([str(folder), str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{path}: ")


def test_streaming(recipe, timit, tmp_path, capsys):
    folder = tmp_path / "asr"
    recipe(
        "TIMIT/train.py",
        "tiny_timit.yaml",
        *["--data_folder", timit, "--output_folder", folder, *QUIET],
        *["--rnn_bidirectional", "False", "--number_of_ctc_only_epochs", "0"],
    )
    path = next(timit.rglob("MTST0/SX0.WAV"))
    capsys.readouterr()
    assert transcribe.main([str(folder), str(path)]) == 0
    whole = capsys.readouterr().out.splitlines()[-1]
    command = [str(folder), str(path), "--stream"]
    assert transcribe.main([*command, "--chunk", "0.1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == whole
    seconds = soundfile.info(path).duration
    chunks = -(-seconds // 0.1)
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
