"""Hybrid recognisers: a network's posteriors of HMM states, decoded by Kaldi.

A run, in its order: lexicon says what words are made of; language_model makes
an ARPA file; graphs and hmm build what is aligned and searched; gmm aligns from
nothing; data and brain train a network on that alignment, which aligns once
more (alignment); decoding searches; experiment does one after another.

Kaldi's parts come from the packages of the extra ``hybrid``, see packages.
"""

from speechbrain_ligru_fast import installed  # noqa: F401
