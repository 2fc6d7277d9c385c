"""Imported, it registers the operator that scripted and exported models name.

``torch.jit.load`` and ``torch.export.load`` need it in a process that has
built no layer.
"""

from speechbrain_ligru_fast.scan.operator import ligru_scan  # noqa: F401
