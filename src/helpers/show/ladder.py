"""The figure of the ladder: what a map may know, and what it scores.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from helpers.show import style


def ladder(table: pd.DataFrame, *, source: str, what: str = "knows", label: str = "mean frame score") -> Figure:
    """Mean scores of every rung with their intervals, over all frames and inside the sound side by side.

    Parameters
    ----------
    table : columns rung, knows, where, score, low, high; from `findings.ladder.ladder`.
    source : where the numbers come from, such as `run.label`. what : stands before what a rung knows.
    label : of the axis of scores.

    Chapter: notebooks/15_controls.md
    """
    style.require(table, "table", "rung", "knows", "where", "score", "low", "high")
    rungs = table[["rung", "knows"]].drop_duplicates().reset_index(drop=True)
    places = table["where"].unique()
    lowest, highest = min(-0.25, table["low"].min() - 0.05), 1.07 if table["high"].max() > 0.5 else 0.55
    with style.picture(height=1.6 + 0.36 * len(rungs), source=source) as figure:
        panels = figure.subplots(1, len(places), sharey=True, squeeze=False)[0]
        for axes, where in zip(panels, places, strict=True):
            own = table[table["where"] == where].set_index("rung").reindex(rungs["rung"])
            for at, (rung, row) in enumerate(own.iterrows()):
                color, marker, _ = style.MARKS[1 if rung == "Grad-CAM" else 0]
                axes.hlines(at, row["low"], row["high"], color=color, linewidth=2)
                axes.plot(row["score"], at, marker, color=color, ms=8)
            axes.axvline(0, color="black", linewidth=1)
            axes.set(title=where, xlabel=label, xlim=(lowest, highest))
            axes.grid(axis="x", color="0.9")
        # a line between groups of rungs that know the same
        for at in rungs.index[1:][rungs["knows"].to_numpy()[1:] != rungs["knows"].to_numpy()[:-1]]:
            for axes in panels:
                axes.axhline(at - 0.5, color="0.8", linewidth=1)
        labels = [f"{row['rung']}\n({what} {row['knows']})" for _, row in rungs.iterrows()]
        panels[0].set_yticks(range(len(rungs)), labels, fontsize=9)
        panels[0].set_ylim(len(rungs) - 0.5, -0.5)
    return figure
