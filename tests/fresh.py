"""Code that runs in a process of its own."""

import os
import subprocess
import sys


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
