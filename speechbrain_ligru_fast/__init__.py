"""Fast LiGRU and SLiGRU layers, drop-in for SpeechBrain."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that holds it. Resolved on first use (PEP 562), so
# that importing the package costs nothing and needs no optional library.
_PUBLIC = {
    "LiGRU": "layers",
    "SLiGRU": "layers",
    "ligru_scan": "scan.operator",
    "available_backends": "backends",
    "register": "lobe",
    "accelerate": "lobe",
    "restore": "lobe",
    "from_pytorch_kaldi": "pytorch_kaldi",
}

__all__ = [*_PUBLIC, "__version__"]

# What _PUBLIC says, for those who read types and do not run.
if TYPE_CHECKING:
    from speechbrain_ligru_fast.backends import (
        available_backends as available_backends,
    )
    from speechbrain_ligru_fast.layers import LiGRU as LiGRU
    from speechbrain_ligru_fast.layers import SLiGRU as SLiGRU
    from speechbrain_ligru_fast.lobe import accelerate as accelerate
    from speechbrain_ligru_fast.lobe import register as register
    from speechbrain_ligru_fast.lobe import restore as restore
    from speechbrain_ligru_fast.pytorch_kaldi import (
        from_pytorch_kaldi as from_pytorch_kaldi,
    )
    from speechbrain_ligru_fast.scan.operator import ligru_scan as ligru_scan


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
