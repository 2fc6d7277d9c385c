"""Verifies a GPU's backends, then times its layers, in at most nine minutes.

    python -m benchmarks.gpu --out DIR            on a machine with a GPU
    python -m benchmarks.gpu --out DIR --dry-run  the same path on a CPU

Every backend is checked against float64 (checks.py); then what has passed is
timed beside cuDNN's and SpeechBrain's layers (measure.py). Rows go to
DIR/checks.csv and DIR/gpu.csv as they come, what is said to DIR/checks.txt.

A GPU's error spoils the process that it happens in, and a kernel that never
ends blocks even its exit. So each piece of work has a process of its own, which
is killed when its time is over. Run it again to go on: what the same commit has
passed or timed on the same GPU stands. The exit status is 1 if a check has not
passed or a process has not ended well.
"""

import argparse
import contextlib
import json
import logging
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time
import uuid
from importlib import metadata

import pandas as pd
import torch

from benchmarks.gpu import checks, measure
from benchmarks.provenance import provenance
from speechbrain_ligru_fast.asr import results
from speechbrain_ligru_fast.asr.provenance import describe_device
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec

# What runs a job; the command line follows.
PROGRAM = (sys.executable, "-X", "faulthandler", "-m", "benchmarks.gpu")
ROOT = pathlib.Path(__file__).parents[2]
# Until which part of the time backends are checked, watched by a tool, and
# timed on the first shapes.
CHECKED, WATCHED, FIRST = 0.5, 0.6, 0.97
# Seconds that a process may take beyond its time for what it has begun, and a
# killed one to leave the driver.
GRACE, LEAVING = 20, 10
# Of the time; 1 for what is not named.
WEIGHTS = {"cuda": 4, "triton": 4, "numba": 2, "speechbrain": 2}
# compute-sanitizer's. They are not known to be free of false alarms: no backend
# fails by them.
TOOLS = ("memcheck", "racecheck")
# A job's exit status if its backend can't run on this machine.
ABSENT = 3


def parse(words):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=pathlib.Path, required=True)
    add("--minutes", type=float, default=9.0)
    add("--seconds", type=float, default=0.15, help="on each figure")
    add("--backends", nargs="+", default=BACKENDS[1:], choices=BACKENDS[1:])
    add("--seed", type=int, default=int(time.time()), help="default: now")
    add("--commit", help="for the rows, where there is no repository")
    add("--dry-run", action="store_true", help="tiny shapes on a CPU")
    add("--job", type=json.loads, default={}, help=argparse.SUPPRESS)
    return parser.parse_args(words)


class Job:
    """One process's work, and the files that it shares with the others."""

    def __init__(self, args):
        self.device = "cpu" if args.dry_run else "cuda"
        self.folder = args.out.resolve()
        self.seed, self.figure = args.seed, args.seconds
        vars(self).update(args.job)

    def note(self, text):
        """Prints a line and keeps it; processes take turns."""
        print(text, flush=True)
        with (self.folder / "checks.txt").open("a") as file:
            file.write(f"{text}\n")

    def row(self, name, cells):
        """Appends a row to a file at once."""
        results.append_row(self.folder / name, {**self.stamp, **cells})

    def rows(self, name):
        """A file's rows of this run, and of earlier ones of the same commit."""
        path = self.folder / name
        same = {c: self.stamp[c] for c in ("commit", "device", "driver")}
        # Nobody knows what that was.
        changed = same["commit"].endswith(("+", "unknown"))
        return [
            row
            for row in (results.read_rows(path)[1] if path.exists() else ())
            if row["date"] == self.stamp["date"]
            or (same.items() <= row.items() and not changed)
        ]

    def verdicts(self, backend):
        """What came of a backend's checks, by name."""
        found = dict.fromkeys(checks.CHECKS, "NOT RUN")
        for row in self.rows("checks.csv"):
            if row["backend"] == backend:
                found[row["check"]] = row["verdict"]
        return found

    def left(self):
        """Seconds until its time is over."""
        return self.until - time.monotonic()

    def work(self):
        """Does it; returns the process's exit status."""
        try:
            if self.name in BACKENDS:
                choose(self.name, self.device, torch.float32, ScanSpec())
        # A broken library may raise anything.
        except Exception as error:
            self.note(f"not here: {error}")
            return ABSENT
        self.stamp["device"] = describe_device(self.device)
        kinds = {"check": checks.work, "measure": measure.work}
        try:
            kinds.get(self.kind, checks.watched)(self)
        except Exception as error:
            logging.exception(self.name)
            self.note(f"{self.name}: {self.kind}: {error!r}")
            return 1
        return 0


def guarded(commands, seconds):
    """Exit status of each; None if it was killed, with all that it started.

    Example
    -------
    >>> guarded([["sh", "-c", "exit 3"], ["true"]], 10)
    [3, 0]
    """
    # What is compiled and compared on a CPU shares its cores.
    cores = max(1, os.cpu_count() // len(commands))
    more = {"env": os.environ | {"OMP_NUM_THREADS": str(cores)}, "cwd": ROOT}
    end, running = time.monotonic() + seconds, []
    try:
        for command in commands:
            process = subprocess.Popen(command, start_new_session=True, **more)
            running.append(process)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, end - time.monotonic()))
        return [process.poll() for process in running]
    finally:
        # Also if this process is told to end: nothing may go on without it.
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in running:
            # Stuck in the driver: nobody can wait for that.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVING)


