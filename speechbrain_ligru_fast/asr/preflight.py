"""What can be found wrong with an experiment before days of training."""

import torch

from speechbrain_ligru_fast.asr.lm import check_tokenizer
from speechbrain_ligru_fast.asr.tokenizer import check_special
from speechbrain_ligru_fast.deploy.audio import shortest_input
from speechbrain_ligru_fast.training.results import name_lm
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
    only, all_ = (
        hparams[f"number_of_{which}epochs"] for which in ("ctc_only_", "")
    )
    if only >= all_:
        raise ValueError(
            f"number_of_ctc_only_epochs={only} leaves no epoch of "
            f"number_of_epochs={all_} to train the decoder in"
        )
    if hparams["metric"] not in ("WER", "PER"):
        raise ValueError(
            f"metric must be WER or PER, got {hparams['metric']!r}"
        )


def find_shortest(brain):
    """Seconds of audio that a Brain's network needs at least."""
    features, encoder = brain.hparams.compute_features, brain.modules.enc
    # Training starts by setting every module to its mode.
    encoder.eval()
    rate = brain.hparams.sample_rate
    # Told a length, it would continue what is too short.
    return (
        shortest_input(lambda x: encoder(features(x.to(brain.device))), rate)
        / rate
    )


@torch.no_grad()
def rehearse(brain, shortest):
    """Search once as the tests will, rather than fail after the training."""
    rate, device = brain.hparams.sample_rate, brain.device
    # Not silence, and no random number: a resumed training draws its own.
    wav = torch.arange(int((shortest + 0.2) * rate), device=device).sin()[None]
    brain.modules.eval()
    lengths = torch.ones(1, device=device)
    encoded = brain.modules.enc(brain.hparams.compute_features(wav), lengths)
    for key in ("valid_search", "test_search"):
        try:
            getattr(brain.hparams, key)(encoded, lengths)
        except Exception as error:
            raise ValueError(
                f"{key} can't work as it is set (beam_size, weights, "
                f"ratios, lm_folder): {type(error).__name__}: {error}"
            ) from error
