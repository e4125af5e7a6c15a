"""Figures of effects and scores.

Chapter: notebooks/07_metric.md to notebooks/09_results.md; each function names its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from scipy import stats

from helpers import InputError
from helpers.show import style


def _score_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names at the left, the first at the top; scores from -1 to 1 below, a line at 0."""
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    label = "score (Spearman correlation; the thick bar is the median)"
    axes.set(xlabel=label, xlim=(-1.02, 1.02), ylim=(len(names) - 0.5, -0.5))


def density(scores: pd.DataFrame, *, thesis_modes: Sequence[tuple[float, float, str]] = (), source: str) -> Figure:
    """How the scores of each network spread between -1 and 1: thesis Figs. 8 and 9.

    A kernel density estimate above, every single score below it. A network whose scores are too few
    or all equal gets no curve, and the figure says so; NaN scores are counted in the legend.

    Parameters
    ----------
    scores : columns score (in [-1, 1] or NaN) and architecture, one row per clip.
    thesis_modes : (low, high, label) of each range of scores to shade.

    Chapter: notebooks/08_scores.md
    """
    style.require(scores, "scores", "score", "architecture")
    groups = scores.groupby("architecture", sort=False).score
    with style.picture(height=3.6 + 0.45 * len(groups), source=source) as figure:
        curve, points = figure.subplots(2, sharex=True, height_ratios=[3, 0.3 + 0.35 * len(groups)])
        looks = style.looks(f"{name}" for name, _ in groups)
        for row, ((name, group), (color, marker, line)) in enumerate(zip(groups, looks, strict=True)):
            finite = group.dropna()
            label = f"{name}: n = {len(finite)}, NaN = {len(group) - len(finite)}"
            if len(finite):
                label += f", median = {finite.median():+.2f}"
                points.plot(finite.median(), row, "|", color="black", ms=16, mew=3, zorder=3)
            points.plot(finite, np.full(len(finite), row), marker, color=color, ms=6, mfc="none")
            if finite.nunique() > 1:
                sns.kdeplot(x=finite, clip=(-1, 1), color=color, linestyle=line, linewidth=2, ax=curve)
            else:
                line, label = "none", f"{label} (no curve: no two different scores)"
            curve.plot([], [], color=color, marker=marker, mfc="none", linestyle=line, label=label)
        peak = max((curved.get_ydata().max(initial=0) for curved in curve.lines), default=0)
        # Room above the curves for the names of the shaded ranges.
        curve.set(ylabel="density", ylim=(0, (1.6 if thesis_modes else 1.1) * peak or 1))
        if not peak:
            curve.set_yticks([])
        for low, high, label in thesis_modes:
            for axes in (curve, points):
                axes.axvspan(low, high, facecolor="0.92", edgecolor="0.6", hatch="..", zorder=0)
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            at = {"ha": "center", "va": "top", "transform": curve.get_xaxis_transform()}
            curve.text((low + high) / 2, 0.97, label, rotation=90, bbox=paper, **at)
        if thesis_modes:
            curve.patches[0].set_label("shaded: where the thesis has its modes")
        curve.axvline(0, color="black", linewidth=1)
        _score_rows(points, [f"{name}" for name, _ in groups])
        figure.legend(*curve.get_legend_handles_labels(), loc="outside upper left")
    return figure


