"""A child's verdicts: who is to blame for an error, and on which device."""

import pytest
import torch

from speechbrain_ligru_fast.backends import child, prover, trial, verdicts
from speechbrain_ligru_fast.backends.failures import CannotRun
from speechbrain_ligru_fast.backends.kinds import Kind

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "error, verdict",
    [
        (trial.Wrong("output: error 1"), "wrong"),
        (CannotRun("H=4096 fits no kernel"), "cannot"),
        (OSError("no such driver"), "failed"),
        (ZeroDivisionError(), "failed"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "unknown"),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"), "unknown"),
        (RuntimeError("Triton Error [CUDA]: out of memory"), "unknown"),
        (RuntimeError("cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"), "unknown"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "unknown"),
        (MemoryError("Unable to allocate 2 GiB"), "unknown"),
    ],
)
def test_who_is_to_blame(error, verdict):
    """Not a backend, where the training has taken all memory."""
    found = prover._judge(error)
    assert found["verdict"] == verdict
    assert str(error) in found["why"]


@pytest.fixture
def compete(put):
    """What is said while some names compete; their ends are told by name."""
    said = []
    put(child, say=lambda **message: said.append(message))

    def compete(**ends):
        def ready(name):
            if isinstance(ends[name], Exception):
                raise ends[name]
            return ends[name]

        prover.compete([*ends], CPU, ready, 0)

    compete.said = said
    return compete


def test_what_competes(compete):
    compete(off=trial.Wrong("by 1 %"), right={"infer": bool}, untimed={})
    said = compete.said
    verdict = {m["name"]: m["verdict"] for m in said if "verdict" in m}
    assert verdict == {"off": "wrong", "right": "right", "untimed": "right"}
    turns = [m for m in said if "turn" in m]
    assert {m["name"] for m in turns} == {"right"}
    assert len({m["turn"][1] for m in turns}) == len(turns) == 4
    # Before each turn it is said whose it is.
    for i, message in enumerate(said):
        if "turn" in message:
            assert said[i - 1] == {"begin": "right"}


def test_what_spoils_the_gpu_ends_the_process(compete, put):
    """What follows would fail for its sake."""
    put(prover, is_alive=lambda device: False)
    with pytest.raises(SystemExit):
        compete(right={}, bad=RuntimeError("an illegal access"), other={})
    last = compete.said[-1]
    assert last["name"] == "bad" and last["verdict"] == "failed"


@pytest.mark.parametrize("name, index", [("cuda", 0), ("cuda:1", 1)])
def test_the_device_is_the_current_one(put, name, index):
    """Its clock is read, and its stream: a rank's GPU is rarely the first."""
    asked = []
    put(torch.cuda, set_device=asked.append)
    put(torch, zeros=lambda *_, device: asked.append(device))
    assert prover.use(name) == torch.device(name)
    assert asked == [index, torch.device(name)]


def test_a_gpu_that_can_not_be_had_is_no_backends_fault(monkeypatch):
    """As where only one process may use it. The child is a real one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found, names = {}, ["torchscript", "reference"]
    with pytest.raises(
        child.Ended, match="before it began, status 1.*NVIDIA|CUDA"
    ):
        verdicts.prove(found, Kind(8, 4), torch.device("cuda"), names)
    assert not found
