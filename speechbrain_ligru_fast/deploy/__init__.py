"""What turns a trained model into something that is used.

A recogniser in a folder: written (export), checked before it is loaded
(trust), run on files (transcribe) and on audio as it arrives (streaming). It,
or any model, in other formats (recognizer, onnx, portable). Nothing here knows
of training: a training (speechbrain_ligru_fast.asr) ends by writing a folder,
whose YAML names what is run.
"""

from speechbrain_ligru_fast import installed  # noqa: F401
