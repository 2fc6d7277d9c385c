"""``auto`` outlives a backend that fails, wherever it fails."""

import contextlib
import errno
import logging
import types

import pytest
import torch
import twins
from fresh import python

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends import failures, reference
from speechbrain_ligru_fast.backends.failures import CannotRun, EarlierFailure
from speechbrain_ligru_fast.backends.spec import ScanSpec

PLACES = ("unavailable", "scan_forward", "scan_backward")
CPU = ("cpu", torch.float32, ScanSpec(), 5)


class CompilerError(Exception):
    """As a library's own: NVRTC's, LLVM's or Triton's."""


@pytest.fixture
def stand_in(replace):
    """Puts a backend that fails where told in numba's place."""

    def stand_in(place, error):
        called = []

        def function(name):
            def run(*arguments):
                called.append(name)
                if name == place:
                    raise error
                return getattr(reference, name)(*arguments)

            return run

        functions = {name: function(name) for name in PLACES}
        replace(numba=module("numba", **functions))
        return called

    return stand_in


def module(name, **functions):
    return types.SimpleNamespace(__name__=f"backends.{name}", **functions)


def train(backend="auto", batch=2, steps=5, **options):
    """Output and gradients of a step on drawn data."""
    shapes = (batch, steps, 12), (12, 6), (2 * batch, 6)
    w, u, h0 = (twins.data(s, torch.float32, seed=1) for s in shapes)
    lengths = torch.tensor([steps, 2, 4][:batch])
    output = ligru_scan(
        w, u, h0, lengths=lengths, directions=2, backend=backend, **options
    )
    output.square().sum().backward()
    return output.detach(), w.grad, u.grad, h0.grad


