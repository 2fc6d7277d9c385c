"""``auto`` takes what has proven itself, and a proof costs nobody a training.

A CPU and stand_ins.py stand for a GPU and its backends.
"""

import json
import logging
import os
import pathlib
import select
import signal
import time

import pytest
import stand_ins
import torch
import twins
from full_disk import on_full_disk

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends import (
    auto,
    child,
    failures,
    kept,
    loading,
    spec,
    verdict_files,
    verdicts,
)
from speechbrain_ligru_fast.backends.kinds import Kind

CPU = torch.device("cpu")
KIND = Kind(6, 8)
PROVEN = ("right", "torchscript")


@pytest.fixture(autouse=True)
def stand_in(tmp_path, monkeypatch):
    """A CPU that needs proofs; ``put`` says which backends it has."""
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(stand_ins.HANGS, str(tmp_path / "hangs"))
    monkeypatch.delenv(verdicts.SWITCH, raising=False)
    monkeypatch.setattr(kept, "_said", [])
    monkeypatch.setattr(verdicts, "_known", {})
    monkeypatch.setattr(auto, "PROVEN_ON", ("cpu",))
    monkeypatch.setattr(child, "PROGRAM", stand_ins.PROGRAM)
    monkeypatch.syspath_prepend(pathlib.Path(stand_ins.__file__).parent)
    genuine = loading.load
    monkeypatch.setattr(
        loading, "load", lambda n: stand_ins.MODULES.get(n) or genuine(n)
    )

    def put(*names):
        found = dict.fromkeys((*names, *verdicts.TRUSTED), ())
        monkeypatch.setattr(auto, "TRIED_ON", found)
        monkeypatch.setattr(spec, "BACKENDS", ("auto", *found))
        return tuple(found)

    return put


@pytest.fixture
def proofs(monkeypatch):
    """Proofs that take no process: each is noted and finds what it is told."""
    made = []

    def prove(found, kind, device, names):
        made.append((kind, names))
        times = {"forward_us": 1.0, "backward_us": 2.0, "verdict": "right"}
        found |= {name: dict(times) for name in names}

    monkeypatch.setattr(verdicts, "prove", prove)
    return made


