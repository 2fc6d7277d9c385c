"""SpeechBrain's names: what makes them stand for the fast layers.

Its own classes stay where they are, under their names: pickle finds a class by
its name, and what it loads from and saves to files are SpeechBrain's layers.
"""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
import functools
import inspect
import sys

import speechbrain as sb
from speechbrain.nnet import RNN as stock_rnn

from speechbrain_ligru_fast import layers

# What ``register`` answers to in a YAML file: this package's lobe.
LOBE_NAME = "speechbrain.lobes.models.ligru_fast"

FAST = {"LiGRU": layers.LiGRU, "SLiGRU": layers.SLiGRU}
STOCK = {name: getattr(stock_rnn, name) for name in FAST}

# Class of SpeechBrain -> class that it makes objects of.
_made: dict[type, type] = {}


def register(replace: bool = False) -> None:
    """Makes the fast layers resolvable by SpeechBrain names.

    Afterwards ``!new:speechbrain.lobes.models.ligru_fast.CRDNN`` (and
    ``.LiGRU``, ``.SLiGRU``) works in any YAML.

    Arguments
    ---------
    replace : bool
        Whether ``speechbrain.nnet.RNN.LiGRU(...)`` and ``SLiGRU(...)`` make
        fast layers too, so that unmodified recipes use them. ``False``
        undoes an earlier replacement.

    Example
    -------
    >>> register()
    >>> from speechbrain.lobes.models.ligru_fast import CRDNN
    >>> register(replace=True)
    >>> type(stock_rnn.LiGRU(4, [2, 5, 3])).__module__
    'speechbrain_ligru_fast.layers.ligru'
    >>> register(replace=False)
    """
    lobe = sys.modules[__package__]
    sys.modules[LOBE_NAME] = lobe
    sb.lobes.models.ligru_fast = lobe
    _replace(replace)


def _replace(wanted):
    """Has SpeechBrain's classes make fast layers when they are called."""
    for name, stock in STOCK.items():
        if "__new__" not in vars(stock):
            stock.__new__ = _maker(stock)
        if wanted:
            _made[stock] = FAST[name]
        else:
            _made.pop(stock, None)
        # CRDNN asks it for an argument ``backend``.
        maker = vars(stock)["__new__"].__func__
        maker.__signature__ = inspect.signature(
            _made.get(stock, stock).__init__
        )


def _maker(stock):
    @functools.wraps(stock.__init__)
    def make(cls, *args, **kwargs):
        # Without arguments it is pickle or copy that asks, for an object to
        # fill; a subclass may compute something else.
        if (args or kwargs) and cls in _made:
            return _made[cls](*args, **kwargs)
        return object.__new__(cls)

    return staticmethod(make)


def make_stock(name, **arguments):
    """One of SpeechBrain's layers, also while its class makes others.

    Example
    -------
    >>> layer = make_stock("LiGRU", hidden_size=4, input_shape=[2, 5, 3])
    >>> type(layer).__module__
    'speechbrain.nnet.RNN'
    """
    layer = object.__new__(STOCK[name])
    layer.__init__(**arguments)
    return layer