def effects(map_values: ArrayLike, effects: ArrayLike, *, source: str) -> Figure:
    """What a map says about each block against what the block does: the metric as a picture.

    Parameters
    ----------
    map_values : (blocks,), importance that the map gives each block.
    effects : (blocks,), measured effect of each block on the network.

    Raises
    ------
    InputError
        The two differ in length, or a value is not finite.

    Chapter: notebooks/07_metric.md
    """
    said, done = np.ravel(map_values), np.ravel(effects)
    if len(said) != len(done) or len(said) < 2 or not np.isfinite([*said, *done]).all():
        many = f"map_values has {len(said)} blocks, effects {len(done)}"
        raise InputError(f"{many}; give as many of each, two or more and all finite")
    with style.picture(height=4.6, source=source) as figure:
        axes = figure.subplots()
        axes.plot(stats.rankdata(said), stats.rankdata(done), "o", color=style.BLUE, ms=5, mfc="none")
        verdict = "undefined, one side is constant"
        if np.ptp(said) and np.ptp(done):
            verdict = f"{stats.spearmanr(said, done).statistic:+.2f}"
        axes.set_title(f"Spearman correlation {verdict} ({len(said)} blocks)")
        axes.set_xlabel("rank of the block in the map (1 = least important)")
        axes.set_ylabel("rank of the block's measured effect")
        axes.axline((1, 1), slope=1, color="0.4", linestyle="--", label="same order")
        figure.legend(loc="outside upper right")
        axes.grid(color="0.9")
    return figure


def convergence(scores: pd.DataFrame, *, source: str) -> Figure:
    """One map's score against the number of replacement values per block, for several ways to choose them.

    Every score is marked; a line joins the mean scores of each method.

    Parameters
    ----------
    scores : columns method (name), values (replacement values per block, a count) and score (in [-1, 1]
        or NaN, which is left out); one row per computed score.

    Chapter: notebooks/12_engine.md
    """
    style.require(scores, "scores", "method", "values", "score")
    with style.picture(height=3.8, source=source) as figure:
        axes = figure.subplots()
        for row, (name, group) in enumerate(scores.groupby("method", sort=False)):
            color, marker, line = style.MARKS[row % len(style.MARKS)]
            means = group.groupby("values").score.mean()
            axes.plot(means.index, means, color=color, linestyle=line)
            axes.plot(group["values"], group.score, marker, color=color, ms=7, mfc="none")
            axes.plot([], [], color=color, marker=marker, mfc="none", linestyle=line, label=name)
        counts = sorted(scores["values"].unique())
        axes.set(xscale="log", xlabel="replacement values per block", ylabel="score (Spearman correlation)")
        axes.set_xticks(counts, map(str, counts))
        axes.set_xticks([], minor=True)
        axes.grid(color="0.9")
        figure.legend(loc="outside upper right", ncols=len(scores.method.unique()))
    return figure


def pairs(scores: pd.DataFrame, *, source: str) -> Figure:
    """Two networks' scores of the same clips, one against the other: below the line the second is lower.

    Parameters
    ----------
    scores : columns clip, architecture (two of them) and score (in [-1, 1] or NaN).

    Raises
    ------
    InputError
        There are not two networks, or no clip has a score by both.

    Chapter: notebooks/13_reference.md
    """
    style.require(scores, "scores", "clip", "architecture", "score")
    wide = scores.pivot(index="clip", columns="architecture", values="score")
    wide = wide[list(scores.architecture.unique())].dropna()
    if wide.shape[1] != 2 or wide.empty:
        raise InputError(f"scores has {wide.shape[1]} networks and {len(wide)} common clips; give two networks")
    first, second = wide.columns
    with style.picture(height=4.6, source=source) as figure:
        axes = figure.subplots()
        axes.plot(wide[first], wide[second], "o", color=style.BLUE, ms=6, mfc="none", label=f"{len(wide)} clips")
        axes.axline((0, 0), slope=1, color="0.4", linestyle="--", label="equal scores")
        axes.axvline(0, color="black", linewidth=1)
        axes.axhline(0, color="black", linewidth=1)
        axes.set(xlabel=f"score of {first}", ylabel=f"score of {second}")
        axes.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal")
        axes.set_title(f"{second} is lower on {(wide[second] < wide[first]).sum()} of {len(wide)} clips")
        axes.grid(color="0.9")
        figure.legend(loc="outside upper right", ncols=2)
    return figure


