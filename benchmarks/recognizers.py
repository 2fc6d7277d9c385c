"""Word errors, sizes and times of exported recognisers, whoever runs them.

    python -m benchmarks.recognizers build/an4/LiGRU-1 --data_folder AN4

Each experiment is exported by ``ligru-export``, in float32 and int8: one of one
direction for chunks, others for whole utterances. CTC's best tokens of the test
set are found in torch, by our layers and by SpeechBrain's, by ONNX Runtime
alone and by sherpa-onnx. All take each utterance in turn. Times are of this
process, on one thread. Rows are appended to --out.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time
from importlib.metadata import version

import numpy as np
import onnxruntime
import sherpa_onnx
import soundfile
import torch
from speechbrain.decoders.ctc import filter_ctc_output

from benchmarks.provenance import provenance
from speechbrain_ligru_fast import restore
from speechbrain_ligru_fast.asr.metrics import ErrorRate
from speechbrain_ligru_fast.asr.results import append_row
from speechbrain_ligru_fast.deploy.chunks import CHUNK, run_chunks
from speechbrain_ligru_fast.deploy.recognizer import export_ctc
from speechbrain_ligru_fast.deploy.streaming import StreamingRecognizer
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer


def greedy(recognizer, scores):
    """The text of (1, T, tokens) scores."""
    blank = recognizer.hparams.blank_index
    ids = filter_ctc_output(scores[0].argmax(-1).tolist(), blank_id=blank)
    return recognizer.tokenizer.decode_ids(ids)


@torch.no_grad()
def by_torch(wav, recognizer, streams):
    """Text of a waveform, whole or chunk by chunk."""
    wav, mods = torch.from_numpy(wav), recognizer.mods
    if streams:
        stream = StreamingRecognizer(recognizer)
        return [stream.feed(piece) for piece in wav.split(CHUNK)][-1]
    encoded = mods.encoder(wav.unsqueeze(0), torch.ones(1))
    return greedy(recognizer, mods.ctc_lin(encoded))


def by_onnx(wav, recognizer, streams, session):
    """As ``by_torch``, of an exported file."""
    if streams:
        samples = (wav * 32768).astype("int32")
        return greedy(recognizer, run_chunks(session, samples))
    return greedy(recognizer, session.run(None, {"x": wav[None]})[0])


def by_sherpa(wav, recognizer, streams, theirs):
    """As ``by_onnx``."""
    stream = theirs.create_stream()
    if not streams:
        rate = recognizer.audio_normalizer.sample_rate
        stream.accept_waveform(rate, wav)
        theirs.decode_stream(stream)
        return stream.result.text
    # It takes a chunk once the next has begun, and 8000 for granted.
    wav = np.append(wav, np.zeros(2 * CHUNK, wav.dtype))
    for start in range(0, len(wav), CHUNK):
        stream.accept_waveform(8000, wav[start : start + CHUNK])
        while theirs.is_ready(stream):
            theirs.decode_stream(stream)
    return theirs.get_result(stream)


def measure(experiment, data_folder, out):
    """Yields a dict a row of an experiment."""
    recognizer, stock = load_recognizer(experiment), load_recognizer(experiment)
    streams = not recognizer.mods.encoder.enc["RNN"].bidirectional
    restore(stock.mods.encoder.enc)
    runs = {
        ("torch", "float32"): (by_torch, recognizer, streams),
        ("SpeechBrain", "float32"): (by_torch, stock, streams),
    }
    sizes, options = {}, onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    kind = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc
    if streams:
        kind = sherpa_onnx.OnlineRecognizer.from_t_one_ctc
    for weights in ("float32", "int8"):
        folder = out / f"{experiment.name}-{weights}"
        export_ctc(experiment, folder, weights == "int8", streaming=streams)
        path, tokens = str(folder / "model.onnx"), str(folder / "tokens.txt")
        session = onnxruntime.InferenceSession(path, options)
        theirs = kind(model=path, tokens=tokens, num_threads=1)
        common = recognizer, streams
        runs["ONNX Runtime", weights] = by_onnx, *common, session
        runs["sherpa-onnx", weights] = by_sherpa, *common, theirs
        sizes[weights] = pathlib.Path(path).stat().st_size
    texts, rtfs = {key: [] for key in runs}, {key: [] for key in runs}
    wanted, whole = [], []
    for path in sorted((experiment / "save").glob("test-*.json")):
        for entry in json.loads(path.read_text("utf-8")).values():
            name = entry["wav"].format(data_root=data_folder)
            wav, rate = soundfile.read(name, dtype="float32")
            wanted.append(entry["wrd"])
            whole.append(by_torch(wav, recognizer, False))
            for key in list(runs)[:: 1 if len(wanted) % 2 else -1]:
                run, *more = runs[key]
                start = time.process_time()
                texts[key].append(run(wav, *more))
                spent = time.process_time() - start
                rtfs[key].append(spent * rate / len(wav))
    base = np.array(rtfs["SpeechBrain", "float32"])
    for key, found in texts.items():
        wer, spent = ErrorRate(), np.array(rtfs[key])
        wer.append([str(i) for i in range(len(wanted))], wanted, found)
        pairs = zip(found, whole)
        yield {
            "experiment": experiment.name,
            "mode": "chunks" if streams else "whole",
            "runtime": key[0],
            "weights": key[1],
            "wer": round(wer.summarize(), 2),
            "same_text": sum(a.strip() == b.strip() for a, b in pairs),
            "utterances": len(wanted),
            "rtf": float(f"{np.median(spent):.3g}"),
            "to_speechbrain": float(f"{np.median(spent / base):.3g}"),
            "bytes": sizes[key[1]] if "onnx" in key[0].lower() else "",
            "onnxruntime": version("onnxruntime"),
            "sherpa_onnx": version("sherpa-onnx"),
        }


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks.recognizers")
    parser.add_argument("experiments", nargs="+", type=pathlib.Path)
    parser.add_argument("--data_folder", required=True)
    parser.add_argument("--out", default="build/benchmarks/recognizers.csv")
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    told = provenance("benchmarks.recognizers", argv)
    with tempfile.TemporaryDirectory() as folder:
        for path in args.experiments:
            for row in measure(path, args.data_folder, pathlib.Path(folder)):
                append_row(args.out, told | row)


if __name__ == "__main__":
    sys.exit(main())
