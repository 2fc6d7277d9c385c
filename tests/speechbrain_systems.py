"""Small recognisers of the three kinds that SpeechBrain's recipes train.

They are made of the installed SpeechBrain's parts, which a YAML file names.
"""

import functools
import pathlib

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from torch.utils.data import DataLoader
from torchaudio.functional import rnnt_loss

YAML = pathlib.Path(__file__).parent / "hparams" / "speechbrain_systems.yaml"
# Frames and symbols of the longest utterance of a batch.
FRAMES, SYMBOLS = 24, 5
BATCHES = 4


def transducer_loss(
    logits, targets, input_lens, target_lens, blank_index, reduction="mean"
):
    """SpeechBrain's loss, on a CPU: its own runs on GPUs alone."""
    return rnnt_loss(
        logits.float(),  # the only type it takes
        targets.int(),
        (input_lens * logits.shape[1]).round().int(),
        (target_lens * targets.shape[1]).round().int(),
        blank=blank_index,
        reduction=reduction,
    )


def batches(hparams, number=BATCHES, utterances=3):
    """Made-up features and labels, as (features, lengths, labels, lengths)."""
    g = torch.Generator().manual_seed(5)
    size = (utterances, FRAMES, hparams["features"])
    lengths = torch.linspace(1.0, 0.5, utterances)
    for _ in range(number):
        labels = torch.randint(
            3, hparams["symbols"], (utterances, SYMBOLS), generator=g
        )
        yield torch.randn(size, generator=g), lengths, labels, lengths


class CTC(sb.Brain):
    """As SpeechBrain's recipe TIMIT/ASR/CTC."""

    parts = ("enc", "ctc_lin")

    def compute_forward(self, batch, stage):
        """Log probabilities of the symbols."""
        return self.modules.ctc_lin(self.modules.enc(batch[0])).log_softmax(-1)

    def compute_objectives(self, predictions, batch, stage):
        """CTC's loss; a test also decodes."""
        _, lengths, labels, label_lengths = batch
        blank = self.hparams.blank_index
        if stage == sb.Stage.TEST:
            self.hypotheses.append(
                sb.decoders.ctc_greedy_decode(predictions, lengths, blank)
            )
        return sb.nnet.losses.ctc_loss(
            predictions, labels, lengths, label_lengths, blank
        )


class Attention(sb.Brain):
    """As SpeechBrain's recipe TIMIT/ASR/seq2seq."""

    parts = ("enc", "emb", "dec", "seq_lin")

    def compute_forward(self, batch, stage):
        """Log probabilities of the symbols, and the encoder's output."""
        features, lengths, labels, _ = batch
        encoded = self.modules.enc(features)
        shifted = sb.dataio.dataio.prepend_bos_token(
            labels, self.hparams.bos_index
        )
        decoded, _ = self.modules.dec(
            self.modules.emb(shifted), encoded, lengths
        )
        return self.modules.seq_lin(decoded).log_softmax(-1), encoded

    def compute_objectives(self, predictions, batch, stage):
        """The decoder's loss; a test also searches."""
        _, lengths, labels, label_lengths = batch
        scores, encoded = predictions
        if stage == sb.Stage.TEST:
            search = self.hparams.attention_search
            self.hypotheses.append(search(encoded, lengths)[0])
        targets = sb.dataio.dataio.append_eos_token(
            labels,
            (label_lengths * labels.shape[1]).round().long(),
            self.hparams.eos_index,
        )
        longest = labels.shape[1]
        return sb.nnet.losses.nll_loss(
            scores, targets, (label_lengths * longest + 1) / (longest + 1)
        )


class Transducer(sb.Brain):
    """As SpeechBrain's recipe TIMIT/ASR/transducer, its predictor a LiGRU."""

    parts = ("enc", "enc_lin", "one_hot", "predictor", "dec_lin", "joint_lin")
    beams = (1, 4)

    def compute_forward(self, batch, stage):
        """Scores of the symbols, and the encoder's output."""
        features, _, labels, _ = batch
        encoded = self.modules.enc_lin(self.modules.enc(features))
        shifted = sb.dataio.dataio.prepend_bos_token(
            labels, self.hparams.blank_index
        )
        predicted, _ = self.modules.predictor(self.modules.one_hot(shifted))
        joint = self.hparams.joint(
            encoded.unsqueeze(2),
            self.modules.dec_lin(predicted).unsqueeze(1),
        )
        return self.modules.joint_lin(joint), encoded

    def compute_objectives(self, predictions, batch, stage):
        """The transducer's loss; a test also searches, greedily and wide."""
        _, lengths, labels, label_lengths = batch
        scores, encoded = predictions
        if stage == sb.Stage.TEST:
            for beam in self.beams:
                search = self.hparams.transducer_search(beam_size=beam)
                self.hypotheses.append(search(encoded)[0])
        blank = self.hparams.blank_index
        return transducer_loss(scores, labels, lengths, label_lengths, blank)


def train(kind, jit=False, epochs=8):
    """Trains one of the three and tests it.

    Arguments
    ---------
    kind : type
        CTC, Attention or Transducer.
    jit : bool
        Whether the encoder is scripted, as by a recipe's ``--jit``.
    epochs : int
        How often the four batches are seen.

    Returns
    -------
    tuple
        All losses, the hypotheses, and the classes of the recurrent layers.
    """
    with YAML.open(encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file)
    modules = {name: hparams[name] for name in kind.parts}
    classes = {
        type(module)
        for part in modules.values()
        for module in part.modules()
        if type(module).__name__ == "LiGRU"
    }
    brain = kind(
        modules,
        # As two of the recipes. Adam would make whole steps of the rounding
        # errors that are the gradient of a bias before a batch norm.
        functools.partial(torch.optim.Adadelta, rho=0.95, eps=1e-8),
        hparams | {"jit_module_keys": ["enc"]},
        run_opts={"device": "cpu", "jit": jit, "noprogressbar": True},
    )
    for part in brain.modules.modules():
        if isinstance(part, torch.nn.Conv1d):
            # Attention begins in float32, whatever the weights are.
            part.register_forward_pre_hook(
                lambda conv, given: given[0].to(conv.weight.dtype)
            )
    brain.hypotheses, losses = [], []
    data = DataLoader(list(batches(hparams)), batch_size=None)
    brain.on_fit_batch_end = lambda batch, outputs, loss, _: losses.append(
        loss.item()
    )
    brain.fit(range(epochs), data)
    losses.append(brain.evaluate(data))
    return torch.tensor(losses), brain.hypotheses, classes
