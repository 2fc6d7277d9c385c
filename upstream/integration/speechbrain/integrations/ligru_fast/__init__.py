"""Package providing the fast layers of ``speechbrain-ligru-fast``."""

try:
    import speechbrain_ligru_fast  # noqa: F401
except ImportError as e:
    raise ImportError("Please pip install speechbrain-ligru-fast") from e

from speechbrain.utils.importutils import lazy_export_all

lazy_export_all(__file__, __name__, export_subpackages=True)
