"""The specification curve, and the sign that ignorance gets.

Chapter: notebooks/18_specifications.md
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import study, tables
from helpers.artifacts import Artefact
from helpers.experiments import specifications
from helpers.findings import plan, statistics
from helpers.study import Run

NETWORK = ("hop_length", "padding", "scaling", "seed")  # choices that need a network of their own


def thesis_own(table: pd.DataFrame, *, but: Iterable[str] = ()) -> pd.Series:
    """Which rows of a curve read every open choice as this book's default does (book/choices.md).

    Parameters
    ----------
    table : columns `specifications.CHOICES` and, of several networks, `NETWORK`.
    but : columns that may hold anything.

    Returns
    -------
    (rows,), bool, with the table's index.

    Chapter: notebooks/18_specifications.md
    """
    own = {name: study.Run().default(name) for name in (*NETWORK, "layer", "explained", "scored")}
    own |= {"effect": next(iter(specifications.EFFECTS)), "blocks": "rank", "baseline": "uniform"}
    named = [name for name in own if name in table and name not in but]
    return (table[named] == pd.Series(own)[named]).all(axis=1)


def shares(table: pd.DataFrame, *, by: list[str]) -> pd.DataFrame:
    """Of groups of specifications: how many are negative, positive, within the null.

    Parameters
    ----------
    table : from `curve`. by : columns that make the groups.

    Returns
    -------
    The columns `by`, specifications, then shares: negative, around 0, positive (by the interval), below null,
    within null, above null (by the estimate), and negative and below null (both).

    Chapter: notebooks/18_specifications.md
    """
    signs, against = ("negative", "around 0", "positive"), ("below null", "within null", "above null")
    found = []
    for key, part in table.groupby(by, sort=False):
        facts = dict(zip(by, key, strict=True)) | {"specifications": len(part)}
        facts |= {name: (part["sign"] == name).mean() for name in signs}
        facts |= {name: (part["null_verdict"] == name).mean() for name in against}
        both = (part["sign"] == "negative") & (part["null_verdict"] == "below null")
        found.append(facts | {"negative and below null": both.mean()})
    heads = [*by, "specifications", *signs, *against, "negative and below null"]
    return pd.DataFrame(found, columns=heads)


def percentages(found: pd.DataFrame) -> pd.DataFrame:
    """The table of `shares` to read: the three shares by sign in one column, those by null in another.

    Parameters
    ----------
    found : from `shares`.

    Chapter: notebooks/18_specifications.md
    """
    groups = {"negative / around 0 / positive": ["negative", "around 0", "positive"]}
    groups["below / within / above null"] = ["below null", "within null", "above null"]
    groups["both negative and below"] = ["negative and below null"]
    kept = found.drop(columns=[name for parts in groups.values() for name in parts])
    for head, parts in groups.items():
        kept[head] = [" / ".join(f"{share:.0%}" for share in row) for row in found[parts].to_numpy()]
    return kept


def ignorance(table: pd.DataFrame) -> pd.DataFrame:
    """How often a random map of Grad-CAM's shape scores below 0 with the thesis's own blocks, per network.

    Parameters
    ----------
    table : from `curve`, of several runs.

    Returns
    -------
    One row per network: run, "below 0" with its interval low, high, and sign: "negative" (interval above one
    half), "positive" (below) or "either".

    Chapter: notebooks/18_specifications.md
    """
    rows = table[thesis_own(table, but=NETWORK)]
    names = {"null_below_0": "below 0", "null_below_0_low": "low", "null_below_0_high": "high"}
    found = rows[["run", *names]].rename(columns=names).reset_index(drop=True)
    sign = np.select([found["low"] > 0.5, found["high"] < 0.5], ["negative", "positive"], "either")
    return found.assign(sign=sign)


def reading(table: pd.DataFrame) -> str:
    """What the plan's rule says of reading a score below 0 as an unfaithful map: one paragraph of Markdown.

    By book/plan.md the reading survives if, at both hops, the interval of the share of random maps below 0
    (`ignorance`) holds one half.

    Parameters
    ----------
    table : from `curve`, of several runs.

    Chapter: notebooks/18_specifications.md
    """
    own = table[thesis_own(table, but=["hop_length"])]
    below, ends = [], []
    for (architecture, hop), part in own.groupby(["architecture", "hop_length"], sort=False):
        for row in ignorance(part).to_dict("records"):
            share = f"{row['below 0']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
            below.append(f"{share} for {study.named(str(architecture))} at hop {hop}")
            ends.append((hop, row["sign"] == "either"))
    if len({hop for hop, _ in ends}) < 2:
        end = "is undecided: not both hops are recorded"
    else:
        end = "survives" if all(either for _, either in ends) else "does not survive"
    return (
        "**The sign.** Of random maps, scored with the thesis's own blocks, this share lies below zero: "
        f"{', '.join(below) or 'not recorded'}. By the rule that was written before, reading a score below "
        f"zero as an unfaithful map {end}."
    )


def paddings(table: pd.DataFrame, predictions: pd.DataFrame, *, architecture: str = "resnet18") -> pd.DataFrame:
    """Exploratory: the estimates of networks that differ in nothing but how a clip is filled to the width.

    Parameters
    ----------
    table : from `curve`, of several runs.
    predictions : of the same runs, a row per test clip: columns run, label and predicted.

    Returns
    -------
    One row per padding and blocks, every other choice as the thesis has it: blocks, padding, accuracy (share
    of the test's clips), median score (with its interval) and "maps that know nothing" (their null range), in
    words.

    Chapter: notebooks/19_answer.md
    """
    own = table[thesis_own(table, but=["padding", "blocks"]) & (table["architecture"] == architecture)]
    right = (predictions["label"] == predictions["predicted"]).groupby(predictions["run"]).mean()
    own = own.assign(accuracy=own["run"].map(right), score=plan.said(own, of="estimate"))
    null = own[["null_low", "null_high"]].to_numpy()
    own["maps that know nothing"] = [f"{low:+.2f} to {high:+.2f}" for low, high in null]
    own = own.rename(columns={"score": "median score"}).sort_values(["blocks", "padding"], ignore_index=True)
    return own[["blocks", "padding", "accuracy", "median score", "maps that know nothing"]]


def curve(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """One row per specification, lowest estimate first.

    Parameters
    ----------
    rows : scores of one run, a row per clip and specification: columns `specifications.CHOICES`, recording,
        score and ceiling (-1 to 1, NaN where there is none), null 0, null 1, ...
    draws : bootstrap samples and null medians per specification.

    Returns
    -------
    Columns `specifications.CHOICES`; clips, nan; estimate: the median score, with its 95 % interval low,
    high; below_0: share of scores below 0; null_low, null, null_high: 2.5, 50 and 97.5 % quantiles of the
    median when each clip's map is one that knows nothing; null_below_0: share of these maps' scores below 0,
    with its interval null_below_0_low, null_below_0_high; ceiling: median; sign: "negative", "positive" or
    "around 0", by the interval; null_verdict: "below null", "within null" or "above null", by the estimate.

    Chapter: notebooks/18_specifications.md
    """
    found = [
        dict(zip(specifications.CHOICES, key, strict=True)) | _estimate(part, draws=draws)
        for key, part in tqdm(rows.groupby(specifications.CHOICES, sort=False), desc="curve", leave=False)
    ]
    return pd.DataFrame(found).sort_values("estimate", ignore_index=True)


def _estimate(part: pd.DataFrame, *, draws: int) -> dict:
    valid = part.dropna(subset="score")
    values, recordings = valid["score"].to_numpy(), valid["recording"].to_numpy()
    low, high = statistics.interval(np.median, values, recordings, draws=draws)
    found: dict[str, Any] = {"clips": len(part), "nan": len(part) - len(valid)}
    found |= {"estimate": valid["score"].median(), "low": low, "high": high}
    found |= {"below_0": (valid["score"] < 0).mean()} | _null(part, draws=draws)
    found["ceiling"] = part["ceiling"].median()
    found["sign"] = "negative" if high < 0 else "positive" if low > 0 else "around 0"
    under, over = found["estimate"] < found["null_low"], found["estimate"] > found["null_high"]
    return found | {"null_verdict": "below null" if under else "above null" if over else "within null"}


def _null(part: pd.DataFrame, *, draws: int) -> dict:
    """Where the median would lie if each clip's map were one of its maps that know nothing."""
    null = part.filter(regex=r"^null \d+$").dropna(axis=1, how="all")
    names = ("null_low", "null", "null_high", "null_below_0", "null_below_0_low", "null_below_0_high")
    if null.empty:
        return dict.fromkeys(names, np.nan)
    chosen = np.random.default_rng(0).integers(null.shape[1], size=(draws, len(null)))
    medians = np.nanmedian(null.to_numpy()[np.arange(len(null)), chosen], axis=1)
    quantiles = np.nanquantile(medians, [0.025, 0.5, 0.975])
    return dict(zip(names, (*quantiles, *_below(part, draws=draws)), strict=True))


def _below(part: pd.DataFrame, *, draws: int) -> tuple[float, float, float]:
    null = part.filter(regex=r"^null \d+$").dropna(axis=1, how="all")
    below = (null < 0).astype(float).where(null.notna()).mean(axis=1).dropna()
    return (below.mean(), *statistics.share(below, part.loc[below.index, "recording"], draws=draws))


def counted(run: Run, *, draws: int = 1000) -> pd.DataFrame:
    """The row of `ignorance` of one run, counted anew from the raw scores of its random maps (`RANK_NULLS`).

    Columns run, maps (with a score), "below 0" with its interval low, high.

    Chapter: notebooks/18_specifications.md
    """
    rows = RANK_NULLS.read(run)
    own = rows[thesis_own(rows)]
    found = dict(zip(("below 0", "low", "high"), _below(own, draws=draws), strict=True))
    return pd.DataFrame([{"run": run.key, "maps": int(own.filter(regex=r"^null \d+$").count().sum())} | found])


def _rank_nulls(run: Run, target: Path) -> None:
    rows = specifications.SPECIFICATIONS.read(run)
    null = rows.columns[rows.columns.str.fullmatch(r"null \d+")]
    rows = rows.loc[rows["blocks"] == "rank", ["clip", "recording", *specifications.CHOICES, *null]]
    rows.dropna(axis=1, how="all").to_csv(target, index=False)


def _make(run: Run, target: Path) -> None:
    curve(specifications.SPECIFICATIONS.read(run)).to_csv(target, index=False)


CURVE = Artefact(
    "curve.csv",
    make=_make,
    chapter="18_specifications",
    inputs=(specifications.SPECIFICATIONS,),
    packages=("numpy", "scipy"),
    table=tables.CURVE,
)
RANK_NULLS = Artefact(  # the raw scores behind the rule of the sign
    "rank-nulls.csv",
    make=_rank_nulls,
    chapter="18_specifications",
    inputs=(specifications.SPECIFICATIONS,),
    table=tables.RANK_NULLS,
)
