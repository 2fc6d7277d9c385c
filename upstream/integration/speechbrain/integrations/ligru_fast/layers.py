"""Fast Li-GRU and SLi-GRU, alone, in a CRDNN and in models that exist.

References: https://arxiv.org/abs/1803.10225, https://arxiv.org/abs/2302.10144

Example
-------
>>> import torch
>>> from speechbrain.nnet import RNN
>>> inputs = torch.rand([4, 10, 20])
>>> trained = RNN.LiGRU(hidden_size=5, input_shape=inputs.shape).eval()
>>> expected, _ = trained(inputs)
>>> output, _ = accelerate(trained)(inputs)
>>> torch.allclose(output, expected, atol=1e-5)
True
"""

from speechbrain_ligru_fast import LiGRU, SLiGRU, accelerate, restore
from speechbrain_ligru_fast.lobe import CRDNN

__all__ = ["CRDNN", "LiGRU", "SLiGRU", "accelerate", "restore"]
