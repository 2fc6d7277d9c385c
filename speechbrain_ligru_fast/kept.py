"""Machine code and measurements, in a folder that only this user may write.

The folder that SPEECHBRAIN_LIGRU_CACHE names may be shared and stays as it
is: every user has one of their own in it. An entry's name says what it is for;
it carries a hash of its name and content, so that a torn, renamed or foreign
file is made again. What goes wrong costs time, with one warning.
"""

import contextlib
import hashlib
import logging
import os
import pathlib
import stat
import tempfile

logger = logging.getLogger(__name__)

# Names what wrote an entry; its version is part of the format.
_MAGIC = b"ligru-cubin-2\n"
_HEAD = len(_MAGIC) + hashlib.sha256().digest_size


_said = []


def _warn(why):
    # Once, whatever the reason: an error may name a file that nobody knows.
    if _said:
        return
    _said.append(why)
    logger.warning(
        "Kernels are compiled and proven and products timed anew in every "
        "process, for %s. Set SPEECHBRAIN_LIGRU_CACHE to a folder of yours "
        "with some room in it.",
        why,
    )


def _is_own(state):
    """Whether a file's ``stat`` says that only this user may write it."""
    return state.st_uid == os.getuid() and not state.st_mode & (
        stat.S_IWGRP | stat.S_IWOTH
    )


def folder():
    """Where all is kept: in SPEECHBRAIN_LIGRU_CACHE or the user's cache.

    Returns
    -------
    pathlib.Path | None
        None, after a warning, if no folder is this user's alone.
    """
    if not hasattr(os, "getuid"):
        _warn("this system doesn't tell whose a folder is")
        return None
    base = os.environ.get("SPEECHBRAIN_LIGRU_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache",
        "speechbrain_ligru_fast",
    )
    base = os.path.expanduser(base)
    if base.startswith("~"):
        _warn(f"this user has no home: there is no {base}")
        return None
    own = pathlib.Path(base, f"cubins-{os.getuid()}")
    try:
        own.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            own.mkdir(mode=0o700)
        state = own.lstat()
    except OSError as error:
        _warn(f"it has no folder to keep them in: {error}")
        return None
    # Code is loaded from here: nobody else may write it.
    if not stat.S_ISDIR(state.st_mode) or not _is_own(state):
        _warn(f"{own} is no folder that this user alone can write")
        return None
    return own


def read(path):
    """An entry's content, or None if it is absent, torn or foreign.

    Arguments
    ---------
    path : pathlib.Path
        As ``write`` was given.

    Returns
    -------
    bytes | None
    """
    try:
        # What is checked is what is read, whatever the name leads to by then.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or not _is_own(state):
                return None
            data = file.read()
    except OSError:
        return None
    content = data[_HEAD:]
    return content if data[:_HEAD] == _head(path, content) else None


def _head(path, content):
    return _MAGIC + hashlib.sha256(path.name.encode() + content).digest()


def write(path, content):
    """Writes an entry at once: a reader sees all of it or none.

    Where there is no room, or no leave to write, there is no entry.

    Arguments
    ---------
    path : pathlib.Path
        A file in ``folder()``.
    content : bytes
        What is kept.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with open(handle, "wb") as file:
            file.write(_head(path, content) + content)
        os.replace(temporary, path)
    except OSError as error:
        _warn(f"{path.parent} can't keep them: {error}")
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
