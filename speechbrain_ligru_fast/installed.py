"""SpeechBrain, imported; or what to install instead of a linker's error.

SpeechBrain imports torchaudio, whose wheels load beside some versions of
torch only, whatever their metadata says.
"""

import re
from importlib.metadata import PackageNotFoundError, version


def torchaudio_for(torch):
    """The version of torchaudio that loads beside a version of torch.

    Arguments
    ---------
    torch : str
        Its version.

    Returns
    -------
    str

    Example
    -------
    >>> torchaudio_for("2.15.0"), torchaudio_for("2.12.0+cu130")
    ('2.11.1', '2.11.0')
    """
    release = re.match(r"\d+\.\d+\.\d+", torch).group()
    minor = tuple(map(int, release.split(".")))[:2]
    # Up to 2.11 they were released together.
    if minor <= (2, 11):
        return release
    return "2.11.0" if minor == (2, 12) else "2.11.1"


def explanation(torch, torchaudio, error):
    """What to install where torchaudio can't be imported.

    Arguments
    ---------
    torch : str
        The installed version.
    torchaudio : str | None
        The installed version, if there is one.
    error : Exception
        What its import raised.

    Returns
    -------
    str

    Example
    -------
    >>> print(explanation("2.11.0", "2.11.1", OSError("undefined symbol: x")))
    SpeechBrain needs torchaudio, and torchaudio 2.11.1 can't be imported \
beside torch 2.11.0 (undefined symbol: x): pip install torchaudio==2.11.0
    """
    fitting = torchaudio_for(torch)
    if torchaudio is None:
        found = f"none is installed beside torch {torch}"
    else:
        found = (
            f"torchaudio {torchaudio} can't be imported beside torch {torch} "
            f"({error})"
        )
    advice = f"pip install torchaudio=={fitting}"
    # Both are named so, in wheels that need CUDA and in those that don't.
    if torch.endswith("+cpu") or "libc10_cuda" in str(error):
        advice = (
            f"this torch is built without CUDA, and PyPI's torchaudio needs "
            f"one with: install torch from PyPI, which runs on a CPU too, and "
            f"torchaudio {fitting}, or both from PyTorch's index of CPU builds"
        )
    elif torchaudio is not None and torchaudio.split("+")[0] == fitting:
        advice = (
            "their versions fit, their files do not: pip install "
            f"--force-reinstall torch=={torch.split('+')[0]} "
            f"torchaudio=={fitting}"
        )
    return f"SpeechBrain needs torchaudio, and {found}: {advice}"


def _version(library):
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def import_speechbrain():
    """Import SpeechBrain.

    Raises
    ------
    ImportError
        If torchaudio can't be imported, with the version to install.

    Example
    -------
    >>> import_speechbrain()
    """
    try:
        import speechbrain  # noqa: F401
    # torch raises OSError for a library that doesn't load, torchaudio
    # RuntimeError for another CUDA.
    except (ImportError, OSError, RuntimeError):
        try:
            import torchaudio  # noqa: F401
        except (ImportError, OSError, RuntimeError) as error:
            import torch

            raise ImportError(
                explanation(torch.__version__, _version("torchaudio"), error)
            ) from error
        raise


import_speechbrain()
