"""Recognisers trained with CTC and attention: what the recipes share.

A run, in its order: config reads what is asked for, preparation says on which
data, preflight checks it, experiment trains (brain, checkpoints) and tests,
report prints the rows.

What it is made of: manifests, audio and tokens (text, files, audio, augment,
tokenizer, data) and the language model (lm_text, lm). corpora reads data of
many kinds. What is trained is in speechbrain_ligru_fast.recognition, what any
training needs in speechbrain_ligru_fast.training.
"""

import importlib

from speechbrain_ligru_fast import installed  # noqa: F401

_MOVED = dict.fromkeys(
    ("decoding", "encoding", "features", "padded", "search"), "recognition"
) | {"sincnet": "lobe"}


def __getattr__(name):
    """Modules by the names that YAML files of earlier versions have."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(
        f"speechbrain_ligru_fast.{_MOVED[name]}.{name}"
    )
