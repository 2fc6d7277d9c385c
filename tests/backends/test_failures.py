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


class CompilerError(Exception):
    """As a library's own: NVRTC's, LLVM's or Triton's."""


FAILURES = [
    CannotRun("backend 'numba': H=6 fits no kernel"),
    CompilerError("nvrtc: error: invalid value for --gpu-architecture"),
    RuntimeError("CUDA_ERROR_INVALID_IMAGE: driver too old"),
    OSError(errno.ENOSPC, "No space left on device"),
    MemoryError("Unable to allocate"),
]
PLACES = ("unavailable", "scan_forward", "scan_backward")


@pytest.fixture
def stand_in(replace):
    """Puts a backend that fails where told in numba's place."""

    def put(place, error):
        called = []

        def function(name):
            def run(*arguments):
                called.append(name)
                if name == place:
                    raise error
                return getattr(reference, name)(*arguments)

            return run

        module = types.SimpleNamespace(
            __name__="backends.numba",
            **{name: function(name) for name in PLACES},
        )
        replace(numba=module)
        return called

    return put


def train(backend, batch=2, steps=5, layernorm=False, recompute=False):
    """Output and gradients of a step on drawn data."""
    generator = torch.Generator().manual_seed(1)
    shapes = (batch, steps, 12), (12, 6), (2 * batch, 6)
    w, u, h0 = (torch.randn(s, generator=generator) for s in shapes)
    for tensor in (w, u, h0):
        tensor.requires_grad_()
    output = ligru_scan(
        w, u, h0, lengths=torch.tensor([steps, 2, 4][:batch]), directions=2,
        layernorm=layernorm, backend=backend, recompute=recompute,
    )  # fmt: skip
    output.square().sum().backward()
    return output.detach(), w.grad, u.grad, h0.grad


def compare(got, want):
    for ours, theirs in zip(got, want, strict=True):
        twins.assert_close(ours, theirs)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
def test_the_next_one_goes_on(stand_in, caplog, place, error):
    want = train("reference")
    called = stand_in(place, error)
    for _ in range(3):
        compare(train("auto"), want)
    # Tried once, and said once.
    assert called.count(place) == 1
    (record,) = caplog.records
    message = record.getMessage()
    for words in ("numba", "torchscript", str(error)):
        assert words in message
    if not isinstance(error, CannotRun):
        assert "python -m speechbrain_ligru_fast" in message or (
            place == "unavailable"
        )


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
            train("auto")
        assert raised.value is error
        assert called.count(place) == times
    assert not caplog.records


def test_a_backend_that_is_named_raises(stand_in):
    stand_in("scan_forward", CompilerError("no such architecture"))
    with pytest.raises(CompilerError):
        train("numba")


def test_a_gpu_that_is_lost_is_not_asked_again(monkeypatch):
    """After an illegal address whatever follows fails: that is raised."""
    asked = []
    state = {"capturing": False}

    def synchronize(device):
        asked.append(device)
        raise RuntimeError("CUDA error: an illegal memory access")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(
        torch.cuda, "is_current_stream_capturing", lambda: state["capturing"]
    )
    device, error = torch.device("cuda", 1), RuntimeError("launch failed")
    assert not failures.mendable(error, device)
    assert asked == [device]
    state["capturing"] = True
    assert failures.mendable(error, device)
    state["capturing"] = False
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert failures.mendable(error, device)
    assert failures.mendable(error, torch.device("cpu"))


def test_a_size_is_refused_for_its_rows_only(stand_in, caplog):
    called = stand_in("scan_forward", CannotRun("too many rows"))
    for batch in (2, 2, 3, 3):
        train("auto", batch)
    assert called.count("scan_forward") == 2
    called = stand_in("scan_forward", CompilerError("at any size"))
    backends._refused.__init__()
    backends._choose.cache_clear()
    caplog.clear()
    for batch in (2, 3, 1):
        train("auto", batch)
    assert called.count("scan_forward") == 1
    train("auto", layernorm=True)
    assert called.count("scan_forward") == 2
    assert len(caplog.records) == 1


