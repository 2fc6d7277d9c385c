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
from fresh import forked
from full_disk import on_full_disk

from speechbrain_ligru_fast import backends, kept, ligru_scan
from speechbrain_ligru_fast.backends import (
    auto,
    child,
    failures,
    spec,
    verdict_files,
    verdicts,
)
from speechbrain_ligru_fast.backends.kinds import Kind

CPU = torch.device("cpu")
KIND = Kind(6, 8)
BEGUN = stand_ins.says(begin="right")


@pytest.fixture(autouse=True)
def stand_in(tmp_path, monkeypatch, put, replace):
    """A CPU that needs proofs, and says which backends it has."""
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(stand_ins.HANGS, str(tmp_path / "hangs"))
    monkeypatch.delenv(verdicts.SWITCH, raising=False)
    monkeypatch.syspath_prepend(pathlib.Path(stand_ins.__file__).parent)
    put(kept, _said=[])
    put(verdicts, _known={})
    put(auto, PROVEN_ON=("cpu",))
    put(child, PROGRAM=stand_ins.PROGRAM)
    replace(**stand_ins.MODULES)

    def stand_in(*names):
        found = dict.fromkeys((*names, *verdicts.TRUSTED), ())
        put(auto, TRIED_ON=found)
        put(spec, BACKENDS=("auto", *found))
        return tuple(found)

    return stand_in


@pytest.fixture
def proofs(put):
    """Proofs that take no process: each is noted and finds all right."""
    made = []

    def prove(found, kind, device, names):
        made.append((kind, names))
        times = {"forward_us": 1.0, "backward_us": 2.0, "verdict": "right"}
        found |= {name: dict(times) for name in names}

    put(verdicts, prove=prove)
    return made


def files():
    return list(kept.folder().glob("*.verdict"))


def train(backend="auto", batch=2, steps=5, **options):
    """Output and gradients of a step on drawn data."""
    w = twins.data((batch, steps, 12), torch.float32, seed=1)
    u = twins.data((12, 6), torch.float32, seed=2)
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


def forget(caplog):
    """What was chosen and said so far."""
    caplog.clear()
    failures._said.clear()
    backends._choose.cache_clear()


class Patient:
    """Stands for select: a silence is a hang once the stand-in has one."""

    def __init__(self, path):
        self.path = path

    def select(self, read, write, error, left):
        found = [[]]
        while not found[0] and not self.path.exists():
            found = select.select(read, write, error, 0.05)
        if not found[0]:
            self.path.unlink()
        return found


def test_a_training_survives_all_of_them(stand_in, tmp_path, put, caplog):
    """The real thing: processes that hang, crash, lie and are slow."""
    put(child, select=Patient(tmp_path / "hangs"))
    bad = ("hang", "crash", "raises", "off", "gradient", "nan")
    stand_in(*bad, "too_large", "slow", "right")
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        got = train()
    for ours, theirs in zip(got, train("reference")):
        twins.assert_close(ours, theirs)
    (path,) = files()
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
    put(verdicts, prove=None, _known={})
    backends._choose.cache_clear()
    train()


@pytest.mark.parametrize(
    "place, fault, words",
    [
        # Memory that is short, say.
        (child, {"PROGRAM": ("sh", "-c", BEGUN + "kill -9 $$")}, "signal 9"),
        (child, {"PROGRAM": ("sh", "-c", "echo no torch; exit 1")},
         "status 1: no torch"),
        (child, {"PROGRAM": ("/nowhere/python",)}, "no process could be"),
        # An error of ours.
        (verdicts, {"prove": lambda *_: {}["no such name"]}, "no such name"),
    ],
    ids=["killed", "no torch", "no python", "ours"],
)  # fmt: skip
def test_what_is_no_backends_fault_is_no_verdict(
    stand_in, put, said, place, fault, words
):
    """The training goes on in plain torch."""
    stand_in("right")
    put(place, **fault)
    for _ in range(2):
        train()
    assert words in said() and verdicts.SWITCH in said()
    assert not files()
    assert taken() == "torchscript"


@pytest.mark.parametrize("end", ["exit 3", "kill -SEGV $$"])
def test_an_end_of_its_own_is_a_crash(stand_in, put, end):
    names, done = stand_in("right"), stand_ins.says(done=True)
    script = f"""case "$3" in *'"right"'*) {BEGUN}{end};; esac; {done}"""
    put(child, PROGRAM=("sh", "-c", script, "sh"))
    found = verdicts.find(KIND, CPU, names)
    assert found["right"]["verdict"] == "crashed"


def test_a_proof_that_ends_keeps_what_it_found(stand_in, put):
    """The medians of the turns that came; nobody is blamed."""
    names, verdict = stand_in("right"), {"verdict": "right", "seconds": 1.0}
    script = BEGUN + stand_ins.says(name="right", **verdict)
    for number, ms in enumerate((6.0, 100.0, 5.0)):
        script += stand_ins.says(name="right", turn=["forward", number, ms])
    put(child, PROGRAM=("sh", "-c", script + "sleep 99"))
    found = {}
    with pytest.raises(child.Ended, match="time is over"):
        end = time.monotonic() + 0.5
        verdicts.prove(found, KIND, CPU, names, until=end)
    assert found == {"right": {**verdict, "forward_us": 60.0}}


