"""The part of a recipe that does not depend on the corpus."""

from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.before import check_before, check_files
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.asr.manifest_hash import hash_manifest
from speechbrain_ligru_fast.asr.process_group import leave_process_group
from speechbrain_ligru_fast.asr.provenance import describe_run
from speechbrain_ligru_fast.asr.results import (
    NAMES_OF_A_TEST,
    append_or_keep,
    name_lm,
    name_test,
)
from speechbrain_ligru_fast.asr.steps import Steps
from speechbrain_ligru_fast.asr.train_logger import log_test
from speechbrain_ligru_fast.deploy.audio import shortest_input
from speechbrain_ligru_fast.deploy.export import check_export, export


def run(hparams, run_opts, test_manifests):
    """Train, export, test on each set; each result is written at once.

    What fails after the training does not keep the rest from being done, but
    for several processes.

    Arguments
    ---------
    hparams : dict
        Of the experiment, its tokenizer ready for use, its manifests
        prepared.
    run_opts : speechbrain.utils.run_opts.RunOptions
    test_manifests : dict
        Name of a test set -> its manifest.

    Returns
    -------
    list of dict
        The rows.

    Raises
    ------
    RuntimeError
        At the end, if the export or a test failed.
    """
    check_before(hparams)
    stages = sb.Stage
    brain = ASR(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    shortest = _shortest(brain)
    _rehearse(brain, shortest)
    check_export(hparams)
    tests = {
        name: make_dataset(manifest, hparams, stages.TEST, shortest)
        for name, manifest in test_manifests.items()
    }
    hashes = {
        name: hash_manifest(manifest, hparams["text"])
        for name, manifest in test_manifests.items()
    }
    check_files(hparams, hashes)
    _train(brain, hparams, shortest)
    brain.on_evaluate_start(min_key=hparams["metric"])
    steps, rows = Steps(), []
    # First, for a run that has its rows counts as done.
    steps(
        "the export",
        run_on_main,
        export,
        args=(hparams, not brain.test_only),
    )
    for name, dataset in tests.items():
        row = steps(
            f"the test of {name}",
            _test,
            *(brain, hparams, name, dataset, hashes[name]),
        )
        if row is not None:
            rows.append(row)
            _record(steps, brain, hparams, row)
    leave_process_group(brain)
    steps.finish(
        "To do it again: the same command with --test_only and, where there "
        "are several, --test_splits of what failed"
    )
    return rows


def _train(brain, hparams, shortest):
    stages = sb.Stage
    if hparams["tests_only"]:
        brain.fit(hparams["epoch_counter"], None)
        return
    train, valid = (
        make_dataset(hparams[f"{name}_annotation"], hparams, stage, shortest)
        for name, stage in (("train", stages.TRAIN), ("valid", stages.VALID))
    )
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


def _test(brain, hparams, name, dataset, manifest):
    brain.evaluate(
        dataset,
        min_key=hparams["metric"],
        test_loader_kwargs=loader_options(dataset, hparams, sb.Stage.TEST),
    )
    return _row(brain, hparams, name, manifest)


def _record(steps, brain, hparams, row):
    """Writes what a test gave, the most precious first."""
    name = row["split"]
    steps(
        f"the result row of {name}",
        run_on_main,
        append_or_keep,
        args=(hparams["results_csv"], row, hparams["record_folder"]),
    )
    steps(
        f"the files of {name}", run_on_main, _write, args=(brain, hparams, row)
    )
    steps(
        f"the train_logger's entry of {name}",
        run_on_main,
        log_test,
        args=(
            *(hparams["train_logger"], name),
            {key: row[key] for key in ("lm", "epochs")},
            brain.test_stats,
        ),
    )


def _shortest(brain):
    """Seconds of audio that the network needs at least."""
    features, encoder = brain.hparams.compute_features, brain.modules.enc
    rate, device = brain.hparams.sample_rate, brain.device

    def encode(wav):
        # Told a length, it would continue what is too short.
        return encoder(features(wav.to(device)))

    # Training starts by setting every module to its mode.
    encoder.eval()
    return shortest_input(encode, rate) / rate


def _rehearse(brain, shortest):
    """Search once as the tests will, rather than fail after the training."""
    rate, device = brain.hparams.sample_rate, brain.device
    # Not silence, and no random number: a resumed training draws its own.
    wav = torch.arange(int((shortest + 0.2) * rate), device=device).sin()[None]
    lengths = torch.ones(1, device=device)
    brain.modules.eval()
    with torch.no_grad():
        features = brain.hparams.compute_features(wav)
        encoded = brain.modules.enc(features, lengths)
        for key in ("valid_search", "test_search"):
            try:
                getattr(brain.hparams, key)(encoded, lengths)
            except Exception as error:
                raise ValueError(
                    f"{key} can't work as it is set (beam_size, weights, "
                    f"ratios, lm_folder): {type(error).__name__}: {error}"
                ) from error


def _row(brain, hparams, split, manifest):
    """The result row of the test just made."""
    rates = {name.lower(): value for name, value in brain.test_stats.items()}
    manifests = hparams.get("manifests", {})
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
        # Empty where nobody knows what was trained on
        "train_manifest": manifests.get("train", ""),
        "valid_manifest": manifests.get("valid", ""),
        "test_manifest": manifest,
        "changes": hparams["changes"],
    }


def _write(brain, hparams, row):
    folder = Path(hparams["record_folder"])
    test = name_test(*(row[key] for key in NAMES_OF_A_TEST))
    for name, metric in brain.metrics.items():
        metric.write(folder / f"{name.lower()}_{test}.txt")
    brain.metrics[hparams["metric"]].write_texts(folder / f"texts_{test}.csv")


def _rounded(value, digits=2):
    return "" if value is None or value != value else round(value, digits)
