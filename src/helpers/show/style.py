"""One function per figure of the book: arrays or tables in, a finished figure out.

Grey is the sound, colour is the importance a map gives it, in every figure that shows both. Colours
are Okabe and Ito's (safe for colour-blind readers) and always come with a marker, a line style, a
hatch or a number. What is known by name looks the same in every figure (`looks`): Grad-CAM is orange, as
its map is. Lettering has its true size at 700 px, the width of the book's text column. At the foot of
every figure stands its `source`, where its numbers come from, such as `run.label`.

Chapter: notebooks/01_introduction.md to notebooks/09_results.md; each function names its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from helpers import InputError

WIDTH = 7.3  # inches: 700 px of a browser, so that 10 pt here are 10 pt there

BLACK, _, _, GREEN, _, BLUE, ORANGE, PURPLE = mpl.color_sequences["okabe_ito"]
MARKS = tuple(  # one look per curve or network; each colour has contrast 3:1 or more on white
    zip((BLUE, ORANGE, GREEN, PURPLE, BLACK), "os^Dv", ("-", "--", "-.", ":", (0, (8, 2))), strict=True)
)
# What looks the same in every figure, whatever stands beside it.
KNOWN = {"ResNet18": MARKS[0], "Grad-CAM": MARKS[1], "loudness": MARKS[2], "ResNet101": MARKS[3]}
AGREEMENT = ("#ee9f57", "white", "#5aaee6")  # orange: opposite order; black on either end: over 8:1
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "hatch.linewidth": 0.6,
}


def looks(labels: Iterable[str]) -> list[tuple]:
    """A colour, marker and line for each label: for what is known always the same, for the others what is left.

    Chapter: notebooks/15_controls.md
    """
    labels, taken = list(labels), dict[str, tuple]()
    for label in labels:
        known = [look for name, look in KNOWN.items() if re.search(rf"\b{name}\b(?![+-])", label)]
        if known and known[0] not in taken.values():  # of two of one kind the first
            taken[label] = known[0]
    free = cycle([look for look in MARKS if look not in taken.values()] or MARKS)
    return [taken[label] if label in taken else next(free) for label in labels]


def classes(figure: Figure) -> str:
    """How the dark theme may show a figure: "drawn" is turned over, of a "shaded" one all but some panels.

    In these a shade stands for a number. Each has a name, "at-" and its left, upper, right and lower end in thousandths
    of the figure, by which book.js and book.css know it.

    Chapter: all; see `players.follow` in notebooks/06_explanations.md
    """
    for _ in range(2):  # the layout's second pass still moves the panels, a third one no more
        figure.draw_without_rendering()
    held = [axes.get_position() for axes in figure.axes if axes.images or _shades(axes)]
    ends = [(box.x0, 1 - box.y1, box.x1, 1 - box.y0) for box in held]
    return " ".join(
        ["shaded" if ends else "drawn", *("at-" + "-".join(f"{1000 * end:.0f}" for end in e) for e in ends)]
    )


def _shades(axes: Axes) -> bool:
    return any(isinstance(one, QuadMesh) for one in axes.collections)


class Picture(Figure):
    """A matplotlib figure that a notebook shows once, whatever the backend and without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", metadata={"Comment": f"class={classes(self)};"})
        return file.getvalue()


@contextmanager
def picture(*, height: float, source: str) -> Iterator[Picture]:
    """An empty figure `height` inches high that says at its foot where its numbers come from."""
    with style.context(["default", STYLE]):
        figure = Picture(figsize=(WIDTH, height), dpi=150, layout="constrained")
        looks = {"horizontalalignment": "right", "fontsize": 9, "color": "0.25"}
        figure.supxlabel(source, x=0.99, parse_math=False, **looks)  # a file's name may hold dollars
        yield figure


def matrix(values: ArrayLike, name: str) -> np.ndarray:
    """`values` as (rows, frames), leading axes of length 1 dropped."""
    matrix = np.asarray(values)
    if matrix.ndim < 2 or matrix.size != np.prod(matrix.shape[-2:]) or not matrix.size:
        raise InputError(f"{name} has shape {matrix.shape}; give one clip as (rows, frames)")
    if not np.isfinite(matrix).all():
        raise InputError(f"{name} holds values that are not finite; leave this clip out or mend it")
    return matrix.reshape(matrix.shape[-2:])


def importance(values: ArrayLike, name: str, *, like: np.ndarray) -> np.ndarray:
    """A map as (rows, frames), checked to lie in [0, 1] and to fit the features it explains."""
    checked = matrix(values, name)
    if checked.shape != like.shape:
        raise InputError(f"{name} has shape {checked.shape}, its features {like.shape}; make them equal")
    if checked.min() < 0 or checked.max() > 1:
        raise InputError(f"{name} leaves the range 0 to 1; rescale it before drawing")
    return checked


def require(table: pd.DataFrame, name: str, *columns: str, rows: bool = True) -> None:
    """Refuse a table without one of these columns, or without rows."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{name} lacks the column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if rows and table.empty:
        raise InputError(f"{name} has no rows; there is nothing to draw")
