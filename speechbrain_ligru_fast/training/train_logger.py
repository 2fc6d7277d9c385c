"""Statistics for any of SpeechBrain's training loggers."""

import inspect
import logging

from speechbrain.utils.train_logger import FileTrainLogger

logger = logging.getLogger(__name__)


def check_logger(train_logger):
    """Refuse, before any work, what can't log statistics."""
    try:
        inspect.signature(train_logger.log_stats).bind(
            stats_meta={}, train_stats={}, valid_stats={}, test_stats={}
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"train_logger: got {train_logger!r}, expected an object with "
            "SpeechBrain's log_stats(stats_meta, train_stats, valid_stats, "
            "test_stats)"
        ) from error


def log_epoch(train_logger, meta, train_stats, valid_stats):
    """Log an epoch. What fails is said, and costs no training."""
    if not isinstance(train_logger, FileTrainLogger):
        meta = _numbers(meta)
    stats = {"train_stats": train_stats, "valid_stats": valid_stats}
    try:
        train_logger.log_stats(stats_meta=meta, **stats)
    except Exception:
        logger.exception("The train_logger failed: lacks %s, %s", meta, stats)


def log_test(train_logger, split, meta, test_stats):
    """Log a test.

    Loggers that draw curves take numbers alone, and make one curve of what
    has one name: there the test set is a part of it.
    """
    if isinstance(train_logger, FileTrainLogger):
        meta = {"split": split, **meta}
    else:
        meta = _numbers(meta)
        test_stats = {f"{split} {key}": x for key, x in test_stats.items()}
    train_logger.log_stats(stats_meta=meta, test_stats=test_stats)


def _numbers(stats):
    """Those that are numbers, or say one."""
    found = {}
    for name, value in stats.items():
        try:
            found[name] = float(value) if isinstance(value, str) else value
        except ValueError:
            continue
    return found
