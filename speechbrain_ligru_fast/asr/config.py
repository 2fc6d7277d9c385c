"""Sets an experiment up: its command line, its YAML, its folder."""

import io
import os
import re
import shutil
import sys
from pathlib import Path

import ruamel.yaml
import speechbrain as sb
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.train_logger import FileTrainLogger

from speechbrain_ligru_fast.asr.history import read_changes
from speechbrain_ligru_fast.asr.lock import lock_folder
from speechbrain_ligru_fast.asr.options import check_options, settle_options
from speechbrain_ligru_fast.asr.origin import check_origin, check_test
from speechbrain_ligru_fast.asr.overrides import at_home, overrides
from speechbrain_ligru_fast.asr.process_group import join_process_group
from speechbrain_ligru_fast.asr.provenance import describe_commit
from speechbrain_ligru_fast.asr.results import check_results, name_lm
from speechbrain_ligru_fast.asr.settings import (
    fingerprint,
    settings,
    with_changes,
)
from speechbrain_ligru_fast.asr.yaml_files import changed, compose, resolved

# What two batches need, a tokenizer say, is not what is trained with.
_DEBUG_FOLDER = "\nsave_folder: !ref <output_folder>/debug/save"


def parse(arguments):
    """Read a recipe's command line and the YAML it names.

    Arguments
    ---------
    arguments : list of str

    Returns
    -------
    path : str
        The YAML.
    document : str
        See `yaml_files.compose`.
    run_opts : speechbrain.utils.run_opts.RunOptions
    overrides : str
        For HyperPyYAML.

    Raises
    ------
    ValueError
        If an option is neither SpeechBrain's nor a key of the YAML, has not
        one value, or one that YAML would take for something else.
    """
    path, run_opts, _ = sb.parse_arguments(arguments)
    document = at_home(compose(path))
    options = list(arguments)
    options.remove(path)
    keys = list(ruamel.yaml.YAML().load(document))
    check_options(options, keys)
    return path, document, settle_options(run_opts, keys), overrides(options)


def load_experiment(arguments=None):
    """Parse a recipe's command line and set the experiment up.

    Creates the output folder with the YAML, the recipe, the environment and
    the log, as SpeechBrain's recipes do.

    Arguments
    ---------
    arguments : list of str, optional
        Default: those of the running script.

    Returns
    -------
    hparams : dict
        What the YAML builds, the resolved YAML as ``document``, with its
        references as ``written``, its ``fingerprint``, which is its
        ``settings`` unless there were changes, the
        ``commit`` that runs, which a later one does not change, whether it
        ``trains_in_folder`` or only tests what is there (``tests_only``),
        the ``record_folder`` of all it writes but checkpoints, and what
        ``changes`` there were since the training began.
    run_opts : speechbrain.utils.run_opts.RunOptions

    Raises
    ------
    ValueError
        If an option is neither SpeechBrain's nor a key of the YAML,
        results_csv names a file that is no result file, or output_folder
        holds a training with other settings; with --test_only, with others
        than a test may change.
    RuntimeError
        If another process is at work in output_folder.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    path, document, run_opts, changes = parse(arguments)
    if _is_passing(run_opts) and not re.search("^save_folder:", changes, re.M):
        changes += _DEBUG_FOLDER
    hparams = load_hyperpyyaml(_stream(document, path), changes)
    _check_folders(hparams)
    hparams["written"] = written = changed(document, changes)
    hparams["fingerprint"] = fingerprint(written, run_opts=run_opts)
    hparams["settings"] = hparams["fingerprint"]
    hparams["commit"] = describe_commit()
    hparams["trains_in_folder"] = _trains_in_folder(run_opts)
    hparams["tests_only"] = bool(run_opts["test_only"])
    hparams["record_folder"] = record = _record_folder(hparams, run_opts)
    if isinstance(hparams.get("train_logger"), FileTrainLogger):
        hparams["train_logger"].save_file = str(record / "train_log.txt")
    if hparams.get("results_csv"):
        # Rather than after days of training.
        run_on_main(check_results, args=(hparams["results_csv"],))
    join_process_group(run_opts)
    folder = hparams["output_folder"]
    run_on_main(lock_folder, args=(folder,))
    if (
        not Path(hparams["save_folder"])
        .resolve()
        .is_relative_to(Path(folder).resolve())
    ):
        run_on_main(lock_folder, args=(hparams["save_folder"],))
    hparams["changes"] = ""
    if not _is_passing(run_opts):
        begun = settings(written, run_opts=run_opts)
        begun["seed"] = str(hparams["seed"])
        if hparams.get("lm_folder"):
            # Where it validates too, it chooses checkpoints.
            begun["lm_folder"] = name_lm(hparams["lm_folder"])
        _check(hparams, begun)
        hparams["settings"] = with_changes(
            hparams["fingerprint"], hparams["changes"]
        )
    sb.create_experiment_directory(folder)
    hparams["document"] = resolved(document, changes)
    run_on_main(_keep, args=(hparams, run_opts))
    return hparams, run_opts


def _check(hparams, begun):
    folder = hparams["save_folder"]
    allow = {"allow_changes": hparams.get("allow_changes", False)}
    found = []
    if hparams["trains_in_folder"]:
        # A rate that moves by the step counts on so many of them.
        longer = not hparams.get("step_schedule")
        run_on_main(
            check_origin,
            args=(folder, begun),
            kwargs={"longer": longer, **allow},
        )
    else:
        found.append(check_test(folder, begun, **allow))
    found.insert(0, read_changes(folder))
    hparams["changes"] = "; ".join(filter(None, found))


def _check_folders(hparams):
    for key in ("output_folder", "save_folder"):
        if not isinstance(hparams[key], str) or not hparams[key].strip():
            raise ValueError(
                f"{key}: got {hparams[key]!r}, expected the name of a folder"
            )


def _is_passing(run_opts):
    # --debug keeps its checkpoints in a temporary folder.
    return run_opts["debug"] and not run_opts["debug_persistently"]


def _trains_in_folder(run_opts):
    return not _is_passing(run_opts) and not run_opts["test_only"]


def _record_folder(hparams, run_opts):
    """A folder of its own for what two batches of --debug have made."""
    folder = Path(hparams["output_folder"])
    return folder / "debug" if _is_passing(run_opts) else folder


def _stream(document, path):
    stream = io.StringIO(document)
    # HyperPyYAML looks for nested !include: files beside stream.name.
    stream.name = os.fspath(path)
    return stream


def _keep(hparams, run_opts):
    folder = hparams["record_folder"]
    path = folder / "hyperparams.yaml"
    if run_opts["test_only"] and path.exists():
        return  # that of what is trained
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(hparams["written"], encoding="utf-8")
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.is_file():
        shutil.copy(script, folder)
