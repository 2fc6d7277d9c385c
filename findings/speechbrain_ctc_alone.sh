#!/usr/bin/env bash
# speechbrain 1.1.2 (with torch 2.15.0 and torchaudio 2.11.1)
# Guessed: a beam search whose CTC scorer has a weight of 1.0 (the decoder
#     counts for nothing) finds the tokens of a clear CTC posterior.
# Does: it finds none, while a weight of 0.99 finds all. Without the decoder no
#     step gets scores of its own: each adds to the tensor of the step before
#     in place, and all steps' scores pile up.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1
python - <<'PYTHON'
import torch
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.decoders.scorer import CTCScorer, ScorerBuilder
from speechbrain.decoders.seq2seq import S2SRNNBeamSearcher
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.RNN import AttentionalRNNDecoder

torch.manual_seed(0)
blank, bos, eos, tokens = 0, 1, 2, 5
path = torch.tensor([[3, blank, 4, blank, 3, blank, 4, blank]])
logits = torch.nn.functional.one_hot(path, tokens) * 14.0
everything = torch.ones(1)


def search(weight):
    scorer = ScorerBuilder(
        full_scorers=[
            CTCScorer(
                ctc_fc=torch.nn.Identity(), blank_index=blank, eos_index=eos
            )
        ],
        weights={"ctc": weight},
    )
    searcher = S2SRNNBeamSearcher(
        embedding=torch.nn.Embedding(tokens, 3),
        decoder=AttentionalRNNDecoder(
            "gru", "content", 3, 3, 1, enc_dim=tokens, input_size=3
        ),
        linear=Linear(n_neurons=tokens, input_size=3),
        bos_index=bos,
        eos_index=eos,
        min_decode_ratio=0,
        max_decode_ratio=1,
        beam_size=4,
        using_eos_threshold=False,
        length_normalization=False,
        scorer=scorer,
    )
    with torch.no_grad():
        return searcher(logits, everything)[0]


greedy = ctc_greedy_decode(logits.softmax(-1), everything, blank_id=blank)
mixed, alone = search(0.99), search(1.0)
print(f"greedy {greedy}, weight 0.99 {mixed}, weight 1.0 {alone}")
assert greedy == mixed == [[3, 4, 3, 4]] and alone == [[]]
PYTHON
