#!/usr/bin/env bash
# SpeechRecognition 3.17.0
# Guessed: record(source, duration=1) in a loop cuts a file into seconds, and
#     record(source, offset=1, duration=1) is its second one.
# Does: of a file of 16 kHz each piece has 0.768 s, and between two of them
#     0.256 s are lost: it reads 4096 samples at a time, and throws away those
#     that pass the second. What "offset=1" gives begins at 0.768 s.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment SpeechRecognition==3.17.0 numpy==2.4.6
python - <<'PYTHON'
import wave

import numpy
import speech_recognition

# Each sample is its own number.
with wave.open("u.wav", "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16000)
    file.writeframes(numpy.arange(32000, dtype="<i2").tobytes())
recognizer = speech_recognition.Recognizer()


def record(source, **arguments):
    audio = recognizer.record(source, **arguments)
    samples = numpy.frombuffer(audio.frame_data, "<i2")
    return int(samples[0]), int(samples[-1]) + 1


with speech_recognition.AudioFile("u.wav") as source:
    pieces = [record(source, duration=1) for _ in range(2)]
with speech_recognition.AudioFile("u.wav") as source:
    second = record(source, offset=1, duration=1)
print(f"samples (from, to) of two pieces: {pieces}; from 1 s on: {second}")
assert pieces == [(0, 12288), (16384, 28672)]
assert second == (12288, 24576)
PYTHON