def readings(scores: pd.DataFrame, *, source: str) -> Figure:
    """The scores that each reading of the thesis's open choices gives, one row per reading.

    Every clip is marked; a thick bar is the median, a thick line the middle half of the clips.

    Parameters
    ----------
    scores : columns reading (name) and score (in [-1, 1] or NaN, left out and counted).

    Chapter: notebooks/13_reference.md
    """
    style.require(scores, "scores", "reading", "score")
    groups = list(scores.groupby("reading", sort=False).score)
    with style.picture(height=1.4 + 0.42 * len(groups), source=source) as figure:
        axes = figure.subplots()
        names = []
        # the first row is the one that all others are held against
        other = style.MARKS[0] if groups[0][0] == "Grad-CAM" else style.MARKS[1]
        for row, (name, group) in enumerate(groups):
            color, marker, _ = style.KNOWN["Grad-CAM"] if name == "Grad-CAM" else other if row else style.MARKS[0]
            finite = group.dropna()
            axes.plot(finite, np.full(len(finite), row), marker, color=color, ms=5, mfc="none", alpha=0.8)
            if len(finite):
                low, middle, high = finite.quantile([0.25, 0.5, 0.75])
                axes.plot([low, high], [row, row], color="black", linewidth=2, zorder=3)
                axes.plot(middle, row, "|", color="black", ms=16, mew=3, zorder=3)
            missing = f", NaN = {group.isna().sum()}" if group.isna().any() else ""
            below = f"{(finite < 0).mean():.0%} below 0" if len(finite) else "no score"
            names.append(f"{name}\n{below}, n = {len(finite)}{missing}")
        _score_rows(axes, names)
    return figure


def densities(
    scores: pd.DataFrame, *, boxes: Mapping[str, pd.DataFrame], usual: str, source: str, columns: int = 2
) -> Figure:
    """Small figures side by side: how the scores of each slip spread, beside the densities that the thesis states.

    Parameters
    ----------
    scores : columns slip and score (in [-1, 1] or NaN, left out).
    boxes : by name, at most two, columns low, high and density: ranges of scores and how dense the thesis has them.
    usual : the slip that is drawn in grey behind every other.

    Chapter: notebooks/23_slips.md
    """
    style.require(scores, "scores", "slip", "score")
    names = [name for name in scores["slip"].unique() if name != usual]
    by_slip = {name: part.dropna() for name, part in scores.groupby("slip")["score"]}
    rows = -(-len(names) // columns)
    with style.picture(height=0.8 + 1.35 * rows, source=source) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        looks = zip(boxes.items(), (("..", style.ORANGE), ("", style.PURPLE)), strict=False)
        filled = {label: (ranges, look) for (label, ranges), look in looks}
        for axes, name in zip(panels, names, strict=False):
            for label, (ranges, (hatch, color)) in filled.items():
                for low, high, density in ranges[["low", "high", "density"]].to_numpy():
                    box = Rectangle(
                        (low, 0), high - low, density, fill=False, hatch=hatch, edgecolor=color, label=label
                    )
                    axes.add_patch(box)
            for slip, color, line in ((usual, "0.5", "--"), (name, style.BLUE, "-")):
                if by_slip[slip].nunique() > 1:
                    label = "without a slip" if slip == usual else "with the slip"
                    sns.kdeplot(x=by_slip[slip], clip=(-1, 1), color=color, linestyle=line, ax=axes, label=label)
            axes.axvline(0, color="black", linewidth=1)
            axes.set(title=name, xlim=(-1, 1), ylim=(0, 4), xlabel="", ylabel="")
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        for axes in panels[max(len(names) - columns, 0) : len(names)]:
            axes.set_xlabel("score")
            axes.tick_params(labelbottom=True)
        figure.supylabel("density")
        known: dict[str, Artist] = {}
        for axes in panels[: len(names)]:
            known |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(known.values(), known.keys(), loc="outside upper left", ncols=2)
    return figure
