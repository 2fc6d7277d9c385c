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
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import resolve_references
from hyperpyyaml.core import recursive_update
from ruamel.yaml.comments import TaggedScalar

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


def changed(document, overrides):
    """The document with other values, its references left as they are.

    Another training can begin from it: what refers to output_folder moves
    with it.

    Arguments
    ---------
    document : str
        See `compose`.
    overrides : str | dict
        For HyperPyYAML.

    Returns
    -------
    str

    Example
    -------
    >>> changed("a: x\\nb: !ref <a>/y\\n", {"a": "z"})
    'a: z\\nb: !ref <a>/y\\n'
    """
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(document)
    if isinstance(overrides, str):
        overrides = yaml.load(overrides) or {}
    recursive_update(tree, overrides, must_match=True)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


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
