"""What follows a training: steps that fail, if at all, each on its own."""

import logging

from speechbrain_ligru_fast.asr.process_group import count_processes

logger = logging.getLogger(__name__)


class Steps:
    """Goes on after a step that failed, and tells of it at the end.

    Of several processes all would have to agree on what failed: there the
    first error ends the run, and what was done before it is kept.

    Example
    -------
    >>> steps = Steps()
    >>> steps("the sum", sum, [1, 2])
    3
    >>> steps("the quotient", lambda: 1 / 0)
    >>> steps.finish("Try again")
    Traceback (most recent call last):
    ...
    RuntimeError: failed: the quotient (ZeroDivisionError: division by zero). \
All else is done and kept. Try again
    """

    def __init__(self):
        self.failed = {}

    def __call__(self, what, function, *args, **kwargs):
        """Do a step; returns what it does, None if it failed."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if count_processes() > 1:
                raise
            logger.exception("%s failed", what)
            self.failed[what] = error
            return None

    def finish(self, advice):
        """Raise if a step failed.

        Arguments
        ---------
        advice : str
            How to go on.

        Raises
        ------
        RuntimeError
            Naming what failed, and why.
        """
        if self.failed:
            listed = "; ".join(
                f"{what} ({type(error).__name__}: {error})"
                for what, error in self.failed.items()
            )
            raise RuntimeError(
                f"failed: {listed}. All else is done and kept. {advice}"
            )
