#!/usr/bin/env bash
# flax 0.12.8 (with jax 0.10.2)
# Guessed: as a Dense of dtype=bfloat16 does, a recurrent cell of it returns
#     bfloat16, and with param_dtype=bfloat16 its weights are in it too.
# Does: in an RNN, GRUCell and the LSTM cells return float32 and keep a float32
#     state, SimpleCell is refused whatever the input (its state is of another
#     dtype than it returns), and no cell can be made with bfloat16 weights:
#     their orthogonal initialiser doesn't know the dtype.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu python - <<'PYTHON'
import jax
from flax import linen
from jax import numpy

key = jax.random.key(0)
x = numpy.ones((2, 5, 4), "bfloat16")
dense, _ = linen.Dense(3, dtype="bfloat16").init_with_output(key, x)
print(f"Dense: {dense.dtype}")
assert dense.dtype == "bfloat16"


def outcome(cell, **dtypes):
    """The dtype of the outputs, or the error's name."""
    rnn = linen.RNN(cell(3, dtype="bfloat16", **dtypes))
    try:
        return rnn.init_with_output(key, x)[0].dtype.name
    except (TypeError, NotImplementedError) as error:
        return type(error).__name__


for cell, expected in {
    linen.GRUCell: "float32",
    linen.LSTMCell: "float32",
    linen.SimpleCell: "TypeError",
}.items():
    found = outcome(cell), outcome(cell, param_dtype="bfloat16")
    print(f"{cell.__name__}: {found[0]}; with bfloat16 weights: {found[1]}")
    assert found == (expected, "NotImplementedError")
PYTHON
