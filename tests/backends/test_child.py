"""What a child has said is known, however it and its parent end."""

import os
import pathlib
import signal
import time

import pytest
import stand_ins
from fresh import forked
from stand_ins import says

from speechbrain_ligru_fast.backends import child


@pytest.fixture
def run(put):
    """Runs a shell in a child's place; its ``$3`` are the names."""

    def run(script, names, seconds=30, until=float("inf")):
        put(child, PROGRAM=("sh", "-c", script, "sh"))
        found, begin = {}, time.monotonic()
        if until < float("inf"):
            with pytest.raises(child.Ended, match="time is over"):
                child.run(found, "a:b", names, (), seconds, begin + until)
            assert time.monotonic() - begin < child.LEAVING
        else:
            child.run(found, "a:b", names, (), seconds)
        return found

    return run


def turn(name, number, ms):
    return says(begin=name) + says(name=name, turn=["infer", number, ms])


def test_what_came_before_the_time_was_over(run):
    script = says(name="a", verdict="right") + turn("a", "1", 5) + "sleep 99"
    assert run(script, ["a"], until=0.5) == {
        "a": {"verdict": "right", "turns": {"infer": {"1": 5}}}
    }


@pytest.mark.parametrize("noise", ["echo noise", says(begin="a")[:-2]])
def test_who_talks_without_end_ends_in_time(run, noise):
    run(f"while :; do {noise}; done", ["a"], until=0.5)


def test_turns_of_two_children_are_not_mixed(run):
    """The second goes on without who ended the first."""
    first = turn("a", "1.1", 5) + says(begin="b") + "kill -SEGV $$"
    second = turn("a", "2.1", 6) + says(done=True)
    script = f"""case "$3" in *'"b"'*) {first};; esac; {second}"""
    found = run(script, ["a", "b"])
    assert found["a"]["turns"]["infer"] == {"1.1": 5, "2.1": 6}
    assert found["b"]["verdict"] == "crashed"


def test_who_says_nothing_has_hung(run):
    silent = says(begin="b") + "echo busy; sleep 99"
    script = f"""case "$3" in *b*) {silent};; esac; {says(done=True)}"""
    found = run(script, ["b"], seconds=0.2)
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
    monkeypatch.syspath_prepend(pathlib.Path(stand_ins.__file__).parent)
    path = tmp_path / "number"
    parent = forked(
        lambda: child.run({}, "stand_ins:wait", ["a"], (str(path),), 600)
    )
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
