"""Verifies the GPU backends, then measures them, in at most nine minutes.

    python -m benchmarks.gpu --out DIR            on a machine with a GPU
    python -m benchmarks.gpu --out DIR --dry-run  the same path on a CPU

Nothing is downloaded: --wheels DIR puts wheels on the path, of speechbrain and
hyperpyyaml (SpeechBrain's layer as a peer) and, if cuDNN's graph API is to be
timed, of nvidia-cudnn-frontend 1.18.0. A backend that fails a check is not
timed, and the exit status is then 1. A peer that can't run or is wrong has no
rows, and checks.txt says why. Rows are written to DIR/gpu.csv as they come,
what was checked to DIR/checks.txt.
"""

import argparse
import datetime
import importlib.util
import logging
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument(
        "--wheels", type=pathlib.Path, help="folder of wheels to import from"
    )
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument(
        "--seconds", type=float, default=0.25, help="on each figure"
    )
    parser.add_argument(
        "--backends", nargs="+", help="default: every one that can run"
    )
    parser.add_argument("--seed", type=int, help="of the inputs; default: now")
    parser.add_argument(
        "--commit", help="for the rows, where there is no repository"
    )
    parser.add_argument(
        "--no-checks",
        action="store_true",
        help="measure only what an earlier run of this commit has verified",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tiny shapes on a CPU"
    )
    args = parser.parse_args(argv)
    args.words = sys.argv[1:] if argv is None else list(argv)
    if args.wheels is not None and not list(args.wheels.glob("*.whl")):
        parser.error(f"--wheels: no wheels in {args.wheels}")
    return args


def use_wheels(folder, site):
    """Unpacks wheels to a folder and puts that at the end of the path.

    At the end: what the machine has itself comes first.
    """
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    sys.path.append(site)
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (inherited, site)))


# What the layers are compared with, and what that imports.
NEEDED = ("speechbrain", "hyperpyyaml", "ruamel")
# Of the time limit, to verify all backends: what is left measures.
CHECKING = 0.45


class Suite:
    """One run: a device, its backends and the time that is left.

    Arguments
    ---------
    args : argparse.Namespace
        The command line.
    """

    def __init__(self, args):
        import torch

        from benchmarks.gpu import cases
        from speechbrain_ligru_fast.backends import choose
        from speechbrain_ligru_fast.spec import BACKENDS, ScanSpec

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
        from benchmarks.gpu import check

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
        from benchmarks.gpu import sanitizer

        if self.device != "cuda" or "cuda" not in self.backends:
            return
        for tool in sanitizer.TOOLS:
            self.note(sanitizer.run(tool, "cuda", self.left()))

    def stamp(self):
        """Columns that say when, on what and from what a row was made."""
        import torch

        from speechbrain_ligru_fast.asr import results

        now = datetime.datetime.now(datetime.timezone.utc)
        driver = ""
        if self.device == "cuda":
            query = ["nvidia-smi", "--query-gpu=driver_version"]
            done = subprocess.run(
                [*query, "--format=csv,noheader"],
                capture_output=True,
                text=True,
            )
            driver = done.stdout.split("\n")[0]
        return {
            "date": now.isoformat(timespec="seconds"),
            "commit": self.args.commit or results.describe_commit(),
            "device": results.describe_device(self.device),
            "driver": driver,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "run": self.run,
            "threads": torch.get_num_threads(),
            "command": results.describe_command(
                ["-m", "benchmarks.gpu", *self.args.words]
            ),
        }

    def measure(self):
        """Times what passed, until the time is over."""
        from benchmarks.cases import LIGRU_MODELS
        from benchmarks.gpu import measure, rivals, table
        from speechbrain_ligru_fast.asr import results

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
        from benchmarks.gpu import micro
        from speechbrain_ligru_fast.asr import results
        from speechbrain_ligru_fast.backends.cuda import launch

        try:
            if self.device == "cpu":
                size = len(micro.compile_source("sm_90a"))
                self.note(f"microbenchmarks compile: {size} bytes")
                return
            import torch

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


def main(argv=None):
    """Runs the suite; returns the exit status."""
    args = parse(argv)
    with tempfile.TemporaryDirectory(prefix="ligru-wheels-") as site:
        if args.wheels is not None:
            use_wheels(args.wheels, site)
        missing = [x for x in NEEDED if importlib.util.find_spec(x) is None]
        if missing:
            print(
                f"gpu: {', '.join(missing)}: not installed; give a folder "
                "with their wheels: --wheels DIR",
                file=sys.stderr,
            )
            return 2
        suite = Suite(args)
        suite.probe()
        suite.verify()
        suite.measure()
        suite.sanitize()
        suite.notes.close()
    return 1 if suite.failed else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main())
