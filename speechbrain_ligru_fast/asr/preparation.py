"""Which manifests a run reads, and that they are those of its training."""

from pathlib import Path

from speechbrain.utils.distributed import if_main_process, run_on_main

from speechbrain_ligru_fast.asr.config import compare_with_training
from speechbrain_ligru_fast.asr.fingerprint import hash_manifest

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
