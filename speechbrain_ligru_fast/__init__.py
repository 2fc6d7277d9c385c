"""Fast LiGRU and SLiGRU layers, drop-in for SpeechBrain."""

from importlib import import_module

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


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
