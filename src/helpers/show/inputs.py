"""Figures of sounds, their representations and their maps.

A clip is drawn as the network is given it: rows are coefficients of an MFCC or bands, a waveform is a line; a frame
fills the time from its start to the next frame's. What several functions take:

features : (rows, frames), in the representation's units.
seconds_per_frame : hop length / sampling rate, s.
sounding_frames : number of frames that hold sound; the rest is hatched as padding.
representation, explainer : as in `Run`; what made the features and the maps.
title : what sounds, written at the top.

Chapter: notebooks/01_introduction.md to notebooks/06_explanations.md; each function names its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter
from numpy.typing import ArrayLike
from scipy import signal

from helpers import InputError
from helpers.show import style


def norm(values: np.ndarray, representation: str) -> Normalize:
    """From the values of a clip to greys, 0 to 1; of an MFCC logarithmic beyond the median size.

    Coefficient 0 is 10 to 100 times larger than the others.

    Parameters
    ----------
    values : (rows, frames).

    Chapter: notebooks/03_features.md
    """
    if representation != "mfcc":
        return Normalize(values.min(), values.max())
    sizes = np.abs(values[values != 0]) if values.any() else np.ones(1)
    limit = float(sizes.max())
    return SymLogNorm(min(float(np.median(sizes)), 0.9 * limit), vmin=-limit, vmax=limit)


@dataclass(frozen=True)
class Clip:
    """One clip's values, (rows, frames), and what its axes say."""

    values: np.ndarray
    seconds_per_frame: float
    representation: str

    @property
    def title(self) -> str:
        """What its picture is called."""
        return "MFCC" if self.representation == "mfcc" else self.representation

    @property
    def seconds(self) -> float:
        """How long it is, padding included."""
        return self.values.shape[1] * self.seconds_per_frame

    def draw(self, axes: Axes) -> AxesImage | None:
        """The values in greys; of a waveform its samples as a line, which is no image."""
        if self.representation == "waveform":
            samples = self.values.T.ravel()
            axes.plot(np.linspace(0, self.seconds, len(samples)), samples, color="0.35", linewidth=0.5)
            axes.set(ylabel=_ROWS["waveform"], xlim=(0, self.seconds), ylim=self._height)
            return None
        return self._image(axes, self.values, cmap="gray", norm=norm(self.values, self.representation))

    def draw_map(self, axes: Axes, importance: np.ndarray) -> AxesImage:
        """A map in colours, transparent where it is 0: the same scale holds alone and over the greys."""
        stops = mpl.colormaps["YlOrRd"](np.linspace(0.4, 1, 9))
        stops[:, 3] = np.linspace(0, 0.9, len(stops))
        cmap = LinearSegmentedColormap.from_list("importance", stops)
        return self._image(axes, importance, cmap=cmap, vmin=0, vmax=1)

    def _image(self, axes: Axes, values: np.ndarray, **look: Any) -> AxesImage:
        rows = len(values)
        axes.set_ylabel(_ROWS.get(self.representation, "row"))
        if self.representation != "waveform":
            axes.set_yticks([0, rows // 2, rows - 1])
        look |= {"extent": (0, self.seconds, *self._height), "interpolation": "nearest"}
        return axes.imshow(values, origin="lower", aspect="auto", **look)  # row 0 at the foot

    @property
    def _height(self) -> tuple[float, float]:
        if self.representation == "waveform":
            largest = max(float(np.abs(self.values).max()), 1e-9)
            return -largest, largest
        return -0.5, len(self.values) - 0.5

    def mark_padding(self, panels: Sequence[Axes], sounding_frames: int | None) -> None:
        """Hatches the frames that hold no sound."""
        frames = self.values.shape[1]
        sounding = frames if sounding_frames is None else sounding_frames
        if not 0 <= sounding <= frames:
            raise InputError(f"sounding_frames is {sounding}; give a number from 0 to {frames}")
        for axes in panels:
            _hatch(axes, start=sounding * self.seconds_per_frame, end=self.seconds)


# of other representations "row"
_ROWS = {"mfcc": "coefficient", "log-mel": "mel band", "spectrogram": "band", "waveform": "amplitude"}


def _hatch(axes: Axes, *, start: float, end: float) -> None:
    """Hatches the time from `start` to `end` (s), if there is any, and names it padding."""
    if end <= start:
        return
    axes.axvspan(start, end, facecolor="none", edgecolor="0.35", hatch="//", linewidth=0)
    paper = {"facecolor": "white", "edgecolor": "0.35", "boxstyle": "round"}
    middle = (start + end) / 2, sum(axes.get_ylim()) / 2
    axes.text(*middle, "padding", ha="center", va="center", bbox=paper)


def scale(figure: Figure, image: AxesImage, panels: Sequence[Axes], *, explainer: str) -> None:
    """The bar below the panels that says what a map's colours mean.

    Chapter: notebooks/06_explanations.md
    """
    bar = figure.colorbar(image, ax=panels, location="bottom", aspect=45, fraction=0.04)
    bar.set_label(f"importance in the {explainer} map (0 low, 1 high)")


def two_classes(
    features: ArrayLike,
    maps: Sequence[ArrayLike] | np.ndarray,
    *,
    classes: Sequence[str],
    seconds_per_frame: float,
    events: Mapping[str, ArrayLike] | None = None,
    sounding_frames: int | None = None,
    representation: str = "mfcc",
    explainer: str = "Grad-CAM",
    source: str,
) -> Figure:
    """One mixture of sounds, and where a map points for each class: thesis Fig. 1 for the ear.

    Parameters
    ----------
    maps : (classes, rows, frames), importance in [0, 1], one map per class.
    classes : names, in the order of `maps`.
    events : name of a sound -> its true (start, end) in s, or several such pairs.

    Raises
    ------
    InputError
        A shape or range is wrong.

    Chapter: notebooks/01_introduction.md
    """
    clip = Clip(style.matrix(features, "features"), seconds_per_frame, representation)
    if len(maps) != len(classes):
        raise InputError(f"maps holds {len(maps)} maps for {len(classes)} classes; give one each")
    pairs = zip(classes, maps, strict=True)
    named = {name: style.importance(found, f"map of {name}", like=clip.values) for name, found in pairs}
    spans = {name: np.reshape(times, (-1, 2)) for name, times in (events or {}).items()}
    heights = ([0.45] if spans else []) + [1] * (1 + len(named))
    with style.picture(height=0.8 + 1.45 * sum(heights), source=source) as figure:
        panels = list(figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        if spans:
            truth = panels.pop(0)
            for row, (times, (color, *_)) in enumerate(zip(spans.values(), cycle(style.MARKS), strict=False)):
                hatch, widths = ("//", "..", "xx")[row % 3], [(start, end - start) for start, end in times]
                truth.broken_barh(widths, (row - 0.35, 0.7), facecolor="white", edgecolor=color, hatch=hatch)
            truth.set_yticks(range(len(spans)), list(spans))
            truth.set(title="Where each sound really is", ylim=(len(spans) - 0.5, -0.5))
        clip.draw(panels[0])
        panels[0].set_title(f"The mixture ({clip.title})")
        outline = [withStroke(linewidth=3, foreground="white")]
        for axes, (name, values) in zip(panels[1:], named.items(), strict=True):
            clip.draw(axes)
            image = clip.draw_map(axes, values)
            axes.set_title(f"{explainer} for {name}")
            for edge in spans.get(name, np.empty(0)).flat:
                axes.axvline(edge, color="black", linestyle="--", path_effects=outline)
        clip.mark_padding(panels, sounding_frames)
        panels[-1].set_xlabel("time (s)")
        scale(figure, image, panels, explainer=explainer)
    return figure


def representations(
    waveform: ArrayLike | None,
    rate: int,
    *,
    features: ArrayLike,
    seconds_per_frame: float,
    representation: str = "mfcc",
    title: str,
    source: str,
) -> Figure:
    """One clip as waveform, spectrogram and what the network is given, over one time axis: thesis Fig. 3.

    Parameters
    ----------
    waveform : (samples,) or (1, samples), amplitude, full scale at 1; None where no sound is at hand: then what the
        network is given stands alone.
    rate : samples per second.
    features : (rows, frames), in the representation's units; those after the waveform are hatched as padding.

    Raises
    ------
    InputError
        The features are not one clip, or the waveform is not one channel of finite samples.

    Chapter: notebooks/01_introduction.md
    """
    clip = Clip(style.matrix(features, "features"), seconds_per_frame, representation)
    with style.picture(height=2.6 if waveform is None else 6, source=source) as figure:
        panels = figure.subplots(1 if waveform is None else 3, sharex=True, squeeze=False)[:, 0]
        bottom = panels[-1]
        if waveform is not None:
            figure.suptitle(title)
            duration = _sound(panels[0], panels[1], waveform, rate)
        image = clip.draw(bottom)
        rows, frames = clip.values.shape
        named = f"{clip.title}, {rows} × {frames} frames"
        bottom.set(title=f"{title}: {named}" if waveform is None else named, xlabel="time (s)")
        if image:
            scale = "value (log scale)" if isinstance(image.norm, SymLogNorm) else "value"
            figure.colorbar(image, ax=bottom, label=scale)
        if waveform is not None:
            _hatch(bottom, start=duration, end=clip.seconds)
            bottom.set_xlim(0, max(duration, clip.seconds))
    return figure


def _sound(top: Axes, middle: Axes, waveform: ArrayLike, rate: int) -> float:
    """Draws a sound as waveform and spectrogram; returns how long it lasts, s."""
    samples = style.matrix(np.atleast_2d(np.asarray(waveform)), "waveform")
    if len(samples) != 1:
        raise InputError(f"waveform has {len(samples)} channels; average them first")
    samples = samples[0]
    window = min(2048, len(samples))
    hertz, seconds, power = signal.spectrogram(samples, rate, nperseg=window, noverlap=window // 2, detrend=False)
    floor = 1e-8  # 80 dB below the loudest cell; also keeps digital silence off log(0)
    level = 10 * np.log10(np.maximum(power / max(power.max(), np.finfo(float).tiny), floor))
    top.plot(np.arange(len(samples)) / rate, samples, color=style.BLUE, linewidth=0.5)
    top.set(title="Waveform", ylabel="amplitude")
    # Row 0 (0 Hz) has no place on a logarithmic axis.
    mesh = middle.pcolormesh(seconds, hertz[1:], level[1:], cmap="magma", vmin=-80, vmax=0)
    middle.set(title="Spectrogram", ylabel="frequency", yscale="log", ylim=(50, rate / 2))
    middle.yaxis.set_major_formatter(EngFormatter(unit="Hz"))
    middle.figure.colorbar(mesh, ax=middle, label="level (dB re loudest)")
    return len(samples) / rate


def slices_per_class(slices: pd.DataFrame, *, source: str) -> Figure:
    """How many clips each class has, in the foreground and in the background: thesis Fig. 4.

    Parameters
    ----------
    slices : columns class, fold, salience ("foreground" or "background"), slices (count); the folds
        are added up.

    Chapter: notebooks/02_dataset.md
    """
    style.require(slices, "slices", "class", "salience", "slices")
    counts = slices.groupby(["class", "salience"])["slices"].sum().unstack(fill_value=0)
    counts = counts.reindex(columns=["foreground", "background"], fill_value=0)
    total = counts.sum(axis=1).sort_values(kind="stable")
    front, back = counts.loc[total.index].to_numpy().T
    with style.picture(height=1.4 + 0.36 * len(counts), source=source) as figure:
        axes = figure.subplots()
        axes.barh(total.index, front, color=style.BLUE, label="foreground")
        behind = axes.barh(total.index, back, left=front, facecolor="white", edgecolor=style.BLUE, hatch="///")
        behind.set_label("background")
        axes.bar_label(behind, [f"{f} + {b} = {f + b}" for f, b in zip(front, back, strict=True)], padding=4)
        axes.set(xlabel="clips (foreground + background = all)", xlim=(0, 1.28 * total.max()))
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper right", ncols=2)
    return figure


def three_bars(
    map: ArrayLike,
    features: ArrayLike,
    *,
    title: str,
    seconds_per_frame: float,
    sounding_frames: int | None = None,
    representation: str = "mfcc",
    explainer: str = "Grad-CAM",
    source: str,
) -> Figure:
    """A map, the features it explains, and both together: thesis Figs. 6 and 7.

    Parameters
    ----------
    map : (rows, frames), importance in [0, 1].

    Raises
    ------
    InputError
        The two shapes differ, a value is not finite, or the map leaves [0, 1].

    Chapter: notebooks/06_explanations.md
    """
    clip = Clip(style.matrix(features, "features"), seconds_per_frame, representation)
    importance = style.importance(map, "map", like=clip.values)
    with style.picture(height=5.4, source=source) as figure:
        alone, sound, both = panels = figure.subplots(3, sharex=True)
        figure.suptitle(title)
        image = clip.draw_map(alone, importance)
        alone.set_title(f"{explainer} map" if importance.any() else f"{explainer} map (0 everywhere)")
        clip.draw(sound)
        sound.set_title(clip.title)
        clip.draw(both)
        clip.draw_map(both, importance)
        both.set(title=f"{clip.title} with the map laid over it", xlabel="time (s)")
        clip.mark_padding(panels, sounding_frames)
        scale(figure, image, panels, explainer=explainer)
    return figure
