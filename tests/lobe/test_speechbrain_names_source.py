"""SpeechBrain's own recipes and tests, with and without our layers.

They are in its repository alone, not in what pip installs. `make speechbrain`
fetches it and runs this; SPEECHBRAIN_SOURCE names a checkout that is there.
"""

import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest
import speechbrain as sb
import torch
from speechbrain.nnet.RNN import LiGRU as STOCK
from speechbrain_systems import transducer_loss

import speechbrain_ligru_fast
from speechbrain_ligru_fast import register
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit

SOURCE = os.environ.get("SPEECHBRAIN_SOURCE", "")
pytestmark = pytest.mark.skipif(
    not SOURCE, reason="SPEECHBRAIN_SOURCE names no checkout of SpeechBrain"
)

# Small, but all that the recipes have; as many symbols as the tiny corpus.
# Without dropout: with it, one seed gives the layers other initial weights.
SMALL = {
    "skip_prep": True,
    "number_of_epochs": 2,
    "batch_size": 2,
    "dropout": 0.0,
    "cnn_channels": "(4, 4)",
    "rnn_layers": 2,
    "rnn_neurons": 16,
    "dnn_neurons": 16,
}
# White noise instead of a download, no processes that load data.
NO_NOISE = {
    "output_neurons": 12,
    "noise_annotation": "null",
    "prepare_noise_data": "!name:builtins.dict",
    "num_workers": 0,
}
OWN = {
    "CTC": NO_NOISE,
    "seq2seq": {"output_neurons": 14, "dec_neurons": 16, "beam_size": 2},
    "transducer": NO_NOISE | {"dec_neurons": 16},
}
# Its unit tests of what builds, holds or searches with recurrent layers.
TESTS = [
    f"tests/unittests/test_{name}.py"
    for name in ("RNN", "core", "autocast", "quaternion_networks")
]


@pytest.fixture(scope="module")
def manifests(timit, tmp_path_factory):
    """The tiny corpus as the recipes' own preparation would write it.

    That needs the speakers of the real one.
    """
    folder = tmp_path_factory.mktemp("manifests")
    paths = [folder / f"{name}.json" for name in ("train", "valid", "test")]
    prepare_timit(
        timit, *paths, dev_speakers=["FDEV0"], test_speakers=["MTST0"]
    )
    for path in paths:
        absolute = path.read_text().replace("{data_root}", str(timit))
        path.write_text(absolute)
    return {"data_folder": timit} | {f"{p.stem}_annotation": p for p in paths}


@pytest.fixture
def recipe(monkeypatch):
    """Runs one of SpeechBrain's recipes; gives its losses and hypotheses."""
    losses, classes = [], set()

    def recorded(name):
        method = getattr(sb.Brain, name)

        def record(self, *arguments, **options):
            loss = method(self, *arguments, **options)
            losses.append(float(loss))
            found = map(type, self.modules.modules())
            classes.update(c for c in found if c.__name__ == "LiGRU")
            return loss

        monkeypatch.setattr(sb.Brain, name, record)

    recorded("fit_batch")
    recorded("evaluate_batch")
    monkeypatch.setattr(
        "speechbrain.nnet.losses.transducer_loss", transducer_loss
    )
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(kind, out, options, flags):
        losses.clear()
        classes.clear()
        folder = pathlib.Path(SOURCE, "recipes", "TIMIT", "ASR", kind)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.chdir(folder)
        options = options | {"output_folder": out}
        words = [f"--{key}={value}" for key, value in options.items()]
        command = ["train.py", "hparams/train.yaml", "--device=cpu"]
        monkeypatch.setattr(sys, "argv", command + flags + words)
        runpy.run_path("train.py", run_name="__main__")
        # Of each utterance: its figures, and what was heard.
        (found,) = out.glob("*er_test.txt")
        return torch.tensor(losses), found.read_text(), set(classes)

    yield run
    register(replace=False)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", OWN)
def test_timit(kind, jit, recipe, manifests, tmp_path):
    options = manifests | SMALL | OWN[kind]
    flags = ["--jit"] if jit else []
    want, their_report, theirs = recipe(
        kind, tmp_path / "stock", options, flags
    )
    register(replace=True)
    got, our_report, ours = recipe(kind, tmp_path / "ours", options, flags)
    # A scripted module does not tell.
    if not jit:
        assert theirs == {STOCK} and ours == {speechbrain_ligru_fast.LiGRU}
    assert torch.allclose(got[:3], want[:3], rtol=1e-5, atol=1e-5)
    # Then rounding alone can move a candidate over ReLU's kink.
    assert torch.allclose(got, want, rtol=1e-3)
    assert our_report.splitlines()[0] == their_report.splitlines()[0]


def failures(folder):
    """Of SpeechBrain's own tests, with a folder to import from before it."""
    command = "-m pytest -q -p plugin -p no:cacheprovider".split()
    paths = os.pathsep.join([str(folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *command, *TESTS],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert " passed" in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M))


def test_its_tests_pass_as_before(tmp_path):
    """Under a newer torch some may fail by themselves."""
    plugin = tmp_path / "plugin.py"
    plugin.touch()
    before = failures(tmp_path)
    plugin.write_text(
        "from speechbrain_ligru_fast import register\nregister(replace=True)\n"
    )
    assert failures(tmp_path) == before
