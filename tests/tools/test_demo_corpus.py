"""The synthetic corpus: voices, labels, layouts, determinism."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.recognition.phones import LABELS_61
from tools.demo_corpus import __main__ as demo
from tools.demo_corpus import espeak
from tools.demo_corpus.labels import _LABELS, phone_segments
from tools.demo_corpus.text import GRAMMAR, sentence

REPO = pathlib.Path(__file__).resolve().parents[2]
ARGUMENTS = {"minutes": 0.3, "seed": 0, "voices": 20}


def make(out):
    """What `make corpus` runs."""
    command = [sys.executable, "-m", "tools.demo_corpus", "--out", out]
    command += [f"--{key}={value}" for key, value in ARGUMENTS.items()]
    return subprocess.run(command, cwd=REPO, check=True, capture_output=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "corpus"
    assert b"written to" in make(out).stdout
    return out


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def spans(path):
    lines = (line.split() for line in path.read_text().splitlines())
    return [(int(start), int(end), *rest) for start, end, *rest in lines]


def check_phones(segments, samples):
    """They are TIMIT's, one after another, and leave nothing out."""
    starts, ends, labels = zip(*segments)
    assert starts == (0, *ends[:-1]) and ends[-1] == samples
    assert all(start <= end for start, end, _ in segments)
    assert set(labels) <= set(LABELS_61)


def test_voices():
    voices = demo.make_voices(40, seed=0)
    assert len({(v.accent, v.variant) for v in voices}) == 40
    assert {v.accent for v in voices} == set(demo.ACCENTS)
    assert len({v.words_per_minute for v in voices}) > 20
    assert len({v.pitch for v in voices}) > 20
    assert len({(v.name, v.number) for v in voices}) == 40
    splits = [v.split for v in voices]
    assert [splits.count(s) for s in demo.SPLITS] == [32, 4, 4]
    assert demo.make_voices(40, seed=1) != voices
    # The same text in two of them is not the same sound.
    first, second = (
        espeak.speak(f"gmw/en-US+{variant}", "four", 170, 50).signal
        for variant in ("m1", "f1")
    )
    assert first.shape != second.shape or (first != second).any()
    with pytest.raises(ValueError, match="no voice 'gmw/en-XX'"):
        espeak.speak("gmw/en-XX", "one", 170, 50)


def test_labels_cover_the_audio(corpus):
    files = sorted((corpus / "timit").rglob("*.PHN"))
    assert len({path.parent for path in files}) == 20
    for path in files:
        signal, rate = soundfile.read(path.with_suffix(".WAV"))
        assert rate == 16000
        phones = spans(path)
        check_phones(phones, len(signal))
        assert all(start < end for start, end, _ in phones)
        assert phones[0][2] == phones[-1][2] == "h#"
        words = spans(path.with_suffix(".WRD"))
        ((_, _, *text),) = spans(path.with_suffix(".TXT"))
        assert [word for *_, word in words] == text
        assert all(start < end for start, end, _ in words)
        assert all(a[1] <= b[0] for a, b in zip(words, words[1:]))
        # Labels sit where the sound is.
        speech = signal[phones[0][1] : phones[-1][0]]
        silence = np.r_[signal[: phones[0][1]], signal[phones[-1][0] :]]
        assert np.mean(speech**2) > 100 * np.mean(silence**2)


def test_both_layouts_hold_the_same_recordings(corpus, tmp_path):
    paths = [tmp_path / f"{name}.json" for name in ("train", "valid", "test")]
    prepare_timit(corpus / "timit", *paths, max_bad_fraction=0)
    splits = [f"{name}-demo" for name in ("train", "dev", "test")]
    root, out = corpus / "librispeech", tmp_path / "libri"
    prepare_librispeech(root, out, *splits, max_bad_fraction=0)

    def heard(manifest, root):
        made = json.loads(manifest.read_text()).values()
        speakers.append({entry["spk_id"] for entry in made})
        files = [entry["wav"].format(data_root=root) for entry in made]
        signals = [soundfile.read(file, dtype="int16")[0] for file in files]
        texts = [entry["wrd"].upper() for entry in made]
        return sorted(zip(texts, (signal.tobytes() for signal in signals)))

    speakers = []
    for path, name in zip(paths, ("train", "valid", "test-demo"), strict=True):
        timit = heard(path, corpus / "timit")
        assert timit == heard(out / f"{name}.json", root)
    assert [len(s) for s in speakers] == [16, 16, 2, 2, 2, 2]
    assert len(set().union(*speakers[::2])) == 20


