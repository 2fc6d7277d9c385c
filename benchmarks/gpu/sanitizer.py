"""Runs NVIDIA's compute-sanitizer on a few small scans."""

import shutil
import subprocess
import sys

from benchmarks.gpu import processes

TOOLS = ("memcheck", "racecheck")
# For both tools.
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


def installed():
    """Whether the tool is on the path."""
    return shutil.which("compute-sanitizer") is not None


def run(tool, backend, seconds=SECONDS):
    """Runs one tool.

    Arguments
    ---------
    tool : str
        Of ``TOOLS``.
    backend : str
        What to run the scans on.
    seconds : float
        Time for it.

    Returns
    -------
    str
        What came of it.
    """
    if not installed():
        return f"{tool}: compute-sanitizer is not installed"
    if seconds <= 0:
        return f"{tool}: no time, NOT RUN"
    status, output = processes.run(
        [
            *["compute-sanitizer", "--tool", tool],
            # The driver's bindings ask for functions that it may lack.
            *["--report-api-errors", "no", "--error-exitcode", str(FOUND)],
            *[sys.executable, "-c", SCANS, backend],
        ],
        seconds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if status is None:
        return f"{tool}: not finished in {seconds:.0f} s"
    if status == 0:
        return f"{tool}: nothing found"
    if status == FOUND:
        return f"{tool}: FOUND something\n{output[-3000:]}"
    return f"{tool} did not run: {output[-500:]}"
