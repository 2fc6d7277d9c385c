"""Which manifests a run reads, and that they are those of its training."""

import re
from pathlib import Path

from speechbrain.utils.distributed import if_main_process, run_on_main

from speechbrain_ligru_fast.asr.config import compare_with_training
from speechbrain_ligru_fast.asr.corpora.own import prepare_corpus
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.asr.text import hash_manifest
from speechbrain_ligru_fast.training.command_line import as_list

_SETS = ("train", "valid")
# Other files of the folder that manifests are written to
_TAKEN = ("tokenizer", *_SETS)


def manifest_folder(hparams):
    """Where a run's preparation writes.

    That of a test is not where a training reads: it may be of other data.
    """
    if hparams["tests_only"] and not hparams["skip_prep"]:
        return str(Path(hparams["output_folder"], "test_only"))
    return str(hparams["save_folder"])


def manifest_path(hparams, path):
    """Where a run's preparation writes what the YAML has at a path."""
    folder, inside = Path(hparams["save_folder"]).resolve(), Path(path)
    if not inside.resolve().is_relative_to(folder):
        return str(path)
    inside = inside.resolve().relative_to(folder)
    return str(Path(manifest_folder(hparams), inside))


def claim_annotations(hparams):
    """Take the user's annotations out of an experiment's settings.

    Those that are not in save_folder are the user's: what they say is checked
    and becomes a manifest in there, which is then the setting. With skip_prep
    they are manifests already. Returned are the annotations of ``train``,
    ``valid`` and the test sets.
    """
    tests = hparams["test_annotations"]
    for name in tests if isinstance(tests, dict) else [""]:
        if name in _SETS or not re.fullmatch(r"\w[\w.-]*", str(name)):
            raise ValueError(
                f"test_annotations: got {tests!r}, expected names of sets, "
                "which name files, too (letters, digits, '.', '-', '_'; not "
                "train or valid), and files, such as {test: data/test}"
            )
    own = {}
    if not hparams["skip_prep"]:
        folder = Path(hparams["save_folder"]).resolve()
        for name in _SETS:
            key = f"{name}_annotation"
            if not Path(hparams[key]).resolve().is_relative_to(folder):
                if not hparams["tests_only"]:
                    own[name] = hparams[key]
                hparams[key] = f"{hparams['save_folder']}/{name}.json"
        own |= {str(name): path for name, path in tests.items()}
    return own


def test_manifests(hparams, folder):
    """The manifests, in `folder`, of test_annotations, else of test_splits."""
    own = hparams["test_annotations"]
    if own and hparams["skip_prep"]:
        return {str(name): path for name, path in own.items()}
    names = as_list(own or hparams["test_splits"])
    return {name: f"{folder}/{name}.json" for name in names}


def prepare(hparams, write, arguments, tests):
    """Write the manifests, unless they are not those that were trained on.

    Arguments
    ---------
    hparams : dict
        Of the experiment.
    write : callable
        Prepares a corpus.
    arguments : dict
        Its arguments.
    tests : list of str
        Names of the test sets.

    Raises
    ------
    ValueError
        If the training in save_folder is on other data, whose manifests stay;
        for a test set of no folder in data_folder; for nothing to test.
    """
    if hparams["tests_only"] and not tests:
        raise ValueError("test_splits: got none, expected one or more")
    for name in tests:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or name in _TAKEN:
            raise ValueError(
                f"test_splits: got {name!r}, expected the name of a folder in "
                f"data_folder, none of {', '.join(_TAKEN)}"
            )
    if hparams["tests_only"]:
        run_on_main(write, kwargs=arguments)
        return
    before = {}
    if if_main_process():
        before = {path: path.read_bytes() for path in _files(hparams)}
    run_on_main(write, kwargs=arguments)
    try:
        compare_data(hparams)
    except ValueError:
        run_on_main(_restore, args=(hparams, before))
        raise


def prepare_words(hparams):
    """LibriSpeech's layout, or annotations; test sets and their manifests."""
    folder, tests_only = manifest_folder(hparams), hparams["tests_only"]
    annotations = claim_annotations(hparams)
    tests = test_manifests(hparams, folder)
    arguments = {"annotations": annotations, "save_folder": folder}
    for key in ("train_splits", "dev_splits"):
        # A test needs no more than what is tested.
        arguments[key] = [] if tests_only else hparams[key]
    keys = "data_folder test_splits text letter_case max_bad_fraction skip_prep"
    arguments |= {key: hparams[key] for key in keys.split()}
    prepare(hparams, prepare_corpus, arguments, tests=list(tests))
    return tests


def prepare_phones(hparams):
    """TIMIT's layout; the test set and its manifest."""
    keys = [f"{name}_annotation" for name in (*_SETS, "test")]
    arguments = {key: manifest_path(hparams, hparams[key]) for key in keys}
    tests = {"test": arguments["test_annotation"]}
    keys = "data_folder uppercase phn_set dev_speakers test_speakers "
    keys += "max_bad_fraction skip_prep"
    arguments |= {key: hparams[key] for key in keys.split()}
    prepare(hparams, prepare_timit, arguments, tests=["test"])
    return tests


def compare_data(hparams):
    """Refuse to go on with a training on other data."""
    for name in _SETS:
        digits = hash_manifest(hparams[f"{name}_annotation"], hparams["text"])
        hparams["fingerprint"].settings[f"{name}_manifest"] = digits
    if hparams["trains_in_folder"]:
        compare_with_training(hparams)


def _files(hparams):
    """Everything that a preparation may write, but for tests alone."""
    folder = Path(hparams["save_folder"])
    named = {Path(hparams[f"{name}_annotation"]) for name in _SETS}
    return {
        path
        for path in {*folder.rglob("*.json"), *named}
        if path.is_file() and not path.parent.name.startswith("CKPT")
    }


def _restore(hparams, before):
    for path, content in before.items():
        # A file of the user's is among them, which nobody changed.
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
    for path in _files(hparams) - set(before):
        path.unlink()
