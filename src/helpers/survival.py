"""What survives the controls: the planned tests, strata, the specification curve, and each claim's end.

Chapter: notebooks/15_controls.md, notebooks/18_specifications.md, notebooks/19_answer.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests
from tqdm import tqdm

from helpers import specifications, statistics, study
from helpers.controls import RIVALS
from helpers.nulls import NULLS

COMPARISONS = {"A": "random nodes", "B": "loudness"}  # of book/plan.md: Grad-CAM's score minus this
CEILINGS = ("ceiling in nodes", "ceiling")
LEVEL = 0.05  # of the family of planned tests
FAMILIES = ("informed", "no better than loudness", "uninformed", "undecided")
ENDS = ("survives", "survives in part", "does not survive", "undecided", "not testable here")
# What a first-year student should take home, by `verdict`.
PLAIN = {
    "informed": "points at moments that matter to the network, better than a guess and better than loudness",
    "no better than loudness": (
        "points at moments that matter to the network better than a guess, but not better than a curve of "
        "how loud the sound is, which never saw the network"
    ),
    "uninformed": "points at moments that matter to the network no better than a guess",
    "undecided": "was not tested at both settings, or gives different answers there, so we cannot say",
}
# The same within the sound, by the settings at which Grad-CAM leads there.
WITHIN = {
    "none": "Looked at afterwards: among the moments of the sound itself, without the blank added behind "
    "it, it is no better than a guess.",
    "some": "Looked at afterwards: among the moments of the sound itself, without the blank added behind "
    "it, it is better than a guess at one setting and not at another.",
    "all": "Looked at afterwards: also among the moments of the sound itself, without the blank added "
    "behind it, it is better than a guess.",
}


def primary(rows: pd.DataFrame) -> pd.DataFrame:
    """The planned comparisons (book/plan.md), one row per run and comparison.

    Parameters
    ----------
    rows : columns run, architecture, seed, setting, fsID and those of `controls.table`; a row per clip.

    Returns
    -------
    Columns run, architecture, seed, setting, comparison (A or B), minus (what), those of
    `statistics.difference`, and p_holm: corrected over the rows of the first training seed, which are the
    planned family; NaN for other seeds, which repeat it.

    Chapter: notebooks/15_controls.md
    """
    found = []
    for key, part in rows.groupby(["run", "architecture", "seed", "setting"], sort=False):
        for comparison, rival in COMPARISONS.items():
            facts = dict(zip(("run", "architecture", "seed", "setting"), key, strict=True))
            values = part["Grad-CAM"] - part[rival]
            found.append(
                facts
                | {"comparison": comparison, "minus": rival}
                | statistics.difference(values, part["fsID"])
            )
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
    return rows["architecture"].str.replace("resnet", "ResNet") + ", " + hop + ", " + rows["seed"].astype(str)


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
    One row per run: run, architecture, seed, setting, kind.

    Chapter: notebooks/15_controls.md
    """
    above = (tests["mean"] > 0) & (tests["p_holm"].fillna(tests["p"]) < LEVEL)
    keys = ["run", "architecture", "seed", "setting"]
    wide = tests.assign(above=above).pivot(index=keys, columns="comparison", values="above").reset_index()
    kind = np.select([wide["A"] & wide["B"], wide["A"]], FAMILIES[:2], FAMILIES[2])
    order = tests["run"].unique()
    found = wide[keys].assign(kind=kind)
    return found.set_index("run").loc[order].reset_index()


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
    rows : as for `primary`, which the result is for.

    Chapter: notebooks/15_controls.md
    """
    return rows.assign(**{name: rows[f"{name} inside"] for name in ("Grad-CAM", *COMPARISONS.values())})


def standing(rows: pd.DataFrame) -> pd.DataFrame:
    """Grad-CAM's frame score beside those of the other maps of the same clips, one row per map.

    Parameters
    ----------
    rows : one run's, as for `primary`.

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
            lead = (rows["Grad-CAM"] - values).dropna()
            higher = (np.sign(lead) + 1) / 2
            facts["Grad-CAM higher"] = higher.mean()
            facts["low"], facts["high"] = statistics.share(higher, rows.loc[lead.index, "fsID"])
        found.append(facts)
    return pd.DataFrame(found)


