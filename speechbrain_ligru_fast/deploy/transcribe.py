"""Audio files in, text out, with a trained experiment."""

import argparse
import math
import sys
from pathlib import Path

import soundfile
import torch
from speechbrain.inference.ASR import EncoderDecoderASR

from speechbrain_ligru_fast.deploy.audio import check_audio, check_durations
from speechbrain_ligru_fast.deploy.streaming import StreamingRecognizer
from speechbrain_ligru_fast.deploy.trust import check_yaml


def load_recognizer(experiment, device="cpu", trust=False):
    """Load a trained experiment.

    A folder's YAML says what is run to load it: of another one than our
    recipes export, whatever it names.

    Arguments
    ---------
    experiment : path-like
        An experiment's output folder, or one that it exported: without a
        language model, if there is one without.
    device : str
    trust : bool
        Run whatever the folder's YAML names.

    Returns
    -------
    speechbrain.inference.ASR.EncoderDecoderASR

    Raises
    ------
    FileNotFoundError
        If there is no trained experiment.
    ValueError
        If the device can't be used, or the folder's YAML names what no
        export of ours does.
    """
    _check_device(device)
    experiment = Path(experiment)
    exports = ("export", "export_rnnlm")
    folders = [*(experiment / name for name in exports), experiment]
    for folder in folders:
        # An experiment has a hyperparams.yaml too, which is not for inference.
        if (folder / "hyperparams.yaml").is_file() and (
            folder / "enc.ckpt"
        ).is_file():
            if not trust:
                check_yaml(
                    folder / "hyperparams.yaml",
                    "If you trust who made the folder: --trust, or in Python "
                    "trust=True",
                )
            return EncoderDecoderASR.from_hparams(
                source=str(folder.resolve()), run_opts={"device": device}
            )
    raise FileNotFoundError(
        f"no trained experiment in {experiment}: looked for hyperparams.yaml "
        f"and enc.ckpt in {', '.join(map(str, folders))}. Training writes "
        "them when it ends."
    )


def _check_device(device):
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        # torch has no one error for this; all but its first line is advice.
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device: got {device!r}, which can't be used: {reason}"
        ) from error


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
        but the last, whose time is ``end_ms``; None if there is no other),
        ``rtf``.

    Raises
    ------
    ValueError
        For another sample rate, or a recogniser that needs whole files.
    """
    rate = recognizer.audio_normalizer.sample_rate
    found = soundfile.info(path)
    if found.samplerate != rate:
        raise ValueError(
            f"{path} has {found.samplerate} samples a second; streaming does "
            f"not resample and needs {rate}"
        )
    streaming = StreamingRecognizer(recognizer)
    # A finite number of seconds may be an infinite number of samples.
    size = max(1, round(min(chunk_seconds * rate, found.frames)))
    read, text = 0, ""
    blocks = soundfile.blocks(path, size, dtype="float32", always_2d=True)
    for block in blocks:
        read += len(block)
        last = read == found.frames
        text = streaming.feed(torch.from_numpy(block.mean(1)), last)
        show(read / rate, text)
    *pieces, end = streaming.seconds
    return text, {
        "chunks": len(streaming.seconds),
        "look_ahead_s": streaming.look_ahead / rate,
        "chunk_ms": 1000 * sum(pieces) / len(pieces) if pieces else None,
        "chunk_ms_max": 1000 * max(pieces) if pieces else None,
        "end_ms": 1000 * end,
        "rtf": sum(streaming.seconds) / (read / rate),
    }


def parse_seconds(text):
    """A command line's length of a chunk.

    Arguments
    ---------
    text : str

    Returns
    -------
    float

    Raises
    ------
    argparse.ArgumentTypeError
        Unless it is a finite number above 0.

    Example
    -------
    >>> parse_seconds("0.5")
    0.5
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected a finite number above 0"
        )
    return seconds


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
        description="Print the text, or the phones, of audio files. Use "
        "folders that you trust: what a folder's YAML names is run. Names "
        "that no recipe of ours exports need --trust.",
    )
    parser.add_argument("experiment", help="output folder of a trained recipe")
    parser.add_argument("audio", nargs="+", help="whatever libsndfile reads")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run whatever the folder's YAML names",
    )
    parser.add_argument("--device", default="cpu", help="for example cuda:0")
    parser.add_argument(
        "--stream",
        action="store_true",
        help="print the text while the audio is read; needs a system trained "
        "with --norm_type global --rnn_bidirectional False",
    )
    parser.add_argument(
        "--chunk",
        type=parse_seconds,
        default=0.5,
        help="seconds, above 0; for --stream",
    )
    options = parser.parse_args(arguments)
    try:
        check_audio(options.audio)
        recognizer = load_recognizer(
            options.experiment, options.device, options.trust
        )
        check_durations(recognizer, options.audio)
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
        print(f"{path}: {_summarize(figures)}", file=sys.stderr)
    return 0


def _summarize(figures):
    pieces = "{chunks} chunks, {chunk_ms:.0f} ms a chunk (at most "
    pieces += "{chunk_ms_max:.0f})"
    if figures["chunk_ms"] is None:
        pieces = "the whole file in one chunk, none before the last"
    rest = ", {end_ms:.0f} ms for the last with its search, look-ahead "
    rest += "{look_ahead_s:.2f} s, real-time factor {rtf:.3f}"
    return (pieces + rest).format(**figures)


def _partial(seconds, text):
    print(f"{seconds:7.2f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
