"""Whether audio files can be read, and hold sound."""

import soundfile

_BLOCK = 2**18
_LOUDEST = 2.0**40  # integers of 32 bits saved as floats are below


def check_audio(paths):
    """Check that every file can be read to its end and holds sound.

    Arguments
    ---------
    paths : list of path-like

    Raises
    ------
    ValueError
        Naming all that can't, and why.
    """
    bad = []
    for path in paths:
        try:
            reason = _what_is_wrong(path)
        except (OSError, RuntimeError) as error:
            reason = str(error).removeprefix(f"{path}: ")
        if reason:
            bad.append(reason if str(path) in reason else f"{path}: {reason}")
    if bad:
        raise ValueError("can't read " + "; ".join(bad))


def _what_is_wrong(path):
    """Why an audio file can't be recognised; None if it can."""
    read = 0
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(_BLOCK, dtype="float32", always_2d=True):
            # NaN fails this too. What a features' square would overflow with
            # is no sound either.
            if not (abs(block) < _LOUDEST).all():
                return (
                    f"a sample within {read / file.samplerate:.2f} to "
                    f"{(read + len(block)) / file.samplerate:.2f} s is NaN, "
                    "infinite or far too large"
                )
            read += len(block)
        if read < file.frames:
            return f"truncated: {read} of {file.frames} frames"
    return None if read else "no samples in it"
