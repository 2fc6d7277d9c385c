"""What training could not use is refused, by name."""

import json
import logging
import os
import pickle

import pytest
import sentencepiece
import soundfile
import speechbrain as sb
import tiny_corpora
import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.preprocess import AudioNormalizer
from speechbrain.utils.train_logger import FileTrainLogger

from speechbrain_ligru_fast.asr.audio import AudioReader
from speechbrain_ligru_fast.asr.before import check_before
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.asr.tokenizer import (
    LabelTokenizer,
    phone_tokenizer,
    prepare_tokenizer,
)

TRAIN, VALID, TEST = sb.Stage.TRAIN, sb.Stage.VALID, sb.Stage.TEST


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    corpus = tiny_corpora.make_librispeech(folder / "corpus")
    prepare_librispeech(
        corpus, folder, ["train-tiny"], ["dev-tiny"], ["test-tiny"]
    )
    return folder


@pytest.fixture
def hparams(prepared):
    letters = sorted(set("".join(tiny_corpora.WORDS)))
    return {
        "data_folder": str(prepared / "corpus"),
        "train_annotation": str(prepared / "train.json"),
        "text": "wrd",
        "tokenizer": LabelTokenizer([*tiny_corpora.WORDS, *letters]),
        "bos_index": 1,
        "eos_index": 2,
        "sample_rate": 16000,
        "sorting": "ascending",
        "max_duration": 30.0,
        "max_bad_fraction": 0.05,
        "feats_hop_size": 0.01,
        "dynamic_batching": False,
        "dynamic_batch_sampler": {"max_batch_length": 200, "num_buckets": 3},
        "train_dataloader_opts": {"batch_size": 4, "num_workers": 0},
    }


def changed(prepared, tmp_path, change):
    """A copy of the training manifest, changed."""
    items = json.loads((prepared / "train.json").read_text())
    change(items)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(items))
    return path


def test_items(hparams, prepared):
    dataset = make_dataset(prepared / "train.json", hparams, TRAIN)
    durations = [dataset.data[name]["duration"] for name in dataset.data_ids]
    assert durations == sorted(durations) and len(durations) == 12
    item = dataset[0]
    ids = hparams["tokenizer"].encode_as_ids(item["text"])
    assert item["tokens"].tolist() == ids
    assert item["tokens_bos"].tolist() == [1, *ids]
    assert item["tokens_eos"].tolist() == [*ids, 2]
    assert len(item["sig"]) == round(durations[0] * 16000)


@pytest.mark.parametrize("dynamic", [False, True])
def test_every_utterance_once(hparams, prepared, dynamic):
    hparams |= {"dynamic_batching": dynamic, "sorting": "random"}
    dataset = make_dataset(prepared / "train.json", hparams, TRAIN)
    options = loader_options(dataset, hparams, TRAIN)
    seen = [
        name
        for batch in make_dataloader(dataset, **options)
        for name in batch.id
    ]
    assert sorted(seen) == sorted(dataset.data_ids)


def test_missing_and_empty_manifest(hparams, tmp_path):
    with pytest.raises(FileNotFoundError, match="no manifest .*none.json"):
        make_dataset(tmp_path / "none.json", hparams, TRAIN)
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(ValueError, match="empty.json holds no utterance"):
        make_dataset(tmp_path / "empty.json", hparams, TRAIN)


@pytest.mark.parametrize("stage", [TRAIN, VALID, TEST])
def test_empty_transcript(hparams, prepared, tmp_path, stage):
    def change(items):
        items["1-1-0003"]["wrd"] = " "

    path = changed(prepared, tmp_path, change)
    with pytest.raises(ValueError, match="empty transcript 'wrd' for 1-1-0003"):
        make_dataset(path, hparams, stage)


def test_no_phones(hparams, prepared):
    hparams["text"] = "phn"
    with pytest.raises(ValueError, match="no 'phn' for 1-1-0000, .* 7 more"):
        make_dataset(prepared / "train.json", hparams, TRAIN)


def test_unknown_characters(hparams, prepared, tmp_path, caplog):
    def change(items):
        items["1-1-0003"]["wrd"] = "ÉTÉ"

    path = changed(prepared, tmp_path, change)
    for stage in (TRAIN, VALID):
        with pytest.raises(ValueError, match=r"\['ÉTÉ'\].* in 1-1-0003"):
            make_dataset(path, hparams, stage)
    with caplog.at_level(logging.WARNING):
        make_dataset(path, hparams, TEST)
    assert "'ÉTÉ'" in caplog.text


