"""From a PyTorch-Kaldi liGRU checkpoint to our layer.

PyTorch-Kaldi (arXiv 1811.07453) holds the candidate's and the gate's weights
apart and knows its activation, dropout and directions from a configuration
file, not from the checkpoint.
"""

import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch

from speechbrain_ligru_fast.layers import LiGRU

# The published class has these only if its input is normalised.
_INPUT_NORMS = ("bn0", "ln0")
_NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


def from_pytorch_kaldi(
    state_dict: Mapping[str, Any],
    nonlinearity: str = "relu",
    dropout: float | list[float] | tuple[float, ...] = 0.0,
    bidirectional: bool | None = None,
    backend: str = "auto",
) -> LiGRU:
    """Turns the weights of PyTorch-Kaldi's liGRU into a LiGRU.

    Its output is equal, in evaluation and in training, but for the layout:
    ours is (batch, time, features), theirs (time, batch, features).

    Arguments
    ---------
    state_dict : dict
        What ``torch.load`` gives, or its ``model_par``.
    nonlinearity : str
        relu or tanh, its ``ligru_act``.
    dropout : float | list of float
        Its ``ligru_drop``, in [0, 1); one a layer must be equal. PyTorch-Kaldi
        multiplies the candidate by ``1 - dropout`` in evaluation, where we
        scale the mask in training: the factor goes into the weights, which
        takes a relu.
    bidirectional : bool | None
        Its ``ligru_bidir``. None to read it from the second layer's size.
    backend : str
        As in LiGRU.

    Returns
    -------
    LiGRU
        In evaluation mode. Without batch norm its ``w`` has a bias, which
        that of a new ``LiGRU(normalization="identity")`` lacks: its
        state_dict does not load there, only into what this function made.

    Raises
    ------
    TypeError
        For a state_dict that is no dict of tensors, a bidirectional that is
        no bool, a dropout that is no number.
    ValueError
        For entries that are lacking, too many or of a wrong shape, and for
        what our layer does not have: a layer norm on the state or the input,
        layers of different sizes or dropouts, other activations.

    Example
    -------
    >>> h = 4
    >>> state = {
    ...     "wh.0.weight": torch.rand(h, 3), "wz.0.weight": torch.rand(h, 3),
    ...     "uh.0.weight": torch.rand(h, h), "uz.0.weight": torch.rand(h, h),
    ... }
    >>> for gate in ("bn_wh", "bn_wz"):
    ...     norm = torch.nn.BatchNorm1d(h).state_dict()
    ...     state.update({f"{gate}.0.{k}": v for k, v in norm.items()})
    >>> net = from_pytorch_kaldi(state, bidirectional=True)
    >>> net(torch.rand(2, 9, 3))[0].shape
    torch.Size([2, 9, 8])
    """
    if nonlinearity not in ("relu", "tanh"):
        raise ValueError(
            f"nonlinearity: got {nonlinearity!r}, allowed are relu and tanh: "
            "PyTorch-Kaldi's others are not among our layer's"
        )
    if not isinstance(bidirectional, (bool, type(None))):
        raise TypeError(
            f"bidirectional: got {bidirectional!r}, expected True, False or "
            "None"
        )
    state = _clean(state_dict)
    count = _count_layers(state)
    _check_entries(state, count)
    rate = _one_dropout(dropout, count, nonlinearity)
    hidden, features = _sizes(state, count)
    directions = _directions(state, count, hidden, bidirectional)
    _check_shapes(state, count, hidden, features, directions)
    _check_state_norm(state, count)
    norms = {_has_batch_norm(state, i) for i in range(count)}
    if len(norms) == 2:
        raise ValueError("ligru_use_batchnorm differs from layer to layer")
    net = LiGRU(
        hidden,
        (1, 1, features),
        nonlinearity=nonlinearity,
        normalization="batchnorm" if norms == {True} else "identity",
        num_layers=count,
        dropout=rate,
        re_init=False,
        bidirectional=directions == 2,
        backend=backend,
    ).to(state["wh.0.weight"].dtype)
    for i, layer in enumerate(net.rnn):
        _fill(layer, state, i, scale=1.0 - rate)
    return net.eval()


