"""Training, validation and test of a CTC + attention recogniser."""

import logging
import time

import speechbrain as sb
import torch
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.utils.checkpoints import average_checkpoints
from speechbrain.utils.distributed import ddp_broadcast
from torch.nn.parallel import DistributedDataParallel

from speechbrain_ligru_fast.asr.checkpoints import Randomness
from speechbrain_ligru_fast.asr.metrics import ErrorRate
from speechbrain_ligru_fast.lobe.describe_recurrent import describe_recurrent
from speechbrain_ligru_fast.recognition.encoding import encode
from speechbrain_ligru_fast.training.process_group import count_processes
from speechbrain_ligru_fast.training.provenance import describe_device
from speechbrain_ligru_fast.training.timing import EpochTimer, peak_rss_mb
from speechbrain_ligru_fast.training.train_logger import log_epoch

logger = logging.getLogger(__name__)


class ASR(sb.Brain):
    """CTC + attention, for words or phones.

    `hparams` needs the keys of hparams/timit/ligru_fast.yaml. The metric that
    selects checkpoints and drives the learning rate is the token error rate
    of the transcripts, named by ``hparams.metric`` (WER or PER).
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        sync = self.hparams.sync_batch_norm
        if sync not in (None, True, False):
            raise ValueError(
                f"sync_batch_norm must be null, True or False, got {sync!r}"
            )
        if sync and self.device_type == "cpu":
            raise ValueError(
                "sync_batch_norm=True on a CPU: torch's SyncBatchNorm runs on "
                "GPUs only. null synchronises there, False nowhere"
            )
        self.timer = EpochTimer(self.peak_mb)
        self.randomness = Randomness()
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("timer", self.timer)
            self.checkpointer.add_recoverable("randomness", self.randomness)
        self.prepare_search()

    def prepare_search(self):
        """Move what searches to the device."""
        scorer = self.hparams.test_search.scorer
        if scorer is not None and "rnnlm" in scorer.full_scorers:
            # The scorer is no module: nobody else moves its model.
            scorer.full_scorers["rnnlm"].lm.to(self.device).eval()

    def fit(self, *args, **kwargs):
        """Train; with --test_only the encoder is but compiled, if asked for.

        SpeechBrain would test it as it is, which is not what was trained.
        """
        if self.test_only:
            self._compile()
        super().fit(*args, **kwargs)

    def compute_forward(self, batch, stage):
        """From waveforms to log-probabilities and, not in training, ids."""
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        tokens_bos, _ = batch.tokens_bos
        augment = self._augment(stage)
        if augment:
            # As features are: waveforms need more digits than bfloat16 has.
            with torch.autocast(self.device_type, enabled=False):
                wavs, lengths = augment(wavs, lengths)
            tokens_bos = augment.replicate_labels(tokens_bos)

        epoch = self.hparams.epoch_counter.current
        encoded, lengths = encode(
            wavs,
            lengths,
            self.hparams.compute_features,
            self.modules.normalize,
            self.modules.enc,
            counter=self.hparams.modules["enc"],
            epoch=epoch,
        )
        p_ctc, p_seq, ids = None, None, None
        ctc_only = self.ctc_only(stage)
        if ctc_only or (
            stage == sb.Stage.TRAIN
            and epoch <= self.hparams.number_of_ctc_epochs
        ):
            p_ctc = self.hparams.log_softmax(self.modules.ctc_lin(encoded))
        if not ctc_only:
            decoded, _ = self.modules.dec(
                self.modules.emb(tokens_bos), encoded, lengths
            )
            p_seq = self.hparams.log_softmax(self.modules.seq_lin(decoded))
        if stage == sb.Stage.VALID and ctc_only:
            ids = ctc_greedy_decode(p_ctc, lengths, self.hparams.blank_index)
        elif stage == sb.Stage.VALID:
            ids, *_ = self.hparams.valid_search(encoded, lengths)
        elif stage == sb.Stage.TEST:
            ids, *_ = self.hparams.test_search(encoded, lengths)
        return p_ctc, p_seq, lengths, ids

    def compute_objectives(self, predictions, batch, stage):
        """The loss; not in training, the transcripts are scored too."""
        p_ctc, p_seq, lengths, ids = predictions
        tokens, tokens_eos = batch.tokens, batch.tokens_eos
        augment = self._augment(stage)
        if augment:
            tokens, tokens_eos = (
                augment.replicate_multiple_labels(*labels)
                for labels in (tokens, tokens_eos)
            )
        losses, weight = [], self.hparams.ctc_weight
        if p_ctc is not None:
            losses.append(
                self.hparams.ctc_cost(p_ctc, tokens[0], lengths, tokens[1])
            )
        if p_seq is not None:
            losses.append(self.hparams.seq_cost(p_seq, *tokens_eos))
        loss = losses[0]
        if len(losses) == 2:
            loss = weight * losses[0] + (1 - weight) * losses[1]
        if stage != sb.Stage.TRAIN:
            texts = [self.hparams.tokenizer.decode_ids(i) for i in ids]
            for metric in self.metrics.values():
                metric.append(batch.id, batch.text, texts)
        return loss

    def on_fit_batch_start(self, batch, should_step):
        """Draw from here on what the unbroken training would have."""
        self.randomness.resume()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Move a learning rate that changes by the step."""
        if should_step and self.hparams.step_schedule:
            self.hparams.step_schedule(self.optimizer)

    def evaluate_batch(self, batch, stage):
        """Evaluate a batch; a test's decoding time is taken."""
        if stage != sb.Stage.TEST:
            return super().evaluate_batch(batch, stage)
        start = time.perf_counter()
        loss = super().evaluate_batch(batch, stage)
        self.decode_s += time.perf_counter() - start
        samples = batch.sig.lengths.sum() * batch.sig.data.shape[1]
        self.audio_s += float(samples) / self.hparams.sample_rate
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Reset what the stage collects."""
        if stage == sb.Stage.TRAIN:
            # An epoch resumed in its middle gives no time of an epoch.
            self.timer.start(complete=self.step == 0, place=self.place())
            return
        self.decode_s = self.audio_s = 0.0
        rate = ErrorRate("word", self.hparams.scoring)
        self.metrics = {self.hparams.metric: rate}
        if self.hparams.metric == "WER":
            self.metrics["CER"] = ErrorRate("char")

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log, anneal, save; a test keeps its scores in `test_stats`."""
        if stage == sb.Stage.TRAIN:
            # Interrupted after the last batch, there was none to start.
            self.randomness.resume()
            self.train_stats = {"loss": stage_loss, "s": self.timer.stop()}
            return
        stats = {"loss": stage_loss} | {
            name: metric.summarize() for name, metric in self.metrics.items()
        }
        if stage == sb.Stage.TEST:
            self.test_stats = stats
            return
        # Batch norms of their own may score differently in each process, and
        # different learning rates would part the weights.
        error = ddp_broadcast(stats.get(self.hparams.metric))
        lr = self.optimizer.param_groups[0]["lr"]
        if self.hparams.lr_annealing:
            _, new_lr = self.hparams.lr_annealing(error)
            sb.nnet.schedulers.update_learning_rate(self.optimizer, new_lr)
        logged = {"epoch": epoch, "lr": lr}
        # The logger gives numbers three digits, too few for a sum.
        logged["elapsed s"] = f"{self.timer.elapsed():.1f}"
        log_epoch(self.hparams.train_logger, logged, self.train_stats, stats)
        meta = {"epoch": epoch}
        if self.can_be_best(stage):
            meta[self.hparams.metric] = error
        self.checkpointer.save_and_keep_only(
            meta=meta,
            num_to_keep=self.hparams.avg_checkpoints,
            min_keys=[self.hparams.metric],
        )

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the best checkpoint, or the mean of the best ones.

        The number and times of epochs are those of the last one.
        """
        best = self.checkpointer.find_checkpoints(
            max_key=max_key,
            min_key=min_key,
            max_num_checkpoints=self.hparams.avg_checkpoints,
        )
        if not best:
            raise FileNotFoundError(
                f"no checkpoint with a {min_key or max_key} in "
                f"{self.checkpointer.checkpoints_dir}: train first, or on "
                "until the decoder joins (number_of_ctc_only_epochs)"
            )
        self.checkpointer.load_checkpoint(best[0])
        last = self.checkpointer.find_checkpoint(max_key="epoch")
        self.trained_epochs = last.meta["epoch"]
        self.timer.load(last.paramfiles["timer"])
        if len(best) > 1:
            self.hparams.model.load_state_dict(
                average_checkpoints(best, "model")
            )

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        # Gradients that wait for their step are not saved.
        if self.step % self.grad_accumulation_factor:
            return False
        return super()._should_save_intra_epoch_ckpt(
            last_ckpt_time, steps_since_ckpt
        )

    def _wrap_distributed(self):
        # SpeechBrain makes every batch norm a SyncBatchNorm, which torch has
        # for GPUs only.
        sync = self.hparams.sync_batch_norm
        if sync is None:
            sync = self.device_type != "cpu"
        if self.distributed_launch and sync and self.scripted():
            reason = "--jit: what is scripted can't be made synchronous"
            if self.hparams.sync_batch_norm:
                raise ValueError(f"sync_batch_norm=True with {reason}")
            logger.warning(
                "Each process's batch norms see its own batch alone (%s)",
                reason,
            )
        if sync or not self.distributed_launch:
            super()._wrap_distributed()
            return
        for name, module in self.modules.items():
            if any(p.requires_grad for p in module.parameters()):
                self.modules[name] = DistributedDataParallel(
                    module, find_unused_parameters=self.find_unused_parameters
                )

    def scripted(self):
        """Whether the encoder is, not only whether --jit was given."""
        # Also inside of DistributedDataParallel.
        return any(
            isinstance(module, torch.jit.ScriptModule)
            for module in self.modules["enc"].modules()
        )

    def recurrent(self):
        """The layer and what computes it, as a result row has them."""
        return describe_recurrent(
            self.hparams.modules["enc"],
            self.device_type,
            self.precision,
            self.scripted(),
        )

    def place(self):
        """What an epoch's time is of: machine, implementation and how."""
        found = [
            describe_device(self.device_type),
            f"{torch.get_num_threads()} threads",
            f"{count_processes()} processes",
            self.recurrent()["impl"],
            self.precision,
            *(["compiled"] if self.compile else []),
        ]
        return ", ".join(found)

    def peak_mb(self):
        """Most memory this process has used, in MiB, of its device."""
        if self.device_type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return peak_rss_mb()

    def ctc_only(self, stage):
        """Whether the decoder does not take part yet."""
        if self.debug:
            # Its few epochs shall run everything.
            return False
        epoch = self.hparams.epoch_counter.current
        only = self.hparams.number_of_ctc_only_epochs
        return stage != sb.Stage.TEST and epoch <= only

    def can_be_best(self, stage):
        """Whether a checkpoint of this epoch can: not without its decoder."""
        return not self.ctc_only(stage)

    def _augment(self, stage):
        return self.hparams.wav_augment if stage == sb.Stage.TRAIN else None
