"""Verifies the GPU backends, then measures them, in at most nine minutes.

    python -m benchmarks.gpu --out DIR            on a machine with a GPU
    python -m benchmarks.gpu --out DIR --dry-run  the same path on a CPU

What may crash or hang has a process of its own: one per backend for its
checks, one for its figures, one per rival.

Nothing is downloaded: --wheels DIR puts wheels on the path, of speechbrain,
hyperpyyaml and ruamel.yaml (SpeechBrain's layer as a peer) and, if cuDNN's
graph API is to be timed, of nvidia-cudnn-frontend 1.18.0. A backend that fails
a check, or for which there was no time, is not timed: that is said, and the
exit status is 1, as it is if any check has not passed. A peer that can't run
or is wrong has no rows, and checks.txt says why. Rows are written to
DIR/gpu.csv as they come, what was checked to DIR/checks.txt and
DIR/checks.csv.
"""

import argparse
import importlib.util
import logging
import os
import pathlib
import signal
import sys
import tempfile
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
        # Only now may what the wheels hold be imported.
        from benchmarks.gpu.suite import Suite

        suite = Suite(args)
        suite.yardsticks()
        suite.verify()
        suite.measure()
        suite.micro()
        suite.report()
    return 1 if suite.failed else 0


if __name__ == "__main__":
    # An exception, so that the process that is at work is killed too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.basicConfig(level=logging.INFO)
    sys.exit(main())
