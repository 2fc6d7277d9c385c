"""From a PyTorch-Kaldi liGRU checkpoint to our layer.

PyTorch-Kaldi (arXiv 1811.07453) holds the candidate's and the gate's weights
apart and knows its activation, dropout and directions from a configuration
file, not from the checkpoint.
"""

import re

import torch

from speechbrain_ligru_fast.layers import LiGRU

# The published class has these only if its input is normalised.
_INPUT_NORMS = ("bn0", "ln0")


def from_pytorch_kaldi(
    state_dict,
    nonlinearity="relu",
    dropout=0.0,
    bidirectional=None,
    backend="auto",
):
    """Turns the weights of PyTorch-Kaldi's liGRU into a LiGRU.

    Its output is equal, in evaluation and in training, but for the layout:
    ours is (batch, time, features), theirs (time, batch, features).

    Arguments
    ---------
    state_dict : dict
        What ``torch.load`` gives, or its ``model_par``.
    nonlinearity : str
        relu or tanh, its ``ligru_act``.
    dropout : float
        Its ``ligru_drop``. PyTorch-Kaldi multiplies the candidate by
        ``1 - dropout`` in evaluation, where we scale the mask in training:
        the factor goes into the weights, which takes a relu.
    bidirectional : bool | None
        Its ``ligru_bidir``. None to read it from the second layer's size.
    backend : str
        As in LiGRU.

    Returns
    -------
    LiGRU
        In evaluation mode.

    Raises
    ------
    ValueError
        For what our layer does not have: a layer norm on the state or the
        input, layers of different sizes, other activations.

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
    if dropout and nonlinearity != "relu":
        raise ValueError(
            f"dropout: got {dropout} with {nonlinearity}; PyTorch-Kaldi "
            "scales the candidate in evaluation, which only a relu lets us "
            "put into the weights. Give 0 if it was trained without"
        )
    state = _clean(state_dict)
    count = _count_layers(state)
    hidden, features = state["wh.0.weight"].shape
    bidirectional = _directions(state, count, hidden, bidirectional) == 2
    norms = {_has_batch_norm(state, i) for i in range(count)}
    if len(norms) == 2:
        raise ValueError("ligru_use_batchnorm differs from layer to layer")
    net = LiGRU(
        hidden,
        (1, 1, features),
        nonlinearity=nonlinearity,
        normalization="batchnorm" if norms == {True} else "identity",
        num_layers=count,
        dropout=dropout,
        re_init=False,
        bidirectional=bidirectional,
        backend=backend,
    ).to(state["wh.0.weight"].dtype)
    for i, layer in enumerate(net.rnn):
        _fill(layer, state, i, scale=1.0 - dropout)
    return net.eval()


def _clean(state_dict):
    """The liGRU's own entries, without what wrapped them."""
    state = state_dict.get("model_par", state_dict)
    state = {k.removeprefix("module."): v for k, v in state.items()}
    for name in _INPUT_NORMS:
        if any(key.startswith(f"{name}.") for key in state):
            raise ValueError(
                f"{name}: the checkpoint normalises the liGRU's input, which "
                "our layer does not do. Take these entries out and normalise "
                "the input before it"
            )
    return state


def _count_layers(state):
    found = {
        int(match[1])
        for match in (re.fullmatch(r"wh\.(\d+)\.weight", k) for k in state)
        if match
    }
    if not found:
        raise ValueError(
            "no wh.0.weight: this is not the checkpoint of a PyTorch-Kaldi "
            f"liGRU. It has {', '.join(list(state)[:5]) or 'nothing'}"
        )
    sizes = {state[f"wh.{i}.weight"].shape[0] for i in found}
    if len(sizes) > 1:
        raise ValueError(f"ligru_lay: layers of different sizes, {sizes}")
    for i in found:
        gain, bias = state.get(f"ln.{i}.gamma"), state.get(f"ln.{i}.beta")
        # The norm is in every checkpoint, but used and trained in few.
        if gain is not None and ((gain != 1).any() or bias.any()):
            raise ValueError(
                f"ln.{i}: trained with ligru_use_laynorm, a layer norm on the "
                "state itself, which our layer does not have"
            )
    return len(found)


def _directions(state, count, hidden, bidirectional):
    if count == 1:
        if bidirectional is None:
            raise ValueError(
                "bidirectional: one layer does not show it, give True or False"
            )
        return 2 if bidirectional else 1
    found = state["wh.1.weight"].shape[1] // hidden
    if bidirectional not in (None, found == 2):
        raise ValueError(
            f"bidirectional: got {bidirectional}, but the second layer reads "
            f"{found} direction(s)"
        )
    return found


def _has_batch_norm(state, i):
    """Whether layer ``i`` was normalised.

    Its batch norms are in the checkpoint either way. Only a layer without
    has biases; an older version had them with a norm too, and its statistics
    show that it ran.
    """
    if f"wh.{i}.bias" not in state:
        return True
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
