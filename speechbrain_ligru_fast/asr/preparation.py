"""Which manifests a run reads, and that they are those of its training."""

from pathlib import Path

from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.history import is_trained, read_changes
from speechbrain_ligru_fast.asr.manifest_hash import hash_manifest
from speechbrain_ligru_fast.asr.origin import check_data, read_data
from speechbrain_ligru_fast.asr.settings import with_changes

_SETS = ("train", "valid")
_TAKEN = ("origin", "tokenizer", *_SETS)


def manifest_folder(hparams):
    """Where a run's preparation writes.

    That of a test is not where a training reads: it may be of other data.

    Arguments
    ---------
    hparams : dict
        Of the experiment: save_folder, output_folder, skip_prep, tests_only.

    Returns
    -------
    str
    """
    if hparams["tests_only"] and not hparams["skip_prep"]:
        return str(Path(hparams["output_folder"], "test_only"))
    return str(hparams["save_folder"])


def manifest_path(hparams, path):
    """Where a run's preparation writes what the YAML has at a path.

    Arguments
    ---------
    hparams : dict
        See `manifest_folder`.
    path : path-like
        One that is not in save_folder is the user's, and stays.

    Returns
    -------
    str
    """
    folder = Path(hparams["save_folder"]).resolve()
    if Path(path).resolve().is_relative_to(folder):
        inside = Path(path).resolve().relative_to(folder)
        return str(Path(manifest_folder(hparams), inside))
    return str(path)


def prepare(hparams, write, arguments, tests):
    """Write the manifests, unless they are not those that were trained on.

    Arguments
    ---------
    hparams : dict
        Of the experiment. It gets ``manifests``: the hash of what is, or was,
        trained on as ``train`` and ``valid``; empty if nobody knows. And of a
        training ``changes`` and ``settings`` anew: other data is a change.
    write : callable
        Prepares a corpus.
    arguments : dict
        Its arguments.
    tests : list of str
        Names of the test sets.

    Raises
    ------
    ValueError
        If the training in save_folder is on other data. Its manifests stay.
        Or if there is nothing to test, and nothing else to do.
    """
    _check_names(tests, hparams["tests_only"])
    run_on_main(_prepare, args=(hparams, write, arguments))
    if hparams["tests_only"]:
        hparams["manifests"] = read_data(hparams["save_folder"])
    else:
        hparams["manifests"] = _hashes(hparams)
    if hparams["trains_in_folder"]:
        changes = read_changes(hparams["save_folder"])
        hparams["changes"] = changes
        hparams["settings"] = with_changes(hparams["fingerprint"], changes)


def _check_names(tests, tests_only):
    """They are those of manifests, too, in a folder with other files."""
    if tests_only and not tests:
        raise ValueError("test_splits: got none, expected one or more")
    for name in tests:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or name in _TAKEN:
            raise ValueError(
                f"test_splits: got {name!r}, expected the name of a folder in "
                f"data_folder, none of {', '.join(_TAKEN)}"
            )


def _prepare(hparams, write, arguments):
    folder = Path(hparams["save_folder"])
    if not hparams["trains_in_folder"] or not is_trained(folder):
        write(**arguments)
        if hparams["trains_in_folder"]:
            check_data(folder, _hashes(hparams))
        return
    before = {path: path.read_bytes() for path in _files(hparams)}
    write(**arguments)
    try:
        check_data(
            folder, _hashes(hparams), hparams.get("allow_changes", False)
        )
    except ValueError:
        for path, content in before.items():
            # A file of the user's is among them, which nobody changed.
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)
        for path in set(_files(hparams)) - set(before):
            path.unlink()
        raise


def _files(hparams):
    """Everything that a preparation may have written."""
    folder = Path(hparams["save_folder"])
    named = {Path(hparams[f"{name}_annotation"]) for name in _SETS}
    return {
        path
        for path in {*folder.rglob("*.json"), *named}
        if path.is_file() and not path.parent.name.startswith("CKPT")
    }


def _hashes(hparams):
    return {
        name: hash_manifest(hparams[f"{name}_annotation"], hparams["text"])
        for name in _SETS
    }
