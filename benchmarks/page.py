"""A report of trained systems in one HTML file.

    python -m benchmarks.page RESULTS_CSV RUNS --out report.html

RUNS is the folder that `python -m benchmarks.recipes` trained in. The page
holds its figures and needs no network.
"""

import argparse
import pathlib
import sys

import jinja2

from benchmarks import alignments, comparison, curves
from benchmarks.rows import load
from speechbrain_ligru_fast.asr.results import name_test

_TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
_WORST = 5


def run_folder(runs, settings, seed):
    """Where the system of a result row was trained, or None.

    Arguments
    ---------
    runs : pathlib.Path
    settings, seed : str
        Cells of the row.

    Returns
    -------
    pathlib.Path | None
    """
    if not settings:
        return None
    return next(iter(sorted(runs.glob(f"*-{settings}-{seed}"))), None)


def write(results_csv, runs, out):
    """Write the page.

    Arguments
    ---------
    results_csv, runs, out : path-like
        Result rows, folder of the trainings, file to write.
    """
    rows = comparison.repetitions(load(results_csv))
    found = comparison.means(rows)
    recipes = (
        rows.groupby(["recipe", "corpus", "split", "device"], sort=False)
        if len(rows)
        else ()
    )
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    page = template.render(
        title="Trained systems",
        source=pathlib.Path(results_csv).name,
        header=comparison.HEADER,
        lines=comparison.cells(found),
        parts=[_part(name, same, pathlib.Path(runs)) for name, same in recipes],
    )
    pathlib.Path(out).write_text(page, encoding="utf-8")


def _part(name, rows, runs):
    """What the page shows of one recipe's test set."""
    logs, seconds, systems = {}, {}, []
    for _, same in rows.groupby(comparison.GROUP, sort=False):
        label = _label(same.iloc[0], rows)
        seconds[label] = same["epoch_s"].mean()
        folders = [
            run_folder(runs, row["settings"], row["seed"])
            for _, row in same.iterrows()
        ]
        folders = [folder for folder in folders if folder]
        if not folders:
            continue
        logs[label] = [curves.read_log(f / "train_log.txt") for f in folders]
        test = name_test(same["split"].iloc[0], same["lm"].iloc[0])
        path = folders[0] / f"texts_{test}.csv"
        if path.exists():
            texts = alignments.read_texts(path)
            systems.append(
                {"label": label, "worst": alignments.worst(texts, _WORST)}
            )
    metric = "PER" if rows["wer"].isna().all() else "WER"
    figures = [("Time of an epoch", curves.epoch_bars(seconds))]
    if logs:
        figures = [
            ("Error by training time", curves.error_by_time(logs, metric)),
            ("Loss: training solid, development dashed", curves.losses(logs)),
            *figures,
        ]
    return {"title": ", ".join(name), "figures": figures, "systems": systems}


def _label(row, rows):
    """Layer and implementation; more where that names two systems."""
    label = f"{row['rnn']}, {row['impl']}"
    same = rows[(rows["rnn"] == row["rnn"]) & (rows["impl"] == row["impl"])]
    for column in ("lm", "precision", "epochs", "settings"):
        if same[column].nunique() > 1:
            label += f", {row[column]}"
    return label


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results_csv", type=pathlib.Path)
    parser.add_argument("runs", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default="report.html")
    args = parser.parse_args(argv)
    if not args.results_csv.is_file():
        print(f"page: no such file: {args.results_csv}", file=sys.stderr)
        return 1
    try:
        write(args.results_csv, args.runs, args.out)
    except ValueError as error:
        print(f"page: {error}", file=sys.stderr)
        return 1
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
