"""Datasheet limits of one GPU per architecture, and what it multiplies."""

from speechbrain_ligru_fast.backends.cuda.plan import Limits

DEVICES = {
    "sm_75": Limits((7, 5), 40, 65536),
    "sm_80": Limits((8, 0), 108, 166912),
    "sm_86": Limits((8, 6), 84, 101376),
    "sm_89": Limits((8, 9), 128, 101376),
    "sm_90": Limits((9, 0), 132, 232448, 16),
    "sm_100": Limits((10, 0), 148, 232448, 16),
    "sm_120": Limits((12, 0), 170, 101376, 8),
}
H100 = DEVICES["sm_90"]


def operands(arch):
    """Types of a product's operands."""
    half = ("fp16",) if arch == "sm_75" else ("fp16", "bf16", "tf32")
    return ("fp32", *half)
