"""One process of the GPU suite: does one job and appends what comes of it.

The suite starts it; its only argument is a ``Job`` as JSON.
"""

import importlib
import json
import sys
import time
import traceback

from benchmarks.gpu.job import ABSENT, Job, note
from benchmarks.gpu.presence import Absent
from speechbrain_ligru_fast.asr import results
from speechbrain_ligru_fast.asr.provenance import describe_device


class Child:
    """The job of this process, the time that is left, and where rows go.

    Arguments
    ---------
    job : Job
        What to do.
    """

    def __init__(self, job):
        self.job = job

    def left(self):
        """Seconds that are left for the job."""
        return self.job.until - time.monotonic()

    def note(self, text):
        """Prints a line and keeps it."""
        note(self.job.folder, text)

    def row(self, name, cells):
        """Appends a row to a result file at once.

        Arguments
        ---------
        name : str
            The file.
        cells : dict
            What follows the stamp.
        """
        stamp = dict(self.job.stamp)
        # The suite itself never calls CUDA, which alone tells the name.
        stamp["device"] = describe_device(self.job.device)
        results.append_row(self.job.folder / name, {**stamp, **cells})


def main(argv):
    """Does a job; returns the exit status."""
    job = Job(**json.loads(argv[0]))
    child = Child(job)
    try:
        # A library that one kind of job lacks is nothing to the others.
        importlib.import_module(f"benchmarks.gpu.{job.kind}").work(child)
    except Absent as error:
        child.note(f"not here: {error}")
        return ABSENT
    except Exception as error:
        traceback.print_exc()
        child.note(f"{job.name}: {job.kind}: {error!r}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