def compare(got, want):
    for ours, theirs in zip(got, want, strict=True):
        twins.assert_close(ours, theirs)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "error",
    [
        CannotRun("backend 'numba': H=6 fits no kernel"),
        CompilerError("nvrtc: error: invalid value for --gpu-architecture"),
        RuntimeError("CUDA_ERROR_INVALID_IMAGE: driver too old"),
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError("Unable to allocate"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_next_one_goes_on(stand_in, caplog, said, place, error):
    """Tried once, and said once; the traceback is there for who looks."""
    want = train("reference")
    called = stand_in(place, error)
    for _ in range(3):
        compare(train(), want)
    assert called.count(place) == 1
    for words in ("numba", "torchscript", str(error)):
        assert words in said()
    if isinstance(error, CannotRun) or place == "unavailable":
        return
    assert "python -m speechbrain_ligru_fast" in said()
    backends._refused.__init__()
    with caplog.at_level(logging.DEBUG, "speechbrain_ligru_fast"):
        train()
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"),
        EarlierFailure("its results are NaN"),
        KeyboardInterrupt(),
        SystemExit(3),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("place", PLACES[1:])
def test_what_is_the_callers_passes(stand_in, caplog, place, error):
    called = stand_in(place, error)
    for times in (1, 2):
        with pytest.raises(type(error)) as raised:
            train()
        assert raised.value is error
        assert called.count(place) == times
    assert not caplog.records


def test_a_backend_that_is_named_raises(stand_in):
    stand_in("scan_forward", CompilerError("no such architecture"))
    with pytest.raises(CompilerError):
        train("numba")


def test_a_gpu_that_is_lost_is_not_asked_again(put):
    """After an illegal address whatever follows fails: that is raised."""
    asked = []

    def lost(device):
        asked.append(device)
        raise RuntimeError("CUDA error: an illegal memory access")

    device, error = torch.device("cuda", 1), RuntimeError("launch failed")
    for capturing, synchronize, mendable in (
        (False, lost, False),
        (True, lost, True),
        (False, lambda device: None, True),
    ):
        put(torch.cuda, synchronize=synchronize)
        put(torch.cuda, is_current_stream_capturing=lambda x=capturing: x)
        assert failures.mendable(error, device) == mendable
    assert asked == [device]
    assert failures.mendable(error, torch.device("cpu"))


def test_a_size_is_refused_for_its_rows_only(stand_in, caplog):
    called = stand_in("scan_forward", CannotRun("too many rows"))
    for batch in (2, 2, 3, 3):
        train(batch=batch)
    assert called.count("scan_forward") == 2
    called = stand_in("scan_forward", CompilerError("at any size"))
    backends._refused.__init__()
    backends._choose.cache_clear()
    caplog.clear()
    for batch in (2, 3, 1):
        train(batch=batch)
    assert called.count("scan_forward") == 1
    train(layernorm=True)
    assert called.count("scan_forward") == 2
    assert len(caplog.records) == 1


def test_where_all_fail_nothing_is_refused(stand_in, caplog):
    """Arguments that nobody takes are no backend's fault."""
    called = stand_in(None, None)
    wrong = torch.ones(2, 5, 8), torch.ones(3, 3), *[None] * 5, True
    for times in (1, 2):
        with pytest.raises((RuntimeError, IndexError)):
            backends.run("scan_forward", "auto", *CPU, *wrong)
        assert called.count("scan_forward") == times
    assert not caplog.records


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_any_backward_reads_what_a_forward_saved(
    put, layernorm, recompute, backend
):
    """Where a backend fails between the two."""
    options = dict(layernorm=layernorm, recompute=recompute)
    want, genuine = train("reference", **options), backends.run
    for reader in twins.available():

        def run(function, name, *arguments, reader=reader):
            if function == "scan_backward":
                name = reader
            return genuine(function, name, *arguments)

        put(backends, run=run)
        compare(train(backend, **options), want)


def test_a_recomputation_rounds_as_what_ran(stand_in):
    """Numba's may read states whole; the one that goes on doesn't."""
    stand_in("scan_forward", CompilerError("any"))
    numba = backends.loading.load("numba")
    numba.rounds_states = lambda device_type, dtype: False
    grad = torch.zeros(2, 5, 6)
    assert not backends.rounds_states("auto", *CPU, grad)
    run = (torch.ones(2, 5, 12), torch.ones(12, 6), *[None] * 5, False)
    backends.run("scan_forward", "auto", *CPU, *run)
    assert backends.rounds_states("auto", *CPU, grad)
    assert not backends.rounds_states("numba", *CPU, grad)


def test_what_the_last_launch_left_is_reported(the_end, caplog, said):
    """At the program's end: no later launch would look at it."""

    def gave_up():
        raise EarlierFailure("a CTA waited too long; its output is NaN")

    for check in (gave_up, lambda: None):
        failures.watch(check, torch.device("cpu"))
    the_end()
    assert "waited too long" in said()
    assert caplog.records[0].levelno == logging.ERROR


def test_the_last_of_a_program():
    """Triton's own flag, set as by a kernel: only the end looks at it."""
    pytest.importorskip("triton")
    done = python(
        "import torch\n"
        "from speechbrain_ligru_fast.backends import triton\n"
        "failures = triton._failures(torch.device('cpu'))\n"
        "failures.flag[0] = failures.launch('a scan of 7 steps')\n"
        "print('the end')"
    )
    assert done.stdout == "the end\n"
    assert "a scan of 7 steps was given up" in done.stderr


def test_a_library_that_fails_at_any_question_is_passed_over(replace, said):
    def passed_over(device_type):
        raise AttributeError("no such function in this version")

    questions = dict(unavailable=lambda *_: None, passed_over=passed_over)
    replace(numba=module("numba", **questions))
    compare(train(), train("reference"))
    assert "no such function in this version" in said()


def test_each_gpu_is_asked_itself(replace, put, monkeypatch):
    """The current one may be of another kind."""
    current, asked, taken = [0], [], []

    @contextlib.contextmanager
    def device(which):
        current.append(which.index)
        yield
        current.pop()

    def unavailable(*_):
        asked.append(current[-1])
        return "too old" if current[-1] == 0 else None

    put(torch.cuda, device=device)
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_VERIFY", "0")
    cuda = module("cuda", unavailable=unavailable)
    replace(cuda=cuda, triton="absent", numba="absent")
    for index in (0, 1, 0):
        sizes = torch.device("cuda", index), torch.float32, 6, 8, False, True
        scan = "cuda", torch.float32, ScanSpec(), False, False
        name = backends._choose("auto", *scan, (), sizes).__name__
        taken.append(name.rpartition(".")[2])
    assert taken == ["torchscript", "cuda", "torchscript"]
    assert asked == [0, 1]
