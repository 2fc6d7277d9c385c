"""Corpora: one module each, all read into the same JSON manifest.

A manifest maps an utterance id to ``wav`` (a path that starts with
``{data_root}/``, filled in by SpeechBrain's ``replacements``), ``duration``
(seconds), ``spk_id`` and ``wrd``; corpora with labelled phones add ``phn``
and ``ground_truth_phn_ends``. Whatever a corpus says of its utterances becomes
an Utterance first (utterance.py), whose audio is checked when the manifests are
written (manifest.py).
"""
