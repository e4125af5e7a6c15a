"""Figures of sounds, their representations and their maps.

Chapter: notebooks/01_introduction.md to notebooks/06_explanations.md; each function names its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter
from numpy.typing import ArrayLike
from scipy import signal

from helpers import InputError
from helpers.show import style


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
    mfcc = style.matrix(mfcc, "mfcc")
    if len(maps) != len(classes):
        raise InputError(f"maps holds {len(maps)} maps for {len(classes)} classes; give one each")
    maps = [
        style.importance(values, f"map of {name}", like=mfcc)
        for name, values in zip(classes, maps, strict=True)
    ]
    start, end = _padding(mfcc, sounding_frames, seconds_per_frame=seconds_per_frame)
    spans = {name: np.reshape(pairs, (-1, 2)) for name, pairs in (events or {}).items()}
    heights = ([0.45] if spans else []) + [1] * (1 + len(maps))
    with style.picture(height=0.8 + 1.45 * sum(heights), source=source) as figure:
        panels = list(figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        if spans:
            truth = panels.pop(0)
            for row, pairs in enumerate(spans.values()):
                color, hatch = style.MARKS[row % len(style.MARKS)][0], ("//", "..", "xx")[row % 3]
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
    mfcc = style.matrix(mfcc, "mfcc")
    samples = style.matrix(np.atleast_2d(np.asarray(waveform)), "waveform")
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
    with style.picture(height=6, source=source) as figure:
        top, middle, bottom = figure.subplots(3, sharex=True)
        figure.suptitle(title)
        top.plot(np.arange(len(samples)) / rate, samples, color=style.BLUE, linewidth=0.5)
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
    style.require(slices, "slices", "class", "salience", "slices")
    counts = slices.pivot_table(
        index="class", columns="salience", values="slices", aggfunc="sum", fill_value=0
    ).reindex(columns=["foreground", "background"], fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    total = counts.sum(axis=1)
    with style.picture(height=1.4 + 0.36 * len(counts), source=source) as figure:
        axes = figure.subplots()
        axes.barh(counts.index, counts.foreground, color=style.BLUE, label="foreground")
        background = axes.barh(
            counts.index,
            counts.background,
            left=counts.foreground,
            facecolor="white",
            edgecolor=style.BLUE,
            hatch="///",
            label="background",
        )
        written = [f"{f} + {b} = {f + b}" for f, b in zip(*counts.to_numpy().T, strict=True)]
        axes.bar_label(background, written, padding=4)
        axes.set(xlabel="clips (foreground + background = all)", xlim=(0, 1.28 * total.max()))
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper right", ncols=2)
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
    mfcc = style.matrix(mfcc, "mfcc")
    map = style.importance(map, "map", like=mfcc)
    start, end = _padding(mfcc, sounding_frames, seconds_per_frame=seconds_per_frame)
    with style.picture(height=5.4, source=source) as figure:
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
