"""What must a map know? Scores by what a map may know, over all frames and inside the sound.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.experiments.controls import RUNGS
from helpers.findings import statistics
from helpers.maps import nulls

WHERE = {"all frames": "", "inside the sound": " inside"}
FLOOR, CEILING = "random nodes", "ceiling in nodes"  # 0 and 1 of the normalised score


def ladder(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """The mean score of every rung, all on the same clips.

    Parameters
    ----------
    rows : one run's controls (`controls.table`). draws : bootstrap samples of each interval.

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
