"""The RNN language model: its training, its export and its return."""

import shutil
from pathlib import Path

import ruamel.yaml
import sentencepiece
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.lm_text import (
    LMTexts,
    read_transcripts,
    train_texts,
)
from speechbrain_ligru_fast.asr.preparation import compare_data
from speechbrain_ligru_fast.asr.tokenizer import check_special
from speechbrain_ligru_fast.deploy.trust import check_yaml
from speechbrain_ligru_fast.training.process_group import leave_process_group
from speechbrain_ligru_fast.training.train_logger import check_logger, log_epoch

# SpeechBrain's language models come with the second.
_TOKENIZERS = ("tokenizer.model", "tokenizer.ckpt")


class LM(sb.Brain):
    """Predicts the next token; `hparams` as in hparams/librispeech/lm.yaml."""

    def compute_forward(self, batch, stage):
        """Log-probabilities of the next tokens."""
        batch = batch.to(self.device)
        return self.hparams.log_softmax(
            self.modules.model(batch.tokens_bos.data)
        )

    def compute_objectives(self, predictions, batch, stage):
        """Negative log-likelihood of a token."""
        tokens, lengths = batch.tokens_eos
        return self.hparams.compute_cost(predictions, tokens, lengths)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log, anneal, save."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        if stage != sb.Stage.VALID:
            return
        old_lr, new_lr = self.hparams.lr_annealing(stage_loss)
        sb.nnet.schedulers.update_learning_rate(self.optimizer, new_lr)
        log_epoch(
            self.hparams.train_logger,
            meta={"epoch": epoch, "lr": old_lr},
            train_stats={"loss": self.train_loss},
            valid_stats={
                "loss": stage_loss,
                "perplexity": float(torch.tensor(stage_loss).exp()),
            },
        )
        self.checkpointer.save_and_keep_only(
            meta={"loss": stage_loss}, min_keys=["loss"]
        )


def train_lm(hparams, run_opts):
    """Train a language model on transcripts and other text, and export it.

    Of hparams/librispeech/lm.yaml, with SpeechBrain's run options. Raises
    FileNotFoundError if there is no tokenizer, or with --test_only nothing
    trained; ValueError if the tokenizer does not suit output_neurons,
    bos_index and eos_index, or the training is on other transcripts.
    """
    check_logger(hparams["train_logger"])
    tokenizer = hparams["tokenizer"]
    if not Path(hparams["tokenizer_file"]).is_file():
        raise FileNotFoundError(
            f"no tokenizer {hparams['tokenizer_file']}: train the recogniser "
            "of asr_folder first, or give its tokenizer_file"
        )
    tokenizer.Load(hparams["tokenizer_file"])
    check_special(tokenizer, hparams, "bos_index", "eos_index")
    if not hparams["tests_only"]:
        compare_data(hparams)
    texts = train_texts(hparams)
    valid = LMTexts(read_transcripts(hparams, "valid_annotation"), hparams)
    checkpointer = hparams["checkpointer"]
    brain = LM(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=checkpointer,
    )
    padded = {"collate_fn": PaddedBatch}
    brain.fit(
        hparams["epoch_counter"],
        texts,
        valid,
        train_loader_kwargs={**hparams["train_dataloader_opts"], **padded},
        valid_loader_kwargs={**hparams["valid_dataloader_opts"], **padded},
    )
    best = checkpointer.recover_if_possible(min_key="loss")
    if best is None and brain.test_only:
        raise FileNotFoundError(
            f"no checkpoint in {checkpointer.checkpoints_dir}: train first"
        )
    run_on_main(_export, args=(hparams,))
    leave_process_group(brain)


def _export(hparams):
    folder = Path(hparams["record_folder"])
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(hparams["document"])
    # The beam search carries the hidden state from token to token.
    tree["model"]["return_hidden"] = True
    with open(folder / "lm.yaml", "w", encoding="utf-8") as file:
        yaml.dump({"model": tree["model"]}, file)
    shutil.copy(hparams["tokenizer_file"], folder / "tokenizer.model")
    state = {k: v.cpu() for k, v in hparams["model"].state_dict().items()}
    torch.save(state, folder / "lm.ckpt")


def load_lm(folder, tokenizer_file=None, trust=False):
    """Load a trained language model, ready to score.

    Arguments
    ---------
    folder : path-like | None
        An output folder of recipes/LibriSpeech/LM/train.py, or a folder with
        its lm.yaml, lm.ckpt and tokenizer.model.
    tokenizer_file : path-like, optional
        The recogniser's, which must be the language model's too.
    trust : bool
        Run whatever the folder's YAML names.

    Returns
    -------
    torch.nn.Module | None
        None for no folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no trained model.
    ValueError
        If the tokenizers differ, or the folder's YAML names what no language
        model of ours does.

    Example
    -------
    >>> load_lm(None) is None
    True
    """
    if not folder:
        return None
    config, weights = _find(folder, "lm.yaml"), _find(folder, "lm.ckpt")
    _find(folder, *_TOKENIZERS)
    # One without checkpoints beside it may be what an earlier start left; it
    # is compared again when it is this one's.
    if tokenizer_file and any(Path(tokenizer_file).parent.glob("CKPT*")):
        check_tokenizer(folder, tokenizer_file)
    if not trust:
        check_yaml(
            config,
            "If you trust who made the folder: trust: True below the YAML's "
            "language_model",
        )
    with open(config, encoding="utf-8") as file:
        model = load_hyperpyyaml(file)["model"]
    model.load_state_dict(
        torch.load(weights, map_location="cpu", weights_only=True)
    )
    return model.eval().requires_grad_(False)


def check_tokenizer(folder, tokenizer_file):
    """Refuse a language model of other tokens than the recogniser's.

    Nothing is said where there is no language model (`folder` is None), or
    the recogniser's tokenizer is yet to be trained.
    """
    if not folder or not tokenizer_file or not Path(tokenizer_file).exists():
        return
    if _pieces(tokenizer_file) != _pieces(_find(folder, *_TOKENIZERS)):
        raise ValueError(
            f"lm_folder={str(folder)!r} was trained with another tokenizer "
            f"than {tokenizer_file}"
        )


def _find(folder, *names):
    paths = [Path(folder, name) for name in names]
    for path in paths:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"lm_folder={str(folder)!r} holds no trained language model: looked "
        f"for {' or '.join(map(str, paths))}"
    )


def _pieces(path):
    """A tokenizer's pieces and their scores, in the order of their ids.

    Its file also holds the name of the text that it was trained on, which each
    seed's output folder gives another.
    """
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ids = range(model.get_piece_size())
    return [(model.id_to_piece(i), model.get_score(i)) for i in ids]
