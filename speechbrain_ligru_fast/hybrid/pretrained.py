"""A network of PyTorch-Kaldi in this recipe's place."""

import torch
from torch import nn

from speechbrain_ligru_fast.pytorch_kaldi import from_pytorch_kaldi


def choose_encoder(file, otherwise):
    """A PytorchKaldiEncoder of a file, if there is one."""
    return PytorchKaldiEncoder(file) if file else otherwise


def choose_output(file, otherwise):
    """The `pytorch_kaldi_output` of a file, if there is one."""
    return pytorch_kaldi_output(file) if file else otherwise


class PytorchKaldiEncoder(nn.Module):
    """PyTorch-Kaldi's trained liGRU as the network of a hybrid recipe.

    Arguments
    ---------
    file : path-like
        A checkpoint of its architecture liGRU, as ``final_architecture1.pkl``.
    **options : dict
        See speechbrain_ligru_fast.from_pytorch_kaldi.
    """

    def __init__(self, file, **options):
        super().__init__()
        self.RNN = from_pytorch_kaldi(_load(file), **options)

    def forward(self, x, lengths=None):
        """From (B, T, features) to (B, T, neurons)."""
        return self.RNN(x, lengths=lengths)[0]


def pytorch_kaldi_output(file):
    """The layer before the softmax: PyTorch-Kaldi's MLP of one layer.

    Its posteriors are of the pdfs of the Kaldi system that made its targets,
    in their order; a decoder must have that system's states.

    Arguments
    ---------
    file : path-like
        A checkpoint of its architecture MLP, as ``final_architecture2.pkl``.

    Returns
    -------
    torch.nn.Linear

    Raises
    ------
    ValueError
        If it has more layers or a normalisation that ran.
    """
    state = _load(file)
    state = state.get("model_par", state)
    if "wx.0.bias" not in state or "wx.1.weight" in state:
        raise ValueError(
            f"{file}: expected PyTorch-Kaldi's MLP of one layer without "
            f"normalisation, got {', '.join(state)}"
        )
    neurons, inputs = state["wx.0.weight"].shape
    layer = nn.Linear(inputs, neurons)
    with torch.no_grad():
        layer.weight.copy_(state["wx.0.weight"])
        layer.bias.copy_(state["wx.0.bias"])
    return layer


def _load(file):
    return torch.load(file, map_location="cpu", weights_only=True)
