"""Swaps the layers of a model in memory: SpeechBrain's for ours and back."""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
import logging

import torch

from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE
from speechbrain_ligru_fast.lobe.rnn_class import mark
from speechbrain_ligru_fast.lobe.speechbrain_names import (
    FAST,
    STOCK,
    make_stock,
)

logger = logging.getLogger(__name__)

# What stock's layers hold as ``act``: modules by type, or a function.
_NONLINEARITIES = {
    torch.nn.ReLU: "relu",
    torch.nn.Tanh: "tanh",
    torch.nn.LeakyReLU: "leaky_relu",
    torch.sin: "sin",
}


def _nonlinearity(layer):
    """Name of what one layer, of either version, activates candidates with."""
    if not hasattr(layer, "act"):
        return layer.nonlinearity
    act = layer.act
    name = _NONLINEARITIES.get(
        type(act) if isinstance(act, torch.nn.Module) else act
    )
    if name is None or getattr(act, "negative_slope", LEAKY_SLOPE) != (
        LEAKY_SLOPE
    ):
        raise ValueError(
            f"act: got {act}, which the fast layers do not have; allowed are "
            f"ReLU, Tanh, LeakyReLU({LEAKY_SLOPE}) and torch.sin"
        )
    return name


def _dropout(layer):
    """The rate that one layer, of either version, drops out with."""
    return layer.drop.p if hasattr(layer, "drop") else layer.dropout


def _arguments(rnn):
    """Constructor arguments that both versions of a layer share.

    Of what users may change later, what the first layer computes with: the
    attributes of ``rnn`` are no more than what it was built with.
    """
    # SpeechBrain takes its size of a batch for that of a given state.
    batch = getattr(rnn, "batch_size", None) or 8
    shape = [batch, 1, int(rnn.fea_dim)] + ([1] if rnn.reshape else [])
    names = ["hidden_size", "num_layers", "bias", "bidirectional"]
    for name in ("normalization", "ff_normalization"):
        names += [name] if hasattr(rnn, name) else []
    if hasattr(rnn, "recurrent_elementwise_affine"):
        names.append("recurrent_elementwise_affine")
    arguments = {name: getattr(rnn, name) for name in names}
    return {
        **arguments,
        "nonlinearity": _nonlinearity(rnn.rnn[0]),
        "dropout": _dropout(rnn.rnn[0]),
        "input_shape": shape,
        "re_init": False,
    }


# Dictionaries, so that a handle that a user holds can still remove its hook.
_HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_pre_hooks",
    "_backward_hooks",
)


def _take_over(old, new):
    """Gives module ``new`` what users set on ``old``: hooks and mode."""
    for name in _HOOKS:
        setattr(new, name, getattr(old, name))
    new._is_full_backward_hook = old._is_full_backward_hook
    # Only of what stays here: parts that move are frozen or not on their own.
    new.train(old.training)


def _set_options(old, new):
    """Has layer ``new`` compute with the dropout and activation of ``old``."""
    rate, name = _dropout(old), _nonlinearity(old)
    if hasattr(new, "act"):
        (act,) = (a for a, n in _NONLINEARITIES.items() if n == name)
        # A function is not let in place of a module.
        del new.act
        new.act = act() if isinstance(act, type) else act
        if new.drop.p != rate:
            new.dropout = rate
            # Its masks are drawn in advance.
            new._init_drop()
    else:
        new.nonlinearity, new.dropout = name, rate


def _move_weights(source, target):
    """Gives ``target`` the very parameter tensors of ``source``."""
    _take_over(source, target)
    for old, new in zip(source.rnn, target.rnn):
        _take_over(old, new)
        _set_options(old, new)
        new.to(device=old.h_init.device, dtype=old.h_init.dtype)
        for name in ("w", "u", "norm", "layer_norm"):
            if hasattr(old, name):
                setattr(new, name, getattr(old, name))
        new.h_init = old.h_init
    target.re_init = source.re_init


