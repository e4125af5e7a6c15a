"""Figures of one clip over time: what a map marks, and what each moment really does to the answer.

What the functions take is said in `helpers.show.inputs`.

Chapter: notebooks/06_explanations.md, notebooks/21_confirmation.md
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from helpers import InputError
from helpers.show import inputs, style


def _shares(effects: ArrayLike, clip: inputs.Clip) -> np.ndarray:
    """Effects as shares of the largest."""
    share = np.asarray(effects, dtype=float)
    if share.shape != clip.values.shape[1:] or not np.isfinite(share).all():
        raise InputError(f"effects have shape {share.shape}, or are not finite; give one number for each frame")
    return share / share.max() if share.max() > 0 else share


def _below(axes: Axes, share: np.ndarray, *, seconds_per_frame: float) -> None:
    """The lowest panel: what replacing each moment does."""
    axes.fill_between(seconds_per_frame * np.arange(len(share)), share, step="post", color=style.BLUE)
    axes.set(title="How much the answer changes when the moment is replaced", ylim=(0, 1.05), yticks=[])
    axes.set(xlabel="time (s)", ylabel="effect")


def heard_and_seen(
    waveform: ArrayLike,
    rate: int,
    features: ArrayLike,
    map: ArrayLike,
    effects: ArrayLike,
    *,
    title: str,
    seconds_per_frame: float,
    representation: str = "mfcc",
    explainer: str = "Grad-CAM",
    source: str,
) -> Figure:
    """One clip four times over the seconds of its sound: waveform, features, map, and what each moment does.

    Parameters
    ----------
    waveform : (samples,), at `rate` Hz; the figure ends where it does.
    map : (rows, frames), importance in [0, 1]. effects : (frames,), >= 0; drawn as shares of the largest.

    Raises
    ------
    InputError
        The shapes differ, a value is not finite, or the map leaves [0, 1].

    Chapter: notebooks/06_explanations.md
    """
    clip = inputs.Clip(style.matrix(features, "features"), seconds_per_frame, representation)
    importance = style.importance(map, "map", like=clip.values)
    samples, share = np.asarray(waveform, dtype=float), _shares(effects, clip)
    with style.picture(height=5.6, source=source) as figure:
        wave, seen, marked, below = figure.subplots(4, sharex=True)
        figure.suptitle(title)
        wave.plot(np.arange(len(samples)) / rate, samples, color=style.BLUE, linewidth=0.5)
        wave.set(title="Waveform", ylabel="amplitude")
        clip.draw(seen)
        seen.set_title(clip.title)
        clip.draw_map(marked, importance)
        marked.set_title(f"{explainer} map" if importance.any() else f"{explainer} map (0 everywhere)")
        _below(below, share, seconds_per_frame=seconds_per_frame)
        below.set_xlim(0, len(samples) / rate)
    return figure


def map_over_effects(
    map: ArrayLike,
    features: ArrayLike,
    effects: ArrayLike,
    *,
    title: str,
    seconds_per_frame: float,
    sounding_frames: int | None = None,
    representation: str = "mfcc",
    explainer: str = "Grad-CAM",
    source: str,
) -> Figure:
    """A map laid over the features it explains, and below it what each moment really does to the answer.

    Parameters
    ----------
    map : (rows, frames), importance in [0, 1].
    effects : (frames,), >= 0: what replacing each frame does; drawn as shares of the largest.

    Raises
    ------
    InputError
        The shapes differ, a value is not finite, or the map leaves [0, 1].

    Chapter: notebooks/21_confirmation.md
    """
    clip = inputs.Clip(style.matrix(features, "features"), seconds_per_frame, representation)
    importance = style.importance(map, "map", like=clip.values)
    share = _shares(effects, clip)
    with style.picture(height=4.2, source=source) as figure:
        both, below = panels = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        figure.suptitle(title)
        clip.draw(both)
        image = clip.draw_map(both, importance)
        both.set_title(f"Colour: where {explainer} says that the network listened")
        _below(below, share, seconds_per_frame=seconds_per_frame)
        clip.mark_padding(panels, sounding_frames)
        inputs.scale(figure, image, panels, explainer=explainer)
    return figure
