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

from benchmarks import command
from benchmarks.stats import compare_seeds
from benchmarks.systems import SYSTEM, load, systems, text

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_DOCUMENTS = ("*.md", "docs/**/*.md", "recipes/**/*.md", "upstream/**/*.md")
# Settings of fewer seeds are shown where there are no others.
_SEEDS = 3
_THEIRS = {
    "speechbrain": "SpeechBrain",
    "speechbrain-jit": "its `--jit`",
    "speechbrain-linear": "its backward linear",
}
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
    known = isinstance(row.get("cpu"), str)
    which = row["cpu"] if known else "which, not recorded"
    print(
        f"{row['device']} ({which}), threads: {row['threads']}, torch "
        f"{row['torch']}; {row['command'].split()[2]} of commit "
        f"{row['commit']}, {row['date'][:10]}; its options are in {name}.csv.\n"
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
        _print(found.map(text).rename(columns=index | shown))


def recognizers():
    """What exported recognisers reach and cost."""
    index = {"mode": "reads", "runtime": "by", "weights": "weights"}
    shown = {"wer": "WER %", "same_text": "same", "utterances": "of"}
    shown |= {"rtf": "real-time factor", "to_speechbrain": "to SpeechBrain"}
    measured("recognizers", index, shown | {"bytes": "bytes"})


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
    _print(found.rename(columns=names | _THEIRS))


def readme(**cells):
    """Each layer's times and error rates: README's table."""
    steps = {"train": (100, 400), "infer": (100,)}
    times = _times(features=512, dtype="fp32", **cells)
    times = times.set_index(["model", "mode", "steps"])
    found = _trained("librispeech/an4")
    found = found[found["lm"] == "none"].set_index(["rnn", "impl"])["wer"]
    lines = []
    for title, who, impl in (
        ("LiGRU, this package", "ours", "numba"),
        ("LiGRU, SpeechBrain", "speechbrain", "speechbrain"),
        ("LiGRU, SpeechBrain, two lines changed", "speechbrain-linear", None),
        ("SLiGRU, this package", "ours", "numba"),
        ("SLiGRU, SpeechBrain", "speechbrain", "speechbrain"),
        ("LSTM, as many parameters", None, "torch"),
        ("LSTM, as many units", None, None),
        ("GRU, as many parameters", None, "torch"),
        ("GRU, as many units", None, None),
    ):
        model = title.partition(",")[0]
        line = {"layer": title}
        for mode, count in (
            (m, n) for m, counts in steps.items() for n in counts
        ):
            row = times.loc[model if who else "LiGRU", mode, count]
            ms = row.get(who or title, np.nan)
            line[f"{mode}, T={count}, ms"] = text(ms)
        wer = text(found.get((model, impl), np.nan))
        line["AN4 WER %, mean ± deviation (each seed)"] = wer
        lines.append(line)
    _print(pd.DataFrame(lines))


def exported(others):
    """Exported layers: ONNX Runtime's times, or once each of all runtimes."""
    rows = _newest("deploy", others=others)
    if rows.empty:
        return
    names = {"runtime": "run by", "model": "layer", "form": "as"}
    rows = rows.assign(
        form=rows["form"].fillna("")
        + rows["dtype"].map({"int8": ", int8"}).fillna(""),
        model=rows["model"]
        + rows["same"].map(", as many {}".format, "ignore").fillna(""),
    )
    if others:
        names |= {"difference": "differs by", "size_mb": "MB", "p50_ms": "ms"}
        _print(rows[list(names)].map(text).rename(columns=names))
        return
    rows["cell"] = rows["p50_ms"].map(text) + rows["ratio_p50"].map(
        " ({:.2f}x)".format
    )
    key = ["runtime", "model", "form", "size_mb"]
    times = rows.pivot_table(
        "cell", key, ["threads", "batch", "steps"], "first", sort=False
    )
    times.columns = [
        "{} thr, B={}, T={}".format(*column) for column in times.columns
    ]
    names["size_mb"] = "MB"
    _print(times.reset_index().map(text).rename(columns=names))


def _trained(recipe, corpus="", split="test"):
    """Of systems that differ in settings the newest of enough seeds."""
    found = systems(load(RESULTS / "recipes.csv"))
    for column, begin in zip(
        ("recipe", "corpus", "split"), (recipe, corpus, split)
    ):
        found = found[found[column].str.startswith(begin)]
    found = found.assign(enough=found["seeds"].map(len) >= _SEEDS)
    key = ["recipe", "corpus", "split", "rnn", "impl", "lm"]
    return found.sort_values(["enough", "at"]).drop_duplicates(key, keep="last")


def recognisers(recipe, corpus=""):
    """Error rates of each seed, without and with the newest language model."""
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


def hybrids():
    """Error rates of hybrids, and the seconds of their stages."""
    path = RESULTS / "hybrid.csv"
    if not path.exists():
        print("Not measured.")
        return
    rows = load(path)
    found = systems(rows)
    found["error"] = found["wer"].map(text)
    found["error"] = found["error"].where(
        found["error"] != "", found["per"].map(text)
    )
    for name in ("gmm_s", "train_s"):
        rows[name] = pd.to_numeric(rows[name], errors="coerce")
    seconds = rows.groupby(SYSTEM, dropna=False)[["gmm_s", "train_s"]].mean()
    found = found.join(seconds, on=SYSTEM)
    names = {"recipe": "recipe", "corpus": "corpus", "rnn": "layer"}
    names |= {"params": "parameters", "lm": "LM", "error": "error %"}
    names |= {"gmm_s": "GMM", "train_s": "train", "options": "options"}
    cells = found.sort_values(["corpus", "recipe", "rnn"])[list(names)]
    cells = cells.map(text)
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


def missed():
    """What was set out to be reached on a CPU, and was not."""
    rows = pd.read_csv(RESULTS / "layers.csv").sort_values("date")
    rows = rows[(rows["mode"] == "train") & (rows["batch"] == 8)]
    newest = rows.groupby(["op", "model", "impl", "hidden", "steps"]).last()
    peak = newest["peak_mb"]["layer", "SLiGRU"]
    peak = peak["numba", 512, 400] / peak["speechbrain", 512, 400]
    losses = pd.read_csv(RESULTS / "convergence.csv")
    losses = losses.groupby(["dtype", "impl"])["difference"].max()
    double, single = (losses[dtype, "numba"] for dtype in ("fp64", "fp32"))
    rounding = losses["fp32", "speechbrain-perturbed"]
    print(f"""\
- A SLiGRU's training step, H=512, T=400: {peak:.2f} of SpeechBrain's memory; \
0.5 was wanted.
- Losses of 50 steps from one seed, against SpeechBrain's layer: within \
{double:.1e} in float64,
  {single:.2g} in float32, where 0.0001 was wanted. SpeechBrain's own, \
from weights moved by
  a rounding: {rounding:.2g}.""")


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = command.parser("benchmarks.report", __doc__)
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
