"""The hybrid recipe, end to end, on seconds of audio."""

import re
import shutil

import numpy
import pytest
import torch
from tiny_recipes import QUIET, Interrupted, last_epoch, last_weights, rows

from speechbrain_ligru_fast.hybrid import experiment, streaming, system
from speechbrain_ligru_fast.hybrid.brain import Hybrid

pytestmark = pytest.mark.usefixtures("kaldi")


@pytest.fixture
def train(recipe, librispeech, spelled):
    """Trains in a folder; returns all its rows."""

    def run(folder, *arguments, lexicon=spelled):
        recipe(
            *["hybrid/train.py", "tiny_hybrid.yaml"],
            *["--data_folder", librispeech, "--output_folder", folder],
            *["--lexicon_file", lexicon, *QUIET, *arguments],
        )
        return rows(folder)

    return run


def test_words_are_learned(train, tmp_path, monkeypatch):
    """From a flat start, over a realignment, to the words of new sentences."""
    (row,) = train(tmp_path / "out")
    # Of six words, in other sentences than those that were trained on.
    assert float(row["wer"]) < 40 and row["per"] == ""
    assert row["rnn"] == "SLiGRU" and row["impl"] == "torchscript"
    assert row["lm"] == "2-gram" and row["epochs"] == "24"
    assert row["acoustic_scale"] in ("0.3", "1.0")
    assert float(row["gmm_s"]) > 0 and float(row["train_s"]) > 0
    names = {path.name for path in (tmp_path / "out/save").glob("*.npz")}
    assert names == {
        f"alignment_{turn}_{name}.npz"
        for turn in (0, 1)
        for name in ("train", "valid")
    }
    (texts,) = (tmp_path / "out").glob("texts_test-tiny_2-gram_*.csv")
    assert len(texts.read_text().splitlines()) == 4

    # Tested again, nothing is trained or aligned again; another scale tells.
    for stage in ("train_gmm", "training_graphs"):
        monkeypatch.setattr(system, stage, None)
    _, again = train(tmp_path / "out", "--test_only")
    assert again["wer"] == row["wer"] and again["gmm_s"] == ""
    changed = ["--acoustic_scales", "[0.001]", "--word_penalties", "[0.0]"]
    *_, quiet = train(tmp_path / "out", "--test_only", *changed)
    assert quiet["acoustic_scale"] == "0.001"
    assert float(quiet["wer"]) > float(row["wer"])


def test_words_are_searched_in_the_last_epochs(train, tmp_path):
    out = tmp_path / "out"
    short = ["--number_of_epochs", "3", "--number_of_search_epochs", "2"]
    train(out, *short)
    first, *others = (out / "train_log.txt").read_text().splitlines()[:3]
    assert "valid loss" in first and "WER" not in first
    assert all("valid WER" in line for line in others)
    # Of the two best, none is the first.
    kept = (out / "save").glob("CKPT+*/CKPT.yaml")
    assert sorted("WER" in path.read_text() for path in kept) == [True, True]


def test_words_while_audio_arrives(train, librispeech, tmp_path, capsys):
    out, wav = tmp_path / "out", librispeech / "test-tiny/3/1/3-1-0002.flac"
    one_way = ["--rnn_bidirectional", "False", "--norm_type", "global"]
    train(out, *one_way)
    said = next(out.glob("texts_*.csv")).read_text()
    (whole,) = re.findall("3-1-0002,[A-Z ]*,([A-Z ]*)", said)
    capsys.readouterr()
    streaming.main([str(out), str(wav)])
    heard = re.findall(r"^([\d.]+) s: (.*)$", capsys.readouterr().out, re.M)
    # It ends with what the test had, and knew the first word before.
    assert heard[-1][1] == whole and len(heard) > 2
    first = whole.split()[0]
    assert any(text.split()[:1] == [first] for _, text in heard[:-1])

    both = tmp_path / "both"
    train(both, "--number_of_epochs", "1")
    with pytest.raises(ValueError, match="needs the whole utterance"):
        streaming.main([str(both), str(wav)])


def test_phones_from_labels_by_hand(recipe, timit, tmp_path, monkeypatch):
    """TIMIT: phones are words, and say themselves where they are."""
    monkeypatch.setattr(system, "flat_start", None)
    out = tmp_path / "out"
    recipe(
        *["hybrid/train.py", "tiny_timit_hybrid.yaml", *QUIET],
        *["--data_folder", timit, "--hand_labels", "True"],
        *["--output_folder", out, "--gmm_iterations", "0"],
    )
    (row,) = rows(out)
    assert float(row["per"]) < 60 and row["wer"] == ""
    assert row["lm"] == "2-gram" and row["rnn"] == "LiGRU"
    with numpy.load(out / "save/alignment_0_train.npz") as found:
        assert len(found["keys"]) == 6


