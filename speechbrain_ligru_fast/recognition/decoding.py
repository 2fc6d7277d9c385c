"""What the beam search adds to the attention decoder's own scores."""

import torch
from speechbrain.decoders import scorer


def build_scorer(
    ctc_lin,
    blank_index,
    eos_index,
    vocab_size,
    ctc_weight=0.0,
    coverage_penalty=0.0,
    language_model=None,
    lm_weight=0.0,
    lm_temperature=1.0,
):
    """Joint CTC scores, a coverage penalty and a language model, or none.

    Arguments
    ---------
    ctc_lin : torch.nn.Module
        The CTC output layer.
    blank_index, eos_index, vocab_size : int
        Of the tokenizer.
    ctc_weight, coverage_penalty, lm_weight : float
        0 leaves that part out. With a ctc_weight of 1 attention takes no part,
        and neither does its coverage.
    language_model : torch.nn.Module, optional
        See speechbrain_ligru_fast.asr.lm.load_lm.
    lm_temperature : float
        Above 1, the language model's distribution is softened.

    Returns
    -------
    speechbrain.decoders.scorer.ScorerBuilder | None

    Raises
    ------
    ValueError
        For a ctc_weight outside of 0 to 1, or joint decoding where blank and
        end are one id.

    Example
    -------
    >>> import torch
    >>> scorer = build_scorer(torch.nn.Linear(8, 5), 0, 2, 5, ctc_weight=0.3)
    >>> sorted(scorer.full_scorers | scorer.partial_scorers)
    ['ctc']
    """
    if not 0 <= ctc_weight <= 1:
        raise ValueError(f"ctc_weight_decode must be 0 to 1, got {ctc_weight}")
    if ctc_weight and blank_index == eos_index:
        raise ValueError(
            f"ctc_weight_decode={ctc_weight}: CTC can't tell the end from the "
            f"blank where blank_index and eos_index are both {eos_index}. "
            "Give --ctc_weight_decode 0"
        )
    full, partial, weights = [], [], {}
    if language_model is not None and lm_weight:
        full.append(scorer.RNNLMScorer(language_model, lm_temperature))
        weights["rnnlm"] = lm_weight
    if coverage_penalty and ctc_weight < 1:
        full.append(scorer.CoverageScorer(vocab_size))
        weights["coverage"] = coverage_penalty
    if ctc_weight:
        # Alone it scores every token: nothing else chooses candidates.
        scorers = full if ctc_weight == 1 else partial
        scorers.append(scorer.CTCScorer(ctc_lin, blank_index, eos_index))
        weights["ctc"] = ctc_weight
    if not weights:
        return None
    build = CTCAlone if ctc_weight == 1 else scorer.ScorerBuilder
    return build(weights, full, partial)


class CTCAlone(scorer.ScorerBuilder):
    """SpeechBrain's ScorerBuilder where attention takes no part.

    SpeechBrain's search then has no log-probabilities of its own, and goes on
    adding to those of the step before.
    """

    def score(self, inp_tokens, memory, attn, log_probs, beam_size):
        """Score every token, see ScorerBuilder."""
        nothing = torch.zeros_like(log_probs)
        return super().score(inp_tokens, memory, attn, nothing, beam_size)


def limit_shift(using_max_attn_shift, ctc_weight):
    """Whether a search limits the shift of attention: not of CTC alone.

    Example
    -------
    >>> limit_shift(True, 0.3), limit_shift(True, 1.0)
    (True, False)
    """
    return using_max_attn_shift and ctc_weight < 1
