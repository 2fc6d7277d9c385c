"""Runs what may crash, hang or spoil a GPU in a process of its own.

The child says what it does, line by line, on its output; who has begun and not
ended when the child dies, or says nothing for too long, is blamed. The next
child goes on without that one.
"""

import collections
import contextlib
import ctypes
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from importlib import import_module

# Before each message; anything else on the output is the libraries' own.
_MARK = "ligru-child: "
# Seconds until the first message: imports, and a GPU's context.
START = 120
# Seconds that a killed process may take to leave the driver.
LEAVING = 10
# SIGHUP, SIGINT, SIGKILL and SIGTERM: what others send, and no fault of who
# was at work.
_SENT = (1, 2, 9, 15)
# Lines of the libraries' output that a report shows.
_TAIL = 6
# What starts a child; tests, and tools that watch one, put others before it.
PROGRAM = (
    sys.executable, "-X", "faulthandler", "-c",
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from speechbrain_ligru_fast.backends import child; child.work()",
)  # fmt: skip


class Ended(Exception):
    """A child that nobody here is to blame for has not done its work."""


def say(**message):
    """Tells the parent; for the child."""
    print(f"\n{_MARK}{json.dumps(message)}", flush=True)


def work():
    """The child: calls a function by its name."""
    with contextlib.suppress(OSError, AttributeError):
        # Nobody waits for it any more once its parent is gone.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    path, arguments = sys.argv[2:]
    module, function = path.split(":")
    getattr(import_module(module), function)(*json.loads(arguments))
    say(done=True)


def _note(found, name, turn=None, **cells):
    """Adds a message to what is known of a name."""
    known = found.setdefault(name, {"turns": {}})
    known.update(cells)
    if turn is not None:
        way, number, ms = turn
        known["turns"].setdefault(way, {})[number] = ms


def _messages(process, seconds, until):
    """Yields messages, then how it ended; a status of None is a silence."""
    output, rest = process.stdout.fileno(), b""
    tail = collections.deque(maxlen=_TAIL)
    end, hung = min(until, time.monotonic() + START), False
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([output], [], [], left)[0]:
            hung = True
            break
        data = os.read(output, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            before, mark, message = text.partition(_MARK)
            if mark:
                yield json.loads(message)
                end = min(until, time.monotonic() + seconds)
            elif before.strip():
                tail.append(before.strip()[:200])
    if not hung:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LEAVING)
    status = None if hung else process.poll()
    yield {"status": status, "tail": " | ".join(tail)}


def _kill(process):
    """Ends a child with all that it started, whatever state it is in."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Stuck in the driver: nobody can wait for that.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(LEAVING)
    process.stdout.close()


def run(found, path, names, arguments, seconds, until=math.inf):
    """Finds out about some names in children; blames who kills or hangs one.

    Where a child dies a next one begins again with the others, so the last
    message of a name counts.

    Arguments
    ---------
    found : dict
        Filled as messages come, so that an end takes nothing away. Name ->
        what a child said of it; its ``turns``: way -> number -> milliseconds;
        or ``verdict`` (crashed or hung) and ``why``.
    path : str
        ``module:function`` that a child calls with the names and arguments.
    names, arguments
        Of what may fail; more for the function, such that JSON holds it.
    seconds, until : float
        From one message to the next; and when ``time.monotonic`` says that
        time is over for all.

    Raises
    ------
    Ended
        If a child did not come to work, was killed by others, or had no
        time.
    """
    names = list(names)
    # A frozen program would be started whole.
    if not sys.executable or getattr(sys, "frozen", False):
        raise Ended("there is no Python interpreter to start")
    if os.name != "posix":
        raise Ended("a child can't be watched on this system")
    while names:
        words = json.dumps(sys.path), path, json.dumps([names, *arguments])
        try:
            process = subprocess.Popen(
                [*PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Ended(f"no process could be started: {error}") from error
        current, judged, done = None, False, False
        try:
            for message in _messages(process, seconds, until):
                if "begin" in message:
                    current, judged = message["begin"], False
                judged = judged or "verdict" in message
                done = done or "done" in message
                if "name" in message:
                    _note(found, **message)
        finally:
            _kill(process)
        if done:
            return
        status, tail = message["status"], message["tail"]
        if status is None and time.monotonic() >= until:
            raise Ended("time is over")
        if status is not None and -status in _SENT:
            raise Ended(f"it was killed by signal {-status}: {tail}")
        if current is None:
            raise Ended(f"it ended before it began, status {status}: {tail}")
        names.remove(current)
        if judged:  # It has spoilt the GPU for the others, and said so.
            continue
        verdict = "hung" if status is None else "crashed"
        why = f"status {status}" if status is not None else f"{seconds:.0f} s"
        _note(found, current, verdict=verdict, why=f"{why}: {tail}")
