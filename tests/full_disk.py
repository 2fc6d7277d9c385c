"""A disk without room, by the kernel's own doing, without being root."""

import os
import resource

from fresh import forked


def on_full_disk(function, room):
    """Calls a function in a process whose files can't exceed ``room`` bytes.

    Writing beyond them is an OSError.
    """

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        function()

    assert os.waitpid(forked(full), 0)[1] == 0
