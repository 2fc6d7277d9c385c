"""Audio files in, text out, with a trained experiment."""

import argparse
import sys
from pathlib import Path

import soundfile
import torch
from speechbrain.inference.ASR import EncoderDecoderASR

from speechbrain_ligru_fast.asr.streaming import StreamingRecognizer


def load_recognizer(experiment, device="cpu"):
    """Load a trained experiment.

    Arguments
    ---------
    experiment : path-like
        An experiment's output folder, or one that it exported: without a
        language model, if there is one without.
    device : str

    Returns
    -------
    speechbrain.inference.ASR.EncoderDecoderASR

    Raises
    ------
    FileNotFoundError
        If there is no trained experiment.
    """
    experiment = Path(experiment)
    exports = ("export", "export_rnnlm")
    folders = [*(experiment / name for name in exports), experiment]
    for folder in folders:
        # An experiment has a hyperparams.yaml too, which is not for inference.
        if (folder / "hyperparams.yaml").is_file() and (
            folder / "enc.ckpt"
        ).is_file():
            return EncoderDecoderASR.from_hparams(
                source=str(folder.resolve()), run_opts={"device": device}
            )
    raise FileNotFoundError(
        f"no trained experiment in {experiment}: looked for hyperparams.yaml "
        f"and enc.ckpt in {', '.join(map(str, folders))}. Training writes "
        "them when it ends."
    )


def check_audio(paths):
    """Check that every file can be read.

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
            if soundfile.info(path).frames == 0:
                bad.append(f"{path}: no samples in it")
        except (OSError, RuntimeError) as error:
            bad.append(
                str(error) if str(path) in str(error) else f"{path}: {error}"
            )
    if bad:
        raise ValueError("can't read " + "; ".join(bad))


def stream(recognizer, path, chunk_seconds, show):
    """Recognise a file as if it were arriving.

    Arguments
    ---------
    recognizer : speechbrain.inference.ASR.EncoderDecoderASR
    path : path-like
        At the recogniser's sample rate; channels are averaged.
    chunk_seconds : float
    show : callable
        Called with the seconds read and the text so far.

    Returns
    -------
    text : str
        Of the beam search over the whole file.
    figures : dict
        ``chunks``, ``look_ahead_s`` (audio that must follow what is
        recognised), ``chunk_ms`` and ``chunk_ms_max`` (computing for a chunk
        but the last, whose time is ``end_ms``), ``rtf``.

    Raises
    ------
    ValueError
        For another sample rate, or a recogniser that needs whole files.
    """
    rate = recognizer.audio_normalizer.sample_rate
    found = soundfile.info(path).samplerate
    if found != rate:
        raise ValueError(
            f"{path} has {found} samples a second; streaming does not "
            f"resample and needs {rate}"
        )
    streaming = StreamingRecognizer(recognizer)
    size = max(1, round(chunk_seconds * rate))
    read, text = 0, ""
    blocks = soundfile.blocks(path, size, dtype="float32", always_2d=True)
    for block in blocks:
        read += len(block)
        last = read == soundfile.info(path).frames
        text = streaming.feed(torch.from_numpy(block.mean(1)), last)
        show(read / rate, text)
    *pieces, end = streaming.seconds
    pieces = pieces or [end]
    return text, {
        "chunks": len(streaming.seconds),
        "look_ahead_s": streaming.look_ahead / rate,
        "chunk_ms": 1000 * sum(pieces) / len(pieces),
        "chunk_ms_max": 1000 * max(pieces),
        "end_ms": 1000 * end,
        "rtf": sum(streaming.seconds) / (read / rate),
    }


def main(arguments=None):
    """The command line.

    Arguments
    ---------
    arguments : list of str, optional
        Default: those of the running script.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(
        prog="transcribe",
        description="Print the text, or the phones, of audio files.",
    )
    parser.add_argument("experiment", help="output folder of a trained recipe")
    parser.add_argument("audio", nargs="+", help="whatever libsndfile reads")
    parser.add_argument("--device", default="cpu", help="for example cuda:0")
    parser.add_argument(
        "--stream",
        action="store_true",
        help="print the text while the audio is read; needs a system trained "
        "with --rnn_bidirectional False",
    )
    parser.add_argument(
        "--chunk", type=float, default=0.5, help="seconds; for --stream"
    )
    options = parser.parse_args(arguments)
    if not options.chunk > 0:
        parser.error(f"--chunk must be above 0, got {options.chunk}")
    try:
        check_audio(options.audio)
        recognizer = load_recognizer(options.experiment, options.device)
    except (OSError, ValueError) as error:
        print(f"transcribe: {error}", file=sys.stderr)
        return 1
    for path in options.audio:
        name = str(Path(path).resolve())
        if not options.stream:
            print(f"{path}: {recognizer.transcribe_file(name)}", flush=True)
            continue
        try:
            text, figures = stream(recognizer, name, options.chunk, _partial)
        except ValueError as error:
            print(f"transcribe: {error}", file=sys.stderr)
            return 1
        print(f"{path}: {text}", flush=True)
        print(_SUMMARY.format(path=path, **figures), file=sys.stderr)
    return 0


_SUMMARY = (
    "{path}: {chunks} chunks, {chunk_ms:.0f} ms a chunk (at most "
    "{chunk_ms_max:.0f}), {end_ms:.0f} ms for the last with its search, "
    "look-ahead {look_ahead_s:.2f} s, real-time factor {rtf:.3f}"
)


def _partial(seconds, text):
    print(f"{seconds:7.2f} s  {text}", flush=True)
