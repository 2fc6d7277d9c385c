"""Seconds an epoch and memory."""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)


@register_checkpoint_hooks
class EpochTimer:
    """Times the training part of epochs; survives a resume.

    Example
    -------
    >>> timer = EpochTimer()
    >>> timer.start()
    >>> timer.stop() >= 0
    True
    >>> len(timer.seconds)
    1
    """

    def __init__(self):
        self.seconds = []
        self._start = self._complete = None

    def start(self, complete=True):
        """Start an epoch.

        Arguments
        ---------
        complete : bool
            False if a part of it was done in an earlier process.
        """
        self._start, self._complete = time.perf_counter(), complete

    def stop(self):
        """End an epoch; returns its seconds in this process."""
        elapsed = time.perf_counter() - self._start
        if self._complete:
            self.seconds.append(elapsed)
        return elapsed

    def median(self):
        """Median of the complete epochs; nan without any."""
        return statistics.median(self.seconds or [float("nan")])

    @mark_as_saver
    def save(self, path):
        """Save the times."""
        Path(path).write_text(json.dumps(self.seconds))

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Load the times."""
        del end_of_epoch
        self.seconds = json.loads(Path(path).read_text())


def peak_rss_mb():
    """Most memory this process has had resident, in MiB.

    Example
    -------
    >>> peak_rss_mb() > 1
    True
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
