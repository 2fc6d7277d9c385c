"""Wrong lengths are told, and right ones counted as SpeechBrain does."""

import pytest
import torch
from captures import compiled, eager, exported, scripted, traced

from speechbrain_ligru_fast import LiGRU, ligru_scan
from speechbrain_ligru_fast.scan import lengths


class Layer(torch.nn.Module):
    """A layer that is called with lengths in second place."""

    def __init__(self, training):
        super().__init__()
        self.net = LiGRU(3, (2, 9, 5), bidirectional=True).train(training)

    def forward(self, x, lengths):
        return self.net(x, None, lengths)[0]


class Scan(torch.nn.Module):
    def forward(self, w, lengths):
        return ligru_scan(w, torch.ones(6, 3), lengths=lengths)


RELATIVE = [[10.0, 5.0], [0.0, 1.0], [1.0, float("nan")], [-0.5, 1.0]]
TOLD = (ValueError, RuntimeError, torch.jit.Error)


@pytest.mark.parametrize(
    "capture", [eager, scripted, traced, compiled, exported]
)
@pytest.mark.parametrize(
    "net, size, good, wrong, words",
    [
        (Layer(True), 5, [1.0, 0.4], RELATIVE, r"relative .* \(0, 1\]"),
        (Layer(False), 5, [1.0, 0.4], RELATIVE, r"relative .* \(0, 1\]"),
        (Scan(), 6, [9, 4], [[10, 1], [-1, 9]], "frames from 0 to 9"),
    ],
    ids=["train", "eval", "scan"],
)
@pytest.mark.filterwarnings("ignore")
def test_wrong_ones_are_told_everywhere(capture, net, size, good, wrong, words):
    """Frames in place of relative lengths above all: nothing was masked."""
    x, good = torch.randn(2, 9, size), torch.tensor(good)
    run = capture(net, x, good)
    assert not run(x, good)[1, 4:].any()
    for values in wrong:
        with pytest.raises(TOLD, match=f"lengths: .*expected {words}"):
            run(x, torch.tensor(values))


def test_a_gpu_is_told_without_being_waited_for(monkeypatch):
    """As on a device whose values can't be read: the meta device."""
    told = []
    monkeypatch.setattr(torch, "_assert_async", lambda *args: told.append(args))
    given = torch.ones(3, device="meta")
    lengths.count_frames(given, torch.ones(3, 9, 5, device="meta"))
    assert lengths.bounded_frames(given.long(), 9).is_meta
    assert [condition.dtype for condition, _ in told] == [torch.bool] * 2
    assert all("lengths: expected" in message for _, message in told)


@pytest.mark.parametrize(
    "given, steps, frames",
    [
        # 2.5 frames round to the even 2, 0.01 of a frame is one.
        (torch.tensor([2.5 / 9, 0.01 / 9, 0.74]), 9, [2, 1, 7]),
        # 16 bits don't count so far.
        (torch.tensor([1, 0.5]).half(), 1001, [1001, 500]),
        (torch.tensor([1, 0.5]).half(), 3001, [3001, 1500]),
        (torch.tensor([1, 0.5]).bfloat16(), 1001, [1001, 500]),
        (torch.tensor([1, 0.5]).bfloat16(), 3001, [3001, 1500]),
    ],
    ids=str,
)
def test_frames_are_counted_as_in_speechbrain(given, steps, frames):
    ours = LiGRU(3, (None, None, 5), nonlinearity="tanh", bidirectional=True)
    output, _ = ours(torch.randn(len(given), steps, 5), lengths=given)
    assert [int(row.any(1).sum()) for row in output] == frames
