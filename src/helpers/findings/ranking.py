"""Which explainer's maps are the more faithful ones, and which cannot be told apart?

Chapter: notebooks/24_explainers.md
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from helpers.experiments import comparison
from helpers.findings import statistics
from helpers.findings.ladder import WHERE
from helpers.maps import nulls

INSIDE = list(WHERE)[-1]
# How each column of the table of scores asks, for `stability`; the thesis's random values first.
METRICS = {
    "U[0, 1), inside": "score inside",
    "zero, inside": "zero inside",
    "mean, inside": "mean inside",
    "neighbours, inside": "neighbours inside",
    "U[0, 1), all frames": "score",
    "SRG, all frames": "SRG",
}
# Grad-CAM's and others' areas on audio: a ResNet, 400 clips of fold 1 of ESC-50 (Kasmi et al. 2025, table 1).
PUBLISHED = pd.DataFrame(
    [
        ("Grad-CAM", 0.274, 0.201),
        ("saliency", 0.220, 0.154),
        ("integrated gradients", 0.267, 0.047),
        ("SmoothGrad", 0.251, 0.067),
    ],
    columns=["explainer", "insertion", "deletion"],
)


def named(rows: pd.DataFrame) -> pd.Series:
    """What each row's map is called: its explainer, and its layer where that is not the network's last block.

    Chapter: notebooks/24_explainers.md
    """
    first = rows["layer"].dropna().iloc[0]
    other = rows["layer"].notna() & (rows["layer"] != first)
    return rows["explainer"].where(~other, rows["explainer"] + ", " + rows["layer"].astype(str))


def twins(rows: pd.DataFrame, *, atol: float = 0.01) -> dict[str, str]:
    """Maps that score as another one on every clip, because they are the same: by name, the first of its kind.

    Parameters
    ----------
    rows : from `comparison.table`. atol : by how much the scores of a clip may differ, since sums are rounded.

    Chapter: notebooks/24_explainers.md
    """
    wide = _wide(rows, "score")
    found: dict[str, str] = {}
    names = [str(name) for name in wide.columns]
    for k, name in enumerate(names):
        for other in (one for one in names[:k] if one not in found):
            if np.allclose(wide[name], wide[other], atol=atol, equal_nan=True):
                found[name] = other
                break
    return found


def ranking(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """How the maps score, the best inside the sound first.

    Parameters
    ----------
    rows : one network's scores (`comparison.table`). draws : bootstrap samples of each interval.

    Returns
    -------
    One row per map and place of `ladder.WHERE`: map, of ("a layer", "the input" or "the sound"), where, clips, NaN,
    score (mean) with its 95 % interval over recordings low, high; lead over maps that know nothing, lead_low,
    lead_high; about this clip: lead over the mean map of other recordings, about_low, about_high; normalised (median; a
    map of a layer only); seconds (median); group: letters, one for each set of maps that cannot be told apart
    (`groups`).

    Chapter: notebooks/24_explainers.md
    """
    keyed, found = rows.assign(map=named(rows)), []
    for where, suffix in WHERE.items():
        letters = groups(_wide(rows, f"score{suffix}"))
        for name, part in keyed.groupby("map", sort=False):
            score, recordings = part[f"score{suffix}"], part["recording"]
            row = {"map": name, "of": _kind(part), "where": where, "clips": len(part), "NaN": int(score.isna().sum())}
            parts = {
                "score": score,
                "lead": score - part[f"random{suffix}"],
                "about": score - part[f"mean map{suffix}"],
            }
            for head, values in parts.items():
                known = values.notna()
                low, high = statistics.interval(np.mean, values[known], recordings[known], draws=draws)
                ends = ("low", "high") if head == "score" else (f"{head}_low", f"{head}_high")
                row |= {head: values.mean(), ends[0]: low, ends[1]: high}
            scaled = nulls.normalised(score, part[f"random{suffix}"], part[f"ceiling{suffix}"])
            row |= {"normalised": pd.Series(scaled).median(), "seconds": part["seconds"].median()}
            found.append(row | {"group": letters[str(name)]})
    order = pd.DataFrame(found)
    inside = order[order["where"] == INSIDE].set_index("map")["score"]
    return order.assign(inside=order["map"].map(inside)).sort_values(
        ["where", "inside"], ascending=[True, False], kind="stable", ignore_index=True
    )


def _kind(part: pd.DataFrame) -> str:
    if part["explainer"].iloc[0] == comparison.SOUND:
        return "the sound"
    return "the input" if part["ceiling"].isna().all() else "a layer"


def _wide(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row per clip, one column per map, in the order of the rows."""
    keyed = rows.assign(map=named(rows))
    return keyed.pivot(index="clip", columns="map", values=column)[keyed["map"].unique()]


