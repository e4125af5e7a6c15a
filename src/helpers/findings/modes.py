"""How far a spread of scores lies from the thesis's: where its figures 8 and 9 have their modes.

Chapter: notebooks/23_slips.md
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.findings import ledger, statistics

FIGURES = {"figure 8": "resnet18", "figure 9": "resnet101"}  # of the thesis, and whose scores it shows
CHANCE = 0.05  # of samples of one spread, as many lie farther from it than "by chance"


def stated(architecture: str) -> pd.DataFrame:
    """What the thesis's text reads from a figure: low, high (scores), density (per unit of score), share (of clips).

    Where the text has a range of densities, its middle. The share is the density times the width, as if the density
    were the same all over the range; the text gives the highest, so it is at most this.

    Parameters
    ----------
    architecture : "resnet18" (thesis Fig. 8) or "resnet101" (Fig. 9).

    Chapter: notebooks/23_slips.md
    """
    known = ledger.claims()
    known = known[(known["network"] == architecture) & known["between"].notna()]
    density = [np.mean([float(number) for number in re.findall(r"\d\.?\d*", text)]) for text in known["thesis"]]
    table = pd.DataFrame(known["between"].tolist(), columns=["low", "high"]).assign(density=density)
    return table.assign(share=table["density"] * (table["high"] - table["low"]))


def places(scores: ArrayLike, ranges: pd.DataFrame) -> np.ndarray:
    """In which range each score lies, and last whether in none: (clips, ranges + 1), 0 or 1. The mean is the shares.

    Parameters
    ----------
    scores : (clips,), -1 to 1. ranges : columns low, high; they do not overlap.

    Chapter: notebooks/23_slips.md
    """
    scores = np.asarray(scores)[:, None]
    within = (scores >= ranges["low"].to_numpy()) & (scores < ranges["high"].to_numpy())
    return np.column_stack([within, ~within.any(axis=1)]).astype(float)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Which share of clips would have to change its range, for one list of shares to become the other: 0 to 1.

    Source: the total variation distance. Chapter: notebooks/23_slips.md
    """
    return float(np.abs(np.asarray(one) - other).sum() / 2)


def distances(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """How far each slip's scores lie from both figures, and how far they would by chance.

    Parameters
    ----------
    rows : columns slip, clip, recording, score. draws : bootstrap samples of each interval.

    Returns
    -------
    One row per figure (`FIGURES`) and slip, nearest first: figure, slip, clips (with a score), NaN, below 0 (share of
    the scores), median, distance (`apart` the stated shares) with its 95 % interval over recordings low, high; by
    chance: how far a sample of the slip's own scores lies from these, at most, 95 times in a hundred; could be: the
    distance is not larger than that.

    Chapter: notebooks/23_slips.md
    """
    found = []
    for figure, architecture in FIGURES.items():
        ranges = stated(architecture)
        for slip, part in rows.groupby("slip", sort=False):
            found.append({"figure": figure, "slip": slip} | _distance(part, ranges, draws=draws))
    return pd.DataFrame(found).sort_values(["figure", "distance"], kind="stable", ignore_index=True)


def _distance(rows: pd.DataFrame, ranges: pd.DataFrame, *, draws: int) -> dict:
    known = rows.dropna(subset="score")
    scores, recordings = known["score"].to_numpy(), known["recording"].to_numpy()
    facts = {"clips": len(known), "NaN": len(rows) - len(known)}
    if known.empty:
        return facts | {"distance": np.nan, "could be": False}
    lie, theirs = places(scores, ranges), np.append(ranges["share"], 1 - ranges["share"].sum())
    own = lie.mean(axis=0)
    distance = apart(own, theirs)
    low, high = statistics.interval(lambda drawn: apart(drawn.mean(axis=0), theirs), lie, recordings, draws=draws)
    _, chance = statistics.interval(
        lambda drawn: apart(drawn.mean(axis=0), own), lie, recordings, draws=draws, level=1 - 2 * CHANCE
    )
    facts |= {"below 0": (scores < 0).mean(), "median": np.median(scores)}
    return facts | {
        "distance": distance,
        "low": low,
        "high": high,
        "by chance": chance,
        "could be": bool(distance <= chance),
    }
