"""What a child has said is known, however it and its parent end."""

import json
import os
import pathlib
import signal
import time

import pytest
import stand_ins

from speechbrain_ligru_fast.backends import child


def program(monkeypatch, script):
    """A shell in a child's place; ``$3`` are the names."""
    monkeypatch.setattr(child, "PROGRAM", ("sh", "-c", script, "sh"))


def say(**message):
    """The shell's words for a message."""
    return f"printf '\\n{child._MARK}%s\\n' '{json.dumps(message)}'; "


def turn(name, number, ms):
    return say(begin=name) + say(name=name, turn=["infer", number, ms])


def run(found, names, seconds=30, until=float("inf")):
    child.run(found, "a:b", names, (), seconds, until)


def test_what_came_before_the_time_was_over(monkeypatch):
    script = say(name="a", verdict="right") + turn("a", "1", 5) + "sleep 99"
    program(monkeypatch, script)
    found = {}
    with pytest.raises(child.Ended, match="time is over"):
        run(found, ["a"], until=time.monotonic() + 0.5)
    assert found == {"a": {"verdict": "right", "turns": {"infer": {"1": 5}}}}


@pytest.mark.parametrize("noise", ["echo noise", say(begin="a")[:-2]])
def test_who_talks_without_end_ends_in_time(monkeypatch, noise):
    program(monkeypatch, f"while :; do {noise}; done")
    begin = time.monotonic()
    with pytest.raises(child.Ended, match="time is over"):
        run({}, ["a"], until=begin + 0.5)
    assert time.monotonic() - begin < child.LEAVING


def test_turns_of_two_children_are_not_mixed(monkeypatch):
    """The second goes on without who ended the first."""
    first = turn("a", "1.1", 5) + say(begin="b") + "kill -SEGV $$"
    second = turn("a", "2.1", 6) + say(done=True)
    script = f"""case "$3" in *'"b"'*) {first};; esac; {second}"""
    program(monkeypatch, script)
    found = {}
    run(found, ["a", "b"])
    assert found["a"]["turns"]["infer"] == {"1.1": 5, "2.1": 6}
    assert found["b"]["verdict"] == "crashed"


def test_who_says_nothing_has_hung(monkeypatch):
    script = say(begin="b") + "echo busy; sleep 99"
    whole = say(done=True)
    program(monkeypatch, f"""case "$3" in *b*) {script};; esac; {whole}""")
    found = {}
    run(found, ["b"], seconds=0.2)
    assert found["b"]["verdict"] == "hung" and "busy" in found["b"]["why"]


def is_running(number):
    """Also False for what is dead and nobody has asked about."""
    try:
        state = pathlib.Path(f"/proc/{number}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc")
def test_a_child_ends_with_its_parent(monkeypatch, tmp_path):
    """However that ends: nobody would know of a GPU that is in use."""
    folder = pathlib.Path(stand_ins.__file__).parent
    monkeypatch.syspath_prepend(folder)
    path = tmp_path / "number"
    parent = os.fork()
    if parent == 0:
        try:
            child.run({}, "stand_ins:wait", ["a"], (str(path),), 600)
        finally:
            os._exit(0)
    try:
        while not (path.exists() and path.read_text()):
            time.sleep(0.05)
        number = int(path.read_text())
        assert is_running(number)
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    end = time.monotonic() + 60
    while is_running(number) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(number)
