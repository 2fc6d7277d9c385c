"""The page of a comparison: one HTML file, which needs no network."""

import html
import io
import pathlib
import re

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.systems import load, options, systems, table, text

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Trained systems</title>
<style>
body, table { font: 14px/1.5 system-ui, sans-serif; border-collapse: collapse; }
td, th { border: 0; border-bottom: 1px solid #ccc; padding: 3px 8px; }
</style>
<h1>Trained systems</h1>
<p>Error rates: mean and deviation over the seeds, and each of them. What was
misheard is in <code>wer_*.txt</code> or <code>per_*.txt</code> of each run.</p>
"""
_EPOCH = re.compile(r"^epoch: \d+, .*", re.M)
_STAT = re.compile(r"([\w ]+?): ([-+.\de]+|nan|inf)(?:,| -|$)")


def read_log(path):
    """The epochs of a training, from SpeechBrain's ``train_log.txt``.

    Of an epoch that was repeated after an interruption the last counts.
    ``minutes`` are up to its end, with validation if every line tells.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train_log.txt"
    >>> _ = path.write_text(
    ...     "epoch: 1, lr: 1e-03, elapsed s: 90.0 - train loss: 3.5, "
    ...     "train s: 60.0 - valid loss: 2.5, valid WER: 95\\n"
    ... )
    >>> read_log(path)[["minutes", "valid WER"]].values.tolist()
    [[1.5, 95.0]]
    """
    lines = _EPOCH.findall(path.read_text("utf-8")) if path.exists() else []
    found = ({k.strip(): float(x) for k, x in _STAT.findall(y)} for y in lines)
    frame = pd.DataFrame(found)
    if frame.empty:
        return frame
    frame = frame.drop_duplicates("epoch", keep="last", ignore_index=True)
    told = "elapsed s" in frame and frame["elapsed s"].notna().all()
    seconds = frame["elapsed s"] if told else frame["train s"].cumsum()
    return frame.assign(minutes=seconds / 60)


def write(results_csv, runs, out):
    """Write the page from result rows and the folder of the trainings."""
    found = systems(load(results_csv))
    parts = [_HEAD, table(found).to_html(index=False)]
    for name, same in found.groupby(["recipe", "corpus", "split"], sort=False):
        parts.append(f"<h2>{html.escape(', '.join(name))}</h2>")
        parts.append(_drawn(same, runs))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([*parts, "</html>\n"]), encoding="utf-8")


def _drawn(found, runs):
    """Development error by time, of the systems of a test set."""
    rate = "PER" if found["wer"].map(text).eq("").all() else "WER"
    figure = Figure(figsize=(8, 4), layout="constrained")
    curves = figure.subplots()
    told = ["lm", "options", "threads", "epochs", "settings"]
    told = ["rnn", "impl", *(key for key in told if found[key].nunique() > 1)]
    drawn = set()
    for colour, (_, system) in enumerate(found.iterrows()):
        label = ", ".join(filter(None, system[told].map(text)))
        given = map(options, system["commands"])
        folders = {x.get("--output_folder", [""])[0] for x in given}
        # However often it was tested, it was trained once.
        for name in {pathlib.Path(folder).name for folder in folders} - drawn:
            drawn.add(name)
            log = read_log(runs / name / "train_log.txt")
            if len(log):
                found = log["minutes"], log[f"valid {rate}"]
                curves.plot(*found, f"C{colour}", label=label)
                label = None  # Once in the legend
    curves.set(xlabel="minutes of training", ylabel=f"development {rate} %")
    if curves.lines:
        curves.legend(fontsize=8)
    svg = io.StringIO()
    # The viewer's own font: outlines of letters would be most of the file.
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return "<svg" + svg.getvalue().partition("<svg")[2]
