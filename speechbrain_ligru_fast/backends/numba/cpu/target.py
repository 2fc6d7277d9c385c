"""What the CPU that Numba compiles for can do: LLVM is asked.

The host's own features say nothing of NUMBA_CPU_NAME, NUMBA_CPU_FEATURES and
NUMBA_ENABLE_AVX, nor a list of features what a CPU's name implies.
"""

import functools

from llvmlite import binding, ir
from numba.core.registry import cpu_target

# The widest vector there is: 16 numbers of float32.
_WIDEST = ir.VectorType(ir.FloatType(), 16)


@functools.cache
def _assembly(triple, cpu, features):
    """A fused multiply-add of the widest vectors, as a CPU does it."""
    module = ir.Module()
    module.triple = triple
    kind = ir.FunctionType(_WIDEST, [_WIDEST] * 3)
    function = ir.Function(module, kind, "probe")
    builder = ir.IRBuilder(function.append_basic_block())
    fma = ir.Function(module, kind, "llvm.fma.v16f32")
    builder.ret(builder.call(fma, function.args))
    machine = binding.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features
    )
    return machine.emit_assembly(binding.parse_assembly(str(module)))


def _target():
    return cpu_target.target_context.codegen().magic_tuple()


def _host():
    features = binding.get_host_cpu_features().flatten()
    return _target()[0], binding.get_host_cpu_name(), features


def _fuses(cpu):
    # If not, LLVM calls the C library for each number.
    return "fmaf" not in _assembly(*cpu)


def vector_bytes():
    """Size of the vectors that loops are written in.

    Returns
    -------
    int

    Example
    -------
    >>> vector_bytes() in (16, 32, 64)
    True
    """
    assembly = _assembly(*_target())
    if "zmm" in assembly:
        return 64
    return 32 if "ymm" in assembly else 16


def fuses():
    """Whether a product and a sum are one instruction.

    Returns
    -------
    bool

    Example
    -------
    >>> fuses() in (True, False)
    True
    """
    return _fuses(_target())


def lesser():
    """Whether Numba has to do without ``fuses``, though the host does not.

    Libraries that look at the host, as torch's, are faster then.

    Returns
    -------
    str | None
        The name of the CPU that Numba compiles for.

    Example
    -------
    >>> lesser() is None or not fuses()
    True
    """
    if fuses() or not _fuses(_host()):
        return None
    return _target()[1]
