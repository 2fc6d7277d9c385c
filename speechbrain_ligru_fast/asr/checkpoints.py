"""Checkpoints that are complete or not there, and go on exactly."""

import functools
import logging
import random
import shutil

import numpy
import torch
from speechbrain.utils.checkpoints import (
    DEFAULT_LOAD_HOOKS,
    DEFAULT_SAVE_HOOKS,
    Checkpoint,
    Checkpointer,
    get_default_hook,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import (
    ddp_barrier,
    get_rank,
    if_main_process,
)

logger = logging.getLogger(__name__)

_UNFINISHED = "unfinished-"


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, safe against a full disk or a kill.

    A checkpoint is written beside the others under a name that is not
    theirs and renamed once it is complete. Older ones are deleted after
    that only.

    Arguments
    ---------
    checkpoints_dir : path-like
        Where they are.
    recoverables : dict, optional
        Name -> object. None, which a YAML's null is, has nothing to save.
    *args, **kwargs
        See speechbrain.utils.checkpoints.Checkpointer.

    Raises
    ------
    ValueError
        If one can't be saved or loaded, as some of SpeechBrain's schedulers.

    Example
    -------
    >>> import torch
    >>> model = torch.nn.Linear(1, 1)
    >>> checkpointer = AtomicCheckpointer(
    ...     getfixture("tmp_path"), {"model": model}
    ... )
    >>> checkpointer.save_and_keep_only(meta={"WER": 9.0}, min_keys=["WER"])
    >>> checkpointer.find_checkpoint(min_key="WER").meta["WER"]
    9.0
    """

    def __init__(self, checkpoints_dir, recoverables=None, *args, **kwargs):
        present = {
            k: v for k, v in (recoverables or {}).items() if v is not None
        }
        super().__init__(checkpoints_dir, present, *args, **kwargs)
        for do, hooks, own in (
            ("save", DEFAULT_SAVE_HOOKS, self.custom_save_hooks),
            ("load", DEFAULT_LOAD_HOOKS, self.custom_load_hooks),
        ):
            for name, x in present.items():
                if name not in own and get_default_hook(x, hooks) is None:
                    raise ValueError(
                        f"recoverables: {name} is a {type(x).__name__}, which "
                        f"SpeechBrain does not know how to {do}"
                    )

    def save_checkpoint(
        self, meta=None, end_of_epoch=True, name=None, verbosity=logging.INFO
    ):
        """Save a checkpoint; see Checkpointer."""
        if if_main_process():
            for leftover in self.checkpoints_dir.glob(_UNFINISHED + "*"):
                shutil.rmtree(leftover)
        try:
            saved = super().save_checkpoint(
                meta or {}, end_of_epoch, name, verbosity=logging.DEBUG
            )
        # torch.save reports a full disk as RuntimeError.
        except (OSError, RuntimeError) as error:
            best = self.find_checkpoint()
            raise OSError(
                f"could not write a checkpoint to {self.checkpoints_dir}: "
                f"{error}. The last complete one is "
                f"{best.path.name if best else 'none'}. Run the same command "
                "again to resume from it."
            ) from error
        if saved is not None:
            path = saved.path.with_name(saved.path.name[len(_UNFINISHED) :])
            saved.path.rename(path)
            files = {n: path / f.name for n, f in saved.paramfiles.items()}
            saved = Checkpoint(path, saved.meta, files)
            logger.log(verbosity, "Saved a checkpoint in %s", path)
        # Processes that see different checkpoints wait for each other for
        # ever when they delete some.
        ddp_barrier()
        return saved

    def save_and_keep_only(self, *args, importance_keys=(), **kwargs):
        """Save a checkpoint and delete others; see Checkpointer."""
        # Its default is one list, which each call makes longer.
        keys = list(importance_keys)
        super().save_and_keep_only(*args, importance_keys=keys, **kwargs)

    def load_checkpoint(self, checkpoint):
        """Load a checkpoint; see Checkpointer."""
        try:
            super().load_checkpoint(checkpoint)
        except RuntimeError as error:
            raise ValueError(
                f"checkpoint {checkpoint.path} does not fit this model: it "
                "was written with other settings. Give the settings it was "
                f"trained with, or another output_folder. {error}"
            ) from error

    def _new_checkpoint_dirpath(self):
        path = super()._new_checkpoint_dirpath()
        return path.with_name(_UNFINISHED + path.name)

    def _custom_checkpoint_dirpath(self, name):
        path = super()._custom_checkpoint_dirpath(name)
        return path.with_name(_UNFINISHED + path.name)


# Every process has states to save.
@functools.partial(register_checkpoint_hooks, save_on_main_only=False)
class Randomness:
    """The random number generators' states, as a part of a checkpoint.

    A resumed training draws what the unbroken one would have.

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
        name, key, *rest = numpy.random.get_state()
        state = {
            "torch": torch.get_rng_state(),
            "python": random.getstate(),
            # A list for its array: loading runs no code.
            "numpy": (name, key.tolist(), *rest),
        }
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state()
        states = [state]
        if torch.distributed.is_initialized():
            states = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, state)
        if if_main_process():
            torch.save(states, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Restore the states.

        Those of a checkpoint within an epoch once more by `resume`, for a
        data loader draws a number when it starts, also in the middle.
        """
        states = torch.load(path, weights_only=True)
        self._set(states)
        self._within_epoch = None if end_of_epoch else states

    def resume(self):
        """To be called when the resumed epoch's loader has started."""
        if self._within_epoch is not None:
            self._set(self._within_epoch)
            self._within_epoch = None

    @staticmethod
    def _set(states):
        rank = get_rank() or 0
        more = rank >= len(states)
        state = states[0 if more else rank]
        torch.set_rng_state(state["torch"])
        random.setstate(state["python"])
        name, key, *rest = state["numpy"]
        numpy.random.set_state((name, numpy.array(key, "uint32"), *rest))
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
        # Fewer processes saved theirs; what the first draws no other may.
        if more:
            seed = int(torch.randint(2**31, ())) + rank
            torch.manual_seed(seed)
            random.seed(seed)
            numpy.random.seed(seed % 2**32)
