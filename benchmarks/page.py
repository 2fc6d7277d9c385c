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
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; font-size: 13px; }
td, th { border: 0; border-bottom: 1px solid #ccc; padding: 3px 8px; }
</style>
<h1>Trained systems</h1>
<p>Error rates: mean and deviation over the seeds, and each of them. What was
misheard is in <code>wer_*.txt</code> or <code>per_*.txt</code> of each run's
folder.</p>
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
    frame = pd.DataFrame(
        {name.strip(): float(value) for name, value in _STAT.findall(line)}
        for line in lines
    )
    if frame.empty:
        return frame
    frame = frame.drop_duplicates("epoch", keep="last", ignore_index=True)
    seconds = frame["train s"].cumsum()
    if "elapsed s" in frame and frame["elapsed s"].notna().all():
        seconds = frame["elapsed s"]
    return frame.assign(minutes=seconds / 60)


def write(results_csv, runs, out):
    """Write the page.

    Arguments
    ---------
    results_csv, runs, out : pathlib.Path
        Result rows, folder of the trainings, file to write.
    """
    found = systems(load(results_csv))
    parts = [_HEAD, table(found).to_html(index=False)]
    for name, same in found.groupby(["recipe", "corpus", "split"], sort=False):
        parts.append(f"<h2>{html.escape(', '.join(name))}</h2>")
        parts += _part(same, runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([*parts, "</html>\n"]), encoding="utf-8")


def _part(found, runs):
    """Development error by time, and seconds an epoch, of a test set."""
    rate = "PER" if found["wer"].map(text).eq("").all() else "WER"
    figure = Figure(figsize=(8, 7), layout="constrained")
    curves, bars = figure.subplots(2)
    told = ["lm", "options", "threads", "epochs", "settings"]
    told = ["rnn", "impl", *(key for key in told if found[key].nunique() > 1)]
    drawn = set()
    for colour, (_, system) in enumerate(found.iterrows()):
        label = ", ".join(filter(None, system[told].map(text)))
        bars.barh(label, system["epoch_s"], color=f"C{colour}")
        for folder in {_folder(x, runs) for x in system["commands"]} - drawn:
            # However often it was tested, it was trained once.
            drawn.add(folder)
            log = read_log(folder / "train_log.txt")
            if len(log):
                minutes, error = log["minutes"], log[f"valid {rate}"]
                curves.plot(minutes, error, f"C{colour}", label=label)
                label = None  # Once in the legend
    curves.set(xlabel="minutes of training", ylabel=f"development {rate} %")
    if curves.lines:
        curves.legend(fontsize=8)
    bars.set(xlabel="seconds of an epoch's training")
    bars.invert_yaxis()
    svg = io.StringIO()
    # The viewer's own font: outlines of letters would be most of the file.
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return ["<svg" + svg.getvalue().partition("<svg")[2]]


def _folder(command, runs):
    """Where a row's system was trained."""
    (name,) = options(command).get("--output_folder", [""])
    return runs / pathlib.Path(name).name
