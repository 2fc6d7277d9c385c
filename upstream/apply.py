"""Applies a proposal to a checkout of SpeechBrain, and checks it there.

    python -m upstream.apply linear_backward ../speechbrain

The new tests must fail without the edits and pass with them, no test or
example of what is edited may fail that did not, and ruff must find nothing.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import types

FOLDER = pathlib.Path(__file__).resolve().parent
RNN = "speechbrain/nnet/RNN.py"
# (regular expression, what takes its place): there twice, in both layers.
EDITS = {
    "linear_backward": [
        (r"for k in range\(w\.shape\[1\]\):(\s+gates = )w\[:, k\]",
         r"for w_t in w.unbind(dim=1):\1w_t"),
    ],
    "bidirectional_state": [
        (r"( +)(h\.append\()x(\[:, -1, :\]\))\n( +h = torch\.stack\(h, dim=)1"
         r"\)\n\n +if self\.bidirectional:\n.*\n +else:\n.*\n",
         r"\1if self.bidirectional:\n"
         r"\1    # The backward direction ends at the first frame.\n"
         r"\1    forward, backward = x.chunk(2, dim=2)\n"
         r"\1    \2forward\3\n\1    \2backward[:, 0, :])\n"
         r"\1else:\n\1    \2x\3\n\g<4>0)\n"),
        (r"(hx\.reshape\()[^)]*self\.batch_size[^)]*\)",
         r"\1self.num_layers, -1, self.hidden_size)"),
    ],
}  # fmt: skip


def edited(name, text):
    """The text of SpeechBrain's RNN.py with a proposal's edits."""
    for find, replace in EDITS.get(name, ()):
        text, times = re.subn(find, replace, text)
        if times != 2:
            raise ValueError(f"{RNN}: {find} is there {times} times, not 2")
    return text


@functools.cache
def edited_module(name, module):
    """SpeechBrain's RNN as it would be, beside the one that is imported."""
    found = types.ModuleType(name)
    text = edited(name, pathlib.Path(module.__file__).read_text("utf-8"))
    exec(compile(text, name, "exec"), found.__dict__)
    return found


def add(source, target):
    """Copies a file to where there is none."""
    with open(target, "xb") as file:
        file.write(pathlib.Path(source).read_bytes())


def main(name, tree):
    """Returns what is wrong with the proposal; nothing, if it is sound."""
    tree = pathlib.Path(tree)

    def run(*words):
        paths = os.pathsep.join([str(tree), str(FOLDER.parent)])
        quiet = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "RUFF_NO_CACHE": "true"}
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=tree, text=True,
            env={**os.environ, "PYTHONPATH": paths, **quiet},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def failures():
        done = run("pytest", "-q", "--doctest-modules", *new, *own)
        found = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
        # Other statuses are of no or not all tests.
        return set(found if done.returncode < 2 else [done.stdout])

    paths = (FOLDER / name).rglob("*/*.py")
    new = [str(path.relative_to(FOLDER / name)) for path in paths]
    own = [RNN, "tests/unittests/test_RNN.py"] if name in EDITS else []
    text = edited(name, (tree / RNN).read_text())
    shutil.copytree(FOLDER / name, tree, copy_function=add, dirs_exist_ok=True)
    before = failures() if own else set()
    unfit = {test for test in before if test.startswith(tuple(new))}
    (tree / RNN).write_text(text)
    # SpeechBrain may fail some by itself, under a newer torch for example.
    wrong = sorted(failures() - (before - unfit))
    if own and not unfit:
        wrong.append("the new tests pass without it")
    for words in (["check"], ["format", "--check"]):
        done = run("ruff", *words, *new, *own[:1])
        wrong += [done.stdout] if done.returncode else []
    return "\n".join(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
