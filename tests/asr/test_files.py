"""Files are found through links, past what is foreign, and none is lost."""

import os
from pathlib import Path

import pytest

from speechbrain_ligru_fast.asr.files import find_files, read_lines, stamp


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder, *suffixes):
    paths = find_files(folder, *suffixes)
    return [path.relative_to(folder).as_posix() for path in paths]


def test_links_are_followed_and_circles_left(tmp_path):
    touch(tmp_path / "store", "1/a.flac", "b.flac")
    corpus = tmp_path / "corpus"
    touch(corpus, "0.flac", "2/c.flac")
    (corpus / "linked").symlink_to(tmp_path / "store")
    (corpus / "2" / "b.flac").symlink_to(tmp_path / "store" / "b.flac")
    (corpus / "2" / "up").symlink_to(corpus)
    (corpus / "linked" / "1" / "round").symlink_to(corpus)
    assert found(corpus, ".flac") == [
        *("0.flac", "2/b.flac", "2/c.flac", "linked/1/a.flac"),
        "linked/b.flac",
    ]
    (tmp_path / "whole").symlink_to(corpus)
    assert len(found(tmp_path / "whole", ".flac")) == 5


def test_foreign_files_are_left_out(tmp_path):
    touch(tmp_path, "a.wav", "B.WAV", "a.txt", ".hidden/a.wav", "._a.wav")
    touch(tmp_path, "@eaDir/a.wav/x.wav", ".ipynb_checkpoints/a.wav")
    touch(tmp_path, "$RECYCLE.BIN/a.wav", "Thumbs.db", "__MACOSX/._a.wav")
    (tmp_path / ".link").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path, ".wav", ".db") == ["B.WAV", "a.wav"]
    # What is asked for by name is not foreign.
    assert found(tmp_path / ".hidden", ".wav") == ["a.wav"]


def test_a_link_to_nothing_may_have_been_a_folder(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "nowhere.wav")
    assert found(tmp_path, ".wav") == ["a.wav"]
    (tmp_path / "speaker").symlink_to(tmp_path / "unmounted")
    words = "speaker is a link to .*unmounted, which is not there"
    with pytest.raises(FileNotFoundError, match=words):
        find_files(tmp_path, ".wav")


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "1/a.wav", "2/b.wav")
    scandir = os.scandir

    def refuse(path):
        # As root may read everything, it is not the file system that refuses.
        if Path(path).name == "2":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="denied: .*2'"):
        find_files(tmp_path, ".wav")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_files(tmp_path / "nowhere", ".wav")


def test_a_stamp_changes_with_every_file(tmp_path):
    touch(tmp_path, "a", "b")
    paths = [tmp_path / name for name in "abc"]
    stamps = [stamp(paths), stamp(paths[:2])]
    assert stamp(paths) == stamps[0]
    (tmp_path / "a").write_text("longer")
    stamps.append(stamp(paths))
    os.utime(tmp_path / "a", ns=(1, 1))
    stamps.append(stamp(paths))
    (tmp_path / "c").symlink_to(tmp_path / "b")
    stamps.append(stamp(paths))
    assert len(set(stamps)) == 5


def test_lines(tmp_path):
    path = tmp_path / "text"
    # Two files joined by a user, both with a mark; the third line's end is
    # no end of a line in any file.
    path.write_bytes("\ufeffa\r\n\ufeffé\rc\u2028d\x0be".encode())
    assert read_lines(path) == ["a", "é", "c\u2028d\x0be"]
    path.write_bytes(b"one\ntw\xe9o\n")
    words = r"text, line 2: b'\\xe9o' is no UTF-8"
    with pytest.raises(ValueError, match=words):
        read_lines(path)
    assert read_lines(path, errors="replace") == ["one", "tw\ufffdo"]
    path.write_bytes("one".encode("utf-16"))
    with pytest.raises(ValueError, match="text is UTF-16"):
        read_lines(path, errors="replace")
