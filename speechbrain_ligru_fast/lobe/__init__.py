"""The CRDNN lobe, and ways to put the fast layers where SpeechBrain's are."""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
from speechbrain_ligru_fast.layers import LiGRU, SLiGRU
from speechbrain_ligru_fast.lobe.crdnn import CRDNN
from speechbrain_ligru_fast.lobe.speechbrain_names import register
from speechbrain_ligru_fast.lobe.swap import accelerate, restore

__all__ = ["CRDNN", "LiGRU", "SLiGRU", "accelerate", "register", "restore"]
