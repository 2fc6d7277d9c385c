"""Fills the tables of the Markdown files from the committed rows.

    python -m benchmarks.report
    python -m benchmarks.report --check    exit status 1 if a table is stale

A table stands between two comments, of which the first names a function of
this file: cog calls it and puts what it prints in between.

    <!-- [[[cog report.layers(dtype="bf16") ]]] -->
    <!-- [[[end]]] -->
"""

import pathlib
import sys

import numpy as np
import pandas as pd
from cogapp import Cog

from benchmarks.gpu import by_layer
from benchmarks.rows import parser
from benchmarks.stats import compare_seeds
from benchmarks.systems import filled, load, systems, text

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_DOCUMENTS = ("*.md", "docs/**/*.md", "recipes/**/*.md", "upstream/**/*.md")
# Settings of fewer seeds are shown where there are no others.
_SEEDS = 3
_THEIRS = {
    "speechbrain": "SpeechBrain",
    "speechbrain-jit": "its `--jit`",
    "speechbrain-linear": "two lines changed",
}
# Its rows: which layer, who computes it in layers.csv, and in hybrid.csv
_README = (
    ("LiGRU, this package", "ours", "numba"),
    ("LiGRU, SpeechBrain", "speechbrain", "speechbrain"),
    ("LiGRU, SpeechBrain, two lines changed", "speechbrain-linear", None),
    ("SLiGRU, this package", "ours", "numba"),
    ("SLiGRU, SpeechBrain", "speechbrain", "speechbrain"),
    ("LSTM, as many parameters", None, "torch"),
    ("LSTM, as many units", None, None),
    ("GRU, as many parameters", None, "torch"),
    ("GRU, as many units", None, None),
)
# What computes the same on a GPU, if not named alike.
_GPU = {"ours": "cuda", " as many parameters": "torch-parameters"}
_SHAPE = "features batch steps directions layers dtype mode".split()


def _show(frame, titles=()):
    """Prints what has cells of columns that have titles, else of all."""
    cells = filled(frame.reindex(columns=[*titles]) if titles else frame)
    cells = cells.rename(columns=dict(titles))
    print(cells.to_markdown(index=False, disable_numparse=True))


def _newest(name, **cells):
    """Rows with these cells of the run made last; prints which it is."""
    path = RESULTS / f"{name}.csv"
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame()
    for column, value in cells.items():
        rows = rows[rows[column] == value] if len(rows) else rows
    if name == "layers" and len(rows):
        # A run of ours alone has nothing to be compared with.
        compared = rows["run"][rows["impl"] == "speechbrain"]
        rows = rows[rows["run"].isin(compared)]
    if rows.empty:
        print("Not measured.")
        return rows
    rows = rows[rows["run"] == rows.sort_values("date")["run"].iloc[-1]]
    cells = rows.fillna({"cpu": "which, not recorded"}).iloc[-1]
    tool, date = cells["command"].split()[2], cells["date"][:10]
    print(
        "{device} ({cpu}), threads: {threads}, torch {torch}; ".format(**cells)
        + f"{tool} of commit {cells['commit']}, {date}; its options are in "
        f"{name}.csv.\n"
    )
    return rows


def measured(name, index, shown, **cells):
    """The figures of a run, the largest where several have one index.

    ``index`` and ``shown`` give titles to columns: of what was run, and of
    its figures. ``cells`` are what the rows have in common.
    """
    rows = _newest(name, **cells)
    if len(rows):
        keys = {"as_index": False, "sort": False}
        found = rows.groupby(list(index), **keys)[list(shown)].max()
        _show(found, index | shown)


def _times(**cells):
    """Milliseconds of a run, who computes in columns."""
    rows = _newest("layers", op="layer", **cells)
    if rows.empty:
        return rows
    units = np.where(rows["hidden"] == rows["features"], "units", "parameters")
    who = rows["impl"].where(rows["auto"] != "yes", "ours")
    who = who.where(who != "torch", rows["model"] + ", as many " + units)
    rows = rows.assign(who=who)
    ours = rows[rows["model"].str.contains("LiGRU")]
    theirs = rows[rows["impl"] == "torch"]
    ours = ours.pivot_table("p50_ms", ["model", *_SHAPE], "who")
    theirs = theirs.pivot_table("p50_ms", _SHAPE, "who")
    return ours.join(theirs, on=_SHAPE).reset_index()


def layers(**cells):
    """Milliseconds of our layers, and how many times as long others take."""
    times = _times(**cells)
    if times.empty:
        return
    order = ["mode", "features", "steps", "model"]
    times = times.sort_values(order)
    found = times[order].assign(ours=times["ours"].map(text))
    for who in times:
        if who in _THEIRS or "as many" in who:
            ratio = (times[who] / times["ours"]).map("{:.2f}x".format, "ignore")
            found[who] = ratio.fillna("")
    names = {"features": "H", "steps": "T", "ours": "ours, ms"}
    _show(found.rename(columns=names | _THEIRS))


def gpu(mode="train"):
    """Microseconds a step on an H200, of what ran in each type and size."""
    rows = pd.read_csv(RESULTS / "h200.csv")
    print(
        "{device}, torch {torch}, triton {triton}; benchmarks.gpu of commit "
        "{commit}, {date:.10}; its options are in h200.csv.\n".format(
            **rows.iloc[-1]
        )
    )
    found = by_layer(rows[rows["mode"] == mode]).dropna()
    widths, types = map(found.columns.get_level_values, ("features", "dtype"))
    found.columns = [f"H={h} {dtype}" for h, dtype in zip(widths, types)]
    _show(found.rename_axis("layer").reset_index())


