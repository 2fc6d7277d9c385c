"""Fast Li-GRU and SLi-GRU, alone, in a CRDNN and in models that exist.

In a YAML file they take the place of SpeechBrain's layers::

    rnn_class: !name:speechbrain.integrations.ligru_fast.layers.SLiGRU

References: "Light Gated Recurrent Units for Speech Recognition"
(https://arxiv.org/abs/1803.10225), "Stabilising and accelerating light gated
recurrent units for automatic speech recognition"
(https://arxiv.org/abs/2302.10144).

Example
-------
The layers have the arguments, parameters and results of those in
``speechbrain.nnet.RNN``, and a backend that is chosen by itself:

>>> import torch
>>> inputs = torch.rand([4, 10, 20])
>>> net = LiGRU(hidden_size=5, input_shape=inputs.shape)
>>> output, hidden = net(inputs)
>>> output.shape
torch.Size([4, 10, 5])

Relative lengths keep padding out of the backward direction and of the
normalisation's statistics:

>>> net = SLiGRU(hidden_size=5, input_shape=inputs.shape, bidirectional=True)
>>> lengths = torch.tensor([1.0, 0.9, 0.6, 0.5])
>>> output, hidden = net(inputs, lengths=lengths)
>>> output[3, 5:].abs().max().item()
0.0

A trained model is made fast in place; ``restore`` is the way back:

>>> from speechbrain.nnet import RNN
>>> trained = RNN.LiGRU(hidden_size=5, input_shape=inputs.shape).eval()
>>> expected, _ = trained(inputs)
>>> output, _ = accelerate(trained)(inputs)
>>> torch.allclose(output, expected, atol=1e-5)
True
"""

from speechbrain_ligru_fast import LiGRU, SLiGRU, accelerate, restore
from speechbrain_ligru_fast.lobe import CRDNN

__all__ = ["CRDNN", "LiGRU", "SLiGRU", "accelerate", "restore"]
