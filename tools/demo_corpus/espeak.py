"""Speech with timed phones from eSpeak NG, through ctypes."""

import ctypes
import functools
from typing import NamedTuple

import numpy as np

# From espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7
_RATE = 1
_PITCH = 3


class _Id(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


class Spoken(NamedTuple):
    """One synthesised text."""

    # (samples,) int16 array
    signal: np.ndarray
    sample_rate: int
    # (first sample, eSpeak's mnemonic without stress marks) of each
    phones: list


@functools.cache
def load_espeak():
    """The library and its sample rate; it can't be reset afterwards."""
    try:
        import espeakng_loader
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the demo corpus needs espeakng-loader: pip install espeakng-loader"
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS,
        0,
        espeakng_loader.get_data_path().encode(),
        _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT,
    )
    if rate <= 0:
        raise RuntimeError("espeak_Initialize failed")
    # It seeds itself from the clock.
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    library.espeak_ng_SetRandSeed(0)
    return library, rate


def speak(voice, text, words_per_minute, pitch):
    """Synthesise a text; ValueError if eSpeak does not know the voice.

    `words_per_minute` is from 80, `pitch` from 0 to 100. The sound depends a
    little on all that this process has said before.
    """
    library, sample_rate = load_espeak()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"eSpeak has no voice {voice!r}")
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    chunks, phones = [], []

    @_CALLBACK
    def receive(wav, samples, events):
        if wav and samples > 0:
            chunks.append(np.ctypeslib.as_array(wav, (samples,)).copy())
        for event in events:
            if event.type == _EVENT_LIST_TERMINATED:
                return 0
            if event.type == _EVENT_PHONEME:
                name = event.id.string.decode().lstrip("',%=")
                phones.append((event.sample, name))
        return 0

    library.espeak_SetSynthCallback(receive)
    encoded = text.encode()
    status = library.espeak_Synth(
        encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
    )
    if status != 0 or not chunks:
        raise RuntimeError(f"eSpeak could not say {text!r} (status {status})")
    return Spoken(np.concatenate(chunks), sample_rate, phones)
