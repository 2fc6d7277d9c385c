"""Kills a training at random moments and compares its end.

    python -m benchmarks.kills recipes/TIMIT hparams/demo/timit.yaml \\
        --data_folder /path/to/TIMIT --out build/kills --number_of_epochs 3

Trains once without interruption and once killed with SIGKILL at random
moments and started again each time, from the same seed. Each start must go on
from the newest complete checkpoint, and the last epoch's losses and error rate
and the exported weights must be equal. A kill after which no start has gone on
from a checkpoint, because there was none yet or because it was killed before
it trained, is followed by one more. What is not named below is handed to the
recipe's train.py. A row is appended to the result file.
"""

import argparse
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import torch
from ruamel.yaml.error import YAMLError
from speechbrain.utils.distributed import infer_device

from benchmarks.provenance import provenance
from benchmarks.resumption import account, newest
from speechbrain_ligru_fast.asr.config import parse
from speechbrain_ligru_fast.asr.results import append_row

RESULTS = pathlib.Path(__file__).parent / "results" / "kills.csv"
# Kills to one that is followed by a resume, at most
_TRIES = 10


def arguments(args, rest, folder):
    """Those of train.py for one start in a folder."""
    command = [args.yaml.resolve()]
    command += ["--data_folder", args.data_folder.resolve()]
    command += ["--output_folder", folder.resolve()]
    command += ["--ckpt_interval_minutes", "0"]
    command += ["--ckpt_interval_steps", args.ckpt_interval_steps, *rest]
    return list(map(str, command))


def start(args, rest, folder):
    """Starts train.py, which goes on where the folder's last run stopped.

    Each start prints to a file of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"output-{len(outputs(folder)):03}.txt"
    with open(output, "w", encoding="utf-8") as file:
        return subprocess.Popen(
            [sys.executable, "train.py", *arguments(args, rest, folder)],
            cwd=args.recipe,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def outputs(folder):
    """The files that the starts in a folder printed to, in order."""
    return sorted(folder.glob("output-*.txt"))


def printed(folder):
    """What each start in a folder printed, in order."""
    return [path.read_text("utf-8", "replace") for path in outputs(folder)]


def finish(process, folder):
    """Waits for the end; returns the last epoch's statistics."""
    if process.wait():
        raise RuntimeError(f"training failed, see {outputs(folder)[-1]}")
    log = (folder / "train_log.txt").read_text("utf-8")
    last = re.findall(r"^epoch: .*$", log, re.MULTILINE)[-1]
    # How long it took differs, and nothing else may.
    stats = dict(re.findall(r"([\w ]+): (\S+?)(?:,|$| -)", last))
    return {k.strip(): v for k, v in stats.items() if not k.endswith(" s")}


def same_weights(folder, other):
    """Whether two trainings exported the same weights, bit for bit."""
    names, others = (
        sorted(
            path.name
            for path in place.glob("export/*.ckpt")
            if path.name != "tokenizer.ckpt"
        )
        for place in (folder, other)
    )
    if not names or names != others:
        return False
    for name in names:
        states = (torch.load(f / "export" / name) for f in (folder, other))
        got, want = (list(s.values()) for s in states)
        tensors = [torch.is_tensor(v) for v in want]
        if not all(
            torch.equal(a, b) if tensor else a == b
            for a, b, tensor in zip(got, want, tensors, strict=True)
        ):
            return False
    return True


