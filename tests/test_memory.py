"""Peak memory of a step, in a process of its own."""

import pytest
import torch

from benchmarks import memory
from benchmarks.cases import Case

needs_counters = pytest.mark.skipif(
    not memory.can_measure(), reason="needs Linux's counters and glibc"
)


@needs_counters
def test_memory_of_a_known_allocation():
    assert memory.growth(lambda: torch.ones(16 * 2**20)) == pytest.approx(
        64, abs=2
    )


@needs_counters
def test_memory_of_a_step_in_its_own_process():
    case = Case("LSTM", 64, 64, 8, 100)
    # Input gradient and output alone; four gates at least are kept too.
    least = 4 * 8 * 100 * 64 * (1 + 1 + 4) / 2**20
    assert least < memory.peak_mb("torch", case, 1) < 30 * least


def test_memory_of_a_step_that_fails():
    case = Case("LSTM", 7, 3, 2, 5)
    with pytest.raises(RuntimeError, match="LSTM-h7.*status 1"):
        memory.peak_mb("speechbrain", case, 1)
