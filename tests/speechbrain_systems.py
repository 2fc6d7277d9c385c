"""A small transducer made of SpeechBrain's parts, as its recipe makes one.

A YAML text names them; the predictor is a LiGRU, too. No dropout: with it, one
seed gives the layers of the two packages other initial weights.
"""

import functools

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from torch.utils.data import DataLoader
from torchaudio.functional import rnnt_loss

YAML = """
__set_seed: !apply:speechbrain.utils.seed_everything [1234]
enc: !new:speechbrain.lobes.models.CRDNN.CRDNN
    input_shape: [null, null, 6]
    dropout: 0.0
    cnn_blocks: 1
    cnn_channels: (4,)
    time_pooling: True
    rnn_layers: 2
    rnn_neurons: 12
    rnn_bidirectional: True
    dnn_blocks: 1
    dnn_neurons: 12
one_hot: !new:speechbrain.nnet.embedding.Embedding
    num_embeddings: 7
    consider_as_one_hot: True
    blank_id: 0
predictor: !new:speechbrain.nnet.RNN.LiGRU
    input_shape: [null, null, 6]
    hidden_size: 12
    num_layers: 1
    normalization: layernorm
    bidirectional: False
enc_lin: !new:speechbrain.nnet.linear.Linear
    input_size: 12
    n_neurons: 10
    bias: False
dec_lin: !new:speechbrain.nnet.linear.Linear
    input_size: 12
    n_neurons: 10
    bias: False
joint: !new:speechbrain.nnet.transducer.transducer_joint.Transducer_joint
    joint: sum
    nonlinearity: !name:torch.nn.LeakyReLU
joint_lin: !new:speechbrain.nnet.linear.Linear
    input_size: 10
    n_neurons: 7
    bias: False
search: !name:speechbrain.decoders.transducer.TransducerBeamSearcher
    decode_network_lst: [!ref <one_hot>, !ref <predictor>, !ref <dec_lin>]
    tjoint: !ref <joint>
    classifier_network: [!ref <joint_lin>]
    blank_id: 0
    nbest: 1
    state_beam: 1.0
    expand_beam: 1.0
"""
BLANK = 0
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


def batches():
    """Made-up features and labels, as (features, labels, lengths of both)."""
    g = torch.Generator().manual_seed(5)
    for _ in range(BATCHES):
        labels = torch.randint(3, 7, (3, 5), generator=g)
        features = torch.randn(3, 24, 6, generator=g)
        yield features, labels, torch.linspace(1.0, 0.5, 3)


class Transducer(sb.Brain):
    """As SpeechBrain's recipe TIMIT/ASR/transducer, its predictor a LiGRU."""

    parts = ("enc", "enc_lin", "one_hot", "predictor", "dec_lin", "joint_lin")

    def compute_forward(self, batch, stage):
        """Scores of the symbols, and the encoder's output."""
        features, labels, _ = batch
        encoded = self.modules.enc_lin(self.modules.enc(features))
        shifted = sb.dataio.dataio.prepend_bos_token(labels, BLANK)
        predicted, _ = self.modules.predictor(self.modules.one_hot(shifted))
        joint = self.hparams.joint(
            encoded.unsqueeze(2),
            self.modules.dec_lin(predicted).unsqueeze(1),
        )
        return self.modules.joint_lin(joint), encoded

    def compute_objectives(self, predictions, batch, stage):
        """The transducer's loss; a test also searches, greedily and wide."""
        _, labels, lengths = batch
        scores, encoded = predictions
        if stage == sb.Stage.TEST:
            for beam in (1, 4):
                search = self.hparams.search(beam_size=beam)
                self.hypotheses.append(search(encoded)[0])
        return transducer_loss(scores, labels, lengths, lengths, BLANK)


def train(jit=False, epochs=8):
    """Trains a recogniser and tests it.

    Arguments
    ---------
    jit : bool
        Whether the encoder is scripted, as by a recipe's ``--jit``.
    epochs : int
        How often the four batches are seen.

    Returns
    -------
    tuple
        All losses, the hypotheses, and the classes of the recurrent layers.
    """
    hparams = load_hyperpyyaml(YAML)
    modules = {name: hparams[name] for name in Transducer.parts}
    every = torch.nn.ModuleList(modules.values()).modules()
    classes = {type(m) for m in every if type(m).__name__ == "LiGRU"}
    brain = Transducer(
        modules,
        # As two of the recipes. Adam would make whole steps of the rounding
        # errors that are the gradient of a bias before a batch norm.
        functools.partial(torch.optim.Adadelta, rho=0.95, eps=1e-8),
        hparams | {"jit_module_keys": ["enc"]},
        run_opts={"device": "cpu", "jit": jit, "noprogressbar": True},
    )
    brain.hypotheses, losses = [], []
    data = DataLoader(list(batches()), batch_size=None)
    brain.on_fit_batch_end = lambda batch, outputs, loss, _: losses.append(
        loss.item()
    )
    brain.fit(range(epochs), data)
    losses.append(brain.evaluate(data))
    return torch.tensor(losses), brain.hypotheses, classes
