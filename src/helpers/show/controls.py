"""Figures of controls, checks, other metrics and specifications.

Chapter: notebooks/15_controls.md to notebooks/18_specifications.md; each function names its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from helpers import InputError, study
from helpers.show import style


def nulls(scores: Mapping[str, ArrayLike], marks: Mapping[str, float], *, source: str) -> Figure:
    """How maps that know nothing score on one clip, kind by kind, and where other maps of it stand.

    Parameters
    ----------
    scores : by kind, (maps,), in [-1, 1]; NaN are left out.
    marks : scores of other maps by name, drawn as lines; NaN are left out.

    Chapter: notebooks/15_controls.md
    """
    finite = {name: np.asarray(values)[np.isfinite(values)] for name, values in scores.items()}
    known = {name: values for name, values in finite.items() if len(values)}
    if not known:
        raise InputError("scores has no finite score; there is nothing to draw")
    with style.picture(height=1.3 + 0.75 * len(known), source=source) as figure:
        panels = figure.subplots(len(known), sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, known.items(), strict=True):
            axes.hist(values, bins=np.linspace(-1, 1, 81), color="0.7", edgecolor="0.45", linewidth=0.4)
            axes.set_yticks([])
            axes.set_title(f"{name}, {len(values)} maps, {(values < 0).mean():.0%} below 0", fontsize=10)
            for (label, value), (color, _, line) in zip(marks.items(), style.looks(marks), strict=True):
                if np.isnan(value):
                    continue
                axes.axvline(value, color=color, linestyle=line, linewidth=2, label=label)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(style.MARKS))
        panels[-1].set(xlabel="frame score (Spearman correlation)", xlim=(-1, 1))
    return figure


def _intervals(
    figure: Figure, table: pd.DataFrame, *, row: str, value: str, zero: float, apart: float, width: float
) -> Axes:
    """An estimate with its ends for every `row` of the table, for each rival in a look of its own."""
    axes = figure.subplots()
    rows, rivals = list(table[row].unique()), list(table["rival"].unique())
    for number, (rival, (color, marker, line)) in enumerate(zip(rivals, style.looks(rivals), strict=True)):
        own = table[table["rival"] == rival].set_index(row).reindex(rows)
        at = np.arange(len(rows)) + apart * (number - (len(rivals) - 1) / 2)
        axes.hlines(at, own["low"], own["high"], color=color, linestyle=line, linewidth=width)
        axes.plot(own[value], at, marker, color=color, ms=7, label=f"Grad-CAM {rival}")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(zero, color="black", linewidth=1)
    return axes


def differences(tests: pd.DataFrame, *, source: str) -> Figure:
    """Grad-CAM's lead over other maps, run by run: mean difference of scores and its interval.

    Parameters
    ----------
    tests : columns run, minus (over whom), mean, low, high; from `findings.plan.primary`.

    Chapter: notebooks/15_controls.md
    """
    style.require(tests, "tests", "run", "minus", "mean", "low", "high")
    runs, table = tests["run"].unique(), tests.assign(rival="minus " + tests["minus"])
    with style.picture(height=1.3 + 0.5 * len(runs), source=source) as figure:
        axes = _intervals(figure, table, row="run", value="mean", zero=0, apart=0.24, width=1.5)
        axes.set_yticks(range(len(runs)), [study.named(run) for run in runs])
        axes.set_xlabel("mean difference of frame scores, 95% interval")
        figure.legend(loc="outside upper right", ncols=tests["minus"].nunique())
    return figure


def randomisation(rows: pd.DataFrame, *, source: str) -> Figure:
    """What becomes of maps while a network loses its weights: similarity, frame score, and empty maps.

    Median and middle half of the clips whose map is not empty. From left to right the layers from the output
    to the input; each stage of the network has the same width, whatever its number of layers.

    Parameters
    ----------
    rows : columns check ("MPRT" and "score"), order, layer, value; from `experiments.sanity.table`.

    Chapter: notebooks/16_sanity.md
    """
    style.require(rows, "rows", "check", "order", "layer", "value")
    looks = {"top_down": "all layers from the output to here", "independent": "this layer alone"}
    layers = rows[rows["order"] == "top_down"]["layer"].unique()
    stages = pd.Series([layer.split(".")[0] for layer in layers], layers)
    sizes = stages.groupby(stages, sort=False)
    at = pd.factorize(stages)[0] - 1 + (sizes.cumcount() + 1) / sizes.transform("size")
    names = list(stages.unique())
    with style.picture(height=7.6, source=source) as figure:
        similarity, score, empty = panels = figure.subplots(3, sharex=True, height_ratios=[3, 3, 1.5])
        for (order, label), (color, marker, line) in zip(looks.items(), style.MARKS, strict=False):
            look: Any = {"color": color, "marker": marker, "linestyle": line, "markersize": 5, "label": label}
            own = rows[rows["order"] == order].set_index(["check", "layer"])["value"]
            for axes, check in ((similarity, "MPRT"), (score, "score")):
                quarters = own[check].groupby("layer").quantile([0.25, 0.5, 0.75]).unstack().loc[layers]
                axes.fill_between(at, quarters[0.25], quarters[0.75], color=color, alpha=0.15, linewidth=0)
                axes.plot(at, quarters[0.5], **look)
            empty.plot(at, own["MPRT"].isna().groupby("layer").mean()[layers], **look)
        similarity.set_title("Similarity to the map of the trained network")
        score.set_title("Frame score on the trained network")
        empty.set_title("Clips without a similarity, because a map is empty")
        empty.set(ylim=(-0.05, 1.05), xlabel="randomised layer")
        empty.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        empty.set_xticks(range(len(names)), names)
        for axes in panels:
            axes.grid(color="0.9")
        for axes in (similarity, score):
            axes.axhline(0, color="black", linewidth=1)
            axes.set(ylabel="Spearman correlation", ylim=(-1.05, 1.05))
        figure.legend(*similarity.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def agreement(table: pd.DataFrame, *, source: str) -> Figure:
    """Rank correlation of every pair of metrics, as numbers in coloured cells; each pair once.

    A metric that can be compared with none has no row; a pair that cannot, a dash.

    Parameters
    ----------
    table : columns first, second (metrics), correlation (in [-1, 1] or NaN) and clips; see `findings.checks`.

    Chapter: notebooks/17_metrics.md
    """
    style.require(table, "table", "first", "second", "correlation", "clips")
    pairs = table[table["first"] != table["second"]]
    known = pairs[pairs.correlation.notna()]
    names = [name for name in pairs["first"].unique() if name in set(known["first"])]
    values = pairs.pivot(index="first", columns="second", values="correlation")
    values = values.reindex(index=names[1:], columns=names[:-1]).astype(float)
    with style.picture(height=1.7 + 0.31 * max(len(names), 2), source=source) as figure:
        axes = figure.subplots()
        if not names:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "too few clips to compare metrics", horizontalalignment="center")
            return figure
        sns.heatmap(
            values.fillna(0),
            annot=values.map(
                lambda value: "–" if np.isnan(value) else f"{value:+.2f}".replace("0.", ".").replace("1.00", "1")
            ),
            fmt="",
            annot_kws={"color": "black", "size": 10},
            mask=np.triu(np.ones(values.shape, dtype=bool), k=1),
            cmap=LinearSegmentedColormap.from_list("agreement", style.AGREEMENT),
            vmin=-1,
            vmax=1,
            linewidths=1,
            cbar=False,
            ax=axes,
        )
        axes.tick_params(axis="x", rotation=50, labelrotation_mode="xtick", length=0)
        axes.tick_params(axis="y", rotation=0, length=0)
        clips = " to ".join(map(str, sorted({known.clips.min(), known.clips.max()})))
        axes.set(xlabel="", ylabel="")
        axes.set_title(f"Spearman correlation of two metrics over {clips} clips")
    return figure


def wins(table: pd.DataFrame, *, source: str) -> Figure:
    """How often each metric prefers Grad-CAM's map to maps that never saw the network, with intervals.

    Parameters
    ----------
    table : columns metric, rival (name of a map), share (0 to 1 or NaN), low, high (its interval) and
        clips; from `findings.checks.wins`.

    Chapter: notebooks/17_metrics.md
    """
    style.require(table, "table", "metric", "rival", "share", "low", "high", "clips")
    fewest = table.groupby("metric", sort=False)["clips"].min()
    table = table.assign(rival="above " + table["rival"])
    with style.picture(height=1.5 + 0.36 * len(fewest), source=source) as figure:
        axes = _intervals(figure, table, row="metric", value="share", zero=0.5, apart=0.3, width=2)
        axes.set_yticks(range(len(fewest)), [f"{name}, n = {n}" for name, n in fewest.items()])
        axes.set(xlabel="share of clips, 95% interval", xlim=(-0.02, 1.02))
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.grid(axis="x", color="0.9")
        figure.legend(loc="outside upper left", ncols=table["rival"].nunique())
    return figure


def specifications(table: pd.DataFrame, *, choices: Sequence[str], own: pd.Series, source: str) -> Figure:
    """The specification curve, and below it which choices each estimate was made with.

    Parameters
    ----------
    table : columns `choices`, estimate, low, high, null_low, null_high; see `findings.curve`.
    choices : columns that say what was chosen; those with one value are left out.
    own : (rows,), bool: the rows to be marked, the thesis's own.

    Source: Simonsohn, Simmons & Nelson 2020. Chapter: notebooks/18_specifications.md
    """
    style.require(table, "table", *choices, "estimate", "low", "high", "null_low", "null_high")
    order = table["estimate"].dropna().sort_values().index
    table, marked = table.loc[order].reset_index(drop=True), own.loc[order].to_numpy()
    varied = [choice for choice in choices if table[choice].nunique() > 1]
    rows = [(choice, value) for choice in varied for value in table[choice].drop_duplicates()]
    at = np.arange(len(table))
    with style.picture(height=3.6 + 0.2 * len(rows), source=source) as figure:
        top, bottom = figure.subplots(2, sharex=True, height_ratios=(2.6, 0.2 * len(rows) + 0.1))
        top.fill_between(at, table["null_low"], table["null_high"], color="0.8", label="maps that know nothing")
        top.vlines(at, table["low"], table["high"], color="0.45", linewidth=0.5, label="95% interval")
        top.plot(at, table["estimate"], ".", color=style.BLUE, ms=3, label="median score")
        thesis = {"color": style.ORANGE, "mec": "black", "ms": 7, "label": "as the thesis"}
        top.plot(at[marked], table["estimate"][marked], "D", **thesis)
        top.axhline(0, color="black", linewidth=1)
        top.set(ylabel="median score of the clips", ylim=(-1, 1))
        figure.legend(*top.get_legend_handles_labels(), loc="outside upper right", ncols=4, markerscale=1.2)
        for row, (choice, value) in enumerate(rows):
            has = at[(table[choice] == value).to_numpy()]
            color = style.MARKS[varied.index(choice) % 4][0]
            bottom.plot(has, np.full(len(has), row), "|", color=color, ms=6, mew=0.6)
        bottom.set_yticks(range(len(rows)), [f"{choice.replace('_', ' ')}: {value}" for choice, value in rows])
        bottom.tick_params(axis="y", length=0)
        bottom.set(ylim=(len(rows) - 0.4, -0.6), xlabel="specifications, lowest median first")
    return figure


def by_phase(table: pd.DataFrame, *, source: str) -> Figure:
    """How high frames rank by their place in the grid of a network's strides, curve by curve.

    Parameters
    ----------
    table : columns of (which curve), phase, rank (0 to 1), low, high: from `findings.grid.phases`.

    Chapter: notebooks/24_explainers.md
    """
    style.require(table, "table", "of", "phase", "rank", "low", "high")
    names = table["of"].unique()
    with style.picture(height=1.2 + 1.3 * len(names), source=source) as figure:
        panels = figure.subplots(len(names), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, name, (color, marker, _) in zip(panels, names, style.looks(names), strict=True):
            own = table[table["of"] == name]
            axes.vlines(own["phase"], own["low"], own["high"], color=color, linewidth=1.5)
            axes.plot(own["phase"], own["rank"], marker, color=color, ms=5)
            axes.axhline(0.5, color="black", linewidth=1)
            axes.set_title(name)
            axes.set_ylabel("mean rank")
        panels[-1].set_xlabel(f"frame, counted anew after every {table['phase'].max() + 1}")
    return figure
