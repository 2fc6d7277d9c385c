"""Code that runs in a process of its own."""

import os
import subprocess
import sys
import traceback


def python(code, *arguments, ok=True, **environment):
    """Runs code with ``sys.argv`` and variables; an error is one if ``ok``."""
    return _run(["-c", code, *arguments], environment, ok)


def run_tests(folder, **environment):
    """Runs a folder of tests, of which none may be skipped."""
    command = ["-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    done = _run(command, environment, True)
    assert " passed" in done.stdout and "skipped" not in done.stdout


def _run(command, environment, ok):
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or not ok, done.stdout + done.stderr
    return done


def forked(function):
    """The id of a copy of this process that runs a function.

    Its status is 0 unless the function raises: it may assert what it likes.
    """
    process = os.fork()
    if process == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return process
