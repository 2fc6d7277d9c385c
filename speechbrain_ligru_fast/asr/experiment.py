"""The part of a recipe that does not depend on the corpus."""

import logging
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.asr.export import export
from speechbrain_ligru_fast.asr.lm import check_tokenizer
from speechbrain_ligru_fast.asr.process_group import leave_process_group
from speechbrain_ligru_fast.asr.provenance import describe_run
from speechbrain_ligru_fast.asr.results import append_row, name_lm, name_test
from speechbrain_ligru_fast.asr.shortest import shortest_input
from speechbrain_ligru_fast.asr.token_checks import check_special

logger = logging.getLogger(__name__)


def run(hparams, run_opts, test_manifests):
    """Train, test on each set, export, append a result row for each set.

    The rows come last, for a run that has them counts as done.

    Arguments
    ---------
    hparams : dict
        Of the experiment, its tokenizer ready for use.
    run_opts : speechbrain.utils.run_opts.RunOptions
    test_manifests : dict
        Name of a test set -> its manifest.

    Returns
    -------
    list of dict
        The rows.
    """
    _check(hparams)
    if not test_manifests:
        raise ValueError("test_splits: got none, expected one or more")
    stages = sb.Stage
    brain = ASR(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    shortest = _shortest(brain)
    train, valid = (
        make_dataset(hparams[f"{name}_annotation"], hparams, stage, shortest)
        for name, stage in (("train", stages.TRAIN), ("valid", stages.VALID))
    )
    tests = {
        name: make_dataset(manifest, hparams, stages.TEST, shortest)
        for name, manifest in test_manifests.items()
    }
    # Unless a checkpoint knows of an earlier one.
    brain.timer.first_commit = hparams["commit"]
    train_options = loader_options(train, hparams, stages.TRAIN)
    # SpeechBrain tells this sampler the epoch, by which it shuffles.
    brain.train_sampler = train_options.get("batch_sampler")
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs=train_options,
        valid_loader_kwargs=loader_options(valid, hparams, stages.VALID),
    )
    rows = []
    for name, dataset in tests.items():
        brain.evaluate(
            dataset,
            min_key=hparams["metric"],
            test_loader_kwargs=loader_options(dataset, hparams, stages.TEST),
        )
        rows.append(_row(brain, hparams, name))
        run_on_main(_write, args=(brain, hparams, rows[-1]))
    run_on_main(export, args=(hparams, not brain.test_only))
    run_on_main(_append, args=(hparams["results_csv"], rows))
    leave_process_group(brain)
    return rows


def _check(hparams):
    name_lm(hparams["lm_folder"])
    # The model was loaded before the tokenizer was trained.
    check_tokenizer(hparams["lm_folder"], hparams["tokenizer_file"])
    tokenizer = hparams["tokenizer"]
    found, wanted = tokenizer.get_piece_size(), hparams["output_neurons"]
    if found != wanted:
        raise ValueError(
            f"output_neurons={wanted}, but the tokenizer has {found} tokens"
        )
    check_special(tokenizer, hparams, "blank_index", "bos_index", "eos_index")
    only, epochs = (
        hparams["number_of_ctc_only_epochs"],
        hparams["number_of_epochs"],
    )
    if only >= epochs:
        raise ValueError(
            f"number_of_ctc_only_epochs={only} leaves no epoch of "
            f"number_of_epochs={epochs} to train the decoder in"
        )
    if hparams["metric"] not in ("WER", "PER"):
        raise ValueError(
            f"metric must be WER or PER, got {hparams['metric']!r}"
        )


def _shortest(brain):
    """Seconds of audio that the network needs at least."""
    features, encoder = brain.hparams.compute_features, brain.modules.enc
    rate, device = brain.hparams.sample_rate, brain.device

    def encode(wav):
        return encoder(features(wav.to(device)), torch.ones(1, device=device))

    # Training starts by setting every module to its mode.
    encoder.eval()
    return shortest_input(encode, rate) / rate


def _row(brain, hparams, split):
    """The result row of the test just made."""
    rates = {name.lower(): value for name, value in brain.test_stats.items()}
    # Before the decoder joins, an epoch is not one of the whole system.
    joint = brain.trained_epochs - hparams["number_of_ctc_only_epochs"]
    row = describe_run(hparams, brain.device_type, brain.timer.first_commit)
    return row | {
        **brain.recurrent(),
        "split": split,
        "lm": name_lm(hparams["lm_folder"]),
        "epochs": brain.trained_epochs,
        "params": sum(p.numel() for p in hparams["model"].parameters()),
        "wer": _rounded(rates.get("wer")),
        "cer": _rounded(rates.get("cer")),
        "per": _rounded(rates.get("per")),
        "scored": str(hparams["scoring"] or ""),
        "epoch_s": _rounded(
            brain.timer.median(last=max(joint, 1), place=brain.place())
        ),
        "decode_rtf": _rounded(brain.decode_s / brain.audio_s, 4),
        # A test alone says nothing of what its training took.
        "peak_mb": (
            "" if brain.test_only else _rounded(brain.timer.peak_mb(), 0)
        ),
        "precision": brain.precision,
    }


def _write(brain, hparams, row):
    shown = {key: row[key] for key in ("split", "lm", "epochs")}
    hparams["train_logger"].log_stats(
        stats_meta=shown,
        test_stats=brain.test_stats,
    )
    folder = Path(hparams["record_folder"])
    test = name_test(row["split"], row["lm"], row["settings"])
    for name, metric in brain.metrics.items():
        metric.write(folder / f"{name.lower()}_{test}.txt")
    brain.metrics[hparams["metric"]].write_texts(folder / f"texts_{test}.csv")


def _append(results_csv, rows):
    for row in rows:
        append_row(results_csv, row)
    logger.info("Result rows appended to %s", results_csv)


def _rounded(value, digits=2):
    return "" if value is None or value != value else round(value, digits)
