"""What a step frees is there for the next one."""

import ctypes
import resource
import sys

import pytest
from fresh import python

from speechbrain_ligru_fast.training import memory

# As children: what is set can't be unset.
COUNT = """
import resource, torch
from speechbrain_ligru_fast.training.memory import keep_freed_memory

def step():
    for size in (9_000_000, 3_000_000):
        torch.empty(size).fill_(1.0)

print(keep_freed_memory())
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="the C library has no such setting",
)
def test_freed_memory_comes_back_without_faults():
    def count(**environment):
        said = python(COUNT, **environment).stdout.split()
        return said[0], int(said[1])

    set_, kept = count()
    told, _ = count(MALLOC_ARENA_MAX="4")
    assert (set_, told) == ("True", "False")
    # 10 steps of 12 million numbers. A system may take idle pages away.
    assert kept < 10 * 12e6 * 4 / resource.getpagesize() / 2


def test_where_there_is_no_such_setting(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False