@pytest.mark.parametrize("stage", ["alignment", "realignment", "epoch"])
def test_an_interrupted_run_goes_on(train, tmp_path, monkeypatch, stage):
    """Each stage is done once, and the training is the unbroken one."""
    short = ["--number_of_epochs", "4", "--realign_after", "[2]"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def stop(*args, **kwargs):
        raise Interrupted

    with monkeypatch.context() as patch:
        if stage == "alignment":
            patch.setattr(experiment, "_train", stop)
        elif stage == "realignment":
            patch.setattr(Hybrid, "realign", stop)
        else:
            real = Hybrid.on_stage_start

            def stop_later(self, stage, epoch=None):
                real(self, stage, epoch)
                if epoch == 4:
                    raise Interrupted

            patch.setattr(Hybrid, "on_stage_start", stop_later)
        with pytest.raises(Interrupted):
            train(broken, *short)
    # Gaussians are split at random, by a generator of the process.
    (whole / "save").mkdir(parents=True)
    for path in (broken / "save").glob("alignment_0_*.npz"):
        shutil.copy(path, whole / "save")
    monkeypatch.setattr(system, "train_gmm", stop)
    train(broken, *short)
    train(whole, *short)
    assert torch.equal(last_weights(whole), last_weights(broken))
    assert last_epoch(whole) == last_epoch(broken)


def bad_phones(tmp_path):
    """A list of phones that lacks one."""
    path = tmp_path / "bad.phone"
    path.write_text("E F G H I N O R S T U V W X\n")
    return ["--phones_file", path]


def empty_model(tmp_path):
    """An ARPA file of other words."""
    path = tmp_path / "other.arpa"
    path.write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-0.1\tCAT\n\n\\end\\\n")
    return ["--arpa_file", path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (bad_phones, "ZERO has the unknown phone Z; allowed are those of"),
        (empty_model, "an empty language model: .* no word of the lexicon"),
        (["--output_neurons", "51"], "output_neurons=51: the lexicon has 16"),
        (["--hand_labels", "True"], "hand_labels: True with a lexicon_file"),
        (["--lexicon_file", "null"], "lexicon_file: got none, expected a"),
        (["--layout", "kaldi"], "layout must be one of librispeech, timit"),
        (["--max_duration", "0.3"], "longer than max_duration=0.3 s"),
        (["--number_of_search_epochs", "0"], "at least 1, got 0"),
        (
            [
                "--lr_annealing",
                "!new:speechbrain.nnet.schedulers.ReduceLROnPlateau",
            ],
            "lr_annealing needs the error rate of each epoch",
        ),
    ],
)
def test_bad_input_is_refused_before_any_work(
    train, tmp_path, monkeypatch, change, message
):
    monkeypatch.setattr(system, "train_gmm", None)
    if callable(change):
        change = change(tmp_path)
    lexicon = {}
    if change[0] == "--lexicon_file":
        lexicon, change = {"lexicon": change[1]}, []
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "out", *change, **lexicon)


def test_a_word_that_the_lexicon_lacks(train, spelled, tmp_path, monkeypatch):
    monkeypatch.setattr(system, "train_gmm", None)
    lines = spelled.read_text().splitlines()
    path = tmp_path / "bad.dic"
    path.write_text("\n".join(x for x in lines if not x.startswith("NINE")))
    with pytest.raises(ValueError, match="words that the lexicon lacks: NINE"):
        train(tmp_path / "out", lexicon=path)


def test_what_can_not_be_aligned_is_named(train, spelled, tmp_path):
    """A pronunciation that is longer than the audio of its word."""
    lines = spelled.read_text().replace(
        "ZERO Z E R O", "ZERO " + "Z E R O " * 9
    )
    path = tmp_path / "long.dic"
    path.write_text(lines)
    short = ["--number_of_epochs", "1"]
    with pytest.raises(
        ValueError, match="utterances can't be aligned"
    ) as error:
        train(tmp_path / "out", *short, lexicon=path)
    (count,) = re.findall(r": (\d+) of 12 utterances", str(error.value))
    assert 0 < int(count) < 12
    most = ["--max_bad_fraction", "0.9"]
    train(tmp_path / "out", *short, *most, lexicon=path)
    log = (tmp_path / "out" / "log.txt").read_text()
    assert f"flat start: {count} of 12 utterances can't be aligned" in log
