"""From where a training goes on, read from what it prints and has saved.

A place in a training is a pair: the epoch, and the batches of it that are
done.
"""

import re

import ruamel.yaml
from speechbrain.utils.checkpoints import Checkpointer

# SpeechBrain's line for an epoch, and its progress bar in training: the first
# has the batches that were done before this process, later ones a loss after
# each batch.
_EVENT = re.compile(
    r"Going into epoch (?P<epoch>\d+)"
    r"|(?P<done>\d+)/(?P<total>\d+) \[[^\]]*?(?:train_loss=(?P<loss>[^\]]*))?\]"
)


def places(text):
    """Where a run began and how far it came.

    Arguments
    ---------
    text : str
        What the run printed, with its progress bar.

    Returns
    -------
    begin : tuple of int | None
        None if it was killed before it could train.
    reached : tuple of int | None
    batches : int | None
        Of an epoch.

    Example
    -------
    >>> places(
    ...     "Going into epoch 2\\n 50%|##| 3/6 [00:00<?]"
    ...     " 50%|##| 3/6 [00:01<00:01, train_loss=1.5]"
    ... )
    ((2, 3), (2, 4), 6)
    """
    epoch = begin = reached = batches = last = None
    for event in _EVENT.finditer(text):
        if event["epoch"]:
            epoch, fresh = int(event["epoch"]), True
            continue
        if epoch is None:
            continue
        done = int(event["done"])
        if fresh:
            # Later bars without a loss are validation's.
            fresh, batches, last = False, int(event["total"]), None
            reached = (epoch, done)
            begin = begin or reached
        elif event["loss"]:
            # The loss changes when a batch is done, the count when the next
            # one is asked for.
            done += event["loss"] != last
            reached, last = max(reached, (epoch, done)), event["loss"]
    return begin, reached, batches


def newest(folder):
    """Where the newest complete checkpoint lets a training begin.

    Arguments
    ---------
    folder : path-like
        A recipe's output folder.

    Returns
    -------
    tuple of int | None
        None if there is no checkpoint.
    """
    save = folder / "save"
    found = Checkpointer(save).find_checkpoint() if save.is_dir() else None
    if found is None:
        return None
    epoch = int((found.path / "counter.ckpt").read_text("utf-8"))
    if found.meta["end-of-epoch"]:
        return epoch + 1, 0
    text = (found.path / "brain.ckpt").read_text("utf-8")
    return epoch, ruamel.yaml.YAML(typ="safe").load(text)["step"]


def account(texts, saved):
    """Whether runs began where they could, and what was done twice.

    Arguments
    ---------
    texts : list of str
        What each run printed, in order.
    saved : list of (tuple of int | None)
        Where the newest checkpoint let each run begin.

    Returns
    -------
    dict
        ``resumes``, the runs that had a checkpoint and came to train;
        ``from_newest``, whether each began there; ``lost_steps``, the most
        batches that a run did again.

    Example
    -------
    >>> epoch = "Going into epoch 1 "
    >>> first = epoch + "0/6 [] 0/6 [train_loss=2] 1/6 [train_loss=1]"
    >>> account([first, epoch + "1/6 []"], [None, (1, 1)])
    {'resumes': 1, 'from_newest': True, 'lost_steps': 1}
    """
    resumes, from_newest, lost_steps, before = 0, True, 0, None
    for text, place in zip(texts, saved, strict=True):
        begin, reached, batches = places(text)
        if begin is None:
            continue
        resumes += place is not None
        from_newest = from_newest and begin == (place or (1, 0))
        if before:
            epochs, done = (a - b for a, b in zip(before, begin))
            lost_steps = max(lost_steps, epochs * batches + done)
        before = reached
    return {
        "resumes": resumes,
        "from_newest": from_newest,
        "lost_steps": lost_steps,
    }
