"""What the beam search adds to the attention decoder's own scores."""

from speechbrain.decoders.scorer import (
    CoverageScorer,
    CTCScorer,
    RNNLMScorer,
    ScorerBuilder,
)


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
        0 leaves that part out.
    language_model : torch.nn.Module, optional
        See speechbrain_ligru_fast.asr.lm.load_lm.
    lm_temperature : float
        Above 1, the language model's distribution is softened.

    Returns
    -------
    speechbrain.decoders.scorer.ScorerBuilder | None

    Example
    -------
    >>> import torch
    >>> scorer = build_scorer(torch.nn.Linear(8, 5), 0, 2, 5, ctc_weight=0.3)
    >>> sorted(scorer.full_scorers | scorer.partial_scorers)
    ['ctc']
    """
    full, partial, weights = [], [], {}
    if language_model is not None and lm_weight:
        full.append(RNNLMScorer(language_model, lm_temperature))
        weights["rnnlm"] = lm_weight
    if coverage_penalty:
        full.append(CoverageScorer(vocab_size))
        weights["coverage"] = coverage_penalty
    if ctc_weight:
        partial.append(CTCScorer(ctc_lin, blank_index, eos_index))
        weights["ctc"] = ctc_weight
    if not weights:
        return None
    return ScorerBuilder(weights, full, partial)
