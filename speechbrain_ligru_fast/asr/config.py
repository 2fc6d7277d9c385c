"""Sets an experiment up: its command line, its YAML, its folder."""

import io
import re
import shutil
import sys
from pathlib import Path

import ruamel.yaml
import speechbrain as sb
from hyperpyyaml import load_hyperpyyaml, resolve_references
from hyperpyyaml.core import recursive_update
from ruamel.yaml.comments import TaggedScalar
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.train_logger import FileTrainLogger

from speechbrain_ligru_fast.training.command_line import parse
from speechbrain_ligru_fast.training.fingerprint import (
    Fingerprint,
    read_settings,
)
from speechbrain_ligru_fast.training.lock import lock_folder
from speechbrain_ligru_fast.training.process_group import join_process_group
from speechbrain_ligru_fast.training.provenance import describe_commit
from speechbrain_ligru_fast.training.results import check_results, name_lm

# What two batches need, a tokenizer say, is not what is trained with.
_DEBUG_FOLDER = "\nsave_folder: !ref <output_folder>/debug/save"


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
        What the YAML builds, the resolved YAML as ``document``, the
        ``fingerprint``, whether it ``trains_in_folder`` or only tests what is
        there (``tests_only``), and the ``record_folder`` of all it writes but
        checkpoints.
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
    # --debug keeps its checkpoints in a temporary folder.
    passing = run_opts["debug"] and not run_opts["debug_persistently"]
    if passing and not re.search("^save_folder:", changes, re.M):
        changes += _DEBUG_FOLDER
    with open(path, encoding="utf-8") as file:
        found = resolved(file, changes)
        file.seek(0)
        hparams = load_hyperpyyaml(file, changes)
    hparams["document"] = found
    for key in ("output_folder", "save_folder"):
        if not isinstance(hparams[key], str) or not hparams[key].strip():
            raise ValueError(
                f"{key}: got {hparams[key]!r}, expected the name of a folder"
            )
    folder, save_folder = hparams["output_folder"], hparams["save_folder"]
    # A folder of its own for what two batches of --debug have made
    record = Path(folder, "debug") if passing else Path(folder)
    hparams["record_folder"] = record
    hparams["tests_only"] = bool(run_opts["test_only"])
    hparams["trains_in_folder"] = not passing and not hparams["tests_only"]
    if isinstance(hparams.get("train_logger"), FileTrainLogger):
        hparams["train_logger"].save_file = str(record / "train_log.txt")
    if hparams.get("results_csv"):
        # Rather than after days of training.
        run_on_main(check_results, args=(hparams["results_csv"],))
    join_process_group(run_opts)
    run_on_main(lock_folder, args=(folder,))
    if not Path(save_folder).resolve().is_relative_to(Path(folder).resolve()):
        run_on_main(lock_folder, args=(save_folder,))
    written = changed(document, changes)
    settings = read_settings(written, run_opts)
    # Where it validates too, a language model chooses checkpoints.
    settings["lm_folder"] = name_lm(hparams.get("lm_folder"))
    hparams["fingerprint"] = Fingerprint(settings, describe_commit())
    if not passing:
        compare_with_training(hparams)
    hparams["checkpointer"].add_recoverable(
        "fingerprint", hparams["fingerprint"]
    )
    sb.create_experiment_directory(folder)
    run_on_main(_keep, args=(record, written, hparams["tests_only"]))
    return hparams, run_opts


def compare_with_training(hparams):
    """Refuse to go on with, or to test, what has begun as something else."""
    hparams["fingerprint"].compare(
        hparams["save_folder"],
        testing=hparams["tests_only"],
        # A rate that moves by the step counts on so many of them.
        longer=not hparams.get("step_schedule"),
        allow=hparams.get("allow_changes", False),
    )


def _keep(folder, written, tests_only):
    path = folder / "hyperparams.yaml"
    if tests_only and path.exists():
        return  # that of what is trained
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(written, encoding="utf-8")
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.is_file():
        shutil.copy(script, folder)


def changed(document, overrides):
    """A YAML's text with other values, its references left as they are.

    Another training can begin from it: what refers to output_folder moves
    with it.

    Example
    -------
    >>> changed("a: x\\nb: !ref <a>/y\\n", "a: z")
    'a: z\\nb: !ref <a>/y\\n'
    """
    tree = ruamel.yaml.YAML().load(document)
    changes = ruamel.yaml.YAML().load(overrides) or {}
    recursive_update(tree, changes, must_match=True)
    return _text(tree)


def resolved(document, overrides):
    """A YAML's text without references, to be kept and loaded again.

    Example
    -------
    >>> resolved("a: (1, 2)\\nb: !ref <a>\\n", {})
    'a: (1, 2)\\nb: (1, 2)\\n'
    """
    stream = resolve_references(document, overrides)
    return _text(ruamel.yaml.YAML().load(stream))


def _text(tree):
    yaml, stream = ruamel.yaml.YAML(), io.StringIO()
    plain = yaml.representer.ignore_aliases
    # Where HyperPyYAML has loaded anything, a tuple referred to gets an anchor.
    # In another process it is a string, which keeps its anchor while all others
    # are numbered anew: two nodes with one name.
    yaml.representer.ignore_aliases = lambda node: (
        plain(node) or (isinstance(node, TaggedScalar) and "(" in node.value)
    )
    yaml.dump(tree, stream)
    return stream.getvalue()
