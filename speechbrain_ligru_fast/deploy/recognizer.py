"""A trained recogniser's CTC part as one ONNX file, and a program that runs it.

From a waveform, or from a stream's chunks, to scores of tokens.
"""

import argparse
import pathlib
import sys
import tempfile

import torch
from torch import nn

from speechbrain_ligru_fast.deploy import programs
from speechbrain_ligru_fast.deploy.chunks import (
    CHUNK,
    check_chunks,
    hop_samples,
    write_chunks,
)
from speechbrain_ligru_fast.deploy.onnx import OPSET, check_opset, write_module
from speechbrain_ligru_fast.deploy.portable import portable
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer


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


def export_ctc(
    experiment, out, int8=False, trust=False, streaming=False, opset=OPSET
):
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
    streaming : bool
        Whether it takes audio in chunks, see ``write_chunks``.
    opset : int
        See ``to_onnx``.

    Returns
    -------
    float
        See ``to_onnx``.

    Raises
    ------
    FileNotFoundError
        If there is no trained experiment.
    ValueError
        If ``out`` is there, the opset is unknown, the recogniser was trained
        without CTC or, for streaming, it needs the whole utterance.
    """
    out = pathlib.Path(out)
    if out.exists() or not out.absolute().parent.is_dir():
        raise ValueError(
            f"out: got {out}, expected a new folder in one that is there"
        )
    check_opset(opset)
    recognizer = load_recognizer(experiment, trust=trust)
    hparams = recognizer.hparams
    for key in ("ctc_weight", "number_of_ctc_epochs"):
        if not getattr(hparams, key, 1):
            raise ValueError(
                f"experiment: it was trained with {key} 0, so attention alone "
                "recognises; expected a training with CTC"
            )
    if streaming:
        check_chunks(recognizer)
    tokens, special, join = _tokens(recognizer.tokenizer, hparams.blank_index)
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name}.", dir=out.absolute().parent
    ) as folder:
        folder = pathlib.Path(folder, out.name)
        folder.mkdir()
        make = write_chunks if streaming else _write_whole
        path = folder / "model.onnx"
        error = make(recognizer, path, len(tokens), int8, opset)
        facts = _describe(recognizer, path, len(tokens), special)
        facts["join"] = join
        lines = [f"{token} {i}\n" for i, token in enumerate(tokens)]
        (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
        program = programs.STREAMING_PROGRAM if streaming else programs.PROGRAM
        readme = programs.STREAMING_README if streaming else programs.README
        (folder / "recognize.py").write_text(program.format(**facts))
        (folder / "README.md").write_text(readme.format(**facts))
        folder.rename(out)
    return error


def _write_whole(recognizer, path, tokens, int8, opset):
    mods = recognizer.mods
    model = CTC(mods.encoder, mods.ctc_lin).eval()

    def inputs(batch, steps):
        return {
            "x": 0.1 * torch.randn(batch, steps),
            "lengths": torch.linspace(1.0, 0.5, batch),
        }

    plain, rate = portable(model, gru=not int8), _rate(recognizer)
    outputs = ["log_probs", "frames"]
    return write_module(model, plain, path, inputs, rate, outputs, int8, opset)


def _rate(recognizer):
    return recognizer.audio_normalizer.sample_rate


def _describe(recognizer, path, size, special):
    """Writes what a program must know of the model into its file.

    Returns the same for the README and the program.
    """
    import onnx

    model = onnx.load(path)
    rate, blank = _rate(recognizer), recognizer.hparams.blank_index
    facts = {"sample_rate": rate, "vocab_size": size, "blank_id": blank}
    facts["special_ids"] = " ".join(map(str, special))
    words = {"rate": rate, "size": size, "blank": blank, "special": special}
    state = {value.name: value for value in model.graph.input}.get("state")
    if state is None:
        # What has a value may be left out. sherpa-onnx gives waveforms alone.
        ones = onnx.helper.make_tensor("lengths", 1, [1], [1.0])
        model.graph.initializer.append(ones)
    else:
        dim = state.type.tensor_type.shape.dim[1].dim_value
        hop = hop_samples(recognizer.mods.encoder)
        words |= {"chunk": CHUNK, "state": dim, "hop": hop}
        # The last two are sherpa-onnx's, which takes 8000 samples a second for
        # granted.
        facts |= {"chunk": CHUNK, "hop": hop}
        facts |= {"state_dim": dim, "frame_length_ms": 300}
    onnx.helper.set_model_props(model, {k: str(v) for k, v in facts.items()})
    onnx.save(model, path)
    return words


def _tokens(tokenizer, blank):
    """All tokens by number, which are no text, and Python that joins others."""
    numbers = range(tokenizer.get_piece_size())
    if hasattr(tokenizer, "id_to_piece"):
        tokens = [tokenizer.id_to_piece(i) for i in numbers]
        kinds = tokenizer.is_control, tokenizer.is_unknown
        special = {i for i in numbers if any(is_kind(i) for is_kind in kinds)}
        join = '"".join(pieces).replace("\\u2581", " ")'
    else:
        # Labels, phones say, after the special numbers.
        special = set(numbers[: tokenizer.special])
        tokens = [f"<{i}>" for i in special] + list(tokenizer.labels)
        join = '"".join(piece + " " for piece in pieces)'
    tokens[blank] = "<blk>"
    return tokens, sorted(special | {blank}), join


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
        "--streaming",
        action="store_true",
        help="a file that takes audio in chunks; needs a system trained with "
        "--norm_type global --rnn_bidirectional False",
    )
    parser.add_argument("--opset", type=int, default=OPSET, help="of ONNX")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run whatever the folder's YAML names",
    )
    options = parser.parse_args(arguments)
    try:
        error = export_ctc(**vars(options))
    except (ImportError, OSError, ValueError, RuntimeError) as problem:
        print(f"ligru-export: {problem}", file=sys.stderr)
        return 1
    print(
        f"{options.out}: model.onnx differs from the experiment by {error:.1e}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
