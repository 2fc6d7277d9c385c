"""A checkpoint is complete or not there."""

import re

import pytest
import torch

from speechbrain_ligru_fast.asr.checkpoints import AtomicCheckpointer


def make(folder, units=2):
    model = torch.nn.Linear(units, 1)
    return model, AtomicCheckpointer(folder, {"model": model, "b": model})


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("PyTorch")]
)
def test_full_disk_leaves_the_best_loadable(tmp_path, monkeypatch, error):
    model, checkpointer = make(tmp_path)
    checkpointer.save_and_keep_only(meta={"WER": 5.0}, min_keys=["WER"])
    best = model.weight.clone()
    before = checkpointer.list_checkpoints()

    def fail(obj, path):
        path.write_bytes(b"half")
        raise error

    # The first file is written, the second is not.
    checkpointer.custom_save_hooks["b"] = fail
    model.weight.data += 1
    with pytest.raises(OSError, match=re.escape(before[0].path.name)) as caught:
        checkpointer.save_and_keep_only(meta={"WER": 4.0}, min_keys=["WER"])
    assert str(error) in str(caught.value)

    resumed, again = make(tmp_path)
    assert again.recover_if_possible(min_key="WER").meta["WER"] == 5.0
    assert torch.equal(resumed.weight, best)
    # The next one that succeeds removes what was left.
    again.save_checkpoint()
    assert not list(tmp_path.glob("unfinished-*"))
    assert len(again.list_checkpoints()) == 2


def test_name_and_files_of_the_result(tmp_path):
    _, checkpointer = make(tmp_path)
    saved = checkpointer.save_checkpoint(name="here")
    assert saved.path == tmp_path / "CKPT+here"
    assert all(path.is_file() for path in saved.paramfiles.values())


def test_another_architecture(tmp_path):
    make(tmp_path)[1].save_checkpoint()
    with pytest.raises(ValueError, match="does not fit this model"):
        make(tmp_path, units=3)[1].recover_if_possible()


def test_nothing_to_save_is_left_out(tmp_path):
    model = torch.nn.Linear(2, 1)
    checkpointer = AtomicCheckpointer(
        tmp_path, {"model": model, "lr_annealing": None}
    )
    saved = checkpointer.save_checkpoint()
    assert set(saved.paramfiles) == {"model"}
