"""Figures of how alike several networks see a clip.

Chapter: notebooks/25_agreement.md
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from helpers import InputError
from helpers.show import style


def overlaid(
    panels: Mapping[str, Mapping[str, ArrayLike]], *, seconds_per_frame: float, title: str, source: str
) -> Figure:
    """Curves over time, several in each panel, each as a share of its own largest value.

    Parameters
    ----------
    panels : by the panel's title, by the curve's name: (frames,), >= 0, all of one length.
    title : of the figure, such as the clip.

    Chapter: notebooks/25_agreement.md
    """
    if not panels or not all(panels.values()):
        raise InputError("panels has no curve; there is nothing to draw")
    with style.picture(height=1.3 + 2 * len(panels), source=source) as figure:
        rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for axes, (name, curves) in zip(rows, panels.items(), strict=True):
            for (label, values), (color, _, line) in zip(curves.items(), style.looks(curves), strict=True):
                curve = np.asarray(values, dtype=float)
                most = curve.max() if curve.max() > 0 else 1.0
                times = seconds_per_frame * np.arange(len(curve))
                axes.plot(times, curve / most, color=color, linestyle=line, linewidth=1.6, label=label)
            axes.set_title(name, fontsize=10)
            axes.set(ylabel="share of its peak", ylim=(-0.03, 1.05))
        rows[-1].set_xlabel("seconds")
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=11)
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower left", ncols=1)
    return figure


def alike(table: pd.DataFrame, *, place: str, source: str) -> Figure:
    """How far two networks agree, and how far they do elsewhere: mean rank correlations, by the kinds of the two.

    Parameters
    ----------
    table : columns kinds, of (what is compared), agreement, low, high, and `place`; from `findings.agreement.summary`.
    place : the column with the same mean where agreement says nothing about the clip, drawn hollow.

    Chapter: notebooks/25_agreement.md
    """
    style.require(table, "table", "kinds", "of", "agreement", "low", "high", place)
    rows, things = list(table["kinds"].unique()), list(table["of"].unique())
    with style.picture(height=1.8 + 0.75 * len(rows), source=source) as figure:
        axes = figure.subplots()
        for number, (thing, (color, marker, line)) in enumerate(zip(things, style.looks(things), strict=True)):
            own = table[table["of"] == thing].set_index("kinds").reindex(rows)
            at = np.arange(len(rows)) + 0.25 * (number - (len(things) - 1) / 2)
            axes.hlines(at, own["low"], own["high"], color=color, linestyle=line, linewidth=2)
            axes.plot(own["agreement"], at, marker, color=color, ms=8, label=thing)
            axes.plot(own[place], at, marker, mfc="white", mec=color, ms=6, mew=1.3)
        axes.plot([], [], "o", mfc="white", mec="black", ms=6, label=f"hollow: {place}")
        axes.axvline(0, color="black", linewidth=1)
        for edge in range(1, len(rows)):
            axes.axhline(edge - 0.5, color="0.85", linewidth=1)
        axes.set_yticks(range(len(rows)), ["\n".join(wrap(row, 24, break_on_hyphens=False)) for row in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="mean rank correlation, 95% interval")
        axes.grid(axis="x", color="0.9")
        figure.legend(loc="outside upper left", ncols=2)
    return figure
