"""What the tests of hybrid recognisers share."""

import pytest
import tiny_corpora

from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.lexicon import Lexicon


@pytest.fixture(scope="session")
def kaldi():
    """Kaldi's parts; without them a test is skipped."""
    try:
        packages.require()
    except ImportError as error:
        pytest.skip(str(error))


@pytest.fixture
def lexicon():
    """Two words, one of them said in two ways, and one that begins it."""
    return Lexicon({"A": [("x",)], "AB": [("x", "y"), ("y", "y")]}, "sil")


@pytest.fixture(scope="session")
def spelled(tmp_path_factory):
    """A lexicon of the tiny corpus: a letter sounds like a phone."""
    path = tmp_path_factory.mktemp("lexicon") / "spelled.dic"
    lines = (f"{word} {' '.join(word)}\n" for word in tiny_corpora.WORDS)
    path.write_text("".join(lines))
    return path
