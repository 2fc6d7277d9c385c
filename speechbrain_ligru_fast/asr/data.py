"""From JSON manifests to batches of audio and tokens."""

import logging

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler

from speechbrain_ligru_fast.asr.text import check_tokens, few, read_texts

logger = logging.getLogger(__name__)

_SORTINGS = ("random", "ascending", "descending")


def make_dataset(manifest, hparams, stage):
    """A dataset of ``id, sig, text, tokens, tokens_bos, tokens_eos``.

    Arguments
    ---------
    manifest : path-like
        JSON, utterance id -> wav, duration and the transcript.
    hparams : dict
        Of the experiment: data_folder, text, tokenizer, bos_index, eos_index,
        sample_rate, sorting, max_duration.
    stage : speechbrain.Stage

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
    check_tokens(tokenizer, texts, manifest, fatal=stage != sb.Stage.TEST)

    dataset = DynamicItemDataset.from_json(
        manifest, replacements={"data_root": hparams["data_folder"]}
    )
    if stage == sb.Stage.TRAIN:
        dataset = _select(dataset, manifest, hparams)
    else:
        # Long ones first: memory runs out at once or not at all.
        dataset = dataset.filtered_sorted(sort_key="duration", reverse=True)
    _check_audio(dataset, hparams["sample_rate"])

    @sb.utils.data_pipeline.takes("wav")
    @sb.utils.data_pipeline.provides("sig")
    def audio_pipeline(wav):
        return sb.dataio.dataio.read_audio(wav)

    @sb.utils.data_pipeline.takes(key)
    @sb.utils.data_pipeline.provides(
        "text", "tokens_bos", "tokens_eos", "tokens"
    )
    def text_pipeline(text):
        yield text
        tokens = tokenizer.encode_as_ids(text)
        yield torch.LongTensor([hparams["bos_index"], *tokens])
        yield torch.LongTensor([*tokens, hparams["eos_index"]])
        yield torch.LongTensor(tokens)

    dataset.add_dynamic_item(audio_pipeline)
    dataset.add_dynamic_item(text_pipeline)
    dataset.set_output_keys(
        ["id", "sig", "text", "tokens_bos", "tokens_eos", "tokens"]
    )
    return dataset


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
        length_func=lambda item: item["duration"] / hparams["feats_hop_size"],
        **hparams["dynamic_batch_sampler"],
    )
    options.pop("batch_size", None)
    return options | {"batch_sampler": sampler}


def _select(dataset, manifest, hparams):
    """The training utterances that are not too long, in order."""
    sorting, limit = hparams["sorting"], hparams["max_duration"]
    if sorting not in _SORTINGS:
        raise ValueError(
            f"sorting must be one of {', '.join(_SORTINGS)}, got {sorting!r}"
        )
    too_long = [
        name for name, item in dataset.data.items() if item["duration"] > limit
    ]
    if len(too_long) > hparams["max_bad_fraction"] * len(dataset):
        raise ValueError(
            f"manifest {manifest}: {len(too_long)} of {len(dataset)} "
            f"utterances are longer than max_duration={limit} s "
            f"({few(too_long)}), more than max_bad_fraction="
            f"{hparams['max_bad_fraction']} allows"
        )
    if too_long:
        logger.warning(
            "%d of %d training utterances are longer than max_duration=%s s "
            "and left out: %s",
            len(too_long),
            len(dataset),
            limit,
            few(too_long),
        )
    order = {} if sorting == "random" else {"sort_key": "duration"}
    return dataset.filtered_sorted(
        key_max_value={"duration": limit},
        reverse=sorting == "descending",
        **order,
    )


def _check_audio(dataset, sample_rate):
    """Check one file's rate; the preparation has read them all."""
    with dataset.output_keys_as(["wav"]):
        path = dataset[0]["wav"]
    found = sb.dataio.dataio.read_audio_info(path).sample_rate
    if found != sample_rate:
        raise ValueError(
            f"{path} has {found} samples a second, but sample_rate is "
            f"{sample_rate}"
        )
