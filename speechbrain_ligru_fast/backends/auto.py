"""What ``auto`` picks: the fastest backend that can run.

On a GPU that is what has proven itself there: verdicts.py. Until then, and
where nothing is proven, the order is that of ``spec.TRIED_ON``.
"""

import logging

from speechbrain_ligru_fast.backends import loading
from speechbrain_ligru_fast.backends.failures import Broken, warn_of_broken
from speechbrain_ligru_fast.backends.spec import TRIED_ON

logger = logging.getLogger(__name__)

# Steps below which packing weights for a compiled loop saves little or costs
# more than the loop saves, on a CPU (docs/results.md).
SHORT = 4
# Types of devices whose backends nobody trusts before they are proven there.
PROVEN_ON = ("cuda",)


def tried_on(device_type):
    """Names of the backends that ``auto`` asks, and so imports, in order.

    Example
    -------
    >>> tried_on("cpu")[0]
    'numba'
    """
    return tuple(
        name
        for name, devices in TRIED_ON.items()
        if not devices or device_type in devices
    )


def by_speed(device_type, dtype, spec, short):
    """Yields backends, the fastest first, and why ``auto`` can't take them.

    ``torchscript`` and ``reference`` run everywhere.
    """
    for candidate in tried_on(device_type):
        if candidate == "numba" and device_type == "cpu" and short:
            reason = f"fewer than {SHORT} steps don't repay packing"
        else:
            reason = loading.reason(candidate, device_type, dtype, spec)
        if reason is None:
            reason = loading.passed_over(candidate, device_type)
        yield candidate, reason


def pick(candidates, device_type, dtype, tf32, refused=()):
    """The module of the first of some backends that isn't refused.

    Arguments
    ---------
    candidates : iterable
        Pairs of a backend and None, or why it is not to be taken.
    device_type, dtype, tf32
        What to say of the choice.
    refused : tuple
        Names of backends that have failed.

    Returns
    -------
    module
    """
    slower = []
    for candidate, reason in candidates:
        if candidate in refused:
            continue
        if reason is not None:
            slower.append((candidate, reason))
            continue
        logger.info(
            "LiGRU backend on %s with %s%s: %s%s",
            device_type,
            dtype,
            ", products in TF32" * tf32,
            candidate,
            "".join(f"; not {n}: {why}" for n, why in slower),
        )
        for broken, why in slower:
            if isinstance(why, Broken):
                warn_of_broken(broken, why, device_type, candidate)
        return loading.load(candidate)
    raise AssertionError("the reference backend runs everywhere")
