"""One row for each run and test set, in a CSV that only grows."""

import csv
import datetime
import fcntl
import os
import platform
import shlex
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from speechbrain_ligru_fast.asr.process_group import count_processes


def append_row(path, row):
    """Add a row; two processes may do so at once.

    A file with other columns keeps every cell: columns it lacks are added to
    its right, columns the row lacks stay empty in it.

    Arguments
    ---------
    path : path-like
        The CSV; made if absent.
    row : dict
        Column -> value.

    Raises
    ------
    ValueError
        If the file is not a CSV with named columns. It is left alone.

    Example
    -------
    >>> path = getfixture("tmp_path") / "rows.csv"
    >>> append_row(path, {"wer": 9.1})
    >>> append_row(path, {"wer": 8.7, "seed": 1})
    >>> print(path.read_text())
    wer,seed
    9.1,
    8.7,1
    <BLANKLINE>
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path.parent):
        columns, rows = read_rows(path) if path.exists() else ([], [])
        new = [name for name in row if name not in columns]
        if new:
            unfinished = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                with open(unfinished, "w", newline="", encoding="utf-8") as to:
                    writer = csv.DictWriter(
                        to, columns + new, restval="", lineterminator="\n"
                    )
                    writer.writeheader()
                    writer.writerows(rows + [row])
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            return
        with open(path, "a", newline="", encoding="utf-8") as file:
            if not path.read_bytes().endswith(b"\n"):
                file.write("\n")
            csv.DictWriter(
                file, columns, restval="", lineterminator="\n"
            ).writerow(row)


def read_rows(path):
    """Column names and rows of a result file.

    Arguments
    ---------
    path : path-like

    Returns
    -------
    columns : list of str
    rows : list of dict

    Raises
    ------
    ValueError
        If it is no CSV, has a column name twice, or a row has more or fewer
        cells than there are columns.
    """
    with open(path, newline="", encoding="utf-8") as file:
        try:
            columns, *cells = list(csv.reader(file)) or [[]]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is no CSV: {error}") from error
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        # All but the last of their cells would be lost.
        raise ValueError(
            f"{path} has more than one column named {', '.join(twice)}: "
            "rename or remove all but one"
        )
    for line, row in enumerate(cells, 2):
        if len(row) != len(columns):
            raise ValueError(
                f"{path}, line {line}: {len(row)} cells for {len(columns)} "
                f"columns ({', '.join(columns)})"
            )
    return columns, [dict(zip(columns, row)) for row in cells]


def name_lm(folder):
    """What a row calls a language model.

    Arguments
    ---------
    folder : path-like | None
        Its output folder, whose last part names it.

    Returns
    -------
    str
        ``none`` for no folder.

    Raises
    ------
    ValueError
        If its name is none or empty, as that of no folder.

    Example
    -------
    >>> name_lm("../../build/an4/lm-sentences/"), name_lm(None)
    ('lm-sentences', 'none')
    """
    if not folder:
        return "none"
    name = os.path.basename(os.path.abspath(folder))
    if name in ("", "none"):
        raise ValueError(
            f"lm_folder={os.fspath(folder)!r} names no language model: rows "
            "and files are called by its last part, which may not be 'none'"
        )
    return name


def name_test(split, lm, settings):
    """What the files of a test are called by.

    A system may be tested more than once, with another language model,
    another weight of it or another beam.

    Arguments
    ---------
    split, lm, settings : str
        Cells of its row.

    Returns
    -------
    str

    Example
    -------
    >>> name_test("test", "none", "e5143b79")
    'test_e5143b79'
    >>> name_test("test", "lm", "e77148e2")
    'test_lm_e77148e2'
    """
    return "_".join([split, *([] if lm == "none" else [lm]), settings])


def describe_run(hparams, device_type, first_commit):
    """The cells of a row that do not depend on the test set.

    Arguments
    ---------
    hparams : dict
        Of the experiment.
    device_type : str
        ``cpu`` or ``cuda``.
    first_commit : str | None
        What the training began with; None if that is not known.

    Returns
    -------
    dict
    """
    first, last = first_commit or "unknown", hparams["commit"]
    return {
        "date": datetime.date.today().isoformat(),
        "commit": last if first == last else f"{first}..{last}",
        "device": describe_device(device_type),
        "corpus": hparams["corpus"],
        "recipe": hparams["recipe"],
        "seed": hparams["seed"],
        "settings": hparams["settings"],
        "command": describe_command(sys.argv),
        "backend": hparams["backend"],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "speechbrain": version("speechbrain"),
    }


def describe_device(device_type):
    """Name of the processor.

    Example
    -------
    >>> describe_device("cpu") != ""
    True
    """
    if device_type == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_commit():
    """Commit of this package's repository, with + if files were changed.

    Rows appended to the benchmarks' result files are no change.
    """
    folder = Path(__file__).parent

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        changed = git(
            "status",
            "--porcelain",
            "--untracked-files=no",
            ":(top)",
            ":(top,exclude)benchmarks/results",
        )
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe_command(arguments):
    """A command line that names no machine's folders.

    Example
    -------
    >>> describe_command(["train.py", "--data_folder", "../data"])
    'python train.py --data_folder ../data'

    One of several processes that torchrun has started:

    >>> patch = getfixture("monkeypatch")
    >>> patch.setenv("WORLD_SIZE", "8")
    >>> describe_command(["train.py", "a.yaml"])
    'torchrun --nproc_per_node=8 train.py a.yaml'
    """

    def shorten(argument):
        key, equals, value = argument.rpartition("=")
        if os.path.isabs(value):
            value = os.path.relpath(value)
        return key + equals + value

    return shlex.join([*_launcher(), *map(shorten, arguments)])


def _launcher():
    """What started this process."""
    processes = count_processes()
    if processes == 1:
        return ["python"]
    on_each = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    machines = processes // on_each
    nodes = [f"--nnodes={machines}"] if machines > 1 else []
    return ["torchrun", *nodes, f"--nproc_per_node={on_each}"]


@contextmanager
def _lock(folder):
    """Exclusive among processes; the folder itself is what is locked."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
