"""Launches in CUDA graphs: never another result than without."""

import logging

import pytest
import torch
from fake_graphs import FakeCuda

pytest.importorskip("triton")

from speechbrain_ligru_fast.backends.triton import graphs  # noqa: E402
from speechbrain_ligru_fast.backends.triton.graphs import (  # noqa: E402
    Replays,
)

RESULTS = ("output", "state", "absent")


@pytest.fixture
def cuda():
    return FakeCuda()


@pytest.fixture
def replays(cuda):
    return Replays(cuda, "cpu")


def tensors(seed, rows=3, lengths=None):
    """Arguments of a scan whose rows have their own lengths."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "w": torch.randn(rows, 5, generator=generator),
        "lengths": torch.tensor(lengths or [5] * rows),
        "output": torch.zeros(rows, 5),
        "state": torch.randn(rows, generator=generator),
        "absent": None,
    }


def step(given, at):
    """A launch: reads and writes the state, writes frames that exist."""
    here = at < given["lengths"]
    given["state"] += torch.where(here, given["w"][:, at], 0.0)
    given["output"][here, at] = given["state"][here]


def run(replays, cuda, given, kind="scan", launches=10):
    """One scan; each of its five steps is a launch."""

    def launch(tensors):
        assert tensors["absent"] is None
        for at in range(5):
            cuda.launch(lambda at=at: step(tensors, at))

    replays.run((kind,), given, RESULTS, launch, launches)
    return given


def right(given, seed, **options):
    want = tensors(seed, **options)
    for at in range(5):
        step(want, at)
    return all(torch.equal(given[n], want[n]) for n in ("output", "state"))


def test_new_data_each_time(replays, cuda):
    """Other lengths too: nothing is left over from the scan before."""
    for seed, lengths in enumerate(
        ([5, 5, 5], [1, 0, 5], [2, 3, 1], [0, 0, 4])
    ):
        given = run(replays, cuda, tensors(seed, lengths=lengths))
        assert right(given, seed, lengths=lengths), seed
    # Five launches, then five to compare with, then replays only.
    assert cuda.log.count("launch") == 10 and cuda.log.count("capture") == 1
    assert cuda.log[-3:] == ["wait", "replay", "record"]


def test_a_result_stays_when_the_next_scan_runs(replays, cuda):
    kept = [run(replays, cuda, tensors(seed)) for seed in range(4)]
    assert all(right(given, seed) for seed, given in enumerate(kept))


def test_each_kind_has_its_graph(replays, cuda):
    for seed in range(3):
        for rows, kind in ((3, "a"), (4, "a"), (3, "b")):
            given = run(replays, cuda, tensors(seed, rows), kind)
            assert right(given, seed, rows=rows)
    assert cuda.log.count("capture") == 3


def test_who_only_launches(replays, cuda, monkeypatch):
    for seed in range(3):
        cuda.callers_capture = True
        run(replays, cuda, tensors(seed))
        cuda.callers_capture = False
        run(replays, cuda, tensors(seed), launches=graphs.FEWEST_LAUNCHES - 1)
    monkeypatch.setenv(graphs.SWITCH, "0")
    other = Replays(cuda, "cpu")
    elsewhere = Replays(cuda, "cuda")
    for seed in range(3):
        run(other, cuda, tensors(seed))
        run(elsewhere, cuda, tensors(seed))
    assert set(cuda.log) == {"launch"}


@pytest.mark.parametrize("wrong", ["forgets", "raises"])
def test_a_graph_that_fails_is_not_used(wrong, replays, cuda, caplog):
    """One warning, and right results by launching."""

    class Forgetful(cuda.CUDAGraph):
        def replay(self):
            if wrong == "raises":
                raise RuntimeError("operation not permitted")
            self.launches = self.launches[:-1]
            super().replay()

    cuda.CUDAGraph = Forgetful
    with caplog.at_level(logging.WARNING):
        for seed in range(4):
            assert right(run(replays, cuda, tensors(seed)), seed)
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert ("another" if wrong == "forgets" else "not permitted") in message
    assert cuda.log.count("capture") == 1


def test_not_a_number_is_no_difference(replays, cuda):
    for _ in range(2):
        given = tensors(0)
        given["w"][1, 2] = float("nan")
        run(replays, cuda, given)
    assert "wait" in cuda.log and given["output"][1, 2:].isnan().all()


def test_few_graphs_are_kept(replays, cuda, monkeypatch):
    for kind in range(graphs.MOST_GRAPHS + 3):
        for seed in range(3):
            assert right(run(replays, cuda, tensors(seed), kind), seed)
    assert cuda.log.count("capture") == graphs.MOST_GRAPHS
    # Those out of use make room.
    monkeypatch.setattr(graphs, "IDLE_SCANS", 2)
    run(replays, cuda, tensors(0), "new")
    assert right(run(replays, cuda, tensors(1), "new"), 1)
    assert cuda.log.count("capture") == graphs.MOST_GRAPHS + 1
    assert "synchronize" in cuda.log


def test_little_memory_is_kept(replays, cuda, monkeypatch):
    given = tensors(0)
    size = sum(t.nbytes for t in given.values() if t is not None)
    monkeypatch.setattr(graphs, "MOST_BYTES", 2 * size)
    for kind in "abc":
        for seed in range(2):
            run(replays, cuda, tensors(seed), kind)
    assert cuda.log.count("capture") == 2


def test_inference_mode_and_without(replays, cuda):
    for seed in range(2):
        with torch.inference_mode():
            run(replays, cuda, tensors(seed))
    assert right(run(replays, cuda, tensors(2)), 2)
    assert cuda.log.count("capture") == 1
