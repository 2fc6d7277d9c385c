"""What the GPU suite checks before it times: order, limits, verdicts."""

from benchmarks.gpu import (
    check,
    checks,
    job,
    sanitizer,
    verdicts,
)


def test_what_needs_which_checks():
    passed = dict.fromkeys(checks.CHECKS, verdicts.PASSED)
    assert list(checks.CHECKS) == sum(map(list, verdicts.STAGES), [])
    assert verdicts.refusal(passed) is None
    for name in checks.CHECKS:
        failed = verdicts.refusal({**passed, name: verdicts.FAILED})
        unknown = verdicts.refusal({**passed, name: verdicts.NOT_RUN})
        stopped = verdicts.refusal({**passed, name: verdicts.STOPPED})
        needed = name in verdicts.NEEDED
        assert (unknown is not None) == (stopped is not None) == needed
        assert (failed is not None) == (name not in verdicts.ASIDE)
    assert "options" not in (*verdicts.NEEDED, *verdicts.ASIDE)


class Work:
    """A child whose time is over after some looks at the clock."""

    def __init__(self, looks, name="reference"):
        self.looks = looks
        self.job = job.Job("check", name, 0, ".", "cpu", 1, 0, {})
        self.notes, self.rows = [], []
        self.note = self.notes.append

    def left(self):
        self.looks -= 1
        return self.looks

    def row(self, name, cells):
        assert name == "checks.csv"
        self.rows.append(cells)


def test_a_check_ends_between_scans(monkeypatch):
    """At its time or a third failure; each failure is said at once."""
    seen = []

    def counting(plan, backend, device, seed):
        try:
            for i in range(9):
                seen.append(len(work.notes))
                yield [f"wrong {i}"] if i % 2 else []
        finally:
            seen.append("closed")

    monkeypatch.setitem(checks.CHECKS, "options", counting)
    for looks, verdict, count, failed in (
        (0, verdicts.NOT_RUN, 0, 0),
        (1, verdicts.STOPPED, 1, 0),
        (2, verdicts.FAILED, 2, 1),
        (99, verdicts.FAILED, 6, 3),
    ):
        work = Work(looks)
        seen.clear()
        assert check.verify("options", work) == verdict
        (row,) = work.rows
        assert (row["runs"], row["failures"]) == (count, failed)
        assert row["verdict"] == verdict and row["backend"] == "reference"
        assert f"options: {verdict}, {count} runs" in work.notes[-1]
        assert count == 0 or seen[-1] == "closed"
    assert seen[:-1] == [0, 0, 1, 1, 2, 2]
    monkeypatch.setitem(checks.CHECKS, "options", lambda *_: iter([[]] * 2))
    monkeypatch.setattr(checks, "_compare", lambda *_: [])
    assert check.verify("sizes", Work(99)) == verdicts.PASSED


def test_the_cheap_checks_come_first():
    """What eats the time, every option, is the last to have it."""
    names = sum(map(list, verdicts.STAGES), [])
    assert names[0] == "small" and names[-1] == "options"
    # A failed capture spoils what its process does next.
    assert any(stage[-1] == "graph" for stage in verdicts.STAGES)


def test_the_sanitizer(tmp_path, monkeypatch):
    """A stand-in for the tool: what it finds, misses, and how it ends."""
    tool = tmp_path / "compute-sanitizer"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert "not installed" in sanitizer.run("memcheck", "cuda")
    for script, seconds, words in (
        ("exit 0", 20, "memcheck: nothing found"),
        ("echo race; exit 9", 20, "memcheck: FOUND something\nrace"),
        ("echo what; exit 3", 20, "memcheck did not run: what"),
        ("sleep 60", 0.2, "memcheck: not finished"),
        ("exit 0", 0, "memcheck: no time, NOT RUN"),
    ):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        assert sanitizer.run("memcheck", "cuda", seconds).startswith(words)