def test_same_call_same_bytes_once(corpus, tmp_path):
    make(tmp_path / "again")
    first, second = content(corpus), content(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert not demo.make_demo(corpus, **ARGUMENTS)
    with pytest.raises(FileExistsError, match="'seed': 0.*'seed': 1"):
        demo.make_demo(corpus, **{**ARGUMENTS, "seed": 1})
    assert content(corpus) == first


def test_other_seed_other_corpus(tmp_path):
    audio = []
    for seed in (0, 1):
        demo.make_demo(tmp_path / f"{seed}", 0.01, seed=seed, voices=3)
        files = content(tmp_path / f"{seed}").items()
        audio.append({data for name, data in files if "WAV" in name})
    assert len(audio[0]) >= 3 and not audio[0] & audio[1]


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "write_speaker_lists", fail)
    with pytest.raises(KeyboardInterrupt):
        demo.make_demo(tmp_path / "out", minutes=0.01, voices=3)
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(tmp_path, monkeypatch):
    for options, message in (
        ({"minutes": 0}, "minutes must be positive, got 0"),
        ({"minutes": float("nan")}, "minutes must be positive, got nan"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"voices": 2}, "voices must be in 3 to 96, got 2"),
    ):
        with pytest.raises(ValueError, match=message):
            demo.make_demo(tmp_path / "out", **options)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    espeak.load_espeak.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="install espeakng"):
        demo.make_demo(tmp_path / "out", **ARGUMENTS)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    # What is not its own is left alone.
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        demo.make_demo(tmp_path, **ARGUMENTS)
    assert list(content(tmp_path)) == ["mine.txt"]


@pytest.mark.parametrize("accent", demo.ACCENTS)
def test_every_word_of_the_grammar_has_labels(accent):
    rng = np.random.default_rng(0)
    texts = [
        " ".join(w for w in choice.split() if not w.startswith("<"))
        for choices in GRAMMAR.values()
        for choice in choices
    ]
    # Sounds depend on the neighbouring words too.
    texts += [sentence(rng) for _ in range(150)]
    for text in filter(None, texts):
        said = espeak.speak(f"gmw/{accent}+m3", text, 170, 50)
        samples = len(said.signal)
        check_phones(phone_segments(said.phones, accent, samples), samples)


def test_any_timing_gives_whole_labels():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        names = rng.choice(sorted(_LABELS), seed % 13)
        # Few values, so that many phones share a time; some are out of range.
        starts = rng.integers(-1, 6, len(names)) * 240
        phones = [(int(s), str(n)) for s, n in zip(starts, names, strict=True)]
        segments = phone_segments(phones, "en-US", 1000)
        check_phones(segments, 1000)
        # No sound is lost.
        sounds = [label for *_, label in segments if label not in ("h#", "pau")]
        labels = [label for _, name in phones for label in _LABELS[name]]
        assert len(sounds) >= len([x for x in labels if x != "pau"])


def test_phones_that_start_together_share_their_time():
    phones = [(0, "_:"), (10, "r"), (10, "A:"), (30, ";"), (40, "m")]
    phones += [(60, "_:"), (70, "_:"), (80, "n")]
    assert phone_segments(phones, "en-GB-scotland", 90) == [
        (0, 10, "h#"),
        (10, 25, "r"),
        (25, 40, "aa"),
        (40, 60, "m"),
        (60, 80, "pau"),
        (80, 90, "n"),
    ]
    with pytest.raises(ValueError, match="'Q'.*no TIMIT label"):
        phone_segments([(0, "Q")], "en", 10)
