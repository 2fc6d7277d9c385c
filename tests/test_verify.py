"""A user's own verification, and the report."""

import contextlib
import json

import pytest
import stand_ins
import torch

from speechbrain_ligru_fast import __main__ as command
from speechbrain_ligru_fast import verify
from speechbrain_ligru_fast.backends import (
    child,
    kinds,
    loading,
    verdict_files,
)
from speechbrain_ligru_fast.layers import ligru


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the command on two small kinds; returns status, file and output."""
    stand_ins.run_here(monkeypatch)
    cases = [kinds.Kind(8, 4), kinds.Kind(8, 4, dtype="bfloat16")]
    monkeypatch.setattr(verify, "cases", lambda device: cases)
    sizes = dict(hidden=8, features=3, batch=2, steps=4, directions=2)
    monkeypatch.setattr(verify, "SHAPE", sizes)
    monkeypatch.setattr(verify, "TURNS", 0)

    def start(*words):
        out = tmp_path / "out.json"
        status = command.main(["verify", "--out", str(out), *words])
        found = json.loads(out.read_text())
        return status, found, capsys.readouterr().out

    return start


def test_a_machine_without_a_gpu(run):
    status, found, text = run()
    assert status == 0
    assert "python: " in found["environment"] and "python: " in text
    rows = found["cpu"]["checks"]
    assert {row["verdict"] for row in rows} == {"right"}
    assert {"torchscript", "reference"} <= {row["backend"] for row in rows}
    timed = {row["name"] for row in found["cpu"]["times"]}
    assert {*verify.RIVALS, "LiGRU torchscript", "SLiGRU torchscript"} <= timed
    assert "LSTM torch" in text and "us a step" in text


def test_what_is_wrong_is_said_and_not_timed(run, monkeypatch):
    """Also a layer, though its scan is right."""
    genuine, forward = loading.load, ligru.LiGRU.forward

    def load(name):
        return genuine(name) if name != "numba" else stand_ins.MODULES["off"]

    def off(self, *arguments):
        output, hidden = forward(self, *arguments)
        return output * (1 + 0.1 * (self.backend == "torchscript")), hidden

    monkeypatch.setattr(loading, "load", load)
    monkeypatch.setattr(ligru.LiGRU, "forward", off)
    status, found, text = run()
    assert status == 1 and "numba       wrong" in text
    rows = {row["name"]: row for row in found["cpu"]["times"]}
    assert "LiGRU numba" not in rows
    why = rows["LiGRU torchscript"]["why"]
    assert "its output is wrong by 0.1" in why and why in text


def test_what_time_did_not_allow_is_said(run, monkeypatch):
    """And what came before is in the file."""

    def over(found, path, names, *_):
        child._note(found, names[0], verdict="right")
        raise child.Ended("time is over")

    monkeypatch.setattr(child, "run", over)
    status, found, text = run()
    missing, checks, times = (
        found["cpu"][key] for key in ("missing", "checks", "times")
    )
    assert status == 0
    assert text.count("not all is done") == len(missing) == 3
    assert [row["verdict"] for row in checks] == ["right"] * 2 and not times


def test_bad_words_are_refused_before_any_work(run, tmp_path, capsys):
    for words, said in (
        (("--devices", "cuda:99"), "invalid choice: 'cuda:99'"),
        (("--out", str(tmp_path)), "--out: [Errno"),
    ):
        with pytest.raises(SystemExit):
            run(*words)
        assert said in capsys.readouterr().err


def test_each_gpu_is_asked_what_it_can(monkeypatch):
    """Not the current one, which may be of another kind."""
    current = []

    @contextlib.contextmanager
    def device(which):
        current.append(which.index)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(
        loading, "reason", lambda *_: None if current == [1] else "too old"
    )
    found = verify.able(kinds.Kind(8, 4), torch.device("cuda", 1))
    assert "cuda" in found
    assert not verify.able(kinds.Kind(8, 4), torch.device("cuda", 0))


def test_the_report_tells_what_is_proven(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path))
    assert command.main(["report"]) == 0
    assert "proven: nothing yet" in capsys.readouterr().out
    found = {
        "cuda": {"verdict": "right", "forward_us": 0.8, "backward_us": 1.2},
        "triton": {"verdict": "wrong", "why": "grad of h0: error 1"},
    }
    device = torch.device("cpu")
    verdict_files.write(found, kinds.Kind(512, 16), device, ("cuda", "triton"))
    command.main(["report"])
    text = capsys.readouterr().out
    assert "cuda: right 0.80 + 1.20 us a step" in text
    assert "triton: wrong grad of h0: error 1" in text
    assert "cpu: LiGRU relu, 1 direction, H=512, 16 rows" in text
    # What an older version or another machine has kept does not hold here.
    machine = verdict_files.machine(device) | {"torch": "1.0"}
    monkeypatch.setattr(verdict_files, "machine", lambda device: machine)
    command.main(["report"])
    assert "proven: nothing yet" in capsys.readouterr().out
    command.main([])
    assert "proven" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["--unknown"])
