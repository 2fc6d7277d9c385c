"""torch.utils.flop_counter counts the recurrence as it counts SpeechBrain's."""

import re

import pytest
import torch
import twins
from fresh import python
from torch.utils.flop_counter import FlopCounterMode

import speechbrain_ligru_fast as fast

SHAPE = (3, 6, 5)


def counted(net, x, hx=None):
    """Products of the forward and of forward and backward."""
    with FlopCounterMode(display=False) as count:
        output = net(x, hx)[0]
        forward = count.get_total_flops()
        if output.requires_grad:
            output.sum().backward()
    return forward, count.get_total_flops()


@pytest.mark.parametrize("frozen", ["none", "u", "w", r"w|norm", "0", "."])
@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("given", [False, True])
def test_as_stock_is_counted(backend, model, frozen, given):
    options = dict(num_layers=2, hidden_size=4)
    found = []
    for net in twins.build(model, SHAPE, backend, **options):
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(not re.search(rf"\.({frozen})\.", name))
        hx = twins.data((2, 3, 4)).detach() if given else None
        found.append(counted(net, twins.data(SHAPE).detach(), hx))
    assert found[0] == found[1] and found[0][0] > 0
    assert (found[0][1] > found[0][0]) == (frozen != ".")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_directions_and_a_given_state(backend, bidirectional):
    """Of x and its flip stock projects both: U's products alone compare."""
    directions = 1 + bidirectional
    rows = SHAPE[0] * directions
    w, u = torch.randn(3, 6, 8), torch.randn(8, 4).requires_grad_()
    h0 = torch.randn(rows, 4).requires_grad_()
    product = 2 * rows * 8 * 4
    for again in (False, True):
        with FlopCounterMode(display=False) as count:
            options = dict(directions=directions, recompute=again)
            output = fast.ligru_scan(w, u, h0, backend=backend, **options)
            output.sum().backward()
        # Forward, backward through the states, U's gradient, gates again.
        assert count.get_total_flops() == product * 6 * (3 + again)


def test_the_counter_may_come_later_and_is_not_imported_by_us():
    done = python(
        "import sys, torch, speechbrain_ligru_fast as fast\n"
        "net = fast.LiGRU(4, (2, 5, 3))\n"
        "net(torch.randn(2, 5, 3))\n"
        "print('torch.utils.flop_counter' in sys.modules)\n"
        "from torch.utils.flop_counter import FlopCounterMode\n"
        "with FlopCounterMode(display=False) as count:\n"
        "    net(torch.randn(2, 5, 3))\n"
        "print(count.get_total_flops() == 2 * 2 * 5 * 8 * (3 + 4))\n"
    )
    assert done.stdout.split() == ["False", "True"]
