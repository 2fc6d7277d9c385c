"""Compiles a planned kernel with NVRTC and keeps the cubin on disk.

No nvcc and no CUDA header is needed. The cache is a folder that only the user
may read and write; its entries are named by a hash of the source, the
macros, the architecture and the compiler's version, and carry a hash of
their content, so that a torn or foreign file is compiled again.
"""

import contextlib
import functools
import hashlib
import io
import os
import pathlib
import re
import tempfile

KERNELS = pathlib.Path(__file__).parent / "kernels"
# Names what wrote an entry; its version is part of the format.
_MAGIC = b"ligru-cubin-1\n"


def source(backward):
    """A kernel's text with every header of this folder in its place.

    Arguments
    ---------
    backward : bool
        Which of the two kernels.

    Returns
    -------
    str
        One translation unit.
    """
    return _inline("backward.cu" if backward else "forward.cu", set())


def _inline(name, seen):
    if name in seen:
        return ""
    seen.add(name)
    lines = []
    for line in (KERNELS / name).read_text().splitlines():
        include = re.fullmatch(r'#include "(\w+\.cuh)"', line)
        if include:
            lines.append(_inline(include[1], seen))
        elif line != "#pragma once":
            lines.append(line)
    return "\n".join(lines) + "\n"


def compile_cubin(plan, arch, macros):
    """Compiles one kernel, whether or not a GPU is present.

    Arguments
    ---------
    plan : Plan
        What to compile.
    arch : str
        Architecture, such as sm_90a.
    macros : dict
        Further macros: IO, ACTIVATION, LEAKY_SLOPE.

    Returns
    -------
    cubin : bytes
        The machine code.
    report : str
        What ptxas said of registers, spills and memory.
    """
    from cuda.core import Program, ProgramOptions

    defined = {**plan.macros(), **macros}
    options = ProgramOptions(
        arch=arch,
        std="c++17",
        define_macro=[(name, str(value)) for name, value in defined.items()],
        ptxas_options=["-v"],
    )
    report = io.StringIO()
    program = Program(source(plan.backward), "c++", options)
    try:
        cubin = program.compile("cubin", logs=report).code
    finally:
        program.close()
    return bytes(cubin), report.getvalue()


@functools.cache
def compiler_version():
    """NVRTC's version, as a string."""
    from cuda.bindings import nvrtc

    status, major, minor = nvrtc.nvrtcVersion()
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC does not tell its version: {status}")
    return f"{major}.{minor}"


def _is_own(state):
    """Whether a file's ``stat`` names this user; Windows' names nobody."""
    return hasattr(os, "getuid") and state.st_uid == os.getuid()


def cache_folder():
    """Where cubins are kept: SPEECHBRAIN_LIGRU_CACHE, else the user's cache.

    Returns
    -------
    pathlib.Path | None
        None if no folder belongs to this user alone.
    """
    base = os.environ.get("SPEECHBRAIN_LIGRU_CACHE")
    if base is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(
            "~/.cache"
        )
        base = os.path.join(home, "speechbrain_ligru_fast")
    folder = pathlib.Path(base)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = folder.stat()
        # Code is loaded from here: nobody else may write it.
        if not _is_own(state):
            return None
        if state.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError:
        return None
    return folder


def _entry_name(plan, arch, macros):
    what = (
        source(plan.backward),
        sorted({**plan.macros(), **macros}.items()),
        arch,
        compiler_version(),
    )
    return hashlib.sha256(repr(what).encode()).hexdigest() + ".cubin"


def _read(path):
    """An entry's cubin, or None if it is absent, torn or foreign."""
    try:
        if path.is_symlink() or not _is_own(path.stat()):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + hashlib.sha256().digest_size
    cubin = data[head:]
    if data[:head] != _MAGIC + hashlib.sha256(cubin).digest():
        return None
    return cubin


def _write(path, cubin):
    """Writes an entry at once: a reader sees all of it or none.

    Where there is no room, or no leave to write, there is no entry.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(cubin).digest() + cubin)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def cubin(plan, arch, macros):
    """A kernel's machine code, from the cache or compiled.

    Arguments
    ---------
    plan : Plan
        What to compile.
    arch : str
        Architecture.
    macros : dict
        Further macros.

    Returns
    -------
    bytes
    """
    folder = cache_folder()
    path = folder / _entry_name(plan, arch, macros) if folder else None
    found = _read(path) if path else None
    if found is None:
        found, _ = compile_cubin(plan, arch, macros)
        if path:
            _write(path, found)
    return found
