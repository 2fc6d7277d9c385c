"""From JSON manifests to batches of audio and tokens."""

import functools
import logging

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler

from speechbrain_ligru_fast.asr.audio import AudioReader
from speechbrain_ligru_fast.asr.text import few, read_manifest, read_texts
from speechbrain_ligru_fast.asr.tokenizer import check_tokens

logger = logging.getLogger(__name__)

_SORTINGS = ("random", "ascending", "descending")
# Two seeds have no order in common before.
_MOST_EPOCHS = 10_000


def make_dataset(manifest, hparams, stage, shortest=0.0):
    """A dataset of ``id, sig, text, tokens, tokens_bos, tokens_eos``.

    Of a manifest (JSON, utterance id -> wav, duration and the transcript) for
    a speechbrain.Stage; `shortest` is how many seconds the network needs at
    least. Raises ValueError for what training or scoring could not use.
    """
    texts = read_texts(manifest, hparams["text"])
    fatal = stage != sb.Stage.TEST
    check_tokens(hparams["tokenizer"], texts.items(), manifest, fatal)
    items = read_manifest(manifest)
    for item in items.values():
        item["wav"] = place_audio(item["wav"], str(hparams["data_folder"]))
    dataset = DynamicItemDataset(items)
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
    # What is here must pickle: data loading processes may be spawned.
    special = (hparams["bos_index"], hparams["eos_index"])
    tokenize = functools.partial(_tokenize, hparams["tokenizer"], *special)
    dataset.add_dynamic_item(AudioReader(hparams["sample_rate"]), "wav", "sig")
    made = ["text", "tokens_bos", "tokens_eos", "tokens"]
    dataset.add_dynamic_item(tokenize, hparams["text"], made)
    dataset.set_output_keys(["id", "sig", *made])
    return dataset


def place_audio(wav, data_folder):
    """An item's audio, with what ``{data_root}`` stands for.

    In paths only, not by SpeechBrain: a transcript may hold braces.
    """
    if isinstance(wav, dict):
        return {**wav, "file": place_audio(wav["file"], data_folder)}
    return wav.replace("{data_root}", data_folder)


def _tokenize(tokenizer, bos, eos, text):
    yield text
    tokens = tokenizer.encode_as_ids(text)
    yield torch.LongTensor([bos, *tokens])
    yield torch.LongTensor([*tokens, eos])
    yield torch.LongTensor(tokens)


def loader_options(dataset, hparams, stage):
    """The DataLoader arguments for the dataset of a stage."""
    if stage != sb.Stage.TRAIN:
        name = "valid" if stage == sb.Stage.VALID else "test"
        return dict(hparams[f"{name}_dataloader_opts"])
    options = dict(hparams["train_dataloader_opts"])
    if not hparams["dynamic_batching"]:
        return options | {"shuffle": hparams["sorting"] == "random"}
    # SpeechBrain's default is one order for all seeds, and adds the epoch.
    given = {"seed": hparams["seed"] * _MOST_EPOCHS}
    sampler = DynamicBatchSampler(
        dataset,
        length_func=functools.partial(_frames, hparams["feats_hop_size"]),
        **given | dict(hparams["dynamic_batch_sampler"]),
    )
    options.pop("batch_size", None)
    return options | {"batch_sampler": sampler}


def _frames(hop, item):
    return item["duration"] / hop


def _lasting(dataset, condition):
    """Names of the utterances whose duration meets a condition."""
    items = dataset.data.items()
    return [name for name, item in items if condition(item["duration"])]


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
    count, allowed = len(dataset), hparams["max_bad_fraction"]
    long = _lasting(dataset, lambda seconds: seconds > limit)
    short = _lasting(dataset, lambda seconds: seconds < shortest)
    what = "; ".join(
        f"{len(names)} of {count} utterances are {why} ({few(names)})"
        for names, why in (
            (long, f"longer than max_duration={limit} s"),
            (
                short,
                f"shorter than the {shortest:.4f} s that the network needs",
            ),
        )
        if names
    )
    # Each counts once, for what is too short may be too long as well.
    out = len({*long, *short})
    if out == count:
        what += ", which leaves none to train on"
    elif out > allowed * count:
        what += f", more than max_bad_fraction={allowed} allows"
    elif out:
        logger.warning("Left out of training: %s", what)
    if out == count or out > allowed * count:
        raise ValueError(f"manifest {manifest}: {what}")
    order = {} if sorting == "random" else {"sort_key": "duration"}
    return dataset.filtered_sorted(
        key_min_value={"duration": shortest},
        key_max_value={"duration": limit},
        reverse=sorting == "descending",
        **order,
    )
