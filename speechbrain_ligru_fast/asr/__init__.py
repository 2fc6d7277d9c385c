"""Recognisers trained with CTC and attention: what the recipes share.

A run, in its order: command_line and config read what is asked for,
preparation and fingerprint say on which data, before checks it, experiment
trains (brain, checkpoints) and tests, results keeps the rows.

What it is made of: manifests, audio and tokens (text, files, audio, augment,
tokenizer, data), the recogniser around the CRDNN (features, encoding,
decoding, search) and the language model (lm_text, lm). corpora reads data of
many kinds.
"""

from speechbrain_ligru_fast import installed  # noqa: F401