def groups(scores: pd.DataFrame, *, turns: int = 9999, level: float = 0.05, seed: int = 0) -> dict[str, str]:
    """Which maps cannot be told apart: letters shared by neighbours in rank of which no pair differs.

    Every pair is tested by turning the signs of its differences at random (one clip is one recording), p-values
    corrected by Holm. To share a letter is no proof of being equal.

    Parameters
    ----------
    scores : (clips, maps), NaN where a map has none; a pair is tested on the clips that both have.
    turns : of each test. level : of all tests together. seed : of the turns.

    Returns
    -------
    By map one or more letters, the best group first.

    Source: Piepho 2004 (letters), Ernst 2004 (permutation tests). Chapter: notebooks/24_explainers.md
    """
    order = scores.mean().sort_values(ascending=False).index
    pairs = list(itertools.combinations(range(len(order)), 2))
    values = scores[order].to_numpy()
    apart = np.stack([values[:, a] - values[:, b] for a, b in pairs], axis=1)
    apart = np.where(np.isfinite(apart), apart, 0).round(9)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(turns, len(apart)))
    extreme = np.abs(signs @ apart) >= np.abs(apart.sum(axis=0)) - 1e-9
    p = (1 + extreme.sum(axis=0)) / (1 + turns)
    differs = {pair for pair, sure in zip(pairs, multipletests(p, level, method="holm")[0], strict=True) if sure}
    letters = dict.fromkeys(map(str, order), "")
    for letter, run in zip("abcdefghijklmnopqrstuvwxyz", _runs(len(order), differs), strict=False):
        for k in run:
            letters[str(order[k])] += letter
    return letters


def _runs(count: int, differs: set[tuple[int, int]]) -> Iterator[range]:
    """The longest stretches of 0 .. count - 1 in which no pair differs."""
    end = 0
    for first in range(count):
        last = first
        while last + 1 < count and not any((k, last + 1) in differs for k in range(first, last + 1)):
            last += 1
        if last + 1 > end:
            yield range(first, last + 1)
            end = last + 1


def stability(rows: pd.DataFrame, *, draws: int = 200) -> pd.DataFrame:
    """Do other ways to ask rank the explainers alike? Kendall's correlation of two rankings, for every pair.

    Maps that are the same as another (`twins`) count once.

    Returns
    -------
    One row per pair: first, second (`METRICS`), correlation (of the mean scores, -1 to 1) with its 95 % interval over
    recordings low, high; clips.

    Source: Kendall 1938. Chapter: notebooks/24_explainers.md
    """
    kept = [name for name in named(rows).unique() if name not in twins(rows)]
    scores = np.stack([_wide(rows, column)[kept].to_numpy() for column in METRICS.values()], axis=2)
    recordings = rows.drop_duplicates("clip").sort_values("clip")["recording"].to_numpy()
    found = []
    for a, b in itertools.combinations(range(len(METRICS)), 2):
        pair = scores[:, :, [a, b]]
        low, high = statistics.interval(_tau, pair, recordings, draws=draws)
        names = list(METRICS)
        facts = {"first": names[a], "second": names[b], "correlation": _tau(pair), "low": low, "high": high}
        found.append(facts | {"clips": len(pair)})
    return pd.DataFrame(found)


def _tau(pair: np.ndarray) -> float:
    means = np.nanmean(pair, axis=0)
    return float(stats.kendalltau(*means.T).statistic)


def said(found: pd.DataFrame) -> str:
    """One sentence: which maps lead inside the sound, and which are no better than maps that know nothing.

    Parameters
    ----------
    found : from `ranking`.

    Chapter: notebooks/24_explainers.md
    """
    inside = found[found["where"] == INSIDE]
    best = inside.iloc[0]
    others = [name for name, group in zip(inside["map"], inside["group"], strict=True) if set(group) & set(best.group)]
    others.remove(best["map"])
    above, below = inside[inside["lead_low"] > 0], inside[inside["lead_high"] < 0]
    unsure = inside[(inside["lead_low"] <= 0) & (inside["lead_high"] >= 0)]
    own = inside[inside["map"] == comparison.OWN].iloc[0]
    rank = int((inside["score"] > own["score"] + 1e-9).sum()) + 1
    return (
        f"Inside the sound **{best['map']}** scores highest on average ({best['score']:+.2f}); "
        f"{_together(others)} "
        f"{len(above)} of {len(inside)} kinds of map score above maps that know nothing, {len(below)} below them, and "
        f"for {len(unsure)} that is undecided. Grad-CAM of the last block scores {own['score']:+.2f} and "
        f"is number {rank}."
    )


def _together(names: Sequence[str]) -> str:
    if not names:
        return "every other map can be told apart from it."
    listed = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    return f"{listed if len(names) < 5 else f'{len(names)} others'} cannot be told apart from it."
