"""Fills the tables of the Markdown files from the committed rows.

    python -m benchmarks.report
    python -m benchmarks.report --check    exit status 1 if a table is stale

A table stands between two comments, of which the first names a function of
this file: cog calls it and puts what it prints in between.

    <!-- [[[cog report.layers(dtype="bf16") ]]] -->
    <!-- [[[end]]] -->
"""

import argparse
import pathlib
import sys

import numpy as np
import pandas as pd
from cogapp import Cog

from benchmarks.stats import compare_seeds
from benchmarks.systems import load, systems, text

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_DOCUMENTS = ("*.md", "docs/**/*.md", "recipes/**/*.md", "upstream/**/*.md")
# Settings of fewer seeds are shown where there are no others.
_SEEDS = 3
_SHAPE = "features batch steps directions layers dtype mode".split()


def _print(frame):
    print(frame.to_markdown(index=False, disable_numparse=True))


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
    row = rows.iloc[-1]
    which = (
        row["cpu"] if isinstance(row.get("cpu"), str) else "which, not recorded"
    )
    print(
        f"{row['device']} ({which}), {row['threads']} threads, torch "
        f"{row['torch']}; {row['command'].split()[2]} of commit "
        f"{row['commit']}, {row['date'][:10]}; its options are in {name}.csv.\n"
    )
    return rows


def measured(name, index, shown, **cells):
    """The figures of a run, the largest where several have one index.

    Arguments
    ---------
    name : str
        Of the result file.
    index, shown : dict
        Column -> title, of what was run and of its figures.
    **cells
        What the rows have in common.
    """
    rows = _newest(name, **cells)
    if len(rows):
        keys = {"as_index": False, "sort": False}
        found = rows.groupby(list(index), **keys)[list(shown)].max()
        _print(found.map(text).rename(columns=index | shown))


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
    titles = {
        "speechbrain": "SpeechBrain",
        "speechbrain-jit": "its `--jit`",
        "speechbrain-linear": "its backward linear",
        "LSTM, as many units": "LSTM, as many units",
        "LSTM, as many parameters": "LSTM, as many parameters",
        "GRU, as many units": "GRU, as many units",
        "GRU, as many parameters": "GRU, as many parameters",
    }
    others = [who for who in titles if who in times]
    order = ["mode", "features", "steps", "model"]
    times = times.sort_values(order)
    found = times[order].assign(ours=times["ours"].map(text))
    for who in others:
        ratio = times[who] / times["ours"]
        found[titles[who]] = ratio.map("{:.2f}x".format, "ignore").fillna("")
    names = {"features": "H", "steps": "T", "ours": "ours, ms"}
    _print(found.rename(columns=names))


def readme():
    """Each layer's times and error rates: README's table."""
    times = _times(features=512, dtype="fp32").set_index(
        ["model", "mode", "steps"]
    )
    found = _trained("librispeech/an4")
    wer = {
        (row["rnn"], row["impl"]): text(row["wer"])
        for _, row in found[found["lm"] == "none"].iterrows()
    }
    lines = []
    for title, model, who, trained in (
        ("LiGRU, this package", "LiGRU", "ours", "numba"),
        ("LiGRU, SpeechBrain", "LiGRU", "speechbrain", "speechbrain"),
        ("SLiGRU, this package", "SLiGRU", "ours", "numba"),
        ("SLiGRU, SpeechBrain", "SLiGRU", "speechbrain", "speechbrain"),
        ("LSTM, as many parameters", "LSTM", None, "torch"),
        ("LSTM, as many units", "LSTM", None, None),
        ("GRU, as many parameters", "GRU", None, "torch"),
        ("GRU, as many units", "GRU", None, None),
    ):
        line = [title]
        for mode, steps in (("train", 100), ("train", 400), ("infer", 100)):
            row = times.loc[model if who else "LiGRU", mode, steps]
            line.append(text(row.get(who or title, np.nan)))
        lines.append([*line, wer.get((model, trained), "")])
    titles = ["layer", "train, T=100, ms", "train, T=400, ms"]
    titles += [
        "inference, T=100, ms",
        "AN4 WER %, mean ± deviation (each seed)",
    ]
    _print(pd.DataFrame(lines, columns=titles))


