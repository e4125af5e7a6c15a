"""The planned tests of book/plan.md, and the same by group.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from helpers import study
from helpers.experiments.controls import RIVALS
from helpers.findings import statistics
from helpers.maps.nulls import NULLS

COMPARISONS = {"A": "random nodes", "B": "loudness"}  # of book/plan.md: Grad-CAM's score minus this
CEILINGS = ("ceiling in nodes", "ceiling")
LEVEL = 0.05  # of the family of planned tests
RUN = ["run", "architecture", "seed", "setting"]  # columns that say which run a row belongs to
FAMILIES = ("informed", "no better than loudness", "uninformed", "undecided")


def primary(rows: pd.DataFrame) -> pd.DataFrame:
    """The planned comparisons (book/plan.md), one row per run and comparison.

    Parameters
    ----------
    rows : controls of some runs, a row per clip: columns `RUN`, recording, "Grad-CAM" and the values of
        `COMPARISONS` (scores, -1 to 1, NaN where a clip has none).

    Returns
    -------
    Columns `RUN`, comparison (A or B), minus (what), those of `statistics.difference`, and p_holm: corrected
    over the rows of the first training seed, which are the planned family; NaN for other seeds, which repeat
    it.

    Chapter: notebooks/15_controls.md
    """
    found = []
    for key, part in rows.groupby(RUN, sort=False):
        for comparison, rival in COMPARISONS.items():
            facts = dict(zip(RUN, key, strict=True)) | {"comparison": comparison, "minus": rival}
            lead = part["Grad-CAM"] - part[rival]
            found.append(facts | statistics.difference(lead, part["recording"]))
    table = pd.DataFrame(found)
    first = (table["seed"] == 0) & table["p"].notna()
    table["p_holm"] = np.nan
    if first.any():
        table.loc[first, "p_holm"] = multipletests(table.loc[first, "p"], method="holm")[1]
    return table


def names(rows: pd.DataFrame) -> pd.Series:
    """Short names of runs, "ResNet18, 512, 0": network, hop and training seed.

    Parameters
    ----------
    rows : columns architecture, setting and seed.

    Chapter: notebooks/15_controls.md
    """
    hop = rows["setting"].str.extract(r"hop_length=(\d+)", expand=False)
    return rows["architecture"].map(study.named) + ", " + hop + ", " + rows["seed"].astype(str)


def said(rows: pd.DataFrame, *, of: str = "mean", low: str = "low", high: str = "high") -> list[str]:
    """A number and its interval in words, such as "+0.12 (-0.03 to +0.27)", row by row.

    Parameters
    ----------
    rows : columns `of`, `low` and `high`.

    Chapter: notebooks/15_controls.md
    """
    return [f"{v:+.2f} ({a:+.2f} to {b:+.2f})" for v, a, b in rows[[of, low, high]].to_numpy()]


def kinds(tests: pd.DataFrame) -> pd.DataFrame:
    """What each run's Grad-CAM maps are called by the rule of book/plan.md.

    "informed": A and B above 0; "no better than loudness": A above 0, B not; "uninformed": A not above 0.
    Above 0 means a positive mean and a corrected p below 0.05; for seeds that repeat, the uncorrected p.

    Parameters
    ----------
    tests : from `primary`.

    Returns
    -------
    One row per run: columns `RUN` and kind.

    Chapter: notebooks/15_controls.md
    """
    above = (tests["mean"] > 0) & (tests["p_holm"].fillna(tests["p"]) < LEVEL)
    wide = tests.assign(above=above).pivot(index=RUN, columns="comparison", values="above").reset_index()
    kind = np.select([wide["A"] & wide["B"], wide["A"]], FAMILIES[:2], FAMILIES[2])
    return wide[RUN].assign(kind=kind).set_index("run").loc[tests["run"].unique()].reset_index()


def verdict(kinds: pd.DataFrame, architecture: str) -> str:
    """One of `FAMILIES` for a network: what both hops of the first seed and most seeds agree on.

    Parameters
    ----------
    kinds : from `kinds`.

    Chapter: notebooks/19_answer.md
    """
    own = kinds[kinds["architecture"] == architecture]
    first = own[own["seed"] == 0]["kind"]
    if len(first) < 2 or first.nunique() > 1:
        return "undecided"
    others = own[own["seed"] > 0]["kind"]
    agree = (others == first.iloc[0]).sum() + 1
    return first.iloc[0] if agree > (len(others) + 1) / 2 else "undecided"


def inside(rows: pd.DataFrame) -> pd.DataFrame:
    """Exploratory: the same rows, their planned scores those among the frames that hold sound.

    Parameters
    ----------
    rows : controls, with the columns "Grad-CAM inside", "random nodes inside" and "loudness inside"; the
        result is for `primary`.

    Chapter: notebooks/15_controls.md
    """
    return rows.assign(**{name: rows[f"{name} inside"] for name in ("Grad-CAM", *COMPARISONS.values())})


def standing(rows: pd.DataFrame) -> pd.DataFrame:
    """Grad-CAM's frame score beside those of the other maps of the same clips, one row per map.

    Parameters
    ----------
    rows : one run's controls, with a column for every map, and "... below 0" for every null.

    Returns
    -------
    Columns map, clips (with a score), NaN, median, "below 0" (share of scores; for a null, of all its maps),
    and "Grad-CAM higher": the share of clips where Grad-CAM's score is higher (ties half; for a null, higher
    than the null's mean), with its interval low, high.

    Chapter: notebooks/15_controls.md
    """
    found = []
    for name in ("Grad-CAM", *NULLS, *RIVALS, *CEILINGS):
        values = rows[name]
        facts = {"map": name, "clips": values.notna().sum(), "NaN": values.isna().sum()}
        facts["median"] = values.median()
        below = rows[f"{name} below 0"] if f"{name} below 0" in rows else (values < 0)[values.notna()]
        facts["below 0"] = below.mean()
        if name != "Grad-CAM":
            higher = statistics.higher(rows["Grad-CAM"] - values, rows["recording"])
            facts |= {"Grad-CAM higher": higher["share"], "low": higher["low"], "high": higher["high"]}
        found.append(facts)
    return pd.DataFrame(found)


def strata(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Exploratory: Grad-CAM's score and its lead over the rivals in groups of clips, one run.

    Parameters
    ----------
    rows : one run's controls.
    classes : names by number.

    Returns
    -------
    Columns group, value, clips, recordings, median (score), then for each of `COMPARISONS` the mean
    difference "minus ..." and its interval "low ...", "high ...".

    Chapter: notebooks/15_controls.md
    """
    groups = {
        "all": np.full(len(rows), "all clips"),
        "prediction": np.where(rows["label"] == rows["predicted"], "right", "wrong"),
        "length": np.where(rows["frames"] < rows["frames"].max(), "padded more", "longest"),
        "salience": rows["salience"],
        "class": rows["label"].map(dict(enumerate(classes))),
    }
    found = []
    for group, values in groups.items():
        for value, part in rows.groupby(np.asarray(values), sort=True):
            facts = {"group": group, "value": value, "clips": len(part)}
            facts |= {"recordings": part["recording"].nunique(), "median": part["Grad-CAM"].median()}
            for rival in COMPARISONS.values():
                known = (part["Grad-CAM"] - part[rival]).fillna(0)
                low, high = statistics.interval(np.mean, known, part["recording"], draws=1000)
                facts |= {f"minus {rival}": known.mean(), f"low {rival}": low, f"high {rival}": high}
            found.append(facts)
    return pd.DataFrame(found)


def depth(rows: pd.DataFrame) -> pd.DataFrame:
    """ResNet101's frame score minus ResNet18's on the same clips, one row per setting that has both.

    Parameters
    ----------
    rows : controls: columns architecture, setting, clip, recording and "Grad-CAM".

    Returns
    -------
    Columns setting and those of `statistics.difference`.

    Chapter: notebooks/15_controls.md
    """
    found = []
    for setting, part in rows.groupby("setting", sort=False):
        wide = part.pivot(index=["clip", "recording"], columns="architecture", values="Grad-CAM")
        if {"resnet18", "resnet101"} <= set(wide):
            lead, recordings = wide["resnet101"] - wide["resnet18"], wide.index.get_level_values("recording")
            found.append({"setting": setting} | statistics.difference(lead, recordings))
    return pd.DataFrame(found)
