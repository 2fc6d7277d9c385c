"""With lengths, an utterance's result does not depend on its padding."""

import hypothesis
import pytest
import torch
import twins
from hypothesis import strategies as st

from speechbrain_ligru_fast.scan.lengths import valid_frames

pytestmark = pytest.mark.usefixtures("poisoned_memory")

SHAPE = (4, 9, 5)
FRAMES = (9, 4, 1, 6)
LENGTHS = torch.tensor(FRAMES) / SHAPE[1]
PADDING = ~valid_frames(torch.tensor(FRAMES), SHAPE[1])


def padded(value):
    x = twins.data(SHAPE).detach()
    x[PADDING] = value
    return x.requires_grad_()


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_is_never_read(backend, model, normalization, bidirectional):
    """Whatever is there."""
    ours, _ = twins.build(
        model, SHAPE, backend, normalization=normalization, num_layers=2,
        bidirectional=bidirectional,
    )  # fmt: skip
    state = {k: v.clone() for k, v in ours.state_dict().items()}
    want = twins.run(ours, padded(0.0), lengths=LENGTHS)
    for value in (1e9, float("inf"), float("nan")):
        ours.load_state_dict(state)
        got = twins.run(ours, padded(value), lengths=LENGTHS)
        assert all(torch.equal(got[name], want[name]) for name in want)
    assert all(value.isfinite().all() for value in want.values())
    assert not want["output"][PADDING].any()
    assert not want["grad x"][PADDING].any()


@hypothesis.settings(
    deadline=None,
    max_examples=20,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    frames=st.lists(st.integers(1, 11), min_size=1, max_size=9),
    model=st.sampled_from(twins.MODELS),
    normalization=st.sampled_from(["batchnorm", "layernorm"]),
    hidden_size=st.integers(1, 20),
    padding=st.integers(0, 5),
    layers=st.integers(1, 2),
)
def test_an_utterance_is_alone_in_its_batch(
    backend, frames, model, normalization, hidden_size, padding, layers
):
    longest = max(frames) + padding
    shape = (len(frames), longest, 3)
    ours, _ = twins.build(
        model, shape, backend, hidden_size=hidden_size, bidirectional=True,
        num_layers=layers, normalization=normalization,
    )  # fmt: skip
    ours.eval()
    x = twins.data(shape).detach()
    hx = twins.data((2 * layers, len(frames), hidden_size), seed=6)
    lengths = torch.tensor(frames, dtype=torch.float64) / longest
    for i, n in enumerate(frames):
        x[i, n:] = float("nan")
    output, hidden = ours(x, hx, lengths)
    for i, n in enumerate(frames):
        want, last = ours(x[i : i + 1, :n], hx[:, i : i + 1])
        assert torch.allclose(output[i, :n], want[0], rtol=0, atol=1e-12)
        assert not output[i, n:].any()
        assert torch.allclose(hidden[:, i], last[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", twins.MODELS)
def test_what_overflows_stays_out_of_the_padding(backend, model):
    ours, _ = twins.build(model, SHAPE, backend)
    with torch.no_grad():
        ours.rnn[0].w.weight.fill_(1e308)
        output, _ = ours.eval()(padded(0.0).abs(), lengths=LENGTHS)
    assert not output[~PADDING].isfinite().all()
    assert not output[PADDING].any()
