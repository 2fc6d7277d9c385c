"""From manifests to batches: what training could not use is refused."""

import json
import logging
import pickle

import pytest
import soundfile
import speechbrain as sb
import tiny_corpora
import torch
from speechbrain.dataio.dataloader import make_dataloader

from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

TRAIN, VALID, TEST = sb.Stage.TRAIN, sb.Stage.VALID, sb.Stage.TEST


@pytest.fixture
def manifest(tmp_path):
    """12 utterances of 0.1 to 1.2 s."""
    items = {}
    for i, text in enumerate(tiny_corpora.texts(12, seed=1)):
        wave = tiny_corpora.tone(i, seconds=(12 - i) / 10)
        soundfile.write(tmp_path / f"{i}.wav", wave.numpy(), 16000)
        items[f"u{i:02}"] = {
            "wav": f"{{data_root}}/{i}.wav",
            "duration": (12 - i) / 10,
            "wrd": text,
        }
    (tmp_path / "train.json").write_text(json.dumps(items))
    return tmp_path / "train.json"


@pytest.fixture
def hparams(tmp_path):
    return {
        "data_folder": str(tmp_path),
        "seed": 3,
        "text": "wrd",
        "tokenizer": LabelTokenizer(tiny_corpora.WORDS),
        "bos_index": 1,
        "eos_index": 2,
        "sample_rate": 16000,
        "sorting": "ascending",
        "max_duration": 30.0,
        "max_bad_fraction": 0.05,
        "feats_hop_size": 0.01,
        "dynamic_batching": False,
        "dynamic_batch_sampler": {"max_batch_length": 300, "num_buckets": 3},
        "train_dataloader_opts": {"batch_size": 4, "num_workers": 0},
    }


def say(manifest, text):
    """Changes what is said in u03."""
    items = json.loads(manifest.read_text())
    items["u03"]["wrd"] = text
    manifest.write_text(json.dumps(items))


def test_items(hparams, manifest):
    dataset = make_dataset(manifest, hparams, TRAIN)
    durations = [dataset.data[name]["duration"] for name in dataset.data_ids]
    assert durations == sorted(durations) and len(durations) == 12
    item = dataset[0]
    ids = hparams["tokenizer"].encode_as_ids(item["text"])
    assert item["tokens"].tolist() == ids
    assert item["tokens_bos"].tolist() == [1, *ids]
    assert item["tokens_eos"].tolist() == [*ids, 2]
    assert len(item["sig"]) == 1600
    hparams["sample_rate"] = 8000
    assert len(make_dataset(manifest, hparams, TRAIN)[0]["sig"]) == 800


@pytest.mark.parametrize("dynamic", [False, True])
def test_every_utterance_once(hparams, manifest, dynamic):
    hparams |= {"dynamic_batching": dynamic, "sorting": "random"}
    dataset = make_dataset(manifest, hparams, TRAIN)
    options = loader_options(dataset, hparams, TRAIN)
    # Processes that load data may not be forked, but sent all of it.
    dataset, options = pickle.loads(pickle.dumps((dataset, options)))
    batches = make_dataloader(dataset, **options)
    seen = [name for batch in batches for name in batch.id]
    assert sorted(seen) == sorted(dataset.data_ids) and len(seen) == 12


def test_dynamic_batches_change_with_the_epoch(train, tmp_path, monkeypatch):
    """Of a training that learns nothing; SpeechBrain tells it the epoch."""
    seen = {}

    def fit_batch(self, batch):
        epoch = self.hparams.epoch_counter.current
        seen.setdefault(epoch, []).append(tuple(batch.id))
        return torch.tensor(0.0)

    monkeypatch.setattr(ASR, "fit_batch", fit_batch)
    train(
        *["LibriSpeech", tmp_path / "asr", "--norm_type", "sentence"],
        *["--number_of_epochs", 4, "--number_of_ctc_only_epochs", "0"],
        *["--dynamic_batching", "True", "--max_batch_length", "300"],
    )
    batches = list(seen.values())
    assert len(batches) == 4
    assert len(set(map(frozenset, batches))) > 1
    assert len(set(map(tuple, batches))) == 4


