"""Where a tool writes its rows unless it is told."""

import pathlib

# Not benchmarks/results: a reader's own rows would change the committed
# tables, which a test compares with it. `--out benchmarks/results/...` or
# `--results` records rows there.
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "build" / "benchmarks"