@pytest.mark.parametrize(
    "training, order, end",
    [
        (True, ["slow 2.00 + 2.00", "right 1.00 + 4.00"],
         "slow for training, 1.25 times as fast as right"),
        (False, ["right 1.00 + 4.00", "slow 2.00 + 2.00"],
         "right for inference, 2.00 times as fast as slow"),
    ],
)  # fmt: skip
def test_the_order_and_line_of_a_proof(
    stand_in, put, caplog, training, order, end
):
    """What was tried, what it took, what is taken, and by how much.

    By forward where no backward follows, else by both.
    """
    names = stand_in("right", "slow", "off", "too_large")

    def prove(found, *_):
        for name, f, b in (("slow", 2, 2), ("right", 1, 4)):
            found[name] = dict(verdict="right", forward_us=f, backward_us=b)
        found["off"] = {"verdict": "wrong", "why": "output with h0: error 1"}
        found["too_large"] = {"verdict": "cannot", "why": "H"}
        found["reference"] = {"verdict": "right"}

    put(verdicts, prove=prove)
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        verdicts.find(KIND, CPU, names, training)
    line, warning = (record.getMessage() for record in caplog.records)
    assert line == (
        "proven on cpu in 0 s: LiGRU relu, 1 direction, H=6, 8 rows, "
        f"float32/float32: {', '.join(order)}, "
        "off wrong, too_large cannot, reference right (us a step, forward + "
        f"backward); taking {end}"
    )
    assert taken(training) == end.split()[0]
    for words in ("'off' computes wrong results", str(KIND), "error 1",
                  torch.__version__, "as an issue"):  # fmt: skip
        assert words in warning


def test_one_proof_for_each_kind(stand_in, proofs, put):
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
        other = machine | {changed: "other"}
        put(verdict_files, machine=lambda _, other=other: other)
        taken()
    assert len(proofs) == 8
    taken()
    assert len(proofs) == 8


def test_what_is_not_ours_is_proven_again(stand_in, proofs, put):
    stand_in("right")
    taken()
    (path,) = files()
    whole = path.read_bytes()
    for content in (whole[:-9], b"", whole + b" ", b'{"right": "right"}'):
        path.write_bytes(content)
        put(verdicts, _known={})
        before = len(proofs)
        assert taken() == "right" and len(proofs) == before + 1
        assert path.read_bytes() == whole


def test_who_needs_no_proof(stand_in, proofs, monkeypatch):
    """Plain torch, and who has switched them off."""
    stand_in()
    assert taken() == "torchscript"
    stand_in("off")
    monkeypatch.setenv(verdicts.SWITCH, "0")
    assert taken() == "off" and not proofs


def test_a_named_backend_is_said_to_be_unproven_once(
    stand_in, proofs, said, caplog
):
    stand_in("right", "slow")
    for batch in (2, 9):
        train("right", batch=batch)
    train("torchscript")
    assert "'right' is unproven" in said() and not proofs
    forget(caplog)
    train()
    train("right")
    assert len(proofs) == 1 and not caplog.records
    # Or to be wrong.
    forget(caplog)
    names = stand_in("off")
    verdict_files.write({"off": {"verdict": "wrong"}}, KIND, CPU, names)
    train("off")
    assert "'off' is wrong on cpu" in said() and len(proofs) == 1


@pytest.mark.parametrize("rows", [(8, 8), (8, 16, 24)])
def test_processes_prove_once_and_in_turns(
    stand_in, proofs, tmp_path, put, rows
):
    """One GPU's proofs are not timed while another's run."""
    names, prove, log = stand_in("right"), verdicts.prove, tmp_path / "log"

    def slowly(*arguments):
        for word in ("begin", "end"):
            with log.open("a") as file:
                file.write(f"{word} ")
            time.sleep(0.2)
        return prove(*arguments)

    put(verdicts, prove=slowly)

    def find(r):
        return verdicts.find(Kind(6, r), CPU, names)["right"]["verdict"]

    for process in [forked(lambda r=r: find(r)) for r in rows]:
        assert os.waitpid(process, 0)[1] == 0
    assert {find(r) for r in rows} == {"right"}
    assert log.read_text() == len(set(rows)) * "begin end "
    assert len(files()) == len(set(rows)) and not proofs


@pytest.mark.parametrize("killed", [True, False])
def test_a_verifier_that_never_ends_blocks_nobody(
    stand_in, proofs, tmp_path, put, killed
):
    """Killed it has no lock; who waits for a stopped one does so in vain."""
    names, begun = stand_in("right"), tmp_path / "begun"
    put(verdict_files, PATIENCE=600 if killed else 0.2)

    def hold():
        with verdict_files.alone():
            begun.touch()
            time.sleep(10**6)

    process = forked(hold)
    try:
        while not begun.exists():
            time.sleep(0.01)
        if killed:
            os.kill(process, signal.SIGKILL)
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
    assert not files()


def test_a_cache_that_can_not_be_written(
    stand_in, proofs, tmp_path, monkeypatch, put, said
):
    stand_in("right")
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert taken() == "right"
    assert len(proofs) == 1 and said()
    # A folder that was writable once: neither a lock nor a verdict.
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cache"))
    put(verdicts, _known={})
    (kept.folder() / "proving").mkdir()
    real = os.open

    def refuse(path, flags, *more, **options):
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(13, "Read-only file system")
        return real(path, flags, *more, **options)

    put(os, open=refuse)
    assert taken() == "right" and len(proofs) == 2
