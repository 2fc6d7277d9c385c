"""Launches in CUDA graphs: never another result than without."""

import logging

import pytest
import torch
from fake_graphs import FakeCuda

pytest.importorskip("triton")

from speechbrain_ligru_fast.backends.triton import graphs  # noqa: E402

RESULTS = ("output", "state", "absent")


@pytest.fixture
def cuda():
    return FakeCuda()


def tensors(seed, rows=3, lengths=None, nan=False):
    """Arguments of a scan whose rows have their own lengths."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(rows, 5, generator=generator)
    if nan:
        w[1, 2] = torch.nan
    return {
        "w": w,
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


@pytest.fixture
def scan(cuda):
    """Runs a scan, each of its five steps a launch, and checks its results."""
    first = graphs.Replays(cuda, "cpu")

    def scan(seed, kind="scan", launches=10, replays=first, **options):
        def launch(tensors):
            assert tensors["absent"] is None
            for at in range(5):
                cuda.launch(lambda at=at: step(tensors, at))

        given, want = tensors(seed, **options), tensors(seed, **options)
        replays.run((kind,), given, RESULTS, launch, launches)
        results.append((given, want))
        for at in range(5):
            step(want, at)
        # What the scans before have given stays.
        for given, want in results:
            for name in ("output", "state"):
                torch.testing.assert_close(
                    given[name], want[name], rtol=0, atol=0, equal_nan=True
                )

    results = []
    return scan


def test_new_data_each_time(scan, cuda):
    """Other lengths too: nothing is left over from the scan before."""
    for seed, lengths in enumerate(
        ([5, 5, 5], [1, 0, 5], [2, 3, 1], [0, 0, 4])
    ):
        scan(seed, lengths=lengths)
    # Five launches, then five to compare with, then replays only.
    assert cuda.log.count("launch") == 10 and cuda.log.count("capture") == 1
    assert cuda.log[-3:] == ["wait", "replay", "record"]


def test_each_kind_has_its_graph(scan, cuda):
    for seed in range(3):
        for rows, kind in ((3, "a"), (4, "a"), (3, "b")):
            scan(seed, kind, rows=rows)
    assert cuda.log.count("capture") == 3


def test_who_only_launches(scan, cuda, monkeypatch):
    elsewhere = graphs.Replays(cuda, "cuda")
    monkeypatch.setenv(graphs.SWITCH, "0")
    off = graphs.Replays(cuda, "cpu")
    for seed in range(3):
        cuda.callers_capture = True
        scan(seed)
        cuda.callers_capture = False
        scan(seed, launches=graphs.FEWEST_LAUNCHES - 1)
        scan(seed, replays=off)
        scan(seed, replays=elsewhere)
    assert set(cuda.log) == {"launch"}


@pytest.mark.parametrize(
    "wrong, words", [("forgets", "another"), ("raises", "not permitted")]
)
def test_a_graph_that_fails_is_not_used(wrong, words, scan, cuda, caplog):
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
            scan(seed)
    (record,) = caplog.records
    assert words in record.getMessage()
    assert cuda.log.count("capture") == 1


def test_not_a_number_is_no_difference(scan, cuda):
    for _ in range(2):
        scan(0, nan=True)
    assert "wait" in cuda.log


def test_few_graphs_are_kept(scan, cuda, monkeypatch):
    for kind in range(graphs.MOST_GRAPHS + 3):
        for seed in range(3):
            scan(seed, kind)
    assert cuda.log.count("capture") == graphs.MOST_GRAPHS
    # Those out of use make room.
    monkeypatch.setattr(graphs, "IDLE_SCANS", 2)
    for seed in range(2):
        scan(seed, "new")
    assert cuda.log.count("capture") == graphs.MOST_GRAPHS + 1
    assert "synchronize" in cuda.log


def test_little_memory_is_kept(scan, cuda, monkeypatch):
    size = sum(t.nbytes for t in tensors(0).values() if t is not None)
    monkeypatch.setattr(graphs, "MOST_BYTES", 2 * size)
    for kind in "abc":
        for seed in range(2):
            scan(seed, kind)
    assert cuda.log.count("capture") == 2


def test_inference_mode_and_without(scan, cuda):
    for seed in range(2):
        with torch.inference_mode():
            scan(seed)
    scan(2)
    assert cuda.log.count("capture") == 1
