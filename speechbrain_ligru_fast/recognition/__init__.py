"""What a trained recogniser runs, and so what its export names.

From waveforms to features (features), the encoder's states and their lengths
(encoding), and texts (search, decoding, and for phones tokenizer). padded has
layers to compare with. Nothing here knows of training or of files.
"""

from speechbrain_ligru_fast import installed  # noqa: F401
