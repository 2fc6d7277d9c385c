"""Where the threads of a team wait for each other, and which one this is."""

import os

from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu.vectors import (
    I32,
    I64,
    call,
    pointer_to,
)

# Looks at the counter between two pauses: a virtual machine's host takes its
# core from one that pauses again and again.
_LOOKS = 64
# Pauses before a waiting thread offers its core to others, some 0.1 ms: much
# longer than threads that run wait for each other, since whoever takes the
# offer keeps the core for milliseconds.
_PAUSES = 1024


if os.name == "posix":
    _yield_core = types.ExternalFunction("sched_yield", types.intc())
else:

    @njit
    def _yield_core():
        return 0


@intrinsic
def atomic_increment(typingctx, address):
    """Adds 1 to an int64, publishing all earlier writes."""

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(builder, arguments[0], 0, I64)
        return builder.atomic_rmw(
            "add", pointer, ir.Constant(I64, 1), "acq_rel"
        )

    return types.int64(types.int64), generate


@intrinsic
def atomic_read(typingctx, address):
    """Reads an int64, with all writes published before it."""

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(builder, arguments[0], 0, I64)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def spin_hint(typingctx):
    """Tells an x86 core that it spins."""

    def generate(context, builder, signature, arguments):
        if binding.get_default_triple().startswith("x86_64"):
            call(builder, "llvm.x86.sse2.pause")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def call_int(typingctx, address):
    """Calls a C function ``int f(void)``."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(I32, []).as_pointer()
        function = builder.inttoptr(arguments[0], kind)
        return builder.sext(builder.call(function, []), I64)

    return types.int64(types.int64), generate


@njit
def wait_for_all(counter, threads, phase):
    """A barrier: returns once every thread has come here ``phase`` times."""
    atomic_increment(counter)
    target = threads * phase
    pauses = 0
    while True:
        for _ in range(_LOOKS):
            if atomic_read(counter) >= target:
                return
        spin_hint()
        pauses += 1
        if pauses == _PAUSES:
            pauses = 0
            _yield_core()


@njit
def rank_and_size(p):
    """This thread's number in the team, and how many it has."""
    if p[arg.RANK] == 0:
        return 0, 1
    return call_int(p[arg.RANK]), call_int(p[arg.SIZE])


@njit
def keep_pace(p, step, threads):
    """Waits, now and then, for the other threads that have shares.

    What needs no meeting profits by one: where programs share the cores, a
    thread that waits for long offers its core to another program, and so each
    comes to have all cores in turn. Otherwise threads that are done wait for
    those that were stopped, with one program's thread and another's at work.
    """
    if threads > 1 and step > 0 and step % p[arg.PACE] == 0:
        wait_for_all(p[arg.SHARED_BARRIER], threads, 1 + step // p[arg.PACE])
