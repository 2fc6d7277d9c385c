"""Figures made from result rows."""

import pandas as pd
from matplotlib.figure import Figure

from benchmarks import captions, loss_curves, training_curves
from benchmarks.cases import LIGRU_MODELS
from benchmarks.impls import STOCK, STOCK_JIT, TORCH
from benchmarks.rows import (
    CASE,
    LAYER_KEY,
    MACHINE,
    newest,
    ratio,
    where,
)
from benchmarks.targets import GEMM_SHARE


def draw(data, folder, trainings):
    """Draws what the rows allow, of the machine measured last.

    Arguments
    ---------
    data : Data
        The result rows.
    folder : pathlib.Path
        Where the PNG files go.
    trainings : pathlib.Path
        Logs of trainings, see `benchmarks.recipes.keep_log`.

    Returns
    -------
    list
        The files written.
    """
    figures = _of_layers(data.layers)
    if not data.convergence.empty:
        figures["convergence"] = loss_curves.figure(data.convergence)
    figures |= training_curves.figures(data.recipes, trainings)
    written = []
    for name, figure in figures.items():
        folder.mkdir(parents=True, exist_ok=True)
        written.append(folder / f"{name}.png")
        # Without the version, equal rows give equal files.
        figure.savefig(written[-1], dpi=120, metadata={"Software": None})
    return written


def _of_layers(layers):
    """Name -> figure, of the machine measured last."""
    if layers.empty:
        return {}
    last = layers.iloc[-1]
    rows = where(layers, **{key: last[key] for key in MACHINE})
    name = captions.name_cpu(last["device"], last["cpu"])
    caption = f"{name}, {last['threads']} threads"
    figures = {}
    for name, plot in (
        ("speedup", _speedup),
        ("time_vs_steps", _time_vs_steps),
        ("gemm_ratio", _gemm_ratio),
    ):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        if plot(rows, axes):
            axes.set_title(f"{axes.get_title()}\n{caption}", fontsize=10)
            figures[name] = figure
    return figures


def _speedup(rows, axes):
    """Train step: our time against the others'."""
    rows = where(rows, op="layer", mode="train", dtype="fp32")
    bars = {}
    for model in LIGRU_MODELS:
        ours = where(rows, auto="yes", model=model)
        for _, last in (
            newest(ours, CASE).sort_values(["hidden", "steps"]).iterrows()
        ):
            same = {key: last[key] for key in CASE}
            label = f"{model}\nH={last['hidden']}\nT={last['steps']}"
            bars[label] = {
                name: ratio(
                    where(ours, **same),
                    where(rows, **{**same, "model": other, "impl": impl}),
                    "p50_ms",
                )
                for name, other, impl in (
                    ("SpeechBrain", model, STOCK),
                    ("SpeechBrain jit", model, STOCK_JIT),
                    ("torch.nn.LSTM", "LSTM", TORCH),
                )
            }
    if not bars:
        return False
    frame = pd.DataFrame.from_dict(bars, orient="index").astype(float)
    frame.plot.bar(ax=axes, rot=0, fontsize=8)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylabel("times faster")
    axes.set_title("Train step, fp32, bidirectional: speed-up over")
    return True


def _time_vs_steps(rows, axes):
    """Train step's time over the sequence length, largest set of lengths."""
    rows = where(rows, op="layer", mode="train", dtype="fp32")
    ours = where(rows, auto="yes", model="LiGRU")
    if ours.empty:
        return False
    lengths = ours.groupby(["hidden", "batch"])["steps"].nunique()
    hidden, batch = lengths.idxmax()
    rows = newest(where(rows, hidden=hidden, batch=batch), LAYER_KEY)
    rows = rows[rows["model"] != "SLiGRU"]
    for (model, impl), line in rows.groupby(["model", "impl"]):
        line = line.sort_values("steps")
        axes.plot(
            line["steps"], line["p50_ms"], marker="o", label=f"{model}, {impl}"
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted(rows["steps"].unique())
    axes.set_xticks(ticks, labels=ticks)
    axes.set_xlabel("frames")
    axes.set_ylabel("ms")
    axes.legend(fontsize=8)
    axes.set_title(f"Train step, fp32, H={hidden}, B={batch}, bidirectional")
    return True


def _gemm_ratio(rows, axes):
    """The recurrence's rate as a share of the large GEMM's."""
    rows = newest(where(rows, op="scan", dtype="fp32"), LAYER_KEY)
    if rows.empty:
        return False
    rows = rows.assign(
        label=[
            f"{mode}, {batch * directions} rows"
            for mode, batch, directions in zip(
                rows["mode"], rows["batch"], rows["directions"], strict=True
            )
        ]
    ).sort_values(["mode", "batch"])
    labels = rows["label"].drop_duplicates()
    frame = rows.pivot(index="label", columns="impl", values="gemm_ratio")
    frame.loc[labels].plot.bar(ax=axes, rot=0, fontsize=8)
    axes.axhline(GEMM_SHARE, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("")
    axes.set_ylabel("share of the large fp32 GEMM's rate")
    axes.set_title(f"The recurrence alone, H={rows['hidden'].iloc[0]}")
    return True
