"""PyTorch-Kaldi's networks give the posteriors of its equations."""

import pytest
import torch
from test_pytorch_kaldi import FEATURES, HIDDEN, make, published
from tiny_recipes import QUIET, last_weights, rows

from speechbrain_ligru_fast.hybrid.network import StatePriors
from speechbrain_ligru_fast.hybrid.pretrained import (
    PytorchKaldiEncoder,
    pytorch_kaldi_output,
)

STATES = 7


def mlp(bias=True, states=STATES):
    """A checkpoint of its last layer, whose norms never ran."""
    g = torch.Generator().manual_seed(2)
    state = {"wx.0.weight": torch.randn(states, HIDDEN * 2, generator=g)}
    if bias:
        state["wx.0.bias"] = torch.randn(states, generator=g)
    return state | {"ln.0.gamma": torch.ones(states)}


def test_posteriors_are_those_of_its_equations(tmp_path):
    ligru, last = tmp_path / "arch1.pkl", tmp_path / "arch2.pkl"
    state, output = make(layers=2, bidirectional=True), mlp()
    torch.save({"model_par": state}, ligru)
    torch.save({"model_par": output}, last)
    x = torch.randn(3, 11, FEATURES, dtype=torch.float64)

    heard = published(state, x.transpose(0, 1), bidirectional=True)
    want = heard.transpose(0, 1) @ output["wx.0.weight"].double().T
    want = (want + output["wx.0.bias"].double()).log_softmax(-1)

    encoder = PytorchKaldiEncoder(ligru, backend="reference")
    layer = pytorch_kaldi_output(last).double()
    with torch.no_grad():
        got = layer(encoder(x)).log_softmax(-1)
    assert torch.allclose(got, want, atol=1e-6)
    # Divided by priors they are what a decoder is given.
    priors = StatePriors(STATES).double()
    priors.count([torch.tensor([0, 1, 1, 6])])
    counts = torch.tensor([2, 3, 1, 1, 1, 1, 2]) / 11
    assert torch.allclose(priors(got), want - counts.log(), atol=1e-6)


@pytest.mark.parametrize("state", [mlp(bias=False), mlp() | {"wx.1.weight": 0}])
def test_another_mlp_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "arch2.pkl")
    with pytest.raises(ValueError, match="MLP of one layer without"):
        pytorch_kaldi_output(tmp_path / "arch2.pkl")


def test_the_recipe_takes_them(kaldi, recipe, librispeech, spelled, tmp_path):
    ligru, last = tmp_path / "arch1.pkl", tmp_path / "arch2.pkl"
    state = {k: v.float() for k, v in make().items() if "tracked" not in k}
    torch.save({"model_par": state}, ligru)
    torch.save({"model_par": mlp(states=48)}, last)
    recipe(
        *["hybrid/train.py", "tiny_hybrid.yaml", *QUIET],
        *["--data_folder", librispeech, "--lexicon_file", spelled],
        *["--output_folder", tmp_path / "out", "--number_of_epochs", "1"],
        *["--n_mels", FEATURES, "--dnn_neurons", 2 * HIDDEN, "--lr", "0.0"],
        *["--ligru_file", ligru, "--mlp_file", last],
    )
    (row,) = rows(tmp_path / "out")
    assert row["rnn"] == "LiGRU" and row["epochs"] == "1"
    weights = last_weights(tmp_path / "out")
    for tensor in (state["uh.1.weight"], mlp(states=48)["wx.0.weight"]):
        size = tensor.numel()
        same = weights.unfold(0, size, 1) == tensor.flatten()
        assert same.all(1).any()
