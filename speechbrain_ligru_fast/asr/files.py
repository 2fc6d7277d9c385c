"""Find files below a folder, and read text files, without losing any."""

import hashlib
import os
from pathlib import Path
from stat import S_ISLNK

# What desktops, network disks, notebooks and archives leave beside a corpus;
# and whatever is hidden, as macOS's "._NAME" beside NAME on foreign disks.
_FOREIGN = {
    *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@sharebin"),
    *("__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini"),
    *("$recycle.bin", "system volume information", "lost+found"),
}


def find_files(folder, *suffixes):
    """The files below a folder whose names end so, links followed, sorted.

    Hidden and foreign files and folders are left out. A folder that a link
    leads back into is not entered again. Suffixes are given in lower case,
    and names in upper case have them too.

    An OSError is raised for a folder that may not be read, and for a link to
    nothing, which may have been a folder: what is in it would be missing
    silently. A link to nothing that has such a suffix is one of the files.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.WAV", "a.wav", "._a.wav", "a.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in find_files(folder, ".wav")]
    ['a.wav', 'b.WAV']
    """
    found = []
    for place, folders, names in os.walk(
        folder, followlinks=True, onerror=_fail
    ):
        folders[:] = [
            name
            for name in folders
            if not is_foreign(name) and not _leads_back(Path(place, name))
        ]
        for name in names:
            path = Path(place, name)
            if is_foreign(name):
                continue
            if not suffixes or name.lower().endswith(suffixes):
                found.append(path)
            # Raises where that can't be told.
            elif S_ISLNK(os.lstat(path).st_mode) and not path.exists():
                raise FileNotFoundError(
                    f"{path} is a link to {os.readlink(path)}, which is not "
                    "there: mount it, or remove the link"
                )
    return sorted(found)


def _fail(error):
    raise error


def _leads_back(path):
    """Whether it is a link to a folder that it is in."""
    above = path.absolute().parents
    return path.is_symlink() and path.resolve() in {p.resolve() for p in above}


def is_foreign(name):
    """Whether a file or folder of that name belongs to no corpus.

    Example
    -------
    >>> is_foreign("._a.wav"), is_foreign("@eaDir"), is_foreign("a.wav")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _FOREIGN


def stamp(paths):
    """A name for the state of some files: mended, it is another.

    Of their paths, sizes and times of change; they need not be there.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError as error:
            state = (error.errno,)
        digest.update(repr((os.fspath(path), state)).encode())
    return digest.hexdigest()


def write_whole(path, text):
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_lines(path, errors="strict"):
    """The lines of a UTF-8 text file, with or without byte order marks.

    Only line feeds and carriage returns end a line. Bytes that are no text
    raise a ValueError with file and line, unless errors is "replace".

    Example
    -------
    >>> path = getfixture("tmp_path") / "text"
    >>> _ = path.write_bytes("\\ufeffone\\r\\ntwo\\n".encode())
    >>> read_lines(path)
    ['one', 'two']
    """
    data = Path(path).read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} is UTF-16, wanted UTF-8: convert it")
    # Of bytes: str.splitlines knows many more ends.
    lines = enumerate(data.splitlines(), 1)
    return [decode_line(line, path, number, errors) for number, line in lines]


def decode_line(line, path, number, errors="strict"):
    """A line's bytes as text; `path` and `number` are for the message."""
    try:
        text = line.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line {number}: {error.object[error.start :][:8]!r} is "
            "no UTF-8 text"
        ) from None
    # Files that were joined have marks in the middle, too.
    return text.rstrip("\r\n").removeprefix("\ufeff")
