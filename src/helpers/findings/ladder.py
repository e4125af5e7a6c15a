"""What must a map know? Scores by what a map may know, over all frames and inside the sound.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from helpers.experiments.controls import RUNGS
from helpers.findings import statistics
from helpers.maps import nulls

WHERE = {"all frames": "", "inside the sound": " inside"}
FLOOR, CEILING = "random nodes", "ceiling in nodes"  # 0 and 1 of the normalised score
ONE_CURVE = "one random curve"  # the rung beside RUNGS: a map that knows nothing, but the same for every clip


def one_curve(curves: np.ndarray, effects: np.ndarray, frames: np.ndarray) -> dict[str, np.ndarray]:
    """What curves score that are the same for every clip: by luck one of them may fit the way clips are cut.

    Parameters
    ----------
    curves : (curves, frames), such as profiles of random nodes. effects : (clips, frames). frames : (clips,), int, how
        many hold sound.

    Returns
    -------
    By place of `WHERE` the mean score over clips of every curve, (curves,); clips whose effects, or curves that, are
    the same everywhere have no score and are left out; NaN for a curve that has none on any clip.

    Chapter: notebooks/15_controls.md
    """
    found = {}
    for where, ends in zip(WHERE, (np.full(len(frames), effects.shape[1]), frames), strict=True):
        scores = np.full((len(curves), len(effects)), np.nan)
        for end in np.unique(ends):  # clips of one length share the ranks of the curves
            own = ends == end
            ranks = rankdata(curves[:, :end], axis=1), rankdata(effects[own, :end], axis=1)
            scores[:, own] = 1 - cdist(*ranks, metric="correlation")
        # a curve may have no score on any clip, where it is 0 in all frames that hold sound
        found[where] = pd.DataFrame(scores).mean(axis=1).to_numpy()
    return found


def ladder(rows: pd.DataFrame, *, curves: Mapping[str, np.ndarray] | None = None, draws: int = 1000) -> pd.DataFrame:
    """The mean score of every rung, all on the same clips.

    Parameters
    ----------
    rows : one run's controls (`controls.table`). curves : from `one_curve`, a rung more: the mean over these curves,
        and where 95 of 100 of them lie. draws : bootstrap samples of each interval.

    Returns
    -------
    One row per rung of `controls.RUNGS` and place of `WHERE`: rung, knows, where, clips (with a score), NaN, score, the
    mean with its 95 % interval over recordings low, high; normalised: the median over clips of (score - random
    nodes) / (ceiling in nodes - random nodes).

    Chapter: notebooks/15_controls.md
    """
    found = []
    for where, suffix in WHERE.items():
        scale = rows[f"{FLOOR}{suffix}"], rows[f"{CEILING}{suffix}"]
        for rung, knows in RUNGS.items():
            if f"{rung}{suffix}" not in rows:  # inside the sound, sound or padding is the same everywhere
                continue
            if curves and rung == "bump":  # the first rung that is one curve for all clips
                low, high = np.nanquantile(curves[where], [0.025, 0.975])
                blind = {"rung": ONE_CURVE, "knows": knows, "where": where, "score": np.nanmean(curves[where])}
                found.append(blind | {"low": low, "high": high})
            values = rows[f"{rung}{suffix}"]
            known = values.dropna()
            low, high = statistics.interval(np.mean, known, rows.loc[known.index, "recording"], draws=draws)
            facts = {"rung": rung, "knows": knows, "where": where, "clips": len(known), "NaN": int(values.isna().sum())}
            facts |= {"score": known.mean(), "low": low, "high": high}
            found.append(facts | {"normalised": pd.Series(nulls.normalised(values, *scale)).median()})
    return pd.DataFrame(found)


def strata(rows: pd.DataFrame, rival: str, *, draws: int = 1000) -> pd.DataFrame:
    """How far Grad-CAM's score lies above a rung's, in longer and shorter clips apart: strata may disagree.

    Parameters
    ----------
    rows : one run's controls. rival : one of `controls.RUNGS`. draws : bootstrap samples.

    Returns
    -------
    One row per place and stratum: where, clips that are (padded, or as long as the input), clips, recordings, lead
    (mean; a clip without a score counts as 0) with its 95 % interval low, high.

    Chapter: notebooks/15_controls.md
    """
    length = np.where(rows["frames"] < rows["frames"].max(), "shorter", "longest")
    found = []
    for where, suffix in WHERE.items():
        if f"{rival}{suffix}" not in rows:
            continue
        lead = (rows[f"Grad-CAM{suffix}"] - rows[f"{rival}{suffix}"]).fillna(0)
        for stratum, part in lead.groupby(length):
            recordings = rows.loc[part.index, "recording"]
            low, high = statistics.interval(np.mean, part, recordings, draws=draws)
            facts = {"where": where, "clips that are": stratum, "clips": len(part), "recordings": recordings.nunique()}
            found.append(facts | {"lead": part.mean(), "low": low, "high": high})
    return pd.DataFrame(found)
