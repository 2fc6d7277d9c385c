"""What any corpus has in common: nothing is lost, and nothing silently."""

import os
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile

RECIPES = Path(__file__).resolve().parents[3] / "recipes"


def replace(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


def truncate(path):
    noise = np.random.default_rng(0).integers(-9999, 9999, 16000)
    soundfile.write(
        path, noise.astype(np.int16), 16000, format=path.suffix[1:].upper()
    )
    path.write_bytes(
        path.read_bytes()[: 9000 if path.suffix == ".flac" else 20]
    )


def no_samples(path):
    soundfile.write(path, np.zeros(0), 16000, format=path.suffix[1:].upper())


def test_second_call_does_nothing_until_something_changes(corpus):
    before = corpus.prepare()
    sizes = [len(made) for made in before.values()]
    assert sizes == [8, 4, 4]

    def written():
        return [path.stat().st_mtime_ns for path in corpus.paths.values()]

    first = written()
    assert corpus.prepare() == before and written() == first
    corpus.prepare(max_bad_fraction=0.1)
    second = written()
    assert all(a != b for a, b in zip(first, second))
    # A manifest that is gone, or not the one that was written
    path = list(corpus.paths.values())[1]
    path.unlink()
    assert corpus.prepare(max_bad_fraction=0.1) == before
    path.write_text("{}")
    assert corpus.prepare(max_bad_fraction=0.1) == before


def test_what_changes_in_the_corpus_is_prepared_anew(corpus):
    before = corpus.prepare()["train"]
    replace(*corpus.changed)(corpus.root / corpus.text)
    texts = corpus.prepare()["train"]
    assert {k for k in before if before[k] != texts[k]} == {corpus.one}
    audio = corpus.root / corpus.audio
    soundfile.write(
        audio, np.zeros(4800), 16000, format=audio.suffix[1:].upper()
    )
    longer = corpus.prepare()["train"]
    assert longer[corpus.one]["duration"] == 0.3
    # Added, and removed
    files = [audio, *audio.parent.glob("SX2.*")]
    for path in files:
        path.with_name(path.name.replace("2.", "9.")).write_bytes(
            path.read_bytes()
        )
    text = corpus.root / corpus.text
    if corpus.layout == "LibriSpeech":
        text.write_text(text.read_text() + "2-7-0009 E\n")
    more = corpus.prepare()["train"]
    assert more.keys() - before.keys() == {corpus.one[:-1] + "9"}
    for path in files:
        path.unlink(missing_ok=True)
    if corpus.layout == "LibriSpeech":
        replace("2-7-0002 IT'S X\n", "")(text)
    assert more.keys() - corpus.prepare()["train"].keys() == {corpus.one}


def test_what_was_skipped_is_looked_at_again(corpus, caplog):
    path = corpus.root / corpus.audio
    whole = path.read_bytes()
    path.write_bytes(b"")
    for _ in range(2):
        caplog.clear()
        assert len(corpus.prepare(max_bad_fraction=0.125)["train"]) == 7
        assert f"skipping {corpus.one}" in caplog.text
    path.write_bytes(whole)
    assert len(corpus.prepare(max_bad_fraction=0.125)["train"]) == 8


def test_links_marks_and_foreign_files_change_nothing(corpus, tmp_path):
    want = corpus.prepare()
    for name in corpus.folders:
        place, store = corpus.root / name, tmp_path / name.replace("/", "-")
        place.rename(store)
        place.symlink_to(store)
    for path in list(corpus.root.rglob("*.*")):
        if path.suffix in (".PHN", ".WRD", ".txt"):
            # A byte order mark
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        # Of macOS, Synology and Jupyter
        (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
        (path.parent / "@eaDir" / path.name).mkdir(parents=True)
        copy = path.parent / ".ipynb_checkpoints" / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert corpus.prepare() == want


def test_any_rate_and_channels(corpus):
    path = corpus.root / corpus.audio
    soundfile.write(
        path, np.zeros((800, 2)), 8000, format=path.suffix[1:].upper()
    )
    assert corpus.prepare()["train"][corpus.one]["duration"] == 0.1


def write(text):
    return lambda path: path.write_text(text)


# Its layout, which of its files, the damage, and what is said of it
DAMAGED = [
    ("librispeech", "audio", Path.unlink, "without a .flac file"),
    ("librispeech", "audio", write(""), "unreadable audio file"),
    ("librispeech", "audio", truncate, "audio file"),
    (
        "librispeech",
        "text",
        replace("2-7-0002 IT'S C\n", ""),
        "no transcript of",
    ),
    ("librispeech", "text", replace("IT'S C", ""), "empty transcript of"),
    ("librispeech", "text", replace("IT'S C", "IT’S 3c"), "holds '3c’'"),
    ("timit", "audio", Path.unlink, "no audio file"),
    ("timit", "audio", write(""), "unreadable audio file"),
    ("timit", "audio", truncate, "unreadable audio file"),
    ("timit", "audio", no_samples, "empty audio file"),
    ("timit", "text", Path.unlink, "no transcript"),
    ("timit", "text", write("\n"), "empty transcript"),
    ("timit", "text", write("0 h#"), "the line '0 h#'"),
    ("timit", "text", write("0 5 xx"), "labels TIMIT does not: xx"),
    ("timit", "words", Path.unlink, "no transcript"),
    ("timit", "words", write(""), "empty transcript"),
]


@pytest.mark.parametrize("layout, where, damage, reason", DAMAGED)
def test_bad_utterance_is_skipped_or_fatal(
    layout, where, damage, reason, request, caplog
):
    corpus = request.getfixturevalue(layout)
    damage(corpus.root / getattr(corpus, where))
    with pytest.raises(ValueError) as err:
        corpus.prepare(max_bad_fraction=0.1)
    parts = ("train: 1 of 8", corpus.one, reason, "max_bad_fraction=0.1")
    assert all(part in str(err.value) for part in parts)
    assert not corpus.out.exists()

    caplog.clear()
    made = corpus.prepare(max_bad_fraction=0.125)
    assert [len(m) for m in made.values()] == [7, 4, 4]
    assert corpus.one not in made["train"]
    for part in (f"skipping {corpus.one}", reason, "skipped 1 of 8"):
        assert part in caplog.text


def test_a_test_set_is_whole_and_a_failure_leaves_what_was(corpus):
    before = corpus.prepare()
    (corpus.root / corpus.tested_audio).unlink()
    words = rf"(?s)1 of 4 .*must be whole: mend .*{corpus.tested}: "
    with pytest.raises(ValueError, match=words):
        corpus.prepare(max_bad_fraction=1)
    assert corpus.read() == before
    # As the message says.
    path = corpus.root / corpus.tested_audio
    for other in path.parent.glob("SX2.*"):
        other.unlink()
    for text in path.parent.glob("*.trans.txt"):
        replace("4-7-0002 IT'S C\n", "")(text)
    made = list(corpus.prepare().values())
    assert len(made[2]) == 3


def test_nothing_usable_fails_at_any_threshold(corpus, caplog):
    for name in ("train-a", "train-b", "TRAIN"):
        for kind in (".flac", ".WAV"):
            for path in (corpus.root / name).rglob(f"*{kind}"):
                path.write_bytes(b"")
    with pytest.raises(ValueError, match="train: 8 of 8"):
        corpus.prepare(max_bad_fraction=1)
    with pytest.raises(ValueError, match=r"max_bad_fraction must be in \[0, 1"):
        corpus.prepare(max_bad_fraction=-0.1)
    assert not corpus.out.exists()


def test_long_list_is_cut_in_the_error_only(librispeech, caplog):
    chapter = librispeech.root / "train-b" / "2" / "7"
    (chapter / "2-7.trans.txt").write_text(
        "".join(f"2-7-{n:04d} A\n" for n in range(100))
    )
    with pytest.raises(ValueError, match="(?s)96 of 104.*and 76 more") as err:
        librispeech.prepare()
    assert str(err.value).count("without a .flac") == 20
    assert caplog.text.count("without a .flac") == 96


def test_full_disk_leaves_no_part_of_a_manifest(corpus, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        corpus.prepare()
    assert list(corpus.out.iterdir()) == []


def test_moved_audio_is_found(corpus, tmp_path):
    made = corpus.prepare()
    corpus.root.rename(tmp_path / "moved")
    for entry in (entry for part in made.values() for entry in part.values()):
        file = entry["wav"].format(data_root=tmp_path / "moved")
        assert len(soundfile.read(file)[0]) == 3200


SCRIPTS = {
    "LibriSpeech": "librispeech_prepare.py --train_splits train-a,train-b "
    "--dev_splits dev-x --test_splits test-x",
    "TIMIT": "timit_prepare.py --dev_speakers FCCC0 --test_speakers MDDD0",
}


def test_prepare_script(corpus, monkeypatch):
    script, *options = SCRIPTS[corpus.layout].split()
    script = str(RECIPES / corpus.layout / script)
    options += ["--data_folder", corpus.root, "--save_folder", corpus.out]
    monkeypatch.setattr("sys.argv", [script, *map(str, options)])
    runpy.run_path(script, run_name="__main__")
    assert [len(made) for made in corpus.read().values()] == [8, 4, 4]
