"""From JSON manifests to batches of audio and tokens."""

import functools
import logging

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler

from speechbrain_ligru_fast.asr.audio import AudioReader, audio_info
from speechbrain_ligru_fast.asr.text import few, read_manifest, read_texts
from speechbrain_ligru_fast.asr.token_checks import check_tokens

logger = logging.getLogger(__name__)

_SORTINGS = ("random", "ascending", "descending")


def make_dataset(manifest, hparams, stage, shortest=0.0):
    """A dataset of ``id, sig, text, tokens, tokens_bos, tokens_eos``.

    Arguments
    ---------
    manifest : path-like
        JSON, utterance id -> wav, duration and the transcript.
    hparams : dict
        Of the experiment: data_folder, text, tokenizer, bos_index, eos_index,
        sample_rate, sorting, max_duration, max_bad_fraction and, if there
        are any, speeds.
    stage : speechbrain.Stage
    shortest : float
        Seconds that the network needs at least.

    Returns
    -------
    DynamicItemDataset

    Raises
    ------
    ValueError
        For a manifest that training or scoring could not use.
    """
    key = hparams["text"]
    texts = read_texts(manifest, key)
    tokenizer = hparams["tokenizer"]
    fatal = stage != sb.Stage.TEST
    check_tokens(tokenizer, texts.items(), manifest, fatal)

    dataset = DynamicItemDataset(_items(manifest, hparams["data_folder"]))
    if stage == sb.Stage.TRAIN:
        dataset = _select(dataset, manifest, hparams, shortest)
    else:
        short = _lasting(dataset, lambda seconds: seconds < shortest)
        if short:
            raise ValueError(
                f"manifest {manifest}: {few(short)} shorter than the "
                f"{shortest:.4f} s that the network needs"
            )
        # Long ones first: memory runs out at once or not at all.
        dataset = dataset.filtered_sorted(sort_key="duration", reverse=True)
    _tell_format(dataset, hparams["sample_rate"])
    # What is here must pickle: data loading processes may be spawned.
    dataset.add_dynamic_item(AudioReader(hparams["sample_rate"]), "wav", "sig")
    dataset.add_dynamic_item(
        functools.partial(
            _text_items, tokenizer, hparams["bos_index"], hparams["eos_index"]
        ),
        key,
        ["text", "tokens_bos", "tokens_eos", "tokens"],
    )
    dataset.set_output_keys(
        ["id", "sig", "text", "tokens_bos", "tokens_eos", "tokens"]
    )
    return dataset


def _items(manifest, data_folder):
    """A manifest's items with what ``{data_root}`` stands for.

    In audio paths only: a transcript may hold braces.
    """
    items = read_manifest(manifest)
    for item in items.values():
        wav = item["wav"]
        if isinstance(wav, dict):
            path = _path(wav["file"], data_folder)
            item["wav"] = {**wav, "file": path}
        else:
            item["wav"] = _path(wav, data_folder)
    return items


def _path(wav, data_folder):
    return wav.replace("{data_root}", str(data_folder))


def _text_items(tokenizer, bos, eos, text):
    yield text
    tokens = tokenizer.encode_as_ids(text)
    yield torch.LongTensor([bos, *tokens])
    yield torch.LongTensor([*tokens, eos])
    yield torch.LongTensor(tokens)


def _frames(hop, item):
    return item["duration"] / hop


def loader_options(dataset, hparams, stage):
    """The DataLoader arguments of a stage.

    Arguments
    ---------
    dataset : DynamicItemDataset
        Of that stage.
    hparams : dict
        Of the experiment.
    stage : speechbrain.Stage

    Returns
    -------
    dict
    """
    if stage != sb.Stage.TRAIN:
        name = "valid" if stage == sb.Stage.VALID else "test"
        return dict(hparams[f"{name}_dataloader_opts"])
    options = dict(hparams["train_dataloader_opts"])
    if not hparams["dynamic_batching"]:
        return options | {"shuffle": hparams["sorting"] == "random"}
    sampler = DynamicBatchSampler(
        dataset,
        length_func=functools.partial(_frames, hparams["feats_hop_size"]),
        **hparams["dynamic_batch_sampler"],
    )
    options.pop("batch_size", None)
    return options | {"batch_sampler": sampler}


def _lasting(dataset, condition):
    """Names of the utterances whose duration meets a condition."""
    return [
        name
        for name, item in dataset.data.items()
        if condition(item["duration"])
    ]


def _select(dataset, manifest, hparams, shortest):
    """The training utterances of a length to train on, in order."""
    sorting, limit = hparams["sorting"], hparams["max_duration"]
    if sorting not in _SORTINGS:
        raise ValueError(
            f"sorting must be one of {', '.join(_SORTINGS)}, got {sorting!r}"
        )
    if not isinstance(limit, (int, float)) or not limit > 0:
        raise ValueError(
            f"max_duration must be a number of seconds above 0, got {limit!r}"
        )
    # Speed perturbation, in percent, shortens them.
    shortest *= max(hparams.get("speeds", [100])) / 100
    _leave_out(
        {
            f"longer than max_duration={limit} s": _lasting(
                dataset, lambda seconds: seconds > limit
            ),
            f"shorter than the {shortest:.4f} s that the network needs": (
                _lasting(dataset, lambda seconds: seconds < shortest)
            ),
        },
        *(len(dataset), manifest, hparams["max_bad_fraction"]),
    )
    order = {} if sorting == "random" else {"sort_key": "duration"}
    return dataset.filtered_sorted(
        key_min_value={"duration": shortest},
        key_max_value={"duration": limit},
        reverse=sorting == "descending",
        **order,
    )


def _leave_out(found, count, manifest, max_bad_fraction):
    """Warns of utterances that are not trained on; refuses too many.

    Each is counted once, for what is too short may be too long as well.
    """
    names = set().union(*found.values())
    what = "; ".join(
        f"{len(out)} of {count} utterances are {why} ({few(out)})"
        for why, out in found.items()
        if out
    )
    if len(names) == count:
        raise ValueError(
            f"manifest {manifest}: {what}, which leaves none to train on"
        )
    if len(names) > max_bad_fraction * count:
        raise ValueError(
            f"manifest {manifest}: {what}, more than max_bad_fraction="
            f"{max_bad_fraction} allows"
        )
    if names:
        logger.warning("Left out of training: %s", what)


def _tell_format(dataset, sample_rate):
    """Say of one file what the preparation has said of all."""
    wav = dataset.data[dataset.data_ids[0]]["wav"]
    path = wav["file"] if isinstance(wav, dict) else wav
    info = audio_info(path)
    if info.sample_rate != sample_rate or info.channels != 1:
        logger.warning(
            "%s is %s: what is not %d Hz mono is resampled, and the mean of "
            "its channels taken, when it is read",
            path,
            info.format,
            sample_rate,
        )
