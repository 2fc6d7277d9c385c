"""What users put on a layer's U does what it does to stock's."""

import copy

import pytest
import torch
import twins
from speechbrain.nnet.adapters import (
    AdaptedModel,
    HoulsbyAdapterLinear,
    LoRA,
)
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from speechbrain_ligru_fast import accelerate, restore

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


class Dropped(nn.Module):
    """A linear adapter whose branch has dropout."""

    def __init__(self, u):
        super().__init__()
        self.u, self.branch = u, nn.Linear(u.in_features, u.out_features, False)
        self.branch.to(u.weight)

    def forward(self, x):
        return self.u(x) + self.branch(
            nn.functional.dropout(x, 0.5, self.training)
        )


@pytest.mark.parametrize(
    "dtype, autocast",
    [
        (torch.float64, False),
        (torch.float32, False),
        (torch.float32, True),
        (torch.bfloat16, False),
        (torch.bfloat16, True),
        (torch.float16, False),
    ],
)
@pytest.mark.parametrize("wrapper", [LoRA, Dropped])
def test_linear_adapters_of_any_precision(dtype, autocast, wrapper):
    ours, _ = twins.build("SLiGRU", SHAPE, hidden_size=40, dtype=dtype)
    ours.rnn[0].u = wrapper(ours.rnn[0].u).to(dtype)
    if wrapper is LoRA:
        nn.init.normal_(ours.rnn[0].u.adapter_up_proj.weight)
    state = torch.get_rng_state()
    for training in (False, True):
        ours.train(training)
        with torch.autocast("cpu", torch.bfloat16, autocast):
            output, _ = ours(twins.data(SHAPE, dtype).detach())
        assert output.isfinite().all()
        assert all(part.training == training for part in ours.modules())
        unchanged = torch.equal(torch.get_rng_state(), state)
        assert unchanged == (wrapper is LoRA or not training)


def houlsby(net):
    adapted = AdaptedModel(
        net,
        adapter_class=HoulsbyAdapterLinear,
        all_linear=True,
        adapter_kwargs={"projection_size": 4},
    )
    return adapted.double()


def put_u(make):
    def wrap(net):
        net.rnn[0].u = make(net.rnn[0].u)
        return net

    return wrap


def clamp_u(u):
    u.register_forward_hook(lambda module, inputs, output: output.clamp(-4, 4))


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize(
    "wrap",
    [
        houlsby,
        put_u(lambda u: nn.Linear(7, 14, dtype=torch.float64)),
        put_u(lambda u: nn.Sequential(u, nn.Dropout(), nn.Tanh())),
        put_u(lambda u: nn.Sequential(u, nn.ReLU())),
        put_u(lambda u: nn.Sequential(nn.Linear(7, 7, dtype=torch.float64), u)),
        on_u(clamp_u),
    ],
    ids="houlsby bias tanh relu affine clamp".split(),
)
def test_what_is_no_matrix_is_refused(model, wrap):
    ours, theirs = twins.build(model, SHAPE)
    ours = wrap(ours)
    x = twins.data(SHAPE).detach()
    for training in (True, False):
        ours.train(training)
        with pytest.raises(RuntimeError, match="u: got .*linear map .*restore"):
            ours(x)
    # The advice helps.
    restore(ours)(x)


def test_weights_that_are_not_finite_are_not_refused():
    ours, _ = twins.build("LiGRU", SHAPE)
    double_u(ours.rnn[0].u)
    with torch.no_grad():
        ours.rnn[0].u.weight[0, 0] = float("nan")
    assert ours(twins.data(SHAPE))[0].isnan().any()


class Tripled(nn.BatchNorm1d):
    def forward(self, x):
        return 3 * super().forward(x)


def put_norm(make):
    def wrap(net):
        net.rnn[0].norm = make().double()
        return net

    return wrap


def on_norm(apply):
    def wrap(net):
        apply(net.rnn[0].norm)
        return net

    return wrap