def query(what):
    """What nvidia-smi says of the first GPU; torch would use it."""
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.split("\n")[0]


class Suite(Job):
    """Starts a process for each piece of work, within the time."""

    def __init__(self, args, words):
        super().__init__(args)
        self.begin, self.seconds = time.monotonic(), 60 * args.minutes
        self.backends, self.words = list(args.backends), words
        self.failed = False
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stamp = provenance("benchmarks.gpu", words)
        self.stamp["commit"] = args.commit or self.stamp["commit"]
        self.stamp |= {"driver": "", "python": platform.python_version()}
        if self.device == "cuda":
            self.stamp["device"] = query("name")
            self.stamp["driver"] = query("driver_version")
        for library in ("speechbrain", "numba", "triton", "cuda-core"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                self.stamp[library] = metadata.version(library)
        self.note(f"seed {self.seed}")

    def start(self, kind, names, seconds, tool=(), **more):
        """Does a job for each name, at once, in a process of its own.

        Returns name -> its exit status; None if it was killed or not begun.
        """
        if seconds <= 0:
            for name in names:
                self.note(f"{name}: {kind}: time is over, NOT RUN")
            return dict.fromkeys(names)
        commands = []
        for name in names:
            # Rows of one ``run`` share a process.
            stamp = self.stamp | {"run": uuid.uuid4().hex[:12]}
            job = {"kind": kind, "name": name, "stamp": stamp}
            job |= {"until": time.monotonic() + seconds} | more
            words = [*self.words, "--seed", str(self.seed)]
            words += ["--out", str(self.folder), "--job", json.dumps(job)]
            commands.append([*tool, *PROGRAM, *words])
        found = dict(zip(names, guarded(commands, seconds + GRACE)))
        for name, status in found.items():
            if status not in (0, ABSENT):
                how = "killed" if status is None else f"status {status}"
                self.note(f"{name}: {kind}: {how}")
        return found

    def turns(self, names, part):
        """Yields each turn's name and seconds; what one leaves others have."""
        weights = [WEIGHTS.get(name, 1) for name in names]
        for i, name in enumerate(names):
            left = self.begin + part * self.seconds - time.monotonic()
            yield name, left * weights[i] / sum(weights[i:])

    def verify(self):
        """Checks all backends at once: most of the time compilers work."""
        ended = self.start("check", self.backends, CHECKED * self.seconds)
        self.backends = [x for x in self.backends if ended[x] != ABSENT]
        for backend in self.backends:
            for name, verdict in self.verdicts(backend).items():
                if verdict != checks.PASSED:
                    self.note(f"{backend}: {name}: {verdict}")
                    self.failed = True

    def watch(self):
        """Notes what compute-sanitizer finds, where there is one."""
        right = self.verdicts("cuda")["small"] == checks.PASSED
        if not right or shutil.which("compute-sanitizer") is None:
            return
        for tool, seconds in self.turns(TOOLS, WATCHED):
            log = str(self.folder / f"{tool}.txt")
            command = ["compute-sanitizer", "--tool", tool, "--log-file", log]
            # The driver's bindings ask for functions that it may lack.
            command += ["--report-api-errors", "no", "--error-exitcode", "9"]
            ended = self.start("watch", ["cuda"], seconds, command)
            clean = ended["cuda"] == 0
            self.note(f"{tool}: {'nothing found' if clean else log}")

    def measure(self):
        """Times what may be timed, all first shapes before any more."""
        right = ["speechbrain"]
        for backend in self.backends:
            reasons = checks.refusal(self.verdicts(backend))
            if reasons:
                self.note(f"{backend}: NOT TIMED: {', '.join(reasons)}")
            else:
                right.append(backend)
        fast = [name for name in right if name not in measure.SLOW]
        slow = [name for name in right if name in measure.SLOW]
        for shapes, names, part in (
            ("first", fast + slow, FIRST),
            ("rest", fast, 1),
        ):
            for name, seconds in self.turns(list(names), part):
                ended = self.start("measure", [name], seconds, shapes=shapes)
                if ended[name] != 0:
                    self.failed = True
                    # What has broken is not begun again.
                    fast[:] = [other for other in fast if other != name]

    def report(self):
        """Notes a table of the medians; writes what ``auto`` is to take."""
        rows = pd.DataFrame(self.rows("gpu.csv"))
        if rows.empty:
            return
        numbers = [
            "directions",
            "features",
            "hidden",
            "batch",
            "steps",
            "p50_ms",
        ]
        rows[numbers] = rows[numbers].apply(pd.to_numeric)
        rows["layer"] = rows["model"] + " " + rows["impl"]
        equal = rows["features"] != rows["hidden"]
        rows.loc[equal, "layer"] += ", as many parameters"
        key = [*measure.SHAPE, "dtype", "mode", "layer"]
        medians = rows.drop_duplicates(key, keep="last").set_index(key)
        self.note(f"ms:\n{medians['p50_ms'].unstack('layer').T.to_string()}")


def main(words=None):
    """Runs the suite, or one of its jobs; returns the exit status."""
    words = sys.argv[1:] if words is None else words
    args = parse(words)
    if args.job:
        return Job(args).work()
    suite = Suite(args, words)
    suite.verify()
    suite.watch()
    suite.measure()
    suite.report()
    return 1 if suite.failed else 0


if __name__ == "__main__":
    # An exception, so that the process that is at work is killed too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.basicConfig(level=logging.INFO)
    sys.exit(main())
