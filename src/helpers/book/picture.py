"""The one picture of the answer, for the README and the first page: written by `make record`.

Chapter: notebooks/21_confirmation.md
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl

from helpers import artifacts, show
from helpers.experiments import controls
from helpers.findings import ladder, reference


def write(path: Path) -> Path:
    """The ladder of the first network of the second plan, as SVG; the same file from the same tables."""
    run = reference.confirmed()[0]
    figure = show.ladder(ladder.ladder(controls.CONTROLS.read(run)), source=run.label)
    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": run.key}):  # names of parts, which matplotlib would draw at random
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    artifacts.write_text(path, drawn.getvalue())
    return path
