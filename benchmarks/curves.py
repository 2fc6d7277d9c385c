"""Plots of trainings: error and loss by time, seconds an epoch."""

import base64
import io
import re
import textwrap

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

_EPOCH = re.compile(r"^epoch: \d+, ")
_STAT = re.compile(r"([\w ]+?): ([-+.\de]+|nan|inf)(?:,| -|$)")


def read_log(path):
    """The epochs of a training, from SpeechBrain's log.

    Arguments
    ---------
    path : path-like
        A ``train_log.txt``.

    Returns
    -------
    pandas.DataFrame
        A row an epoch, the last one of an epoch that was repeated after an
        interruption; ``minutes`` is the time up to its end, in which
        validation counts if every line has ``elapsed s``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train_log.txt"
    >>> _ = path.write_text(
    ...     "epoch: 1, lr: 1e-03, elapsed s: 90.0 - train loss: 3.5, "
    ...     "train s: 60.0 - valid loss: 2.5, valid WER: 9.5e+01\\n"
    ... )
    >>> read_log(path)[["minutes", "valid WER"]].values.tolist()
    [[1.5, 95.0]]
    """
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file if _EPOCH.match(line)]
    stats = [
        {name.strip(): float(value) for name, value in _STAT.findall(line)}
        for line in lines
    ]
    frame = pd.DataFrame(stats)
    if frame.empty:
        return frame
    frame = frame.drop_duplicates("epoch", keep="last", ignore_index=True)
    seconds = frame["elapsed s"] if _timed(frame) else frame["train s"].cumsum()
    return frame.assign(minutes=seconds / 60)


def _timed(frame):
    """Whether the log holds the time of validation too, in every line."""
    return "elapsed s" in frame and frame["elapsed s"].notna().all()


def error_by_time(logs, metric):
    """Development error over time, validation included where it was timed.

    Arguments
    ---------
    logs : dict
        Label of a system -> list of `read_log`'s frames, one a seed.
    metric : str
        WER or PER.

    Returns
    -------
    str
        An SVG image's data address.
    """
    figure, axes = _axes()
    plot_error_by_time(axes, logs, metric)
    return _image(figure)


def plot_error_by_time(axes, logs, metric):
    """What `error_by_time` shows, on axes of any figure."""
    column = f"valid {metric}"
    for colour, (label, frames) in enumerate(logs.items()):
        if not all(map(_timed, frames)):
            label += " (without validation)"
        for frame in frames:
            axes.plot(
                frame["minutes"],
                frame[column],
                color=f"C{colour}",
                label=_wrapped(label) if frame is frames[0] else None,
            )
    axes.set_xlabel("minutes of training and validation")
    axes.set_ylabel(f"{metric} % of the development set")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def losses(logs):
    """Training (solid) and development loss (dashed) over epochs.

    Arguments
    ---------
    logs : dict
        As for `error_by_time`.

    Returns
    -------
    str
        An SVG image's data address.
    """
    figure, axes = _axes()
    for colour, (label, frames) in enumerate(logs.items()):
        for frame in frames:
            for style, kind in (("-", "train"), ("--", "valid")):
                named = frame is frames[0] and kind == "train"
                axes.plot(
                    frame["epoch"],
                    frame[f"{kind} loss"],
                    style,
                    color=f"C{colour}",
                    label=_wrapped(label) if named else None,
                )
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.legend(fontsize=8)
    return _image(figure)


def epoch_bars(seconds):
    """Seconds of an epoch's training.

    Arguments
    ---------
    seconds : dict
        Label of a system -> seconds.

    Returns
    -------
    str
        An SVG image's data address.
    """
    figure, axes = _axes(bars=len(seconds))
    labels = [_wrapped(label) for label in seconds]
    bars = axes.barh(labels, list(seconds.values()), color="C0")
    axes.tick_params("y", labelsize=8)
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("seconds an epoch")
    return _image(figure)


def _axes(bars=0):
    height = max(3.6, 0.5 * bars)
    figure = Figure(figsize=(7, height), layout="constrained")
    return figure, figure.subplots()


def _wrapped(label):
    # A long line would leave its bar no room.
    return textwrap.fill(label, 40, break_on_hyphens=False)


def _image(figure):
    """A data address: markup put side by side in a page would share ids."""
    file = io.BytesIO()
    # The viewer's own font: outlines of letters would be most of the file.
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    content = base64.b64encode(file.getvalue()).decode()
    return f"data:image/svg+xml;base64,{content}"