def stop_tracking(norm):
    norm.track_running_stats = False


def drop_statistics(norm):
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None


NORMS = {
    "flag": on_norm(stop_tracking),
    "none": on_norm(drop_statistics),
    "hook": on_norm(double_u),
    "prune": on_norm(prune_u),
    "subclass": put_norm(lambda: Tripled(14)),
    "plain": put_norm(lambda: nn.BatchNorm1d(14, affine=False)),
    "untracked": put_norm(
        lambda: nn.BatchNorm1d(14, track_running_stats=False)
    ),
    "layernorm": put_norm(lambda: nn.LayerNorm(14)),
    "groupnorm": put_norm(lambda: nn.GroupNorm(2, 14)),
    "identity": put_norm(nn.Identity),
}


def seeded(wrap, net):
    torch.manual_seed(8)
    return wrap(net)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("wrap", NORMS.values(), ids=NORMS)
def test_norm_as_on_stock(wrap, bidirectional):
    pair = twins.build("LiGRU", SHAPE, bidirectional=bidirectional)
    x = twins.data(SHAPE)
    ours, theirs = (twins.run(seeded(wrap, net), x) for net in pair)
    twins.assert_equal(ours, theirs, ("hidden",) if bidirectional else ())
    ours, theirs = (net.eval()(x)[0] for net in pair)
    assert twins.error(ours, theirs) <= 1e-10


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("wrap", NORMS.values(), ids=NORMS)
def test_norm_sees_no_padding(wrap, bidirectional):
    """As the same frames in one utterance, in both modes."""
    x = twins.data((3, 10, 5)).detach()
    lengths = torch.tensor([0.6, 0.3, 0.5])
    found = []
    for steps in (6, 10):
        ours, _ = twins.build("LiGRU", SHAPE, bidirectional=bidirectional)
        ours = seeded(wrap, ours)
        part = lengths * 10 / steps
        outputs = [
            ours.train(training)(x[:, :steps], lengths=part)[0][:, :6]
            for training in (True, False)
        ]
        found.append(outputs + list(ours.rnn[0].norm.buffers()))
    for short, long in zip(*found, strict=True):
        assert torch.allclose(short.double(), long.double(), atol=1e-12)


@pytest.mark.parametrize("name", ["flag", "none", "plain", "groupnorm"])
def test_other_norms_are_scripted(name):
    ours, _ = twins.build("LiGRU", SHAPE, bidirectional=True)
    ours = NORMS[name](ours)
    scripted = torch.jit.script(copy.deepcopy(ours))
    x = twins.data(SHAPE)
    for given in ({}, {"lengths": torch.tensor([1.0, 0.5, 0.7])}):
        got, want = scripted(x, **given)[0], ours(x, **given)[0]
        assert torch.allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("later", [False, True])
def test_eps_of_the_layer_norm_is_read(backend, later):
    ours, theirs = twins.build("SLiGRU", SHAPE, backend)
    if not later:
        ours = accelerate(copy.deepcopy(theirs), backend=backend)
    ours.rnn[0].layer_norm.eps = theirs.rnn[0].layer_norm.eps = 0.1
    x = twins.data(SHAPE)
    twins.assert_equal(twins.run(ours, x), twins.run(theirs, x))
    assert ours.rnn[0].eps == 0.1


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.layer_norm.register_forward_hook(print),
        lambda layer: layer.layer_norm.register_forward_pre_hook(print),
        lambda layer: setattr(layer, "layer_norm", nn.RMSNorm(14)),
        lambda layer: setattr(layer, "layer_norm", nn.Identity()),
    ],
)
def test_other_layer_norms_are_refused(change):
    ours, _ = twins.build("SLiGRU", SHAPE)
    change(ours.rnn[0])
    with pytest.raises(RuntimeError, match="layer_norm: got .*restore"):
        ours(twins.data(SHAPE))


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
