"""Audio files in, text out, with a trained experiment."""

import argparse
import sys
from pathlib import Path

import soundfile
from speechbrain.inference.ASR import EncoderDecoderASR


def load_recognizer(experiment, device="cpu"):
    """Load a trained experiment.

    Arguments
    ---------
    experiment : path-like
        An experiment's output folder, or its ``export`` folder.
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
    folders = [experiment / "export", experiment]
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
        f"and enc.ckpt in {folders[0]} and {folders[1]}. Training writes them "
        "when it ends."
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
    options = parser.parse_args(arguments)
    try:
        check_audio(options.audio)
        recognizer = load_recognizer(options.experiment, options.device)
    except (OSError, ValueError) as error:
        print(f"transcribe: {error}", file=sys.stderr)
        return 1
    for path in options.audio:
        text = recognizer.transcribe_file(str(Path(path).resolve()))
        print(f"{path}: {text}", flush=True)
    return 0
