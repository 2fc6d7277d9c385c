"""Filter banks in an ONNX file: a convolution, and no 8 bits before logs."""

import pytest
import torch
from speechbrain.processing.features import STFT
from torch import nn

from speechbrain_ligru_fast.deploy.onnx import to_onnx
from speechbrain_ligru_fast.deploy.spectrum import Spectrum
from speechbrain_ligru_fast.recognition.features import Fbank

onnx = pytest.importorskip("onnx", reason="the extra deploy is not installed")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize(
    "options", [{}, {"n_fft": 512}, {"n_fft": 401, "hop_length": 7}], ids=str
)
def test_it_is_the_stft(options):
    stft, x = STFT(16000, **options), torch.randn(2, 1500)
    torch.testing.assert_close(Spectrum(stft)(x), stft(x), atol=1e-4, rtol=0)


def test_others_stay():
    for options in (
        {"center": False},
        {"pad_mode": "reflect"},
        {"normalized_stft": True},
        {"onesided": False},
    ):
        assert not Spectrum.fits(STFT(16000, **options))
    assert Spectrum.fits(STFT(16000)) and not Spectrum.fits(nn.Identity())


@pytest.mark.parametrize(
    "int8, products", [(False, set()), (True, {"Integer"})]
)
def test_features_keep_their_precision(tmp_path, int8, products):
    torch.manual_seed(1)
    net = nn.Sequential(Fbank(), nn.LayerNorm(40), nn.Linear(40, 64)).eval()
    path, example = tmp_path / "net.onnx", torch.zeros(2, 4000)
    wrapped = _Net(net).eval()
    error = to_onnx(wrapped, path, example, lengths=False, int8=int8)
    assert error < (0.03 if int8 else 1e-4)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "STFT" not in kinds and "MatMul" in kinds
    assert {k[6:] for k in kinds if k.startswith("MatMulI")} == products
    # The weights of the convolution alone are ten times as large.
    assert path.stat().st_size < 65_000


class _Net(nn.Module):
    """Its argument is called x."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)
