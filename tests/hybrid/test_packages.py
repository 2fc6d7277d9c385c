"""Kaldi's parts are an extra: lazy, and missed with a word of advice."""

from importlib.metadata import PackageNotFoundError

import pytest
from fresh import python

from speechbrain_ligru_fast.hybrid import packages


def test_nothing_of_kaldi_is_imported_before_it_is_used():
    loaded = python(
        "import sys\n"
        "from speechbrain_ligru_fast.hybrid import experiment, gmm, packages\n"
        "print(*sys.modules)"
    ).stdout.split()
    assert "speechbrain_ligru_fast.hybrid.brain" in loaded
    assert not {n for n in loaded if n.startswith(("kald", "_kald"))}


def test_a_missing_extra_says_what_installs_it(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "version", version)
    with pytest.raises(ImportError, match=r"kaldi_hmm_gmm, which is not inst"):
        packages.require()
    with pytest.raises(ImportError, match=r"pip install '.\[hybrid\]'"):
        packages.kaldifst  # noqa: B018


@pytest.mark.parametrize("package", packages.TOO_NEW)
def test_one_that_shares_no_graphs_is_not_imported(package, monkeypatch):
    found = packages.TOO_NEW[package]
    monkeypatch.setattr(packages, "version", lambda name: found)
    monkeypatch.setattr(packages.importlib, "import_module", None)
    with pytest.raises(ImportError, match=f"{package} before {found}, found"):
        getattr(packages, package)


def test_other_names_are_none_of_its():
    with pytest.raises(AttributeError, match="no attribute 'openfst'"):
        packages.openfst  # noqa: B018
