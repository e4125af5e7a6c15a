"""The tests of the second plan (book/plan_again.md): kinds of networks, two rivals, and a bound for equal.

Chapter: notebooks/21_confirmation.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from helpers import study
from helpers.findings import statistics

RIVALS = {"A": "random nodes", "C": "mean map"}  # Grad-CAM's score minus this one's; B is the first plan's
FOLD = 3  # whose clips are the primary end point's
INSIDE = " inside"  # the primary end point: scores among the frames that hold sound
BOUND = 0.08  # of a mean lead: within it, either way, is called equal
LEVEL = 0.05  # of the family of tests of a difference, and of each test of equality
FAMILY = (  # the kinds of the primary end point: six tests, whether they are computed yet or not
    "ResNet18, MFCC, hop 1024, padded",
    "ResNet18, MFCC, hop 1024, repeated",
    "EfficientNet-Lite0, log-mel, hop 512, repeated",
)
KIND = ["architecture", "setting"]  # a kind of network: runs that differ in their training seed only
ENDS = ("about this clip", "like one curve for all clips", "below one curve for all clips", "uninformed", "undecided")


def names(rows: pd.DataFrame) -> pd.Series:
    """Short names of kinds: "ResNet18, MFCC, hop 1024, padded".

    Parameters
    ----------
    rows : columns `KIND`.

    Chapter: notebooks/21_confirmation.md
    """
    setting = rows["setting"]
    representation = setting.str.extract(r"representation=(\S+)", expand=False).fillna("MFCC")
    hop = setting.str.extract(r"hop_length=(\d+)", expand=False)
    padding = np.where(setting.str.contains("padding=repeat"), "repeated", "padded")
    return rows["architecture"].map(study.named) + ", " + representation + ", hop " + hop + ", " + padding


def leads(rows: pd.DataFrame, *, where: str = INSIDE) -> pd.DataFrame:
    """How far Grad-CAM's score lies above each rival's: per kind of network and clip, the mean over its seeds.

    Parameters
    ----------
    rows : controls of some runs (`artifacts.across`). where : " inside", or "" for all frames.

    Returns
    -------
    Columns `KIND` (the setting without its seed), clip, recording, frames, seeds, then "A" and "C": the lead over
    `RIVALS`, in which a run without a score counts as 0; nan: of how many runs this is so.

    Chapter: notebooks/21_confirmation.md
    """
    found = rows[["architecture", "clip", "recording", "frames", "seed"]].copy()
    found["setting"] = rows["setting"].str.replace(r"^seed=\d+ ", "", regex=True)
    for comparison, rival in RIVALS.items():
        found[comparison] = rows[f"Grad-CAM{where}"] - rows[f"{rival}{where}"]
    found["nan"] = found[list(RIVALS)].isna().any(axis=1)
    found = found.fillna(dict.fromkeys(RIVALS, 0.0))
    by = [*KIND, "clip", "recording", "frames"]
    how = {"seeds": ("seed", "nunique")} | {name: (name, "mean") for name in RIVALS} | {"nan": ("nan", "sum")}
    return found.groupby(by, sort=False).agg(**how).reset_index()


def primary(found: pd.DataFrame, *, bound: float = BOUND) -> pd.DataFrame:
    """The planned tests: is a lead other than 0, and is it within the bound of 0?

    Parameters
    ----------
    found : from `leads`. bound : mean leads within it, either way, are called equal.

    Returns
    -------
    One row per kind and comparison: `KIND`, seeds, comparison, minus (the rival), the columns of
    `statistics.difference`, p_holm: corrected over all tests of `FAMILY` (one that is not computed yet counts as
    failed), NaN for other kinds; inner low and inner high, the 90 % interval; equal: it lies
    within the bound, which is a test of equality at 5 %.

    Source: Holm 1979; Schuirmann 1987 (two one-sided tests). Chapter: notebooks/21_confirmation.md
    """
    made = []
    for key, part in found.groupby(KIND, sort=False):
        for comparison, rival in RIVALS.items():
            lead, recordings = part[comparison], part["recording"]
            facts = dict(zip(KIND, key, strict=True)) | {"seeds": part["seeds"].max()}
            facts |= {"comparison": comparison, "minus": rival} | statistics.difference(lead, recordings)
            low, high = statistics.interval(np.mean, lead, recordings, level=1 - 2 * LEVEL)
            facts |= {"nan": int((part["nan"] > 0).sum()), "inner low": low, "inner high": high}
            made.append(facts | {"equal": -bound < low and high < bound})
    table = pd.DataFrame(made)
    table["p_holm"] = np.nan
    planned = names(table).isin(FAMILY) & table["p"].notna()
    waiting = len(FAMILY) * len(RIVALS) - planned.sum()
    every = [*table.loc[planned, "p"], *[1.0] * waiting]
    table.loc[planned, "p_holm"] = multipletests(every, method="holm")[1][: planned.sum()]
    return table


def ends(tests: pd.DataFrame) -> pd.DataFrame:
    """What each kind's maps are called by the rule of book/plan_again.md, one of `ENDS`; outside `FAMILY` by plain p.

    Parameters
    ----------
    tests : from `primary`.

    Returns
    -------
    One row per kind: `KIND`, seeds, end.

    Chapter: notebooks/21_confirmation.md
    """
    made = []
    for key, part in tests.groupby(KIND, sort=False):
        made.append(dict(zip(KIND, key, strict=True)) | {"seeds": part["seeds"].max(), "end": end(part)})
    return pd.DataFrame(made)


def end(tests: pd.DataFrame) -> str:
    """What the maps of one kind are called, one of `ENDS`.

    A lead that is sure and within the bound at once is named by its sign, as the rule says.

    Parameters
    ----------
    tests : a row for each of `RIVALS`: comparison, mean, p, p_holm (NaN: p counts) and equal.

    Chapter: notebooks/21_confirmation.md
    """
    sure = tests["p_holm"].fillna(tests["p"]) < LEVEL
    above, below = sure & (tests["mean"] > 0), sure & (tests["mean"] < 0)
    table = tests.assign(above=above, below=below, equal=tests["equal"] & ~sure).set_index("comparison")
    a, c = (table.loc[comparison] for comparison in RIVALS)
    rules = [a["above"] & c["above"], a["above"] & c["equal"], a["above"] & c["below"], a["below"] | a["equal"]]
    return str(np.select([[rule] for rule in rules], ENDS[:4], ENDS[4])[0])


def strata(found: pd.DataFrame, *, draws: int = 5000) -> pd.DataFrame:
    """The leads in clips as long as the input allows and in shorter ones: shown apart, whether they agree or not.

    Parameters
    ----------
    found : from `leads`. draws : bootstrap samples.

    Returns
    -------
    One row per kind, comparison and stratum: `KIND`, comparison, minus, "clips that are", clips, recordings, lead with
    its 95 % interval low, high.

    Chapter: notebooks/21_confirmation.md
    """
    made = []
    most = found.groupby(KIND)["frames"].transform("max")  # a shorter hop has more frames
    length = np.where(found["frames"] < most, "shorter", "longest")
    for key, part in found.groupby([*KIND, length], sort=False):
        for comparison, rival in RIVALS.items():
            low, high = statistics.interval(np.mean, part[comparison], part["recording"], draws=draws)
            facts = dict(zip([*KIND, "clips that are"], key, strict=True)) | {"comparison": comparison, "minus": rival}
            facts |= {"clips": len(part), "recordings": part["recording"].nunique()}
            made.append(facts | {"lead": part[comparison].mean(), "low": low, "high": high})
    return pd.DataFrame(made)


def otherwise(rows: pd.DataFrame) -> pd.DataFrame:
    """Exploratory: the planned tests on leads that are counted in other ways than planned; do the ends depend on it?

    By the plan each clip counts the same, with the mean over its kind's seeds. A recording of many clips then counts
    more than one of few.

    Parameters
    ----------
    rows : controls of some runs, as for `leads`; kinds that are not in `FAMILY` are left out.

    Returns
    -------
    One row per way to count and kind: counted ("as planned"; "each recording once": with the mean over its clips;
    "only clips with a score"; "seed 0 alone" and so on, of kinds with several), kind, seeds, A and C, each with its
    95 % interval low and high, such as "A low", and p_holm; end, one of `ENDS`.

    Chapter: notebooks/21_confirmation.md
    """
    rows = rows.assign(setting=rows["setting"].str.replace(r"^seed=\d+ ", "", regex=True))
    rows = rows[names(rows).isin(FAMILY)]
    if rows.empty:
        return pd.DataFrame(columns=["counted", "kind", "seeds", "A", "C", "end"])
    planned = leads(rows)
    means = dict.fromkeys(RIVALS, "mean") | {"seeds": "max", "nan": "sum"}
    ways = {"as planned": planned}
    ways["each recording once"] = planned.groupby([*KIND, "recording"], sort=False).agg(means).reset_index()
    ways["only clips with a score"] = planned[planned["nan"] == 0]
    several = rows.groupby(KIND)["seed"].transform("nunique") > 1
    ways |= {f"seed {seed} alone": leads(part) for seed, part in rows[several].groupby("seed")}
    made = []
    for counted, found in ways.items():
        tests = primary(found)
        wide = tests.pivot(index=KIND, columns="comparison", values=["mean", "low", "high", "p_holm"])
        wide.columns = wide.columns.map(lambda two: two[1] if two[0] == "mean" else f"{two[1]} {two[0]}")
        table = ends(tests).merge(wide.reset_index(), on=KIND)
        made.append(table.assign(counted=counted, kind=names(table)).drop(columns=KIND))
    return pd.concat(made, ignore_index=True)


def few(rows: pd.DataFrame, *, random: np.random.Generator, most: int = 3) -> pd.DataFrame:
    """Of each recording at most some clips, drawn at random, the same ones in every run.

    Parameters
    ----------
    rows : controls of some runs. random : draws the clips. most : of a recording.

    Chapter: notebooks/21_confirmation.md
    """
    clips = rows[["clip", "recording"]].drop_duplicates().sort_values("clip", ignore_index=True)
    drawn = clips.loc[random.permutation(len(clips))].groupby("recording").head(most)
    return rows[rows["clip"].isin(drawn["clip"])]


def power(found: pd.DataFrame, *, recordings: int, bound: float = BOUND) -> pd.DataFrame:
    """How often the test of equality succeeds where a lead is truly 0, for leads that spread as these do.

    Parameters
    ----------
    found : from `leads`. recordings : how many the test will have. bound : as in `primary`.

    Returns
    -------
    One row per kind and comparison: `KIND`, comparison, spread (standard error of the mean lead for so many
    recordings), power, 0 to 1.

    Source: Schuirmann 1987, normal approximation. Chapter: notebooks/21_confirmation.md
    """
    made = []
    for key, part in found.groupby(KIND, sort=False):
        for comparison in RIVALS:
            low, high = statistics.interval(np.mean, part[comparison], part["recording"], draws=2000)
            scale = np.sqrt(part["recording"].nunique() / recordings)
            spread = (high - low) / 2 / stats.norm.isf((1 - statistics.LEVEL) / 2) * scale
            reach = max(2 * stats.norm.cdf(bound / spread - stats.norm.isf(LEVEL)) - 1, 0)
            facts = dict(zip(KIND, key, strict=True)) | {"comparison": comparison}
            made.append(facts | {"spread": spread, "power": reach})
    return pd.DataFrame(made)
