"""Runs NVIDIA's compute-sanitizer on a few small scans."""

import os
import shutil
import signal
import subprocess
import sys

TOOLS = ("memcheck", "racecheck")
SECONDS = 60
# The exit status that says that the tool has found something.
FOUND = 9

SCANS = """
import sys, torch
from benchmarks.gpu import scans
generator = torch.Generator().manual_seed(1)
for layernorm in (False, True):
    for operand in ("bf16", "fp32"):
        given = scans.draw(generator, 64, 3, 4, 2, layernorm, lengths=True)
        scans.run(given, sys.argv[1], "cuda", operand, "fp32")
"""


def run(tool, backend, seconds=SECONDS):
    """Runs one tool.

    Arguments
    ---------
    tool : str
        Of ``TOOLS``.
    backend : str
        What to run the scans on.
    seconds : float
        What is left of the suite's time.

    Returns
    -------
    str
        What came of it.
    """
    if shutil.which("compute-sanitizer") is None:
        return f"{tool}: compute-sanitizer is not installed"
    seconds = min(seconds, SECONDS)
    if seconds <= 0:
        return f"{tool}: no time, NOT RUN"
    process = subprocess.Popen(
        [
            *["compute-sanitizer", "--tool", tool],
            # The driver's bindings ask for functions that it may lack.
            *["--report-api-errors", "no", "--error-exitcode", str(FOUND)],
            *[sys.executable, "-c", SCANS, backend],
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # The tool's child would go on beside what is measured next.
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"{tool}: not finished in {seconds:.0f} s"
    if process.returncode == 0:
        return f"{tool}: nothing found"
    if process.returncode == FOUND:
        return f"{tool}: FOUND something\n{output[-3000:]}"
    return f"{tool} did not run: {output[-500:]}"
