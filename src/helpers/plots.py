"""One function per figure of the book: arrays or tables in, a finished figure out.

Grey is the sound, colour is the importance a map gives it, in every figure that shows both. Colours
are Okabe and Ito's (safe for colour-blind readers) and always come with a marker, a line style, a
hatch or a number. Lettering has its true size at 700 px, the width of the book's text column.

Chapter: notebooks/01_introduction.md to notebooks/09_results.md; each function names its own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike
from scipy import signal, stats

from helpers import InputError

WIDTH = 7.3  # inches: 700 px of a browser, so that 10 pt here are 10 pt there
BLACK, _, _, GREEN, _, BLUE, ORANGE, PURPLE = mpl.color_sequences["okabe_ito"]
MARKS = tuple(  # one look per curve or network; each colour has contrast 3:1 or more on white
    zip((BLUE, ORANGE, GREEN, PURPLE, BLACK), "os^Dv", ("-", "--", "-.", ":", (0, (8, 2))), strict=True)
)
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


class Picture(Figure):
    """A matplotlib figure that a notebook shows once, whatever the backend and without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


@contextmanager
def _picture(*, height: float, source: str) -> Iterator[Picture]:
    """An empty figure `height` inches high that says at its foot where its numbers come from."""
    with style.context(["default", STYLE]):
        figure = Picture(figsize=(WIDTH, height), dpi=150, layout="constrained")
        figure.supxlabel(source, x=0.99, horizontalalignment="right", fontsize=9, color="0.25")
        yield figure


def _matrix(values: ArrayLike, name: str) -> np.ndarray:
    """`values` as (coefficients, frames), leading axes of length 1 dropped."""
    matrix = np.asarray(values)
    if matrix.ndim < 2 or matrix.size != np.prod(matrix.shape[-2:]) or not matrix.size:
        raise InputError(f"{name} has shape {matrix.shape}; give one clip as (coefficients, frames)")
    if not np.isfinite(matrix).all():
        raise InputError(f"{name} holds values that are not finite; leave this clip out or mend it")
    return matrix.reshape(matrix.shape[-2:])


def _importance(values: ArrayLike, name: str, *, like: np.ndarray) -> np.ndarray:
    """A map as (coefficients, frames), checked to lie in [0, 1] and to fit its MFCC."""
    matrix = _matrix(values, name)
    if matrix.shape != like.shape:
        raise InputError(f"{name} has shape {matrix.shape}, its MFCC {like.shape}; make them equal")
    if matrix.min() < 0 or matrix.max() > 1:
        raise InputError(f"{name} leaves the range 0 to 1; rescale it before drawing")
    return matrix


