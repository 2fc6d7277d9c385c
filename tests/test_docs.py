"""The pages: their links, their examples, and who points to them."""

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.run_opts import RunOptions

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(ROOT)
    for folder in ("", "docs/**/", "recipes/**/", "upstream/**/", "findings/")
    for path in ROOT.glob(f"{folder}*.md")
    if path.name != "CHANGELOG.md"
)
_FENCE = re.compile(
    r"^(?P<comment><!-- not run: .* -->\n)?```(?P<language>\w+)\n"
    r"(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PROGRAMS = ("benchmarks", "speechbrain_ligru_fast", "tools", "upstream")
# Not an image's, which is the same, nor what stands in code.
_LINK = re.compile(
    r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)]*))?\)"
)


def blocks(page, language):
    """A page's code in a language, without what is marked as not run."""
    return [
        match["body"]
        for match in _FENCE.finditer((ROOT / page).read_text("utf-8"))
        if match["language"] == language and match["comment"] is None
    ]


def anchors(page):
    """The names that GitHub gives to a page's headings."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S
    )
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower().strip())
        yield name.replace(" ", "-")


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c's\n```\n# no heading\n```\n## What's so-so?\n")
    assert list(anchors(page)) == ["a-b-cs", "whats-so-so"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    """`make docs` checks them too, on its site."""
    text = (ROOT / page).read_text("utf-8")
    for match in _LINK.finditer(re.sub(r"`[^`\n]*`", "", text)):
        target = ROOT / page
        if match["path"]:
            target = target.parent / match["path"]
        assert target.is_file(), match[0]
        if match["anchor"]:
            assert match["anchor"] in anchors(target), match[0]


_NAMED = re.compile(r"\bdocs/[\w/]+\.md(?:#[\w-]+)?")


def test_pages_that_the_code_names_are_there():
    """Docstrings, messages and comments, also in an installed package."""
    seen = set()
    for folder in [*PROGRAMS, "hparams", "recipes", "tests"]:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in (".py", ".yaml", ".cu", ".cuh", ".csv"):
                continue
            for name in _NAMED.findall(path.read_text("utf-8")):
                page, _, anchor = name.partition("#")
                assert (ROOT / page).is_file(), (path, name)
                assert not anchor or anchor in anchors(ROOT / page)
                seen.add(page)
    assert "docs/reference/differences.md" in seen


GUIDE = pathlib.Path("docs/guides/add_a_backend.md")


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != GUIDE and blocks(page, "python")],
    ids=str,
)
def test_examples_run(page, tmp_path, monkeypatch):
    """A page's blocks, one after another, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page}, block {number}", "exec"), names)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "yaml")], ids=str
)
def test_yaml_loads(page):
    for block in blocks(page, "yaml"):
        assert load_hyperpyyaml(block)


# After the guide's example: the toy is the guide's file, and can be chosen.
CHECKS = """
assert torch.isfinite(net.rnn[0].u.weight.grad).all()
from speechbrain_ligru_fast.backends import choose, spec
cpu = 'cpu', torch.float32, spec.ScanSpec()
print(choose('toy', *cpu).__file__)
for other in ("torchscript", "reference", "numba"):
    spec.TRIED_ON[other] = ("cuda",)
print(choose('auto', *cpu, 100).__name__)
"""


def test_the_guide_adds_a_backend(tmp_path):
    """Word for word: the module, the line, and a layer that it runs."""
    package = "speechbrain_ligru_fast"
    shutil.copytree(
        ROOT / package,
        tmp_path / package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    module, use = blocks(GUIDE, "python")
    (name,) = re.findall(r"^File `(.*)`:$", (ROOT / GUIDE).read_text(), re.M)
    (tmp_path / name).write_text(module)
    (line,) = blocks(GUIDE, "diff")
    # No repository around the folder says what git may change.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    command = ["git", "apply", "-"]
    subprocess.run(
        command, cwd=tmp_path, env=alone, input=line, text=True, check=True
    )
    done = subprocess.run(
        [sys.executable, "-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        input=use + CHECKS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    file, taken = done.stdout.split()
    assert file == str(tmp_path / name) and taken.endswith(".toy")


_TABLE = re.compile(r"\[\[\[cog.*?\[\[\[end\]\]\]", re.DOTALL)


def code(page):
    """What a page writes as code: in a line, indented or between fences."""
    # But for generated tables, which name commands of other days.
    text = _TABLE.sub("", (ROOT / page).read_text("utf-8"))
    yield from (match["body"] for match in _FENCE.finditer(text))
    text = _FENCE.sub("", text)
    yield from re.findall(r"^    .+$", text, re.MULTILINE)
    yield from re.findall(
        r"`([^`]+)`", re.sub(r"^    .+$", "", text, flags=re.M)
    )


def options():
    """Every option of a program here, and every key of a recipe's YAML."""
    found = set(RunOptions.__dataclass_fields__)
    for folder in PROGRAMS:
        for path in (ROOT / folder).rglob("*.py"):
            # Also where a program's own help shows how it is called.
            found.update(
                re.findall(r"--([a-z][\w-]+)", path.read_text("utf-8"))
            )
    for path in (ROOT / "hparams").rglob("*.yaml"):
        found.update(re.findall(r"^(\w+):", path.read_text("utf-8"), re.M))
    return found


# A word for any, and others' options; what the guide makes, and SpeechBrain's.
FOREIGN = {"key", "help", "standalone", "nproc_per_node", "tool"}
ELSEWHERE = {
    "speechbrain_ligru_fast/backends/toy.py",
    "hparams/train_BPE_1000_sligru.yaml",
}


def is_module(name):
    """Whether Python can run it."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def lacking(page, known):
    """Modules, targets, options and files that a page names in vain."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    roots = [ROOT, ROOT / "speechbrain_ligru_fast", *ROOT.glob("recipes/*")]
    # How a thing is named, how it is called in a finding, whether it is there.
    kinds = [
        (r"python -m ([\w.]+)", "{}", is_module),
        (r"\bmake ([a-z]+)\b", "make {}", targets.__contains__),
        (r"(?<![\w-])--([a-zA-Z][\w-]+)", "--{}", known.__contains__),
        (
            r"(?<![\w/.])[a-z]\w+/[\w/]+\.(?:py|yaml)\b",
            "{}",
            lambda name: any((root / name).is_file() for root in roots),
        ),
    ]
    for text in code(page):
        for pattern, said, is_there in kinds:
            for name in re.findall(pattern, text):
                if not is_there(name):
                    yield said.format(name)


def test_what_is_not_there_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`make tea`, `python -m no.such`\n\n"
        "    train.py hparams/no.yaml --tea 3\n\n"
        "```\nbackends/gone.py\n```\n"
        "`make test`, `--seeds`, `backends/auto.py`\n"
    )
    assert set(lacking(page, options())) == {
        "make tea", "no.such", "hparams/no.yaml", "--tea", "backends/gone.py",
    }  # fmt: skip


def test_what_the_pages_name_is_there():
    """Somebody will paste it."""
    known = options() | FOREIGN
    found = {
        (str(page), name)
        for page in PAGES
        if page.parts[0] != "upstream"
        for name in lacking(page, known)
        if name not in ELSEWHERE
    }
    assert not found
