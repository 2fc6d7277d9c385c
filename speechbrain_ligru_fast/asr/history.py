"""The file of what a training began with, and has changed since."""

import ast
import json
from pathlib import Path

from speechbrain.utils.checkpoints import Checkpointer

FILE = "origin.json"
_CHANGES = "changes"


def is_trained(save_folder):
    """Whether there is a checkpoint."""
    return any(Path(save_folder).glob("CKPT*"))


def read(save_folder):
    """The file's content; empty without the file."""
    path = Path(save_folder, FILE)
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(save_folder, origin):
    """Write it, whole or not at all; the folder is made if absent."""
    path = Path(save_folder, FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(origin, indent=1), encoding="utf-8")
    unfinished.rename(path)


def state(origin):
    """What the training was last gone on with.

    Example
    -------
    >>> change = {"at": "CKPT+1", "epoch": 2, "what": {"a": ["1", "2"]}}
    >>> state({"a": "1", "b": "1", "changes": [change]})
    {'a': '2', 'b': '1'}
    """
    found = {k: v for k, v in origin.items() if k != _CHANGES}
    for change in origin.get(_CHANGES, []):
        for name, (_, after) in change["what"].items():
            found[name] = after
    return {k: v for k, v in found.items() if v is not None}


def record(save_folder, what):
    """Add a change to it, unless it undoes one that nothing was trained with.

    Arguments
    ---------
    save_folder : path-like
    what : dict
        Name -> what was and what is, None for nothing.
    """
    if not what:
        return
    origin = read(save_folder)
    last = Checkpointer(save_folder).find_checkpoint()
    at = last.path.name if last else ""
    changes = list(origin.get(_CHANGES, []))
    merged = {}
    if changes and changes[-1]["at"] == at:
        merged = changes.pop()["what"]
    for name, (before, after) in what.items():
        merged[name] = [merged.get(name, [before])[0], after]
    merged = {name: x for name, x in merged.items() if x[0] != x[1]}
    if merged:
        change = {"at": at, "epoch": _next_epoch(last), "what": merged}
        changes.append(change)
    write(save_folder, origin | {_CHANGES: changes})


def _next_epoch(checkpoint):
    """The epoch that a checkpoint is gone on with."""
    counter = checkpoint and checkpoint.paramfiles.get("counter")
    if not counter:
        return 1
    return int(counter.read_text()) + bool(checkpoint.meta["end-of-epoch"])


def read_changes(save_folder):
    """What has changed since a training began, for its result rows.

    Arguments
    ---------
    save_folder : path-like

    Returns
    -------
    str
        Empty if nothing has.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write(folder, {"batch_size": "8"})
    >>> record(folder, {"batch_size": ["8", "4"]})
    >>> read_changes(folder)
    'batch_size: 8 to 4 from epoch 1'
    """
    return "; ".join(
        f"{describe(change['what'])} from epoch {change['epoch']}"
        for change in read(save_folder).get(_CHANGES, [])
    )


def describe(what):
    """Changes in words.

    Arguments
    ---------
    what : dict
        See `record`.

    Returns
    -------
    str
    """
    return ", ".join(
        f"{name}: {_shown(before)} to {_shown(after)}"
        for name, (before, after) in what.items()
    )


def _shown(value):
    """A setting as the YAML has it, if it is short."""
    if value is None:
        return "none"
    try:
        tag, node = ast.literal_eval(value)
        text = f"{tag} {ast.literal_eval(node)}".strip()
    except (ValueError, SyntaxError, TypeError):
        text = value
    return text if len(text) <= 60 else "another"