def test_unknown_characters_of_sub_words(hparams, prepared, tmp_path):
    hparams |= {
        "tokenizer_file": str(tmp_path / "tokenizer.model"),
        "output_neurons": 24,
        "token_type": "unigram",
        "blank_index": 0,
        "seed": 1,
        "save_folder": str(tmp_path),
        "trains_in_folder": True,
    }
    prepare_tokenizer(hparams)
    tokenizer = sentencepiece.SentencePieceProcessor()
    tokenizer.Load(hparams["tokenizer_file"])
    assert tokenizer.get_piece_size() == 24
    assert (tokenizer.unk_id(), tokenizer.bos_id(), tokenizer.eos_id()) == (
        0,
        1,
        2,
    )
    hparams["tokenizer"] = tokenizer
    for text in read_texts(prepared / "train.json", "wrd").values():
        assert tokenizer.decode_ids(tokenizer.encode_as_ids(text)) == text

    def change(items):
        items["1-1-0003"]["wrd"] = "TWO ÉTÉ"

    path = changed(prepared, tmp_path, change)
    with pytest.raises(ValueError, match=r"\['É', 'É'\]|\['É'\].*1-1-0003"):
        make_dataset(path, hparams, TRAIN)

    hparams |= {
        "output_neurons": 900,
        "tokenizer_file": str(tmp_path / "more.model"),
    }
    with pytest.raises(ValueError, match="output_neurons=900 does not suit"):
        prepare_tokenizer(hparams)
    assert not (tmp_path / "more.model").exists()


def test_too_long(hparams, prepared, caplog):
    hparams |= {"max_duration": 0.5, "max_bad_fraction": 0.9}
    with caplog.at_level(logging.WARNING):
        dataset = make_dataset(prepared / "train.json", hparams, TRAIN)
    assert 0 < len(dataset) < 12
    assert f"{12 - len(dataset)} of 12" in caplog.text
    # What is tested stays whole.
    assert len(make_dataset(prepared / "train.json", hparams, TEST)) == 12
    hparams["max_bad_fraction"] = 0.05
    with pytest.raises(ValueError, match="longer than max_duration=0.5"):
        make_dataset(prepared / "train.json", hparams, TRAIN)


def test_none_is_short_enough(hparams, prepared):
    hparams |= {"max_duration": 0.01, "max_bad_fraction": 1}
    words = "12 of 12 utterances are longer .*, which leaves none to train on"
    with pytest.raises(ValueError, match=words):
        make_dataset(prepared / "train.json", hparams, TRAIN)


def test_too_long_and_too_short_count_together(hparams, prepared):
    path = prepared / "train.json"
    durations = sorted(
        item["duration"] for item in json.loads(path.read_text()).values()
    )
    low, high = durations[5], durations[6]
    assert low < high
    hparams |= {"max_duration": (low + high) / 2, "max_bad_fraction": 0.6}
    assert len(make_dataset(path, hparams, TRAIN)) == 6
    words = "6 of 12 utterances are longer .*; . of 12 utterances are shorter "
    with pytest.raises(ValueError, match=words + ".* more than max_bad_fracti"):
        make_dataset(path, hparams, TRAIN, (durations[1] + durations[2]) / 2)
    hparams["max_bad_fraction"] = 1
    with pytest.raises(ValueError, match=words + ".* leaves none to train on"):
        make_dataset(path, hparams, TRAIN, (low + high) / 2)


@pytest.mark.parametrize("given", [None, "abc", 0])
def test_the_limit_is_a_number(hparams, prepared, given):
    hparams["max_duration"] = given
    with pytest.raises(ValueError, match=f"max_duration must .*{given!r}"):
        make_dataset(prepared / "train.json", hparams, TRAIN)


def test_too_short(hparams, prepared, caplog):
    hparams |= {"max_bad_fraction": 0.9, "speeds": [90, 110]}
    path = prepared / "train.json"
    durations = sorted(
        item["duration"] for item in json.loads(path.read_text()).values()
    )
    # Perturbed, the shortest would be too short.
    dataset = make_dataset(path, hparams, TRAIN, durations[0] / 1.05)
    assert len(dataset) < 12
    assert f"{12 - len(dataset)} of 12 utterances are short" in caplog.text
    make_dataset(path, hparams, TEST, durations[0] / 1.05)
    with pytest.raises(ValueError, match="train.json: .* shorter than the"):
        make_dataset(path, hparams, TEST, durations[0] * 1.05)


def test_unknown_sorting(hparams, prepared):
    hparams["sorting"] = "asc"
    with pytest.raises(ValueError, match="sorting must be one of .*'asc'"):
        make_dataset(prepared / "train.json", hparams, TRAIN)


def test_another_sample_rate(hparams, prepared):
    want = make_dataset(prepared / "train.json", hparams, TRAIN)[0]["sig"]
    hparams["sample_rate"] = 8000
    got = make_dataset(prepared / "train.json", hparams, TRAIN)[0]["sig"]
    assert len(got) == len(want) // 2


