"""Figures of what clips have in common.

Chapter: notebooks/26_commonalities.md
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from helpers.show import style

LOOKS = {"map": "Grad-CAM", "effects": "effects"}  # a column of `maps_and_effects`, and what it is called


def dependence(curves: pd.DataFrame, clips: pd.DataFrame, *, target: str, label: str, source: str) -> Figure:
    """Scores against properties, clip by clip, and what each model expects on average: a row of panels per kind.

    Parameters
    ----------
    curves : columns kind, property, model, value, expected; without rows where clips are too few: the figure says so.
    clips : columns kind, `target`, and the properties. target : the column of the scores. label : what it is called.

    Chapter: notebooks/26_commonalities.md
    """
    kinds = list(curves["kind"].unique()) if len(curves) else []
    with style.picture(height=1.4 + 2.1 * max(len(kinds), 0.4), source=source) as figure:
        if not kinds:
            axes = figure.subplots()
            axes.set_axis_off()
            axes.text(0.5, 0.5, "too few clips for a model", horizontalalignment="center")
            return figure
        width = curves.groupby("kind")["property"].nunique().max()
        panels = figure.subplots(len(kinds), width, sharey=True, squeeze=False)
        for line, kind in zip(panels, kinds, strict=True):
            own, points = curves[curves["kind"] == kind], clips[clips["kind"] == kind]
            line[0].set_title(kind)
            line[0].set_ylabel(label)
            for axes, (name, part) in zip(line, own.groupby("property", sort=False), strict=False):
                axes.plot(points[name], points[target], ".", color="0.6", ms=3, label="a clip")
                for (model, curve), (color, _, dash) in zip(
                    part.groupby("model", sort=False), style.MARKS, strict=False
                ):
                    axes.plot(
                        curve["value"], curve["expected"], color=color, linestyle=dash, lw=2, label=f"{model} model"
                    )
                axes.axhline(0, color="black", linewidth=0.8)
                axes.set_xlabel(name)
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, markerscale=3)
    return figure


def maps_and_effects(curves: pd.DataFrame, names: pd.Series, *, source: str) -> Figure:
    """What the map and what the effects give to each moment, clip by clip.

    Parameters
    ----------
    curves : columns clip, second, map, effects (0 to 1), score; from `findings.commonalities.curves`.
    names : what each clip is called, by clip, in the order of the panels: down the left side, then the right.

    Chapter: notebooks/26_commonalities.md
    """
    style.require(curves, "curves", "clip", "second", "map", "effects", "score")
    rows = -(-len(names) // 2)
    with style.picture(height=1.1 + 1.45 * rows, source=source) as figure:
        panels = figure.subplots(rows, 2, sharey=True, squeeze=False)
        for axes in panels.T.flat[len(names) :]:
            axes.set_axis_off()
        for axes, (clip, name) in zip(panels.T.flat, names.items(), strict=False):
            own = curves[curves["clip"] == clip]
            for (column, label), (color, _, dash) in zip(LOOKS.items(), style.MARKS[1::-1], strict=True):
                axes.plot(own["second"], own[column], color=color, linestyle=dash, label=label)
            axes.set_title(f"{name}, {own['score'].iloc[0]:+.2f}", fontsize=10)
            axes.set_yticks([])
        for axes in panels[-1]:
            axes.set_xlabel("second")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
