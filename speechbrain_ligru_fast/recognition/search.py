"""SpeechBrain's searches, in which each utterance has its own length.

Theirs end all texts of a batch where the longest utterance's may end, and
are told the lengths of waveforms by SpeechBrain's interfaces, not those of
what they search.
"""

import torch
from speechbrain.decoders import S2SRNNBeamSearcher, S2SRNNGreedySearcher

from speechbrain_ligru_fast.scan.lengths import to_relative


class _OwnLengths:
    """What both searches share; before SpeechBrain's class."""

    def forward(self, enc_states, wav_len, **options):
        """Searches, see SpeechBrain's.

        What a speechbrain_ligru_fast.recognition.encoding.Encoder made has its
        ``own_lengths``, which go before ``wav_len``.
        """
        lengths = getattr(enc_states, "own_lengths", wav_len)
        frames = torch.round(enc_states.shape[1] * lengths).int()
        # Tokens that a text may have.
        self._limits = [int(n * self.max_decode_ratio) for n in frames.tolist()]
        self._step = 0
        # SpeechBrain's CTC scorer needs one without padding.
        longest = max(frames.tolist())
        return super().forward(
            enc_states[:, :longest], to_relative(frames, longest), **options
        )


class BeamSearcher(_OwnLengths, S2SRNNBeamSearcher):
    """SpeechBrain's beam search; a text may be as long as alone.

    Arguments
    ---------
    **kwargs
        See speechbrain.decoders.S2SRNNBeamSearcher.
    """

    def search_step(self, *state):
        """A step of the search, which ends it for those at their limit."""
        found = super().search_step(*state)
        self._step += 1
        if self._step in self._limits:
            alived, finished, scores = found[0], found[3], found[-1]
            ends = torch.tensor(
                [n == self._step for n in self._limits], device=self.device
            ).repeat_interleave(self.beam_size)
            # As SpeechBrain ends what is left after the last step.
            tokens = torch.where(ends, self.eos_index, -1)
            self._update_hyps_and_scores_if_eos_token(
                tokens, alived, finished, scores
            )
        return found


class GreedySearcher(_OwnLengths, S2SRNNGreedySearcher):
    """SpeechBrain's greedy search; a text may be as long as alone.

    Arguments
    ---------
    **kwargs
        See speechbrain.decoders.S2SRNNGreedySearcher.
    """

    def forward_step(self, *state, **options):
        """Scores of the next tokens: the end, for those at their limit."""
        logits, memory, attention = super().forward_step(*state, **options)
        over = [n <= self._step for n in self._limits]
        self._step += 1
        if any(over):
            over = torch.tensor(over, device=logits.device).unsqueeze(1)
            others = torch.arange(logits.shape[-1], device=logits.device)
            others = (others != self.eos_index).unsqueeze(0)
            logits = logits.masked_fill(over & others, -torch.inf)
        return logits, memory, attention
