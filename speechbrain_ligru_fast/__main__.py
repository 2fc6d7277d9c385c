"""Environment and backends of this machine, to paste in an issue.

python -m speechbrain_ligru_fast            what is installed and can run
python -m speechbrain_ligru_fast report     and what is proven on its GPU
python -m speechbrain_ligru_fast verify     proves and times it, by hand
"""

import argparse
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

from speechbrain_ligru_fast import __version__, available_backends

_LIBRARIES = (
    "torch",
    "torchaudio",
    "speechbrain",
    "numpy",
    "numba",
    "numba-cuda",
    "triton",
    "cuda-core",
)


def report():
    """Returns the report as text.

    Example
    -------
    >>> "reference: ok" in report()
    True
    """
    lines = [f"speechbrain-ligru-fast: {__version__}"]
    lines.append(f"python: {platform.python_version()}")
    lines.append(f"system: {platform.platform()}")
    for library in _LIBRARIES:
        try:
            lines.append(f"{library}: {version(library)}")
        except PackageNotFoundError:
            lines.append(f"{library}: not installed")
    capability = torch.backends.cpu.get_cpu_capability()
    lines.append(f"cpu: {torch.get_num_threads()} threads, {capability}")
    for i in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(i)
        lines.append(f"gpu {i}: {name}, CUDA {torch.version.cuda}")
    lines.append("backends:")
    for name, state in available_backends().items():
        lines.append(f"  {name}: {state}")
    return "\n".join(lines)


def proven():
    """Returns what ``auto`` knows of this machine's GPUs, as text."""
    from speechbrain_ligru_fast.backends import verdict_files

    here = [torch.device("cpu")]
    here += [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    lines = ["proven:"]
    for device, kind, found in verdict_files.everything(here):
        lines.append(f"  {device}: {kind}")
        for name, verdict in found.items():
            us = [verdict.get(f"{w}_us") for w in ("forward", "backward")]
            words = [verdict["verdict"], verdict.get("why", "")]
            if None not in us:
                words[1] = "{:.2f} + {:.2f} us a step".format(*us)
            lines.append(f"    {name}: {' '.join(words)}".rstrip(": "))
    return "\n".join(lines if len(lines) > 1 else [lines[0] + " nothing yet"])


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ligru_fast",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["report", "verify"])
    args, words = parser.parse_known_args(argv)
    if args.command == "verify":
        from speechbrain_ligru_fast import verify

        return verify.by_hand(words, report())
    if words:
        parser.error(f"unknown: {' '.join(words)}")
    print(report())
    if args.command == "report":
        print(proven())
    return 0


if __name__ == "__main__":
    sys.exit(main())
