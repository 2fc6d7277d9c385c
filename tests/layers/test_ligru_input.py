"""Bad input: an error that names the argument, what came, what is allowed."""

import logging

import numpy as np
import pytest
import torch
import twins
from torch.nn.utils.rnn import pack_sequence

import speechbrain_ligru_fast as fast

SHAPE = (3, 7, 5)
NAN = float("nan")
X, H = torch.randn(SHAPE), torch.zeros(4, 3, 4)
W, U = torch.randn(3, 7, 8), torch.randn(8, 4)


def ids(value):
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize(
    "error, words, options",
    [
        (ValueError, "got 'selu', allowed are relu, tanh, sin, leaky_relu",
         {"nonlinearity": "selu"}),
        (ValueError, "got 'metal', allowed are auto, .*reference",
         {"backend": "metal"}),
        (ValueError, "got 1.5, expected 0 to 1", {"dropout": 1.5}),
        (ValueError, "got nan", {"dropout": NAN}),
        (ValueError, "got 0, expected 1 or more", {"num_layers": 0}),
        (ValueError, "got 0, expected 1 or more", {"hidden_size": 0}),
        (ValueError, "got 4.5", {"hidden_size": 4.5}),
        (ValueError, "got .*expected .batch, time, features",
         {"input_shape": (None, None, None)}),
        (ValueError, "got ", {"input_shape": (3, 7)}),
        (TypeError, "got 2.0 .float., expected an int", {"num_layers": 2.0}),
        (TypeError, "got '2' .str., expected an int", {"num_layers": "2"}),
        (TypeError, "got '0.1' .str., expected a number", {"dropout": "0.1"}),
        (TypeError, "got None .NoneType., expected a num", {"dropout": None}),
        (TypeError, "got '4' .str., expected a number", {"hidden_size": "4"}),
    ],
    ids=ids,
)  # fmt: skip
def test_constructor(model, error, words, options):
    (name,) = options
    with pytest.raises(error, match=f"{name}: {words}"):
        getattr(fast, model)(
            **{"hidden_size": 4, "input_shape": SHAPE, **options}
        )


def test_what_stock_takes_for_numbers():
    ours = fast.SLiGRU(4.0, SHAPE, num_layers=np.int64(2), dropout=1)
    assert ours(X)[0].shape == (3, 7, 4)
    assert ours.batch_size == 3


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


@pytest.mark.parametrize(
    "error, words, given",
    [
        (ValueError, "x: got 2 dimensions, expected", (X[0],)),
        (ValueError, "x: got 4 features, expected 5", (X[..., :4],)),
        (ValueError, "x: got device meta, expected .*parameters, cpu",
         (X.to("meta"),)),
        (TypeError, "x: got dtype torch.int64", (X.long(),)),
        (TypeError, "x: got dtype torch.float64, expected .*torch.float32",
         (X.double(),)),
        (TypeError, "x: got list, expected a tensor", (X.tolist(),)),
        (TypeError, "x: got PackedSequence, expected a tensor .*padded",
         (pack_sequence([X[0]]),)),
        (ValueError, r"hx: got shape \[2, 3, 4\], expected \[4, 3, 4\]",
         (X, H[:2])),
        (ValueError, "hx: got device meta, expected that of x, cpu",
         (X, H.to("meta"))),
        (TypeError, "hx: got dtype torch.int32", (X, H.int())),
        (TypeError, "hx: got dtype torch.float64, expected .*torch.float32",
         (X, H.double())),
        (TypeError, "hx: got tuple, expected a tensor", (X, (H, H))),
        (ValueError, r"lengths: got shape \[2\], expected \[3\]",
         (X, None, torch.ones(2))),
        (ValueError, r"lengths: got .*1\.5.*, expected .* in \(0, 1\]",
         (X, None, torch.tensor([1.0, 1.5, 0.2]))),
        (ValueError, "lengths: got .*0.0", (X, None, torch.zeros(3))),
        (ValueError, "lengths: got .*nan",
         (X, None, torch.tensor([1.0, 0.5, NAN]))),
        (TypeError, "lengths: got list, expected a tensor",
         (X, None, [1.0, 0.5, 0.2])),
    ],
    ids=ids,
)  # fmt: skip
def test_forward(error, words, given):
    ours = fast.LiGRU(4, SHAPE, num_layers=2, bidirectional=True)
    before = ours.rnn[0].norm.running_mean.clone()
    with pytest.raises(error, match=words):
        ours(*given)
    # Nothing was done before the error.
    assert torch.equal(ours.rnn[0].norm.running_mean, before)


@pytest.mark.parametrize(
    "error, words, given",
    [
        (ValueError, "w: got 2 dimensions, expected 3", {"w": W[0]}),
        (ValueError, "w: got 9 gates, expected an even number",
         {"w": torch.randn(3, 7, 9)}),
        (TypeError, "w: got dtype torch.int64", {"w": W.long()}),
        (ValueError, "u: got 1 dimensions, expected 2", {"u": U[0]}),
        (ValueError, r"u: got shape \[7, 4\]", {"u": U[:7]}),
        (ValueError, "u: got device meta", {"u": U.to("meta")}),
        (TypeError, "u: got dtype torch.int64", {"u": U.long()}),
        (ValueError, "directions: got 3, allowed are 1 and 2",
         {"directions": 3}),
        (ValueError, "nonlinearity: got 'gelu'", {"nonlinearity": "gelu"}),
        (ValueError, "backend: got 'fast'", {"backend": "fast"}),
        (ValueError, r"h0: got shape \[3, 4\], expected \[6, 4\]",
         {"h0": torch.zeros(3, 4), "directions": 2}),
        (ValueError, r"mask: got shape \[3, 7, 4\], expected \[3, 4\]",
         {"mask": torch.zeros(3, 7, 4)}),
        (TypeError, r"lengths: got dtype torch.float32, expected int64 \(fr",
         {"lengths": torch.ones(3)}),
        (ValueError, r"lengths: got shape \[4\]",
         {"lengths": torch.ones(4).long()}),
        (ValueError, r"lengths: got \[7, 8, 1\], expected frames from 0 to 7",
         {"lengths": torch.tensor([7, 8, 1])}),
        (ValueError, r"lengths: got \[7, -1, 1\], expected frames from 0 to 7",
         {"lengths": torch.tensor([7, -1, 1])}),
        (ValueError, "ln_weight: given, but layernorm is False",
         {"ln_weight": torch.ones(8)}),
        (ValueError, r"ln_bias: got shape \[4\], expected \[8\]",
         {"ln_bias": torch.ones(4), "layernorm": True}),
    ],
    ids=ids,
)  # fmt: skip
def test_scan(error, words, given):
    with pytest.raises(error, match=words):
        fast.ligru_scan(**{"w": W, "u": U, **given})
