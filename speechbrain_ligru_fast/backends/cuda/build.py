"""Compiles a planned kernel with NVRTC; kept.py keeps what it makes.

No nvcc and no CUDA header is needed. What is kept is named by a hash of the
source, the macros, the architecture and the compiler's version.
"""

import functools
import hashlib
import io
import pathlib
import re

from speechbrain_ligru_fast import kept
from speechbrain_ligru_fast.backends.failures import CannotRun

KERNELS = pathlib.Path(__file__).parent / "kernels"


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
        Architecture, such as sm_90.
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
        cubin = bytes(program.compile("cubin", logs=report).code)
    finally:
        program.close()
    # For compute_90, say, NVRTC makes an empty one and calls that a success.
    if not cubin.startswith(b"\x7fELF"):
        raise RuntimeError(
            f"NVRTC {compiler_version()} made no machine code for {arch}"
        )
    return cubin, report.getvalue()


@functools.cache
def compiler_version():
    """NVRTC's version, as a string."""
    from cuda.bindings import nvrtc

    status, major, minor = nvrtc.nvrtcVersion()
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC does not tell its version: {status}")
    return f"{major}.{minor}"


@functools.cache
def architectures():
    """What NVRTC compiles for, as numbers such as 90."""
    from cuda.bindings import nvrtc

    status, found = nvrtc.nvrtcGetSupportedArchs()
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC does not tell what it knows: {status}")
    return tuple(found)


def architecture(capability):
    """NVRTC's name of the newest code that a device runs.

    Code for 8.0 runs on 8.6 and 8.9 too, but not on another major version.

    Arguments
    ---------
    capability : tuple
        Compute capability, major and minor.

    Returns
    -------
    str

    Raises
    ------
    CannotRun
        If NVRTC is older than the device.
    """
    number = 10 * capability[0] + capability[1]
    known = [n for n in architectures() if number // 10 * 10 <= n <= number]
    if not known:
        raise CannotRun(
            f"backend 'cuda': NVRTC {compiler_version()} knows no code for "
            f"compute capability {capability[0]}.{capability[1]}"
        )
    return f"sm_{max(known)}"


def entry_name(plan, arch, macros):
    """The file name of a kernel's cubin.

    Arguments
    ---------
    plan, arch, macros
        As in ``cubin``.

    Returns
    -------
    str
    """
    what = (
        source(plan.backward),
        sorted({**plan.macros(), **macros}.items()),
        arch,
        compiler_version(),
    )
    return hashlib.sha256(repr(what).encode()).hexdigest() + ".cubin"


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
    folder = kept.folder()
    path = folder / entry_name(plan, arch, macros) if folder else None
    found = kept.read(path) if path else None
    if found is None:
        found, _ = compile_cubin(plan, arch, macros)
        if path:
            kept.write(path, found)
    return found
