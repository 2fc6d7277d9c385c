"""From the class that a YAML names as ``rnn_class`` to a layer in a CRDNN."""

import inspect

from speechbrain_ligru_fast.layers import LiGRU, SLiGRU


def _accepts(function, argument):
    return argument in inspect.signature(function).parameters


def mark(rnn):
    """A layer, marked for CRDNN.forward if it takes lengths."""
    # An attribute can be read under torch.jit.script, too.
    if _accepts(rnn.forward, "lengths"):
        rnn.takes_lengths = True
    return rnn


def layer_maker(rnn_class, backend, built):
    """What CRDNN calls for its recurrent layer: ``rnn_class``, and a backend.

    What it builds is a key of ``built`` and runs by ``auto`` until the backend
    that ``built`` holds for it is set: speechbrain's containers run it once,
    on the CPU, where those for GPUs can't.
    """

    def build(*args, **kwargs):
        # A backend set on rnn_class itself stays.
        if backend != "auto" and _accepts(rnn_class, "backend"):
            kwargs["backend"] = backend
        rnn = mark(rnn_class(*args, **kwargs))
        fast = isinstance(rnn, (LiGRU, SLiGRU))
        built[rnn] = rnn.backend if fast else None
        if fast:
            rnn.set_backend("auto")
        return rnn

    # speechbrain's containers pass input_shape only to who asks for it.
    build.__signature__ = inspect.signature(rnn_class)
    return build