def _clean(state_dict):
    """The liGRU's own entries, without what wrapped them."""
    state = _mapping("state_dict", state_dict)
    if "model_par" in state:
        state = _mapping("model_par", state["model_par"])
    state = {k.removeprefix("module."): v for k, v in state.items()}
    for name in _INPUT_NORMS:
        if any(key.startswith(f"{name}.") for key in state):
            raise ValueError(
                f"{name}: the checkpoint normalises the liGRU's input, which "
                "our layer does not do. Take these entries out and normalise "
                "the input before it"
            )
    return state


def _mapping(name, value):
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{name}: got {type(value).__name__}, expected a dict of tensors: "
            "what torch.load gives, or its model_par"
        )
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{name}: got key {key!r}, expected names")
    return value


def _count_layers(state):
    if not any(re.fullmatch(r"wh\.\d+\.weight", key) for key in state):
        raise ValueError(
            "no wh.0.weight: this is not the checkpoint of a PyTorch-Kaldi "
            f"liGRU. It has {', '.join(list(state)[:5]) or 'nothing'}"
        )
    matches = (re.match(r"(?:bn_)?[wu][hz]\.(\d+)\.", key) for key in state)
    found = sorted({int(match[1]) for match in matches if match})
    if found != list(range(len(found))):
        raise ValueError(
            f"state_dict: got layers {', '.join(map(str, found))}, expected "
            "all from 0 on"
        )
    return len(found)


def _entries(i):
    """Names of layer ``i``: weights, biases, batch norms, layer norm."""
    return (
        [f"{kind}{gate}.{i}.weight" for kind in "wu" for gate in "hz"],
        [f"w{gate}.{i}.bias" for gate in "hz"],
        [f"bn_w{gate}.{i}.{key}" for gate in "hz" for key in _NORM_KEYS],
        [f"ln.{i}.gamma", f"ln.{i}.beta"],
    )


def _needed(state, i):
    """Names that layer ``i`` must have, given those that it has."""
    weights, *others = _entries(i)
    # Biases, norms and the layer norm are there wholly or not at all.
    parts = [names for names in others if any(n in state for n in names)]
    biases, norms, _ = others
    if biases not in parts and norms not in parts:
        parts.append(norms)
    return sum(parts, weights)


def _check_entries(state, count):
    """Checks that all entries are there, no others, and are tensors."""
    needed = [name for i in range(count) for name in _needed(state, i)]
    lacking = [name for name in needed if name not in state]
    if lacking:
        raise ValueError(f"state_dict: lacks {', '.join(lacking)}")
    known = {n for i in range(count) for part in _entries(i) for n in part}
    for name, value in state.items():
        if name.endswith(".num_batches_tracked"):
            continue
        if name not in known:
            # PyTorch-Kaldi's GRU, for one, has all of ours and a third gate.
            raise ValueError(
                f"state_dict: got {name}, which a PyTorch-Kaldi liGRU lacks"
            )
        if not (torch.is_tensor(value) and value.is_floating_point()):
            came = getattr(value, "dtype", type(value).__name__)
            raise TypeError(
                f"{name}: got {came}, expected a floating point tensor"
            )


def _one_dropout(dropout, count, nonlinearity):
    """The rate of all layers."""
    several = isinstance(dropout, (list, tuple))
    rates = list(dropout) if several else [dropout] * count
    for rate in rates:
        if not isinstance(rate, Real):
            raise TypeError(
                f"dropout: got {dropout!r}, expected a number or a list of "
                "numbers"
            )
        if not 0 <= rate < 1:
            raise ValueError(f"dropout: got {rate}, expected 0 to below 1")
    if len(rates) != count:
        raise ValueError(
            f"dropout: got {len(rates)} rates, expected {count}, one a layer"
        )
    if len(set(rates)) > 1:
        raise ValueError(
            f"dropout: got {dropout}, expected equal rates: our layers share "
            "one"
        )
    if rates[0] and nonlinearity != "relu":
        raise ValueError(
            f"dropout: got {rates[0]} with {nonlinearity}; PyTorch-Kaldi "
            "scales the candidate in evaluation, which only a relu lets us "
            "put into the weights. Give 0 if it was trained without"
        )
    return float(rates[0])


