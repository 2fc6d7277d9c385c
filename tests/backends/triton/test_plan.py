"""Blocks and launch modes that a device can run."""

import pytest

pytest.importorskip("triton")

from speechbrain_ligru_fast.backends.triton.plan import (  # noqa: E402
    Device,
    plan,
)

H100 = Device()
A100 = Device(108, 163 * 1024)
SMALL = Device(20, 99 * 1024)
MI300 = Device(304, 64 * 1024, amd=True)


@pytest.mark.parametrize("device", [H100, A100, SMALL, MI300], ids=str)
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("backward", [False, True])
def test_every_plan_can_run(device, itemsize, backward):
    for hidden in (1, 16, 100, 128, 512, 600, 1024, 2048, 3000):
        for rows in (1, 16, 48, 128, 1000):
            how = plan(device, hidden, rows, itemsize, 100, backward)
            width = hidden * (2 if backward else 1)
            columns = how.block_units * (1 if backward else 2)
            programs = how.groups * how.tiles(hidden)
            assert how.groups >= 1
            if how.persistent:
                # They wait for each other, so all must run.
                assert programs <= device.processors
            else:
                assert how.tiles(hidden) > device.processors
            if how.resident:
                covered = how.splits * how.block_k
                assert how.persistent and covered >= width
                assert covered * columns * itemsize <= device.shared


def test_the_workloads_stay_in_the_program():
    """TIMIT's and LibriSpeech's layers hold their weights on a big GPU."""
    for hidden, rows in ((512, 16), (1024, 48)):
        for backward in (False, True):
            how = plan(H100, hidden, rows, 2, 100, backward)
            assert how.persistent and how.resident, hidden
            assert how.groups * how.block_rows >= rows, "one launch"


def test_what_does_not_fit_runs_step_by_step():
    assert not plan(SMALL, 3000, 16, 2, 100).persistent
    assert not plan(H100, 512, 16, 2, 1).persistent
    lonely = Device(cooperative=False)
    assert not plan(lonely, 512, 16, 2, 100).persistent
