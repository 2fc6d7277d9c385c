"""Runs checks of one backend and records what came of each."""

import time

from benchmarks.gpu import checks, kernels, trials
from benchmarks.gpu.presence import require
from benchmarks.gpu.verdicts import FAILED, NOT_RUN, PASSED, STOPPED

# Scans that fail before a check is stopped: in a broken exchange each of
# them waits for seconds.
MOST_FAILURES = 3


def verify(name, child):
    """Runs one check for as long as there is time; notes its failures.

    Arguments
    ---------
    name : str
        Of ``checks.CHECKS``.
    child : Child
        The process: its job tells the backend.

    Returns
    -------
    str
        The verdict. A check that time has stopped is not passed.
    """
    job, begin = child.job, time.monotonic()
    count = failed = 0
    found = checks.CHECKS[name](job.plan, job.name, job.device, job.seed)
    while failed < MOST_FAILURES:
        if child.left() < 0:
            verdict = STOPPED if count else NOT_RUN
            break
        try:
            wrong = next(found, None)
        # The backend's fault, or what it has left of the device.
        except Exception as error:
            wrong = [f"{job.name}: {name}: {error!r}"]
        if wrong is None:
            verdict = PASSED
            break
        for line in wrong:
            child.note(f"FAILED {line}")
        count += 1
        failed += bool(wrong)
    found.close()
    verdict = FAILED if failed else verdict
    seconds = round(time.monotonic() - begin, 1)
    child.note(
        f"{job.name}: {name}: {verdict}, {count} runs, {failed} failures, "
        f"{seconds} s"
    )
    child.row(
        "checks.csv",
        {
            "backend": job.name,
            "check": name,
            "verdict": verdict,
            "runs": count,
            "failures": failed,
            "seconds": seconds,
        },
    )
    return verdict


def work(child):
    """Runs the job's checks, in their order.

    Arguments
    ---------
    child : Child
        The process; its job's parts are names of checks.
    """
    job = child.job
    require(job.name, job.device)
    if job.name == "cuda":
        asked = [
            trial
            for name in job.parts
            for trial in getattr(trials, name, lambda plan: ())(job.plan)
        ]
        kernels.prepare(asked, job.device, child.note)
    for name in job.parts:
        # Nothing else can pass then, and each scan may wait for seconds.
        if verify(name, child) != PASSED and name == "small":
            break
