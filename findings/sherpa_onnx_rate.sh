#!/usr/bin/env bash
# sherpa-onnx 2.0.1 (with onnx 1.23.2)
# Guessed: it gives a model samples at the rate that the model's metadata tell
#     it, `sample_rate`, which it demands.
# Does: of a T-one model it reads that number and drops it: a model of 16000
#     samples a second gets half of them, and so hears everything twice as fast.
#     Told that 16000 were 8000, it gives it all.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment sherpa-onnx==2.0.1 onnx==1.23.2 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import sherpa_onnx

# Each chunk of 2400 samples is an A, then a blank.
model = onnx.parser.parse_model("""
<ir_version: 10, opset_import: ["" : 20]>
chunks (int32[1, samples, 1] x, float16[1, 4] state) => (
    float[1, 2, 2] log_probs, float16[1, 4] state_next)
<float[1, 2, 2] scores = {-9, 0, 0, -9}>
{
  log_probs = Identity (scores)
  state_next = Identity (state)
}
""")
facts = {"frame_length_ms": "150", "state_dim": "4", "sample_rate": "16000"}
onnx.helper.set_model_props(model, facts)
onnx.save(model, "model.onnx")
with open("tokens.txt", "w") as file:
    file.write("<blk> 0\nA 1\n")
recognizer = sherpa_onnx.OnlineRecognizer.from_t_one_ctc(
    model="model.onnx", tokens="tokens.txt"
)
found = {}
for rate in (16000, 8000):
    stream = recognizer.create_stream()
    stream.accept_waveform(rate, numpy.zeros(48100, "float32"))
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
    found[rate] = recognizer.get_result(stream)
    print(f"told {rate}: {len(found[rate])} chunks of 48100 samples")
assert len(found[8000]) == 19 and len(found[16000]) in (8, 9), found
PYTHON
