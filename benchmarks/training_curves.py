"""Figures of a corpus' systems while they were trained."""

from matplotlib.figure import Figure

from benchmarks import comparison, curves
from benchmarks.page import training_logs

_PART = ["corpus", "recipe", "device", "threads"]


def figures(recipes, trainings):
    """Development error by time, of corpora that several logs are kept of.

    Arguments
    ---------
    recipes : pandas.DataFrame
        Of recipes.csv, oldest row first.
    trainings : pathlib.Path
        Has a folder for each training, with its ``train_log.txt``.

    Returns
    -------
    dict
        ``training_CORPUS`` -> matplotlib.figure.Figure, of the machine that a
        corpus' systems were trained on last.
    """
    if recipes.empty or not trainings.is_dir():
        return {}
    found = {}
    rows = comparison.repetitions(recipes)
    for (corpus, *origin), same in rows.groupby(_PART, sort=False):
        logs = training_logs(same, trainings)
        if len(logs) > 1:
            metric = "PER" if same["wer"].isna().all() else "WER"
            found[f"training_{corpus.lower()}"] = _figure(
                logs, metric, (corpus, *origin)
            )
    return found


def _figure(logs, metric, origin):
    corpus, recipe, device, threads = origin
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    curves.plot_error_by_time(axes, logs, metric)
    axes.set_title(
        f"{recipe} on {corpus}; {device}, {threads} threads", fontsize=10
    )
    return figure
