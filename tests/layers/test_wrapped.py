"""What users put on a layer's U does what it does to stock's."""

import copy

import pytest
import torch
import twins
from speechbrain.nnet.adapters import AdaptedModel, HoulsbyAdapterLinear, LoRA
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from speechbrain_ligru_fast import accelerate, restore

SHAPE = (3, 6, 5)


def on_u(apply):
    """Changes U itself, or puts in its place what is returned."""

    def wrap(net):
        torch.manual_seed(8)
        made = apply(net.rnn[0].u)
        if isinstance(made, nn.Module):
            net.rnn[0].u = made
        return net.double()

    return wrap


def adapters(adapter_class, **options):
    """SpeechBrain's own, in every linear module of a layer."""

    def wrap(net):
        torch.manual_seed(8)
        net = AdaptedModel(
            net,
            adapter_class=adapter_class,
            all_linear=True,
            adapter_kwargs=options,
        ).double()
        for parameter in net.parameters():
            # It starts as nothing.
            if parameter.requires_grad:
                nn.init.normal_(parameter, generator=torch.Generator())
        return net

    return wrap


def double(u):
    u.register_forward_hook(lambda module, inputs, output: 2 * output)


LINEAR = {
    # Until it converges: stock calls u at each step, we once.
    "spectral": on_u(lambda u: spectral_norm(u, n_power_iterations=1000)),
    "weight": on_u(weight_norm),
    "prune": on_u(lambda u: prune.random_unstructured(u, "weight", 0.5)),
    "hook": on_u(double),
    "frozen": on_u(lambda u: u.requires_grad_(False)),
    "parametrized": on_u(parametrizations.weight_norm),
    "lora": adapters(LoRA, rank=2),
}


@pytest.mark.parametrize("wrap", LINEAR)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_trains_as_on_stock(backend, wrap):
    x = twins.data(SHAPE).detach()
    found = []
    # Not orthogonal: a spectral norm of equal singular values never settles.
    options = dict(nonlinearity="tanh", re_init=False)
    for net in twins.build("LiGRU", SHAPE, backend, **options):
        net = LINEAR[wrap](net)
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


@pytest.mark.parametrize("wrap", sorted({*LINEAR} - {"spectral", "weight"}))
def test_trains_compiled(wrap):
    torch._dynamo.reset()
    net, _ = twins.build("LiGRU", SHAPE, bidirectional=True)
    net = LINEAR[wrap](net)
    batch = 1 if wrap == "hook" else 3
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    found = []
    for function in (net, compiled):
        net.zero_grad()
        x = twins.data((batch, *SHAPE[1:]))
        given = {} if wrap == "lora" else {"lengths": torch.ones(batch)}
        function(x, **given)[0].square().sum().backward()
        trained = [p for p in net.parameters() if p.requires_grad]
        found.append([x.grad, *(p.grad for p in trained)])
    torch._dynamo.reset()
    for got, want in zip(*found, strict=True):
        assert torch.allclose(got, want, atol=1e-10)


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


REFUSED = {
    "houlsby": adapters(HoulsbyAdapterLinear, projection_size=4),
    "bias": on_u(lambda u: nn.Linear(7, 14)),
    "tanh": on_u(lambda u: nn.Sequential(u, nn.Dropout(), nn.Tanh())),
    "relu": on_u(lambda u: nn.Sequential(u, nn.ReLU())),
    "affine": on_u(lambda u: nn.Sequential(nn.Linear(7, 7), u)),
    "clamp": on_u(
        lambda u: u.register_forward_hook(lambda *call: call[2].clamp(-4, 4))
    ),
}


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("wrap", REFUSED)
def test_what_is_no_matrix_is_refused(model, wrap):
    ours, _ = twins.build(model, SHAPE)
    ours = REFUSED[wrap](ours)
    x = twins.data(SHAPE).detach()
    for training in (True, False):
        ours.train(training)
        with pytest.raises(RuntimeError, match="u: got .*linear map .*restore"):
            ours(x)
    # The advice helps.
    restore(ours)(x)


def test_weights_that_are_not_finite_are_not_refused():
    ours, _ = twins.build("LiGRU", SHAPE)
    double(ours.rnn[0].u)
    ours.rnn[0].u.weight.data[0, 0] = float("nan")
    assert ours(twins.data(SHAPE))[0].isnan().any()


@pytest.mark.parametrize("later", [False, True])
def test_eps_of_the_layer_norm_is_read(backend, later):
    ours, theirs = twins.build("SLiGRU", SHAPE, backend)
    if not later:
        ours = accelerate(copy.deepcopy(theirs), backend=backend)
    ours.rnn[0].layer_norm.eps = theirs.rnn[0].layer_norm.eps = 0.1
    x = twins.data(SHAPE)
    twins.assert_equal(twins.run(ours, x), twins.run(theirs, x))
    assert ours.rnn[0].eps == 0.1
    got, want = (net.eval()(x)[0] for net in (restore(ours), theirs))
    assert twins.error(got, want) <= 1e-10


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
