"""Reads the proposals and applies them to a tree of SpeechBrain.

A proposal is a folder here. `PULL_REQUEST.md` is its title and text, `files/`
holds its new files at their paths in SpeechBrain, and `edits.yaml` says what
changes in files that are there: a regular expression, what takes its place,
and how often it must be found.
"""

import pathlib
import re
import shutil
from dataclasses import dataclass

import yaml

FOLDER = pathlib.Path(__file__).resolve().parent
TEXT = "PULL_REQUEST.md"
EDITS = "edits.yaml"


@dataclass(frozen=True)
class Edit:
    """One change of a file that is there.

    Arguments
    ---------
    file : str
        Path in SpeechBrain.
    find : str
        Regular expression.
    replace : str
        What takes its place, with `\\1` for its first group.
    times : int
        How often it must be found.
    """

    file: str
    find: str
    replace: str
    times: int

    def apply(self, text):
        """Changes a file's text.

        Arguments
        ---------
        text : str
            The file.

        Returns
        -------
        str
            The file, changed.

        Raises
        ------
        ValueError
            If the expression is found another number of times: SpeechBrain
            has moved on, and the proposal with it.

        Example
        -------
        >>> Edit("a.py", "w", "v", 2).apply("w + w")
        'v + v'
        """
        changed, found = re.subn(self.find, self.replace, text)
        if found != self.times:
            raise ValueError(
                f"{self.file}: {self.find!r} is there {found} times, "
                f"expected {self.times}"
            )
        return changed


@dataclass(frozen=True)
class Proposal:
    """One pull request.

    Arguments
    ---------
    folder : pathlib.Path
        Where it lies.
    """

    folder: pathlib.Path

    @property
    def name(self):
        """Its folder's name."""
        return self.folder.name

    @property
    def title(self):
        """Its title."""
        return self._text().partition("\n")[0].lstrip("# ")

    @property
    def body(self):
        """Its text below the title."""
        return self._text().partition("\n")[2].strip()

    @property
    def edits(self):
        """Its changes of files that are there, a tuple of Edit."""
        path = self.folder / EDITS
        if not path.exists():
            return ()
        edits = yaml.safe_load(path.read_text("utf-8"))
        return tuple(Edit(**edit) for edit in edits)

    @property
    def new_files(self):
        """Its new files, as paths in SpeechBrain."""
        root = self.folder / "files"
        return tuple(
            str(path.relative_to(root))
            for path in sorted(root.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        )

    @property
    def tests(self):
        """Those of its new files that pytest runs."""
        return tuple(
            name
            for name in self.new_files
            if pathlib.PurePath(name).match("test_*.py")
        )

    @property
    def changed_files(self):
        """New and edited files, as paths in SpeechBrain."""
        return tuple(
            dict.fromkeys((*self.new_files, *(e.file for e in self.edits)))
        )

    def add_files(self, tree):
        """Copies the new files into a tree.

        Arguments
        ---------
        tree : pathlib.Path
            Root of SpeechBrain's repository.

        Raises
        ------
        ValueError
            If one of them is there.
        """
        for name in self.new_files:
            target = tree / name
            if target.exists():
                raise ValueError(f"{name} is there already")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / "files" / name, target)

    def edit_files(self, tree):
        """Changes the files of a tree that are there; see `Edit.apply`."""
        for edit in self.edits:
            path = tree / edit.file
            path.write_text(edit.apply(path.read_text("utf-8")), "utf-8")

    def _text(self):
        return (self.folder / TEXT).read_text("utf-8")


def proposals():
    """All proposals, by name.

    Returns
    -------
    dict
        Name -> Proposal.

    Example
    -------
    >>> proposals()["linear_backward"].tests
    ('tests/unittests/test_ligru_backward.py',)
    """
    return {
        path.parent.name: Proposal(path.parent)
        for path in sorted(FOLDER.glob(f"*/{TEXT}"))
    }
