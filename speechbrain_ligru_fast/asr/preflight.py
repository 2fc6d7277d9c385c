"""What can be found wrong with an experiment before days of training."""

import shutil
from pathlib import Path

import torch

from speechbrain_ligru_fast.asr.lm import check_tokenizer
from speechbrain_ligru_fast.asr.tokenizer import check_special
from speechbrain_ligru_fast.deploy.audio import shortest_input
from speechbrain_ligru_fast.training.results import name_lm, name_test
from speechbrain_ligru_fast.training.train_logger import check_logger


def check_before(hparams):
    """Check what is set, with the tokenizer ready."""
    if not hparams["results_csv"]:
        raise ValueError("results_csv: got none, expected the name of a file")
    check_logger(hparams["train_logger"])
    name_lm(hparams["lm_folder"])
    # The model was loaded before the tokenizer was trained.
    check_tokenizer(hparams["lm_folder"], hparams["tokenizer_file"])
    tokenizer = hparams["tokenizer"]
    check_special(tokenizer, hparams, "blank_index", "bos_index", "eos_index")
    only = hparams["number_of_ctc_only_epochs"]
    if only >= hparams["number_of_epochs"]:
        raise ValueError(
            f"number_of_ctc_only_epochs={only} leaves no epoch of "
            f"number_of_epochs={hparams['number_of_epochs']} to train the "
            "decoder in"
        )
    if hparams["metric"] not in ("WER", "PER"):
        raise ValueError(
            f"metric must be WER or PER, got {hparams['metric']!r}"
        )
    if hparams["trains_in_folder"]:
        _check_space(hparams)


# A checkpoint has the weights and, with most optimisers, two more numbers
# each; one is written before another one is deleted.
_COPIES = 2 * 3 + 1


def _check_space(hparams):
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
    """Check that the files of all tests can be written, each its own."""
    lm, settings = name_lm(hparams["lm_folder"]), hparams["fingerprint"].name
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


def find_shortest(brain):
    """Seconds of audio that a Brain's network needs at least."""
    features, encoder = brain.hparams.compute_features, brain.modules.enc
    rate, device = brain.hparams.sample_rate, brain.device

    def encode(wav):
        # Told a length, it would continue what is too short.
        return encoder(features(wav.to(device)))

    # Training starts by setting every module to its mode.
    encoder.eval()
    return shortest_input(encode, rate) / rate


@torch.no_grad()
def rehearse(brain, shortest):
    """Search once as the tests will, rather than fail after the training."""
    rate, device = brain.hparams.sample_rate, brain.device
    # Not silence, and no random number: a resumed training draws its own.
    wav = torch.arange(int((shortest + 0.2) * rate), device=device).sin()[None]
    lengths = torch.ones(1, device=device)
    brain.modules.eval()
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
