"""Runs a command in a session of its own, for a limited time.

What a GPU does wrong a process can't always survive: an illegal address
spoils every later call, a kernel that never ends blocks even the exit.
"""

import contextlib
import os
import signal
import subprocess

# How long a killed process may take to leave the driver.
LEAVING = 10


def run(command, seconds, **options):
    """Runs a command; kills it and all that it started when time is over.

    Arguments
    ---------
    command : list of str
        The program and its arguments.
    seconds : float
        Time for it.
    **options
        Of subprocess.Popen.

    Returns
    -------
    status : int | None
        Its exit status, negative for a signal; None if it was killed here.
    output : str | None
        What it wrote to a pipe, if ``options`` ask for one.

    Example
    -------
    >>> run(["sh", "-c", "exit 3"], 10)
    (3, None)
    """
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, _kill(process)
    # The parent is told to end: nothing may go on without it.
    except BaseException:
        _kill(process)
        raise


def _kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        output, _ = process.communicate(timeout=LEAVING)
    # Stuck in the driver: nobody can wait for that.
    except subprocess.TimeoutExpired:
        return None
    return output


def ending(status):
    """How a process ended, in words.

    Arguments
    ---------
    status : int | None
        As ``run`` returned it.

    Returns
    -------
    str

    Example
    -------
    >>> ending(-11), ending(1), ending(None)
    ('died of SIGSEGV', 'ended with status 1', 'did not end in time: killed')
    """
    if status is None:
        return "did not end in time: killed"
    if status < 0:
        return f"died of {signal.Signals(-status).name}"
    return f"ended with status {status}"