def kill_often(args, rest, folder, seconds):
    """Kills the training until enough kills were followed by a resume.

    Arguments
    ---------
    args : argparse.Namespace
    rest : list of str
        For train.py.
    folder : pathlib.Path
        Output folder.
    seconds : tuple of float
        To the first checkpoint, and from there to the end, of an unbroken
        run.

    Returns
    -------
    moments : list of float
        Seconds after its start at which each run was killed.
    saved : list of (tuple of int | None)
        Where the newest checkpoint let each run and the next one begin.
    """
    dice = random.Random(args.seed)
    begin, rest_of_it = seconds
    # On average two thirds of the training, so that all happen in it.
    longest = begin + 1.3 * rest_of_it / args.kills
    moments, saved, resumes = [], [None], 0
    while resumes < args.kills and len(moments) < _TRIES * args.kills:
        moment = dice.uniform(0, longest)
        process = start(args, rest, folder)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(round(moment, 2))
            # The start after this kill resumes if there is a checkpoint, and
            # is counted for good once it has come to train.
            resumes = account(printed(folder), saved)["resumes"]
            saved.append(newest(folder))
            resumes += saved[-1] is not None
            print(
                f"kill {len(moments)} after {moment:.1f} s, "
                f"{resumes}/{args.kills} followed by a resume"
            )
            continue
        print(f"ended by itself before kill {len(moments) + 1}")
        saved.append(newest(folder))
        break
    return moments, saved


def unbroken(args, rest, folder):
    """Trains in one go; returns its end and its two times."""
    begin = time.monotonic()
    process = start(args, rest, folder)
    first = None
    while process.poll() is None:
        if first is None and any(folder.glob("save/CKPT*")):
            first = time.monotonic()
        time.sleep(0.05)
    end = time.monotonic()
    first = first or end
    return finish(process, folder), (first - begin, end - first)


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", type=pathlib.Path)
    parser.add_argument("yaml", type=pathlib.Path)
    parser.add_argument("--data_folder", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument(
        "--kills",
        type=int,
        default=10,
        help="that are followed by a resume from a checkpoint",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--ckpt_interval_steps", type=int, default=5)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--device", default=infer_device())
    argv = sys.argv[1:] if argv is None else argv
    args, rest = parser.parse_known_args(argv)
    rest += ["--device", args.device]
    # Before it runs: what is committed meanwhile is not what is tested.
    device = args.device.partition(":")[0]
    stamp = provenance("benchmarks.kills", argv, device)
    whole, broken = args.out / "whole", args.out / "broken"
    try:
        _check(args, rest, whole)
    except (OSError, ValueError, KeyError, YAMLError) as error:
        print(f"kills: {error}", file=sys.stderr)
        return 1
    for folder in (whole, broken):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        want, seconds = unbroken(args, rest, whole)
        moments, saved = kill_often(args, rest, broken, seconds)
        got = finish(start(args, rest, broken), broken)
    except RuntimeError as error:
        print(f"kills: {error}", file=sys.stderr)
        return 1
    equal = got == want and same_weights(whole, broken)
    found = account(printed(broken), saved)
    resumed = found["resumes"] > 0 and found["from_newest"]
    for name in want:
        print(f"{name}: {want[name]} unbroken, {got[name]} killed")
    row = {
        **stamp,
        "yaml": args.yaml.as_posix(),
        "kills": len(moments),
        "moments_s": " ".join(map(str, moments)),
        "unbroken_s": round(sum(seconds), 1),
        "epochs": want["epoch"],
        "train_loss": want["train loss"],
        "train_loss_killed": got["train loss"],
        "valid_loss": want["valid loss"],
        "valid_loss_killed": got["valid loss"],
        "equal": "yes" if equal else "no",
        **found,
        "from_newest": "yes" if resumed else "no",
    }
    append_row(args.results, row)
    for name in "kills resumes from_newest lost_steps equal".split():
        print(f"{name}: {row[name]}")
    if not any(whole.glob("export/*.ckpt")):
        print("kills: no exported weights to compare", file=sys.stderr)
    enough = found["resumes"] >= args.kills
    if not enough:
        print(
            f"kills: {found['resumes']} of {args.kills} kills were followed "
            "by a resume; give a longer training",
            file=sys.stderr,
        )
    return 0 if equal and resumed and enough else 1


def _check(args, rest, folder):
    """Before the folders of the last call are removed."""
    if args.kills < 1:
        raise ValueError(f"--kills: got {args.kills}, expected 1 or more")
    for path in (args.recipe / "train.py", args.data_folder):
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}")
    parse(arguments(args, rest, folder))


if __name__ == "__main__":
    sys.exit(main())