def _trained(recipe, corpus="", split="test"):
    """Of systems that differ in settings the newest of enough seeds."""
    found = systems(load(RESULTS / "recipes.csv"))
    for column, begin in (
        ("recipe", recipe),
        ("corpus", corpus),
        ("split", split),
    ):
        found = found[found[column].str.startswith(begin)]
    found = found.assign(enough=found["seeds"].map(len) >= _SEEDS)
    key = ["recipe", "corpus", "split", "rnn", "impl", "lm"]
    return found.sort_values(["enough", "at"]).drop_duplicates(key, keep="last")


def recognisers(recipe, corpus=""):
    """What trained systems reach, each seed, without a language model and with.

    Of the language models the one tested last.
    """
    found = _trained(recipe, corpus)
    key = ["recipe", "corpus", "rnn", "impl"]
    plain = found[found["lm"] == "none"].set_index(key)
    with_lm = found[found["lm"] != "none"].groupby(key).last()
    plain = plain.join(with_lm[["wer"]], rsuffix="_lm").sort_index()
    error = plain["wer"].map(text)
    error = error.where(error != "", plain["per"].map(text))
    names = dict(zip(key, ["recipe", "corpus", "layer", "by"]))
    names |= {"params": "parameters", "epochs": "epochs"}
    names |= {"epoch_s": "s/epoch", "error": "error %", "wer_lm": "with LM"}
    cells = plain.assign(error=error).reset_index()[list(names)].map(text)
    _print(cells.loc[:, (cells != "").any()].rename(columns=names))


def seeds(recipe="demo/timit"):
    """Our LiGRU's seeds against SpeechBrain's, of equal options."""
    found = systems(load(RESULTS / "recipes.csv"))
    found = found[(found["recipe"] == recipe) & (found["rnn"] == "LiGRU")]
    # Of equal options the settings of most seeds.
    found = found.sort_values("seeds", key=lambda seeds: seeds.map(len))
    lines = []
    for given, same in found.groupby("options"):
        rates = dict(zip(same["impl"], same["per"]))
        both = rates["numba"], rates["speechbrain"]
        difference, p = compare_seeds(*both)
        lines.append([given, *map(text, both), f"{difference:+.2f}", text(p)])
    titles = ["options", "ours, PER %", "SpeechBrain's, PER %"]
    _print(pd.DataFrame(lines, columns=[*titles, "difference", "p"]))


def _figure(name, column, **cells):
    """The newest figure of a result file with these cells."""
    rows = pd.read_csv(RESULTS / f"{name}.csv").sort_values("date")
    for key, value in cells.items():
        rows = rows[rows[key] == value]
    return rows[column].dropna().iloc[-1]


def missed():
    """What was set out to be reached on a CPU, and was not."""
    scan = dict(op="scan", impl="numba", hidden=512, batch=8, mode="train")
    step = dict(model="SLiGRU", hidden=512, steps=400, mode="train")
    ours, theirs = (
        _figure("layers", "peak_mb", impl=impl, **step)
        for impl in ("numba", "speechbrain")
    )
    losses = pd.read_csv(RESULTS / "convergence.csv")
    losses = losses.groupby(["dtype", "impl"])["difference"].max()
    rounding = losses["fp32", "speechbrain-perturbed"]
    print(f"""\
- The recurrence alone with its backward, 16 rows, H=512:
  {_figure("layers", "gemm_ratio", **scan):.2f} of the rate of a large matrix \
product; 0.7 was wanted.
- Memory of a SLiGRU's training step, H=512, T=400: {ours / theirs:.2f} of \
SpeechBrain's; 0.5 was wanted.
- A small CRDNN's loss in 50 steps from one seed, against SpeechBrain's layer: \
within {losses["fp64", "numba"]:.1e}
  in float64, {losses["fp32", "numba"]:.2g} in float32, where 0.0001 was wanted;
  SpeechBrain's own, from weights moved by a rounding: {rounding:.2g}.""")


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    args = parser.parse_args(argv)
    files = [
        str(path)
        for pattern in _DOCUMENTS
        for path in sorted(args.root.glob(pattern))
        if "[[[cog" in path.read_text("utf-8")
    ]
    words = ["-P", "-U", "--verbosity=1", "-p", "from benchmarks import report"]
    words += ["--check", "--diff"] if args.check else ["-r"]
    return 1 if Cog().main(["cog", *words, *files]) else 0


if __name__ == "__main__":
    sys.exit(main())
