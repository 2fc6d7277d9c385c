"""LiGRU and SLiGRU, drop-in for SpeechBrain's layers of these names."""

from speechbrain_ligru_fast import installed  # noqa: F401

# isort: split
from speechbrain_ligru_fast.layers.ligru import LiGRU, SLiGRU

__all__ = ["LiGRU", "SLiGRU"]