def strata(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Exploratory: Grad-CAM's score and its lead over the rivals in groups of clips, one run.

    Parameters
    ----------
    rows : one run's, as for `primary`.
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
            facts = {"group": group, "value": value, "clips": len(part), "recordings": part["fsID"].nunique()}
            facts["median"] = part["Grad-CAM"].median()
            for rival in COMPARISONS.values():
                known = (part["Grad-CAM"] - part[rival]).fillna(0)
                low, high = statistics.interval(np.mean, known, part["fsID"], draws=1000)
                facts |= {f"minus {rival}": known.mean(), f"low {rival}": low, f"high {rival}": high}
            found.append(facts)
    return pd.DataFrame(found)


def thesis_own(table: pd.DataFrame) -> pd.Series:
    """Which rows of a curve read every open choice as this book's default does (book/choices.md).

    Parameters
    ----------
    table : columns `specifications.CHOICES` and those of the network that are there (hop_length, padding,
        scaling, seed).

    Chapter: notebooks/18_specifications.md
    """
    own = {name: values[0] for name, values in study.CHOICES.items()} | {"seed": 0}
    own |= {"effect": next(iter(specifications.EFFECTS)), "blocks": "rank", "baseline": "uniform"}
    named = [name for name in own if name in table and name != "architecture"]
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
    table : recorded specifications: from `curve`, with the columns run and those of the network.

    Returns
    -------
    One row per network: run, "below 0" with its interval low, high, and sign: "negative" (interval above one
    half), "positive" (below) or "either".

    Chapter: notebooks/18_specifications.md
    """
    own = {"layer": "layer4[-1]", "explained": "predicted", "scored": "explained", "blocks": "rank"}
    own |= {"baseline": "uniform", "effect": next(iter(specifications.EFFECTS))}
    rows = table[(table[list(own)] == pd.Series(own)).all(axis=1)]
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
    table : recorded specifications.

    Chapter: notebooks/18_specifications.md
    """
    default = {"seed": 0} | {name: study.CHOICES[name][0] for name in ("padding", "scaling")}
    own = table[(table[list(default)] == pd.Series(default)).all(axis=1)]
    below, ends = [], []
    for (architecture, hop), part in own.groupby(["architecture", "hop_length"], sort=False):
        for row in ignorance(part).to_dict("records"):
            network = architecture.replace("resnet", "ResNet")
            share = f"{row['below 0']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
            below.append(f"{share} for {network} at hop {hop}")
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


def paddings(table: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Exploratory: the estimates of networks that differ in nothing but how a clip is filled to the width.

    Parameters
    ----------
    table : recorded specifications. predictions : recorded, with columns run, label and predicted.

    Returns
    -------
    One row per padding and blocks, for the first network and every other choice as the thesis has it:
    padding, accuracy (share of the test's clips), blocks, median score (with its interval) and "maps that
    know nothing" (their null range), in words.

    Chapter: notebooks/19_answer.md
    """
    first = table[table["architecture"] == table["architecture"].iloc[0]]
    own = first[thesis_own(first.assign(padding=study.CHOICES["padding"][0], blocks="rank"))]
    right = (predictions["label"] == predictions["predicted"]).groupby(predictions["run"]).mean()
    own = own.assign(accuracy=own["run"].map(right), score=said(own, of="estimate"))
    own["maps that know nothing"] = [
        f"{a:+.2f} to {b:+.2f}" for a, b in own[["null_low", "null_high"]].values
    ]
    own = own.rename(columns={"score": "median score"}).sort_values(["blocks", "padding"], ignore_index=True)
    return own[["blocks", "padding", "accuracy", "median score", "maps that know nothing"]]


def curve(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """One row per specification, lowest estimate first.

    Parameters
    ----------
    rows : from `specifications.scores`.
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
    values, recordings = valid["score"].to_numpy(), valid["fs_id"].to_numpy()
    low, high = statistics.interval(np.median, values, recordings, draws=draws)
    found = {"clips": len(part), "nan": len(part) - len(valid)}
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
    below = (null < 0).astype(float).where(null.notna()).mean(axis=1).dropna()
    ends = statistics.share(below, part.loc[below.index, "fs_id"], draws=draws)
    quantiles = np.nanquantile(medians, [0.025, 0.5, 0.975])
    return dict(zip(names, (*quantiles, below.mean(), *ends), strict=True))


def depth(rows: pd.DataFrame) -> pd.DataFrame:
    """ResNet101's frame score minus ResNet18's on the same clips, one row per setting that has both.

    Parameters
    ----------
    rows : as for `primary`.

    Returns
    -------
    Columns setting and those of `statistics.difference`.

    Chapter: notebooks/15_controls.md
    """
    found = []
    for setting, part in rows.groupby("setting", sort=False):
        keys = ["clip", "fsID"]
        wide = part.pivot(index=keys, columns="architecture", values="Grad-CAM").reset_index()
        if {"resnet18", "resnet101"} <= set(wide):
            lead = wide["resnet101"] - wide["resnet18"]
            found.append({"setting": setting} | statistics.difference(lead, wide["fsID"]))
    return pd.DataFrame(found)


def claims(verdicts: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """What each claim of the thesis comes to, one row per claim.

    The rules. Where the scores lie: by the ledger alone, over all recorded runs; most must contradict it and
    none reproduce it for it not to survive. *Most are below 0*: also a
    majority of the network's specifications with the thesis's metric negative and below their null. Depth:
    frame scores of the same clips, at every hop, p below 0.05. The verdict: by `verdict` of both networks: it
    survives if both are uninformed, in part if they are no better than loudness, not if they are informed.

    Parameters
    ----------
    verdicts : recorded ledger. rows : recorded controls. table : recorded specifications.

    Returns
    -------
    Columns claim, statement, "before controls", end (of `ENDS`), why.

    Chapter: notebooks/19_answer.md
    """
    found = kinds(primary(rows))
    named = {name: verdict(found, name) for name in ("resnet18", "resnet101")}
    lead = depth(rows)
    made = []
    for claim, part in verdicts.groupby("claim", sort=False):
        counts = part["verdict"].value_counts()
        before = ", ".join(f"{name} in {count}" for name, count in counts.items())
        if claim.endswith("-sign"):
            end, why = _sign(counts, table[table["architecture"] == part["network"].iloc[0]])
        elif claim in ("depth", "depth-share"):
            end, why = _depth(lead)
        elif claim == "verdict":
            end, why = _verdict(named)
        else:
            end, why = _ledger(counts)
        row = {"claim": claim, "statement": part["statement"].iloc[0], "before controls": before}
        made.append(row | {"end": end, "why": why})
    return pd.DataFrame(made)


def _ledger(counts: pd.Series) -> tuple[str, str]:
    runs = counts.sum()
    if "not testable here" in counts:
        return "not testable here", "No recorded run can say it."
    if counts.get("reproduced", 0) == runs:
        return "survives", f"Reproduced in all {runs} settings."
    against = counts.get("contradicted", 0)
    if against > runs / 2 and "reproduced" not in counts:
        return "does not survive", f"Contradicted in {against} of {runs} settings, never reproduced."
    return "undecided", "The settings disagree, or their intervals are too wide."


def _sign(counts: pd.Series, table: pd.DataFrame) -> tuple[str, str]:
    own = table[(table["blocks"] == "rank") & (table["effect"] == next(iter(specifications.EFFECTS)))]
    if own.empty:
        return _ledger(counts)
    found = shares(own.assign(all="all"), by=["all"]).iloc[0]
    why = (
        f"With the thesis's metric {found['negative']:.0%} of {found['specifications']} specifications are "
        f"negative, {found['negative and below null']:.0%} negative and below their null."
    )
    if counts.get("reproduced", 0) == counts.sum() and found["negative and below null"] > 0.5:
        return "survives", why
    return (
        "does not survive" if "reproduced" not in counts and found["negative"] < 0.5 else "undecided"
    ), why


def _depth(lead: pd.DataFrame) -> tuple[str, str]:
    if lead.empty:
        return "not testable here", "No setting has both networks."
    lower = (lead["mean"] < 0) & (lead["p"] < LEVEL)
    why = "; ".join(
        f"{row['setting']}: mean difference {row['mean']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}, "
        f"p {row['p']:.3f})"
        for row in lead.to_dict("records")
    )
    end = "survives" if lower.all() else "undecided" if lower.any() else "does not survive"
    return end, f"ResNet101 minus ResNet18, frame scores of all clips. {why}."


def _verdict(named: dict[str, str]) -> tuple[str, str]:
    why = "; ".join(f"{name.replace('resnet', 'ResNet')}: {kind}" for name, kind in named.items())
    ends = dict(zip(FAMILIES, ("does not survive", "survives in part", "survives", "undecided"), strict=True))
    found = {ends[kind] for kind in named.values()}
    return (found.pop() if len(found) == 1 else "undecided"), f"Maps by the planned rule: {why}."


def plain(rows: pd.DataFrame) -> str:
    """The answer for somebody who has never seen a correlation, as Markdown: one entry per network.

    Its second sentence is exploratory: at how many settings of the first seed the lead over random maps
    is above 0 (by its interval) among the frames that hold sound.

    Parameters
    ----------
    rows : recorded controls.

    Chapter: notebooks/19_answer.md
    """
    found = kinds(primary(rows))
    within = primary(inside(rows[rows["seed"] == 0])).query("comparison == 'A'")
    lines = []
    for name in found["architecture"].unique():
        leads = within.loc[within["architecture"] == name, "low"] > 0
        where = WITHIN["all" if leads.all() else "some" if leads.any() else "none"]
        kind = PLAIN[verdict(found, name)]
        lines.append(f"- **{name.replace('resnet', 'ResNet')}**: Grad-CAM {kind}. {where}")
    return "\n".join(lines)


def sheet(verdicts: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """The answer on one page, as Markdown: in plain words, the planned tests, and what the claims come to.

    Parameters
    ----------
    As `claims`.

    Chapter: notebooks/19_answer.md
    """
    tests = primary(rows)
    lines = ["**In plain words.**", "", plain(rows), "", reading(table), ""]
    lines += ["| network | hop | Grad-CAM minus random marks | higher on | minus loudness | higher on |"]
    lines += ["|---|---|---|---|---|---|"]
    tests = tests[tests["seed"] == 0]
    tests = tests.assign(lead=said(tests))
    for (architecture, setting), part in tests.groupby(["architecture", "setting"], sort=False):
        cells = [architecture.replace("resnet", "ResNet"), setting.rpartition("=")[2]]
        for row in part.sort_values("comparison").to_dict("records"):
            cells += [row["lead"], f"{row['superiority']:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Means and 95 % intervals over {tests['clips'].max()} clips; higher on: share of clips."]
    lines += ["", "**The thesis's claims after the controls.**", ""]
    for end, part in claims(verdicts, rows, table).groupby("end", sort=False):
        lines.append(f"- *{end}*: {' '.join(part['statement'])}")
    return "\n".join(lines) + "\n"
