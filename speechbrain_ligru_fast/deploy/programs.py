"""What ``ligru-export`` writes beside a model; braces are filled in."""

README = """\
# A speech recogniser

`model.onnx`: from `x`, float32 (batch, samples), one channel of {rate} samples
a second in -1 to 1, and `lengths`, float32 (batch), each waveform's part of the
longest, to `log_probs`, float32 (batch, frames, {size}), and `frames`, int64
(batch), of which there are so many. One waveform needs no `lengths`.

Token {blank} is CTC's blank; `tokens.txt` has a token and its number in each
line. The tokens {special} are no part of a text.

    pip install onnxruntime soundfile
    ffmpeg -i recording.mp3 -ar {rate} -ac 1 speech.wav
    python recognize.py speech.wav
"""

STREAMING_README = """\
# A speech recogniser that reads a stream

`model.onnx` takes a chunk of one stream at a time,

- `x`, int32 (1, samples, 1): {rate} samples a second, of 16 bits, which are
  -32768 to 32767;
- `state`, float16 (1, {state}): zeros at first, then the last `state_next`.

It gives

- `log_probs`, float32 (1, frames, {size}): scores of the frames known by now;
- `state_next`, as `state`.

A chunk of {chunk} samples, or of a multiple, is followed by more. A chunk of
any other number ends the stream: its last frames come, and `state_next` is
zeros. If there are none left, give it 0 samples. A frame is {hop} samples.

All frames together are what the whole recording at once gives, but for one
thing: filter banks are cut off below the loudest one so far.

Token {blank} is CTC's blank; `tokens.txt` has a token and its number in each
line. The tokens {special} are no part of a text. The file's metadata has all
these numbers.

    pip install onnxruntime soundfile
    ffmpeg -i recording.mp3 -ar {rate} -ac 1 speech.wav
    python recognize.py speech.wav
"""

PROGRAM = '''\
"""Prints what is said in a file: the best token of every frame, by CTC."""

import sys

import numpy
import onnxruntime
import soundfile

lines = open("tokens.txt", encoding="utf-8").read().splitlines()
tokens = [line.rpartition(" ")[0] for line in lines]
onnxruntime.set_default_logger_severity(3)  # It warns of optional inputs.
session = onnxruntime.InferenceSession("model.onnx")
wav, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
if rate != {rate}:
    sys.exit(f"{{sys.argv[1]}}: {{rate}} samples a second, expected {rate}")
log_probs, frames = session.run(None, {{"x": wav.mean(1)[None]}})
best = log_probs[0, : frames[0]].argmax(1)
changes = numpy.append(True, best[1:] != best[:-1])
pieces = [tokens[i] for i in best[changes] if i not in {special}]
print({join}.strip())
'''

STREAMING_PROGRAM = '''\
"""Prints what is said in a file, chunk by chunk, as it would come in."""

import sys

import numpy
import onnxruntime
import soundfile

lines = open("tokens.txt", encoding="utf-8").read().splitlines()
tokens = [line.rpartition(" ")[0] for line in lines]
session = onnxruntime.InferenceSession("model.onnx")
state = numpy.zeros((1, {state}), "float16")
before, goes_on = {blank}, True
with soundfile.SoundFile(sys.argv[1]) as file:
    if file.samplerate != {rate}:
        sys.exit(f"{{file.name}}: {{file.samplerate}} samples a second, "
                 "expected {rate}")
    while goes_on:
        wav = file.read({chunk}, dtype="float32", always_2d=True).mean(1)
        goes_on = len(wav) == {chunk}
        x = (wav * 32768).round().clip(-32768, 32767).astype("int32")
        given = {{"x": x[None, :, None], "state": state}}
        log_probs, state = session.run(None, given)
        pieces = []
        for best in log_probs[0].argmax(1):
            if best != before and best not in {special}:
                pieces.append(tokens[best])
            before = best
        print({join}, end="", flush=True)
print()
'''
