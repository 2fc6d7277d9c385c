"""What is imported when, and which way imports point."""

import ast
import pathlib

import pytest
from fresh import python

import speechbrain_ligru_fast

PACKAGE = pathlib.Path(speechbrain_ligru_fast.__file__).parent
OPTIONAL = ("numba", "llvmlite", "triton", "cuda", "sentencepiece", "jiwer")
OPTIONAL += ("faker", "num2words")


def test_importing_the_package_imports_nothing_else():
    loaded = python(
        "import sys; before = set(sys.modules)\n"
        "import speechbrain_ligru_fast\n"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    ).stdout
    assert "speechbrain_ligru_fast" in loaded.split()
    assert not {"torch", "speechbrain", *OPTIONAL} & set(loaded.split())


def test_an_eager_layer_imports_no_more_than_speechbrain_s():
    """No compiler: torch._dynamo and sympy take as long as torch itself."""
    imported, forward = python(
        "import sys, torch, speechbrain.nnet.RNN\n"
        "before = set(sys.modules)\n"
        "from speechbrain_ligru_fast import LiGRU\n"
        "print(*set(sys.modules) - before)\n"
        "before = set(sys.modules)\n"
        "LiGRU(4, (2, 9, 3))(torch.randn(2, 9, 3))\n"
        "print(*set(sys.modules) - before)"
    ).stdout.splitlines()
    assert {name.split(".")[0] for name in imported.split()} == {
        "speechbrain_ligru_fast"
    }
    compilers = ("torch._dynamo", "torch._inductor", "sympy", "triton", "cuda")
    assert "speechbrain_ligru_fast.backends.auto" in imported.split()
    assert not set(compilers) & set(forward.split())
    # Proofs are a GPU's: they start processes.
    for name in ("verdicts", "verdict_files", "child", "trial", "kinds"):
        assert f"speechbrain_ligru_fast.backends.{name}" not in forward.split()
        assert f"speechbrain_ligru_fast.backends.{name}" not in imported.split()


@pytest.mark.parametrize("absent", ["numba", "jiwer"])
def test_layers_work_without_optional_libraries(absent):
    result = python(
        f"import sys; sys.modules[{absent!r}] = None\n"
        "import torch\n"
        "from speechbrain_ligru_fast import LiGRU, available_backends\n"
        "out, _ = LiGRU(4, (2, 9, 3))(torch.randn(2, 9, 3))\n"
        "out.sum().backward()\n"
        "print(available_backends()['numba'])"
    ).stdout
    assert (result.strip() != "ok") == (absent == "numba")


def imports(path):
    """Modules of this package that a file imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


# From the bottom up; a file may import from its own floor and from below.
FLOORS = (
    ("installed", "kept"),
    ("products",),
    ("backends",),
    ("scan",),
    ("ops", "layers"),
    ("lobe", "pytorch_kaldi"),
    ("recognition",),
    # A training ends by writing what deploy reads; deploy knows no training.
    ("deploy",),
    ("training",),
    ("asr",),
    ("hybrid",),
    ("verify",),
    ("__main__",),
)


# What the package does not import: its users.
USERS = ("benchmarks", "tests", "recipes", "tools", "upstream")
# What runs code that a file names.
UNSAFE = ("pickle", "cPickle", "dill", "shelve", "marshal", "joblib")


def test_imports_point_downwards_and_unpickle_nothing():
    height = {part: i for i, floor in enumerate(FLOORS) for part in floor}
    seen = set()
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        seen.add(part)
        for name in imports(path):
            room, _, rest = name.partition(".")
            assert room not in USERS + UNSAFE, path
            other = rest.split(".")[0]
            if room == PACKAGE.name and {part, other} <= set(height):
                assert height[other] <= height[part], (path, name)
        for words in ("weights_only=False", "allow_pickle=True"):
            assert words not in path.read_text("utf-8"), path
    assert seen - {"__init__"} == set(height)