def train(backend="auto", batch=2, steps=5, **options):
    """Output and gradients of a step on drawn data."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(batch, steps, 12, generator=generator, requires_grad=True)
    u = torch.randn(12, 6, generator=generator, requires_grad=True)
    output = ligru_scan(w, u, backend=backend, **options)
    output.square().sum().backward()
    return output.detach(), w.grad, u.grad


def taken(training=True):
    """What ``auto`` has: the first of the candidates that can be taken."""
    found = list(auto.by_speed("cpu", torch.float32, spec.ScanSpec(), False))
    sizes = CPU, torch.float32, 6, 8, False, training
    more = torch.float32, spec.ScanSpec(), False, *sizes
    found = verdicts.consult("auto", found, *more)
    return next(name for name, reason in found if reason is None)


def once_it_hangs(monkeypatch, path):
    """A silence is taken for a hang when the stand-in says that it is one."""

    def wait(read, write, error, left):
        while True:
            found = select.select(read, write, error, 0.05)
            if found[0] or pathlib.Path(path).exists():
                break
        if not found[0]:
            os.unlink(path)
        return found

    fake = type("select", (), {"select": staticmethod(wait)})
    monkeypatch.setattr(child, "select", fake)


def test_a_training_survives_all_of_them(
    stand_in, tmp_path, monkeypatch, caplog
):
    """The real thing: processes that hang, crash, lie and are slow."""
    once_it_hangs(monkeypatch, tmp_path / "hangs")
    bad = ("hang", "crash", "raises", "off", "gradient", "nan")
    stand_in(*bad, "too_large", "slow", "right")
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        got = train()
    for ours, theirs in zip(got, train("reference")):
        twins.assert_close(ours, theirs)
    (path,) = kept.folder().glob("*.verdict")
    found = json.loads(kept.read(path))["verdicts"]
    assert {name: v["verdict"] for name, v in found.items()} == {
        "hang": "hung", "crash": "crashed", "raises": "failed",
        "off": "wrong", "gradient": "wrong", "nan": "wrong",
        "too_large": "cannot", "slow": "right",
        "right": "right", "torchscript": "right", "reference": "right",
    }  # fmt: skip
    assert "grad of gates" in found["gradient"]["why"]
    assert "output" not in found["gradient"]["why"]
    assert found["slow"]["forward_us"] > found["right"]["forward_us"]
    texts = [record.getMessage() for record in caplog.records]
    for name in bad:
        (said,) = (t for t in texts if f"backend {name!r}" in t)
        assert "is not used" in said and "as an issue" in said
    for name in ("too_large", "slow", "right"):
        assert not any(f"backend {name!r}" in text for text in texts)
    (line,) = (text for text in texts if text.startswith("proven on"))
    for name in found:
        assert f" {name} " in line
    # Known from now on: also to the next process.
    monkeypatch.setattr(verdicts, "prove", None)
    monkeypatch.setattr(verdicts, "_known", {})
    backends._choose.cache_clear()
    train()


BEGUN = """printf '\\nligru-child: {"begin": "right"}\\n'; """


@pytest.mark.parametrize(
    "program, words",
    [
        (("sh", "-c", BEGUN + "kill -9 $$"), "killed by signal 9"),
        (("sh", "-c", "echo no torch; exit 1"), "status 1: no torch"),
        (("/nowhere/python",), "no process could be started"),
    ],
)
def test_what_is_no_backends_fault_is_no_verdict(
    stand_in, monkeypatch, caplog, program, words
):
    """Memory that is short, say: the training goes on in plain torch."""
    stand_in("right")
    monkeypatch.setattr(child, "PROGRAM", program)
    for _ in range(2):
        train()
    (record,) = caplog.records
    assert words in record.getMessage()
    assert verdicts.SWITCH in record.getMessage()
    assert not list(kept.folder().glob("*.verdict"))
    assert taken() == "torchscript"


@pytest.mark.parametrize("end", ["exit 3", "kill -SEGV $$"])
def test_an_end_of_its_own_is_a_crash(stand_in, monkeypatch, end):
    names = stand_in("right")
    done = """printf '\\nligru-child: {"done": true}\\n'"""
    script = f"""case "$3" in *'"right"'*) {BEGUN}{end};; esac; {done}"""
    monkeypatch.setattr(child, "PROGRAM", ("sh", "-c", script, "sh"))
    found = verdicts.find(KIND, CPU, names)
    assert found["right"]["verdict"] == "crashed"


def test_an_error_of_ours_is_no_verdict_either(stand_in, monkeypatch, caplog):
    stand_in("right")
    monkeypatch.setattr(verdicts, "prove", lambda *_: {}["no such name"])
    assert taken() == "torchscript"
    (record,) = caplog.records
    assert "no such name" in record.getMessage()


def test_a_lease_that_ends_blames_nobody(stand_in, monkeypatch):
    names = stand_in("right")
    monkeypatch.setattr(child, "PROGRAM", ("sh", "-c", BEGUN + "sleep 99"))
    with pytest.raises(child.Ended, match="time is over"):
        verdicts.prove({}, KIND, CPU, names, until=time.monotonic() + 0.5)


def test_a_proof_that_ends_keeps_what_it_found(stand_in, monkeypatch):
    """The medians of the turns that came."""
    names, script = stand_in("right"), BEGUN
    said = [{"name": "right", "verdict": "right", "seconds": 1.0}]
    for number, ms in enumerate((6.0, 100.0, 5.0)):
        said.append({"name": "right", "turn": ["forward", number, ms]})
    for message in said:
        script += f"printf '\\n{child._MARK}%s\\n' '{json.dumps(message)}'; "
    monkeypatch.setattr(child, "PROGRAM", ("sh", "-c", script + "sleep 99"))
    found = {}
    with pytest.raises(child.Ended, match="time is over"):
        end = time.monotonic() + 0.5
        verdicts.prove(found, KIND, CPU, names, until=end)
    assert found == {
        "right": {"verdict": "right", "seconds": 1.0, "forward_us": 60.0}
    }


def test_the_measured_order(stand_in, proofs, monkeypatch):
    """By forward where no backward follows, else by both."""
    stand_in("right", "slow")
    times = {"right": (1, 9), "slow": (2, 3), "torchscript": (8, 8)}

    def prove(found, *_):
        found |= {
            n: {"verdict": "right", "forward_us": f, "backward_us": b}
            for n, (f, b) in times.items()
        }

    monkeypatch.setattr(verdicts, "prove", prove)
    assert taken(training=False) == "right"
    assert taken(training=True) == "slow"


@pytest.mark.parametrize("training", [True, False])
def test_the_line_of_a_proof(stand_in, monkeypatch, caplog, training):
    """What was tried, what it took, what is taken, and by how much."""
    names = stand_in("right", "slow", "off", "too_large")

    def prove(found, *_):
        for name, f, b in (("slow", 2, 2), ("right", 1, 4)):
            found[name] = dict(verdict="right", forward_us=f, backward_us=b)
        found["off"] = {"verdict": "wrong", "why": "output with h0: error 1"}
        found["too_large"] = {"verdict": "cannot", "why": "H"}
        found["reference"] = {"verdict": "right"}

    monkeypatch.setattr(verdicts, "prove", prove)
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        verdicts.find(KIND, CPU, names, training)
    line, warning = (record.getMessage() for record in caplog.records)
    both = ["slow 2.00 + 2.00", "right 1.00 + 4.00"]
    assert line == (
        "proven on cpu in 0 s: LiGRU relu, 1 direction, H=6, 8 rows, "
        f"float32/float32: {', '.join(both if training else both[::-1])}, "
        "off wrong, too_large cannot, reference right (us a step, forward + "
        "backward); taking "
        + (
            "slow for training, 1.25 times as fast as right"
            if training
            else "right for inference, 2.00 times as fast as slow"
        )
    )
    assert taken(training) == ("slow" if training else "right")
    for words in ("'off' computes wrong results", str(KIND), "error 1",
                  torch.__version__, "as an issue"):  # fmt: skip
        assert words in warning


def test_one_proof_for_each_kind(stand_in, proofs, monkeypatch):
    """Batches of a size class share it; another driver needs its own."""
    stand_in("right")
    for batch in (1, 5, 8):
        train(batch=batch)
    assert len(proofs) == 1
    assert proofs[0][0] == KIND and proofs[0][1][0] == "right"
    train(batch=9)
    train(layernorm=True)
    train(lengths=torch.tensor([1, 1]), steps=1)
    assert len(proofs) == 4
    machine = verdict_files.machine(CPU)
    for changed in ("driver", "torch", "triton", "source"):
        monkeypatch.setattr(
            verdict_files,
            "machine",
            lambda _, c=changed: machine | {c: "other"},
        )
        taken()
    assert len(proofs) == 8
    taken()
    assert len(proofs) == 8


def test_what_is_not_ours_is_proven_again(stand_in, proofs, monkeypatch):
    stand_in("right")
    taken()
    (path,) = kept.folder().glob("*.verdict")
    whole = path.read_bytes()
    for content in (whole[:-9], b"", whole + b" ", b'{"right": "right"}'):
        path.write_bytes(content)
        monkeypatch.setattr(verdicts, "_known", {})
        before = len(proofs)
        assert taken() == "right" and len(proofs) == before + 1
        assert path.read_bytes() == whole


def test_switched_off(stand_in, proofs, monkeypatch):
    stand_in("off")
    monkeypatch.setenv(verdicts.SWITCH, "0")
    assert taken() == "off" and not proofs


def test_plain_torch_needs_no_proof(stand_in, proofs):
    stand_in()
    assert taken() == "torchscript" and not proofs


def test_a_named_backend_is_said_to_be_unproven_once(stand_in, proofs, caplog):
    stand_in("right", "slow")
    for batch in (2, 9):
        train("right", batch=batch)
    train("torchscript")
    (record,) = caplog.records
    assert "'right' is unproven" in record.getMessage() and not proofs
    caplog.clear()
    failures._said.clear()
    backends._choose.cache_clear()
    train()
    train("right")
    assert len(proofs) == 1 and not caplog.records


def test_a_named_backend_is_said_to_be_wrong(stand_in, proofs, caplog):
    names = stand_in("off")
    verdict_files.write({"off": {"verdict": "wrong"}}, KIND, CPU, names)
    train("off")
    (record,) = caplog.records
    assert "'off' is wrong on cpu" in record.getMessage() and not proofs


def in_process(function):
    """Another process's id, in which a function runs."""
    process = os.fork()
    if process == 0:
        try:
            function()
        finally:
            os._exit(0)
    return process


