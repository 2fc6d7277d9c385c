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
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        # torch has no one error for this; all but its first line is advice.
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device: got {device!r}, which can't be used: {reason}"
        ) from error
    folders = [
        Path(experiment, name) for name in ("export", "export_rnnlm", "")
    ]
    for folder in folders:
        yaml = folder / "hyperparams.yaml"
        # An experiment has a hyperparams.yaml too, which is not for inference.
        if not (yaml.is_file() and (folder / "enc.ckpt").is_file()):
            continue
        if not trust:
            check_yaml(
                yaml,
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


def stream(recognizer, path, chunk_seconds, show):
    """Recognise a file as if it were arriving; its channels are averaged.

    Arguments
    ---------
    recognizer : speechbrain.inference.ASR.EncoderDecoderASR
    path : path-like
    chunk_seconds : float
    show : callable
        Called with the seconds read and the text so far.

    Returns
    -------
    text : str
        Of the beam search over the whole file.
    figures : str
        For humans: how long chunks took to compute, how much audio must
        follow what is recognised.

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
    for block in soundfile.blocks(path, size, dtype="float32", always_2d=True):
        read += len(block)
        wav = torch.from_numpy(block.mean(1))
        text = streaming.feed(wav, read == found.frames)
        show(read / rate, text)
    *pieces, end = (1000 * seconds for seconds in streaming.seconds)
    return text, (
        f"{len(pieces) + 1} chunks, at most {max(pieces, default=0):.0f} ms a "
        f"chunk and {end:.0f} ms for the last with its search, look-ahead "
        f"{streaming.look_ahead / rate:.2f} s, real-time factor "
        f"{sum(streaming.seconds) * rate / read:.3f}"
    )


def _seconds(text):
    """A command line's length of a chunk: a finite number above 0."""
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
    """The command line, of this process unless given; returns its status."""
    parser = argparse.ArgumentParser(
        prog="transcribe",
        description="Print the text, or the phones, of audio files. Use "
        "folders that you trust: what a folder's YAML names is run. Names "
        "that no recipe of ours exports need --trust.",
    )
    add = parser.add_argument
    add("experiment", help="output folder of a trained recipe")
    add("audio", nargs="+", help="whatever libsndfile reads")
    trust = "run whatever the folder's YAML names"
    add("--trust", action="store_true", help=trust)
    add("--device", default="cpu", help="for example cuda:0")
    add(
        "--stream",
        action="store_true",
        help="print the text while the audio is read; needs a system trained "
        "with --norm_type global --rnn_bidirectional False",
    )
    chunk = "seconds, above 0; for --stream"
    add("--chunk", type=_seconds, default=0.5, help=chunk)
    options = parser.parse_args(arguments)
    try:
        check_audio(options.audio)
        recognizer = load_recognizer(
            options.experiment, options.device, options.trust
        )
        check_durations(recognizer, options.audio)
        for path in options.audio:
            _transcribe(recognizer, path, options)
    except (OSError, ValueError) as error:
        print(f"transcribe: {error}", file=sys.stderr)
        return 1
    return 0


def _transcribe(recognizer, path, options):
    name, figures = str(Path(path).resolve()), None
    if options.stream:
        text, figures = stream(recognizer, name, options.chunk, _show)
    else:
        text = recognizer.transcribe_file(name)
    print(f"{path}: {text}", flush=True)
    if figures:
        print(f"{path}: {figures}", file=sys.stderr)


def _show(seconds, text):
    print(f"{seconds:7.2f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
