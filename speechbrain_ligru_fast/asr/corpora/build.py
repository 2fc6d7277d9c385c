"""Build a folder once: whole or not at all."""

import json
import os
import shutil
import tempfile
from pathlib import Path

MARKER = "completed.json"


def build_once(out, arguments, build):
    """Build a folder unless the same call already has.

    It is built beside its final place and renamed when complete, so that an
    interrupted run leaves nothing under the final name.

    Arguments
    ---------
    out : path-like
        The folder to build; absent, empty, or built by the same call.
    arguments : dict
        What the content depends on; kept in ``completed.json``.
    build : callable
        Takes the folder to fill.

    Returns
    -------
    bool
        Whether anything was done.

    Raises
    ------
    FileExistsError
        If `out` holds something else.

    Example
    -------
    >>> out = getfixture("tmp_path") / "corpus"
    >>> fill = lambda folder: (folder / "a").write_text("1") and None
    >>> build_once(out, {"seed": 0}, fill), build_once(out, {"seed": 0}, fill)
    (True, False)
    """
    out = Path(out)
    if out.exists():
        if not out.is_dir():
            raise FileExistsError(f"out={str(out)!r} is a file")
        marker = out / MARKER
        if marker.is_file():
            built = json.loads(marker.read_text("utf-8"))
            if built == arguments:
                return False
            raise FileExistsError(
                f"out={str(out)!r} was built with {built}, not with "
                f"{arguments}; give an empty folder"
            )
        if any(out.iterdir()):
            raise FileExistsError(
                f"out={str(out)!r} is not empty and has no {MARKER}; give an "
                "empty folder"
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{out.name}.part.", dir=out.parent))
    try:
        part.chmod(0o755)
        build(part)
        text = json.dumps(arguments, indent=2) + "\n"
        (part / MARKER).write_text(text, "utf-8")
        os.replace(part, out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return True
