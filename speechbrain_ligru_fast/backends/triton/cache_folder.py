"""Where Triton keeps what it compiles, if its own folder doesn't take it.

Triton loads a launch's code from a file and so can't do without one. Where its
folder is full, may not be written or holds torn files, this process gets a
folder of its own, which goes with it.
"""

import atexit
import contextlib
import functools
import logging
import os
import shutil
import subprocess
import tempfile

logger = logging.getLogger(__name__)

_VARIABLE = "TRITON_CACHE_DIR"
# What a disk's refusal looks like: of Triton, of a torn library that it loads
# and of the C compiler that it calls.
_REFUSALS = (OSError, ImportError, subprocess.SubprocessError)
_in_use = []


def with_folder(launch, /, **arguments):
    """Calls ``launch``, and once more in another folder if the first fails.

    Arguments
    ---------
    launch : callable
        Compiles one kernel, and launches it if that succeeds.
    **arguments
        Its arguments.

    Raises
    ------
    Exception
        What ``launch`` raises, if that is not mended.
    """
    if _in_use:
        with _set(_in_use[0]):
            launch(**arguments)
        return
    try:
        launch(**arguments)
    except _REFUSALS as error:
        folder = _make()
        if folder is None:
            raise
        with _set(folder):
            launch(**arguments)
        _in_use.append(folder)
        logger.warning(
            "Backend triton compiles its kernels anew in every process, for "
            "Triton's folder can't keep them: %s. Set TRITON_CACHE_DIR to a "
            "folder of yours with some room in it.",
            error,
        )


def _make():
    """A folder of this process alone, or None where there is no room."""
    for place in (None, "/dev/shm"):
        with contextlib.suppress(OSError):
            folder = tempfile.mkdtemp(prefix="ligru-triton-", dir=place)
            atexit.register(
                functools.partial(shutil.rmtree, folder, ignore_errors=True)
            )
            return folder
    return None


@contextlib.contextmanager
def _set(folder):
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
