"""Makes each proposal a branch of SpeechBrain and checks it there.

    python -m upstream.check --speechbrain ../speechbrain
    python -m upstream.check --speechbrain ../speechbrain --keep integration

The checkout is only read, but for the branches with `--keep`: each proposal is
applied in a work tree of its own, to the commit that is checked out. Its new
tests must fail without its edits (a proposal of new files has none) and pass
with them, no test or example that SpeechBrain has of the files it edits may
fail that did not, and ruff must find nothing under SpeechBrain's settings. The
exit status is 1 if anything fails. `--keep` leaves the branches `ligru/NAME`,
ready to push, of the proposals that are sound.
"""

import argparse
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager

from upstream.proposals import proposals

ROOT = pathlib.Path(__file__).resolve().parent.parent
BRANCH = "ligru/"
# No caches, which might be committed, and no plugins of this environment.
ENVIRONMENT = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "RUFF_NO_CACHE": "true",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
# SpeechBrain's own tests of the files that are edited.
EXISTING = {"speechbrain/nnet/RNN.py": ("tests/unittests/test_RNN.py",)}
# Asks every function for a docstring; a release does not have it.
DOCSTRINGS = "tests/consistency/test_docstrings.py"


def git(folder, *words):
    """Runs git in a folder; returns what it prints."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def work_tree(checkout):
    """A checkout's commit in a folder of its own, while it is used.

    Arguments
    ---------
    checkout : pathlib.Path
        A git repository.

    Yields
    ------
    pathlib.Path
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "speechbrain"
        git(checkout, "worktree", "add", "-q", "--detach", str(tree), "HEAD")
        try:
            yield tree
        finally:
            git(checkout, "worktree", "remove", "--force", str(tree))


def run(tree, *words):
    """Runs a Python module in a tree, whose SpeechBrain it imports.

    Returns
    -------
    subprocess.CompletedProcess
    """
    path = os.pathsep.join((str(tree), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def pytest(tree, files):
    """Runs the tests and examples in files of a tree."""
    words = ("-q", "-p", "no:cacheprovider", "--doctest-modules")
    return run(tree, "pytest", *words, *files)


def failures(done):
    """Names of the tests that a run of pytest tells to have failed."""
    return set(
        re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    )


def inspect(tree, proposal):
    """Applies a proposal to a tree and checks it.

    Arguments
    ---------
    tree : pathlib.Path
        Root of a clean SpeechBrain.
    proposal : Proposal
        What is applied.

    Yields
    ------
    what, ok, details : str, bool, str
    """
    proposal.add_files(tree)
    python = [name for name in proposal.changed_files if name.endswith(".py")]
    own = [test for edit in proposal.edits for test in EXISTING[edit.file]]
    if (tree / DOCSTRINGS).exists():
        own.append(DOCSTRINGS)
    files = sorted({*python, *own})
    known = set()
    if proposal.edits:
        before = pytest(tree, files)
        new = {
            name for name in failures(before) if name.startswith(proposal.tests)
        }
        yield "new tests fail without it", bool(new), before.stdout
        # SpeechBrain may fail some by itself, under a newer torch for example.
        known = failures(before) - new
    proposal.edit_files(tree)
    after = pytest(tree, files)
    # Other statuses than 0 and 1 are of no or not all tests.
    good = after.returncode in (0, 1) and failures(after) <= known
    yield "tests and examples pass", good, after.stdout
    for words in (("check",), ("format", "--check")):
        done = run(tree, "ruff", *words, *python)
        yield f"ruff {' '.join(words)}", done.returncode == 0, done.stdout


def keep_branch(tree, proposal):
    """Makes what a proposal changed a branch, its text the message."""
    git(tree, "add", "--", *proposal.changed_files)
    git(tree, "commit", "-q", "-m", proposal.title, "-m", proposal.body)
    branch = BRANCH + proposal.name
    git(tree, "branch", branch)
    print(f"{proposal.name}: branch {branch}")


def check(checkout, proposal, keep):
    """Checks one proposal and prints each result.

    Arguments
    ---------
    checkout : pathlib.Path
        A git repository of SpeechBrain.
    proposal : Proposal
        What is checked.
    keep : bool
        Whether its branch stays, if all is well.

    Returns
    -------
    bool
        Whether all is well.
    """
    with work_tree(checkout) as tree:
        good = True
        for what, ok, details in inspect(tree, proposal):
            print(f"{proposal.name}: {what}: {'yes' if ok else 'NO'}")
            if not ok:
                print(details)
                good = False
        if good and keep:
            keep_branch(tree, proposal)
    return good


def main(argv=None):
    """Runs the tool; returns the exit status."""
    known = proposals()
    parser = argparse.ArgumentParser(
        prog="python -m upstream.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--speechbrain", type=pathlib.Path, required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="default: all proposals"
    )
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in known:
            parser.error(f"NAME: got {name!r}, allowed are {', '.join(known)}")
    for name in (".git", *EXISTING, *itertools.chain(*EXISTING.values())):
        if not (args.speechbrain / name).exists():
            parser.error(
                f"--speechbrain: {args.speechbrain} is no checkout of "
                f"SpeechBrain, it has no {name}"
            )
    taken = git(args.speechbrain, "branch", "--list", f"{BRANCH}*").split()
    if taken:
        parser.error(
            f"--speechbrain: it has branches of an earlier run: "
            f"{', '.join(taken)}; delete them first"
        )
    good = True
    for name in args.names or known:
        # All of them, so that one run names all that fails.
        try:
            good &= check(args.speechbrain, known[name], args.keep)
        except (RuntimeError, ValueError) as error:
            print(f"{name}: {error}")
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
