"""Which recurrent layer an experiment runs, and by what."""

import inspect

import torch

from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.auto import PROVEN_ON
from speechbrain_ligru_fast.backends.spec import ScanSpec
from speechbrain_ligru_fast.layers import LiGRU, SLiGRU

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def describe_recurrent(encoder, device_type, precision="fp32", scripted=False):
    """The cells ``rnn`` and ``impl`` of a result row, as a dict.

    Arguments
    ---------
    encoder : torch.nn.Module
        A CRDNN or what holds one; itself not scripted.
    device_type, precision : str
        ``cpu`` or ``cuda``; fp32, fp16 or bf16.
    scripted : bool
        Whether the encoder is run as torch.jit.script made it.

    Example
    -------
    >>> from speechbrain.lobes.models.CRDNN import CRDNN
    >>> from speechbrain.nnet.RNN import LSTM
    >>> encoder = CRDNN(input_shape=[2, 15, 60], rnn_class=LSTM, rnn_neurons=4)
    >>> describe_recurrent(encoder, "cpu")
    {'rnn': 'LSTM', 'impl': 'torch'}

    Of one that is not told the lengths, ``impl`` is ``torch-padded``.
    """
    # By the name that SpeechBrain's lobes give it
    modules = dict(encoder.named_modules()).items()
    found = [m for name, m in modules if name.rpartition(".")[2] == "RNN"]
    if not found:
        raise ValueError(f"{type(encoder).__name__} has no module named RNN")
    rnn = found[0]
    if isinstance(rnn, (LiGRU, SLiGRU)):
        layer, dtype = rnn.rnn[0], getattr(torch, _DTYPES[precision])
        spec = ScanSpec(
            rnn.nonlinearity, rnn.directions, layer.stabilised, layer.eps
        )
        if rnn.backend == "auto" and device_type in PROVEN_ON:
            # Each size of a batch has its own: the log says which.
            impl = "auto"
        else:
            backend = choose(rnn.backend, device_type, dtype, spec)
            impl = backend.__name__.rpartition(".")[2]
    elif type(rnn).__name__ in ("LiGRU", "SLiGRU"):
        impl = "speechbrain-jit" if scripted else "speechbrain"
    else:
        # SpeechBrain's other layers wrap torch's.
        told = "lengths" in inspect.signature(rnn.forward).parameters
        impl = "torch" if told else "torch-padded"
    return {"rnn": type(rnn).__name__, "impl": impl}
