"""The synthetic corpus: voices, labels, layouts, determinism."""

import json

import numpy as np
import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora import demo, espeak, espeak_timit
from speechbrain_ligru_fast.asr.corpora.demo_text import GRAMMAR, sentence
from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech
from speechbrain_ligru_fast.asr.corpora.timit import (
    prepare_timit,
    read_segments,
)
from speechbrain_ligru_fast.asr.corpora.timit_phones import LABELS_61

ARGUMENTS = {"minutes": 0.3, "seed": 0, "voices": 20}


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "corpus"
    assert demo.make_demo(out, **ARGUMENTS)
    return out


def test_voices():
    voices = demo.make_voices(40, seed=0)
    assert len({(v.accent, v.variant) for v in voices}) == 40
    assert {v.accent for v in voices} == set(demo.ACCENTS)
    assert len({v.words_per_minute for v in voices}) > 20
    assert len({v.pitch for v in voices}) > 20
    names = {(v.name, v.number) for v in voices}
    assert len(names) == 40
    splits = [v.split for v in voices]
    assert [splits.count(s) for s in demo.SPLITS] == [32, 4, 4]
    assert demo.make_voices(40, seed=1) != voices


def test_at_least_twenty_voices_sound_different(corpus):
    speakers = list((corpus / "timit").glob("*/DR1/*"))
    assert len(speakers) == 20
    lines = (corpus / "librispeech" / "SPEAKERS.TXT").read_text().splitlines()
    assert len({line.split("|")[-1].split()[1] for line in lines[1:]}) == 20
    # The same text in two voices is not the same sound.
    first, second = (
        espeak.speak(f"gmw/en-US+{variant}", "four", 170, 50).signal
        for variant in ("m1", "f1")
    )
    assert first.shape != second.shape or (first != second).any()


def test_labels_cover_the_audio(corpus):
    files = sorted((corpus / "timit").rglob("*.PHN"))
    assert len(files) >= 20
    for path in files:
        signal, rate = soundfile.read(path.with_suffix(".WAV"))
        assert rate == 16000
        phones = read_segments(path)
        assert phones[0][0] == 0 and phones[-1][1] == len(signal)
        assert phones[0][2] == phones[-1][2] == "h#"
        assert all(a[1] == b[0] for a, b in zip(phones, phones[1:]))
        assert all(start < end for start, end, _ in phones)
        assert {label for *_, label in phones} <= set(LABELS_61)
        words = read_segments(path.with_suffix(".WRD"))
        text = path.with_suffix(".TXT").read_text().split(" ", 2)[2].strip()
        assert " ".join(word for *_, word in words) == text
        assert all(start < end for start, end, _ in words)
        assert all(a[1] <= b[0] for a, b in zip(words, words[1:]))
        # Labels sit where the sound is.
        speech = signal[phones[0][1] : phones[-1][0]]
        silence = np.r_[signal[: phones[0][1]], signal[phones[-1][0] :]]
        assert np.mean(speech**2) > 100 * np.mean(silence**2)


def test_both_layouts_hold_the_same_recordings(corpus, tmp_path):
    paths = [tmp_path / f"{name}.json" for name in ("train", "valid", "test")]
    prepare_timit(corpus / "timit", *paths, max_bad_fraction=0)
    prepare_librispeech(
        corpus / "librispeech",
        tmp_path / "libri",
        "train-demo",
        "dev-demo",
        "test-demo",
        max_bad_fraction=0,
    )
    speakers = []
    for timit, libri in zip(
        paths, ("train", "valid", "test-demo"), strict=True
    ):
        one = json.loads(timit.read_text())
        two = json.loads((tmp_path / "libri" / f"{libri}.json").read_text())
        speakers.append({entry["spk_id"] for entry in one.values()})
        signals = []
        for root, made in (("timit", one), ("librispeech", two)):
            signals.append(
                sorted(
                    (
                        entry["wrd"].upper(),
                        soundfile.read(
                            entry["wav"].format(data_root=corpus / root),
                            dtype="int16",
                        )[0].tobytes(),
                    )
                    for entry in made.values()
                )
            )
        assert signals[0] == signals[1]
    assert [len(s) for s in speakers] == [16, 2, 2]
    assert len(set().union(*speakers)) == 20