def _sizes(state, count):
    """Units of every layer and features of the first."""
    for i in range(count):
        shape = list(state[f"wh.{i}.weight"].shape)
        if len(shape) != 2:
            raise ValueError(
                f"wh.{i}.weight: got shape {shape}, expected [units, inputs]"
            )
    sizes = [state[f"wh.{i}.weight"].shape[0] for i in range(count)]
    if len(set(sizes)) > 1:
        raise ValueError(f"ligru_lay: layers of different sizes, {sizes}")
    return tuple(state["wh.0.weight"].shape)


def _directions(state, count, hidden, bidirectional):
    if count == 1:
        if bidirectional is None:
            raise ValueError(
                "bidirectional: one layer does not show it, give True or False"
            )
        return 2 if bidirectional else 1
    shape = list(state["wh.1.weight"].shape)
    allowed = [[hidden, hidden], [hidden, 2 * hidden]]
    if shape not in allowed:
        raise ValueError(
            f"wh.1.weight: got shape {shape}, expected {allowed[0]} or, "
            f"bidirectional, {allowed[1]}"
        )
    found = 1 + allowed.index(shape)
    if bidirectional not in (None, found == 2):
        raise ValueError(
            f"bidirectional: got {bidirectional}, but the second layer reads "
            f"{found} direction(s)"
        )
    return found


def _expect_shape(state, name, want):
    got = list(state[name].shape)
    if got != want:
        raise ValueError(f"{name}: got shape {got}, expected {want}")


def _check_shapes(state, count, hidden, features, directions):
    inputs = features
    for i in range(count):
        weights, *vectors = _entries(i)
        for name in weights:
            _expect_shape(
                state, name, [hidden, inputs if name[0] == "w" else hidden]
            )
        for name in sum(vectors, []):
            if name in state:
                _expect_shape(state, name, [hidden])
        inputs = directions * hidden


def _check_state_norm(state, count):
    for i in range(count):
        gain, bias = state.get(f"ln.{i}.gamma"), state.get(f"ln.{i}.beta")
        # The norm is in every checkpoint, but used and trained in few.
        if gain is not None and ((gain != 1).any() or bias.any()):
            raise ValueError(
                f"ln.{i}: trained with ligru_use_laynorm, a layer norm on the "
                "state itself, which our layer does not have"
            )


def _has_batch_norm(state, i):
    """Whether layer ``i`` was normalised.

    Its batch norms are in the checkpoint either way, unless somebody took
    them out. Only a layer without has biases; an older version had them with
    a norm too, and its statistics show that it ran.
    """
    if f"wh.{i}.bias" not in state:
        return True
    if f"bn_wh.{i}.weight" not in state:
        return False
    mean, var = (state[f"bn_wh.{i}.running_{k}"] for k in ("mean", "var"))
    return bool(mean.any() or (var != 1).any())


@torch.no_grad()
def _fill(layer, state, i, scale):
    """Copies layer ``i``; the candidate comes before the gate.

    ``scale * relu(a) = relu(scale * a)`` for the candidate's input ``a``.
    """

    def both(names, key, candidate=1.0):
        h, z = (state[f"{name}.{i}.{key}"] for name in names)
        return torch.cat([candidate * h, z])

    biased = f"wh.{i}.bias" in state
    layer.u.weight.copy_(both(("uh", "uz"), "weight", scale))
    if layer.batch_norm:
        norms = ("bn_wh", "bn_wz")
        layer.w.weight.copy_(both(("wh", "wz"), "weight"))
        layer.norm.weight.copy_(both(norms, "weight", scale))
        layer.norm.bias.copy_(both(norms, "bias", scale))
        layer.norm.running_var.copy_(both(norms, "running_var"))
        mean = both(norms, "running_mean")
        if biased:
            # A bias before a batch norm moves its mean and nothing else.
            mean = mean - both(("wh", "wz"), "bias")
        layer.norm.running_mean.copy_(mean)
        return
    layer.w.weight.copy_(both(("wh", "wz"), "weight", scale))
    # Not normalised: the projection keeps a bias, which ours has not.
    layer.w.bias = torch.nn.Parameter(both(("wh", "wz"), "bias", scale))
