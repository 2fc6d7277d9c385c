"""A process of the GPU suite in which something breaks.

As benchmarks.gpu.child, but ``torchscript`` dies while its repeats are
checked, ``numba`` never ends after its recurrences, and a rival dies.
"""

import os
import signal
import sys
import time

from benchmarks.gpu import child


def die(*_):
    """As an illegal address does, at the latest when the process ends."""
    os.kill(os.getpid(), signal.SIGSEGV)


def main():
    """Plants what breaks, then does the job."""
    if '"kind": "check", "name": "torchscript"' in sys.argv[-1]:
        from benchmarks.gpu import checks

        checks.CHECKS["repeats"] = die
    if '"kind": "measure", "name": "numba"' in sys.argv[-1]:
        from benchmarks.gpu import measure

        measure.layers = lambda *_: time.sleep(10**6)
    if '"kind": "rivals"' in sys.argv[-1]:
        from benchmarks.gpu import rivals

        rivals.recurrence = die
    return child.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
