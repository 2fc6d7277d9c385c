"""The figure of two trainings from one seed, ours and SpeechBrain's."""

from matplotlib.figure import Figure

# About what float32, which the losses are computed in last, tells apart.
_ROUNDING = 1e-7
_TYPES = {"fp64": "float64", "fp32": "float32"}


def figure(rows):
    """Losses by step, and how far they are apart.

    Arguments
    ---------
    rows : pandas.DataFrame
        Of convergence.csv; those of the run made last are shown.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = rows[rows["run"] == rows["run"].iloc[-1]]
    one = rows.iloc[-1]
    drawn = Figure(figsize=(9, 4.5), layout="constrained")
    losses, apart = drawn.subplots(1, 2)
    for colour, (dtype, same) in enumerate(rows.groupby("dtype")):
        name = _TYPES.get(dtype, dtype)
        for line, (impl, steps) in enumerate(same.groupby("impl")):
            # SpeechBrain's own is the same beside each.
            curves = [("loss", impl, ("--", ":")[line % 2], 2)]
            if line == 0:
                curves.insert(0, ("stock_loss", "speechbrain", "-", 1))
            for column, label, style, width in curves:
                losses.plot(
                    steps["step"],
                    steps[column],
                    style,
                    color=f"C{colour}",
                    linewidth=width,
                    label=f"{name}, {label}",
                )
            apart.plot(
                steps["step"],
                steps["difference"],
                ("-", ":")[line % 2],
                color=f"C{colour}",
                label=f"{name}, {impl}",
            )
    # Many losses are equal, which a logarithm would leave out.
    apart.set_yscale("symlog", linthresh=_ROUNDING)
    apart.set_ylim(bottom=0)
    losses.set_ylabel("loss")
    apart.set_ylabel("absolute difference from SpeechBrain's loss")
    for axes in (losses, apart):
        axes.set_xlabel("step")
        axes.legend(fontsize=8)
    drawn.suptitle(
        f"CRDNN with {one['model']} trained from one seed, no dropout\n"
        f"{one['device']}, {one['threads']} threads",
        fontsize=10,
    )
    return drawn