def readme(**cells):
    """Each layer's times and error rates: README's table."""
    us = by_layer(pd.read_csv(RESULTS / "h200.csv"))
    us = us[512, 2, 8, 1000, "bf16", "train"]
    times = _times(features=512, dtype="fp32", **cells)
    times = times.set_index(["mode", "steps", "model"])
    found = _trained("hybrid/an4", "hybrid").set_index(["lm", "rnn", "impl"])
    lines = []
    wer = "AN4 WER %, hybrid, mean ± deviation (each seed)"
    for title, who, impl in _README:
        model, _, rest = title.partition(",")
        line = {"layer": title}
        for mode, steps in (("train", 100), ("train", 400), ("infer", 100)):
            row = times.loc[mode, steps, model if who else "LiGRU"]
            line[f"{mode}, T={steps}, ms"] = row.get(who or title, np.nan)
        by = _GPU.get(who or rest, who or "torch")
        line["H200, train, T=1000, µs a frame"] = us[f"{model} {by}"]
        lines.append(line | {wer: found.wer.get(("3-gram", model, impl), "")})
    _show(pd.DataFrame(lines))


def exported(others):
    """Exported layers: ONNX Runtime's times, or once each of all runtimes."""
    rows = _newest("deploy", others=others)
    if rows.empty:
        return
    form, same = rows["form"].fillna(""), rows["same"]
    form += rows["dtype"].map({"int8": ", int8"}).fillna("")
    same = same.map(", as many {}".format, "ignore").fillna("")
    rows = rows.assign(form=form, model=rows["model"] + same)
    names = {"runtime": "run by", "model": "layer", "form": "as"}
    if others:
        names |= {"difference": "differs by", "size_mb": "MB", "p50_ms": "ms"}
        _show(rows, names)
        return
    names |= {"size_mb": "MB"}
    ratio = rows["ratio_p50"].map(" ({:.2f}x)".format)
    rows = rows.assign(cell=rows["p50_ms"].map(text) + ratio).pivot_table(
        *("cell", list(names), ["threads", "batch", "steps"], "first"),
        sort=False,
    )
    rows.columns = ["{} thr, B={}, T={}".format(*x) for x in rows.columns]
    _show(rows.reset_index().rename(columns=names))


def _trained(recipe, name="recipes", split="test", settings=""):
    """Of systems that differ in settings the newest of enough seeds."""
    found = systems(load(RESULTS / f"{name}.csv"))
    asked = {"recipe": recipe, "split": split, "settings": settings}
    for column, begin in asked.items():
        found = found[found[column].str.startswith(begin)]
    found["enough"] = found["seeds"].map(len) >= _SEEDS
    words = found["wer"].map(np.mean).notna()
    found["error"] = found["wer"].where(words, found["per"])
    key = ["recipe", "corpus", "split", "rnn", "impl", "lm"]
    return found.sort_values(["enough", "at"]).drop_duplicates(key, keep="last")


def _against_lstm(found):
    """How far a mean is from the lower LSTM's, and p of it over the seeds."""
    cells = pd.Series("", found.index)
    for _, same in found[found["enough"]].groupby(["recipe", "corpus", "lm"]):
        is_lstm = same["rnn"] == "LSTM"
        for lstm in sorted(same["error"][is_lstm], key=np.mean)[:1]:
            for i in same.index[~is_lstm]:
                luck = compare_seeds(same["error"][i], lstm)
                cells[i] = "{:+.2f}, p = {:.2f}".format(*luck)
    return cells


def recognisers(recipe, name="recipes", split="test", settings="", **titles):
    """Error rates of each seed, without and with the newest language model."""
    found = _trained(recipe, name, split, settings)
    found = found.assign(lstm=_against_lstm(found))
    key = ["recipe", "corpus", "rnn", "impl"]
    if (found["lm"] == "none").any():
        with_lm = found[found["lm"] != "none"].groupby(key).last()
        found = found[found["lm"] == "none"].set_index(key)
        found = found.join(with_lm[["error"]], rsuffix="_lm")
    names = dict(zip(key, ["recipe", "corpus", "layer", "by"]))
    names |= {"params": "parameters", "epochs": "epochs"}
    names |= titles or {"epoch_s": "s/epoch"}
    names |= {"error": "error %", "lstm": "to LSTM", "error_lm": "with LM"}
    _show(found.reset_index().sort_values(key), names)


def missed():
    """What was set out to be reached on a CPU, and was not."""
    losses = pd.read_csv(RESULTS / "convergence.csv")
    losses = losses.groupby(["dtype", "impl"])["difference"].max()
    print(f"""\
- Losses of 50 steps from one seed, against SpeechBrain's layer: within \
{losses["fp64", "numba"]:.1e} in float64,
  {losses["fp32", "numba"]:.2g} in float32, where 0.0001 was wanted. \
SpeechBrain's layer twice, from weights a
  rounding apart: {losses["fp32", "speechbrain-perturbed"]:.2g}.""")


def main(argv=None):
    """Runs the tool; returns the exit status."""
    tool = parser("benchmarks.report", __doc__)
    tool.add_argument("--check", action="store_true")
    tool.add_argument("--root", type=pathlib.Path, default=ROOT)
    args = tool.parse_args(argv)
    pages = [path for x in _DOCUMENTS for path in sorted(args.root.glob(x))]
    files = [str(x) for x in pages if "[[[cog" in x.read_text("utf-8")]
    words = ["-P", "-U", "--verbosity=1", "-p", "from benchmarks import report"]
    words += ["--check", "--diff"] if args.check else ["-r"]
    return 1 if Cog().main(["cog", *words, *files]) else 0


if __name__ == "__main__":
    sys.exit(main())
