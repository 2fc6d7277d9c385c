"""Word errors, sizes and times of exported recognisers, whoever runs them.

    python -m benchmarks.recognizers build/an4/LiGRU-1 --data_folder AN4

Each experiment is exported, in float32 and int8: one of one direction for
chunks, others for whole utterances. CTC's best tokens of the test set are found
in torch, by our layers and by SpeechBrain's, by ONNX Runtime alone and by
sherpa-onnx, which take each utterance in turn, on one thread.

All hear the same samples: those that sherpa-onnx makes of a recording, see
``as_heard``. "torch, as recorded" hears the recording itself.
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
from speechbrain_ligru_fast.asr.metrics import ErrorRate
from speechbrain_ligru_fast.deploy.chunks import CHUNK, run_chunks
from speechbrain_ligru_fast.deploy.recognizer import export_ctc
from speechbrain_ligru_fast.deploy.streaming import StreamingRecognizer
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer
from speechbrain_ligru_fast.training.results import append_row

from benchmarks.provenance import provenance
from speechbrain_ligru_fast import restore


def greedy(recognizer, scores):
    """The text of (1, T, tokens) scores."""
    blank = recognizer.hparams.blank_index
    ids = filter_ctc_output(scores[0].argmax(-1).tolist(), blank_id=blank)
    return recognizer.tokenizer.decode_ids(ids)


def as_recorded(samples):
    """From (N,) int16 samples to float32 from -1 to 1."""
    return samples.astype("float32") / 32768


def as_heard(samples, streams):
    """The samples that sherpa-onnx hears, as ``as_recorded``.

    A stream that it reads never ends. So silence fills the last chunk, and
    another one, until which what was said is out. Whole recordings it scales
    to mean 0 and variance 1 - 1e-5: those of here stay as they are.
    """
    wav = as_recorded(samples)
    if streams:
        return np.append(wav, np.zeros(CHUNK + -len(wav) % CHUNK, wav.dtype))
    wav = wav.astype("float64")
    wav = (wav - wav.mean()) * np.sqrt((1 - 1e-5) / wav.var())
    return wav.astype("float32")


def as_told(wav):
    """What sherpa-onnx must be told of a stream to hear it.

    It multiplies by 32767 and drops what is behind the point.
    """
    return (wav * 32768 + 0.5 * np.sign(wav)) / 32767


@torch.no_grad()
def by_torch(wav, streams, recognizer):
    """Text of a waveform, whole or chunk by chunk."""
    wav, mods = torch.from_numpy(wav), recognizer.mods
    if streams:
        stream = StreamingRecognizer(recognizer)
        return [stream.feed(piece) for piece in wav.split(CHUNK)][-1]
    encoded = mods.encoder(wav.unsqueeze(0), torch.ones(1))
    return greedy(recognizer, mods.ctc_lin(encoded))


def by_onnx(wav, streams, recognizer, session):
    """As ``by_torch``, of an exported file."""
    if streams:
        samples = (wav * 32768).astype("int32")
        return greedy(recognizer, run_chunks(session, samples))
    return greedy(recognizer, session.run(None, {"x": wav[None]})[0])


def by_sherpa(wav, streams, theirs):
    """As ``by_onnx``."""
    stream = theirs.create_stream()
    if not streams:
        stream.accept_waveform(16000, wav)
        theirs.decode_stream(stream)
        return stream.result.text
    wav = as_told(wav)
    # It takes a chunk once the next is there, and 8000 for granted.
    wav = np.append(wav, np.zeros(CHUNK, wav.dtype))
    for start in range(0, len(wav), CHUNK):
        stream.accept_waveform(8000, wav[start : start + CHUNK])
        while theirs.is_ready(stream):
            theirs.decode_stream(stream)
    return theirs.get_result(stream)


def runners(experiment, streams, recognizer, stock):
    """Yields runtime, weights, bytes, a function and what it takes."""
    yield "torch, as recorded", "float32", "", by_torch, (recognizer,)
    yield "torch", "float32", "", by_torch, (recognizer,)
    yield "SpeechBrain", "float32", "", by_torch, (stock,)
    kind = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc
    if streams:
        kind = sherpa_onnx.OnlineRecognizer.from_t_one_ctc
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for weights in ("float32", "int8"):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "out")
            export_ctc(experiment, out, weights == "int8", streaming=streams)
            path, size = f"{out}/model.onnx", (out / "model.onnx").stat()
            session = onnxruntime.InferenceSession(path, options)
            theirs = kind(model=path, tokens=f"{out}/tokens.txt", num_threads=1)
        size = size.st_size
        yield "ONNX Runtime", weights, size, by_onnx, (recognizer, session)
        yield "sherpa-onnx", weights, size, by_sherpa, (theirs,)


def measure(experiment, data_folder):
    """Yields a dict a row of an experiment."""
    recognizer, stock = load_recognizer(experiment), load_recognizer(experiment)
    streams = not recognizer.mods.encoder.enc["RNN"].bidirectional
    restore(stock.mods.encoder.enc)
    runs = list(runners(experiment, streams, recognizer, stock))
    wanted, whole = [], []
    texts, spent = [[] for _ in runs], [[] for _ in runs]
    (path,) = (experiment / "save").glob("test-*.json")
    for entry in json.loads(path.read_text("utf-8")).values():
        name = entry["wav"].format(data_root=data_folder)
        samples, rate = soundfile.read(name, dtype="int16")
        wanted.append(entry["wrd"])
        heard = as_heard(samples, streams)
        whole.append(by_torch(heard, False, recognizer).strip())
        for i in range(len(runs))[:: 1 if len(wanted) % 2 else -1]:
            *_, run, takes = runs[i]
            # The first alone hears the recording, and whole.
            wav = heard if i else as_recorded(samples)
            start = time.process_time()
            texts[i].append(run(wav, streams and i > 0, *takes).strip())
            taken = time.process_time() - start
            spent[i].append(taken * rate / len(wav))
    for i, (runtime, weights, size, *_) in enumerate(runs):
        wer = ErrorRate()
        wer.append([str(n) for n in range(len(wanted))], wanted, texts[i])
        ratio = np.array(spent[i]) / np.array(spent[2])
        yield {
            **{"experiment": experiment.name, "runtime": runtime},
            **{"mode": "chunks" if streams else "whole", "weights": weights},
            **{"wer": round(wer.summarize(), 2), "utterances": len(wanted)},
            "same_text": sum(a == b for a, b in zip(texts[i], whole)),
            "rtf": float(f"{np.median(spent[i]):.3g}"),
            "to_speechbrain": float(f"{np.median(ratio):.3g}"),
            **{"bytes": size, "onnxruntime": version("onnxruntime")},
            "sherpa_onnx": version("sherpa-onnx"),
        }


def main():
    """Appends the rows."""
    parser = argparse.ArgumentParser("python -m benchmarks.recognizers")
    parser.add_argument("experiments", nargs="+", type=pathlib.Path)
    parser.add_argument("--data_folder", required=True)
    parser.add_argument("--out", default="build/benchmarks/recognizers.csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    told = provenance("benchmarks.recognizers", sys.argv[1:])
    for path in args.experiments:
        for row in measure(path, args.data_folder):
            append_row(args.out, told | row)


if __name__ == "__main__":
    main()
