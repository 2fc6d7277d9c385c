"""Hooks and fixtures for the whole test session."""

import logging
import runpy
import sys
from pathlib import Path

import numpy
import pytest
import tiny_corpora
import tiny_recipes
import torch
import twins
from speechbrain.utils.importutils import LazyModule
from tiny_systems import tiny


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    """Let hypothesis look at every module.

    It asks each for ``__file__``, which makes SpeechBrain's lazy modules
    import libraries that are not installed, and fail.
    """
    for module in list(sys.modules.values()):
        if isinstance(module, LazyModule):
            vars(module).setdefault("__file__", None)


def pytest_generate_tests(metafunc):
    """A test that takes ``backend`` runs once for each that can run here."""
    if "backend" in metafunc.fixturenames:
        names = getattr(metafunc.cls, "BACKENDS", None) or twins.available()
        metafunc.parametrize("backend", names)


@pytest.fixture(autouse=True)
def level_of_logging():
    """Every test begins with Python's level: a recipe's run sets DEBUG."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(autouse=True, scope="session")
def no_list_of_packages():
    """No experiment lists the installed packages, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "speechbrain.utils.logger.get_environment_description", str
        )
        yield


@pytest.fixture
def fresh_compiler():
    """Nothing is compiled so far, and nothing of it is left."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def poisoned_memory(monkeypatch):
    """Uninitialised memory holds NaN, so that reading it shows.

    Integers are filled with ones bit by bit: a NaN too, once a backend reads
    such a workspace as floating point numbers.
    """

    def fill(allocate):
        def filled(*args, **kwargs):
            array = allocate(*args, **kwargs)
            array.view(numpy.uint8).fill(255)
            return array

        return filled

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(numpy, name, fill(getattr(numpy, name)))
    before = torch.are_deterministic_algorithms_enabled()
    monkeypatch.setattr(
        torch.utils.deterministic, "fill_uninitialized_memory", True
    )
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="session")
def librispeech(tmp_path_factory):
    """A tiny corpus in LibriSpeech's layout."""
    return tiny_corpora.make_librispeech(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def timit(tmp_path_factory):
    """A tiny corpus in TIMIT's layout."""
    return tiny_corpora.make_timit(tmp_path_factory.mktemp("corpus") / "TIMIT")


@pytest.fixture(scope="session")
def trained_librispeech(librispeech, tmp_path_factory):
    """A training of an epoch; to be copied, not to be written to."""
    folder = tmp_path_factory.mktemp("trained") / "asr"
    with pytest.MonkeyPatch.context() as patch:
        recipe_runner(patch)(
            *["LibriSpeech/train.py", "tiny_librispeech.yaml"],
            *["--data_folder", librispeech, "--output_folder", folder],
            *tiny_recipes.QUIET,
            # It ends before the epoch's last step.
            *["--number_of_epochs", "1", "--optimizer_step_limit", "2"],
            *["--ckpt_interval_steps", "1"],
        )
    return folder


@pytest.fixture
def train(recipe, request):
    """Trains a tiny system of a corpus in a folder; returns all its rows."""

    def run(corpus, folder, *arguments, yaml=None, data=None):
        name = corpus.lower()
        data = data or request.getfixturevalue(name)
        recipe(
            *[f"{corpus}/train.py", yaml or f"tiny_{name}.yaml"],
            *["--data_folder", data, "--output_folder", folder],
            *[*tiny_recipes.QUIET, *arguments],
        )
        return tiny_recipes.rows(folder)

    return run


@pytest.fixture
def recipe(monkeypatch):
    """Runs a recipe's train.py in this process."""
    return recipe_runner(monkeypatch)


def recipe_runner(monkeypatch):
    """What runs a recipe while `monkeypatch` lasts."""
    root = Path(__file__).parent.parent

    def run(script, yaml, *arguments):
        path = root / "recipes" / script
        command = [str(path), str(tiny(yaml)), *map(str, arguments)]
        # SpeechBrain replaces the hook for the rest of the process.
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        monkeypatch.setattr(sys, "argv", command)
        return runpy.run_path(str(path), run_name="__main__")

    return run


@pytest.fixture
def put(monkeypatch):
    """Puts values in the place of attributes of a module or class."""

    def put(place, **values):
        for name, value in values.items():
            monkeypatch.setattr(place, name, value)

    return put


@pytest.fixture
def said(caplog):
    """The only message that was logged."""

    def said():
        (record,) = caplog.records
        return record.getMessage()

    return said
