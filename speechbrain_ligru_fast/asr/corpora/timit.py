"""TIMIT, or any corpus in its layout, to JSON manifests."""

from pathlib import Path

from speechbrain_ligru_fast.asr.audio import audio_info
from speechbrain_ligru_fast.asr.files import find_files, read_lines

from .manifest import (
    BadUtterance,
    Part,
    as_list,
    check_fraction,
    prepare_parts,
    subfolders,
)
from .timit_phones import LABELS_61, PHN_SETS, fold_phones

# A corpus in TIMIT's layout may name its own splits, one speaker a line.
DEV_LIST = "dev_spk.list"
TEST_LIST = "test_spk.list"

# The usual 50 development and 24 core test speakers of LDC93S1.
_TIMIT_DEV = (
    "fadg0 faks0 fcal1 fcmh0 fdac1 fdms0 fdrw0 fedw0 fgjd0 fjem0 fjmg0 fjsj0 "
    "fkms0 fmah0 fmml0 fnmr0 frew0 fsem0 majc0 mbdg0 mbns0 mbwm0 mcsh0 mdlf0 "
    "mdls0 mdvc0 mers0 mgjf0 mglb0 mgwt0 mjar0 mjfc0 mjsw0 mmdb1 mmdm2 mmjr0 "
    "mmwh0 mpdf0 mrcs0 mreb0 mrjm4 mrjr0 mroa0 mrtk0 mrws1 mtaa0 mtdt0 mteb0 "
    "mthc0 mwjg0"
).split()
_TIMIT_TEST = (
    "fdhc0 felc0 fjlm0 fmgd0 fmld0 fnlp0 fpas0 fpkt0 mbpm0 mcmj0 mdab0 mgrt0 "
    "mjdh0 mjln0 mjmp0 mklt0 mlll0 mlnt0 mnjm0 mpam0 mtas1 mtls0 mwbt0 mwew0"
).split()

_DEPTH = 3  # a split's <region>/<speaker>/<utterance>

# Read by every speaker, so of no use to train or to test on.
_SHARED_SENTENCES = {"sa1", "sa2"}


def prepare_timit(
    data_folder,
    train_annotation,
    valid_annotation,
    test_annotation,
    uppercase=None,
    phn_set=39,
    dev_speakers=None,
    test_speakers=None,
    max_bad_fraction=0.05,
    skip_prep=False,
):
    """Write the train, valid and test manifests of a TIMIT-shaped corpus.

    The corpus is ``{TRAIN,TEST}/<region>/<speaker>/<utterance>`` with the
    extensions WAV (RIFF or SPHERE), PHN and WRD, in either case. SA1 and SA2
    are left out. Development and test speakers are taken wherever they are;
    the training set is everybody else under TRAIN. A second call with the
    same arguments does nothing, unless a file of the corpus has changed since
    or an utterance was skipped.

    Arguments
    ---------
    data_folder : path-like
        The folder with TRAIN and TEST, or its parent if they are in TIMIT/.
    train_annotation, valid_annotation, test_annotation : path-like
        The JSON files to write.
    uppercase : bool, optional
        Whether the split folders have upper-case names. Default: both are
        looked for.
    phn_set : {39, 48, 61}
        Phone set of ``phn``.
    dev_speakers, test_speakers : list or comma-separated str, optional
        Speakers of the two sets, in either case. Default: those listed in
        ``dev_spk.list`` and ``test_spk.list`` beside TRAIN, one a line, or,
        without such files, TIMIT's own.
    max_bad_fraction : float
        Utterances with unusable audio, phones or words are skipped with a
        warning; fail if they are more than this share of a set. The test
        set must be whole.
    skip_prep : bool
        Do nothing.

    Raises
    ------
    FileNotFoundError
        If `data_folder` does not hold the corpus.
    ValueError
        For a bad option, speakers the corpus does not have, or too many bad
        utterances. No manifest is touched.

    Example
    -------
    >>> prepare_timit(
    ...     "TIMIT", "train.json", "valid.json", "test.json", skip_prep=True
    ... )
    """
    if skip_prep:
        return
    if phn_set not in PHN_SETS:
        raise ValueError(f"phn_set must be one of {PHN_SETS}, got {phn_set!r}")
    check_fraction(max_bad_fraction)
    data_folder = Path(data_folder)
    folders = _find_split_folders(data_folder, uppercase)
    dev = _speakers("dev_speakers", dev_speakers, folders, DEV_LIST, _TIMIT_DEV)
    test = _speakers(
        "test_speakers", test_speakers, folders, TEST_LIST, _TIMIT_TEST
    )
    shared = ", ".join(sorted(dev & test))
    if shared:
        raise ValueError(f"dev_speakers and test_speakers share {shared}")

    paths = [Path(train_annotation), Path(valid_annotation)]
    paths.append(Path(test_annotation))
    marker = paths[0].with_name("timit_prepared.json")
    arguments = {
        "data_folder": str(data_folder.resolve()),
        "annotations": [str(path) for path in paths],
        "phn_set": phn_set,
        "dev_speakers": sorted(dev),
        "test_speakers": sorted(test),
    }
    files = {
        split: find_files(folder, ".wav", ".phn", ".wrd")
        for split, folder in folders.items()
    }
    train, everything = _find_utterances(folders, files)
    _check_speakers("dev_speakers", dev, everything, folders)
    _check_speakers("test_speakers", test, everything, folders)
    sets = {
        "train": {s: u for s, u in train.items() if s not in dev | test},
        "valid": {s: everything[s] for s in sorted(dev)},
        "test": {s: everything[s] for s in sorted(test)},
    }
    parts = [
        Part(
            path=path,
            name=f"TIMIT {name}",
            utterances={
                f"{stem.parent.name}_{stem.name}": stem
                for stems in speakers.values()
                for stem in stems
            },
            tested=name == "test",
        )
        for path, (name, speakers) in zip(paths, sets.items(), strict=True)
    ]

    def read(stem):
        return _read_utterance(stem, data_folder, phn_set)

    prepare_parts(
        marker,
        arguments,
        sum(files.values(), []),
        parts,
        read,
        max_bad_fraction,
    )


