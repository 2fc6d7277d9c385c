"""One step in plain torch: the same numbers, without the operator."""

import itertools

import pytest
import torch

from benchmarks.gpu import scans
from benchmarks.verify import relative_error
from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

OPTIONS = [
    dict(directions=directions, layernorm=layernorm, affine=affine, h0=h0,
         mask=mask)
    for directions, (layernorm, affine), h0, mask in itertools.product(
        (1, 2),
        ((False, False), (True, False), (True, True)),
        (False, True),
        (False, True),
    )
]  # fmt: skip


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


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_equals_the_reference(number, called):
    given = scans.draw(
        torch.Generator().manual_seed(number), 5, steps=1,
        nonlinearity=NONLINEARITIES[number % 4], **OPTIONS[number],
    )  # fmt: skip
    got = scans.run(given, "auto", "cpu")
    assert not called
    want = scans.run(given, "reference", "cpu")
    assert called == ["scan_forward", "scan_backward"]
    for name in want:
        assert got[name].shape == want[name].shape
        assert relative_error(got[name], want[name]) < 1e-14, name


@pytest.mark.parametrize(
    "change",
    [
        dict(steps=2),
        dict(lengths=True),
        dict(dtype=torch.bfloat16),
        dict(backend="torchscript"),
        dict(autocast=True),
    ],
    ids=str,
)
def test_everything_else_is_the_operators(change, called):
    dtype = change.get("dtype", torch.float32)
    w = torch.randn(3, change.get("steps", 1), 8, dtype=dtype)
    lengths = torch.tensor([1, 0, 1]) if "lengths" in change else None
    with torch.autocast("cpu", torch.bfloat16, "autocast" in change):
        ligru_scan(
            w,
            torch.randn(8, 4, dtype=dtype),
            lengths=lengths,
            backend=change.get("backend", "auto"),
        )
    assert called == ["scan_forward"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(value):
    w, u = torch.randn(2, 1, 8), torch.randn(8, 4)
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
    chosen = torch.tensor([True, False, True, True, False])
    exported = torch.export.export(Selected(), (w, u, chosen)).module()
    one = torch.tensor([False, False, True, False, False])
    for which in (chosen, one):
        want = ligru_scan(w[:, which], u)
        assert torch.allclose(exported(w, u, which), want, atol=1e-6)


def test_meta():
    w, u = (torch.randn(*s, device="meta") for s in ((4, 1, 12), (12, 6)))
    assert ligru_scan(w, u).shape == (4, 1, 6)
