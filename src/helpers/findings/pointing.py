"""Do maps point at events whose times are known, and do their scores say so?

Chapter: notebooks/22_planted.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from helpers.findings import statistics

KEYS = ["clip", "level"]  # of one sound
CHANCE = "random nodes"


def summary(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """What every map scores by every metric, beside chance.

    Parameters
    ----------
    rows : from `experiments.planted.table`. draws : bootstrap samples of each interval.

    Returns
    -------
    One row per level, metric and map: level (dB, or "as generated"), metric, map, value, the mean with its 95 %
    interval over recordings low, high; over chance: on which share of sounds it is higher than the mean of random
    nodes; sounds (with a value), NaN.

    Chapter: notebooks/22_planted.md
    """
    found, keyed = [], rows.assign(level=said(rows))
    for (level, metric), part in keyed.groupby(["level", "metric"], sort=False):
        wide = part.pivot(index=[*KEYS, "recording"], columns="map", values="value")
        recordings = wide.index.get_level_values("recording").to_numpy()
        for name in rows["map"].unique():
            known = wide[name].notna().to_numpy()
            values = wide.loc[known, name]
            low, high = statistics.interval(np.mean, values, recordings[known], draws=draws)
            facts = {"level": level, "metric": metric, "map": name, "value": values.mean(), "low": low, "high": high}
            lead = statistics.higher(wide[name] - wide[CHANCE], recordings, draws=draws)["share"]
            facts["over chance"] = np.nan if name == CHANCE else lead
            found.append(facts | {"sounds": len(values), "NaN": int((~known).sum())})
    return pd.DataFrame(found, columns=_SUMMARY)  # a network that names every sound right leaves no row of some


_SUMMARY = ["level", "metric", "map", "value", "low", "high", "over chance", "sounds", "NaN"]


def said(rows: pd.DataFrame) -> pd.Series:
    """The level of each row in words: "20 dB", or "as generated".

    Chapter: notebooks/22_planted.md
    """
    return rows["level"].map(lambda level: "as generated" if np.isnan(level) else f"{level:.0f} dB").rename("level")


def agreement(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """Does the score of a Grad-CAM map say whether it points at the event? Rank correlations over sounds.

    Parameters
    ----------
    rows, draws : as in `summary`.

    Returns
    -------
    One row per localisation metric: metric, correlation (Spearman, -1 to 1) of Grad-CAM's frame score with its value
    above chance, 95 % interval over recordings low, high, sounds.

    Chapter: notebooks/22_planted.md
    """
    keyed = rows.assign(level=said(rows))
    wide = keyed.pivot(index=[*KEYS, "recording"], columns=["map", "metric"], values="value")
    recordings, found = wide.index.get_level_values("recording").to_numpy(), []
    for metric in rows["metric"].unique():
        if metric == "frame score":
            continue
        above = wide["Grad-CAM", metric] - wide[CHANCE, metric]
        pair = np.column_stack([wide["Grad-CAM", "frame score"], above])
        known = np.isfinite(pair).all(axis=1)
        low, high = statistics.interval(_rho, pair[known], recordings[known], draws=draws)
        facts = {"metric": metric, "correlation": _rho(pair[known]), "low": low, "high": high}
        found.append(facts | {"sounds": int(known.sum())})
    return pd.DataFrame(found)


def _rho(pair: np.ndarray) -> float:
    if len(pair) < 2 or (np.ptp(pair, axis=0) == 0).any():
        return np.nan
    return float(stats.spearmanr(*pair.T).statistic)
