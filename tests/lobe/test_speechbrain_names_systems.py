"""What SpeechBrain ships does with register(replace=True) as without."""

import doctest
import importlib

import pytest
import speechbrain.nnet.RNN as stock
import speechbrain_systems
import torch

import speechbrain_ligru_fast
from speechbrain_ligru_fast import register

STOCK = {stock.LiGRU, stock.SLiGRU}
FAST = {speechbrain_ligru_fast.LiGRU, speechbrain_ligru_fast.SLiGRU}

# Those of the installed SpeechBrain that build, hold or search with a
# recurrent layer.
MODULES = (
    "nnet.RNN",
    "nnet.containers",
    "lobes.models.CRDNN",
    "lobes.models.ESPnetVGG",
    "lobes.models.RNNLM",
    "decoders.seq2seq",
    "decoders.transducer",
)


@pytest.fixture(autouse=True)
def undone():
    yield
    register(replace=False)


@pytest.fixture
def double():
    """float64: in float32 a rounding error grows to 1e-4 in these steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("jit", [False, True])
def test_trains_to_the_same_losses(jit, double):
    want, their_hypotheses, theirs = speechbrain_systems.train(jit)
    register(replace=True)
    got, our_hypotheses, ours = speechbrain_systems.train(jit)
    assert theirs <= STOCK and ours <= FAST and ours
    steps = speechbrain_systems.BATCHES
    assert want[-steps - 1 : -1].mean() < want[:steps].mean()
    assert torch.allclose(got, want, rtol=1e-5, atol=1e-5)
    assert our_hypotheses == their_hypotheses
    assert any(any(batch) for batch in our_hypotheses)


def failures(module, tests):
    """Names of the examples that fail, among all that a module has."""
    failed = []
    for test in tests:
        torch.manual_seed(0)
        test.globs = dict(vars(module))
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        if runner.run(test, out=lambda text: None, clear_globs=False).failed:
            failed.append(test.name)
    return failed


@pytest.mark.parametrize("name", MODULES)
def test_its_examples_run_as_well(name):
    module = importlib.import_module(f"speechbrain.{name}")
    # Found before: afterwards the replaced classes' are not the module's own.
    found = doctest.DocTestFinder(exclude_empty=True).find(module)
    tests = [test for test in found if test.examples]
    before = failures(module, tests)
    # One may need what is not installed.
    assert len(before) < len(tests)
    register(replace=True)
    assert failures(module, tests) == before
