"""The part of a recipe that does not depend on the corpus."""

import logging
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.asr.fingerprint import hash_manifest
from speechbrain_ligru_fast.asr.memory import keep_freed_memory
from speechbrain_ligru_fast.asr.preflight import (
    check_before,
    check_files,
    find_shortest,
    rehearse,
)
from speechbrain_ligru_fast.asr.process_group import (
    count_processes,
    leave_process_group,
)
from speechbrain_ligru_fast.asr.provenance import describe_run
from speechbrain_ligru_fast.asr.results import (
    NAMES_OF_A_TEST,
    append_or_keep,
    name_lm,
    name_test,
)
from speechbrain_ligru_fast.asr.train_logger import log_test
from speechbrain_ligru_fast.deploy.export import check_export, export

logger = logging.getLogger(__name__)


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
    tests, hashes = {}, {}
    for name, manifest in test_manifests.items():
        tests[name] = make_dataset(manifest, hparams, sb.Stage.TEST, shortest)
        hashes[name] = hash_manifest(manifest, hparams["text"])
    check_files(hparams, hashes)
    _train(brain, hparams, shortest)
    brain.on_evaluate_start(min_key=hparams["metric"])
    steps, rows = _Steps(), []
    # First, for a run that has its rows counts as done.
    steps("the export", export, hparams, not brain.test_only)
    for name, dataset in tests.items():
        options = loader_options(dataset, hparams, sb.Stage.TEST)
        row = steps(
            *(f"the test of {name}", _test, brain, dataset, options),
            *(hparams, name, hashes[name]),
            on_all=True,
        )
        if row is not None:
            rows.append(row)
            _record(steps, brain, hparams, row)
    leave_process_group(brain)
    if steps.failed:
        raise RuntimeError(
            f"failed: {'; '.join(steps.failed)}. All else is done and kept. "
            "To do it again: the same command with --test_only and, where "
            "there are several, --test_splits of what failed"
        )
    return rows


class _Steps:
    """Goes on after a step that failed.

    Of several processes all would have to agree on what failed: there the
    first error ends the run, and what was done before it is kept.
    """

    def __init__(self):
        self.failed = []

    def __call__(self, what, function, *args, on_all=False):
        """Returns what the function does; None if it failed."""
        try:
            return function(*args) if on_all else run_on_main(function, args)
        except Exception as error:
            if count_processes() > 1:
                raise
            logger.exception("%s failed", what)
            self.failed.append(f"{what} ({type(error).__name__}: {error})")
            return None


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


def _test(brain, dataset, options, hparams, split, manifest):
    """The result row of a test."""
    brain.evaluate(
        dataset, min_key=hparams["metric"], test_loader_kwargs=options
    )
    rates = {name.lower(): value for name, value in brain.test_stats.items()}
    # Before the decoder joins, an epoch is not one of the whole system.
    joint = brain.trained_epochs - hparams["number_of_ctc_only_epochs"]
    return {
        **describe_run(hparams, brain.device_type),
        **brain.recurrent(),
        "split": split,
        "lm": name_lm(hparams["lm_folder"]),
        "epochs": brain.trained_epochs,
        "params": sum(p.numel() for p in hparams["model"].parameters()),
        "wer": _rounded(rates.get("wer")),
        "cer": _rounded(rates.get("cer")),
        "per": _rounded(rates.get("per")),
        "scored": str(hparams["scoring"] or ""),
        "epoch_s": _rounded(brain.timer.median(max(joint, 1), brain.place())),
        "decode_rtf": _rounded(brain.decode_s / brain.audio_s, 4),
        # A test alone says nothing of what its training took.
        "peak_mb": (
            "" if brain.test_only else _rounded(brain.timer.peak_mb(), 0)
        ),
        "precision": brain.precision,
        "test_manifest": manifest,
    }


def _record(steps, brain, hparams, row):
    """Writes what a test gave, the most precious first."""
    name, folder = row["split"], Path(hparams["record_folder"])
    steps(
        *(f"the result row of {name}", append_or_keep),
        *(hparams["results_csv"], row, folder),
    )
    steps(f"the files of {name}", write_files, brain, hparams, row)
    steps(
        *(f"the train_logger's entry of {name}", log_test),
        *(hparams["train_logger"], name),
        {key: row[key] for key in ("lm", "epochs")},
        brain.test_stats,
    )


def write_files(brain, hparams, row):
    """The alignment of every test utterance, and its texts."""
    folder = Path(hparams["record_folder"])
    test = name_test(*(row[key] for key in NAMES_OF_A_TEST))
    for name, metric in brain.metrics.items():
        metric.write(folder / f"{name.lower()}_{test}.txt")
    brain.metrics[hparams["metric"]].write_texts(folder / f"texts_{test}.csv")


def _rounded(value, digits=2):
    return "" if value is None or value != value else round(value, digits)