def _warn_of_nothing(module, classes):
    names = (f"{cls.__module__}.{cls.__name__}" for cls in classes)
    scripted = ""
    if any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        scripted = "; scripted modules stay as they are: swap, then script"
    logger.warning(
        "No layer swapped: %s holds no %s%s",
        type(module).__name__,
        " or ".join(names),
        scripted,
    )


def _swap(module, classes, build):
    """Replaces every instance of ``classes`` in ``module``."""
    new = {m: build(m) for m in module.modules() if type(m) in classes}
    for other in module.modules():
        if isinstance(other, classes) and type(other) not in classes:
            logger.warning(
                "%s stays: a subclass of %s may compute something else",
                type(other).__name__,
                type(other).__mro__[1].__name__,
            )
    if new:
        logger.info("Layers swapped: %d", len(new))
    else:
        _warn_of_nothing(module, classes)
    for old, swapped in new.items():
        # A layer that was not told the lengths is not told them now: the
        # model's results stay what they were.
        if hasattr(old, "takes_lengths"):
            mark(swapped)
    # A layer may have more than one parent, or one parent twice.
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child in new:
                setattr(parent, name, new[child])
    return new.get(module, module)


def accelerate(
    module: torch.nn.Module, backend: str = "auto", recompute: bool = False
) -> torch.nn.Module:
    """Swaps every stock LiGRU and SLiGRU inside a model for a fast one.

    The model's results stay what they were: a CRDNN that was built with a
    stock layer goes on without handing it the lengths.

    Arguments
    ---------
    module : torch.nn.Module
        A model, changed in place, or a stock layer itself. Parameters stay
        the same objects, so that optimizers and checkpoints go on; forward
        and backward hooks stay, too. A subclass of a stock layer is left
        alone, with a warning, and so is a layer that a model also holds where
        modules don't count, as in a list. A warning says, too, if nothing
        was swapped; scripted modules can't be.
    backend : str
        Backend of the fast layers.
    recompute : bool
        Whether they compute the gates again in the backward.

    Returns
    -------
    torch.nn.Module
        ``module``, or its replacement if it was a stock layer itself.

    Raises
    ------
    ValueError
        For a layer whose ``act`` is none of the four nonlinearities.

    Example
    -------
    >>> from speechbrain.nnet.RNN import LiGRU as Stock
    >>> stock = Stock(hidden_size=4, input_shape=[2, 5, 3])
    >>> type(accelerate(stock)).__module__
    'speechbrain_ligru_fast.layers.ligru'
    """

    def build(stock):
        fast = FAST[type(stock).__name__](
            **_arguments(stock), backend=backend, recompute=recompute
        )
        _move_weights(stock, fast)
        return fast

    return _swap(module, tuple(STOCK.values()), build)


def restore(module: torch.nn.Module) -> torch.nn.Module:
    """Swaps every fast layer inside a model back for SpeechBrain's.

    Arguments
    ---------
    module : torch.nn.Module
        A model, changed in place, or a fast layer itself.

    Returns
    -------
    torch.nn.Module
        ``module``, or its replacement if it was a fast layer itself.

    Raises
    ------
    ValueError
        For a layer that stock can't express (normalization="identity").

    Example
    -------
    >>> from speechbrain_ligru_fast import SLiGRU
    >>> fast = SLiGRU(hidden_size=4, input_shape=[2, 5, 3])
    >>> type(restore(fast)).__module__
    'speechbrain.nnet.RNN'
    """

    def build(fast):
        arguments = _arguments(fast)
        if any(isinstance(layer.norm, torch.nn.Identity) for layer in fast.rnn):
            raise ValueError(
                "normalization: got 'identity', which SpeechBrain's layer "
                "does not have; allowed are batchnorm and layernorm"
            )
        stock = make_stock(type(fast).__name__, **arguments)
        _move_weights(fast, stock)
        return stock

    return _swap(module, tuple(FAST.values()), build)
