"""Products by the fastest library: how it is found, and when it is asked."""

import os
import threading

import pytest
import torch
import twins
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_ligru_fast import kept
from speechbrain_ligru_fast.products import gemm

LAYOUTS = {"10": "torch", "11": "onednn", "01": "onednn-transposed"}


@pytest.fixture
def measured(monkeypatch, put, tmp_path):
    """Every size repays; how often a stand-in for the measurement was made."""
    calls = []

    def measure():
        calls.append(1)
        return dict(LAYOUTS)

    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path))
    monkeypatch.delenv(gemm.SWITCH, raising=False)
    put(gemm, WORTH=0, measure=measure)
    gemm._routes.cache_clear()
    yield calls
    gemm._routes.cache_clear()


def operands(layout, rows=5, sums=7, columns=6):
    """Two matrices; a letter of the layout says how each lies in memory."""

    def make(n, m, kind):
        return {
            "1": torch.randn(n, m),
            "0": torch.randn(m, n).t(),
            "e": torch.randn(n, 1).expand(n, m),
            "s": torch.randn(n, 2 * m)[:, ::2],
        }[kind]

    return make(rows, sums, layout[0]), make(sums, columns, layout[1])


@pytest.mark.parametrize("route", gemm.ROUTES)
@pytest.mark.parametrize("layout", ["10", "11", "01", "00"])
def test_routes_are_products(route, layout):
    for sizes in ((5, 7, 6), (1, 7, 1), (64, 300, 33)):
        a, b = operands(layout, *sizes)
        got, want = gemm.ROUTES[route](a, b), a.double() @ b.double()
        assert (got.double() - want).abs().max() <= 4e-7 * sizes[1]
        assert got.is_contiguous() and got.shape == want.shape


@pytest.mark.parametrize("layout", "10 11 01 00 e1 1e s1 es".split())
def test_which_route_a_product_takes(layout, measured, put):
    """One that a library was timed at; what is expanded goes to torch."""
    taken = []

    def record(name):
        return lambda a, b: taken.append(name) or a @ b

    put(gemm, ROUTES={name: record(name) for name in gemm.ROUTES})
    a, b = operands(layout)
    twins.assert_close(gemm.product(a, b), a @ b)
    assert taken == [LAYOUTS.get(layout, "torch")]


@pytest.mark.parametrize(
    "seconds, fastest",
    [
        ({"onednn": [50]}, "onednn"),
        ({"onednn-transposed": [50]}, "onednn-transposed"),
        ({"onednn": [70], "onednn-transposed": [50]}, "onednn-transposed"),
        # Not worth another rounding.
        ({"onednn": [98]}, "torch"),
        ({"onednn": [200]}, "torch"),
        # In every second round only: something else ran.
        ({"torch": [100, 40], "onednn": [50]}, "torch"),
        # Nobody is judged by the first call.
        ({"onednn": [9000] + [50] * 6}, "onednn"),
    ],
    ids=str,
)
def test_who_is_the_fastest(seconds, fastest, put):
    now, rounds = [0], {name: 0 for name in gemm.ROUTES}

    def route(name):
        def run(a, b):
            given = seconds.get(name, [100])
            now[0] += given[rounds[name] % len(given)]
            rounds[name] += 1

        return run

    put(gemm, ROUTES={name: route(name) for name in rounds})
    assert gemm._fastest(None, None, lambda: now[0]) == fastest


def test_measuring_leaves_no_trace():
    """Of numbers of threads, here or in a new one, and of the generator."""
    torch.manual_seed(0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    found = gemm.measure()
    assert set(found) == set(gemm._LAYOUTS)
    assert set(found.values()) <= set(gemm.ROUTES)
    assert torch.equal(torch.get_rng_state(), before)
    seen = [torch.get_num_threads()]
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert seen == [threads] * 2


def test_one_measurement_serves_all_processes(measured, caplog):
    caplog.set_level("INFO")
    for _ in range(3):
        # As another process would.
        gemm._routes.cache_clear()
        assert gemm.routes() == {"00": "torch", **LAYOUTS}
    gemm.routes()
    assert len(measured) == 1
    assert "gradients of inputs by onednn," in caplog.text
    assert len(caplog.records) == 3
    # But for one that is damaged.
    (path,) = kept.folder().iterdir()
    for times, damage in enumerate((b"", b"x", b"{}"), 2):
        path.write_bytes(damage)
        gemm._routes.cache_clear()
        assert gemm.routes() == {"00": "torch", **LAYOUTS}
        assert len(measured) == times


def test_no_disk_no_memory_of_it(measured, monkeypatch, said):
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", "/proc/none")
    kept._said.clear()
    for times in (1, 2):
        gemm._routes.cache_clear()
        gemm.routes()
        assert len(measured) == times
    assert said()


def test_what_a_measurement_is_of(monkeypatch, put):
    """A torch, settings of libraries and, where it is told, a processor."""
    names = [gemm._fingerprint()]
    for name in ("MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.setenv(name, "AVX2")
        names.append(gemm._fingerprint())
    put(torch, __version__="2.99")
    names.append(gemm._fingerprint())

    def missing(*args, **kwargs):
        raise FileNotFoundError

    if os.path.exists("/proc/cpuinfo"):
        monkeypatch.setattr("builtins.open", missing)
        names.append(gemm._fingerprint())
    assert len(set(names)) == len(names)
    monkeypatch.setattr("builtins.open", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gemm._fingerprint()


def test_the_switch(measured, monkeypatch, put):
    for asked, found in (
        ("torch", {"torch"}),
        ("onednn", {"onednn"}),
        ("", {"torch", *LAYOUTS.values()}),
    ):
        monkeypatch.setenv(gemm.SWITCH, asked)
        assert set(gemm.routes().values()) == found
    monkeypatch.setenv(gemm.SWITCH, "mkl")
    with pytest.raises(ValueError, match="'mkl', allowed are auto, torch, one"):
        gemm.routes()
    # A torch without oneDNN.
    put(gemm, _has_onednn=lambda: False)
    gemm._routes.cache_clear()
    measured.clear()
    monkeypatch.setenv(gemm.SWITCH, "onednn")
    assert not gemm.differs() and not measured


def test_small_products_cost_nothing(put):
    put(gemm, routes=pytest.fail)
    gemm.product(*operands("11"))


class Subclass(torch.Tensor):
    """Somebody's own tensors, which may do anything."""


def test_who_else_is_served_by_torch():
    x = torch.ones(2, 2)
    assert gemm.ordinary(x, torch.nn.Parameter(x))
    for other in (
        x.double(), x.bfloat16(), x.to("meta"), x.to_sparse(),
        x.as_subclass(Subclass),
    ):  # fmt: skip
        assert not gemm.ordinary(x, other)
    with FlopCounterMode(display=False) as counter:
        assert not gemm.ordinary(x)
        gemm.product(torch.ones(512, 512), torch.ones(512, 512))
    assert counter.get_total_flops() == 2 * 512**3
    for mode in (torch.autocast("cpu", torch.bfloat16), torch.device("cpu")):
        with mode:
            assert not gemm.ordinary(x)
    torch.use_deterministic_algorithms(True)
    try:
        assert not gemm.ordinary(x)
    finally:
        torch.use_deterministic_algorithms(False)