def test_any_rate_and_channels_as_inference_reads_them(tmp_path):
    noise = 0.1 * torch.randn(9600, 2, generator=torch.manual_seed(1))
    path = str(tmp_path / "a.wav")
    soundfile.write(path, noise.numpy(), 48000, "FLOAT")
    got = AudioReader(16000)(path)
    # What an export transcribes a file by.
    want = AudioNormalizer(16000)(noise, 48000)
    assert got.shape == (3200,) and torch.equal(got, want)
    part = {"file": path, "start": 300, "stop": 900, "channel": 1}
    want = AudioNormalizer(16000)(noise[300:900, 1], 48000)
    assert torch.equal(AudioReader(16000)(part), want)


def test_braces_and_marks_in_a_manifest(hparams, prepared, tmp_path):
    def change(items):
        items["1-1-0003"]["wrd"] = "{root} {"

    path = changed(prepared, tmp_path, change)
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    dataset = make_dataset(path, hparams, TEST)
    (item,) = [i for i in dataset if i["id"] == "1-1-0003"]
    assert item["text"] == "{root} {"


@pytest.mark.parametrize("dynamic", [False, True])
def test_data_loading_processes_need_not_be_forked(hparams, prepared, dynamic):
    hparams |= {"dynamic_batching": dynamic, "sorting": "random"}
    dataset = make_dataset(prepared / "train.json", hparams, TRAIN)
    pickle.dumps(loader_options(dataset, hparams, TRAIN))
    again = pickle.loads(pickle.dumps(dataset))
    for name in ("sig", "tokens", "tokens_bos", "tokens_eos"):
        assert torch.equal(again[0][name], dataset[0][name])


def test_a_spawned_process_loads_data(hparams, prepared):
    dataset = make_dataset(prepared / "train.json", hparams, TEST)
    spawned = {"num_workers": 1, "multiprocessing_context": "spawn"}
    batches = make_dataloader(dataset, batch_size=6, **spawned)
    seen = [name for batch in batches for name in batch.id]
    assert seen == dataset.data_ids


def test_phones():
    tokenizer = phone_tokenizer(39)
    assert tokenizer.get_piece_size() == 42
    text = "sil dh ah k ae t sil"
    ids = tokenizer.encode_as_ids(text)
    assert min(ids) >= 3 and tokenizer.decode_ids([1, *ids, 2]) == text
    assert tokenizer.encode_as_ids("ax") == [tokenizer.unk_id()]


@pytest.fixture
def batches(recipe, librispeech, tmp_path, monkeypatch):
    """The batches of each epoch of a training, which learns nothing."""

    def run(seed, epochs):
        seen = {}

        def fit_batch(self, batch):
            epoch = self.hparams.epoch_counter.current
            seen.setdefault(epoch, []).append(tuple(batch.id))
            return torch.tensor(0.0)

        monkeypatch.setattr(ASR, "fit_batch", fit_batch)
        recipe(
            "LibriSpeech/train.py",
            "tiny_librispeech.yaml",
            *["--data_folder", librispeech],
            *["--output_folder", tmp_path / str(seed), "--seed", seed],
            *["--device", "cpu", "--noprogressbar"],
            *["--number_of_epochs", epochs, "--number_of_ctc_only_epochs", "0"],
            *["--dynamic_batching", "True", "--max_batch_length", "300"],
            *["--norm_type", "sentence"],
        )
        return list(seen.values())

    return run


def test_dynamic_batches_change_with_the_epoch_and_the_seed(batches):
    seen = batches(seed=1, epochs=4)
    assert len(seen) == 4
    assert len(set(map(frozenset, seen))) > 1
    assert len(set(map(tuple, seen))) == 4
    assert batches(seed=2, epochs=1) != seen[:1]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"output_neurons": 9}, "output_neurons=9, but the tokenizer has"),
        ({"bos_index": 4}, r"bos_index=4 is none of .* ids \[0, 1, 2\]"),
        ({"blank_index": 3}, "blank_index=3 is none of the tokenizer's sp"),
        (
            {"number_of_ctc_only_epochs": 3, "number_of_epochs": 3},
            "number_of_ctc_only_epochs=3 leaves no epoch",
        ),
        ({"lm_folder": "lm/none"}, "lm_folder='lm/none' names no language"),
    ],
)
def test_settings_that_do_not_fit_are_refused(hparams, change, words):
    hparams |= {
        "output_neurons": hparams["tokenizer"].get_piece_size(),
        "blank_index": 0,
        "metric": "WER",
        "number_of_epochs": 3,
        "number_of_ctc_only_epochs": 0,
        "lm_folder": None,
        "tokenizer_file": None,
        "results_csv": "results.csv",
        "train_logger": FileTrainLogger(os.devnull),
        "trains_in_folder": False,
    }
    check_before(hparams)
    with pytest.raises(ValueError, match=words):
        check_before(hparams | change)
