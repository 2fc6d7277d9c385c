"""Random options, sizes and values: every backend against stock."""

import hypothesis
import torch
import twins
from hypothesis import strategies as st

from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

LAYERS = st.fixed_dictionaries(
    {
        "hidden_size": st.integers(1, 40),
        "num_layers": st.integers(1, 2),
        "bidirectional": st.booleans(),
        "nonlinearity": st.sampled_from(NONLINEARITIES),
        "normalization": st.sampled_from(["batchnorm", "layernorm"]),
        "bias": st.booleans(),
    }
)


@hypothesis.settings(
    deadline=None,
    max_examples=25,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    options=LAYERS,
    model=st.sampled_from(twins.MODELS),
    shape=st.tuples(st.integers(1, 19), st.integers(1, 12), st.integers(1, 9)),
    training=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_equals_stock(
    backend, poisoned_memory, options, model, shape, training, seed
):
    # One frame has no batch statistics.
    hypothesis.assume(not training or shape[0] * shape[1] > 1)
    ours, theirs = twins.build(model, shape, backend, **options)
    x = twins.data(shape, seed=seed)
    got = twins.run(ours.train(training), x)
    want = twins.run(theirs.train(training), x)
    # Stock's final state is scrambled with two directions.
    skip = ("hidden",) if options["bidirectional"] else ()
    twins.assert_equal(got, want, skip=skip)


@hypothesis.settings(
    deadline=None,
    max_examples=20,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    frames=st.lists(st.integers(1, 11), min_size=1, max_size=9),
    model=st.sampled_from(twins.MODELS),
    hidden_size=st.integers(1, 20),
    padding=st.integers(0, 5),
)
def test_an_utterance_is_alone_in_its_batch(
    backend, poisoned_memory, frames, model, hidden_size, padding
):
    longest = max(frames) + padding
    shape = (len(frames), longest, 3)
    ours, _ = twins.build(
        model, shape, backend, hidden_size=hidden_size, bidirectional=True
    )
    ours.eval()
    x = twins.data(shape).detach()
    lengths = torch.tensor(frames, dtype=torch.float64) / longest
    for i, n in enumerate(frames):
        x[i, n:] = float("nan")
    output, hidden = ours(x, lengths=lengths)
    for i, n in enumerate(frames):
        want, last = ours(x[i : i + 1, :n])
        assert torch.allclose(output[i, :n], want[0], rtol=0, atol=1e-12)
        assert not output[i, n:].any()
        assert torch.allclose(hidden[:, i], last[:, 0], rtol=0, atol=1e-12)
