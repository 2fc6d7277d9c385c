"""Measures recognition while audio arrives.

    python -m benchmarks.streaming EXPERIMENT AUDIO ... --chunks 0.2 0.5 1
    python -m benchmarks.streaming EXPERIMENT --manifest \\
        EXPERIMENT/save/test.json --data_folder /path/to/TIMIT

The second streams what a recipe tested on. EXPERIMENT was trained with
--norm_type global --rnn_bidirectional False. Each length of chunk appends a
row: time a chunk (empty if no file is longer than one), look-ahead, real-time
factor, and for how many files the text at the end is that of the whole file.
Rows go to --results, by default build/benchmarks/streaming.csv.
"""

import argparse
import json
import pathlib
import sys

import soundfile
import torch

from benchmarks.outputs import FOLDER
from benchmarks.provenance import provenance
from speechbrain_ligru_fast.asr.recurrent import describe_recurrent
from speechbrain_ligru_fast.asr.results import append_row
from speechbrain_ligru_fast.deploy.transcribe import (
    check_audio,
    check_durations,
    load_recognizer,
    parse_seconds,
    stream,
)

RESULTS = FOLDER / "streaming.csv"


def manifest_audio(path, data_folder=None):
    """The audio files of a recipe's manifest.

    Arguments
    ---------
    path : path-like
        JSON, utterance id -> its items.
    data_folder : path-like, optional
        What ``{data_root}`` stands for.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ValueError
        If it is no such manifest, or needs a data_folder.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.json"
    >>> _ = path.write_text('{"a": {"wav": "{data_root}/a.wav"}}')
    >>> [str(audio) for audio in manifest_audio(path, "corpus")]
    ['corpus/a.wav']
    """
    try:
        items = json.loads(pathlib.Path(path).read_text("utf-8"))
        names = [item["wav"] for item in items.values()]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(
            f"--manifest {path} is no JSON of utterances with a 'wav' each: "
            f"{error!r}"
        ) from error
    if not names:
        raise ValueError(f"--manifest {path} holds no utterance")
    if data_folder is None and any("{data_root}" in name for name in names):
        raise ValueError(
            f"--manifest {path} leaves the place of the corpus open: "
            "--data_folder must say what {data_root} is"
        )
    root = str(data_folder)
    return [pathlib.Path(name.replace("{data_root}", root)) for name in names]


def measure(recognizer, paths, texts, chunk):
    """Streams every file; returns the figures of a row.

    Arguments
    ---------
    recognizer : speechbrain.inference.ASR.EncoderDecoderASR
    paths : list of path-like
    texts : list of str
        Of the whole files.
    chunk : float
        Seconds.

    Returns
    -------
    dict
    """
    found = [stream(recognizer, p, chunk, lambda *_: None) for p in paths]
    figures = [one for _, one in found]
    seconds = [soundfile.info(path).duration for path in paths]
    chunk_ms, chunk_ms_max = _chunk_times(figures)
    computing = sum(one["rtf"] * s for one, s in zip(figures, seconds))
    return {
        "chunk_s": chunk,
        "files": len(paths),
        "audio_s": round(sum(seconds), 1),
        "look_ahead_s": round(figures[0]["look_ahead_s"], 4),
        "chunk_ms": chunk_ms,
        "chunk_ms_max": chunk_ms_max,
        "end_ms": round(sum(one["end_ms"] for one in figures) / len(paths), 2),
        "rtf": round(computing / sum(seconds), 4),
        "same_text": sum(t == text for (t, _), text in zip(found, texts)),
    }


def _chunk_times(figures):
    """Mean and maximum over the chunks before the ends, None without any."""
    figures = [one for one in figures if one["chunks"] > 1]
    if not figures:
        return None, None
    pieces = sum(one["chunks"] - 1 for one in figures)
    spent = sum(one["chunk_ms"] * (one["chunks"] - 1) for one in figures)
    longest = max(one["chunk_ms_max"] for one in figures)
    return round(spent / pieces, 2), round(longest, 2)


def _summarize(row):
    cells = [f"{key} {value}" for key, value in row.items()]
    if row["chunk_ms"] is None:
        cells = [cell for cell in cells if not cell.startswith("chunk_ms")]
        cells.append("no file is longer than a chunk: only ends were timed")
    return ", ".join(cells)


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=pathlib.Path)
    parser.add_argument("audio", nargs="*", type=pathlib.Path)
    parser.add_argument(
        "--manifest", type=pathlib.Path, help="instead of audio files"
    )
    parser.add_argument(
        "--data_folder", type=pathlib.Path, help="of the manifest's corpus"
    )
    parser.add_argument(
        "--chunks", nargs="+", type=parse_seconds, default=[0.5]
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    if bool(args.audio) == bool(args.manifest):
        parser.error("give either audio files or --manifest")
    try:
        audio = args.audio or manifest_audio(args.manifest, args.data_folder)
        check_audio(audio)
        recognizer = load_recognizer(args.experiment, args.device)
        device = torch.device(args.device).type
        # Before it runs: what is committed meanwhile is not what is measured.
        stamp = provenance("benchmarks.streaming", argv, device)
        check_durations(recognizer, audio)
        paths = [str(path.resolve()) for path in audio]
        texts = [recognizer.transcribe_file(path) for path in paths]
        # The first one compiles and allocates.
        stream(recognizer, paths[0], args.chunks[0], lambda *_: None)
        rows = [measure(recognizer, paths, texts, c) for c in args.chunks]
    except (OSError, ValueError) as error:
        print(f"streaming: {error}", file=sys.stderr)
        return 1
    layer = describe_recurrent(recognizer.mods.encoder, device)
    for row in rows:
        append_row(
            args.results,
            {
                **stamp,
                **layer,
                "experiment": args.experiment.name,
                **row,
            },
        )
        print(_summarize(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
