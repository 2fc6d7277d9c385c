"""A system of SpeechBrain's parts: with register(replace=True) as without."""

import pytest
import speechbrain.nnet.RNN as stock
import torch
from hyperpyyaml import load_hyperpyyaml
from torch import nn

import speechbrain_ligru_fast
from speechbrain_ligru_fast import register

# A small transducer made of SpeechBrain's parts, as its recipe makes one; the
# predictor is a LiGRU, too. No dropout: with it, one seed gives the layers of
# the two packages other initial weights.
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
search: !name:speechbrain.decoders.transducer.TransducerBeamSearcher
    decode_network_lst: [!ref <one_hot>, !ref <predictor>, !ref <dec_lin>]
    tjoint: !ref <joint>
    classifier_network: [!ref <joint_lin>]
    blank_id: 0
    nbest: 1
    state_beam: 1.0
    expand_beam: 1.0
"""


@pytest.fixture(autouse=True)
def undone():
    yield
    register(replace=False)


def outcome(jit):
    """Gradients of a transducer, what it finds, and its recurrent classes."""
    net = load_hyperpyyaml(YAML)
    if jit:
        # As a recipe's --jit does.
        net["enc"] = torch.jit.script(net["enc"])
    parts = [part for part in net.values() if isinstance(part, nn.Module)]
    # float64: one rounding can lead a search elsewhere.
    modules = nn.ModuleList(parts).double()
    every = map(type, modules.modules())
    classes = {cls for cls in every if cls.__name__ == "LiGRU"}
    g = torch.Generator().manual_seed(5)
    features = torch.randn(3, 24, 6, generator=g, dtype=torch.float64)
    labels = torch.randint(3, 7, (3, 5), generator=g)
    for _ in range(2):
        encoded = net["enc_lin"](net["enc"](features))
        predicted, _ = net["predictor"](net["one_hot"](labels))
        joint = net["joint"](
            encoded.unsqueeze(2), net["dec_lin"](predicted).unsqueeze(1)
        )
        net["joint_lin"](joint).square().mean().backward()
    grads = [p.grad for p in modules.parameters() if p.grad is not None]
    modules.eval()
    with torch.no_grad():
        # Without training a search would find nothing, or no end.
        net["joint_lin"].w.weight *= 10
        net["joint_lin"].w.bias[0] += 1
        encoded = net["enc_lin"](net["enc"](features))
        # Greedily and wide: one symbol after another, from kept states.
        found = [net["search"](beam_size=n)(encoded)[0] for n in (1, 4)]
    return grads, found, classes


@pytest.mark.parametrize("jit", [False, True])
def test_a_transducer(jit):
    want, their_hypotheses, theirs = outcome(jit)
    register(replace=True)
    got, our_hypotheses, ours = outcome(jit)
    assert theirs == {stock.LiGRU}
    assert ours == {speechbrain_ligru_fast.LiGRU}
    for ours, theirs in zip(got, want, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-12)
    assert our_hypotheses == their_hypotheses
    assert all(map(any, our_hypotheses))