def test_two_processes_prove_once(stand_in, proofs, tmp_path, monkeypatch):
    names = stand_in("right")
    prove, log = verdicts.prove, tmp_path / "log"

    def slowly(*arguments):
        with log.open("a") as file:
            file.write("proof\n")
        time.sleep(0.3)
        return prove(*arguments)

    monkeypatch.setattr(verdicts, "prove", slowly)
    both = [
        in_process(lambda: verdicts.find(KIND, CPU, names)) for _ in range(2)
    ]
    for process in both:
        os.waitpid(process, 0)
    assert log.read_text() == "proof\n"
    assert verdicts.find(KIND, CPU, names)["right"]["verdict"] == "right"
    assert log.read_text() == "proof\n"


def test_a_killed_verifier_blocks_nobody(stand_in, proofs, tmp_path):
    names = stand_in("right")
    begun = tmp_path / "begun"

    def prove():
        with verdict_files.alone():
            begun.touch()
            time.sleep(10**6)

    process = in_process(prove)
    while not begun.exists():
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    verdicts.find(KIND, CPU, names)
    assert len(proofs) == 1


def test_ranks_that_meet_new_kinds_take_turns(
    stand_in, proofs, tmp_path, monkeypatch
):
    """One GPU's proofs are not timed while another's run."""
    names = stand_in("right")
    prove, log = verdicts.prove, tmp_path / "log"

    def slowly(*arguments):
        for word in ("begin", "end"):
            with log.open("a") as file:
                file.write(f"{word} ")
            time.sleep(0.2)
        return prove(*arguments)

    monkeypatch.setattr(verdicts, "prove", slowly)
    ranks = [
        in_process(lambda r=r: verdicts.find(Kind(6, r), CPU, names))
        for r in (8, 16, 24)
    ]
    for process in ranks:
        os.waitpid(process, 0)
    assert log.read_text() == 3 * "begin end "
    assert len(list(kept.folder().glob("*.verdict"))) == 3