def read_segments(path):
    """Read a PHN or WRD file.

    Arguments
    ---------
    path : path-like
        Lines of ``start end label``, in samples.

    Returns
    -------
    list of (int, int, str)

    Raises
    ------
    BadUtterance
        If the file is missing, empty or malformed.
    """
    path = Path(path)
    if not path.is_file():
        raise BadUtterance(f"no transcript {path}")
    segments = []
    for line in read_lines(path, errors="replace"):
        if not line.strip():
            continue
        try:
            start, end, label = line.split()
            segments.append((int(start), int(end), label))
        except ValueError:
            raise BadUtterance(
                f"{path} has the line {line!r}, wanted 'start end label'"
            ) from None
    if not segments:
        raise BadUtterance(f"empty transcript {path}")
    return segments


def _find_split_folders(data_folder, uppercase):
    """Find TRAIN and TEST; they must lie in the same folder."""
    forms = [str.upper, str.lower]
    if uppercase is not None:
        forms = [str.upper if uppercase else str.lower]
    looked, halves = [], []
    for root in (data_folder, data_folder / "TIMIT", data_folder / "timit"):
        for form in forms:
            folders = {name: root / form(name) for name in ("train", "test")}
            missing = [f for f in folders.values() if not f.is_dir()]
            if not missing:
                return folders
            if len(missing) == 1:
                halves += missing
            looked += map(str, folders.values())
    if halves:
        raise FileNotFoundError(
            f"data_folder={str(data_folder)!r} holds half of TIMIT "
            f"(uppercase={uppercase}): there is no "
            f"{' and no '.join(map(str, halves))}. Folders found in "
            f"{halves[0].parent}: {subfolders(halves[0].parent)}"
        )
    raise FileNotFoundError(
        f"data_folder={str(data_folder)!r} does not hold TIMIT "
        f"(uppercase={uppercase}). Looked for: {', '.join(looked)}. "
        f"Folders found in {data_folder}: {subfolders(data_folder)}"
    )


def _speakers(option, value, folders, list_name, default):
    """Resolve one speaker option to a set of lower-case names."""
    list_file = folders["train"].parent / list_name
    if value is not None:
        names = as_list(value)
    elif list_file.is_file():
        names = " ".join(read_lines(list_file)).split()
    else:
        names = default
    if not names:
        raise ValueError(f"{option} names no speaker")
    return {name.lower() for name in names}


def _find_utterances(folders, files):
    """List utterances as paths without extension, by lower-case speaker.

    Returns those under TRAIN, and all.
    """
    by_split = {split: {} for split in folders}
    home = {}
    for split, folder in folders.items():
        stems = {
            path.with_suffix("")
            for path in files[split]
            if len(path.relative_to(folder).parts) == _DEPTH
            # One dot: some copies hold SA1.WAV.wav beside SA1.WAV.
            and path.suffix.lower() in (".wav", ".phn")
            and path.name.count(".") == 1
            and path.stem.lower() not in _SHARED_SENTENCES
        }
        for stem in sorted(stems):
            speaker = stem.parent.name.lower()
            if home.setdefault(speaker, stem.parent) != stem.parent:
                raise ValueError(
                    f"data_folder has speaker {speaker} twice: in "
                    f"{home[speaker]} and {stem.parent}"
                )
            by_split[split].setdefault(speaker, []).append(stem)
    return by_split["train"], {**by_split["train"], **by_split["test"]}


def _check_speakers(option, names, found, folders):
    missing = sorted(names - found.keys())
    if missing:
        raise ValueError(
            f"{option}: {', '.join(missing)} not found under "
            f"{folders['train']} or {folders['test']}, which hold "
            f"{', '.join(sorted(found)) or 'no speaker'}"
        )


def _companion(stem, kind):
    """The file of a stem with an extension in the case it has on disk."""
    upper = stem.with_name(f"{stem.name}.{kind.upper()}")
    lower = stem.with_name(f"{stem.name}.{kind}")
    return lower if lower.is_file() else upper


def _read_utterance(stem, data_folder, phn_set):
    wav = _companion(stem, "wav")
    audio = audio_info(wav)
    segments = read_segments(_companion(stem, "phn"))
    unknown = {label for *_, label in segments} - set(LABELS_61)
    if unknown:
        raise BadUtterance(
            f"{_companion(stem, 'phn')} has labels TIMIT does not: "
            f"{', '.join(sorted(unknown))}"
        )
    words = read_segments(_companion(stem, "wrd"))
    phones, ends = fold_phones(segments, phn_set)
    return {
        "wav": f"{{data_root}}/{wav.relative_to(data_folder).as_posix()}",
        "duration": audio.duration,
        "spk_id": stem.parent.name,
        "phn": " ".join(phones),
        "wrd": " ".join(word for *_, word in words),
        "ground_truth_phn_ends": " ".join(map(str, ends)),
    }, audio
