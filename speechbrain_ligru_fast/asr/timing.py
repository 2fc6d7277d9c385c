"""What a training has taken so far: time, memory, and the commits it ran."""

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

    What a checkpoint of an older version does not tell stays None.

    Arguments
    ---------
    peak_mb : callable
        Most memory this process has used, in MiB.

    Attributes
    ----------
    seconds : list of float
        Of the training part of each epoch that one process did as a whole.
    places : list of str | None
        What each of them was done on and by.
    first_commit : str | None
        The commit the training began with.

    Example
    -------
    >>> timer = EpochTimer()
    >>> timer.start()
    >>> timer.stop() >= 0
    True
    >>> len(timer.seconds)
    1
    """

    def __init__(self, peak_mb=peak_rss_mb):
        self.seconds, self.places = [], []
        self.first_commit = None
        self._process_peak_mb = peak_mb
        self._peak_mb, self._elapsed = 0.0, 0.0
        self._start = self._complete = self._since = self._place = None

    def start(self, complete=True, place=None):
        """Start an epoch.

        Arguments
        ---------
        complete : bool
            False if a part of it was done in an earlier process.
        place : str | None
            What it is done on and by.
        """
        self._start, self._complete = time.perf_counter(), complete
        self._place = place
        if self._since is None:
            self._since = self._start

    def stop(self):
        """End an epoch's training; returns its seconds in this process."""
        elapsed = time.perf_counter() - self._start
        if self._complete:
            self.seconds.append(elapsed)
            self.places.append(self._place)
        return elapsed

    def median(self, last, place=None):
        """Median of so many last complete epochs; nan without any.

        Arguments
        ---------
        last : int
        place : str | None
            Of those, only epochs that were done there, or nobody knows where.

        Example
        -------
        >>> timer = EpochTimer()
        >>> timer.seconds = [1.0, 1.0, 1.0, 5.0, 6.0]
        >>> timer.places = [None, None, None, "CPU", "GPU"]
        >>> timer.median(last=2), timer.median(last=2, place="GPU")
        (5.5, 6.0)
        """
        epochs = list(zip(self.seconds, self.places, strict=True))[-last:]
        known = {None, place} if place else {at for _, at in epochs}
        found = [seconds for seconds, at in epochs if at in known]
        return statistics.median(found or [float("nan")])

    def elapsed(self):
        """Seconds from the training's first epoch on, validation included.

        Work that an interruption undid, and pauses, do not count.

        Returns
        -------
        float | None
        """
        if self._elapsed is None or self._since is None:
            return self._elapsed
        return self._elapsed + time.perf_counter() - self._since

    def peak_mb(self):
        """Most memory that a process of this training has used, in MiB.

        Returns
        -------
        float | None
        """
        if self._peak_mb is None:
            return None
        return max(self._peak_mb, self._process_peak_mb())

    @mark_as_saver
    def save(self, path):
        """Save what it knows."""
        # After an older checkpoint: the most from there on.
        self._peak_mb = max(self._peak_mb or 0.0, self._process_peak_mb())
        state = {
            "seconds": self.seconds,
            "places": self.places,
            "elapsed": self.elapsed(),
            "peak_mb": self._peak_mb,
            "first_commit": self.first_commit,
        }
        Path(path).write_text(json.dumps(state))

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Load what `save` knew."""
        del end_of_epoch
        state = json.loads(Path(path).read_text())
        if isinstance(state, list):  # until 0.1.0 the seconds alone
            state = {"seconds": state}
        self.seconds = state["seconds"]
        self.places = state.get("places", [None] * len(self.seconds))
        self._elapsed = state.get("elapsed")
        self._peak_mb = state.get("peak_mb")
        self.first_commit = state.get("first_commit")
        self._since = None
