"""One run of the GPU benchmarks: checks first, then figures."""

import platform
import subprocess
import time
import uuid

import torch

from benchmarks.cases import LIGRU_MODELS
from benchmarks.gpu import (
    cases,
    check,
    measure,
    micro,
    rivals,
    sanitizer,
    table,
)
from benchmarks.provenance import provenance
from speechbrain_ligru_fast.asr import results
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.cuda import launch
from speechbrain_ligru_fast.spec import BACKENDS, ScanSpec

# Of the time limit, to verify all backends: what is left measures.
CHECKING = 0.45


def driver():
    """Version of the first GPU's driver."""
    query = ["nvidia-smi", "--query-gpu=driver_version"]
    done = subprocess.run(
        [*query, "--format=csv,noheader"], capture_output=True, text=True
    )
    return done.stdout.split("\n")[0]


class Suite:
    """One run: a device, its backends and the time that is left.

    Arguments
    ---------
    args : argparse.Namespace
        The command line.
    """

    def __init__(self, args):
        self.begin = time.monotonic()
        self.args = args
        self.device = "cpu" if args.dry_run else "cuda"
        self.plan = cases.DRY if args.dry_run else cases.FULL
        self.seed = int(time.time()) if args.seed is None else args.seed
        self.failed = set()
        self.run = uuid.uuid4().hex[:12]
        args.out.mkdir(parents=True, exist_ok=True)
        self.notes = (args.out / "checks.txt").open("w")
        self.backends = []
        for name in args.backends or BACKENDS[1:]:
            try:
                choose(name, self.device, torch.float32, ScanSpec())
            # A broken library may raise anything.
            except Exception as error:
                self.note(f"not here: {error}")
            else:
                self.backends.append(name)

    def note(self, text):
        """Prints a line and keeps it."""
        print(text, flush=True)
        print(text, file=self.notes, flush=True)

    def left(self):
        """Seconds until the time limit."""
        return 60 * self.args.minutes - (time.monotonic() - self.begin)

    def verify(self):
        """Runs every check on every backend, each in its share of the time."""
        self.note(f"seed {self.seed}")
        if self.args.no_checks:
            self.note("nothing checked: an earlier run has")
            return
        share = CHECKING * 60 * self.args.minutes / max(1, len(self.backends))
        for backend in self.backends:
            start = time.monotonic()
            for run in check.CHECKS:
                begin = time.monotonic()
                if begin - start > share:
                    self.note(f"{backend}: {run.__name__}: no time, NOT RUN")
                    continue
                try:
                    failures, count = run(
                        self.plan, backend, self.device, self.seed
                    )
                # It must not take the other backends with it.
                except Exception as error:
                    failures, count = [f"{backend}: {error!r}"], 1
                for line in failures[:20]:
                    self.note(f"FAILED {line}")
                if failures:
                    self.failed.add(backend)
                self.note(
                    f"{backend}: {run.__name__}: {count} runs, "
                    f"{len(failures)} failures, "
                    f"{time.monotonic() - begin:.1f} s"
                )

    def sanitize(self):
        """Notes what compute-sanitizer says, in the time that is left.

        It is not known to be free of false alarms: no backend fails by it.
        """
        if self.device != "cuda" or "cuda" not in self.backends:
            return
        for tool in sanitizer.TOOLS:
            self.note(sanitizer.run(tool, "cuda", self.left()))

    def stamp(self):
        """Columns that say when, on what and from what a row was made."""
        found = provenance("benchmarks.gpu", self.args.words, self.device)
        return {
            **found,
            "commit": self.args.commit or found["commit"],
            "driver": driver() if self.device == "cuda" else "",
            "python": platform.python_version(),
            "run": self.run,
        }

    def measure(self):
        """Times what passed, until the time is over."""
        stamp, rows = self.stamp(), []
        backends = [b for b in self.backends if b not in self.failed]
        clock = measure.Clock(self.device, self.args.seconds)
        out = self.args.out / "gpu.csv"

        def rival_rows():
            for case in self.plan.rivals:
                yield from rivals.recurrences(
                    case, self.plan, self.device, self.seed, clock, self.note
                )
                yield from rivals.layers(
                    case, self.device, clock, self.note, self.left
                )

        precisions = measure.PRECISIONS
        if self.device == "cpu":
            precisions = precisions[:1] + precisions[-1:]
        slow = [b for b in backends if b in measure.SLOW]
        slow += ["speechbrain", "speechbrain-jit"]
        fast = [b for b in backends if b not in measure.SLOW]

        def layer_rows(case, names):
            return measure.layers(
                case, names, self.device, clock, self.note, precisions
            )

        def all_rows():
            for number, case in enumerate(self.plan.cases):
                if number == self.plan.first:
                    for other in self.plan.slow:
                        yield from layer_rows(other, slow)
                    yield from rival_rows()
                # The recurrences first: their figures are the target's.
                if case.model in LIGRU_MODELS:
                    yield from measure.recurrences(
                        case, fast, self.device, clock, self.note
                    )
                yield from layer_rows(case, fast)

        for row in all_rows():
            results.append_row(out, {**stamp, **row})
            rows.append(row)
            if self.left() < 0:
                self.note("time is over: the cases that follow have no rows")
                break
        for line in table.lines(rows) + table.rivals(rows):
            self.note(line)

    def probe(self):
        """Runs the microbenchmarks; on a CPU only compiles them."""
        try:
            if self.device == "cpu":
                size = len(micro.compile_source("sm_90a"))
                self.note(f"microbenchmarks compile: {size} bytes")
                return
            limits = launch.machine(torch.device("cuda")).limits
            if limits.capability < (9, 0):
                self.note("no clusters on this device: no microbenchmarks")
                return
            out = self.args.out / "micro.csv"
            for name, value, unit in micro.Micro(limits.arch).rows():
                self.note(f"{name}: {value} {unit}")
                row = {"name": name, "value": value, "unit": unit}
                results.append_row(out, {**self.stamp(), **row})
        except Exception as error:
            self.note(f"no microbenchmarks: {error!r}")
