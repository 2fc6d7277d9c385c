"""Which recurrent layer an experiment runs, and by what."""

import torch

from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.spec import ScanSpec


def describe_recurrent(hparams, device_type, scripted=False):
    """The ``rnn`` and ``impl`` cells of a result row.

    Arguments
    ---------
    hparams : dict
        Of the experiment: rnn_class, backend.
    device_type : str
        ``cpu`` or ``cuda``.
    scripted : bool
        Whether the encoder is, by torch.jit.script.

    Returns
    -------
    dict

    Example
    -------
    >>> from speechbrain.nnet.RNN import LSTM
    >>> describe_recurrent({"rnn_class": LSTM, "backend": "auto"}, "cpu")
    {'rnn': 'LSTM', 'impl': 'torch'}
    """
    cls = hparams["rnn_class"]
    # HyperPyYAML's !name: gives a partial.
    cls = getattr(cls, "func", cls)
    package = cls.__module__.partition(".")[0]
    if package == "speechbrain_ligru_fast":
        backend = choose(
            hparams["backend"], device_type, torch.float32, ScanSpec()
        )
        impl = backend.__name__.rpartition(".")[2]
    elif package == "speechbrain" and cls.__name__ in ("LiGRU", "SLiGRU"):
        impl = "speechbrain-jit" if scripted else "speechbrain"
    else:
        # SpeechBrain's other layers wrap torch's.
        impl = "torch"
    return {"rnn": cls.__name__, "impl": impl}
