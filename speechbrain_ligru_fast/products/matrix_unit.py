"""What multiplies bfloat16 faster than float32 on this CPU, if anything does.

x86 has two such units: AMX, a matrix unit whose registers Linux gives to a
process that asks for them, once; and AVX512-BF16, an instruction for vectors.
"""

import ctypes
import functools
import platform
import sys

# asm/prctl.h and asm/fpu/types.h of Linux for x86-64
_SYS_ARCH_PRCTL = 158
_ARCH_REQ_XCOMP_PERM = 0x1023
_XFEATURE_XTILEDATA = 18

_FLAGS = {"amx_tile", "amx_bf16", "avx512f"}
_DOT_FLAGS = {"avx512_bf16", "avx512f"}


def _flags():
    """What the kernel says that the first processor can do."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "flags":
                return set(value.split())
    return set()


def _has(flags):
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        return flags <= _flags()
    except OSError:
        return False


@functools.cache
def dots():
    """Whether vectors of bfloat16 are multiplied faster than float32's.

    Returns
    -------
    bool

    Example
    -------
    >>> dots() in (True, False)
    True
    """
    return _has(_DOT_FLAGS)


@functools.cache
def available():
    """Whether bfloat16 products may run on the CPU's matrix unit.

    Returns
    -------
    bool

    Example
    -------
    >>> available() in (True, False)
    True
    """
    if not _has(_FLAGS):
        return False
    try:
        request = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):
        return False
    arguments = (_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA)
    return request(*map(ctypes.c_long, arguments)) == 0
