"""Every size has a plan that the device holds."""

import itertools

import pytest
from cuda_devices import DEVICES, H100, operands

from speechbrain_ligru_fast.backends.cuda.plan import Limits, plan


@pytest.mark.parametrize("arch", DEVICES)
def test_every_common_size_has_a_plan(arch):
    limits = DEVICES[arch]
    for hidden, rows, operand, *options in itertools.product(
        (1, 16, 17, 33, 100, 128, 320, 512, 777, 1024, 2000, 2048),
        (1, 16, 128, 1000), operands(arch), (False, True), (False, True),
    ):  # fmt: skip
        chosen = plan(hidden, rows, operand, limits, *options)
        assert chosen is not None, (hidden, rows, operand, options)
        assert chosen.padded >= hidden
        assert chosen.blocks >= chosen.held + chosen.kept
        assert chosen.shared_bytes <= limits.shared_bytes
        assert chosen.group * chosen.groups <= limits.processors
        assert (chosen.tier == "grid") or limits.cluster > 1


def test_plans_on_a_hopper():
    """Workloads of the benchmarks: tier, and weights that stay on chip."""
    sizes = (128, 8), (256, 16), (512, 16), (512, 128), (1024, 48)
    for hidden, rows in sizes:
        for backward in (False, True):
            chosen = plan(hidden, rows, "bf16", H100, backward)
            assert chosen.tier == "cluster"
            assert chosen.held + chosen.kept == chosen.blocks
    assert plan(2048, 32, "bf16", H100).tier == "grid"
    assert plan(100_000, 32, "bf16", H100) is None
    # The driver may grant fewer clusters than there are processors for.
    few = Limits((9, 0), 132, 232448, 16, ((16, 3),))
    assert plan(512, 48, "bf16", H100).groups == 6
    chosen = plan(512, 48, "bf16", few)
    assert chosen.group != 16 or chosen.groups <= 3
    none = Limits((9, 0), 132, 232448, 16, tuple((n, 0) for n in range(17)))
    assert plan(512, 48, "bf16", none).tier == "grid"
