"""Reads an experiment's YAML: HyperPyYAML, and one file on top of another.

A file whose root carries HyperPyYAML's own ``!include:`` tag is the included
file with the keys below changed or added, so that a variant holds only what
differs:

    --- !include:ligru_fast.yaml
    rnn_neurons: 256

Further files after a ``+`` change the first one as this one does, in order:

    --- !include:ligru_fast.yaml+../common/sincnet.yaml

Command-line overrides come last and must name a key that exists.
"""

import copy
import io
import os
import shutil
import sys
from pathlib import Path

import ruamel.yaml
import speechbrain as sb
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.comments import TaggedScalar
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.lock import lock_folder
from speechbrain_ligru_fast.asr.options import check_options
from speechbrain_ligru_fast.asr.origin import check_origin, check_test
from speechbrain_ligru_fast.asr.process_group import join_process_group
from speechbrain_ligru_fast.asr.results import (
    describe_commit,
    name_lm,
    read_rows,
)
from speechbrain_ligru_fast.asr.settings import fingerprint, settings

_INCLUDE = "!include:"


def compose(path):
    """Resolve the chain of included files.

    Arguments
    ---------
    path : path-like
        The YAML file of an experiment.

    Returns
    -------
    str
        One HyperPyYAML document with every key.

    Raises
    ------
    FileNotFoundError
        If a file of the chain is missing.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "full.yaml").write_text("units: 512\\nlayers: 4\\n")
    >>> _ = (folder / "small.yaml").write_text(
    ...     "--- !include:full.yaml\\nunits: 8\\n"
    ... )
    >>> print(compose(folder / "small.yaml"))
    units: 8
    layers: 4
    <BLANKLINE>
    """
    stream = io.StringIO()
    ruamel.yaml.YAML().dump(_tree(Path(path), ()), stream)
    return stream.getvalue()


def _tree(path, chain):
    if not path.is_file():
        by = f", included by {chain[-1]}" if chain else ""
        raise FileNotFoundError(f"no such YAML file: {path}{by}")
    if path.resolve() in chain:
        raise ValueError(f"{path} includes itself")
    tree = ruamel.yaml.YAML().load(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise ValueError(f"{path} is not a YAML mapping")
    tag = tree.tag.value or ""
    if not tag.startswith(_INCLUDE):
        return tree
    base, *changes = (
        _tree(path.parent / name, (*chain, path.resolve()))
        for name in tag[len(_INCLUDE) :].split("+")
    )
    for change in (*changes, tree):
        _change(base, change)
    return base


def _change(base, tree):
    # HyperPyYAML resolves references from top to bottom: a new key goes where
    # the key after it is, counted from the end to keep the order of several.
    position = len(base)
    for key, value in reversed(list(tree.items())):
        if key in base:
            base[key] = value
            position = list(base).index(key)
        else:
            base.insert(position, key, value)


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
        See `compose`.
    run_opts : speechbrain.utils.run_opts.RunOptions
    overrides : str
        For HyperPyYAML.

    Raises
    ------
    ValueError
        If an option is neither SpeechBrain's nor a key of the YAML, or has
        not one value.
    """
    path, run_opts, overrides = sb.parse_arguments(arguments)
    document = compose(path)
    options = list(arguments)
    options.remove(path)
    check_options(options, ruamel.yaml.YAML().load(document))
    return path, document, run_opts, overrides


def load_experiment(arguments=None):
    """Parse a recipe's command line and set the experiment up.

    Creates the output folder with the resolved YAML, the recipe, the
    environment and the log, as SpeechBrain's recipes do.

    Arguments
    ---------
    arguments : list of str, optional
        Default: those of the running script.

    Returns
    -------
    hparams : dict
        What the YAML builds, the resolved YAML as ``document`` and its
        fingerprint as ``settings``, the ``commit`` that runs, which a later
        one does not change, whether it ``trains_in_folder`` or only tests
        what is there, and the ``record_folder`` of all it writes but
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
    path, document, run_opts, overrides = parse(arguments)
    hparams = load_hyperpyyaml(_stream(document, path), overrides)
    hparams["settings"] = fingerprint(document, overrides, run_opts)
    hparams["commit"] = describe_commit()
    hparams["trains_in_folder"] = _trains_in_folder(run_opts)
    hparams["record_folder"] = record = _record_folder(hparams, run_opts)
    if "train_logger" in hparams:
        hparams["train_logger"].save_file = str(record / "train_log.txt")
    results_csv = hparams.get("results_csv")
    if results_csv and Path(results_csv).exists():
        read_rows(results_csv)  # rather than after days of training
    join_process_group(run_opts)
    folder = hparams["output_folder"]
    run_on_main(lock_folder, args=(folder,))
    if not _is_passing(run_opts):
        begun = settings(document, overrides, run_opts)
        begun["seed"] = str(hparams["seed"])
        if hparams.get("lm_folder"):
            # Where it validates too, it chooses checkpoints.
            begun["lm_folder"] = name_lm(hparams["lm_folder"])
        _check(hparams, begun)
    sb.create_experiment_directory(folder)
    hparams["document"] = resolved(document, overrides)
    run_on_main(_keep, args=(hparams, run_opts))
    return hparams, run_opts


def _check(hparams, begun):
    if not hparams["trains_in_folder"]:
        run_on_main(check_test, args=(hparams["save_folder"], begun))
        return
    run_on_main(
        check_origin,
        args=(hparams["save_folder"], begun),
        # A rate that moves by the step counts on so many of them.
        kwargs={"longer": not hparams.get("step_schedule")},
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


def resolved(document, overrides):
    """The document without references, to be kept and loaded again.

    Arguments
    ---------
    document : str
        See `compose`.
    overrides : str | dict
        For HyperPyYAML.

    Returns
    -------
    str
        Resolving it once more changes nothing.

    Example
    -------
    >>> resolved("a: (1, 2)\\nb: !ref <a>\\n", {})
    'a: (1, 2)\\nb: (1, 2)\\n'
    """
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(resolve_references(document, overrides).read())
    stream = io.StringIO()
    yaml.dump(_part_tuples(tree), stream)
    return stream.getvalue()


def _part_tuples(node):
    """The node with a copy of a tuple wherever there was a reference to it.

    Where HyperPyYAML has loaded anything, a tuple referred to gets an anchor.
    In another process it is a string, which keeps its anchor while all others
    are numbered anew: two nodes with one name, a key with the other's value.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            node[key] = _part_tuples(value)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            node[i] = _part_tuples(value)
    elif isinstance(node, TaggedScalar) and node.tag.value == "!tuple":
        return copy.copy(node)
    return node


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
    path.write_text(hparams["document"], encoding="utf-8")
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.is_file():
        shutil.copy(script, folder)
