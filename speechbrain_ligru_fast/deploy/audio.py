"""Whether audio files can be recognised."""

from bisect import bisect_left

import soundfile
import torch

_BLOCK = 2**18
_LOUDEST = 2.0**40  # integers of 32 bits saved as floats are below


def check_audio(paths):
    """Check that every file can be read to its end and holds sound.

    Raises a ValueError that names all that can't, and why.
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


@torch.no_grad()
def shortest_input(encode, limit):
    """The fewest samples that an encoder takes; `limit` must be enough.

    Convolutions pad by reflection and poolings halve, so that a few frames
    are too few; how many depends on the whole network. So it is tried:
    ``encode`` takes (1, N) waveforms, and raises RuntimeError or gives no
    frames where N is too small.

    Example
    -------
    >>> shortest_input(lambda wav: wav.unfold(1, 400, 160), 16000)
    400
    """

    def takes(samples):
        try:
            return encode(torch.zeros(1, samples)).numel() > 0
        except RuntimeError:
            return False

    encode(torch.zeros(1, limit))
    return 1 + bisect_left(range(1, limit), True, key=takes)


def check_durations(recognizer, paths):
    """Check that every file is long enough for a recogniser's network.

    Raises a ValueError that names all that are not.
    """
    rate = recognizer.audio_normalizer.sample_rate
    encoder, device = recognizer.mods.encoder, recognizer.device
    # Told a length, it would continue what is too short.
    samples = shortest_input(lambda wav: encoder(wav.to(device)), rate)
    shortest = samples / rate
    short = [
        str(path) for path in paths if soundfile.info(path).duration < shortest
    ]
    if short:
        raise ValueError(
            f"{', '.join(short)}: shorter than the {shortest:.4f} s that the "
            "network needs"
        )
