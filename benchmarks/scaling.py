"""Measures a full-size recipe's training step on made-up audio.

    python -m benchmarks.scaling hparams/librispeech/ligru_fast.yaml \\
        --device cuda:0 --precision bf16

The batch is as long as the YAML's dynamic batches, so that hours of speech
and a number of devices give the time of an epoch: the table `scaling`. What
is not named below changes the YAML's keys. A row is appended to --results, by
default build/benchmarks/scaling.csv.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError
from speechbrain.dataio.batch import PaddedBatch

from benchmarks.outputs import FOLDER
from benchmarks.provenance import provenance
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.config import parse
from speechbrain_ligru_fast.asr.recurrent import describe_recurrent
from speechbrain_ligru_fast.asr.results import append_row

RESULTS = FOLDER / "scaling.csv"
# About what LibriSpeech's training utterances are on average.
UTTERANCE_SECONDS = 12.3
TOKENS_PER_SECOND = 3.5


def make_batch(hparams, frames):
    """Noise for speech, and random tokens, of about so many frames.

    Arguments
    ---------
    hparams : dict
        Of the experiment.
    frames : int
        Of the whole batch.

    Returns
    -------
    PaddedBatch
    """
    seconds = min(UTTERANCE_SECONDS, frames * hparams["feats_hop_size"])
    count = round(frames * hparams["feats_hop_size"] / seconds)
    samples = round(seconds * hparams["sample_rate"])
    tokens = max(1, round(seconds * TOKENS_PER_SECOND))
    first = hparams["eos_index"] + 1
    items = []
    for i in range(count):
        ids = torch.randint(first, hparams["output_neurons"], (tokens,))
        bos, eos = (
            torch.tensor([hparams[f"{k}_index"]]) for k in ("bos", "eos")
        )
        items.append(
            {
                "id": str(i),
                "sig": 0.1 * torch.randn(samples),
                "text": "",
                "tokens": ids,
                "tokens_bos": torch.cat([bos, ids]),
                "tokens_eos": torch.cat([ids, eos]),
            }
        )
    return PaddedBatch(items)


def measure(args, rest):
    """Trains a few steps; returns the row."""
    with tempfile.TemporaryDirectory() as folder:
        given = ["--device", args.device, "--precision", args.precision]
        given += ["--data_folder", "none", "--output_folder", folder, *rest]
        _, document, run_opts, overrides = parse([str(args.yaml), *given])
        hparams = load_hyperpyyaml(document, overrides)
        brain = ASR(
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts=run_opts,
        )
        device = brain.device_type
        # Before it runs: what is committed meanwhile is not what is measured.
        stamp = provenance("benchmarks.scaling", sys.argv[1:], device)
        brain.on_fit_start()
        hparams["epoch_counter"].current = 1
        frames = args.frames or hparams["max_batch_length"]
        batch = make_batch(hparams, frames)
        seconds = []
        for step in range(args.warm_up + args.steps):
            if device == "cuda":
                torch.cuda.synchronize()
            begin = time.perf_counter()
            brain.step = step + 1
            brain.fit_batch(batch)
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begin)
        audio = sum(len(wav) for wav in batch.sig.data) / hparams["sample_rate"]
        return {
            **stamp,
            "recipe": hparams["recipe"],
            **describe_recurrent(
                hparams["modules"]["enc"],
                device,
                args.precision,
                brain.scripted(),
            ),
            "precision": args.precision,
            "params": sum(p.numel() for p in hparams["model"].parameters()),
            "batch_audio_s": round(audio, 1),
            "steps": args.steps,
            "step_s": round(statistics.median(seconds[args.warm_up :]), 4),
            "peak_mb": round(brain.peak_mb()),
        }


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("yaml", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "bf16"), default="fp32"
    )
    parser.add_argument(
        "--frames", type=int, help="of a batch; default: max_batch_length"
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm_up", type=int, default=2)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    args, rest = parser.parse_known_args(argv)
    try:
        row = measure(args, rest)
    except (OSError, ValueError, KeyError, YAMLError) as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 1
    append_row(args.results, row)
    print(
        f"{row['rnn']} by {row['impl']}: {row['step_s']} s a step of "
        f"{row['batch_audio_s']} s of audio, peak {row['peak_mb']} MiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
