"""What the sanity checks and the other metrics say, as tables.

Chapter: notebooks/16_sanity.md, notebooks/17_metrics.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers import InputError
from helpers.experiments import metrics, sanity
from helpers.findings import statistics

FEWEST = 3  # clips of a correlation: two points always lie on a line


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Per check, order and layer: clips, NaN among them, median and its 95 % interval over recordings.

    Parameters
    ----------
    rows : from `sanity.table`, or some of them: columns check, order, layer, clip, recording, value.

    Returns
    -------
    Columns check, order, layer, clips, NaN, median, low, high.

    Chapter: notebooks/16_sanity.md
    """
    found = []
    for keys, part in rows.groupby(sanity.COLUMNS[:3], sort=False):
        known = part.dropna(subset="value")
        low, high = statistics.interval(np.median, known["value"], known["recording"])
        facts: dict[str, float] = {"clips": len(part), "NaN": len(part) - len(known)}
        facts |= {"median": known["value"].median(), "low": low, "high": high}
        found.append(dict(zip(sanity.COLUMNS[:3], keys, strict=True)) | facts)
    return pd.DataFrame(found)


def stages(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the cascade where a whole stage of the network is randomised; layer names the stage.

    Parameters
    ----------
    rows : one run's, as for `summary`, which the result is for.

    Chapter: notebooks/16_sanity.md
    """
    rows = rows[rows["order"] == "top_down"]
    ends = {layer.split(".")[0]: layer for layer in rows["layer"]}
    stage = rows["layer"].map({layer: stage for stage, layer in ends.items()})
    return rows.assign(layer=stage).dropna(subset="layer")


def networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Frame scores of the trained network and of those that learned nothing, each by its own effects.

    Parameters
    ----------
    rows : one run's, as for `summary`.

    Returns
    -------
    Columns reading ("trained", "untrained", "shuffled labels"), clip, recording, score.

    Chapter: notebooks/16_sanity.md
    """
    grad_cam = (rows["check"] == "score") & (rows["layer"] == "original") & (rows["order"] == "top_down")
    rows = pd.concat([rows[grad_cam], rows[rows["check"].isin(sanity.NOTHING)]])
    named = rows.assign(reading=rows["check"].replace("score", "trained"), score=rows["value"])
    return named[["reading", "clip", "recording", "score"]]


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """How far the trained network's frame scores lie above those of each network that learned nothing.

    Parameters
    ----------
    rows : one run's, as for `summary`.

    Returns
    -------
    Columns difference and those of `statistics.paired`.

    Chapter: notebooks/16_sanity.md
    """
    wide = networks(rows).pivot(index=["clip", "recording"], columns="reading", values="score").reset_index()
    return pd.DataFrame(
        {"difference": f"trained minus {name}"} | statistics.paired(wide[name], wide["trained"], wide["recording"])
        for name in sanity.NOTHING
    )


def agreement(rows: pd.DataFrame, *, map: str = metrics.MAPS[0], minus: str | None = None) -> pd.DataFrame:
    """Do two metrics put the clips in the same order? Spearman correlation for every pair of metrics.

    Parameters
    ----------
    rows : one run's, from `metrics.table`: columns metric, map, clip, recording, value.
    map : whose values are compared, one of `metrics.MAPS`.
    minus : a map whose values of the same clip are subtracted first: what belongs to the clip alone, such as
        a network that is sure of it, cancels.

    Returns
    -------
    One row per ordered pair, metrics in the order of `rows`: first, second; correlation, over the clips
    where both have a value, NaN with fewer than `FEWEST` or where one is constant; clips.

    Raises
    ------
    InputError
        A map is not in `rows`.

    Chapter: notebooks/17_metrics.md
    """
    wide = _wide(rows, map)
    if minus is not None:
        wide = wide - _wide(rows, minus)
    known = wide.notna().astype(int)
    pairs = {"correlation": wide.corr(method="spearman", min_periods=FEWEST), "clips": known.T @ known}
    return pd.DataFrame({name: pair.stack() for name, pair in pairs.items()}).reset_index(names=["first", "second"])


def wins(rows: pd.DataFrame) -> pd.DataFrame:
    """How often each metric calls Grad-CAM's map more faithful than one that never saw the network.

    Parameters
    ----------
    rows : one run's, as for `agreement`.

    Returns
    -------
    One row per metric and rival: metric, rival; share of clips where Grad-CAM's value is higher, ties
    counted half, with its 95 % interval over recordings, low and high; clips where both have a value; NaN,
    the other clips.

    Chapter: notebooks/17_metrics.md
    """
    own, recordings = _wide(rows, metrics.MAPS[0]), rows.groupby("clip")["recording"].first()
    found = []
    for metric in own:
        for rival in metrics.MAPS[1:]:
            difference = own[metric] - _wide(rows, rival)[metric]
            facts = {"metric": metric, "rival": rival}
            found.append(facts | statistics.higher(difference, recordings[difference.index]))
    return pd.DataFrame(found)


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """The table of `wins` to read: a row per metric, the share and its interval against each rival.

    Parameters
    ----------
    found : from `wins`.

    Returns
    -------
    Index metric; text for each rival; clips and NaN, counts: the fewest and the most of both rivals.

    Chapter: notebooks/17_metrics.md
    """
    text = [
        f"{share:.0%} ({low:.0%} to {high:.0%})" if share == share else "–"
        for share, low, high in found[["share", "low", "high"]].to_numpy()
    ]
    wide = found.assign(text=text).pivot(index="metric", columns="rival", values="text")
    counts = found.groupby("metric").agg({"clips": "min", "NaN": "max"})
    return wide.join(counts).loc[found["metric"].unique()]


def _wide(rows: pd.DataFrame, map: str) -> pd.DataFrame:
    """Values of one map: a row per clip, a column per metric in the order of `rows`."""
    own = rows[rows["map"] == map]
    if own.empty:
        raise InputError(f'map "{map}" is not in rows; choose from {", ".join(rows["map"].unique())}')
    return own.pivot(index="clip", columns="metric", values="value")[own["metric"].unique()]
