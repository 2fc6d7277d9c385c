"""The stages of a hybrid recogniser, one after another."""

import json
from pathlib import Path

import speechbrain as sb

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.data import loader_options
from speechbrain_ligru_fast.asr.experiment import describe_test, write_files
from speechbrain_ligru_fast.asr.text import hash_manifest
from speechbrain_ligru_fast.hybrid.brain import Hybrid
from speechbrain_ligru_fast.hybrid.data import make_dataset, read_utterances
from speechbrain_ligru_fast.hybrid.decoding import tune
from speechbrain_ligru_fast.hybrid.system import System, load_lexicon
from speechbrain_ligru_fast.training.memory import keep_freed_memory
from speechbrain_ligru_fast.training.results import append_or_keep
from speechbrain_ligru_fast.training.train_logger import log_test


def run(hparams, run_opts, lexicon, test_manifests):
    """Align, train, choose scale and penalty, test; the result rows.

    Arguments
    ---------
    hparams : dict
        Of the experiment, its manifests prepared.
    run_opts : speechbrain.utils.run_opts.RunOptions
    lexicon : Lexicon
    test_manifests : dict
        Name of a test set -> its manifest.
    """
    check_searches(hparams)
    tests = {
        name: read_utterances(path, hparams, lexicon, tested=True)
        for name, path in test_manifests.items()
    }
    brain = make_brain(hparams, run_opts, lexicon)
    system = brain.system
    system.take(0, system.align_by_gmm)
    _train(brain, hparams)
    brain.on_evaluate_start(min_key=hparams["metric"])
    system.take_last()
    utterances = system.utterances["valid"]
    *chosen, error = tune(
        brain.make_decoder,
        brain.score_all(utterances),
        {key: item["said"] for key, item in utterances.items()},
        hparams["acoustic_scales"],
        hparams["word_penalties"],
        hparams["scoring"],
    )
    brain.decoder = brain.make_decoder(*chosen)
    if not hparams["tests_only"]:
        _chosen_file(hparams).write_text(json.dumps(chosen))
    rows = []
    for name, utterances in tests.items():
        brain.evaluate(
            make_dataset(utterances, hparams, sb.Stage.TEST),
            min_key=hparams["metric"],
            test_loader_kwargs=dict(hparams["test_dataloader_opts"]),
        )
        row = _row(brain, hparams, name, test_manifests[name])
        row |= dict(zip(("acoustic_scale", "word_penalty"), chosen))
        row |= {"valid_error": round(error, 2), "gmm_s": system.gmm_s}
        append_or_keep(
            hparams["results_csv"], row, Path(hparams["record_folder"])
        )
        write_files(brain, hparams, row)
        log_test(
            hparams["train_logger"],
            row["split"],
            {key: row[key] for key in ("lm", "epochs")},
            brain.test_stats,
        )
        rows.append(row)
    return rows


def check_searches(hparams):
    """Check that there are epochs to select, and to anneal by."""
    last, epochs = (
        hparams[f"number_of_{name}"] for name in ("search_epochs", "epochs")
    )
    if last < 1:
        raise ValueError(
            f"number_of_search_epochs must be at least 1, got {last}"
        )
    if hparams["lr_annealing"] and last < epochs:
        raise ValueError(
            f"lr_annealing needs the error rate of each epoch, but "
            f"number_of_search_epochs={last} is less than "
            f"number_of_epochs={epochs}"
        )


def make_brain(hparams, run_opts, lexicon):
    """The Hybrid of an experiment, with its System."""
    system = System(hparams, lexicon)
    brain = Hybrid(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.system = system
    return brain


def load_trained(output_folder, *options):
    """What was trained: the Hybrid, its acoustic scale and word penalty.

    Arguments
    ---------
    output_folder : path-like
        Of the training.
    *options : str
        Of the command line, as ``--device``, ``cpu``.
    """
    yaml = str(Path(output_folder, "hyperparams.yaml"))
    hparams, run_opts = load_experiment(
        [yaml, "--test_only", "--output_folder", str(output_folder), *options]
    )
    brain = make_brain(hparams, run_opts, load_lexicon(hparams))
    brain.on_evaluate_start(min_key=hparams["metric"])
    brain.system.take_last()
    brain.modules.eval()
    return brain, *json.loads(_chosen_file(hparams).read_text())


def _chosen_file(hparams):
    return Path(hparams["save_folder"], "chosen.json")


def _train(brain, hparams):
    system, stages = brain.system, sb.Stage
    sets = {
        stage: make_dataset(
            system.utterances[name], hparams, stage, system.states[name]
        )
        for name, stage in (("train", stages.TRAIN), ("valid", stages.VALID))
    }
    options = loader_options(sets[stages.TRAIN], hparams, stages.TRAIN)
    brain.train_sampler = options.get("batch_sampler")
    if hparams["tests_only"]:
        return
    if brain.device_type == "cpu":
        keep_freed_memory()
    brain.fit(
        hparams["epoch_counter"],
        *sets.values(),
        train_loader_kwargs=options,
        valid_loader_kwargs=loader_options(
            sets[stages.VALID], hparams, stages.VALID
        ),
    )


def _row(brain, hparams, split, manifest):
    arpa = hparams["arpa_file"]
    digits = hash_manifest(manifest, hparams["text"])
    lm = Path(arpa).stem if arpa else f"{hparams['ngram_order']}-gram"
    row = describe_test(brain, hparams, lm, brain.trained_epochs, split, digits)
    return row | {"train_s": round(brain.timer.elapsed(), 1)}
