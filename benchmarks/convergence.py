"""Trains one recogniser twice, with SpeechBrain's layer and with ours.

    python -m benchmarks.convergence --data_folder TIMIT [recipe options]

A corpus in TIMIT's layout, the recipe's small system, dropout and
augmentation off, one seed: the losses of the first steps are appended to
--out, by default build/benchmarks/convergence.csv, one row per step. Neither
layer is told the lengths, which SpeechBrain's does not take. Further options
are the recipe's, for example --dev_speakers.

In float64 the losses show whether both layers train the same. In float32
rounding alone parts two trainings: each ReLU that flips changes a gradient,
and Adam follows signs. So there SpeechBrain's layer is also trained from
weights moved by one rounding, which says what float32 allows.
"""

import argparse
import functools
import pathlib
import sys
import tempfile

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedData

from benchmarks.arguments import refuse_below
from benchmarks.impls import STOCK_PERTURBED
from benchmarks.outputs import FOLDER
from benchmarks.provenance import provenance
from speechbrain_ligru_fast import accelerate
from speechbrain_ligru_fast.asr import results
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.asr.data import loader_options, make_dataset
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.spec import ScanSpec

SYSTEM = (
    pathlib.Path(__file__).resolve().parent.parent
    / "hparams"
    / "timit"
    / "small.yaml"
)

_SAME = {
    "dropout": "0.0",
    "dec_dropout": "0.0",
    "augmentations": "[]",
    "device": "cpu",
}

_PREPARATION = (
    "data_folder",
    "train_annotation",
    "valid_annotation",
    "test_annotation",
    "uppercase",
    "phn_set",
    "dev_speakers",
    "test_speakers",
)


class DoubleASR(ASR):
    """The recogniser in float64, for a default dtype of float64."""

    def on_fit_start(self):
        """Also mends a cast to float32 in SpeechBrain's attention."""
        super().on_fit_start()
        self.modules.dec.attn.conv_loc.register_forward_pre_hook(
            lambda module, inputs: (inputs[0].double(),)
        )

    def fit_batch(self, batch):
        """Takes the step on float64 audio."""
        batch.sig = PaddedData(
            batch.sig.data.double(), batch.sig.lengths.double()
        )
        return super().fit_batch(batch)


def move_by_a_rounding(module):
    """Changes every weight by half its type's epsilon, up or down."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            sign = torch.rand(weight.shape, generator=generator) < 0.5
            step = torch.finfo(weight.dtype).eps
            weight.mul_(torch.where(sign, 1 + step, 1 - step / 2))


def losses(model, dtype, change, steps, options):
    """Trains from the system's seed and returns the loss of each step.

    Arguments
    ---------
    model : str
        LiGRU or SLiGRU.
    dtype : torch.dtype
        Of the whole training.
    change : callable
        Is given the encoder with SpeechBrain's layers before training.
    steps : int
        How many.
    options : list of str
        Further options of the recipe.

    Returns
    -------
    list of float
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _losses(model, change, steps, options, folder)
    finally:
        torch.set_default_dtype(default)


def _losses(model, change, steps, options, folder):
    overrides = {
        **_SAME,
        "rnn_class": f"!name:speechbrain.nnet.RNN.{model}",
        "output_folder": folder,
    }
    flags = [part for k, v in overrides.items() for part in (f"--{k}", v)]
    hparams, run_opts = load_experiment(
        [str(SYSTEM), *flags, "--noprogressbar", *options]
    )
    prepare_timit(**{name: hparams[name] for name in _PREPARATION})
    change(hparams["modules"]["enc"])
    brain_class = (
        ASR if torch.get_default_dtype() == torch.float32 else DoubleASR
    )
    brain = brain_class(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
    )
    stage = sb.Stage.TRAIN
    dataset = make_dataset(hparams["train_annotation"], hparams, stage)
    torch.manual_seed(hparams["seed"])
    loader = brain.make_dataloader(
        dataset, stage, **loader_options(dataset, hparams, stage)
    )
    return _train(brain, loader, hparams["epoch_counter"], steps)


def _train(brain, loader, epochs, steps):
    found = []
    brain.on_fit_start()
    brain.modules.train()
    for _ in epochs:
        for batch in loader:
            found.append(brain.fit_batch(batch).item())
            if len(found) == steps:
                return found
    raise ValueError(
        f"steps: got {steps}, the corpus and number_of_epochs give only "
        f"{len(found)}"
    )


def main(argv=None):
    """Runs the tool; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.convergence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=["LiGRU", "SLiGRU"], default="LiGRU")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=FOLDER / "convergence.csv",
    )
    args, options = parser.parse_known_args(argv)
    refuse_below(parser, args, steps=1, threads=1)
    if args.out.exists():
        results.read_rows(args.out)
    torch.set_num_threads(args.threads)
    stamp = {
        **provenance("benchmarks.convergence", argv),
        "model": args.model,
        "steps": args.steps,
    }
    spec = ScanSpec(directions=2, layernorm=args.model == "SLiGRU")
    for label, dtype in (("fp64", torch.float64), ("fp32", torch.float32)):
        backend = choose(args.backend, "cpu", dtype, spec)
        name = backend.__name__.rpartition(".")[2]
        changes = {name: functools.partial(accelerate, backend=name)}
        if label == "fp32":
            changes[STOCK_PERTURBED] = move_by_a_rounding
        stock = losses(args.model, dtype, lambda _: None, args.steps, options)
        for impl, change in changes.items():
            found = losses(args.model, dtype, change, args.steps, options)
            differences = [
                abs(a - b) for a, b in zip(stock, found, strict=True)
            ]
            for step in range(args.steps):
                cells = {
                    "impl": impl,
                    "dtype": label,
                    "step": step + 1,
                    "stock_loss": stock[step],
                    "loss": found[step],
                    "difference": differences[step],
                }
                results.append_row(args.out, {**stamp, **cells})
            print(
                f"{label}, {impl}: largest difference {max(differences):.2e} "
                f"in {args.steps} steps, last loss {found[-1]:.6f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
