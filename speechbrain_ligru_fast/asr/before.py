"""What can be found wrong with an experiment before days of training."""

import shutil
from pathlib import Path

from speechbrain_ligru_fast.asr.lm import check_tokenizer
from speechbrain_ligru_fast.asr.results import name_lm, name_test
from speechbrain_ligru_fast.asr.tokenizer import check_special
from speechbrain_ligru_fast.asr.train_logger import check_logger


def check_before(hparams):
    """Check what is set, with the tokenizer ready.

    Arguments
    ---------
    hparams : dict
        Of the experiment.

    Raises
    ------
    ValueError
        Naming the key.
    """
    if not hparams["results_csv"]:
        raise ValueError("results_csv: got none, expected the name of a file")
    check_logger(hparams["train_logger"])
    name_lm(hparams["lm_folder"])
    # The model was loaded before the tokenizer was trained.
    check_tokenizer(hparams["lm_folder"], hparams["tokenizer_file"])
    tokenizer = hparams["tokenizer"]
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
    _check_space(hparams)


# A checkpoint has the weights and, with most optimisers, two more numbers
# each; one is written before another one is deleted.
_COPIES = 2 * 3 + 1


def _check_space(hparams):
    if not hparams["trains_in_folder"]:
        return
    parameters = hparams["model"].parameters()
    need = _COPIES * sum(p.numel() * p.element_size() for p in parameters)
    folder = Path(hparams["output_folder"])
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OSError(
            f"{folder} has {free / 2**20:.0f} MiB of free space, but two "
            f"checkpoints and the export take about {need / 2**20:.0f}"
        )


def check_files(hparams, manifests):
    """Check that the files of all tests can be written, each its own.

    Arguments
    ---------
    hparams : dict
        Of the experiment.
    manifests : dict
        Name of a test set -> the hash of its manifest.

    Raises
    ------
    ValueError
        Naming the test set.
    """
    lm, settings = name_lm(hparams["lm_folder"]), hparams["settings"]
    found = {}
    for split, manifest in manifests.items():
        name = name_test(split, lm, settings, manifest)
        if name in found:
            raise ValueError(
                f"test_splits: the files of {split} and {found[name]} would "
                f"have one name, {name}"
            )
        found[name] = split
        path = Path(hparams["record_folder"], f".texts_{name}.csv")
        try:
            path.touch()
            path.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"test_splits: the files of {split} can't be written: {error}"
            ) from error
