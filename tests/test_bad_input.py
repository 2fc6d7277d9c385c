"""Bad input: an error that names the argument, what came, what is allowed."""

import logging

import numpy as np
import pytest
import torch
import twins

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import ligru_scan

SHAPE = (3, 7, 5)


def layer(**options):
    return fast.LiGRU(4, SHAPE, num_layers=2, bidirectional=True, **options)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize(
    "options, words",
    [
        (
            {"nonlinearity": "selu"},
            "nonlinearity: got 'selu', allowed are relu, tanh, sin, leaky_relu",
        ),
        (
            {"backend": "metal"},
            "backend: got 'metal', allowed are auto, .*reference",
        ),
        ({"dropout": 1.5}, "dropout: got 1.5, expected 0 to 1"),
        ({"dropout": float("nan")}, "dropout: got nan"),
        ({"num_layers": 0}, "num_layers: got 0, expected 1 or more"),
        ({"hidden_size": 0}, "hidden_size: got 0, expected 1 or more"),
        (
            {"input_shape": (None, None, None)},
            "input_shape: got .*expected .batch, time, features",
        ),
        ({"input_shape": (3, 7)}, "input_shape: got "),
    ],
    ids=str,
)
def test_constructor(model, options, words):
    with pytest.raises(ValueError, match=words):
        getattr(fast, model)(
            **{"hidden_size": 4, "input_shape": SHAPE, **options}
        )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"num_layers": 2.0}, "num_layers: got 2.0 .float., expected an int"),
        ({"num_layers": "2"}, "num_layers: got '2' .str., expected an int"),
        ({"dropout": "0.1"}, "dropout: got '0.1' .str., expected a number"),
        ({"dropout": None}, "dropout: got None .NoneType., expected a number"),
        ({"hidden_size": "4"}, "hidden_size: got '4' .str., expected a number"),
    ],
    ids=str,
)
def test_types_of_the_constructor(options, words):
    with pytest.raises(TypeError, match=words):
        fast.LiGRU(**{"hidden_size": 4, "input_shape": SHAPE, **options})


def test_what_stock_takes_for_numbers():
    ours = fast.SLiGRU(4.0, SHAPE, num_layers=np.int64(2), dropout=1)
    assert ours(X)[0].shape == (3, 7, 4)
    assert ours.batch_size == 3
    with pytest.raises(ValueError, match="hidden_size: got 4.5"):
        fast.SLiGRU(4.5, SHAPE)


@pytest.mark.parametrize("model", twins.MODELS)
def test_unknown_normalization_warns_once(model, caplog):
    name = "normalization" if model == "LiGRU" else "ff_normalization"
    with caplog.at_level(logging.WARNING, "speechbrain_ligru_fast"):
        ours = getattr(fast, model)(
            4, SHAPE, num_layers=3, **{name: "batch_norm"}
        )
    assert type(ours.rnn[2].norm) is torch.nn.LayerNorm
    assert len(caplog.records) == 1
    assert "'batch_norm' is unknown: LayerNorm" in caplog.text


X = torch.randn(SHAPE)


