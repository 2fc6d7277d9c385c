"""Numba's compiler: what it makes is kept on disk, where a disk takes it.

Numba's own cache raises what the disk raises, and trusts what it finds. Here
a full, read-only, vanished or damaged one costs time, and code that other
users could have put there is not run.
"""

import contextlib
import hashlib
import logging
import os
import stat

from numba.core import sigutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.ccallback import CFunc
from numba.core.serialize import dumps, loads

logger = logging.getLogger(__name__)


_said = set()


def _warn(message, *values):
    # Once, whatever the values: an error may name a file that nobody knows.
    if message not in _said:
        _said.add(message)
        logger.warning(message, *values)


def _warn_of_time(why):
    _warn(
        "Backend numba compiles its loops anew in every process, for %s. Set "
        "NUMBA_CACHE_DIR to a folder of yours with some room in it.",
        why,
    )


class _Checked(CompileResultCacheImpl):
    """Entries that carry a hash of their content, and of what it is for.

    Numba writes an index before the code: what is killed in between leaves
    an index that names older code.
    """

    def __init__(self, py_func):
        super().__init__(py_func)
        enclosed = [cell.cell_contents for cell in py_func.__closure__ or ()]
        self._enclosed = repr(enclosed)

    def _digest(self, codegen, data):
        digest = hashlib.sha256(repr(codegen.magic_tuple()).encode())
        digest.update(self._enclosed.encode())
        digest.update(data)
        return digest.digest()

    def reduce(self, cres):
        data = dumps(super().reduce(cres))
        return self._digest(cres.library.codegen, data), data

    def rebuild(self, target_context, payload):
        digest, data = payload
        if digest != self._digest(target_context.codegen(), data):
            raise ValueError("the entry is damaged, or other code's")
        return super().rebuild(target_context, loads(data))


def _others_can_write(folder):
    """Whether anybody, or somebody who is not trusted, can write there.

    Trusted are this user, root and whoever owns this very file. A group is:
    where every user has one of their own, folders are theirs to write.
    """
    if not hasattr(os, "getuid"):
        return False
    try:
        state = os.stat(folder)
    except FileNotFoundError:
        return False
    trusted = {0, os.getuid(), os.stat(__file__).st_uid}
    return bool(state.st_mode & stat.S_IWOTH) or state.st_uid not in trusted


class _Cache(FunctionCache):
    """A cache whose failures cost time only."""

    _impl_class = _Checked

    def load_overload(self, sig, target_context):
        """What was kept, or None."""
        found = None
        try:
            # Whoever can write this file needs no cache to be run.
            here = os.path.dirname(__file__)
            if _others_can_write(self.cache_path) > _others_can_write(here):
                _warn_of_time(
                    f"other users can write in {self.cache_path}, and what "
                    "is kept there is run"
                )
                self.disable()
            found = super().load_overload(sig, target_context)
        except Exception as error:
            logger.info("%s holds nothing to use: %s", self.cache_path, error)
            # An index that can't be read can't be added to either.
            with contextlib.suppress(Exception):
                self.flush()
        if found is None:
            # Who waits for seconds sees why, which level INFO hides.
            _warn(
                "Backend numba compiles its loops for this CPU, which takes "
                "some seconds for each"
            )
        return found

    def save_overload(self, sig, data):
        """Keeps what was compiled, if it can."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn_of_time(f"{self.cache_path} can't keep them: {error}")


class _Loop(CFunc):
    def enable_caching(self):
        """Numba's own, with the cache of this module."""
        try:
            self._cache = _Cache(self._pyfunc)
        except Exception as error:
            _warn_of_time(f"there is no folder to keep them in: {error}")


def compiled(signature, function):
    """Numba's ``cfunc``, with a cache whose failures cost time only.

    Arguments
    ---------
    signature : numba signature
        Of the C function.
    function : callable
        What to compile. What it encloses is a part of the cache's key.

    Returns
    -------
    numba.core.ccallback.CFunc
    """
    with quiet():
        loop = _Loop(function, sigutils.normalize_signature(signature), {}, {})
        loop.enable_caching()
        loop.compile()
    return loop


@contextlib.contextmanager
def quiet():
    """Numba doesn't describe each line to whoever logs everything.

    As SpeechBrain's experiments do, which would get megabytes of it. A level
    that somebody gave Numba's logger holds.
    """
    numbas = logging.getLogger("numba")
    if numbas.level != logging.NOTSET or not numbas.isEnabledFor(logging.INFO):
        yield
        return
    numbas.setLevel(logging.WARNING)
    try:
        yield
    finally:
        numbas.setLevel(logging.NOTSET)
