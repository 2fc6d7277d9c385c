"""Verdicts on disk: what each holds for, and one who proves at a time."""

import contextlib
import functools
import hashlib
import json
import pathlib
import time
from importlib import metadata

import torch

from speechbrain_ligru_fast import __version__, kept

# Seconds to wait for another process's proof.
PATIENCE = 600
_LIBRARIES = (
    "triton", "numba", "numba-cuda", "cuda-core", "cuda-bindings",
    "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12",
)  # fmt: skip


def _driver():
    """The GPU driver's version."""
    for path in ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version"):
        with contextlib.suppress(OSError):
            return pathlib.Path(path).read_text().strip()
    with contextlib.suppress(AttributeError, RuntimeError):
        return str(torch._C._cuda_getDriverVersion())
    return "unknown"


@functools.cache
def machine(device):
    """What a verdict holds for, beside its kind.

    Arguments
    ---------
    device : torch.device
        Where backends are proven.

    Returns
    -------
    dict
    """
    found = {"device": "cpu", "torch": torch.__version__}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
        found["capability"] = [*torch.cuda.get_device_capability(device)]
        found["driver"] = _driver()
    for library in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return found | {"package": __version__, "source": _source()}


@functools.cache
def _source():
    """A hash of all backends' text."""
    found = hashlib.sha256()
    folder = pathlib.Path(__file__).parent
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".cu", ".cuh"):
            found.update(path.relative_to(folder).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def file_name(kind, device, names):
    """The file of the verdicts on some backends at a kind of scan."""
    what = sorted(machine(device).items()), device.type, tuple(kind), names
    return hashlib.sha256(repr(what).encode()).hexdigest() + ".verdict"


def read(name):
    """The verdicts in a file, or None if there are none to trust."""
    folder = kept.folder()
    content = kept.read(folder / name) if folder else None
    return json.loads(content)["verdicts"] if content else None


def write(found, kind, device, names):
    """Keeps verdicts for ``auto`` to read."""
    folder = kept.folder()
    if folder:
        content = {"kind": str(kind), "machine": machine(device)}
        content = json.dumps(content | {"verdicts": found}).encode()
        kept.write(folder / file_name(kind, device, names), content)


def everything(devices):
    """Yields what holds on some devices: device, kind and verdicts."""
    here, folder = [machine(device) for device in devices], kept.folder()
    for path in sorted(folder.glob("*.verdict")) if folder else ():
        found = json.loads(kept.read(path) or "{}")
        if found.get("machine") in here:
            yield found["machine"]["device"], found["kind"], found["verdicts"]


@contextlib.contextmanager
def alone():
    """Proves while no other process of this user does.

    The lock ends with the process that has it, however that ends. Without a
    folder, room, leave to write, or locks: each for itself.
    """
    folder = kept.folder()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            if folder:
                # Not on Windows, which has no such folder.
                import fcntl

                file = stack.enter_context(open(folder / "proving", "ab"))
                end = time.monotonic() + PATIENCE
                while time.monotonic() < end:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    time.sleep(0.1)
        yield
