"""When, where, from what and by which command a result row was made."""

import datetime
import os
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from speechbrain_ligru_fast.training.process_group import count_processes

_CPUINFO = Path("/proc/cpuinfo")
# What decides which kernels run, by Linux's name of it.
_VECTORS = {"avx2": "AVX2", "avx512f": "AVX-512"}
_VECTORS |= {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}


def describe_run(hparams, device_type):
    """The cells of a row that do not depend on the test set."""
    run = hparams["fingerprint"]
    commits = dict.fromkeys([run.first_commit, run.commit])
    return {
        "date": datetime.date.today().isoformat(),
        "commit": "..".join(commits),
        "device": describe_device(device_type),
        "corpus": hparams["corpus"],
        "recipe": hparams["recipe"],
        "seed": hparams["seed"],
        "settings": run.name,
        "changes": run.changes,
        "train_manifest": run.settings.get("train_manifest", ""),
        "valid_manifest": run.settings.get("valid_manifest", ""),
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
    name = _read_cpu(_CPUINFO).get("model name")
    return name or platform.processor() or platform.machine()


def describe_cpu(cpuinfo=_CPUINFO):
    """Which processor goes by a name that others may have, too.

    Example
    -------
    >>> file = getfixture("tmp_path") / "cpuinfo"
    >>> _ = file.write_text("cpu family : 6\\nmodel : 7\\nflags : fpu avx2\\n")
    >>> describe_cpu(file)
    'family 6 model 7, AVX2'
    """
    found = _read_cpu(cpuinfo)
    if not {"cpu family", "model", "flags"} <= found.keys():
        return ""
    flags = found["flags"].split()
    units = " ".join(name for key, name in _VECTORS.items() if key in flags)
    return f"family {found['cpu family']} model {found['model']}, {units}"


def _read_cpu(path):
    text = path.read_text("utf-8") if path.exists() else ""
    return dict(re.findall(r"^([\w ]+\w)\s*: (.*)$", text, re.M))


def describe_commit():
    """Commit of this package's repository, with + if files were changed.

    Rows appended to the benchmarks' result files are no change.
    """

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    files = [":(top)", ":(top,exclude)benchmarks/results"]
    try:
        changed = git("status", "--porcelain", "--untracked-files=no", *files)
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


# An absolute path among others, in YAML's {name: path} or [path]
_PATH = re.compile(r"(?<=[\s:,\[{\"'])/[^\s,\]}\"']+")


def describe_command(arguments):
    """A command line that names no machine's folders.

    Example
    -------
    >>> folder = os.getcwd()
    >>> describe_command(["train.py", f"--out={folder}/lr=1", f"{folder}/b=c"])
    'python train.py --out=lr=1 b=c'
    >>> describe_command(["train.py", f"--sets={{a: {folder}/a, b: b}}"])
    "python train.py '--sets={a: a, b: b}'"

    One of several processes that torchrun has started:

    >>> patch = getfixture("monkeypatch")
    >>> patch.setenv("WORLD_SIZE", "8")
    >>> describe_command(["train.py", "a.yaml"])
    'torchrun --nproc_per_node=8 train.py a.yaml'
    """

    def shorten(argument):
        key, equals, value = "", "", argument
        # A folder's name may have a "=", too.
        if argument.startswith("--") and "=" in argument:
            key, equals, value = argument.partition("=")
        if os.path.isabs(value):
            value = os.path.relpath(value)
        elif value[:1] in ("{", "["):
            value = _PATH.sub(lambda m: os.path.relpath(m[0]), value)
        return key + equals + value

    launcher, processes = ["python"], count_processes()
    if processes > 1:
        on_each = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        machines = processes // on_each
        nodes = [f"--nnodes={machines}"] if machines > 1 else []
        launcher = ["torchrun", *nodes, f"--nproc_per_node={on_each}"]
    return shlex.join([*launcher, *map(shorten, arguments)])
