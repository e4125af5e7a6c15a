"""A network that takes every second frame again and again does not depend on all frames alike: its strides draw a grid.

Chapter: notebooks/24_explainers.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from helpers.experiments import comparison, controls
from helpers.findings import ranking, statistics
from helpers.metric import correlation
from helpers.study import Run

STRIDE = 32  # of a ResNet's five halvings: after so many frames the grid begins again
EFFECTS = "effects"


def _read(run: Run) -> dict[str, np.ndarray]:
    found = comparison.arrays(run)
    return found | {"effects": found["effects"][:, 0], "frames": controls.sounding_of(run, found["frames"])}


def phases(run: Run, *maps: str, period: int = STRIDE) -> pd.DataFrame:
    """How high frames rank inside the sound by their place in the grid, on average over clips.

    Parameters
    ----------
    maps : explainers at the run's layer, beside the effects. period : frames after which the grid begins again.

    Returns
    -------
    One row per curve and phase: of ("effects" or an explainer), phase (0 .. period - 1), rank (mean over clips of the
    mean rank of these frames; 0 lowest, 1 highest, 0.5 where the phase does not matter), with its 95 % interval over
    recordings low, high. Clips shorter than the period are left out.

    Chapter: notebooks/24_explainers.md
    """
    found, rows = _read(run), []
    long = np.flatnonzero(found["frames"] >= period)
    at = found["layers"] == run.layer
    curves = {EFFECTS: found["effects"]}
    curves |= {name: found["curves"][:, np.flatnonzero(at & (found["explainers"] == name))[0]] for name in maps}
    for name, values in curves.items():
        means = np.full((len(long), period), np.nan)
        for row, i in enumerate(long):
            n = found["frames"][i]
            ranks = (rankdata(values[i, :n]) - 0.5) / n
            means[row] = [ranks[phase::period].mean() for phase in range(period)]
        for phase in range(period):
            low, high = statistics.interval(np.mean, means[:, phase], found["recordings"][long], draws=200)
            rank = pd.Series(means[:, phase]).mean()  # NaN where no clip is long enough
            rows.append({"of": name, "phase": phase, "rank": rank, "low": low, "high": high})
    return pd.DataFrame(rows)


def curves(run: Run) -> np.ndarray:
    """For each clip one curve that knows no clip: how high frames rank among the effects of other recordings.

    Returns
    -------
    (clips, frames), float64, 0 to 1; NaN after the sound, and where no other recording is as long.

    Chapter: notebooks/24_explainers.md
    """
    found = _read(run)
    effects, frames = found["effects"], found["frames"]
    result = np.full(effects.shape, np.nan)
    for n in np.unique(frames):
        long = frames >= n
        ranks = rankdata(effects[long, :n], axis=1) / n
        for i in np.flatnonzero(frames == n):
            others = found["recordings"][long] != found["recordings"][i]
            if others.any():
                result[i, :n] = ranks[others].mean(axis=0)
    return result


def within(profile: np.ndarray, effects: np.ndarray, *, period: int = STRIDE) -> float:
    """Rank correlation among frames at the same place of the grid, where the grid says nothing.

    Parameters
    ----------
    profile, effects : (frames,), inside the sound. period : frames after which the grid begins again.

    Returns
    -------
    The mean over places with three frames or more, weighed by their number, -1 to 1; NaN where there is none.

    Chapter: notebooks/24_explainers.md
    """
    frames = np.arange(len(profile) + -len(profile) % period).reshape(-1, period).T  # a row for each place
    counts = (frames < len(profile)).sum(axis=1)
    frames, counts = np.minimum(frames, len(profile) - 1)[counts > 2], counts[counts > 2]
    scores = correlation.spearman(profile[frames], effects[frames], counts=counts)
    known = np.isfinite(scores)
    return float(np.average(scores[known], weights=counts[known])) if known.any() else np.nan


def removed(run: Run) -> pd.DataFrame:
    """What maps score inside the sound, and what is left among frames at the same place of the grid.

    Returns
    -------
    One row per map, the grid itself first: map, score (mean frame score inside the sound) with its 95 % interval over
    recordings low, high; left: the mean of `within`, with left_low, left_high; clips; long enough: clips with a value
    left.

    Chapter: notebooks/24_explainers.md
    """
    found, given, rows = _read(run), curves(run), []
    names = ranking.named(
        pd.DataFrame({"explainer": found["explainers"], "layer": found["layers"]}).replace("", np.nan)
    )
    known = [i for i in range(len(given)) if np.isfinite(given[i, 0]) and found["frames"][i] > 2]
    recordings = found["recordings"][np.array(known, dtype=int)]

    def of(name: str, values: np.ndarray) -> dict:
        pairs = []
        for i in known:
            own, v = (curve[i, : found["frames"][i]] for curve in (values, found["effects"]))
            pairs.append((correlation.frame_scores(own[None], v)[0], within(own, v)))
        row: dict = {"map": name, "clips": len(known)}
        for head, column in zip(("score", "left"), np.array(pairs, dtype=float).reshape(-1, 2).T, strict=True):
            has = np.isfinite(column)
            low, high = statistics.interval(np.mean, column[has], recordings[has], draws=1000)
            ends = ("low", "high") if head == "score" else ("left_low", "left_high")
            row |= {head: column[has].mean() if has.any() else np.nan, ends[0]: low, ends[1]: high}
        return row | {"long enough": int(has.sum())}

    rows = [of("the grid: other recordings' effects", given)]
    rows += [of(str(name), found["curves"][:, k]) for k, name in enumerate(names)]
    return pd.DataFrame([rows[0], *sorted(rows[1:], key=lambda row: -np.nan_to_num(row["left"]))])


def said(table: pd.DataFrame) -> str:
    """What the grid scores by itself, and what is left of Grad-CAM and of the best explainer that has a gradient.

    Parameters
    ----------
    table : from `removed`.

    Chapter: notebooks/24_explainers.md
    """
    grid, rows = table.iloc[0], table.iloc[1:].set_index("map")
    if np.isnan(grid["score"]):
        return "No two recordings are as long as each other: nothing can be said of the grid."
    own, best = rows.loc[comparison.OWN], rows.iloc[0]
    return (
        f"One curve that is the same for all clips, how much the frames matter in *other* recordings, scores "
        f"{grid['score']:+.2f} ({grid['low']:+.2f} to {grid['high']:+.2f}) inside the sound. "
        f"Among frames at the same place of the grid {rows.index[0]} has {best['left']:+.2f} (in all "
        f"{best['score']:+.2f}), and Grad-CAM {own['left']:+.2f} (in all {own['score']:+.2f})."
    )
