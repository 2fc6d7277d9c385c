"""SpeechBrain's layers and ours with the same weights, run and compared."""

import speechbrain.nnet.RNN as stock
import torch

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec
from speechbrain_ligru_fast.lobe import CRDNN

MODELS = ("LiGRU", "SLiGRU")


def available():
    """Backends that can run on the CPU, also where there is a GPU."""
    found = []
    for name in BACKENDS[1:]:
        try:
            choose(name, "cpu", torch.float32, ScanSpec())
        except RuntimeError:
            continue
        found.append(name)
    return found


def build(
    model, shape, backend="reference", dtype=torch.float64, hidden_size=7,
    **options,
):  # fmt: skip
    """A fast layer and stock's, away from their symmetric initial state."""
    if model == "SLiGRU" and "normalization" in options:
        options["ff_normalization"] = options.pop("normalization")
    torch.manual_seed(3)
    theirs = getattr(stock, model)(hidden_size, shape, **options)
    for name, value in theirs.state_dict().items():
        if "norm." in name and value.is_floating_point():
            frozen = name.endswith("bias") and not options.get("bias", True)
            if not frozen or "layer_norm" in name:
                value += torch.rand_like(value) - 0.5
    ours = getattr(fast, model)(hidden_size, shape, backend=backend, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours.to(dtype), theirs.to(dtype)


def crdnn(features=6, cls=CRDNN, seed=4, **options):
    """A CRDNN, ours or stock's, of a few neurons."""
    torch.manual_seed(seed)
    options = {
        "cnn_channels": [2, 3],
        "rnn_layers": 2,
        "rnn_neurons": 5,
        "dnn_neurons": 4,
        "dropout": 0.0,
    } | options
    return cls(input_shape=[None, None, features], **options)


def trained(net, *arguments):
    """A net in evaluation mode, its batch norms unlike new ones."""
    net.train()(*arguments)
    for part in net.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(part.weight, 0.5, 2.0)
            torch.nn.init.normal_(part.bias)
    return net.eval()


def trained_layer(kind=fast.LiGRU, **options):
    """From 5 features to 6 units, in float32."""
    torch.manual_seed(0)
    net = kind(6, [None, None, 5], **{"num_layers": 2, **options})
    return trained(net, torch.randn(4, 9, 5))


def data(shape, dtype=torch.float64, seed=5):
    """A leaf of normal random numbers, the same ones in every dtype."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator).to(dtype)
    return x.requires_grad_()


def run(module, x, hx=None, **arguments):
    """Output, and the gradient of every input and parameter, by name.

    The output's gradient is fixed random numbers, so that no symmetry hides
    an error.
    """
    leaves = {"x": x, "hx": hx, **dict(module.named_parameters())}
    leaves = {k: v for k, v in leaves.items() if v is not None}
    leaves = {k: v for k, v in leaves.items() if v.requires_grad}
    output, hidden = module(x, hx, **arguments)
    weight = data(output.shape, output.dtype, seed=7).detach()
    grads = torch.autograd.grad(output, leaves.values(), weight)
    found = {"output": output, "hidden": hidden}
    found.update((f"grad {k}", g) for k, g in zip(leaves, grads))
    found.update(
        (name, value.clone())
        for name, value in module.named_buffers()
        if "running" in name or "tracked" in name
    )
    return {name: value.detach() for name, value in found.items()}


def error(got, want):
    """Largest difference over the largest expected magnitude."""
    assert got.shape == want.shape
    difference = (got.double() - want.double()).abs().max().item()
    scale = want.double().abs().max().item()
    return difference / scale if scale > 0 else difference


def assert_close(got, want, limit=1e-5):
    """Equal but for float32's rounding, by which large terms cancel.

    How much of a small element they leave depends on the CPU's libraries.
    """
    assert got.dtype == want.dtype
    # Written so that a NaN fails.
    assert error(got, want) <= limit


def assert_equal(got, want, skip=()):
    """Outputs within 1e-10 and gradients within 1e-8, as float64 allows."""
    assert got.keys() == want.keys()
    for name in want:
        if name not in skip:
            limit = 1e-8 if name.startswith("grad ") else 1e-10
            # Written so that a NaN fails.
            assert error(got[name], want[name]) <= limit, name
