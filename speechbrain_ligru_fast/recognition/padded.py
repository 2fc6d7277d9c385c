"""SpeechBrain's LSTM and GRU as its own recipes run them, over padding.

Given lengths, they pack a batch for torch, which is as fast on a GPU. On a CPU
torch then takes a loop over time in place of oneDNN, which is many times
slower. A comparison of time has to have both.

What packs here reads every frame: SpeechBrain truncates relative lengths, so
that 29 of 100 frames become 28, and speechbrain_ligru_fast.lobe.CRDNN hands
over lengths of which none is lost. An encoder around these two reads padding,
too.
"""

from speechbrain.nnet import RNN


class LSTM(RNN.LSTM):
    """An LSTM that reads padding as if it were speech.

    Arguments
    ---------
    *args, **kwargs
        See speechbrain.nnet.RNN.LSTM.

    Example
    -------
    >>> import torch
    >>> net = LSTM(hidden_size=5, input_shape=[None, None, 20])
    >>> net(torch.rand(4, 10, 20))[0].shape
    torch.Size([4, 10, 5])
    """

    def forward(self, x, hx=None):
        """As speechbrain.nnet.RNN.LSTM's, but not told the lengths."""
        return super().forward(x, hx=hx)


class GRU(RNN.GRU):
    """A GRU that reads padding as if it were speech.

    Arguments
    ---------
    *args, **kwargs
        See speechbrain.nnet.RNN.GRU.

    Example
    -------
    >>> import torch
    >>> net = GRU(hidden_size=5, input_shape=[None, None, 20])
    >>> net(torch.rand(4, 10, 20))[0].shape
    torch.Size([4, 10, 5])
    """

    def forward(self, x, hx=None):
        """As speechbrain.nnet.RNN.GRU's, but not told the lengths."""
        return super().forward(x, hx=hx)
