"""From JSON manifests to audio and the states of its frames."""

import functools

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from speechbrain_ligru_fast.asr.audio import AudioReader
from speechbrain_ligru_fast.asr.data import place_audio
from speechbrain_ligru_fast.asr.text import few, read_manifest, read_texts
from speechbrain_ligru_fast.hybrid.lexicon import check_words


def read_utterances(manifest, hparams, lexicon, tested=False):
    """The utterances of a manifest that can be used, by their ids.

    Each has what the manifest has, ``wav`` being a path that exists, and its
    transcript as ``said``. Of a test set all are kept: a word that the lexicon
    lacks is an error of the recogniser.
    """
    texts, items = (
        read_texts(manifest, hparams["text"]),
        read_manifest(manifest),
    )
    allowed = 1.0 if tested else hparams["max_bad_fraction"]
    known = check_words(lexicon, texts, allowed, manifest)
    long = {
        key
        for key in known
        if items[key]["duration"] > hparams["max_duration"] and not tested
    }
    if len(long) > allowed * len(known):
        raise ValueError(
            f"manifest {manifest}: {len(long)} of {len(known)} utterances are "
            f"longer than max_duration={hparams['max_duration']} s "
            f"({few(sorted(long))}); max_bad_fraction={allowed} are allowed"
        )
    return {
        key: items[key]
        | {
            "wav": place_audio(items[key]["wav"], str(hparams["data_folder"])),
            "said": texts[key],
        }
        for key in (texts if tested else known)
        if key not in long
    }


@torch.no_grad()
def gmm_features(utterances, hparams):
    """What Gaussians model, each coefficient with mean 0 and variance 1.

    Returns
    -------
    dict
        Utterance id -> numpy.ndarray of (frames, coefficients), float32.
    """
    read, found = AudioReader(hparams["sample_rate"]), {}
    for key, item in utterances.items():
        features = hparams["gmm_features"](read(item["wav"]).unsqueeze(0))[0]
        features = features - features.mean(0)
        features = features / features.std(0, unbiased=False).clamp(min=1e-5)
        found[key] = features.contiguous().numpy()
    return found


def make_dataset(utterances, hparams, stage, states=None):
    """A dataset of ``id, sig, text`` and, but for tests, ``states``.

    Arguments
    ---------
    utterances : dict
        Of `read_utterances`.
    hparams : dict
    stage : speechbrain.Stage
    states : dict, optional
        Utterance id -> torch.LongTensor of (frames,), the pdf of each. Read
        when an utterance is; those without are left out.
    """
    # A copy: SpeechBrain adds the id to each.
    items = {
        key: dict(item)
        for key, item in utterances.items()
        if states is None or key in states
    }
    dataset = DynamicItemDataset(items)
    if stage != sb.Stage.TRAIN:
        dataset = dataset.filtered_sorted(sort_key="duration", reverse=True)
    dataset.add_dynamic_item(AudioReader(hparams["sample_rate"]), "wav", "sig")
    # Not by its key in the manifest, which may be "text".
    dataset.add_dynamic_item(str, "said", "text")
    keys = ["id", "sig", "text"]
    if states is not None:
        found = functools.partial(_states, states)
        dataset.add_dynamic_item(found, "id", "states")
        keys.append("states")
    dataset.set_output_keys(keys)
    return dataset


def _states(states, key):
    return states[key]


def frames_at(ends, frames, hop):
    """The frame after each labelled part, the last one's being the end.

    Arguments
    ---------
    ends : list of int
        In samples.
    frames : int
        Of the utterance.
    hop : float
        Samples from frame to frame.

    Example
    -------
    >>> frames_at([1600, 3300], frames=21, hop=160)
    [10, 21]
    """
    return [min(round(end / hop), frames) for end in ends[:-1]] + [frames]
