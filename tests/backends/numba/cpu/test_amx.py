"""Products of bfloat16 on a CPU's matrix unit."""

import itertools

import numpy
import pytest
import scan_checks
import torch
import twins
from fresh import python
from hypothesis import given
from scan_cases import OPTIONS, SIXTY, drawn, run, scans

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends import matrix_unit, rounds_states
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec

numba = pytest.importorskip("numba")
backend = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu")

from speechbrain_ligru_fast.backends.numba.cpu import amx, operands  # noqa: E402

pytestmark = pytest.mark.usefixtures("poisoned_memory")
needs_unit = pytest.mark.skipif(
    not backend.multiplies_words(torch.bfloat16),
    reason="this CPU has no AMX, or Numba compiles for one that has none",
)
EPS = torch.finfo(torch.bfloat16).eps


def half(hidden=3, **options):
    """Arguments of a scan in float32 with weights in bfloat16."""
    return drawn(hidden, torch.bfloat16, **options)


def check(given):
    """The states are rounded for the product, in the backward gradients."""
    # A state between two roundings may take either of them.
    scan_checks.check_equals("numba", given, EPS / 4, 4 * EPS)


@needs_unit
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_reference(options):
    for nonlinearity in NONLINEARITIES:
        check(half(nonlinearity=nonlinearity, **options))


@needs_unit
@SIXTY
@given(scans())
def test_any_size(options):
    # A gradient jumps where relu's candidate changes its sign.
    smooth = {"relu": "tanh", "leaky_relu": "sin"}
    chosen = options["nonlinearity"]
    options["nonlinearity"] = smooth.get(chosen, chosen)
    check(half(**options))


@needs_unit
@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("rows, hidden", [(17, 33), (40, 200), (9, 512)])
def test_several_tiles_and_threads(rows, hidden, layernorm, monkeypatch):
    monkeypatch.setattr(backend, "_WORDS_PER_THREAD", 1)
    threads = torch.get_num_threads()
    given = half(
        batch=rows, steps=6, hidden=hidden, directions=2, lengths=True,
        layernorm=layernorm, nonlinearity="tanh",
    )  # fmt: skip
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            check(given)
            found.append(run(ligru_scan, given, backend="numba"))
    finally:
        torch.set_num_threads(threads)
    for one, other in itertools.pairwise(found):
        for name, value in one.items():
            # Threads add LayerNorm's sums up in another order.
            limit = EPS if layernorm else 0
            assert twins.error(other[name], value) <= limit, name


@needs_unit
def test_a_large_mean_of_the_products():
    """LayerNorm takes it away, a thousand times the deviation or more."""
    given = half(hidden=512, steps=6, layernorm=True, nonlinearity="tanh")
    given["h0"] = given["h0"].detach().abs().requires_grad_()
    u = given["u"].detach().float() + 4
    given["u"] = u.bfloat16().requires_grad_()
    wide = {k: _double(v) for k, v in given.items()}
    want = run(ligru_scan, wide, backend="reference")["output"]
    got = run(ligru_scan, given, backend="numba")["output"]
    assert twins.error(got, want) <= EPS


def _double(value):
    if not torch.is_tensor(value) or not value.is_floating_point():
        return value
    return value.detach().double().requires_grad_(value.requires_grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_an_epsilon_of_zero(dtype):
    """A first state of 0 has products without a deviation: NaN."""
    given = half(hidden=40, layernorm=True, eps=0.0, h0=False)
    given["u"] = given["u"].detach().to(dtype).requires_grad_()
    got = run(ligru_scan, given, backend="numba")["output"]
    want = run(ligru_scan, given, backend="reference")["output"]
    assert want.isnan().any()
    assert torch.equal(got.isnan(), want.isnan())


@needs_unit
def test_numba_compiles_for_a_lesser_cpu():
    """LLVM would abort the process, which no fallback catches."""
    python(
        "import torch; from speechbrain_ligru_fast import ligru_scan; "
        "ligru_scan(torch.randn(2, 5, 80), torch.randn(80, 40).bfloat16(), "
        "backend='numba')",
        NUMBA_CPU_NAME="generic",
    )


@needs_unit
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row(value):
    given = half(batch=3, steps=5, hidden=40)
    given["w"].data[1, 2, 7] = value
    got = run(ligru_scan, given, backend="numba")["output"]
    want = run(ligru_scan, given, backend="reference")["output"]
    assert not got[1].isfinite().all()
    torch.testing.assert_close(got[[0, 2]], want[[0, 2]], rtol=EPS, atol=EPS)
    assert torch.equal(got[1, :2].isfinite(), want[1, :2].isfinite())


@numba.njit
def _begin(element, config, kept):
    amx.begin(element, config, kept)


@numba.njit
def _end(element, kept):
    amx.end(element, kept)


@needs_unit
def test_a_scan_leaves_the_set_up_of_tiles():
    few = amx.CONFIG.copy()
    few[48:56] = 3
    first, second = numpy.zeros_like(few), numpy.zeros_like(few)
    word = operands.WORD(0)
    _begin(word, few.ctypes.data, first.ctypes.data)
    try:
        with torch.no_grad():  # torch's own products would change them
            ligru_scan(**half(hidden=40), backend="numba")
        _begin(word, amx.CONFIG.ctypes.data, second.ctypes.data)
        assert (second == few).all()
    finally:
        _end(word, first.ctypes.data)


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_states_are_rounded_for_it_alone(there, compiles, monkeypatch):
    monkeypatch.setattr(matrix_unit, "available", lambda: there)
    monkeypatch.setattr(amx, "compiles", lambda: compiles)
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        rounded = rounds_states("numba", "cpu", dtype, ScanSpec(), 9)
        assert rounded == (there and compiles and dtype == torch.bfloat16)
    assert rounds_states("reference", "cpu", torch.bfloat16, ScanSpec(), 9)


def test_without_it_the_states_are_multiplied_whole(monkeypatch):
    monkeypatch.setattr(matrix_unit, "available", lambda: False)
    given = half(hidden=40, steps=9, nonlinearity="tanh")
    exact = {**given, "u": given["u"].detach().float().requires_grad_()}
    want = run(ligru_scan, exact, backend="numba")["output"]
    assert torch.equal(run(ligru_scan, given, backend="numba")["output"], want)