def test_who_waits_in_vain_proves_by_itself(
    stand_in, proofs, tmp_path, monkeypatch
):
    """The other process is stopped, say."""
    names = stand_in("right")
    monkeypatch.setattr(verdict_files, "PATIENCE", 0.2)
    begun = tmp_path / "begun"

    def hold():
        with verdict_files.alone():
            begun.touch()
            time.sleep(10**6)

    process = in_process(hold)
    try:
        while not begun.exists():
            time.sleep(0.01)
        assert verdicts.find(KIND, CPU, names)["right"]["verdict"] == "right"
        assert len(proofs) == 1
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk(stand_in, proofs, caplog, room):
    """What can't be kept is known as long as the process lives."""
    stand_in("right")

    def full():
        for _ in range(2):
            assert taken() == "right"
        assert len(proofs) == 1 and len(caplog.records) == 1
        assert "No space" in caplog.text or "too large" in caplog.text

    on_full_disk(full, room)
    assert not list(kept.folder().glob("*.verdict"))


def test_a_cache_that_can_not_be_written(
    stand_in, proofs, tmp_path, monkeypatch, caplog
):
    stand_in("right")
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert taken() == "right"
    assert len(proofs) == 1 and len(caplog.records) == 1
    # A folder that was writable once: neither a lock nor a verdict.
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verdicts, "_known", {})
    (kept.folder() / "proving").mkdir()
    real = os.open

    def refuse(path, flags, *more, **options):
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(13, "Read-only file system")
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert taken() == "right" and len(proofs) == 2
