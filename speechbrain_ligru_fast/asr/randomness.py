"""The random number generators' states, as a part of a checkpoint."""

import functools
import random

import numpy
import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import get_rank, if_main_process

# Until 0.1.0 NumPy's key was saved as an array. What makes arrays of numbers
# runs nothing else.
_OF_OLDER_STATES = [
    numpy.ndarray,
    numpy.dtype,
    type(numpy.dtype("uint32")),
    *(
        (
            numpy.zeros(1).__reduce__()[0],
            f"numpy.{core}.multiarray._reconstruct",
        )
        for core in ("core", "_core")
    ),
]

# Every process has states to save.
_register = functools.partial(
    register_checkpoint_hooks, save_on_main_only=False
)


@_register
class Randomness:
    """Makes a resumed training draw what the unbroken one would have.

    Example
    -------
    >>> randomness, path = Randomness(), getfixture("tmp_path") / "state"
    >>> randomness.save(path)
    >>> first = torch.rand(1)
    >>> randomness.load(path, end_of_epoch=True)
    >>> bool(torch.rand(1) == first)
    True
    """

    def __init__(self):
        self._within_epoch = None

    @mark_as_saver
    def save(self, path):
        """Save the states of all processes; all must call it."""
        state = {
            "torch": torch.get_rng_state(),
            "python": random.getstate(),
            "numpy": _plain(numpy.random.get_state()),
        }
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state()
        if torch.distributed.is_initialized():
            states = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, state)
            state = {**states[0], "others": states[1:]}
        if if_main_process():
            torch.save(state, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Restore the states.

        Those of a checkpoint within an epoch once more by `resume`, for a
        data loader draws a number when it starts, also in the middle.
        """
        with torch.serialization.safe_globals(_OF_OLDER_STATES):
            state = torch.load(path, weights_only=True)
        self._set(state)
        self._within_epoch = None if end_of_epoch else state

    def resume(self):
        """To be called when the resumed epoch's loader has started."""
        if self._within_epoch is not None:
            self._set(self._within_epoch)
            self._within_epoch = None

    @staticmethod
    def _set(state):
        rank = get_rank() or 0
        others = state.get("others", [])
        if 0 < rank <= len(others):
            state, rank = others[rank - 1], 0
        torch.set_rng_state(state["torch"])
        random.setstate(state["python"])
        name, key, *rest = state["numpy"]
        numpy.random.set_state((name, numpy.array(key, "uint32"), *rest))
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
        # Fewer processes saved theirs; what the first draws no other may.
        if rank:
            seed = int(torch.randint(2**31, ())) + rank
            torch.manual_seed(seed)
            random.seed(seed)
            numpy.random.seed(seed % 2**32)


def _plain(state):
    """NumPy's state with a list for its array: loading runs no code."""
    name, key, *rest = state
    return (name, key.tolist(), *rest)
