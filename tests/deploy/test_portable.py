"""Models whose files need nothing of this package."""

import subprocess
import sys

import pytest
import torch
from torch.export import Dim

from speechbrain_ligru_fast import LiGRU, SLiGRU
from speechbrain_ligru_fast.deploy.portable import portable

LOAD = """
import sys, torch
sys.modules["speechbrain_ligru_fast"] = None
program = torch.export.load(sys.argv[1]).module()
x, output = torch.load(sys.argv[2])
print(float((program(x)[0] - output).abs().max()))
"""


@pytest.mark.parametrize("kind", [LiGRU, SLiGRU])
def test_a_file_loads_where_we_are_not(tmp_path, kind):
    torch.manual_seed(0)
    net = kind(6, [None, None, 5], num_layers=2, bidirectional=True)
    net.train()(torch.randn(4, 9, 5))
    net.eval()
    program = torch.export.export(
        portable(net),
        (torch.randn(2, 7, 5),),
        dynamic_shapes=({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},),
    )
    torch.export.save(program, tmp_path / "net.pt2")
    x = torch.randn(3, 20, 5)
    with torch.no_grad():
        torch.save((x, net(x)[0]), tmp_path / "run.pt")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "net.pt2", tmp_path / "run.pt"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-5


def test_the_model_stays_as_it_is():
    net = torch.nn.ModuleDict({"rnn": LiGRU(4, [None, None, 3])}).eval()
    names = list(net.state_dict())
    copied = portable(net)
    assert isinstance(net["rnn"], LiGRU) and list(net.state_dict()) == names
    assert not isinstance(copied["rnn"], LiGRU)
    assert all(p.requires_grad for p in net.parameters())


def test_lengths_and_states_as_the_layer():
    torch.manual_seed(0)
    net = SLiGRU(4, [None, None, 3], num_layers=2, bidirectional=True).eval()
    x, hx = torch.randn(3, 8, 3), torch.randn(4, 3, 4)
    lengths = torch.tensor([1.0, 0.1, 0.6])
    x[1, 1:] = float("nan")
    with torch.no_grad():
        for ours, theirs in zip(
            net(x, hx, lengths), portable(net)(x, hx, lengths)
        ):
            torch.testing.assert_close(theirs, ours)
