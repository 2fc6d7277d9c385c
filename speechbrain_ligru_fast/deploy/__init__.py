"""A trained recogniser in a folder: written, checked, loaded and run.

A training (speechbrain_ligru_fast.asr) ends by writing such a folder. What is
here knows nothing of training: the folder's YAML names what is run.
"""

from speechbrain_ligru_fast import installed  # noqa: F401
