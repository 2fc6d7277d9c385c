"""A few steps in plain torch: the same numbers, without the operator."""

import itertools

import pytest
import torch
import twins
from captures import exported
from scan_cases import RECURRENT, arguments, run

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES
from speechbrain_ligru_fast.scan import few_steps


@pytest.fixture
def called(monkeypatch):
    """Functions of backends that were run."""
    found = []
    run = backends.run

    def seen(function, *arguments):
        found.append(function)
        return run(function, *arguments)

    monkeypatch.setattr(backends, "run", seen)
    return found


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("recurrent", RECURRENT, ids=str)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_equals_the_reference(directions, recurrent, nonlinearity, called):
    flags, counts = (False, True), range(1, few_steps.FEW)
    for h0, mask, steps in itertools.product(flags, flags, counts):
        given = arguments(
            steps=steps, hidden=5, h0=h0, mask=mask, directions=directions,
            nonlinearity=nonlinearity, **recurrent,
        )  # fmt: skip
        got = run(ligru_scan, given)
        assert not called
        want = run(ligru_scan, given, backend="reference")
        assert called == ["scan_forward", "scan_backward"]
        called.clear()
        for name in want:
            assert twins.error(got[name], want[name]) < 1e-14, name


@pytest.mark.parametrize(
    "change",
    [
        dict(steps=few_steps.FEW), dict(steps=0), dict(lengths=True),
        dict(dtype=torch.bfloat16), dict(backend="torchscript"),
        dict(autocast=True),
    ],
    ids=str,
)  # fmt: skip
def test_everything_else_is_the_operators(change, called):
    given = {"steps": 1, "dtype": torch.float32} | change
    with torch.autocast("cpu", torch.bfloat16, given.pop("autocast", False)):
        ligru_scan(**arguments(**given))
    assert called == ["scan_forward"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(value):
    w, u = torch.randn(2, 3, 8), torch.randn(8, 4)
    w[1, 0, 2] = value
    got, want = (ligru_scan(w, u, backend=b) for b in ("auto", "reference"))
    torch.testing.assert_close(got, want, equal_nan=True)


def test_other_types_are_the_operators():
    """A mask or LayerNorm in another type: w's dtype, as for any length."""
    w, u = torch.randn(4, 1, 12), torch.randn(12, 6)
    affine = dict(layernorm=True, ln_weight=torch.rand(12).double())
    for more in ({"mask": torch.ones(4, 6).double()}, affine):
        found = ligru_scan(w, u, **more)
        want = ligru_scan(w, u, **more, backend="reference")
        assert found.dtype == torch.float32
        assert torch.allclose(found, want, atol=1e-6)


def test_a_length_that_depends_on_data():
    """No guard on a number that a compiler does not know."""

    class Selected(torch.nn.Module):
        def forward(self, w, u, chosen):
            chosen = chosen.nonzero().squeeze(1)
            return ligru_scan(w.index_select(1, chosen), u)

    w, u = torch.randn(2, 5, 12), torch.randn(12, 6)
    three, one = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]]).bool()
    program = exported(Selected(), w, u, three)
    for which in (three, one):
        want = ligru_scan(w[:, which], u)
        assert torch.allclose(program(w, u, which), want, atol=1e-6)


def test_meta():
    w, u = (torch.randn(*s, device="meta") for s in ((4, 1, 12), (12, 6)))
    assert ligru_scan(w, u).shape == (4, 1, 6)
