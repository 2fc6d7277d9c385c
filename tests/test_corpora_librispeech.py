"""prepare_librispeech on a tiny corpus, on real utterances and on AN4."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.dataio import load_data_json, read_audio

from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech

REPO = Path(__file__).resolve().parents[1]
DATA = REPO.parent / "shared" / "data"
AN4 = DATA / "an4-librispeech"
FIXTURE = DATA / "librispeech-fixture"
SPLITS = {
    "train_splits": ["train-a", "train-b"],
    "dev_splits": "dev-x",
    "test_splits": "test-x,test-y",
}


@pytest.fixture
def corpus(tmp_path):
    """Five splits of one speaker with four utterances each."""
    root = tmp_path / "corpus"
    for i, split in enumerate("train-a train-b dev-x test-x test-y".split()):
        chapter = root / split / f"{i}" / "7"
        chapter.mkdir(parents=True)
        lines = []
        for n in range(4):
            key = f"{i}-7-{n:04d}"
            soundfile.write(
                chapter / f"{key}.flac", np.zeros(1600, np.int16), 16000
            )
            lines.append(f"{key} IT'S {'ABCD'[n]}\n")
        (chapter / f"{i}-7.trans.txt").write_text("".join(lines))
    return root


@pytest.fixture
def prepare(corpus, tmp_path):
    """Call prepare_librispeech on the corpus; return manifests by name."""
    out = tmp_path / "out"

    def call(**options):
        prepare_librispeech(
            **{"data_folder": corpus, "save_folder": out, **SPLITS, **options}
        )
        return {
            path.stem: json.loads(path.read_text())
            for path in out.glob("*.json")
            if path.stem != "librispeech_prepared"
        }

    call.out = out
    return call


def damaged(corpus, extension="flac"):
    chapter = corpus / "train-b" / "1" / "7"
    return (
        chapter / {"flac": "1-7-0002.flac", "txt": "1-7.trans.txt"}[extension]
    )


def test_manifests(prepare):
    made = prepare()
    sizes = {name: len(entries) for name, entries in made.items()}
    assert sizes == {"train": 8, "valid": 4, "test-x": 4, "test-y": 4}
    assert made["train"]["1-7-0003"] == {
        "wav": "{data_root}/train-b/1/7/1-7-0003.flac",
        "duration": 0.1,
        "spk_id": "1",
        "wrd": "IT'S D",
    }


def test_relocated_corpus_in_a_librispeech_folder(prepare, corpus, tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    corpus.rename(parent / "LibriSpeech")
    prepare(data_folder=parent)
    moved = tmp_path / "moved"
    parent.rename(moved)
    data = load_data_json(prepare.out / "train.json", {"data_root": moved})
    assert all(len(read_audio(e["wav"])) == 1600 for e in data.values())


def test_only_what_is_asked_for(prepare):
    made = prepare(train_splits=None, dev_splits=[], test_splits="test-y")
    assert list(made) == ["test-y"]


def test_second_call_does_nothing_until_an_argument_changes(prepare):
    prepare()
    path = prepare.out / "train.json"
    before = path.stat().st_mtime_ns
    prepare()
    assert path.stat().st_mtime_ns == before
    assert len(prepare(train_splits="train-a")["train"]) == 4


def mend(path):
    soundfile.write(path, np.zeros(3200, np.int16), 16000)


def edit(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


def add(path):
    edit("1-7-0003", "1-7-0009 E\n1-7-0003")(path.with_name("1-7.trans.txt"))
    mend(path.with_name("1-7-0009.flac"))


def remove(path):
    edit("1-7-0002 IT'S C\n", "")(path.with_name("1-7.trans.txt"))
    path.unlink()


CHANGES = {
    "longer": ("flac", mend, 8),
    "another transcript": ("txt", edit("IT'S C", "IT'S X"), 8),
    "removed": ("flac", remove, 7),
    "added": ("flac", add, 9),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_changes_in_the_corpus_is_prepared_anew(prepare, corpus, kind):
    before = prepare()["train"]
    extension, change, size = CHANGES[kind]
    change(damaged(corpus, extension))
    after = prepare()["train"]
    assert len(after) == size and after != before


def test_what_was_skipped_is_looked_at_again(prepare, corpus, caplog):
    path = damaged(corpus)
    whole = path.read_bytes()
    path.write_bytes(b"")
    options = {"max_bad_fraction": 0.125}
    for _ in range(2):
        caplog.clear()
        assert len(prepare(**options)["train"]) == 7
        assert "skipping 1-7-0002" in caplog.text
    path.write_bytes(whole)
    assert len(prepare(**options)["train"]) == 8


def test_linked_speakers_and_chapters(prepare, corpus, tmp_path):
    want = prepare()
    store = tmp_path / "store"
    (corpus / "train-a" / "0").rename(store)
    (corpus / "train-a" / "0").symlink_to(store)
    (corpus / "test-x" / "3" / "7").rename(tmp_path / "chapter")
    (corpus / "test-x" / "3" / "7").symlink_to(tmp_path / "chapter")
    assert prepare() == want


def test_files_of_desktops_and_network_disks(prepare, corpus):
    want = prepare()
    for path in list(corpus.rglob("*-*-*.*")):
        double = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(90)
        (path.parent / f"._{path.name}").write_bytes(double)
        (path.parent / "@eaDir" / path.name).mkdir(parents=True)
    copy = corpus / "test-x" / "3" / "7" / ".ipynb_checkpoints"
    copy.mkdir()
    text = copy.parent / "3-7.trans.txt"
    (copy / "3-7-checkpoint.trans.txt").write_bytes(text.read_bytes())
    assert prepare() == want


def test_byte_order_mark(prepare, corpus):
    want = prepare()
    for path in corpus.rglob("*.trans.txt"):
        path.write_bytes("\ufeff".encode() + path.read_bytes())
    assert prepare() == want


def test_missing_split_is_named_with_those_found(prepare):
    with pytest.raises(FileNotFoundError) as err:
        prepare(test_splits=["test-x", "test-z"])
    message = str(err.value)
    assert "lacks test-z." in message
    assert "dev-x, test-x, test-y, train-a, train-b" in message
    assert not prepare.out.exists()


def test_no_corpus_names_the_paths(prepare, tmp_path):
    with pytest.raises(FileNotFoundError) as err:
        prepare(data_folder=tmp_path / "nowhere")
    for split in ("train-a", "dev-x", "test-y"):
        assert str(tmp_path / "nowhere" / split) in str(err.value)
        assert str(tmp_path / "nowhere/LibriSpeech" / split) in str(err.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict.fromkeys(SPLITS), "are empty"),
        ({"dev_splits": "train-a"}, "train-a given more than once"),
        ({"test_splits": "train-a"}, "train-a given more than once"),
        ({"test_splits": ["test-x"] * 2}, "test-x given more than once"),
        ({"test_splits": "train"}, "name train is taken"),
        ({"max_bad_fraction": -0.1}, "max_bad_fraction must be in"),
    ],
)
def test_bad_option(prepare, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(**options)
    assert not prepare.out.exists()


def test_a_development_set_may_be_tested(prepare):
    prepare(test_splits=["dev-x", "test-x"])
    valid, tested = (
        json.loads((prepare.out / f"{name}.json").read_text())
        for name in ("valid", "dev-x")
    )
    assert valid and tested == valid


def test_utterance_in_two_splits(prepare, corpus):
    copy = corpus / "train-a" / "1-7-0002.flac"
    copy.write_bytes(damaged(corpus).read_bytes())
    with pytest.raises(ValueError, match="1-7-0002 is twice"):
        prepare()


def truncate(path):
    noise = np.random.default_rng(0).integers(-9999, 9999, 16000)
    soundfile.write(path, noise.astype(np.int16), 16000)
    path.write_bytes(path.read_bytes()[:9000])


DAMAGE = {
    "no audio": ("flac", Path.unlink, "without a .flac file"),
    "no bytes": ("flac", lambda p: p.write_bytes(b""), "unreadable audio"),
    "truncated": ("flac", truncate, "audio file"),
    "no line": ("txt", edit("1-7-0002 IT'S C\n", ""), "no transcript of"),
    "no text": ("txt", edit("IT'S C", ""), "empty transcript of"),
    "strange text": ("txt", edit("IT'S C", "IT’S 3c"), "holds '3c’'"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_utterance_is_skipped_or_fatal(prepare, corpus, caplog, kind):
    extension, damage, reason = DAMAGE[kind]
    damage(damaged(corpus, extension))
    with pytest.raises(ValueError) as err:
        prepare(max_bad_fraction=0.1)
    for part in ("LibriSpeech train: 1 of 8", "1-7-0002", reason):
        assert part in str(err.value)
    assert not prepare.out.exists()

    caplog.clear()
    made = prepare(max_bad_fraction=0.125)
    assert len(made["train"]) == 7 and "1-7-0002" not in made["train"]
    assert "skipping 1-7-0002" in caplog.text and reason in caplog.text
    assert "skipped 1 of 8" in caplog.text


def test_a_test_set_is_whole(prepare, corpus):
    damage = corpus / "test-x" / "3" / "7" / "3-7-0001.flac"
    damage.unlink()
    words = "(?s)LibriSpeech test-x: 1 of 4 .*must be whole: mend .*3-7-0001: t"
    with pytest.raises(ValueError, match=words):
        prepare(max_bad_fraction=1)
    assert not prepare.out.exists()
    # A development set may lack some, unless it is tested.
    damage = corpus / "dev-x" / "2" / "7" / "2-7-0001.flac"
    damage.unlink()
    made = prepare(max_bad_fraction=0.25, test_splits="test-y")
    assert len(made["valid"]) == 3
    with pytest.raises(ValueError, match="dev-x: 1 of 4 .* must be whole"):
        prepare(max_bad_fraction=0.25, test_splits="test-y,dev-x")


def test_long_list_is_cut_in_the_error_only(prepare, corpus, caplog):
    chapter = corpus / "train-b" / "1" / "7"
    (chapter / "1-7.trans.txt").write_text(
        "".join(f"1-7-{n:04d} A\n" for n in range(100))
    )
    with pytest.raises(ValueError, match="(?s)96 of 104.*and 76 more") as err:
        prepare()
    assert str(err.value).count("without a .flac") == 20
    assert caplog.text.count("without a .flac") == 96


def test_nothing_usable_fails_at_any_threshold(prepare, corpus):
    for path in (corpus / "dev-x").rglob("*.flac"):
        path.unlink()
    with pytest.raises(ValueError, match="LibriSpeech valid: 4 of 4"):
        prepare(max_bad_fraction=1)


def test_prepare_script(corpus, tmp_path, monkeypatch):
    script = REPO / "recipes" / "LibriSpeech" / "librispeech_prepare.py"
    command = f"{script} --data_folder {corpus} --save_folder {tmp_path}/made"
    command += " --train_splits train-a,train-b --dev_splits dev-x"
    command += " --test_splits test-x"
    monkeypatch.setattr("sys.argv", command.split())
    runpy.run_path(str(script), run_name="__main__")
    made = sorted(path.stem for path in (tmp_path / "made").iterdir())
    assert made == ["librispeech_prepared", "test-x", "train", "valid"]


@pytest.mark.skipif(not AN4.is_dir(), reason=f"needs {AN4.name}")
def test_an4(prepare):
    made = prepare(
        data_folder=AN4,
        train_splits="train-an4",
        dev_splits="dev-an4",
        test_splits="test-an4",
    )
    sizes = {name: len(entries) for name, entries in made.items()}
    assert sizes == {"train": 846, "valid": 102, "test-an4": 130}
    words = [e["wrd"].split() for e in made["test-an4"].values()]
    assert sum(map(len, words)) == 773
    speakers = [{e["spk_id"] for e in m.values()} for m in made.values()]
    assert sum(map(len, speakers)) == len(set().union(*speakers)) == 84


@pytest.mark.skipif(not FIXTURE.is_dir(), reason=f"needs {FIXTURE.name}")
def test_genuine_librispeech_goes_through_unchanged(prepare):
    made = prepare(
        data_folder=FIXTURE,
        train_splits=None,
        dev_splits=None,
        test_splits="test-clean",
    )
    lines = [
        f"{key} {entry['wrd']}" for key, entry in made["test-clean"].items()
    ]
    texts = sorted(FIXTURE.rglob("*.trans.txt"))
    assert lines == "".join(p.read_text() for p in texts).splitlines()
    assert len(lines) == 4
    for entry in made["test-clean"].values():
        wav = entry["wav"].format(data_root=FIXTURE)
        assert entry["duration"] == len(read_audio(wav)) / 16000
