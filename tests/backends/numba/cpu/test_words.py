"""Products of bfloat16 on a CPU's matrix unit, or by its vectors."""

import itertools

import numpy
import pytest
import scan_cases
import torch
import twins
from conformance import check_equals
from fresh import python
from hypothesis import given as drawn_from
from scan_cases import drawn, run

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends import rounds_states
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec
from speechbrain_ligru_fast.products import matrix_unit

numba = pytest.importorskip("numba")
backend = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu")

from speechbrain_ligru_fast.backends.numba.cpu import (  # noqa: E402
    amx,
    operands,
    shares,
    tiles,
)

pytestmark = pytest.mark.usefixtures("poisoned_memory")
# Kinds of words -> who says that this CPU, and who that Numba, has them.
KINDS = {
    operands.TILE: ((matrix_unit, "available"), (amx, "compiles")),
    operands.WORD: ((matrix_unit, "dots"), (tiles, "compiles_dots")),
}
HERE = {
    kind: all(getattr(*question)() for question in questions)
    for kind, questions in KINDS.items()
}
EPS = torch.finfo(torch.bfloat16).eps


@pytest.fixture(params=KINDS, ids=["amx", "dots"], scope="module")
def words(request):
    """Each kind of words that this CPU has, in turn."""
    if not HERE[request.param]:
        pytest.skip("this CPU, or Numba's target, has no such unit")
    with pytest.MonkeyPatch.context() as patch:
        for kind, ((place, name), _) in KINDS.items():
            answer = kind == request.param
            patch.setattr(place, name, lambda answer=answer: answer)
        assert backend.words_of(torch.bfloat16) == request.param
        yield request.param


def half(hidden=3, **options):
    """Arguments of a scan in float32 with weights in bfloat16."""
    return drawn(hidden, torch.bfloat16, **options)


def check(given):
    """The states are rounded for the product, in the backward gradients."""
    # A state between two roundings may take either of them.
    check_equals("numba", given, EPS / 4, 4 * EPS)


@pytest.mark.parametrize("options", scan_cases.OPTIONS, ids=str)
def test_equals_the_reference(words, options):
    for nonlinearity in NONLINEARITIES:
        check(half(nonlinearity=nonlinearity, **options))


@scan_cases.SIXTY
@drawn_from(scan_cases.scans())
def test_any_size(words, options):
    # A gradient jumps where relu's candidate changes its sign.
    smooth = {"relu": "tanh", "leaky_relu": "sin"}
    chosen = options["nonlinearity"]
    options["nonlinearity"] = smooth.get(chosen, chosen)
    check(half(**options))


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("rows, hidden", [(17, 33), (40, 200), (9, 512)])
def test_several_tiles_and_threads(words, rows, hidden, layernorm, monkeypatch):
    monkeypatch.setitem(shares.MEETING, words, 1)
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


def test_a_large_mean_of_the_products(words):
    """LayerNorm takes it away, a thousand times the deviation or more."""
    given = half(hidden=512, steps=6, layernorm=True, nonlinearity="tanh")
    given["h0"] = given["h0"].detach().abs()
    given["u"] = (given["u"].detach().float() + 4).bfloat16()
    wide = {
        k: v.double() if torch.is_tensor(v) else v for k, v in given.items()
    }
    want = ligru_scan(**wide, backend="reference")
    got = ligru_scan(**given, backend="numba")
    assert twins.error(got, want) <= EPS


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_an_epsilon_of_zero(dtype):
    """A first state of 0 has products without a deviation: NaN."""
    given = half(hidden=40, layernorm=True, eps=0.0, h0=False)
    given["u"] = given["u"].to(dtype)
    got, want = (ligru_scan(**given, backend=b) for b in ("numba", "reference"))
    assert want.isnan().any()
    assert torch.equal(got.isnan(), want.isnan())


@pytest.mark.skipif(not any(HERE.values()), reason="no such unit")
def test_numba_compiles_for_a_lesser_cpu():
    """LLVM would abort the process, which no fallback catches."""
    python(
        "import torch; from speechbrain_ligru_fast import ligru_scan; "
        "ligru_scan(torch.randn(2, 5, 80), torch.randn(80, 40).bfloat16(), "
        "backend='numba')",
        NUMBA_CPU_NAME="generic",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row(words, value):
    given = half(batch=3, steps=5, hidden=40)
    given["w"].data[1, 2, 7] = value
    got, want = (ligru_scan(**given, backend=b) for b in ("numba", "reference"))
    assert not got[1].isfinite().all()
    torch.testing.assert_close(got[[0, 2]], want[[0, 2]], rtol=EPS, atol=EPS)
    assert torch.equal(got[1, :2].isfinite(), want[1, :2].isfinite())


@numba.njit
def _begin(element, config, kept):
    amx.begin(element, config, kept)


@numba.njit
def _end(element, kept):
    amx.end(element, kept)


def test_a_scan_leaves_the_set_up_of_tiles(words):
    if words != operands.TILE:
        pytest.skip("vectors need no set-up")
    few = amx.CONFIG.copy()
    few[48:56] = 3
    first, second = numpy.zeros_like(few), numpy.zeros_like(few)
    word = operands.TILE(0)
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
@pytest.mark.parametrize("kind", KINDS, ids=["amx", "dots"])
def test_states_are_rounded_for_them_alone(kind, there, compiles, put):
    for each, questions in KINDS.items():
        for (place, name), yes in zip(questions, (there, compiles)):
            answer = yes and each == kind
            put(place, **{name: lambda answer=answer: answer})
    expected = kind if there and compiles else None
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        want = expected if dtype == torch.bfloat16 else None
        assert backend.words_of(dtype) == want
        rounded = rounds_states("numba", "cpu", dtype, ScanSpec(), 9)
        assert rounded == (want is not None)
    assert rounds_states("reference", "cpu", torch.bfloat16, ScanSpec(), 9)


def test_a_matrix_unit_comes_first(put):
    for place, name in itertools.chain(*KINDS.values()):
        put(place, **{name: lambda: True})
    assert backend.words_of(torch.bfloat16) == operands.TILE


def test_without_them_the_states_are_multiplied_whole(put):
    put(backend, words_of=lambda dtype: None)
    given = half(hidden=40, steps=9, nonlinearity="tanh")
    exact = {**given, "u": given["u"].float()}
    got, want = (ligru_scan(**g, backend="numba") for g in (given, exact))
    assert torch.equal(got, want)
