"""Training, realignment and test of a network that classifies HMM states."""

import speechbrain as sb
import torch

from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.data import loader_options
from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.alignment import SCALE, align, score_matrix
from speechbrain_ligru_fast.hybrid.data import make_dataset
from speechbrain_ligru_fast.hybrid.decoding import Decoder
from speechbrain_ligru_fast.hybrid.hmm import STATES
from speechbrain_ligru_fast.hybrid.mmi import StateChain
from speechbrain_ligru_fast.hybrid.network import frame_loss, unstack
from speechbrain_ligru_fast.recognition.encoding import encode
from speechbrain_ligru_fast.scan.lengths import count_frames


class Hybrid(ASR):
    """A classifier of HMM states, scored by the words that it recognises.

    `hparams` needs the keys of hparams/hybrid/an4_hybrid_ligru.yaml.

    Attributes
    ----------
    system : speechbrain_ligru_fast.hybrid.experiment.System
        The HMM, lexicon, graphs and alignments.
    decoder : Decoder | None
        What the tests search with; None for the scale and penalty of the YAML.
    chain : StateChain | None
        What the last ``mmi_epochs`` train on whole utterances by.
    """

    system = decoder = chain = None

    def prepare_search(self):
        """Nothing is moved: the search runs on the CPU."""

    def ctc_only(self, stage):
        """False: there is one loss, from the first epoch on."""
        return False

    def can_be_best(self, stage):
        """Whether words are searched; in training's first epochs they aren't.

        A search takes as long as a third of an epoch.
        """
        epoch = self.hparams.epoch_counter.current
        last = self.hparams.number_of_search_epochs
        return (
            self.debug
            or stage == sb.Stage.TEST
            or epoch > self.hparams.number_of_epochs - last
        )

    def compute_forward(self, batch, stage):
        """From waveforms to log-posteriors of states and phones."""
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        if stage == sb.Stage.TRAIN and self.hparams.wav_augment:
            with torch.autocast(self.device_type, enabled=False):
                wavs, lengths = self.hparams.wav_augment(wavs, lengths)
        encoded, lengths = encode(
            wavs,
            lengths,
            self.hparams.compute_features,
            self.modules.normalize,
            self.modules.enc,
            counter=self.hparams.modules["enc"],
            epoch=self.hparams.epoch_counter.current,
        )
        phones = unstack(
            self.modules.phone_lin(encoded), self.hparams.phone_neurons
        )
        phones = self.hparams.log_softmax(phones)
        return self.classify(encoded), phones, lengths

    def classify(self, encoded):
        """Log-posteriors of states, (B, frames, states), of the encoder's."""
        states = self.modules.state_lin(encoded)
        states = unstack(states, self.hparams.output_neurons)
        return self.hparams.log_softmax(states)

    def compute_objectives(self, predictions, batch, stage):
        """The loss; not in training, the words are scored too."""
        states, phones, lengths = predictions
        if stage != sb.Stage.TRAIN and self.can_be_best(stage):
            search = self._search()
            texts = [
                search.best(scores)
                if stage == sb.Stage.VALID
                else search.text(search.lattice(scores))
                for scores in self.scores(states, lengths)
            ]
            for metric in self.metrics.values():
                metric.append(batch.id, batch.text, texts)
        if stage == sb.Stage.TEST:
            return torch.zeros(())
        labels, label_lengths = batch.states
        loss = frame_loss(states, lengths, labels)
        weight = self.hparams.phone_weight
        loss = loss + weight * frame_loss(phones, lengths, labels // STATES)
        if stage == sb.Stage.TRAIN and self.chain is not None:
            scores = self.hparams.mmi_scale * self.hparams.priors(states)
            loss = self.hparams.mmi_frame_weight * loss + self.chain(
                scores, lengths, labels, label_lengths
            )
        return loss

    def scores(self, states, lengths):
        """Each utterance's log-likelihoods, (frames, states), on the CPU."""
        found = self.hparams.priors(states.detach().float()).cpu()
        frames = count_frames(lengths, states).tolist()
        return [x[:n] for x, n in zip(found, frames)]

    def _search(self):
        if self.decoder is None:
            self.decoder = self.make_decoder(
                self.hparams.acoustic_scale, self.hparams.word_penalty
            )
        return self.decoder

    def make_decoder(self, scale, penalty):
        """A Decoder with this scale and penalty."""
        return Decoder(
            self.system.hmm,
            self.system.graph,
            self.system.lexicon,
            scale,
            penalty,
            self.hparams.beam,
            self.hparams.lattice_beam,
            self.hparams.max_active,
        )

    def on_stage_start(self, stage, epoch=None):
        """Take the epoch's alignment; the first to need it makes it."""
        if stage == sb.Stage.TRAIN:
            turn = sum(epoch > done for done in self.hparams.realign_after)
            self.system.take(turn, self.realign)
            alignments = self.system.states["train"].values()
            self.hparams.priors.count(alignments)
            self.decoder = self.chain = None
            if epoch > self.hparams.number_of_epochs - self.hparams.mmi_epochs:
                self.chain = StateChain(self.hparams.output_neurons)
                self.chain.count(alignments)
                self.chain.to(self.device)
        super().on_stage_start(stage, epoch)
        if not self.can_be_best(stage):
            self.metrics = {}

    @torch.no_grad()
    def score_all(self, utterances):
        """The log-likelihoods of utterances, by their ids."""
        self.modules.eval()
        dataset = make_dataset(utterances, self.system.hparams, sb.Stage.TEST)
        options = loader_options(dataset, self.system.hparams, sb.Stage.TEST)
        found = {}
        loader = self.make_dataloader(
            dataset, sb.Stage.TEST, ckpt_prefix=None, **options
        )
        for batch in loader:
            states, _, lengths = self.compute_forward(batch, sb.Stage.TEST)
            found.update(zip(batch.id, self.scores(states, lengths)))
        return found

    def realign(self, graphs, utterances):
        """Alignments by the network, of utterances with their graphs."""
        scores, hmm = self.score_all(utterances), self.system.hmm

        def score(key):
            return packages.khg.DecodableCtc(
                score_matrix(hmm, SCALE * scores[key])
            )

        return align(hmm, graphs, score)
