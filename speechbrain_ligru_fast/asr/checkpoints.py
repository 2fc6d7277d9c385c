"""Checkpoints that are complete or not there."""

import logging
import shutil

from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process

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

    def save_checkpoint(
        self, meta=None, end_of_epoch=True, name=None, verbosity=logging.INFO
    ):
        """Save a checkpoint; see Checkpointer.

        Raises
        ------
        OSError
            If it could not be written. The checkpoints before it are whole.
        """
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

    def load_checkpoint(self, checkpoint):
        """Load a checkpoint; see Checkpointer.

        Raises
        ------
        ValueError
            If it was written by another architecture.
        """
        try:
            super().load_checkpoint(checkpoint)
        except RuntimeError as error:
            raise ValueError(
                f"checkpoint {checkpoint.path} does not fit this model: it "
                "was written with other settings. Give the settings it was "
                "trained with, or another output_folder. "
                f"{error}"
            ) from error

    def _new_checkpoint_dirpath(self):
        return self._unfinished(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return self._unfinished(super()._custom_checkpoint_dirpath(name))

    @staticmethod
    def _unfinished(path):
        return path.with_name(_UNFINISHED + path.name)
