"""The RNN language model: its training, its export and its return."""

import shutil
from pathlib import Path

import ruamel.yaml
import sentencepiece
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.process_group import leave_process_group
from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.asr.tokenizer import check_tokens

# What a trained language model's folder holds for others.
_FILES = ("lm.yaml", "lm.ckpt", "tokenizer.model")


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
        self.hparams.train_logger.log_stats(
            stats_meta={"epoch": epoch, "lr": old_lr},
            train_stats={"loss": self.train_loss},
            valid_stats={
                "loss": stage_loss,
                "perplexity": float(torch.tensor(stage_loss).exp()),
            },
        )
        self.checkpointer.save_and_keep_only(
            meta={"loss": stage_loss}, min_keys=["loss"], importance_keys=[]
        )


def text_dataset(texts, hparams):
    """A dataset of ``id, tokens_bos, tokens_eos``.

    Arguments
    ---------
    texts : dict
        Id -> transcript.
    hparams : dict
        Of the experiment: tokenizer, bos_index, eos_index.

    Returns
    -------
    DynamicItemDataset
    """
    tokenizer = hparams["tokenizer"]
    dataset = DynamicItemDataset(
        {key: {"text": text} for key, text in texts.items()}
    )

    @sb.utils.data_pipeline.takes("text")
    @sb.utils.data_pipeline.provides("tokens_bos", "tokens_eos")
    def text_pipeline(text):
        tokens = tokenizer.encode_as_ids(text)
        yield torch.LongTensor([hparams["bos_index"], *tokens])
        yield torch.LongTensor([*tokens, hparams["eos_index"]])

    dataset.add_dynamic_item(text_pipeline)
    dataset.set_output_keys(["id", "tokens_bos", "tokens_eos"])
    return dataset


def train_texts(hparams):
    """The transcripts, as often as asked for, and what is extra.

    Arguments
    ---------
    hparams : dict
        Of the experiment: train_annotation, text, transcript_copies,
        extra_text, tokenizer.

    Returns
    -------
    dict
        Id -> text.

    Raises
    ------
    ValueError
        If transcript_copies is no positive integer, or for text that the
        tokenizer does not know.
    FileNotFoundError
        If there is no file extra_text.
    """
    copies, extra = hparams["transcript_copies"], hparams["extra_text"]
    if type(copies) is not int or copies < 1:
        raise ValueError(
            f"transcript_copies must be a positive integer, got {copies!r}"
        )
    transcripts = _transcripts(hparams, "train_annotation")
    texts = {
        f"{key}-{copy}": text
        for key, text in transcripts.items()
        for copy in range(copies)
    }
    if extra:
        if not Path(extra).is_file():
            raise FileNotFoundError(f"extra_text: no file {extra}")
        lines = Path(extra).read_text("utf-8").splitlines()
        lines = {f"line {i}": t for i, t in enumerate(lines, 1) if t.strip()}
        check_tokens(hparams["tokenizer"], lines, extra)
        texts |= lines
    return texts


def _transcripts(hparams, annotation):
    texts = read_texts(hparams[annotation], hparams["text"])
    check_tokens(hparams["tokenizer"], texts, hparams[annotation])
    return texts


def train_lm(hparams, run_opts):
    """Train a language model on transcripts and other text, and export it.

    Arguments
    ---------
    hparams : dict
        See hparams/librispeech/lm.yaml.
    run_opts : speechbrain.utils.run_opts.RunOptions

    Raises
    ------
    FileNotFoundError
        If there is no tokenizer, or with --test_only nothing trained.
    ValueError
        If the tokenizer has another number of tokens.
    """
    tokenizer, wanted = hparams["tokenizer"], hparams["output_neurons"]
    if not Path(hparams["tokenizer_file"]).is_file():
        raise FileNotFoundError(
            f"no tokenizer {hparams['tokenizer_file']}: train the recogniser "
            "of asr_folder first, or give its tokenizer_file"
        )
    tokenizer.Load(hparams["tokenizer_file"])
    if tokenizer.get_piece_size() != wanted:
        raise ValueError(
            f"output_neurons={wanted}, but {hparams['tokenizer_file']} has "
            f"{tokenizer.get_piece_size()} tokens"
        )
    texts = train_texts(hparams)
    valid = _transcripts(hparams, "valid_annotation")
    brain = LM(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.fit(
        hparams["epoch_counter"],
        text_dataset(texts, hparams),
        text_dataset(valid, hparams),
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    best = hparams["checkpointer"].recover_if_possible(min_key="loss")
    if best is None and brain.test_only:
        raise FileNotFoundError(
            f"no checkpoint in {hparams['checkpointer'].checkpoints_dir}: "
            "train first"
        )
    run_on_main(_export, args=(hparams,))
    leave_process_group(brain)


def _export(hparams):
    folder = Path(hparams["record_folder"])
    yaml = ruamel.yaml.YAML()
    tree = yaml.load((folder / "hyperparams.yaml").read_text("utf-8"))
    # The beam search carries the hidden state from token to token.
    tree["model"]["return_hidden"] = True
    with open(folder / "lm.yaml", "w", encoding="utf-8") as file:
        yaml.dump({"model": tree["model"]}, file)
    shutil.copy(hparams["tokenizer_file"], folder / "tokenizer.model")
    state = {k: v.cpu() for k, v in hparams["model"].state_dict().items()}
    torch.save(state, folder / "lm.ckpt")


def load_lm(folder, tokenizer_file=None):
    """Load a trained language model, ready to score.

    Arguments
    ---------
    folder : path-like | None
        An output folder of recipes/LibriSpeech/LM/train.py.
    tokenizer_file : path-like, optional
        The recogniser's, which must be the language model's too.

    Returns
    -------
    torch.nn.Module | None
        None for no folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no trained model.
    ValueError
        If the tokenizers differ.

    Example
    -------
    >>> load_lm(None) is None
    True
    """
    if not folder:
        return None
    files = [Path(folder, name) for name in _FILES]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"lm_folder={str(folder)!r} holds no trained language model: "
            f"looked for {', '.join(missing)}"
        )
    config, weights, _ = files
    # One without checkpoints beside it may be what an earlier start left; it
    # is compared again when it is this one's.
    if tokenizer_file and any(Path(tokenizer_file).parent.glob("CKPT*")):
        check_tokenizer(folder, tokenizer_file)
    with open(config, encoding="utf-8") as file:
        model = load_hyperpyyaml(file)["model"]
    model.load_state_dict(
        torch.load(weights, map_location="cpu", weights_only=True)
    )
    return model.eval().requires_grad_(False)


def check_tokenizer(folder, tokenizer_file):
    """Refuse a language model of other tokens than the recogniser's.

    Arguments
    ---------
    folder : path-like | None
        Of a trained language model; None for no model.
    tokenizer_file : path-like | None
        The recogniser's; nothing is said of one that is yet to be trained.

    Raises
    ------
    ValueError
        If the tokenizers differ.
    """
    if not folder or not tokenizer_file or not Path(tokenizer_file).exists():
        return
    if _pieces(tokenizer_file) != _pieces(Path(folder, _FILES[-1])):
        raise ValueError(
            f"lm_folder={str(folder)!r} was trained with another tokenizer "
            f"than {tokenizer_file}"
        )


def _pieces(path):
    """A tokenizer's pieces and their scores, in the order of their ids.

    Its file also holds the name of the text that it was trained on, which each
    seed's output folder gives another.
    """
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [
        (model.id_to_piece(i), model.get_score(i))
        for i in range(model.get_piece_size())
    ]
