"""One process to an output folder."""

import fcntl
import os
import platform
from pathlib import Path

_NAME = ".lock"
_held = {}


def lock_folder(folder):
    """Keep other processes from a folder until this one ends.

    However it ends: the lock is the operating system's. It is lockf's, for
    flock's is inherited by data loading processes, which outlive a killed
    training for seconds, and a process may then not take it twice.

    Arguments
    ---------
    folder : path-like
        Made if absent.

    Raises
    ------
    RuntimeError
        If another process holds it.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "out"
    >>> lock_folder(folder)
    >>> lock_folder(folder)  # the same process
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A second handle's end would release the first one's lock.
    if folder in _held:
        return
    file = open(folder / _NAME, "a+", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise RuntimeError(
            f"output_folder {folder} is in use by {owner}, and two that train "
            "in it would delete each other's checkpoints. Wait until it has "
            "ended, end it, or give another output_folder"
        ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}\n")
    file.flush()
    _held[folder] = file
