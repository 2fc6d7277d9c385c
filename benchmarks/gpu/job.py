"""What one process of the GPU suite is to do, and where it writes."""

import dataclasses
import json
import pathlib
import sys

from benchmarks.gpu import cases

# A child's exit status if its backend can't run on this machine.
ABSENT = 3
# What runs a job; its last argument is the job.
PROGRAM = (sys.executable, "-X", "faulthandler", "-m", "benchmarks.gpu.child")


@dataclasses.dataclass(frozen=True)
class Job:
    """The work of one process.

    Arguments
    ---------
    kind : str
        check, measure, rivals or micro: a module of this package.
    name : str
        What is worked on: a backend, a rival, or a name for itself.
    until : float
        When its time is over, by time.monotonic, which all processes share.
    out : str
        Folder of what is written.
    device : str
        cpu for a dry run, else cuda.
    seed : int
        Of random inputs that are verified.
    figure : float
        Seconds to spend on one figure.
    stamp : dict
        Columns that each row begins with; their ``run`` is this process's.
    parts : sequence of str
        Checks to run, or implementations to time.
    shapes : str
        Which of the plan's shapes to time: first, rest or slow.
    """

    kind: str
    name: str
    until: float
    out: str
    device: str
    seed: int
    figure: float
    stamp: dict
    parts: tuple = ()
    shapes: str = "first"

    @property
    def plan(self):
        """The shapes of its device."""
        return cases.DRY if self.device == "cpu" else cases.FULL

    def command(self):
        """The command line of the process that does it."""
        return [*PROGRAM, json.dumps(dataclasses.asdict(self))]

    @property
    def folder(self):
        """Folder of what is written, as a path."""
        return pathlib.Path(self.out)


def note(folder, text):
    """Prints a line and keeps it in checks.txt; processes take turns.

    Arguments
    ---------
    folder : pathlib.Path
        Where that file is.
    text : str
        The line.
    """
    print(text, flush=True)
    with (folder / "checks.txt").open("a") as file:
        file.write(f"{text}\n")
