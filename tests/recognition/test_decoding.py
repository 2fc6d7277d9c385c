"""What joins in the search, and that CTC alone finds what is said."""

import itertools

import pytest
import torch
from speechbrain.decoders import S2SRNNBeamSearcher
from speechbrain.nnet.embedding import Embedding
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.RNN import AttentionalRNNDecoder

from speechbrain_ligru_fast.recognition.decoding import (
    build_scorer,
    limit_shift,
)

BLANK, BOS, EOS, TOKENS = 0, 1, 2, (3, 4, 5)
SIZE = 6


def search(**scorer):
    """A beam search where the encoder's output is CTC's scores."""
    decoder = AttentionalRNNDecoder(
        enc_dim=SIZE,
        input_size=4,
        rnn_type="gru",
        attn_type="location",
        hidden_size=8,
        attn_dim=8,
        num_layers=1,
        channels=2,
        kernel_size=5,
    )
    return S2SRNNBeamSearcher(
        embedding=Embedding(num_embeddings=SIZE, embedding_dim=4),
        decoder=decoder,
        linear=Linear(input_size=8, n_neurons=SIZE),
        bos_index=BOS,
        eos_index=EOS,
        min_decode_ratio=0.0,
        max_decode_ratio=1.0,
        beam_size=4,
        using_max_attn_shift=limit_shift(True, scorer["ctc_weight"]),
        max_attn_shift=1,
        scorer=build_scorer(
            torch.nn.Identity(), BLANK, EOS, SIZE, coverage_penalty=1, **scorer
        ),
    ).eval()


@pytest.mark.parametrize("weight", [1, 1.0])
def test_ctc_alone_finds_what_is_said(weight):
    generator = torch.manual_seed(0)
    searcher = search(ctc_weight=weight)
    choices = torch.tensor([BLANK, *TOKENS])
    for _ in range(5):
        frames = choices[torch.randint(4, (30,), generator=generator)]
        logits = torch.randn(1, 30, SIZE, generator=generator)
        logits[0, range(30), frames] += 7
        said = [i for i, _ in itertools.groupby(frames.tolist()) if i != BLANK]
        with torch.no_grad():
            texts, *_ = searcher(logits, torch.ones(1))
        assert texts[0] == said


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_the_weight_is_a_share(weight):
    with pytest.raises(ValueError, match="ctc_weight_decode must be 0 to 1"):
        search(ctc_weight=weight)


def test_joint_decoding_needs_an_end_that_is_no_blank():
    with pytest.raises(ValueError, match="are both 0. Give --ctc_weight_decod"):
        build_scorer(torch.nn.Identity(), 0, 0, SIZE, ctc_weight=0.3)
    assert build_scorer(torch.nn.Identity(), 0, 0, SIZE) is None
