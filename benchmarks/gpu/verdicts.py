"""What came of a backend's checks, and what may be timed after that."""

PASSED, FAILED, STOPPED, NOT_RUN = "passed", "FAILED", "STOPPED", "NOT RUN"

# Names of checks.py's in their order.
STAGES = (
    ("small", "repeats", "graph"),
    ("sizes", "recompute", "launches", "options"),
)
# Backends that promise to be captured in a CUDA graph.
CAPTURED = ("cuda", "triton")
# These a backend must have passed to be timed: whether it computes, races, and
# holds the sizes that are timed.
NEEDED = ("small", "repeats", "sizes")
# Nothing that is timed rests on these: their failure is only said.
ASIDE = ("graph", "launches", "recompute")


def stages(backend):
    """The checks of a backend, those of one process together.

    A capture that fails leaves torch's allocator and generator in disorder:
    what comes after one has a process of its own.

    Example
    -------
    >>> len(stages("cuda")), len(stages("numba"))
    (2, 1)
    """
    return STAGES if backend in CAPTURED else (sum(STAGES, ()),)


def refusal(verdicts):
    """Why a backend is not to be timed, or None.

    Arguments
    ---------
    verdicts : dict
        Check -> what came of it.

    Returns
    -------
    str | None

    Example
    -------
    >>> refusal(dict.fromkeys(NEEDED, PASSED) | {"options": STOPPED})
    >>> refusal(dict.fromkeys(NEEDED, PASSED) | {"options": FAILED})
    'options FAILED'
    >>> refusal({"small": PASSED, "repeats": PASSED})
    'sizes NOT RUN'
    """
    for name in NEEDED:
        verdict = verdicts.get(name, NOT_RUN)
        if verdict != PASSED:
            return f"{name} {verdict}"
    for name, verdict in verdicts.items():
        if verdict == FAILED and name not in ASIDE:
            return f"{name} {verdict}"
    return None
