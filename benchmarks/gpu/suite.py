"""One run of the GPU benchmarks: starts a process for each piece of work.

A GPU's error spoils the process that it happens in, so the suite itself never
calls CUDA: what breaks, or never ends, costs its own process alone.
"""

import platform
import subprocess
import time
import uuid
from pathlib import Path

from benchmarks.gpu import processes, sanitizer, table
from benchmarks.gpu.job import ABSENT, Job, note
from benchmarks.gpu.verdicts import (
    FAILED,
    NOT_RUN,
    PASSED,
    refusal,
    stages,
)
from benchmarks.provenance import provenance
from speechbrain_ligru_fast.asr import results
from speechbrain_ligru_fast.backends.spec import BACKENDS

ROOT = Path(__file__).parents[2]
# Parts of the time: what is proven, and until when backends are verified.
YARDSTICKS, CHECKED = 0.15, 0.55
# Seconds that a process may take beyond its time for what it has begun.
GRACE = 20
# Seconds for the microbenchmarks, the last of all.
MICRO = 30
# Loops that launch kernels each step: on few layers only.
SLOW = ("torchscript", "reference")
# Parts of what time is left; 1 for what is not named.
WEIGHTS = {"cuda": 4, "triton": 4, "numba": 2, "speechbrain-compile": 8}
# The first cases are the tables' and count more than those that follow.
FIRST = 3


def driver():
    """Version of the first GPU's driver."""
    query = ["nvidia-smi", "--query-gpu=driver_version"]
    done = subprocess.run(
        [*query, "--format=csv,noheader"], capture_output=True, text=True
    )
    return done.stdout.split("\n")[0]


def shares(weights, seconds):
    """Yields the time of each turn: what one leaves, the next ones have.

    Arguments
    ---------
    weights : list of float
        Of each turn.
    seconds : callable
        Tells what is left for all turns that follow.

    Example
    -------
    >>> list(shares([2, 1, 1], lambda: 60))
    [30.0, 30.0, 60.0]
    """
    for i, weight in enumerate(weights):
        yield seconds() * weight / sum(weights[i:])