def test_same_seed_same_bytes(corpus, tmp_path, monkeypatch):
    # eSpeak's state in this process must not matter.
    espeak.speak("gmw/en+f3", "something else", 120, 70)
    argv = ["demo", "--out", str(tmp_path / "again")]
    argv += ["--minutes", "0.3", "--voices", "20"]
    monkeypatch.setattr("sys.argv", argv)
    demo.main()
    first, second = content(corpus), content(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_other_seed_other_corpus(corpus, tmp_path):
    demo.make_demo(tmp_path / "other", **{**ARGUMENTS, "seed": 1})
    audio = [
        {data for name, data in content(folder).items() if "WAV" in name}
        for folder in (corpus, tmp_path / "other")
    ]
    assert not audio[0] & audio[1]


def test_second_run(corpus):
    before = content(corpus)
    assert not demo.make_demo(corpus, **ARGUMENTS)
    with pytest.raises(FileExistsError, match="'seed': 0.*'seed': 1"):
        demo.make_demo(corpus, **{**ARGUMENTS, "seed": 1})
    assert content(corpus) == before


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        demo.make_demo(tmp_path, **ARGUMENTS)
    assert list(content(tmp_path)) == ["mine.txt"]


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_write_readme", fail)
    with pytest.raises(KeyboardInterrupt):
        demo.make_demo(tmp_path / "out", minutes=0.01, voices=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "minutes must be positive, got 0"),
        ({"minutes": float("nan")}, "minutes must be positive, got nan"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"voices": 2}, "voices must be in 3 to 96, got 2"),
    ],
)
def test_bad_argument(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        demo.make_demo(tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_missing_espeak_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(espeak.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="install espeakng"):
        demo.make_demo(tmp_path / "out", **ARGUMENTS)
    assert list(tmp_path.iterdir()) == []


def test_unknown_voice():
    with pytest.raises(ValueError, match="no voice 'gmw/en-XX'"):
        espeak.speak("gmw/en-XX", "one", 170, 50)


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
        segments = espeak_timit.phone_segments(
            said.phones, accent, len(said.signal)
        )
        assert {label for *_, label in segments} <= set(LABELS_61)


def test_unknown_phone_is_an_error():
    with pytest.raises(ValueError, match="'Q'.*no TIMIT label"):
        espeak_timit.phone_segments([(0, "Q")], "en", 10)


@pytest.mark.parametrize("seed", range(50))
def test_any_timing_gives_whole_labels(seed):
    rng = np.random.default_rng(seed)
    names = rng.choice(sorted(espeak_timit._LABELS), seed % 13)
    # Few values, so that many phones have no time; some are out of range.
    starts = rng.integers(-1, 6, len(names)) * 240
    phones = [(int(s), str(n)) for s, n in zip(starts, names, strict=True)]
    segments = espeak_timit.phone_segments(phones, "en-US", 1000)
    assert segments[0][0] == 0 and segments[-1][1] == 1000
    assert all(a[1] == b[0] for a, b in zip(segments, segments[1:]))
    assert all(start <= end for start, end, _ in segments)
    assert {label for *_, label in segments} <= set(LABELS_61)


def test_phone_without_time_shares_its_neighbours():
    phones = [(0, "_:"), (10, "r"), (10, "A:"), (30, "r"), (30, "m")]
    assert espeak_timit.phone_segments(phones, "en-GB-scotland", 40) == [
        (0, 10, "h#"),
        (10, 16, "r"),
        (16, 23, "aa"),
        (23, 30, "r"),
        (30, 40, "m"),
    ]
