"""A trained recogniser's CTC part as one ONNX file: waveform in, scores out."""

import argparse
import pathlib
import sys
import tempfile

import torch
from torch import nn

from speechbrain_ligru_fast.deploy.onnx import write
from speechbrain_ligru_fast.deploy.portable import portable
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer

_README = """\
# A speech recogniser

`model.onnx`: from `x`, float32 (batch, samples), one channel of {rate} samples
a second in -1 to 1, and `lengths`, float32 (batch), each waveform's part of the
longest, to `log_probs`, float32 (batch, frames, {size}), and `frames`, int64
(batch), of which there are so many. Token {blank} is CTC's blank; `tokens.txt`
has a token and its number in each line.

    pip install onnxruntime soundfile
    python recognize.py speech.wav
"""

_PROGRAM = '''\
"""Prints what is said in a file: the best token of every frame, by CTC."""

import sys

import numpy
import onnxruntime
import soundfile

lines = open("tokens.txt", encoding="utf-8").read().splitlines()
tokens = [line.rpartition(" ")[0] for line in lines]
session = onnxruntime.InferenceSession("model.onnx")
wav, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
if rate != {rate}:
    sys.exit(f"{{sys.argv[1]}}: {{rate}} samples a second, expected {rate}")
given = {{"x": wav.mean(1)[None], "lengths": numpy.ones(1, "float32")}}
log_probs, frames = session.run(None, given)
best = log_probs[0, : frames[0]].argmax(1)
changes = numpy.append(True, best[1:] != best[:-1])
pieces = [tokens[i] for i in best[changes] if i != {blank}]
print({join}.strip())
'''


class CTC(nn.Module):
    """Features, normalisation, encoder and CTC layer of a recogniser.

    Arguments
    ---------
    encoder : speechbrain_ligru_fast.recognition.encoding.Encoder
        From waveforms.
    ctc_lin : torch.nn.Module
        From the encoder's output to tokens.
    """

    def __init__(self, encoder, ctc_lin):
        super().__init__()
        self.encoder = encoder
        self.ctc_lin = ctc_lin

    def forward(self, x, lengths):
        """From (B, N) samples to (B, T, tokens) and how many T are valid."""
        encoded = self.encoder(x, lengths)
        frames = (encoded.own_lengths * encoded.size(1)).long()
        return self.ctc_lin(encoded).log_softmax(-1), frames


def export_ctc(experiment, out, int8=False, trust=False):
    """Writes a trained recogniser's CTC part for ONNX Runtime.

    Arguments
    ---------
    experiment : str | Path
        Output folder of a trained recipe.
    out : str | Path
        A new folder, for ``model.onnx``, ``tokens.txt``, a program that
        recognises a file with them, and a README. It appears whole or not
        at all.
    int8 : bool
        See ``to_onnx``.
    trust : bool
        See ``load_recognizer``.

    Returns
    -------
    float
        See ``to_onnx``.

    Raises
    ------
    FileNotFoundError
        If there is no trained experiment.
    ValueError
        If ``out`` is there.
    """
    out = pathlib.Path(out)
    if out.exists() or not out.absolute().parent.is_dir():
        raise ValueError(
            f"out: got {out}, expected a new folder in one that is there"
        )
    recognizer = load_recognizer(experiment, trust=trust)
    mods, hparams = recognizer.mods, recognizer.hparams
    rate, blank = recognizer.audio_normalizer.sample_rate, hparams.blank_index
    model = CTC(mods.encoder, mods.ctc_lin).eval()
    tokens, join = _tokens(recognizer.tokenizer, blank)
    facts = {"rate": rate, "blank": blank, "size": len(tokens), "join": join}

    def inputs(batch, steps):
        return {
            "x": 0.1 * torch.randn(batch, steps),
            "lengths": torch.linspace(1.0, 0.5, batch),
        }

    with tempfile.TemporaryDirectory(
        prefix=f".{out.name}.", dir=out.absolute().parent
    ) as folder:
        folder = pathlib.Path(folder, out.name)
        folder.mkdir()
        path = folder / "model.onnx"
        error = write(
            model,
            portable(model, gru=not int8),
            path,
            inputs,
            rate,
            ["log_probs", "frames"],
            int8,
        )
        _describe(path, rate, len(tokens), blank)
        lines = [f"{token} {i}\n" for i, token in enumerate(tokens)]
        (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
        (folder / "recognize.py").write_text(_PROGRAM.format(**facts))
        (folder / "README.md").write_text(_README.format(**facts))
        folder.rename(out)
    return error


def _describe(path, rate, size, blank):
    """Writes what a program must know of the model into its file."""
    import onnx

    model = onnx.load(path)
    facts = {"sample_rate": rate, "vocab_size": size, "blank_id": blank}
    onnx.helper.set_model_props(model, {k: str(v) for k, v in facts.items()})
    onnx.save(model, path)


def _tokens(tokenizer, blank):
    """All tokens by number, and the Python that joins them to a text."""
    size = tokenizer.get_piece_size()
    if hasattr(tokenizer, "id_to_piece"):
        tokens = [tokenizer.id_to_piece(i) for i in range(size)]
        join = '"".join(pieces).replace("\\u2581", " ")'
    else:
        # Labels, phones say, after the special numbers.
        special = [f"<{i}>" for i in range(tokenizer.special)]
        tokens = special + list(tokenizer.labels)
        join = '" ".join(pieces)'
    tokens[blank] = "<blk>"
    return tokens, join


def main(arguments=None):
    """The command line, of this process unless given; returns its status."""
    parser = argparse.ArgumentParser(
        prog="ligru-export",
        description="Write a trained recogniser's CTC part as ONNX, with its "
        "tokens and a program that runs it. Use folders that you trust.",
    )
    parser.add_argument("experiment", help="output folder of a trained recipe")
    parser.add_argument("--out", required=True, help="a new folder")
    parser.add_argument("--int8", action="store_true", help="weights of 8 bits")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run whatever the folder's YAML names",
    )
    options = parser.parse_args(arguments)
    try:
        error = export_ctc(
            options.experiment, options.out, options.int8, options.trust
        )
    except (ImportError, OSError, ValueError, RuntimeError) as problem:
        print(f"ligru-export: {problem}", file=sys.stderr)
        return 1
    print(
        f"{options.out}: model.onnx differs from the experiment by {error:.1e}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