def test_each_seed_has_its_own_order(hparams, manifest):
    """Of dynamic batches; DataLoader's own order SpeechBrain sees to."""
    hparams |= {"dynamic_batching": True}
    dataset = make_dataset(manifest, hparams, TRAIN)

    def orders(of, **given):
        given = hparams["dynamic_batch_sampler"] | given
        options = hparams | {"seed": of, "dynamic_batch_sampler": given}
        sampler = loader_options(dataset, options, TRAIN)["batch_sampler"]
        found = []
        for epoch in range(1, 4):
            sampler.set_epoch(epoch)
            found.append(tuple(tuple(batch) for batch in sampler))
        return found

    assert orders(1) == orders(1)
    assert not set(orders(1)) & set(orders(2))
    assert orders(1, seed=7) == orders(2, seed=7)


def test_unknown_words(hparams, manifest, caplog):
    say(manifest, "ÉTÉ")
    for stage in (TRAIN, VALID):
        with pytest.raises(ValueError, match=r"\['ÉTÉ'\].* in u03"):
            make_dataset(manifest, hparams, stage)
    with caplog.at_level(logging.WARNING):
        make_dataset(manifest, hparams, TEST)
    assert "'ÉTÉ'" in caplog.text


def test_braces_and_marks_in_a_manifest(hparams, manifest):
    say(manifest, "{root} {")
    manifest.write_bytes("\ufeff".encode() + manifest.read_bytes())
    dataset = make_dataset(manifest, hparams, TEST)
    (item,) = [i for i in dataset if i["id"] == "u03"]
    assert item["text"] == "{root} {"


@pytest.mark.parametrize(
    "limit, shortest, allowed, kept, words",
    [
        (0.55, 0, 0.9, 5, "7 of 12 utterances are longer than max_duration"),
        (30.0, 0.35, 0.9, 9, "3 of 12 utterances are shorter than the 0.35"),
        (0.65, 0.25, 0.7, 4, "6 of .* longer .*; 2 of 12 utterances are short"),
        # An utterance that is both counts once.
        (0.65, 0.85, 0.99, 0, "6 of .* longer .*; 8 .* leaves none to train o"),
        (0.01, 0, 1, 0, "12 of 12 utterances are longer .*, which leaves none"),
    ],
)
def test_what_is_left_out(
    hparams, manifest, limit, shortest, allowed, kept, words, caplog
):
    hparams |= {"max_duration": limit, "max_bad_fraction": allowed}
    if kept:
        with caplog.at_level(logging.WARNING):
            dataset = make_dataset(manifest, hparams, TRAIN, shortest)
        assert len(dataset) == kept
        assert all(part in caplog.text for part in words.split(".*")[:1])
        hparams["max_bad_fraction"] = (12 - kept - 1) / 12
        words += ".* more than max_bad_fraction"
    with pytest.raises(ValueError, match=f"train.json: .*{words}"):
        make_dataset(manifest, hparams, TRAIN, shortest)


def test_what_is_tested_stays_whole(hparams, manifest):
    hparams |= {"max_duration": 0.5, "speeds": [90, 110]}
    assert len(make_dataset(manifest, hparams, TEST, 0.095)) == 12
    for stage in (VALID, TEST):
        words = "train.json: u11 shorter than the 0.1050 s"
        with pytest.raises(ValueError, match=words):
            make_dataset(manifest, hparams, stage, 0.105)


def test_what_is_trained_on_may_be_sped_up(hparams, manifest):
    hparams |= {"max_bad_fraction": 0.9, "speeds": [90, 110]}
    assert len(make_dataset(manifest, hparams, TRAIN, 0.095)) == 11
    assert len(make_dataset(manifest, hparams, TRAIN, 0.085)) == 12


@pytest.mark.parametrize(
    "given, words",
    [
        *(({"max_duration": x}, f"max_dur.* {x!r}") for x in (None, "abc", 0)),
        ({"sorting": "asc"}, "sorting must be one of .*'asc'"),
    ],
)
def test_settings(hparams, manifest, given, words):
    with pytest.raises(ValueError, match=words):
        make_dataset(manifest, hparams | given, TRAIN)
