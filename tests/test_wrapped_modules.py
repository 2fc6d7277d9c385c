"""What users put on a layer's U does what it does to stock's."""

import copy

import pytest
import torch
import twins
from speechbrain.nnet.adapters import AdaptedModel, LoRA
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

SHAPE = (3, 6, 5)


def on_u(apply):
    def wrap(net):
        torch.manual_seed(8)
        apply(net.rnn[0].u)
        return net

    return wrap


def prune_u(u):
    prune.random_unstructured(u, "weight", 0.5)


def normalise_u(u):
    # Until it converges: stock calls u at each step, we once.
    spectral_norm(u, n_power_iterations=1000)


def double_u(u):
    u.register_forward_hook(lambda module, inputs, output: 2 * output)


def adapt(net):
    torch.manual_seed(8)
    adapted = AdaptedModel(
        net, adapter_class=LoRA, all_linear=True, adapter_kwargs={"rank": 2}
    ).double()
    for parameter in adapted.parameters():
        # It starts as nothing.
        if parameter.requires_grad:
            nn.init.normal_(parameter, generator=torch.Generator())
    return adapted


@pytest.mark.parametrize(
    "wrap",
    [
        on_u(normalise_u),
        on_u(weight_norm),
        on_u(prune_u),
        on_u(double_u),
        on_u(parametrizations.weight_norm),
        adapt,
    ],
    ids="spectral weight prune hook parametrized lora".split(),
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_trains_as_on_stock(backend, wrap):
    x = twins.data(SHAPE).detach()
    found = []
    # Not orthogonal: a spectral norm of equal singular values never settles.
    options = dict(nonlinearity="tanh", re_init=False)
    for net in twins.build("LiGRU", SHAPE, backend, **options):
        net = wrap(net)
        trained = [p for p in net.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            net(x)[0].square().sum().backward()
            optimizer.step()
        output = net(x)[0]
        found.append([output, *(p.grad for p in trained)])
    for ours, theirs in zip(*found, strict=True):
        assert twins.error(ours, theirs) <= 1e-10


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantized_as_stock():
    found = []
    for net in twins.build("SLiGRU", SHAPE, dtype=torch.float32):
        exact = copy.deepcopy(net).eval()
        net = torch.ao.quantization.quantize_dynamic(exact, {nn.Linear})
        assert not isinstance(net.rnn[0].u, nn.Linear)
        x = twins.data(SHAPE, torch.float32).detach()
        found.append((net(x)[0], exact(x)[0]))
    (ours, exact), (theirs, _) = found
    # U is quantised once; stock also quantises every state.
    assert 0 < twins.error(ours, exact) <= 2 * twins.error(theirs, exact)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_cumulative_statistics(model, bidirectional):
    """torch.optim.swa_utils.update_bn sets momentum=None."""
    pair = twins.build(model, SHAPE, bidirectional=bidirectional)
    batches = [twins.data(SHAPE, seed=seed).detach() for seed in range(3)]
    for net in pair:
        torch.optim.swa_utils.update_bn(batches, net)
    ours, theirs = (net.rnn[0].norm.state_dict() for net in pair)
    twins.assert_equal(ours, theirs)


def test_cumulative_statistics_with_lengths():
    padded, whole = twins.build("LiGRU", SHAPE, bidirectional=True)
    lengths = torch.ones(SHAPE[0])
    for net in (padded, whole):
        net.rnn[0].norm.reset_running_stats()
        net.rnn[0].norm.momentum = None
    for seed in range(3):
        x = twins.data(SHAPE, seed=seed).detach()
        padded(x, lengths=lengths)
        whole(x)
    twins.assert_equal(
        *(net.rnn[0].norm.state_dict() for net in (padded, whole))
    )
