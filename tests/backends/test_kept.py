"""The folder of cubins: each is compiled once, and read if it is untouched."""

import errno
import hashlib
import os
import pathlib
import shutil
import stat
import uuid

import pytest
from cuda_devices import H100
from full_disk import on_full_disk

from speechbrain_ligru_fast.backends import kept
from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.cuda.plan import plan


@pytest.fixture
def get(tmp_path, monkeypatch):
    """Gets a cubin that says how many were compiled; the cache is empty."""
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cache"))
    kept._said.clear()
    compiled = []

    def compile_cubin(plan, arch, macros):
        compiled.append(arch)
        return f"cubin {len(compiled)}".encode(), ""

    monkeypatch.setattr(build, "compile_cubin", compile_cubin)
    monkeypatch.setattr(build, "compiler_version", lambda: "13.0")
    chosen = plan(64, 8, "fp32", H100)

    def get(arch="sm_90a", activation=0):
        return build.cubin(chosen, arch, {"IO": 0, "ACTIVATION": activation})

    return get


def test_a_cubin_is_compiled_once(get, monkeypatch):
    """For an architecture, macros, a source and a compiler."""
    assert get() == get() == b"cubin 1"
    assert get("sm_80") == b"cubin 2"
    assert get(activation=1) == b"cubin 3"
    assert get() == b"cubin 1"
    own = kept.folder()
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert {path.suffix for path in own.iterdir()} == {".cubin"}
    monkeypatch.setattr(build, "compiler_version", lambda: "0.0")
    assert get() == b"cubin 4"
    monkeypatch.setattr(build, "source", lambda backward: "other")
    assert get() == b"cubin 5"


DAMAGE = {
    "torn": lambda data: data[:-3],
    "foreign": lambda data: b"\x7fELF something else",
    "empty": lambda data: b"",
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    # Its content alone was hashed.
    "an older version's": lambda data: (
        b"ligru-cubin-1\n" + hashlib.sha256(b"cubin 1").digest() + b"cubin 1"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_built_again(get, damage):
    get()
    (path,) = kept.folder().iterdir()
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert get() == get() == b"cubin 2"


def test_an_entry_under_another_name_is_built_again(get):
    """Another kernel's code would run, with this one's arguments."""
    get()
    (path,) = kept.folder().iterdir()
    aside = path.rename(path.with_name("aside"))
    get("sm_80")
    (other,) = kept.folder().glob("*.cubin")
    aside.replace(other)
    assert get("sm_80") == b"cubin 3"


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/none"])
def test_no_folder_no_cache(get, monkeypatch, tmp_path, caplog, place):
    """A cache that can't be had costs time, and one warning."""
    (tmp_path / "file").write_text("")
    places = {"file": "file", "below a file": "file/below"}
    place = tmp_path / places.get(place, place)
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(place))
    assert get() == b"cubin 1"
    assert get() == b"cubin 2"
    (record,) = caplog.records
    assert "SPEECHBRAIN_LIGRU_CACHE to a folder" in record.getMessage()
    assert str(place) in record.getMessage()


@pytest.mark.parametrize("mode", [0o1777, 0o2775, 0o700])
def test_a_shared_folder_keeps_its_mode(get, tmp_path, mode, caplog):
    """Each user has a folder of their own in it."""
    shared = tmp_path / "cache"
    shared.mkdir()
    shared.chmod(mode)
    assert get() == get() == b"cubin 1"
    assert not caplog.records
    assert stat.S_IMODE(shared.stat().st_mode) == mode
    (own,) = shared.iterdir()
    assert own == kept.folder() and str(os.getuid()) in own.name
    assert stat.S_IMODE(own.stat().st_mode) & 0o777 == 0o700


@pytest.mark.parametrize("what", ["mode", "owner", "link", "file"])
def test_nothing_is_loaded_where_others_write(
    get, monkeypatch, tmp_path, what, caplog
):
    """It is said, and the folder is left as it was."""
    get()
    own = kept.folder()
    if what == "mode":
        own.chmod(0o720)
    elif what == "owner":
        genuine = pathlib.Path.lstat

        def lstat(path):
            found = list(genuine(path))
            found[4] += path == own
            return os.stat_result(found)

        monkeypatch.setattr(pathlib.Path, "lstat", lstat)
    else:
        own.rename(tmp_path / "elsewhere")
        if what == "link":
            own.symlink_to(tmp_path / "elsewhere")
        else:
            own.write_text("")
    before = own.lstat()
    for number in (2, 3):
        assert get() == f"cubin {number}".encode()
    assert own.lstat()[:7] == before[:7]
    (record,) = caplog.records
    assert f"{own} is no folder that this user" in record.getMessage()


@pytest.mark.parametrize("what", ["mode", "link", "pipe", "folder"])
def test_an_entry_that_others_could_write_is_built_again(get, what, tmp_path):
    get()
    (path,) = kept.folder().iterdir()
    if what == "mode":
        path.chmod(0o666)
    else:
        path.rename(tmp_path / "elsewhere")
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    assert get() == b"cubin 2"


@pytest.mark.parametrize(
    "step, code", [("mkstemp", "EROFS"), ("replace", "ENOSPC")]
)
def test_a_disk_that_takes_nothing(get, monkeypatch, step, code, caplog):
    """Read-only or full: what was compiled is used all the same."""

    def fail(*args, **kwargs):
        # As the system's: with a name that is another one each time.
        name = f"/tmp/{uuid.uuid4()}"
        raise OSError(getattr(errno, code), "as on such a disk", name)

    module = kept.tempfile if step == "mkstemp" else kept.os
    monkeypatch.setattr(module, step, fail)
    monkeypatch.setattr(kept.os, "unlink", fail)
    assert get() == b"cubin 1"
    assert get() == b"cubin 2"
    (record,) = caplog.records
    assert "as on such a disk" in record.getMessage()


def test_a_full_disk_leaves_no_torn_entry(get, caplog):
    folder = kept.folder()

    def write():
        kept.write(folder / "a.cubin", bytes(9999))
        assert "File too large" in caplog.text
        assert not list(folder.iterdir())
        assert get() == b"cubin 1"

    on_full_disk(write, 500)


def test_a_folder_that_vanishes(get, tmp_path):
    get()
    shutil.rmtree(tmp_path / "cache")
    assert get() == get() == b"cubin 2"


@pytest.mark.parametrize("named", [None, "", "~/named"])
def test_the_folder_of_who_names_none(get, monkeypatch, tmp_path, named):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SPEECHBRAIN_LIGRU_CACHE")
    if named is not None:
        monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", named)
    place = "named" if named else ".cache/speechbrain_ligru_fast"
    assert kept.folder() == tmp_path / place / f"cubins-{os.getuid()}"


def test_a_user_without_a_home(get, monkeypatch, tmp_path, caplog):
    """A container's, whose number no file names: no folder called ~."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHBRAIN_LIGRU_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert kept.folder() is None
    assert "no home" in caplog.text and not list(tmp_path.iterdir())


def test_a_system_without_owners(get, monkeypatch, caplog):
    """Windows tells no user's number: no folder is known to be safe."""
    monkeypatch.delattr(os, "getuid")
    assert kept.folder() is None
    assert get() == b"cubin 1"
    assert len(caplog.records) == 1
