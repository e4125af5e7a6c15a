"""Which metric finds the truth: what each says of the exact map and of maps that only look like it.

Chapter: notebooks/20_known_truth.md
"""

from __future__ import annotations

import pandas as pd

from helpers.findings import statistics

# A metric is held against the truth of what it puts in a frame's place; of most that is the training mean or alike.
OWN = {
    f"MC {name}": "truth (uniform)" for name in ("uniform", "uniform inside", "rank", "patch", "cell", "coefficient")
}
OWN |= {f"MC {name}": "truth (zero)" for name in ("zero", "zero inside")}
SPOILT = ("truth reversed", "truth shifted", "truth blurred", "truth in nodes")
IMPOSTORS = ("random nodes", "loudness", "sound or padding")


def truth_of(metric: str) -> str:
    """The map that is true for a metric, by its name in `known_truth.MAPS`.

    Chapter: notebooks/20_known_truth.md
    """
    return OWN.get(metric, "truth (mean)")


def wins(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """How often each metric gives the true map more than another one, clip by clip.

    Parameters
    ----------
    rows : from `known_truth.table`, or some of them: columns metric, map, clip, recording, value.
    draws : bootstrap samples of each interval.

    Returns
    -------
    One row per metric and rival (`SPOILT` and `IMPOSTORS`): metric, rival; true, the median value of the true map; gap,
    the median lead over the rival; share of clips where the true map has more, ties counted half, with its 95 %
    interval low, high; clips where both have a value; NaN, the others.

    Chapter: notebooks/20_known_truth.md
    """
    recordings, found = rows.groupby("clip")["recording"].first(), []
    for metric, part in rows.groupby("metric", sort=False):
        wide = part.pivot(index="clip", columns="map", values="value")
        true = wide[truth_of(str(metric))]
        for rival in (*SPOILT, *IMPOSTORS):
            lead = true - wide[rival]
            facts = {"metric": metric, "rival": rival, "true": true.median(), "gap": lead.median()}
            found.append(facts | statistics.higher(lead, recordings[lead.index], draws=draws))
    return pd.DataFrame(found)


def weakest(found: pd.DataFrame) -> pd.DataFrame:
    """Each metric by the map that it takes for the truth most often, the surest metric first.

    Parameters
    ----------
    found : from `wins`.

    Returns
    -------
    One row per metric: metric, true, share (the least over the rivals) with low, high, rival (which), gap, clips, NaN.

    Chapter: notebooks/20_known_truth.md
    """
    known = found.dropna(subset="share")
    least = known.loc[known.groupby("metric", sort=False)["share"].idxmin()]
    return least.sort_values("share", ascending=False, ignore_index=True)
