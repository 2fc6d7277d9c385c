"""Locks among processes, where the file system has them.

They are the operating system's, and so end with the process that holds them,
however it ends. Lustre without ``flock`` and NFS without its lock daemon have
none, and a full disk takes no lock file: then there is a warning and no lock,
for a missing lock harms two runs at once and nobody else. filelock would put a
file in its place, which a killed run leaves behind.
"""

import contextlib
import fcntl
import functools
import logging
import os
import platform
from pathlib import Path

logger = logging.getLogger(__name__)

_held = {}


def lock_folder(folder):
    """Keep other processes from a folder until this one ends.

    It is lockf's lock, for flock's is inherited by data loading processes,
    which outlive a killed training for seconds.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A second handle's end would release the first one's lock.
    if folder in _held:
        return
    try:
        file = open(folder / ".lock", "a+", encoding="utf-8", errors="replace")
    except OSError as error:
        return _go_on_without(folder, error)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with file:
            file.seek(0)
            owner = file.read().strip() or "another process"
        if not isinstance(error, (BlockingIOError, PermissionError)):
            return _go_on_without(folder, error)
        raise RuntimeError(
            f"output_folder {folder} is in use by {owner}, and two that train "
            "in it would delete each other's checkpoints. Wait until it has "
            "ended, end it, or give another output_folder"
        ) from error
    _held[folder], owner = file, f"process {os.getpid()} on {platform.node()}\n"
    # On a full disk the lock holds, without a name in it.
    with contextlib.suppress(OSError):
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), owner.encode())


@contextlib.contextmanager
def locked(path):
    """One process, or thread, at a time in the block.

    The file itself is locked, open for writing: NFS locks no folder and
    nothing that is only read.

    Example
    -------
    >>> path = getfixture("tmp_path") / "rows.csv"
    >>> with locked(path):
    ...     _ = path.write_text("mine")
    """
    while True:
        with open(path, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                _go_on_without(path, error)
            # Whoever waited for a file that was replaced waits for the new.
            if not _is_still(path, file):
                continue
            try:
                yield
            finally:
                # What was made to be locked, and then not written
                if _is_still(path, file) and not os.path.getsize(path):
                    os.unlink(path)
            return


def _is_still(path, file):
    """Whether a path names the file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _go_on_without(path, error):
    _warn_once(
        f"{path} can't be locked here ({error}): going on without a lock. Let "
        "no second run write there at the same time."
    )


_warn_once = functools.lru_cache(maxsize=None)(logger.warning)
