"""A lock that can't be had is said, and harms no run."""

import errno
import fcntl
import logging
import os
import threading

import pytest

from speechbrain_ligru_fast.training import lock
from speechbrain_ligru_fast.training.lock import lock_folder, locked
from speechbrain_ligru_fast.training.results import append_row, read_rows

# What disks without locks say: Lustre, NFS, NFS of what is only read, others.
WITHOUT = ("ENOSYS", "ENOLCK", "EBADF", "EOPNOTSUPP", "EIO")


@pytest.fixture(autouse=True)
def no_memory(monkeypatch):
    lock._warn_once.cache_clear()
    monkeypatch.setattr(lock, "_held", {})


@pytest.fixture(params=WITHOUT)
def no_locks(request, monkeypatch):
    def fail(*arguments):
        raise OSError(getattr(errno, request.param), "as on such a disk")

    monkeypatch.setattr(fcntl, "lockf", fail)
    monkeypatch.setattr(fcntl, "flock", fail)


def test_a_folder_without_locks(no_locks, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        lock_folder(tmp_path / "out")
        lock_folder(tmp_path / "out")
    assert (tmp_path / "out").is_dir()
    (record,) = caplog.records
    assert f"{tmp_path / 'out'} can't be locked" in record.getMessage()
    assert "as on such a disk" in record.getMessage()


def test_rows_without_locks(no_locks, tmp_path, caplog):
    path = tmp_path / "rows.csv"
    with caplog.at_level(logging.WARNING):
        append_row(path, {"wer": 1.0})
        append_row(path, {"wer": 2.0})
    assert [row["wer"] for row in read_rows(path)[1]] == ["1.0", "2.0"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES"])
def test_a_disk_that_takes_no_lock_file(code, tmp_path, caplog, monkeypatch):
    def full(*arguments, **options):
        raise OSError(getattr(errno, code), "no file today")

    monkeypatch.setattr(lock, "open", full, raising=False)
    lock_folder(tmp_path)
    assert "no file today" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", ["write", "truncate"])
def test_a_full_disk_keeps_the_lock(function, tmp_path, caplog, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        lock_folder(tmp_path)
    assert not caplog.records
    child = os.fork()
    if child == 0:
        # lockf's locks are not inherited: this one has to ask.
        lock._held.clear()
        code = 1
        try:
            lock_folder(tmp_path)
        except RuntimeError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_a_file_that_is_replaced_while_one_waits(tmp_path):
    """The waiter then locks the new file: the old one guards nothing."""
    path, order = tmp_path / "rows.csv", []

    def second():
        with locked(path):
            order.append(path.read_text())

    with locked(path):
        other = threading.Thread(target=second)
        other.start()
        (tmp_path / "new").write_text("new")
        (tmp_path / "new").replace(path)
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            order.append("first")
    other.join()
    assert order == ["first", "new"]
