"""TIMIT, or any corpus in its layout, to JSON manifests."""

import os
from pathlib import Path

from speechbrain_ligru_fast.asr.files import find_files, read_lines
from speechbrain_ligru_fast.recognition.phones import (
    LABELS_61,
    PHN_SETS,
    fold_phones,
)
from speechbrain_ligru_fast.training.command_line import as_list

from .manifest import Part, find_folders, write_manifests
from .utterance import Utterance

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

# Read by every speaker, so of no use to train or to test on.
_SHARED = {"sa1", "sa2"}


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
    the training set is everybody else under TRAIN. A second call does nothing,
    see write_manifests.

    Arguments
    ---------
    data_folder : path-like
        The folder with TRAIN and TEST, or its parent if they are in TIMIT/.
    train_annotation, valid_annotation, test_annotation : path-like
        The JSON files to write.
    uppercase : bool, optional
        Whether the split folders have upper-case names. Default: either.
    phn_set : {39, 48, 61}
        Phone set of ``phn``.
    dev_speakers, test_speakers : list or comma-separated str, optional
        Speakers of the two sets, in either case. Default: those listed in
        ``dev_spk.list`` and ``test_spk.list`` beside TRAIN, one a line, or,
        without such files, TIMIT's own.
    max_bad_fraction : float
        As for prepare_librispeech, as is what is raised.
    skip_prep : bool
        Do nothing.
    """
    if skip_prep:
        return
    if phn_set not in PHN_SETS:
        raise ValueError(f"phn_set must be one of {PHN_SETS}, got {phn_set!r}")
    data_folder = Path(data_folder).absolute()
    forms = [["TRAIN", "TEST"], ["train", "test"]]
    if uppercase is not None:
        forms = forms[:1] if uppercase else forms[1:]
    roots = [data_folder / name for name in ("", "TIMIT", "timit")]
    places = [(root, names) for root in roots for names in forms]
    folders = find_folders(data_folder, places)
    homes = {}
    train, others = (_find_speakers(folder, homes) for folder in folders)
    everybody = train | others
    dev = _choose("dev", dev_speakers, _TIMIT_DEV, folders, everybody)
    test = _choose("test", test_speakers, _TIMIT_TEST, folders, everybody)
    shared = ", ".join(sorted({*dev} & {*test}))
    if shared:
        raise ValueError(f"dev_speakers and test_speakers share {shared}")
    rest = [speaker for speaker in train if speaker not in {*dev, *test}]
    parts = []
    for name, path, speakers in (
        ("train", train_annotation, rest),
        ("valid", valid_annotation, dev),
        ("test", test_annotation, test),
    ):
        said = {}
        for stem, files in (x for s in speakers for x in everybody[s].items()):
            key = f"{stem.parent.name}_{stem.name}"
            said[key] = _utterance(stem, files, phn_set)
        parts.append(Part(Path(path), f"TIMIT {name}", said, name == "test"))
    write_manifests(parts, data_folder, max_bad_fraction)


def _choose(name, value, default, folders, everybody):
    """The lower-case names of an option, else of a list, else of TIMIT."""
    # A corpus in TIMIT's layout may name its own, one speaker a line.
    file = folders[0].with_name(f"{name}_spk.list")
    if value is not None:
        default = as_list(value)
    elif os.path.lexists(file):
        default = " ".join(read_lines(file)).split()
    names = sorted({speaker.lower() for speaker in default})
    if not names:
        raise ValueError(f"{name}_speakers names no speaker")
    missing = [speaker for speaker in names if speaker not in everybody]
    if missing:
        there = ", ".join(sorted(everybody)) or "no speaker"
        raise ValueError(
            f"{name}_speakers: {', '.join(missing)} not found under "
            f"{' or '.join(map(str, folders))}, which hold {there}"
        )
    return names


def _find_speakers(folder, homes):
    """Lower-case speaker -> path without extension -> extension -> file."""
    speakers = {}
    for path in find_files(folder, ".wav", ".phn", ".wrd"):
        # One dot: some copies hold SA1.WAV.wav beside SA1.WAV.
        named = path.name.count(".") == 1 and path.stem.lower() not in _SHARED
        if len(path.relative_to(folder).parts) != 3 or not named:
            continue
        name = path.parent.name.lower()
        home = homes.setdefault(name, path.parent)
        if home != path.parent:
            both = f"in {home} and {path.parent}"
            raise ValueError(f"data_folder has speaker {name} twice: {both}")
        stems = speakers.setdefault(name, {})
        stems.setdefault(path.with_suffix(""), {})[path.suffix.lower()] = path
    return speakers


def _utterance(stem, files, phn_set):
    try:
        phones = _read_segments(files.get(".phn", Path(f"{stem}.PHN")))
        words = _read_segments(files.get(".wrd", Path(f"{stem}.WRD")))
    except (ValueError, OSError) as error:
        return Utterance(problem=str(error))
    unknown = ", ".join(sorted({x for *_, x in phones} - set(LABELS_61)))
    if unknown:
        problem = f"{files['.phn']} has labels TIMIT does not: {unknown}"
        return Utterance(problem=problem)
    labels, ends = fold_phones(phones, phn_set)
    return Utterance(
        file=str(files.get(".wav", f"{stem}.WAV")),
        text=" ".join(word for *_, word in words),
        speaker=stem.parent.name,
        items=(
            ("phn", " ".join(labels)),
            ("ground_truth_phn_ends", " ".join(map(str, ends))),
        ),
    )


def _read_segments(path):
    """Start and end in samples, and label, of each line of a PHN or WRD."""
    if not path.is_file():
        raise ValueError(f"no transcript {path}")
    segments = []
    for line in filter(str.strip, read_lines(path, errors="replace")):
        try:
            start, end, label = line.split()
            segments.append((int(start), int(end), label))
        except ValueError:
            words = f"the line {line!r}, wanted 'start end label'"
            raise ValueError(f"{path} has {words}") from None
    if not segments:
        raise ValueError(f"empty transcript {path}")
    return segments
