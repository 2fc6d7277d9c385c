"""A disk without room, by the kernel's own doing, without being root."""

import os
import resource
import traceback


def on_full_disk(function, room):
    """Calls a function in a process whose files can't grow.

    Arguments
    ---------
    function : callable
        May assert what it likes.
    room : int
        Bytes that a file may have. Writing beyond them is an OSError.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
