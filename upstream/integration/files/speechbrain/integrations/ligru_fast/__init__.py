"""
Package providing the fast Li-GRU and SLi-GRU layers of
``speechbrain-ligru-fast``.

They compute the recurrence in compiled loops on a CPU and in fused kernels on
a GPU, with the parameters and checkpoints of ``speechbrain.nnet.RNN``.
"""

try:
    import speechbrain_ligru_fast  # noqa: F401
except ImportError as e:
    MSG = "Please install speechbrain-ligru-fast to use this module.\n"
    MSG += "pip install speechbrain-ligru-fast"
    raise ImportError(MSG) from e

from speechbrain.utils.importutils import lazy_export_all

lazy_export_all(__file__, __name__, export_subpackages=True)