class Suite:
    """One run: its backends, what came of them and the time that is left.

    Arguments
    ---------
    args : argparse.Namespace
        The command line.
    """

    def __init__(self, args):
        self.begin = time.monotonic()
        self.args = args
        self.device = "cpu" if args.dry_run else "cuda"
        self.seed = int(time.time()) if args.seed is None else args.seed
        self.folder = args.out.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "checks.txt").write_text("")
        self.backends = list(args.backends or BACKENDS[1:])
        self.verdicts = {name: {} for name in self.backends}
        self.failed = False
        self.runs = []
        found = provenance("benchmarks.gpu", args.words)
        self.stamp = {
            **found,
            "commit": args.commit or found["commit"],
            "driver": driver() if self.device == "cuda" else "",
            "python": platform.python_version(),
        }

    def note(self, text):
        """Prints a line and keeps it."""
        note(self.folder, text)

    def spent(self):
        """Seconds since the beginning."""
        return time.monotonic() - self.begin

    def until(self, part):
        """Seconds until a part of the time is over."""
        return 60 * self.args.minutes * part - self.spent()

    def start(self, kind, name, seconds, grace=GRACE, **more):
        """Does a job in a process of its own.

        Arguments
        ---------
        kind, name, **more
            As in ``Job``.
        seconds : float
            Time for it.
        grace : float
            Further seconds until it is killed.

        Returns
        -------
        status : int | None
            The process's exit status; None if it was killed or not begun.
        run : str
            What its rows are called by: only they share a process.
        """
        run = uuid.uuid4().hex[:12]
        if seconds <= 0:
            self.note(f"{name}: {kind}: time is over, NOT RUN")
            return None, run
        self.runs.append(run)
        job = Job(
            kind=kind,
            name=name,
            until=time.monotonic() + seconds,
            out=str(self.folder),
            device=self.device,
            seed=self.seed,
            figure=self.args.seconds,
            stamp={**self.stamp, "run": run},
            **more,
        )
        status, _ = processes.run(job.command(), seconds + grace, cwd=ROOT)
        if status not in (0, ABSENT):
            self.note(f"{name}: {kind}: {processes.ending(status)}")
        return status, run

    def yardsticks(self):
        """Times what is proven, before anything can go wrong."""
        self.note(f"seed {self.seed}")
        status, _ = self.start(
            "measure",
            "yardsticks",
            self.until(YARDSTICKS),
            parts=["speechbrain", "speechbrain-jit"],
            shapes="slow",
        )
        self.failed |= status != 0

    def verify(self):
        """Runs every check on every backend, each in its share of the time."""
        if self.args.no_checks:
            self.note("nothing checked: an earlier run has")
            return
        turns = list(self.backends)
        limits = shares(
            [WEIGHTS.get(name, 1) for name in turns],
            lambda: self.until(CHECKED),
        )
        for backend, seconds in zip(turns, limits):
            end = time.monotonic() + seconds
            for number, stage in enumerate(stages(backend)):
                found = self.verdicts[backend]
                if number and found["small"] != PASSED:
                    self._judge(backend, stage, 0, {})
                    continue
                if not self._check(backend, stage, end - time.monotonic()):
                    self.backends.remove(backend)
                    break
                if backend == "cuda" and not number:
                    end += self._sanitize(found)
            self.failed |= backend in self.backends and any(
                verdict != PASSED for verdict in found.values()
            )

    def _check(self, backend, stage, seconds):
        """One process of checks; whether the backend is here at all."""
        status, run = self.start("check", backend, seconds, parts=stage)
        if status == ABSENT:
            return False
        path = self.folder / "checks.csv"
        rows = results.read_rows(path)[1] if path.exists() else []
        found = {r["check"]: r["verdict"] for r in rows if r["run"] == run}
        # Without time nothing has begun, and nothing has broken.
        self._judge(backend, stage, status if seconds > 0 else 0, found)
        return True

    def _judge(self, backend, stage, status, found):
        """Keeps what came of a stage's checks; says which have no end."""
        for name in stage:
            verdict = found.get(name)
            if verdict is None:
                # The first without a verdict is where the process ended.
                verdict = NOT_RUN if status == 0 else FAILED
                status = 0
                self.note(f"{backend}: {name}: {verdict}")
            self.verdicts[backend][name] = verdict

    def _sanitize(self, found):
        """Notes what compute-sanitizer says; returns the seconds it took.

        It is not known to be free of false alarms: no backend fails by it.
        """
        usable = self.device == "cuda" and sanitizer.installed()
        if not usable or found["small"] != PASSED:
            return 0
        begin = time.monotonic()
        end = begin + min(sanitizer.SECONDS, self.until(CHECKED))
        for tool in sanitizer.TOOLS:
            left = end - time.monotonic()
            self.note(sanitizer.run(tool, "cuda", left))
        return time.monotonic() - begin

    def _timed(self):
        """Backends that may be timed, and what of each: name -> parts."""
        parts = {}
        for backend in self.backends:
            found = self.verdicts[backend]
            if self.args.no_checks:
                found = dict.fromkeys(("recompute",), PASSED)
            elif reason := refusal(found):
                self.note(f"{backend}: NOT TIMED: {reason}")
                self.failed = True
                continue
            parts[backend] = [backend]
            if backend in SLOW:
                continue
            if found["recompute"] == PASSED:
                parts[backend].append(f"{backend}-recompute")
            else:
                self.note(
                    f"{backend}-recompute: NOT TIMED: "
                    f"recompute {found['recompute']}"
                )
        return parts

    def measure(self):
        """Times what passed, then its rivals, until the time is over."""
        timed = self._timed()
        fast = [name for name in timed if name not in SLOW]
        # All backends on the first cases before any goes on to more.
        turns = [(name, "first") for name in fast]
        turns += [(name, "slow") for name in timed if name in SLOW]
        turns += [(name, "") for name in table.RIVALS]
        turns += [(name, "rest") for name in fast]
        limits = shares(
            [
                WEIGHTS.get(name, 1) * (FIRST if shapes == "first" else 1)
                for name, shapes in turns
            ],
            lambda: self.until(1) - MICRO,
        )
        broken = set()
        for (name, shapes), seconds in zip(turns, limits):
            if name in broken:
                self.note(f"{name}: NOT TIMED any more: its process ended")
                continue
            if name in table.RIVALS:
                # Peers: one that fails has no rows, and nothing else to say.
                self.start("rivals", name, seconds)
                continue
            status, _ = self.start(
                "measure", name, seconds, parts=timed[name], shapes=shapes
            )
            # With no check before it, this is where it is found absent.
            if status not in (0, ABSENT):
                broken.add(name)
                self.failed = True

    def micro(self):
        """Runs the microbenchmarks; on a CPU only compiles them."""
        seconds = MICRO if self.until(1) > 0 else 0
        self.start("micro", "micro", seconds, grace=0)

    def report(self):
        """Notes a table of this run's rows."""
        rows = table.read(self.folder / "gpu.csv", self.runs)
        for line in table.lines(rows) + table.rivals(rows):
            self.note(line)
