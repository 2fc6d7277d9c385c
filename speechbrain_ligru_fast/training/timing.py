"""What a training has taken so far: time and memory."""

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


def peak_rss_mb():
    """Most memory this process has had resident, in MiB.

    Example
    -------
    >>> peak_rss_mb() > 1
    True
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@register_checkpoint_hooks
class EpochTimer:
    """Times a training; what it knows survives a resume.

    Example
    -------
    >>> timer = EpochTimer()
    >>> timer.start(place="CPU")
    >>> timer.stop() == timer.median(last=1, place="CPU")
    True
    """

    def __init__(self, process_peak_mb=peak_rss_mb):
        self.epochs = []
        self._process_peak_mb = process_peak_mb
        self._peak_mb = self._elapsed = 0.0
        self._start = self._complete = self._since = self._place = None

    def start(self, complete=True, place=""):
        """Start an epoch."""
        self._start, self._complete = time.perf_counter(), complete
        self._place = place
        if self._since is None:
            self._since = self._start

    def stop(self):
        """End an epoch's training; returns its seconds in this process."""
        seconds = time.perf_counter() - self._start
        if self._complete:
            self.epochs.append([seconds, self._place])
        return seconds

    def median(self, last, place):
        """Median of those of so many last epochs that were done in a place."""
        found = [seconds for seconds, at in self.epochs[-last:] if at == place]
        return statistics.median(found or [float("nan")])

    def elapsed(self):
        """Seconds from the training's first epoch on, validation included.

        Work that an interruption undid, and pauses, do not count.
        """
        if self._since is None:
            return self._elapsed
        return self._elapsed + time.perf_counter() - self._since

    def peak_mb(self):
        """Most memory that a process of this training has used, in MiB."""
        return max(self._peak_mb, self._process_peak_mb())

    @mark_as_saver
    def save(self, path):
        """Save what it knows."""
        self._peak_mb = self.peak_mb()
        state = [self.epochs, self.elapsed(), self._peak_mb]
        Path(path).write_text(json.dumps(state))

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Load what `save` knew."""
        del end_of_epoch
        state = json.loads(Path(path).read_text())
        self.epochs, self._elapsed, self._peak_mb = state
        self._since = None
