"""Environment and backend report, to paste in an issue."""

import platform
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


if __name__ == "__main__":
    print(report())
