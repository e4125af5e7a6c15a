"""Figures of networks and their training.

Chapter: notebooks/04_networks.md, notebooks/05_training.md
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter, ScalarFormatter

from helpers import InputError, study
from helpers.show import style


def shortcut(*, source: str) -> Figure:
    """A residual block as it computes, and the same block when its layers give 0: thesis Fig. 5.

    Chapter: notebooks/04_networks.md
    """
    with style.picture(height=4, source=source) as figure:
        upper, lower = figure.subplots(2)
        _block(upper, layers="layers\n(convolutions)", residual="F(x)", out="relu(F(x) + x)")
        upper.set_title("A residual block: the layers learn what to add to x")
        _block(lower, layers="layers\n(all weights 0)", residual="0", out="relu(0 + x) = x")
        lower.set_title("If F(x) = 0, the block hands x on (x ≥ 0 after the ReLU before it)")
    return figure


def _block(axes: Axes, *, layers: str, residual: str, out: str) -> None:
    axes.set(xlim=(0, 10), ylim=(-1.5, 0.75), aspect="equal")
    axes.axis("off")
    idle = residual == "0"
    flow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    weak = {**flow, "color": "0.4", "linestyle": (0, (2, 2))} if idle else flow
    short = {**flow, "color": style.BLUE, "linewidth": 3}
    for start, end, look in (1.2, 2.1, weak), (4.3, 5.5, weak), (6.0, 6.7, flow), (7.9, 8.4, flow):
        axes.annotate("", (end, 0), (start, 0), arrowprops=look)
    axes.plot([0.7, 1.2], [0, 0], color="black", linewidth=1.5)
    axes.plot([1.2, 1.2, 5.75], [0, -1, -1], color=style.BLUE, linewidth=3)
    axes.annotate("", (5.75, -0.25), (5.75, -1), arrowprops=short)
    face: Any = {"facecolor": "white", "edgecolor": "0.4", "hatch": "///"} if idle else {"facecolor": "0.9"}
    axes.add_patch(FancyBboxPatch((2.2, -0.5), 2.0, 1.0, boxstyle="round,pad=0.1", **{"edgecolor": "black"} | face))
    axes.add_patch(Circle((5.75, 0), 0.25, facecolor="white", edgecolor="black", linewidth=1.5))
    axes.add_patch(Rectangle((6.7, -0.35), 1.2, 0.7, facecolor="0.9", edgecolor="black"))
    named = [(0.45, "x"), (3.2, layers), (4.9, residual), (5.75, "+"), (3.4, "shortcut: x unchanged")]
    for (x, text), y in zip([*named, (7.3, "ReLU"), (9.3, out)], (0, 0, 0.3, 0, -1.3, 0, 0), strict=True):
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if idle and text == layers else None
        axes.text(x, y, text, ha="center", va="center", bbox=paper)


def history(history: pd.DataFrame, *, test_fold: int, source: str) -> Figure:
    """Loss and accuracy after each epoch, on the training folds and on the test fold.

    Parameters
    ----------
    history : columns epoch, fold (0: the training folds together), loss (nats), accuracy (0 to 1).
    test_fold : drawn before other folds that were only watched.

    Chapter: notebooks/05_training.md
    """
    style.require(history, "history", "epoch", "fold", "loss", "accuracy")
    watched = sorted(set(history["fold"]) - {0, test_fold})
    labels = {0: "training folds", test_fold: "test fold"} | {fold: f"fold {fold}" for fold in watched}
    looks = (style.MARKS[1], style.MARKS[0], *style.MARKS[2:])
    with style.picture(height=3.3, source=source) as figure:
        loss, accuracy = figure.subplots(1, 2)
        for axes, what in ((loss, "loss"), (accuracy, "accuracy")):
            for (fold, label), (color, marker, line) in zip(labels.items(), cycle(looks), strict=False):
                own = history[history["fold"] == fold]
                axes.plot(own["epoch"], own[what], color=color, marker=marker, ls=line, ms=4, label=label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="epoch", ylim=(0, None))
            axes.grid(color="0.9")
        loss.set(title="Loss", ylabel="cross-entropy (nats)")
        accuracy.set(title="Accuracy", ylabel="clips recognised", ylim=(0, 1))
        accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        figure.legend(*loss.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def confusion(predictions: pd.DataFrame, *, classes: Sequence[str], source: str) -> Figure:
    """Which class is taken for which: clips counted in the cells, shares of each row in colour.

    Parameters
    ----------
    predictions : columns label and predicted, integers from 0 to len(classes) - 1, a row per clip.
    classes : class names in the order of these integers.

    Raises
    ------
    InputError
        A column is missing or names a class that `classes` does not have.

    Chapter: notebooks/05_training.md
    """
    style.require(predictions, "predictions", "label", "predicted")
    ids = range(len(classes))
    if not predictions[["label", "predicted"]].isin(ids).all(axis=None):
        raise InputError(f"predictions names a class outside 0 to {len(classes) - 1}; see classes")
    counts = pd.crosstab(predictions["label"], predictions["predicted"])
    counts = counts.reindex(index=ids, columns=ids, fill_value=0)
    clips = counts.sum(axis=1)
    share = counts.div(clips, axis=0)
    recalls = [f"{recall:.0%}" if n else "– (no clips)" for recall, n in zip(np.diag(share), clips, strict=True)]
    with style.picture(height=2.2 + 0.42 * len(classes), source=source) as figure:
        axes = figure.subplots()
        sns.heatmap(
            share,
            annot=counts.astype(str).where(counts > 0, ""),
            fmt="",
            annot_kws={"color": "black"},
            cmap=sns.light_palette("#3fa0df", as_cmap=True),  # black on its darkest: over 7:1
            vmin=0,
            vmax=1,
            linewidths=1,
            ax=axes,
            cbar_kws={"label": "share of the row's clips", "format": PercentFormatter(xmax=1)},
            xticklabels=classes,
            yticklabels=[f"{name}\nrecall {recall}" for name, recall in zip(classes, recalls, strict=True)],
        )
        for i in ids:
            axes.add_patch(Rectangle((i, i), 1, 1, fill=False, edgecolor="black", clip_on=False))
        axes.tick_params(axis="x", rotation=40, labelrotation_mode="xtick")
        axes.tick_params(axis="y", rotation=0)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.set_title(f"{np.trace(counts)} of {clips.sum()} clips recognised (outlined cells)")
    return figure


def by_field(table: pd.DataFrame, *, sounding: int, source: str) -> Figure:
    """What the maps of a network's stages score, over how many frames a node of the stage can see.

    Parameters
    ----------
    table : columns architecture, seed, field (frames), normalised, low, high: from `findings.depth.table`.
    sounding : frames of a clip of four seconds, drawn as a line.

    Chapter: notebooks/27_depth.md
    """
    style.require(table, "table", "architecture", "seed", "field", "normalised", "low", "high")
    with style.picture(height=4.4, source=source) as figure:
        axes = figure.subplots()
        groups = table.groupby(["architecture", "seed"], sort=False)
        labels = [f"{study.named(str(name))}, seed {seed}" for (name, seed), _ in groups]
        named = [study.named(str(name)) for name in table["architecture"].unique()]
        looks = dict(zip(table["architecture"].unique(), style.looks(named), strict=True))
        for number, (label, ((name, seed), own)) in enumerate(zip(labels, groups, strict=True)):
            color, marker, line = looks[name]  # of a network; its further seeds are hollow
            own, shift = own.sort_values("field"), 1 + 0.02 * number  # side by side where two networks agree
            axes.vlines(own["field"] * shift, own["low"], own["high"], color=color, linewidth=1.5)
            look: Any = {"color": color, "marker": marker, "linestyle": line, "markersize": 7}
            look |= {"markerfacecolor": color if seed == table["seed"].min() else "white"}
            axes.plot(own["field"] * shift, own["normalised"], label=label, **look)
        axes.axvline(sounding, color="0.45", linewidth=1, linestyle=":", label="a clip of four seconds")
        axes.axhline(0, color="black", linewidth=1)
        axes.set(xscale="log", xlabel="frames that a node can see", ylabel="normalised score inside, median")
        ticks = sorted(table["field"].unique().tolist())
        close = [False, *(two < 1.15 * one for one, two in itertools.pairwise(ticks))]  # the second goes a line down
        axes.set_xticks(ticks, ["\n" * down + str(tick) for tick, down in zip(ticks, close, strict=True)], minor=False)
        axes.tick_params(axis="x", which="minor", length=0, labelbottom=False)
        axes.grid(color="0.9")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def growth(rows: pd.DataFrame, *, source: str) -> Figure:
    """How long each step takes against each thing that is changed, as multiples of the first, on logarithmic axes.

    Parameters
    ----------
    rows : columns varied, step, seconds, and one column for each name in varied; from `findings.scale.measured`.

    Chapter: notebooks/29_scale.md
    """
    style.require(rows, "rows", "varied", "step", "seconds")
    rows = rows[rows["varied"] != "architecture"]
    with style.picture(height=3.6, source=source) as figure:
        panels = figure.subplots(1, rows["varied"].nunique(), sharey=True, squeeze=False)[0]
        for axes, (varied, part) in zip(panels, rows.groupby("varied", sort=False), strict=True):
            for (step, line), (color, marker, dash) in zip(part.groupby("step", sort=False), style.MARKS, strict=False):
                amount = line[varied].to_numpy(float) / line[varied].iloc[0]
                axes.plot(
                    amount, line["seconds"] / line["seconds"].iloc[0], marker, color=color, linestyle=dash, label=step
                )
            most = (part[varied] / part[varied].iloc[0]).max()
            axes.plot([1, most], [1, most], color="0.6", zorder=0)
            axes.set(xscale="log", yscale="log", xlabel=f"times as many {varied}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(ScalarFormatter())
                axis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel("times as long")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure
