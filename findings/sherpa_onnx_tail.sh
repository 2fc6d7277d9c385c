#!/usr/bin/env bash
# sherpa-onnx 2.0.1 (with onnx 1.23.2)
# Guessed: after input_finished() a stream is decoded to its last sample.
# Does: with a T-one model, of 2400 samples a chunk, what follows the last whole
#     chunk is never decoded, nor is that chunk itself: each waits for the next
#     one. So 300 to 600 ms of silence must follow, or a last word is missing.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment sherpa-onnx==2.0.1 onnx==1.23.2 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import sherpa_onnx

# A chunk's token is its loudness in thousands: 1000 is an A, 2000 a B.
model = onnx.parser.parse_model("""
<ir_version: 10, opset_import: ["" : 20]>
chunks (int32[1, samples, 1] x, float16[1, 4] state) => (
    float[1, 1, 9] log_probs, float16[1, 4] state_next)
<int64[3] axes = {0, 1, 2}, float thousand = {1000},
 float[1, 1, 9] tokens = {0, 1, 2, 3, 4, 5, 6, 7, 8}>
{
  number = Cast <to = 1> (x)
  mean = ReduceMean (number, axes)
  loudness = Div (mean, thousand)
  distance = Sub (tokens, loudness)
  far = Abs (distance)
  log_probs = Neg (far)
  state_next = Identity (state)
}
""")
facts = {"frame_length_ms": "300", "state_dim": "4", "sample_rate": "8000"}
onnx.helper.set_model_props(model, facts)
onnx.save(model, "model.onnx")
with open("tokens.txt", "w") as file:
    for i, token in enumerate(["<blk>", *"ABCDEFGH"]):
        file.write(f"{token} {i}\n")
recognizer = sherpa_onnx.OnlineRecognizer.from_t_one_ctc(
    model="model.onnx", tokens="tokens.txt"
)


def text(size):
    """Of so many samples, the first 2400 an A, the next a B."""
    samples = (numpy.arange(size) // 2400 + 1) * 1000.5 / 32767
    stream = recognizer.create_stream()
    stream.accept_waveform(8000, samples.astype("float32"))
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
    return recognizer.get_result(stream)


found = {size: text(size) for size in (7200, 9599, 9600, 9601)}
for size, heard in found.items():
    print(f"{size} samples: {heard}")
assert set(found.values()) == {"AB", "ABC"}, found
PYTHON
