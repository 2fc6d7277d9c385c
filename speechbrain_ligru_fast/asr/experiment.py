"""The part of a recipe that does not depend on the corpus."""

import logging
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.asr.preflight import (
    check_before,
    check_files,
    find_shortest,
    rehearse,
)
from speechbrain_ligru_fast.asr.text import hash_manifest
from speechbrain_ligru_fast.deploy.export import check_export, export
from speechbrain_ligru_fast.training.memory import keep_freed_memory
from speechbrain_ligru_fast.training.process_group import (
    count_processes,
    leave_process_group,
)
from speechbrain_ligru_fast.training.provenance import describe_run
from speechbrain_ligru_fast.training.results import (
    NAMES_OF_A_TEST,
    append_or_keep,
    name_lm,
    name_test,
)
from speechbrain_ligru_fast.training.train_logger import log_test

logger = logging.getLogger(__name__)


def run(hparams, run_opts, test_manifests):
    """Train, export, test on each set; each result is written at once.

    What fails after the training does not keep the rest from being done, but
    for several processes, which would have to agree on what failed: there the
    first error ends the run.

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
    brain = ASR(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    shortest = find_shortest(brain)
    rehearse(brain, shortest)
    check_export(hparams)
    tests = {
        name: (
            make_dataset(manifest, hparams, sb.Stage.TEST, shortest),
            hash_manifest(manifest, hparams["text"]),
        )
        for name, manifest in test_manifests.items()
    }
    check_files(hparams, {name: digits for name, (_, digits) in tests.items()})
    _train(brain, hparams, shortest)
    brain.on_evaluate_start(min_key=hparams["metric"])
    failed, rows = [], []

    def attempt(what, function, *args):
        try:
            return function(*args)
        except Exception as error:
            if count_processes() > 1:
                raise
            logger.exception("%s failed", what)
            failed.append(f"{what} ({type(error).__name__}: {error})")

    # First, for a run that has its rows counts as done.
    made = (hparams, not brain.test_only)
    attempt("the export", run_on_main, export, made)
    for name, (dataset, digits) in tests.items():
        of = name, digits
        row = attempt(f"the test of {name}", _test, brain, hparams, dataset, of)
        if row is None:
            continue
        rows.append(row)
        # The most precious first
        for what, write in (
            ("result row", write_row),
            ("files", write_files),
            ("train_logger's entry", write_log),
        ):
            told = brain, hparams, row
            attempt(f"the {what} of {name}", run_on_main, write, told)
    leave_process_group(brain)
    if failed:
        raise RuntimeError(
            f"failed: {'; '.join(failed)}. All else is done and kept. "
            "To do it again: the same command with --test_only and, where "
            "there are several, --test_splits of what failed"
        )
    return rows


def _train(brain, hparams, shortest):
    stages = sb.Stage
    if hparams["tests_only"]:
        brain.fit(hparams["epoch_counter"], None)
        return
    if brain.device_type == "cpu":
        keep_freed_memory()
    train, valid = (
        make_dataset(hparams[f"{name}_annotation"], hparams, stage, shortest)
        for name, stage in (("train", stages.TRAIN), ("valid", stages.VALID))
    )
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


def _test(brain, hparams, dataset, of):
    """The result row of a test."""
    options = loader_options(dataset, hparams, sb.Stage.TEST)
    brain.evaluate(
        dataset, min_key=hparams["metric"], test_loader_kwargs=options
    )
    # Before the decoder joins, an epoch is not one of the whole system.
    joint = brain.trained_epochs - hparams["number_of_ctc_only_epochs"]
    return describe_test(
        *(brain, hparams, name_lm(hparams["lm_folder"]), max(joint, 1), *of)
    )


def describe_test(brain, hparams, lm, epochs, split, digits):
    """What a result row says of a test, the seconds of the last `epochs`."""
    rates = {name.lower(): value for name, value in brain.test_stats.items()}
    return {
        **describe_run(hparams, brain.device_type),
        **brain.recurrent(),
        "split": split,
        "lm": lm,
        "epochs": brain.trained_epochs,
        "params": sum(p.numel() for p in hparams["model"].parameters()),
        **{rate: _rounded(rates.get(rate)) for rate in ("wer", "cer", "per")},
        "scored": str(hparams["scoring"] or ""),
        "epoch_s": _rounded(brain.timer.median(epochs, brain.place())),
        "decode_rtf": _rounded(brain.decode_s / brain.audio_s, 4),
        # A test alone says nothing of what its training took.
        "peak_mb": (
            "" if brain.test_only else _rounded(brain.timer.peak_mb(), 0)
        ),
        "precision": brain.precision,
        "test_manifest": digits,
    }


def write_row(brain, hparams, row):
    """The row of a test, in the result file."""
    append_or_keep(hparams["results_csv"], row, hparams["record_folder"])


def write_files(brain, hparams, row):
    """The alignment of every test utterance, and its texts."""
    folder = Path(hparams["record_folder"])
    test = name_test(*(row[key] for key in NAMES_OF_A_TEST))
    for name, metric in brain.metrics.items():
        metric.write(folder / f"{name.lower()}_{test}.txt")
    brain.metrics[hparams["metric"]].write_texts(folder / f"texts_{test}.csv")


def write_log(brain, hparams, row):
    """The train_logger's entry."""
    meta = {key: row[key] for key in ("lm", "epochs")}
    log_test(hparams["train_logger"], row["split"], meta, brain.test_stats)


def _rounded(value, digits=2):
    return "" if value is None or value != value else round(value, digits)