def test_where_all_fail_nothing_is_refused(stand_in, caplog):
    """Arguments that nobody takes are no backend's fault."""
    called = stand_in(None, None)
    for times in (1, 2):
        with pytest.raises((RuntimeError, IndexError)):
            backends.run(
                "scan_forward", "auto", "cpu", torch.float32, ScanSpec(), 5,
                torch.ones(2, 5, 8), torch.ones(3, 3),
                None, None, None, None, None, True,
            )  # fmt: skip
        assert called.count("scan_forward") == times
    assert not caplog.records


def test_the_traceback_is_there_for_who_looks(stand_in, caplog):
    stand_in("scan_forward", CompilerError("somewhere deep"))
    with caplog.at_level(logging.DEBUG, "speechbrain_ligru_fast"):
        train("auto")
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_any_backward_reads_what_a_forward_saved(
    monkeypatch, layernorm, recompute, backend
):
    """Where a backend fails between the two."""
    want = train("reference", layernorm=layernorm, recompute=recompute)
    genuine = backends.run
    for reader in twins.available():

        def run(function, name, *arguments, reader=reader):
            if function == "scan_backward":
                name = reader
            return genuine(function, name, *arguments)

        monkeypatch.setattr(backends, "run", run)
        compare(train(backend, layernorm=layernorm, recompute=recompute), want)


def test_a_recomputation_rounds_as_what_ran(stand_in):
    """Numba's may read states whole; the one that goes on doesn't."""
    stand_in("scan_forward", CompilerError("any"))
    module = backends.loading.load("numba")
    module.rounds_states = lambda device_type, dtype: False
    scan = ("cpu", torch.float32, ScanSpec(), 5)
    grad = torch.zeros(2, 5, 6)
    assert not backends.rounds_states("auto", *scan, grad)
    run = (torch.ones(2, 5, 12), torch.ones(12, 6), *[None] * 5, False)
    backends.run("scan_forward", "auto", *scan, *run)
    assert backends.rounds_states("auto", *scan, grad)
    assert not backends.rounds_states("numba", *scan, grad)


def test_what_the_last_launch_left_is_reported(monkeypatch, caplog):
    """At the program's end: no later launch would look at it."""
    at_exit = []

    def register(*arguments):
        at_exit.append(arguments)

    monkeypatch.setattr(failures.atexit, "register", register)

    def gave_up():
        raise EarlierFailure("a CTA waited too long; its output is NaN")

    for check in (gave_up, lambda: None):
        failures.watch(check, torch.device("cpu"))
    for function, *arguments in at_exit:
        function(*arguments)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "waited too long" in record.getMessage()


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


def test_a_library_that_fails_at_any_question_is_passed_over(replace, caplog):
    def passed_over(device_type):
        raise AttributeError("no such function in this version")

    module = types.SimpleNamespace(
        __name__="backends.numba",
        unavailable=lambda *_: None,
        passed_over=passed_over,
    )
    replace(numba=module)
    compare(train("auto"), train("reference"))
    (record,) = caplog.records
    assert "no such function in this version" in record.getMessage()


def test_each_gpu_is_asked_itself(replace, monkeypatch):
    """The current one may be of another kind."""
    current, asked = [0], []

    @contextlib.contextmanager
    def device(which):
        current.append(which.index)
        yield
        current.pop()

    def unavailable(*_):
        asked.append(current[-1])
        return "too old" if current[-1] == 0 else None

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_VERIFY", "0")
    module = types.SimpleNamespace(
        __name__="backends.cuda", unavailable=unavailable
    )
    replace(cuda=module, triton="absent", numba="absent")
    taken = []
    for index in (0, 1, 0):
        place = torch.device("cuda", index)
        sizes = place, torch.float32, 6, 8, False, True
        scan = "cuda", torch.float32, ScanSpec(), False, False
        taken.append(backends._choose("auto", *scan, (), sizes).__name__)
    assert [name.rpartition(".")[2] for name in taken] == [
        "torchscript", "cuda", "torchscript"
    ]  # fmt: skip
    assert asked == [0, 1]