def _require(table: pd.DataFrame, name: str, *columns: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{name} lacks the column {', '.join(missing)}; it needs {columns}")
    if table.empty:
        raise InputError(f"{name} has no rows; there is nothing to draw")


def _draw(axes: Axes, matrix: np.ndarray, *, seconds_per_frame: float, **options) -> AxesImage:
    """Frame i fills the time from i to i + 1 frame lengths, coefficient 0 is the lowest row."""
    rows, frames = matrix.shape
    axes.set(ylabel="coefficient", yticks=[0, rows // 2, rows - 1])
    return axes.imshow(
        matrix,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, frames * seconds_per_frame, -0.5, rows - 0.5),
        **options,
    )


def _draw_mfcc(axes: Axes, mfcc: np.ndarray, *, seconds_per_frame: float) -> AxesImage:
    # Logarithmic beyond the median size: coefficient 0 is 10 to 100 times larger than the others.
    sizes = np.abs(mfcc[mfcc != 0]) if mfcc.any() else np.ones(1)
    limit = float(sizes.max())
    norm = SymLogNorm(linthresh=min(float(np.median(sizes)), 0.9 * limit), vmin=-limit, vmax=limit)
    return _draw(axes, mfcc, seconds_per_frame=seconds_per_frame, cmap="gray", norm=norm)


def _draw_map(axes: Axes, values: np.ndarray, *, seconds_per_frame: float) -> AxesImage:
    # Transparent where the map is 0, so that the same scale holds alone and over an MFCC.
    stops = mpl.colormaps["YlOrRd"](np.linspace(0.4, 1, 9))
    stops[:, 3] = np.linspace(0, 0.9, len(stops))
    cmap = LinearSegmentedColormap.from_list("importance", stops)
    return _draw(axes, values, seconds_per_frame=seconds_per_frame, cmap=cmap, vmin=0, vmax=1)


def _padding(
    mfcc: np.ndarray, sounding_frames: int | None, *, seconds_per_frame: float
) -> tuple[float, float]:
    """Start and end of the padding in s; equal where there is none."""
    frames = mfcc.shape[1]
    sounding = frames if sounding_frames is None else sounding_frames
    if not 0 <= sounding <= frames:
        raise InputError(f"sounding_frames is {sounding}; give a number from 0 to {frames}")
    return sounding * seconds_per_frame, frames * seconds_per_frame


def _mark_padding(axes: Axes, *, start: float, end: float) -> None:
    """Hatches the time from `start` to `end` (s), if there is any, and names it."""
    if end <= start:
        return
    axes.axvspan(start, end, facecolor="none", edgecolor="0.35", hatch="//", linewidth=0)
    axes.text(
        (start + end) / 2,
        np.mean(axes.get_ylim()),
        "padding",
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "0.35", "boxstyle": "round"},
    )


def two_classes(
    mfcc: ArrayLike,
    maps: ArrayLike,
    *,
    classes: Sequence[str],
    seconds_per_frame: float,
    events: Mapping[str, ArrayLike] | None = None,
    sounding_frames: int | None = None,
    source: str,
) -> Figure:
    """One mixture of sounds, and where Grad-CAM points for each class: thesis Fig. 1 for the ear.

    Parameters
    ----------
    mfcc : (coefficients, frames), MFCC units.
    maps : (classes, coefficients, frames), importance in [0, 1], one map per class.
    classes : names, in the order of `maps`.
    seconds_per_frame : hop length / sampling rate, s.
    events : name of a sound -> its true (start, end) in s, or several such pairs.
    sounding_frames : number of frames that hold sound; the rest is hatched as padding.
    source : where the numbers come from, such as `run.label`.

    Raises
    ------
    InputError
        A shape or range is wrong.

    Chapter: notebooks/01_introduction.md
    """
    mfcc = _matrix(mfcc, "mfcc")
    if len(maps) != len(classes):
        raise InputError(f"maps holds {len(maps)} maps for {len(classes)} classes; give one each")
    maps = [
        _importance(values, f"map of {name}", like=mfcc) for name, values in zip(classes, maps, strict=True)
    ]
    start, end = _padding(mfcc, sounding_frames, seconds_per_frame=seconds_per_frame)
    spans = {name: np.reshape(pairs, (-1, 2)) for name, pairs in (events or {}).items()}
    heights = ([0.45] if spans else []) + [1] * (1 + len(maps))
    with _picture(height=0.8 + 1.45 * sum(heights), source=source) as figure:
        panels = list(figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        if spans:
            truth = panels.pop(0)
            for row, pairs in enumerate(spans.values()):
                color, hatch = MARKS[row % len(MARKS)][0], ("//", "..", "xx")[row % 3]
                widths = [(start, end - start) for start, end in pairs]
                truth.broken_barh(widths, (row - 0.35, 0.7), facecolor="white", edgecolor=color, hatch=hatch)
            truth.set_yticks(range(len(spans)), list(spans))
            truth.set(title="Where each sound really is", ylim=(len(spans) - 0.5, -0.5))
        _draw_mfcc(panels[0], mfcc, seconds_per_frame=seconds_per_frame)
        panels[0].set_title("The mixture (MFCC)")
        for axes, name, values in zip(panels[1:], classes, maps, strict=True):
            _draw_mfcc(axes, mfcc, seconds_per_frame=seconds_per_frame)
            image = _draw_map(axes, values, seconds_per_frame=seconds_per_frame)
            axes.set_title(f"Grad-CAM for {name}")
            for edge in spans.get(name, np.empty(0)).flat:
                axes.axvline(
                    edge,
                    color="black",
                    linestyle="--",
                    path_effects=[withStroke(linewidth=3, foreground="white")],
                )
        for axes in panels:
            _mark_padding(axes, start=start, end=end)
        panels[-1].set_xlabel("time (s)")
        _scale(figure, image, panels)
    return figure


def _scale(figure: Figure, image: AxesImage, panels: Sequence[Axes]) -> None:
    bar = figure.colorbar(image, ax=panels, location="bottom", aspect=45, fraction=0.04)
    bar.set_label("importance in the Grad-CAM map (0 low, 1 high)")


def representations(
    waveform: ArrayLike,
    rate: int,
    *,
    mfcc: ArrayLike,
    seconds_per_frame: float,
    title: str,
    source: str,
) -> Figure:
    """One clip as waveform, spectrogram and MFCC over the same time axis: thesis Fig. 3.

    Parameters
    ----------
    waveform : (samples,) or (1, samples), amplitude, full scale at 1.
    rate : samples per second.
    mfcc : (coefficients, frames), MFCC units; frames beyond the waveform are marked as padding.
    seconds_per_frame : hop length / sampling rate of the MFCC, s.
    title : what sounds, written at the top.
    source : where the numbers come from, such as `run.label`.

    Raises
    ------
    InputError
        The MFCC is not one clip, or the waveform is not one channel of finite samples.

    Chapter: notebooks/01_introduction.md
    """
    mfcc = _matrix(mfcc, "mfcc")
    samples = _matrix(np.atleast_2d(np.asarray(waveform)), "waveform")
    if len(samples) != 1:
        raise InputError(f"waveform has {len(samples)} channels; average them first")
    samples = samples[0]
    duration, end = len(samples) / rate, mfcc.shape[1] * seconds_per_frame
    window = min(2048, len(samples))
    hertz, seconds, power = signal.spectrogram(
        samples, rate, nperseg=window, noverlap=window // 2, detrend=False
    )
    floor = 1e-8  # 80 dB below the loudest cell; also keeps digital silence off log(0)
    level = 10 * np.log10(np.maximum(power / max(power.max(), np.finfo(float).tiny), floor))
    with _picture(height=6, source=source) as figure:
        top, middle, bottom = figure.subplots(3, sharex=True)
        figure.suptitle(title)
        top.plot(np.arange(len(samples)) / rate, samples, color=BLUE, linewidth=0.5)
        top.set(title="Waveform", ylabel="amplitude")
        # Row 0 (0 Hz) has no place on a logarithmic axis.
        mesh = middle.pcolormesh(seconds, hertz[1:], level[1:], cmap="magma", vmin=-80, vmax=0)
        middle.set(title="Spectrogram", ylabel="frequency", yscale="log", ylim=(50, rate / 2))
        middle.yaxis.set_major_formatter(EngFormatter(unit="Hz"))
        figure.colorbar(mesh, ax=middle, label="level (dB re loudest)")
        image = _draw_mfcc(bottom, mfcc, seconds_per_frame=seconds_per_frame)
        bottom.set(title=f"MFCC, {mfcc.shape[0]} × {mfcc.shape[1]} frames", xlabel="time (s)")
        figure.colorbar(image, ax=bottom, label="value (log scale)")
        _mark_padding(bottom, start=duration, end=end)
        bottom.set_xlim(0, max(duration, end))
    return figure


def slices_per_class(slices: pd.DataFrame, *, source: str) -> Figure:
    """How many clips each class has, in the foreground and in the background: thesis Fig. 4.

    Parameters
    ----------
    slices : columns class, fold, salience ("foreground" or "background"), slices (count); the folds
        are added up.
    source : where the numbers come from, such as `run.label`.

    Chapter: notebooks/02_dataset.md
    """
    _require(slices, "slices", "class", "salience", "slices")
    counts = slices.pivot_table(
        index="class", columns="salience", values="slices", aggfunc="sum", fill_value=0
    ).reindex(columns=["foreground", "background"], fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    total = counts.sum(axis=1)
    with _picture(height=1.4 + 0.36 * len(counts), source=source) as figure:
        axes = figure.subplots()
        axes.barh(counts.index, counts.foreground, color=BLUE, label="foreground")
        background = axes.barh(
            counts.index,
            counts.background,
            left=counts.foreground,
            facecolor="white",
            edgecolor=BLUE,
            hatch="///",
            label="background",
        )
        written = [f"{f} + {b} = {f + b}" for f, b in zip(*counts.to_numpy().T, strict=True)]
        axes.bar_label(background, written, padding=4)
        axes.set(xlabel="clips (foreground + background = all)", xlim=(0, 1.28 * total.max()))
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper right", ncols=2)
    return figure


def shortcut(*, source: str) -> Figure:
    """A residual block as it computes, and the same block when its layers give 0: thesis Fig. 5.

    Chapter: notebooks/04_networks.md
    """
    with _picture(height=4, source=source) as figure:
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
    short = {**flow, "color": BLUE, "linewidth": 3}
    for start, end, look in [
        ((1.2, 0), (2.1, 0), weak),
        ((4.3, 0), (5.5, 0), weak),
        ((6.0, 0), (6.7, 0), flow),
        ((7.9, 0), (8.4, 0), flow),
    ]:
        axes.annotate("", end, start, arrowprops=look)
    axes.plot([0.7, 1.2], [0, 0], color="black", linewidth=1.5)
    axes.plot([1.2, 1.2, 5.75], [0, -1, -1], color=BLUE, linewidth=3)
    axes.annotate("", (5.75, -0.25), (5.75, -1), arrowprops=short)
    axes.add_patch(
        FancyBboxPatch(
            (2.2, -0.5),
            2.0,
            1.0,
            boxstyle="round,pad=0.1",
            facecolor="white" if idle else "0.9",
            edgecolor="0.4" if idle else "black",
            hatch="///" if idle else None,
        )
    )
    axes.add_patch(Circle((5.75, 0), 0.25, facecolor="white", edgecolor="black", linewidth=1.5))
    axes.add_patch(Rectangle((6.7, -0.35), 1.2, 0.7, facecolor="0.9", edgecolor="black"))
    for x, y, text in [
        (0.45, 0, "x"),
        (3.2, 0, layers),
        (4.9, 0.3, residual),
        (5.75, 0, "+"),
        (3.4, -1.3, "shortcut: x unchanged"),
        (7.3, 0, "ReLU"),
        (9.3, 0, out),
    ]:
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if idle and text == layers else None
        axes.text(x, y, text, ha="center", va="center", bbox=paper)


def history(history: pd.DataFrame, *, source: str) -> Figure:
    """Loss and accuracy after each epoch, on the training folds and on the test fold.

    Parameters
    ----------
    history : columns epoch, train_loss, test_loss (nats), train_accuracy, test_accuracy (0 to 1).
    source : where the numbers come from, such as `run.label`.

    Chapter: notebooks/05_training.md
    """
    parts = ("train", "test")
    columns = [f"{part}_{what}" for what in ("loss", "accuracy") for part in parts]
    _require(history, "history", "epoch", *columns)
    with _picture(height=3.3, source=source) as figure:
        loss, accuracy = figure.subplots(1, 2)
        for axes, what in ((loss, "loss"), (accuracy, "accuracy")):
            for part, (color, marker, line) in zip(parts, (MARKS[1], MARKS[0]), strict=True):
                axes.plot(
                    history.epoch,
                    history[f"{part}_{what}"],
                    color=color,
                    marker=marker,
                    linestyle=line,
                    markersize=4,
                    label={"train": "training folds", "test": "test fold"}[part],
                )
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
    source : where the numbers come from, such as `run.label`.

    Raises
    ------
    InputError
        A column is missing or names a class that `classes` does not have.

    Chapter: notebooks/05_training.md
    """
    _require(predictions, "predictions", "label", "predicted")
    ids = range(len(classes))
    if not predictions[["label", "predicted"]].isin(ids).all(axis=None):
        raise InputError(f"predictions names a class outside 0 to {len(classes) - 1}; see classes")
    counts = pd.crosstab(predictions.label, predictions.predicted).reindex(
        index=ids, columns=ids, fill_value=0
    )
    clips = counts.sum(axis=1)
    share = counts.div(clips, axis=0)
    with _picture(height=2.2 + 0.42 * len(classes), source=source) as figure:
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
            yticklabels=[
                f"{name}\nrecall " + (f"{share.at[i, i]:.0%}" if clips[i] else "– (no clips)")
                for i, name in enumerate(classes)
            ],
        )
        for i in ids:
            axes.add_patch(Rectangle((i, i), 1, 1, fill=False, edgecolor="black", clip_on=False))
        axes.tick_params(axis="x", rotation=40, labelrotation_mode="xtick")
        axes.tick_params(axis="y", rotation=0)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.set_title(f"{np.trace(counts)} of {clips.sum()} clips recognised (outlined cells)")
    return figure


def three_bars(
    map: ArrayLike,
    mfcc: ArrayLike,
    *,
    title: str,
    seconds_per_frame: float,
    sounding_frames: int | None = None,
    source: str,
) -> Figure:
    """A Grad-CAM map, the MFCC it explains, and both together: thesis Figs. 6 and 7.

    Parameters
    ----------
    map : (coefficients, frames), importance in [0, 1].
    mfcc : (coefficients, frames), MFCC units.
    title : the clip and its class, written at the top.
    seconds_per_frame : hop length / sampling rate, s.
    sounding_frames : number of frames that hold sound; the rest is hatched as padding.
    source : where the numbers come from, such as `run.label`.

    Raises
    ------
    InputError
        The two shapes differ, a value is not finite, or the map leaves [0, 1].

    Chapter: notebooks/06_explanations.md
    """
    mfcc = _matrix(mfcc, "mfcc")
    map = _importance(map, "map", like=mfcc)
    start, end = _padding(mfcc, sounding_frames, seconds_per_frame=seconds_per_frame)
    with _picture(height=5.4, source=source) as figure:
        alone, sound, both = panels = figure.subplots(3, sharex=True)
        figure.suptitle(title)
        image = _draw_map(alone, map, seconds_per_frame=seconds_per_frame)
        alone.set_title("Grad-CAM map" if map.any() else "Grad-CAM map (0 everywhere)")
        _draw_mfcc(sound, mfcc, seconds_per_frame=seconds_per_frame)
        sound.set_title("MFCC")
        _draw_mfcc(both, mfcc, seconds_per_frame=seconds_per_frame)
        _draw_map(both, map, seconds_per_frame=seconds_per_frame)
        both.set(title="MFCC with the map laid over it", xlabel="time (s)")
        for axes in panels:
            _mark_padding(axes, start=start, end=end)
        _scale(figure, image, panels)
    return figure


def density(
    scores: pd.DataFrame,
    *,
    thesis_modes: Sequence[tuple[float, float, str]] = (),
    source: str,
) -> Figure:
    """How the scores of each network spread between -1 and 1: thesis Figs. 8 and 9.

    A kernel density estimate above, every single score below it. A network whose scores are too few
    or all equal gets no curve, and the figure says so; NaN scores are counted in the legend.

    Parameters
    ----------
    scores : columns score (in [-1, 1] or NaN) and architecture, one row per clip.
    thesis_modes : (low, high, label) of each range of scores to shade.
    source : where the numbers come from, such as `run.label`.

    Chapter: notebooks/08_scores.md
    """
    _require(scores, "scores", "score", "architecture")
    groups = scores.groupby("architecture", sort=False).score
    with _picture(height=3.6 + 0.45 * len(groups), source=source) as figure:
        curve, points = figure.subplots(2, sharex=True, height_ratios=[3, 0.3 + 0.35 * len(groups)])
        for row, (name, group) in enumerate(groups):
            color, marker, line = MARKS[row % len(MARKS)]
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
            curve.text(
                (low + high) / 2,
                0.97,
                label,
                rotation=90,
                ha="center",
                va="top",
                transform=curve.get_xaxis_transform(),
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        if thesis_modes:
            curve.patches[0].set_label("shaded: where the thesis has its modes")
        for axes in (curve, points):
            axes.axvline(0, color="black", linewidth=1)
        points.set_yticks(range(len(groups)), [name for name, _ in groups])
        points.set(
            xlabel="score (Spearman correlation; the thick bar is the median)",
            xlim=(-1.02, 1.02),
            ylim=(len(groups) - 0.5, -0.5),
        )
        figure.legend(*curve.get_legend_handles_labels(), loc="outside upper left")
    return figure


def effects(map_values: ArrayLike, effects: ArrayLike, *, source: str) -> Figure:
    """What a map says about each block against what the block does: the metric as a picture.

    Parameters
    ----------
    map_values : (blocks,), importance that the map gives each block.
    effects : (blocks,), measured effect of each block on the network.
    source : where the numbers come from, such as `run.label`.

    Raises
    ------
    InputError
        The two differ in length, or a value is not finite.

    Chapter: notebooks/07_metric.md
    """
    said, done = np.ravel(map_values), np.ravel(effects)
    if len(said) != len(done) or len(said) < 2 or not np.isfinite([*said, *done]).all():
        raise InputError(
            f"map_values has {len(said)} blocks, effects {len(done)}; give as many of each, "
            "two or more and all finite"
        )
    with _picture(height=4.6, source=source) as figure:
        axes = figure.subplots()
        axes.plot(stats.rankdata(said), stats.rankdata(done), "o", color=BLUE, ms=5, mfc="none")
        if np.ptp(said) and np.ptp(done):
            verdict = f"{stats.spearmanr(said, done).statistic:+.2f}"
        else:
            verdict = "undefined, one side is constant"
        axes.set(
            title=f"Spearman correlation {verdict} ({len(said)} blocks)",
            xlabel="rank of the block in the map (1 = least important)",
            ylabel="rank of the block's measured effect",
        )
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
    source : where the numbers come from, such as `run.label`.

    Chapter: notebooks/12_engine.md
    """
    _require(scores, "scores", "method", "values", "score")
    with _picture(height=3.8, source=source) as figure:
        axes = figure.subplots()
        for row, (name, group) in enumerate(scores.groupby("method", sort=False)):
            color, marker, line = MARKS[row % len(MARKS)]
            means = group.groupby("values").score.mean()
            axes.plot(means.index, means, color=color, linestyle=line)
            axes.plot(group["values"], group.score, marker, color=color, ms=7, mfc="none")
            axes.plot([], [], color=color, marker=marker, mfc="none", linestyle=line, label=name)
        counts = sorted(scores["values"].unique())
        axes.set(xscale="log", xlabel="replacement values per block", ylabel="score (Spearman correlation)")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xticks([], minor=True)
        axes.grid(color="0.9")
        figure.legend(loc="outside upper right", ncols=len(scores.method.unique()))
    return figure


def pairs(scores: pd.DataFrame, *, source: str) -> Figure:
    """Two networks' scores of the same clips, one against the other: below the line the second is lower.

    Parameters
    ----------
    scores : columns clip, architecture (two of them) and score (in [-1, 1] or NaN).
    source : where the numbers come from.

    Raises
    ------
    InputError
        There are not two networks, or no clip has a score by both.

    Chapter: notebooks/13_reference.md
    """
    _require(scores, "scores", "clip", "architecture", "score")
    wide = scores.pivot(index="clip", columns="architecture", values="score")
    wide = wide[list(scores.architecture.unique())].dropna()
    if wide.shape[1] != 2 or wide.empty:
        raise InputError(
            f"scores has {wide.shape[1]} networks and {len(wide)} common clips; give two networks"
        )
    first, second = wide.columns
    with _picture(height=4.6, source=source) as figure:
        axes = figure.subplots()
        axes.plot(wide[first], wide[second], "o", color=BLUE, ms=6, mfc="none", label=f"{len(wide)} clips")
        axes.axline((0, 0), slope=1, color="0.4", linestyle="--", label="equal scores")
        axes.axvline(0, color="black", linewidth=1)
        axes.axhline(0, color="black", linewidth=1)
        axes.set(
            xlabel=f"score of {first}",
            ylabel=f"score of {second}",
            xlim=(-1.02, 1.02),
            ylim=(-1.02, 1.02),
            aspect="equal",
        )
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
    source : where the numbers come from.

    Chapter: notebooks/13_reference.md
    """
    _require(scores, "scores", "reading", "score")
    groups = list(scores.groupby("reading", sort=False).score)
    with _picture(height=1.4 + 0.42 * len(groups), source=source) as figure:
        axes = figure.subplots()
        names = []
        for row, (name, group) in enumerate(groups):
            color, marker, _ = MARKS[bool(row)]
            finite = group.dropna()
            axes.plot(finite, np.full(len(finite), row), marker, color=color, ms=5, mfc="none", alpha=0.8)
            if len(finite):
                low, middle, high = finite.quantile([0.25, 0.5, 0.75])
                axes.plot([low, high], [row, row], color="black", linewidth=2, zorder=3)
                axes.plot(middle, row, "|", color="black", ms=16, mew=3, zorder=3)
            missing = f", NaN = {group.isna().sum()}" if group.isna().any() else ""
            below = f"{(finite < 0).mean():.0%} below 0" if len(finite) else "no score"
            names.append(f"{name}\n{below}, n = {len(finite)}{missing}")
        axes.axvline(0, color="black", linewidth=1)
        axes.set_yticks(range(len(groups)), names)
        axes.set(
            xlabel="score (Spearman correlation; the thick bar is the median)",
            xlim=(-1.02, 1.02),
            ylim=(len(groups) - 0.5, -0.5),
        )
    return figure


def nulls(scores: Mapping[str, ArrayLike], marks: Mapping[str, float], *, source: str) -> Figure:
    """How maps that know nothing score on one clip, kind by kind, and where other maps of it stand.

    Parameters
    ----------
    scores : by kind, (maps,), in [-1, 1]; NaN are left out.
    marks : scores of other maps by name, drawn as lines; NaN are left out.
    source : where the numbers come from, such as `run.label`.

    Chapter: notebooks/15_controls.md
    """
    known = {name: np.asarray(values)[np.isfinite(values)] for name, values in scores.items()}
    known = {name: values for name, values in known.items() if len(values)}
    if not known:
        raise InputError("scores has no finite score; there is nothing to draw")
    with _picture(height=1.3 + 0.75 * len(known), source=source) as figure:
        panels = figure.subplots(len(known), sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, known.items(), strict=True):
            axes.hist(values, bins=np.linspace(-1, 1, 81), color="0.7", edgecolor="0.45", linewidth=0.4)
            axes.set_yticks([])
            axes.set_title(f"{name}, {len(values)} maps, {(values < 0).mean():.0%} below 0", fontsize=10)
            drawn = (mark for mark in marks.items() if np.isfinite(mark[1]))
            for (label, value), (color, _, line) in zip(drawn, MARKS, strict=False):
                axes.axvline(value, color=color, linestyle=line, linewidth=2, label=label)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(MARKS))
        panels[-1].set(xlabel="frame score (Spearman correlation)", xlim=(-1, 1))
    return figure


def differences(tests: pd.DataFrame, *, source: str) -> Figure:
    """Grad-CAM's lead over other maps, run by run: mean difference of scores and its interval.

    Parameters
    ----------
    tests : columns run, minus (over whom), mean, low, high; from `survival.primary`.
    source : where the numbers come from.

    Chapter: notebooks/15_controls.md
    """
    _require(tests, "tests", "run", "minus", "mean", "low", "high")
    runs = list(tests["run"].unique())
    rivals = list(tests["minus"].unique())
    with _picture(height=1.3 + 0.5 * len(runs), source=source) as figure:
        axes = figure.subplots()
        for number, (rival, (color, marker, line)) in enumerate(zip(rivals, MARKS, strict=False)):
            own = tests[tests["minus"] == rival].set_index("run").reindex(runs)
            rows = np.arange(len(runs)) + 0.24 * (number - (len(rivals) - 1) / 2)
            axes.hlines(rows, own["low"], own["high"], color=color, linestyle=line)
            axes.plot(own["mean"], rows, marker, color=color, ms=7, label=f"Grad-CAM minus {rival}")
        axes.axvline(0, color="black", linewidth=1)
        axes.set_yticks(range(len(runs)), [run.replace("resnet", "ResNet") for run in runs])
        axes.set(xlabel="mean difference of frame scores, 95 % interval", ylim=(len(runs) - 0.5, -0.5))
        figure.legend(loc="outside upper right", ncols=len(rivals))
    return figure


def randomisation(rows: pd.DataFrame, *, source: str) -> Figure:
    """What becomes of maps while a network loses its weights: similarity, frame score, and empty maps.

    Median and middle half of the clips whose map is not empty. From left to right the layers from the output
    to the input; each stage of the network has the same width, whatever its number of layers.

    Parameters
    ----------
    rows : columns check ("MPRT" and "score"), order, layer, value; from `sanity.table`.
    source : where the numbers come from, such as `run.label`.

    Chapter: notebooks/16_sanity.md
    """
    _require(rows, "rows", "check", "order", "layer", "value")
    looks = {"top_down": "all layers from the output to here", "independent": "this layer alone"}
    layers = rows[rows["order"] == "top_down"]["layer"].unique()
    stages = pd.Series([layer.split(".")[0] for layer in layers], layers)
    sizes = stages.groupby(stages, sort=False)
    at = pd.factorize(stages)[0] - 1 + (sizes.cumcount() + 1) / sizes.transform("size")
    names = list(stages.unique())
    with _picture(height=7.6, source=source) as figure:
        similarity, score, empty = panels = figure.subplots(3, sharex=True, height_ratios=[3, 3, 1.5])
        for (order, label), (color, marker, line) in zip(looks.items(), MARKS, strict=False):
            look = {"color": color, "marker": marker, "linestyle": line, "markersize": 5, "label": label}
            own = rows[rows["order"] == order]
            for axes, check in ((similarity, "MPRT"), (score, "score")):
                values = own[own["check"] == check].groupby("layer")["value"]
                low, middle, high = (values.quantile(q).reindex(layers) for q in (0.25, 0.5, 0.75))
                axes.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
                axes.plot(at, middle, **look)
            missing = own[own["check"] == "MPRT"].set_index("layer")["value"].isna()
            empty.plot(at, missing.groupby("layer").mean().reindex(layers), **look)
        similarity.set(title="Similarity to the map of the trained network", ylabel="Spearman correlation")
        score.set(title="Frame score on the trained network", ylabel="Spearman correlation")
        empty.set(
            title="Clips without a similarity, because a map is empty",
            ylim=(-0.05, 1.05),
            xlabel="randomised layer",
        )
        empty.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        empty.set_xticks(range(len(names)), names)
        for axes in panels:
            axes.grid(color="0.9")
        for axes in (similarity, score):
            axes.axhline(0, color="black", linewidth=1)
            axes.set_ylim(-1.05, 1.05)
        figure.legend(*similarity.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def agreement(table: pd.DataFrame, *, source: str) -> Figure:
    """Rank correlation of every pair of metrics, as numbers in coloured cells; each pair once.

    A metric that can be compared with none has no row; a pair that cannot, a dash.

    Parameters
    ----------
    table : columns first, second (metrics), correlation (in [-1, 1] or NaN) and clips; from
        `metrics.agreement`.
    source : where the numbers come from.

    Chapter: notebooks/17_metrics.md
    """
    _require(table, "table", "first", "second", "correlation", "clips")
    pairs = table[table["first"] != table["second"]]
    known = pairs[pairs.correlation.notna()]
    names = [name for name in pairs["first"].unique() if name in set(known["first"])]
    values = pairs.pivot(index="first", columns="second", values="correlation")
    values = values.reindex(index=names[1:], columns=names[:-1]).astype(float)
    with _picture(height=1.7 + 0.31 * max(len(names), 2), source=source) as figure:
        axes = figure.subplots()
        if not names:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "too few clips to compare metrics", horizontalalignment="center")
            return figure
        sns.heatmap(
            values.fillna(0),
            annot=values.map(_short),
            fmt="",
            annot_kws={"color": "black", "size": 10},
            mask=np.triu(np.ones(values.shape, dtype=bool), k=1),
            cmap=LinearSegmentedColormap.from_list("agreement", AGREEMENT),
            vmin=-1,
            vmax=1,
            linewidths=1,
            cbar=False,
            ax=axes,
        )
        axes.tick_params(axis="x", rotation=50, labelrotation_mode="xtick", length=0)
        axes.tick_params(axis="y", rotation=0, length=0)
        fewest, most = known.clips.min(), known.clips.max()
        clips = f"{most}" if fewest == most else f"{fewest} to {most}"
        axes.set(xlabel="", ylabel="")
        axes.set_title(f"Spearman correlation of two metrics over {clips} clips")
    return figure


def _short(correlation: float) -> str:
    """+.42, -.07 or +1: as short as a cell of `agreement` is narrow."""
    if np.isnan(correlation):
        return "–"
    return f"{correlation:+.2f}".replace("0.", ".").replace("1.00", "1")


def wins(table: pd.DataFrame, *, source: str) -> Figure:
    """How often each metric prefers Grad-CAM's map to maps that never saw the network, with intervals.

    Parameters
    ----------
    table : columns metric, rival (name of a map), share (0 to 1 or NaN), low, high (its interval) and
        clips; from `metrics.wins`. At most `len(MARKS)` rivals.
    source : where the numbers come from.

    Chapter: notebooks/17_metrics.md
    """
    _require(table, "table", "metric", "rival", "share", "low", "high", "clips")
    names = list(table.metric.unique())
    with _picture(height=1.5 + 0.36 * len(names), source=source) as figure:
        axes = figure.subplots()
        rivals = list(table.groupby("rival", sort=False))
        for row, (rival, own) in enumerate(rivals):
            color, marker, line = MARKS[row]
            y = own.metric.map(names.index) + 0.3 * (row - (len(rivals) - 1) / 2)
            axes.hlines(y, own.low, own.high, color=color, linestyle=line, linewidth=2)
            axes.plot(own.share, y, marker, color=color, ms=7, label=f"Grad-CAM above {rival}")
        axes.axvline(0.5, color="black", linewidth=1)
        fewest = table.groupby("metric").clips.min()
        axes.set_yticks(range(len(names)), [f"{name}, n = {fewest[name]}" for name in names])
        axes.set(xlabel="share of clips, 95 % interval", xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.grid(axis="x", color="0.9")
        figure.legend(loc="outside upper left", ncols=len(rivals))
    return figure


def specifications(table: pd.DataFrame, *, choices: Sequence[str], own: pd.Series, source: str) -> Figure:
    """The specification curve, and below it which choices each estimate was made with.

    Parameters
    ----------
    table : columns `choices`, estimate, low, high, null_low, null_high; see `survival.curve`.
    choices : columns that say what was chosen; those with one value are left out.
    own : (rows,), bool: the rows to be marked, the thesis's own.
    source : where the numbers come from.

    Source: Simonsohn, Simmons & Nelson 2020. Chapter: notebooks/18_specifications.md
    """
    _require(table, "table", *choices, "estimate", "low", "high", "null_low", "null_high")
    order = table["estimate"].dropna().sort_values().index
    table, own = table.loc[order].reset_index(drop=True), own.loc[order].to_numpy()
    varied = [choice for choice in choices if table[choice].nunique() > 1]
    rows = [(choice, value) for choice in varied for value in table[choice].drop_duplicates()]
    at = np.arange(len(table))
    with _picture(height=3.6 + 0.2 * len(rows), source=source) as figure:
        top, bottom = figure.subplots(2, sharex=True, height_ratios=(2.6, 0.2 * len(rows) + 0.1))
        top.fill_between(
            at, table["null_low"], table["null_high"], color="0.8", label="maps that know nothing"
        )
        top.vlines(at, table["low"], table["high"], color="0.45", linewidth=0.5, label="95 % interval")
        top.plot(at, table["estimate"], ".", color=BLUE, ms=3, label="median score")
        top.plot(at[own], table["estimate"][own], "D", color=ORANGE, mec="black", ms=7, label="as the thesis")
        top.axhline(0, color="black", linewidth=1)
        top.set(ylabel="median score of the clips", ylim=(-1, 1))
        figure.legend(*top.get_legend_handles_labels(), loc="outside upper right", ncols=4, markerscale=1.2)
        for row, (choice, value) in enumerate(rows):
            has = at[(table[choice] == value).to_numpy()]
            bottom.plot(
                has, np.full(len(has), row), "|", color=MARKS[varied.index(choice) % 4][0], ms=6, mew=0.6
            )
        bottom.set_yticks(
            range(len(rows)), [f"{choice.replace('_', ' ')}: {value}" for choice, value in rows]
        )
        bottom.tick_params(axis="y", length=0)
        bottom.set(ylim=(len(rows) - 0.4, -0.6), xlabel="specifications, lowest median first")
    return figure
