"""Runs the programs of a launch at the same time and finds data races.

Triton's interpreter runs one program after another: nobody could wait at a
barrier. Here each program is a thread, and a seeded schedule says at each
access to memory which of them goes on, so that a run can be repeated.

Whether two accesses are ordered is not left to the schedule: vector clocks
follow what the kernels use for ordering. An atomic operation orders only as
much as its semantics say, and only for one thread of a program: what the
program's other threads did counts from its next ``debug_barrier`` on. An
access that is not ordered with another one to the same address, of which one
is a store, is a race, even if this schedule did no harm.
"""

import functools
import inspect
import math
import random
import threading

import numpy
import pytest
from triton._C.libtriton import ir
from triton.runtime import interpreter

BUILDER = interpreter.interpreter_builder
ACQUIRES = (ir.MEM_SEMANTIC.ACQUIRE, ir.MEM_SEMANTIC.ACQUIRE_RELEASE)
RELEASES = (ir.MEM_SEMANTIC.RELEASE, ir.MEM_SEMANTIC.ACQUIRE_RELEASE)


class Race(AssertionError):
    """Two accesses that nothing orders."""


def _touched(pointers, mask):
    """Addresses of an access."""
    chosen = numpy.broadcast_to(mask.data, pointers.data.shape).astype(bool)
    return pointers.data[chosen].tolist()


class _Clocks:
    """Vector clocks of the programs, and the last accesses by address."""

    def __init__(self, count):
        self.now = numpy.eye(count, dtype=int)
        # What an atomic of the program releases, and what it acquired but
        # has not yet passed on to all of its threads.
        self.released, self.acquired = numpy.zeros((2, count, count), dtype=int)
        self.locations, self.stores, self.loads = {}, {}, {}

    def barrier(self, me):
        numpy.maximum(self.now[me], self.acquired[me], out=self.now[me])
        self.released[me] = self.now[me]
        self.now[me, me] += 1

    def atomic(self, me, address, semantics):
        none = numpy.zeros(len(self.now), dtype=int)
        location = self.locations.setdefault(address, none)
        if semantics in ACQUIRES:
            numpy.maximum(self.acquired[me], location, out=self.acquired[me])
        if semantics in RELEASES:
            numpy.maximum(location, self.released[me], out=location)

    def load(self, me, addresses):
        for address in addresses:
            who, when = self.stores.get(address, (me, 0))
            # Its own store is ordered by a debug_barrier too: another of
            # its threads may have made it.
            seen = self.now[me, who] - (who == me)
            if when > seen:
                raise Race(f"program {me} loads what {who} stores")
            self.loads.setdefault(address, {})[me] = self.now[me, me]

    def store(self, me, addresses):
        for address in addresses:
            others = dict(self.loads.get(address, {}))
            who, when = self.stores.get(address, (me, 0))
            others[who] = max(when, others.get(who, 0))
            for other, when in others.items():
                if other != me and when > self.now[me, other]:
                    raise Race(f"program {me} stores over {other}'s access")
            self.stores[address] = me, self.now[me, me]


class _Stopped(BaseException):
    """Ends a thread whose launch has failed elsewhere."""


class Machine:
    """Concurrent launches, for as long as the context lasts.

    ``seed`` is the schedule's. Programs that are ``stuck`` never run; those who
    wait for them in vain go on, and are no longer looked at for races.
    """

    def __init__(self, seed=0, stuck=()):
        self.random = random.Random(seed)
        self.stuck = stuck
        self.switches = 0
        self.me = None

    def __enter__(self):
        machine = self

        class Executor(interpreter.GridExecutor):
            def __init__(self, function, *rest):
                super().__init__(machine.collect(function), *rest)

        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(interpreter, "GridExecutor", Executor)
        for name in ("masked_load", "masked_store", "atomic_rmw", "barrier"):
            original = getattr(BUILDER, f"create_{name}")
            hook = functools.partial(getattr(self, name), original)
            self.patch.setattr(BUILDER, f"create_{name}", hook)
        return self

    def __exit__(self, *error):
        self.patch.undo()

    def collect(self, function):
        """In place of the kernel: waits for the last program's arguments."""
        calls = []

        @functools.wraps(function)
        def collector(**arguments):
            calls.append((BUILDER.grid_idx, arguments))
            if len(calls) == math.prod(BUILDER.grid_dim):
                self.run(function, calls)

        collector.__signature__ = inspect.signature(function)
        return collector

    def run(self, function, calls):
        self.clocks = _Clocks(len(calls))
        self.places = [place for place, _ in calls]
        self.running = [i for i in range(len(calls)) if i not in self.stuck]
        self.turns = [threading.Semaphore(0) for _ in calls]
        self.finished = threading.Semaphore(0)
        self.error = None

        def body(number, arguments):
            try:
                self.wait_for_turn(number)
                function(**arguments)
            except _Stopped:
                pass
            except BaseException as error:
                self.error = self.error or error
            self.running.remove(number)
            if self.running:
                self.next_turn()
            else:
                self.finished.release()

        for number in list(self.running):
            work = number, calls[number][1]
            threading.Thread(target=body, args=work).start()
        self.next_turn()
        self.finished.acquire()
        if self.error is not None:
            raise self.error

    def next_turn(self):
        self.turns[self.random.choice(self.running)].release()

    def wait_for_turn(self, number):
        self.turns[number].acquire()
        if self.error is not None:
            raise _Stopped
        self.me = number
        BUILDER.grid_idx = self.places[number]

    def access(self):
        """Lets the schedule choose who goes on; returns this program."""
        number = self.me
        self.switches += 1
        self.next_turn()
        self.wait_for_turn(number)
        return number

    def masked_load(self, original, pointers, mask, *rest):
        me = self.access()
        if not self.stuck:
            self.clocks.load(me, _touched(pointers, mask))
        return original(pointers, mask, *rest)

    def masked_store(self, original, pointers, value, mask, *rest):
        me = self.access()
        if not self.stuck:
            self.clocks.store(me, _touched(pointers, mask))
        return original(pointers, value, mask, *rest)

    def atomic_rmw(self, original, operation, pointer, *rest):
        me = self.access()
        self.clocks.atomic(me, int(pointer.data.flat[0]), rest[-2])
        return original(operation, pointer, *rest)

    def barrier(self, original):
        self.clocks.barrier(self.me)
        return original()
