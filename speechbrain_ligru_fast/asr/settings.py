"""A name for everything that decides a run's result but its seed."""

import functools
import hashlib
import io

import ruamel.yaml
from speechbrain.utils.run_opts import RunOptions

from speechbrain_ligru_fast.asr.process_group import count_processes
from speechbrain_ligru_fast.asr.yaml_files import changed

# Where things are, what is in the row besides, and what changes no result.
_LEFT_OUT = (
    "seed __set_seed data_folder output_folder save_folder results_csv "
    "lm_folder skip_prep num_workers ckpt_interval_minutes ckpt_interval_steps "
    "allow_changes train_annotation valid_annotation test_annotation "
    "test_annotations"
).split()
# What a single process has no use for
_OF_SEVERAL = ("sync_batch_norm",)
_RUN_OPTIONS = (
    "jit compile precision max_grad_norm grad_accumulation_factor "
    "optimizer_step_limit remove_vector_weight_decay debug eval_precision "
    "auto_mix_prec bfloat16_mix_prec skip_nonfinite_grads nonfinite_patience"
).split()


def fingerprint(document, overrides="", run_opts=None):
    """Eight digits, equal for two runs that differ in their seed at most.

    Comments, the order of keys, and where data and output are do not count.

    Arguments
    ---------
    document : str
        HyperPyYAML, see speechbrain_ligru_fast.asr.yaml_files.compose.
    overrides : str | dict
        Keys changed on the command line, as ``sb.parse_arguments`` gives
        them.
    run_opts : speechbrain.utils.run_opts.RunOptions | None

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If an override names a key the document does not have.

    Example
    -------
    >>> one = fingerprint("seed: 1\\nunits: 8 # few\\n")
    >>> one == fingerprint("units: 8\\nseed: 1\\n", "seed: 2")
    True
    >>> one == fingerprint("seed: 1\\nunits: 8\\n", "units: 9")
    False
    """
    nodes = _nodes(document, overrides)
    options = list(_options(run_opts).items())
    options.append(count_processes())
    text = repr((_plain(nodes), options))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def with_changes(settings, changes):
    """The name of settings that were others for a part of the training.

    Arguments
    ---------
    settings : str
        The `fingerprint` of those at its end.
    changes : str
        See speechbrain_ligru_fast.asr.history.read_changes.

    Returns
    -------
    str
        The same without changes.

    Example
    -------
    >>> with_changes("e5143b79", ""), with_changes("e5143b79", "lr: 1 to 2")
    ('e5143b79', '021e55bf')
    """
    if not changes:
        return settings
    text = f"{settings} {changes}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def settings(document, overrides="", run_opts=None):
    """What `fingerprint` names, a key or option each.

    Arguments
    ---------
    document, overrides, run_opts
        See `fingerprint`.

    Returns
    -------
    dict
        Name -> str, which is equal where the setting is.

    Example
    -------
    >>> one = settings("seed: 1\\nunits: 8 # few\\nlr: 0.1\\n")
    >>> two = settings("seed: 2\\nunits: 9\\nlr: 0.1\\n")
    >>> {name for name in one if one[name] != two[name]}
    {'units'}
    """
    found = {
        key.value: repr(_plain(value))
        for key, value in _nodes(document, overrides).value
    }
    options = {"--" + k: str(v) for k, v in _options(run_opts).items()}
    return found | options | {"processes": str(count_processes())}


def _nodes(document, overrides):
    several = () if count_processes() > 1 else _OF_SEVERAL
    if overrides:
        document = changed(document, overrides)
    return _nodes_without(document, (*_LEFT_OUT, *several))


# The name and the settings of one run: a recipe takes long to parse.
@functools.lru_cache(maxsize=1)
def _nodes_without(document, left_out):
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(document)
    for key in left_out:
        tree.pop(key, None)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return yaml.compose(stream.getvalue())


def _options(run_opts):
    """Those of SpeechBrain's run options that are not the default."""
    default = RunOptions()
    return {
        key: run_opts[key]
        for key in _RUN_OPTIONS
        if run_opts is not None and run_opts[key] != default[key]
    }


def _plain(node):
    """A YAML node as nested tuples, its mappings in alphabetical order."""
    if isinstance(node, ruamel.yaml.MappingNode):
        value = sorted((_plain(k), _plain(v)) for k, v in node.value)
    elif isinstance(node, ruamel.yaml.SequenceNode):
        value = [_plain(item) for item in node.value]
    else:
        value = node.value
    # Whether "(1, 2)" is a string or HyperPyYAML's !tuple depends on whether
    # HyperPyYAML has loaded something in this process.
    tag = str(node.tag)
    written = tag.startswith("!") and tag != "!tuple"
    return tag if written else "", repr(value)