@pytest.mark.parametrize(
    "error, words, given",
    [
        (ValueError, "x: got 2 dimensions, expected", (X[0],)),
        (ValueError, "x: got 4 features, expected 5", (X[..., :4],)),
        (TypeError, "x: got dtype torch.int64", (X.long(),)),
        (
            TypeError,
            "x: got dtype torch.float64, expected that .*torch.float32",
            (X.double(),),
        ),
        (
            ValueError,
            "x: got device meta, expected that of the parameters, cpu",
            (X.to("meta"),),
        ),
        (
            ValueError,
            r"hx: got shape \[2, 3, 4\], expected \[4, 3, 4\]",
            (X, torch.zeros(2, 3, 4)),
        ),
        (
            ValueError,
            "hx: got device meta, expected that of x, cpu",
            (X, torch.zeros(4, 3, 4, device="meta")),
        ),
        (
            TypeError,
            "hx: got dtype torch.int32",
            (X, torch.zeros(4, 3, 4, dtype=torch.int32)),
        ),
        (
            TypeError,
            "hx: got dtype torch.float64, expected that of .*torch.float32",
            (X, torch.zeros(4, 3, 4, dtype=torch.float64)),
        ),
        (
            ValueError,
            r"lengths: got shape \[2\], expected \[3\]",
            (X, None, torch.ones(2)),
        ),
        (
            ValueError,
            r"lengths: got .*1\.5.*, expected relative lengths in \(0, 1\]",
            (X, None, torch.tensor([1.0, 1.5, 0.2])),
        ),
        (ValueError, "lengths: got .*0.0", (X, None, torch.zeros(3))),
        (
            ValueError,
            "lengths: got .*nan",
            (X, None, torch.tensor([1.0, 0.5, float("nan")])),
        ),
        (
            TypeError,
            "lengths: got list, expected a tensor",
            (X, None, [1.0, 0.5, 0.2]),
        ),
        (TypeError, "x: got list, expected a tensor", (X.tolist(),)),
        (
            TypeError,
            "x: got PackedSequence, expected a tensor .*padded",
            (torch.nn.utils.rnn.pack_sequence([X[0]]),),
        ),
        (
            TypeError,
            "hx: got tuple, expected a tensor",
            (X, (torch.zeros(4, 3, 4),) * 2),
        ),
    ],
)
def test_forward(error, words, given):
    ours = layer()
    before = ours.rnn[0].norm.running_mean.clone()
    with pytest.raises(error, match=words):
        ours(*given)
    # Nothing was done before the error.
    assert torch.equal(ours.rnn[0].norm.running_mean, before)


W, U = torch.randn(3, 7, 8), torch.randn(8, 4)


@pytest.mark.parametrize(
    "error, words, given",
    [
        (ValueError, "w: got 2 dimensions, expected 3", {"w": W[0]}),
        (ValueError, "u: got 1 dimensions, expected 2", {"u": U[0]}),
        (ValueError, r"u: got shape \[7, 4\]", {"u": U[:7]}),
        (
            ValueError,
            "w: got 9 gates, expected an even number",
            {"w": torch.randn(3, 7, 9)},
        ),
        (TypeError, "w: got dtype torch.int64", {"w": W.long()}),
        (TypeError, "u: got dtype torch.int64", {"u": U.long()}),
        (ValueError, "u: got device meta", {"u": U.to("meta")}),
        (
            ValueError,
            "directions: got 3, allowed are 1 and 2",
            {"directions": 3},
        ),
        (ValueError, "nonlinearity: got 'gelu'", {"nonlinearity": "gelu"}),
        (ValueError, "backend: got 'fast'", {"backend": "fast"}),
        (
            ValueError,
            r"h0: got shape \[3, 4\], expected \[6, 4\]",
            {"h0": torch.zeros(3, 4), "directions": 2},
        ),
        (
            ValueError,
            r"mask: got shape \[3, 7, 4\], expected \[3, 4\]",
            {"mask": torch.zeros(3, 7, 4)},
        ),
        (
            TypeError,
            r"lengths: got dtype torch.float32, expected int64 \(frames\)",
            {"lengths": torch.ones(3)},
        ),
        (
            ValueError,
            r"lengths: got shape \[4\]",
            {"lengths": torch.ones(4, dtype=torch.int64)},
        ),
        (
            ValueError,
            r"lengths: got \[7, 8, 1\], expected frames from 0 to 7",
            {"lengths": torch.tensor([7, 8, 1])},
        ),
        (
            ValueError,
            r"lengths: got \[7, -1, 1\], expected frames from 0 to 7",
            {"lengths": torch.tensor([7, -1, 1])},
        ),
        (
            ValueError,
            "ln_weight: given, but layernorm is False",
            {"ln_weight": torch.ones(8)},
        ),
        (
            ValueError,
            r"ln_bias: got shape \[4\], expected \[8\]",
            {"ln_bias": torch.ones(4), "layernorm": True},
        ),
    ],
)
def test_scan(error, words, given):
    with pytest.raises(error, match=words):
        ligru_scan(**{"w": W, "u": U, **given})
