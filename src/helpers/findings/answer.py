"""What each claim of the thesis comes to, and the answer in plain words.

Chapter: notebooks/19_answer.md
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from helpers import study
from helpers.experiments import specifications
from helpers.findings import curve, ledger, plan, readings, statistics

ENDS = ("survives", "does not survive", "undecided", "not testable here")

# What a first-year student should take home, by `plan.verdict`.
PLAIN = {
    "informed": "maps score higher than maps that know nothing, and higher than a curve of how loud the sound is",
    "no better than loudness": (
        "maps score higher than maps that know nothing, but not higher than a curve of how loud the sound is, which "
        "never saw the network"
    ),
    "uninformed": "maps do not score higher than maps that know nothing",
    "undecided": "maps were not tested at both settings, or give different answers there, so we cannot say",
}

# The same inside the sound, by the settings at which Grad-CAM leads there.
WITHIN = {
    "none": "inside the sound, without the blank added behind it, no lead over maps that know nothing was found at any "
    "setting, which does not show that there is none",
    "some": "inside the sound, without the blank added behind it, they lead over maps that know nothing at one setting "
    "and not at another",
    "all": "also inside the sound, without the blank added behind it, they lead over maps that know nothing",
}


def claims(verdicts: pd.DataFrame, controls: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """What each claim of the thesis comes to, one row per claim.

    The rules follow the claims' own words. Where the scores lie, and the shares of two networks: by the ledger alone,
    over all runs; most must contradict it and none reproduce it for it not to survive. *Most are below 0*: also a
    majority of the network's specifications with the thesis's metric negative and below their null. Depth: frame
    scores of the same clips, at every hop, p below 0.05. *Negative scores show a failure*: not where maps that know
    nothing are negative too (`curve.ignorance`). The verdict, *unfaithful, because most scores are negative*: it
    stands with its reason, so it is what the two claims on the sign come to; what the maps are worth by the planned
    tests is said beside it.

    Parameters
    ----------
    verdicts : from `ledger.verdicts`.
    controls : of several runs, as for `plan.primary` and `plan.depth`.
    curves : from `curve.curve`, of several runs.

    Returns
    -------
    Columns claim, statement, "before controls", end (of `ENDS`), why.

    Chapter: notebooks/19_answer.md
    """
    found = plan.kinds(plan.primary(controls))
    named = {name: plan.verdict(found, name) for name in ("resnet18", "resnet101")}
    lead = plan.depth(controls)
    made = []
    for claim, part in verdicts.groupby("claim", sort=False):
        counts = part["verdict"].value_counts()
        before = ", ".join(f"{name} in {count}" for name, count in counts.items())
        if str(claim).endswith("-sign"):
            end, why = _sign(counts, curves[curves["architecture"] == part["network"].iloc[0]])
        elif claim == "depth":
            end, why = _depth(lead)
        elif claim == "failure-mode":
            end, why = _failure(curves)
        elif claim == "verdict":
            signs = verdicts[verdicts["claim"].astype(str).str.endswith("-sign")]
            end, why = _verdict(signs.groupby("claim")["verdict"].value_counts(), named)
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


def _sign(counts: pd.Series, curves: pd.DataFrame) -> tuple[str, str]:
    own = curves[(curves["blocks"] == "rank") & (curves["effect"] == next(iter(specifications.EFFECTS)))]
    if own.empty:
        return _ledger(counts)
    found = curve.shares(own.assign(all="all"), by=["all"]).iloc[0]
    why = (
        f"With the thesis's metric {found['negative']:.0%} of {found['specifications']} specifications are "
        f"negative, {found['negative and below null']:.0%} negative and below their null."
    )
    if counts.get("reproduced", 0) == counts.sum() and found["negative and below null"] > 0.5:
        return "survives", why
    never = "reproduced" not in counts and found["negative"] < 0.5
    return ("does not survive" if never else "undecided"), why


def _depth(lead: pd.DataFrame) -> tuple[str, str]:
    if lead.empty:
        return "not testable here", "No setting has both networks."
    lower = (lead["mean"] < 0) & (lead["p"] < plan.LEVEL)
    why = "; ".join(
        f"{row['setting']}: mean difference {row['mean']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}, "
        f"p {row['p']:.3f})"
        for row in lead.to_dict("records")
    )
    end = "survives" if lower.all() else "undecided" if lower.any() else "does not survive"
    return end, f"ResNet101 minus ResNet18, frame scores of all clips. {why}."


def _failure(curves: pd.DataFrame) -> tuple[str, str]:
    found = curve.ignorance(curves) if len(curves) else curves
    if found.empty:
        return "not testable here", "No recorded run has the scores of maps that know nothing."
    shares = ", ".join(f"{row['below 0']:.0%} for {row['run']}" for row in found.to_dict("records"))
    why = f"Share of maps that know nothing with a score below 0, with the thesis's own blocks: {shares}."
    return ("does not survive" if (found["sign"] == "negative").any() else "undecided"), why


def _verdict(signs: pd.Series, named: dict[str, str]) -> tuple[str, str]:
    beside = "; ".join(f"{study.named(name)}: {kind}" for name, kind in named.items())
    ends = {_ledger(counts.droplevel(0))[0] for _, counts in signs.groupby(level=0)}
    end = ends.pop() if len(ends) == 1 else "undecided"
    why = {
        "does not survive": "Its reason is contradicted: most scores are not negative.",
        "survives": "Its reason is reproduced.",
    }.get(end, "Its reason is undecided.")
    return end, f"{why} The maps by the first plan's rule, which asks something else: {beside}."


def plain(controls: pd.DataFrame) -> str:
    """The answer for somebody who has never seen a correlation, as Markdown: one entry per network.

    All but the first sentence is exploratory: at how many settings of the first seed the lead over random maps is above
    0 (by its interval) inside the sound, and where one curve for all clips scores higher than the clip's own map.

    Parameters
    ----------
    controls : as for `claims`, with the columns of `plan.inside` and "mean map".

    Chapter: notebooks/19_answer.md
    """
    found = plan.kinds(plan.primary(controls))
    first = controls[controls["seed"] == 0]
    within = plan.primary(plan.inside(first)).query("comparison == 'A'")
    lines = []
    for name in found["architecture"].unique():
        leads = within.loc[within["architecture"] == name, "low"] > 0
        where = WITHIN["all" if leads.all() else "some" if leads.any() else "none"]
        own = first[first["architecture"] == name]
        lines.append(
            f"- **{study.named(name)}**: Grad-CAM's {PLAIN[plan.verdict(found, name)]}. Looked at afterwards: {where}. "
            f"{_fixed(own)}"
        )
    return "\n".join(lines)


def _fixed(controls: pd.DataFrame) -> str:
    """How one curve for all clips, the mean map of other recordings, compares with the clips' own maps."""
    higher = lower = 0
    for _, part in controls.groupby("run", sort=False):
        lead = (part["mean map"] - part["Grad-CAM"]).fillna(0)
        low, high = statistics.interval(np.mean, lead, part["recording"])
        higher, lower = higher + (low > 0), lower + (high < 0)
    settings = controls["run"].nunique()
    return (
        "A single curve for all clips, the mean of the network's maps of other recordings, scores higher than the "
        f"clips' own maps at {higher} of {settings} settings and lower at {lower}."
    )


def summary(
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    verdicts: pd.DataFrame,
    *,
    training_folds: Iterable[int],
    controls: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
) -> str:
    """What several runs say of the thesis's verdict, as Markdown: a table, what the controls say, the sign.

    The README, the first page and the conclusions show it.

    Parameters
    ----------
    scores : a row per run, specification and clip: columns run, architecture, seed, hop_length,
        specification, score.
    predictions : of the same runs, as for `readings.accuracy`.
    verdicts : from `ledger.verdicts`, of the same runs.
    training_folds : of all runs.
    controls, curves : as for `claims` and `plain`; without them their paragraphs are left out.

    Chapter: notebooks/10_conclusions.md
    """
    known = {(row["claim"], row["run"]): row for row in verdicts.to_dict("records")}
    listens = readings.accuracy(predictions).set_index("run")["accuracy"]
    lines = [
        "| network | hop | seed | accuracy | scores below 0, 95 % interval | median | most are below 0 |",
        "|---|---|---|---|---|---|---|",
    ]
    own = scores[scores["specification"] == ledger.SPECIFICATION]
    for run, part in own.groupby("run", sort=False):
        architecture, hop, seed = part[["architecture", "hop_length", "seed"]].iloc[0]
        row = known[f"R{architecture.removeprefix('resnet')}-sign", run]
        share = f"{row['value']:.0%} of {row['clips']} ({row['low']:.0%} to {row['high']:.0%})"
        cells = [study.named(architecture), hop, seed, f"{listens[run]:.0%}", share]
        cells += [f"{part['score'].median():+.2f}", row["verdict"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    folds = " and ".join(map(str, training_folds))
    lines += [
        "",
        f"UrbanSound8K, training on folds {folds} (the thesis: nine), test on fold 10; the thesis's metric "
        "with Quantus' own random values; intervals over recordings.",
    ]
    if controls is not None:
        lines += ["", "What the controls say, on all clips of fold 10:", "", plain(controls)]
    if curves is not None:
        lines += ["", curve.reading(curves)]
    return "\n".join(lines) + "\n"


def sheet(verdicts: pd.DataFrame, controls: pd.DataFrame, curves: pd.DataFrame) -> str:
    """The answer on one page, as Markdown: in plain words, the planned tests, and what the claims come to.

    Parameters
    ----------
    verdicts, controls, curves : as for `claims` and `plain`.

    Chapter: notebooks/19_answer.md
    """
    tests = plan.primary(controls)
    lines = ["**In plain words.**", "", plain(controls), "", curve.reading(curves), ""]
    lines += ["| network | hop | Grad-CAM minus random marks | higher on | minus loudness | higher on |"]
    lines += ["|---|---|---|---|---|---|"]
    tests = tests[tests["seed"] == 0]
    tests = tests.assign(lead=plan.said(tests))
    for (architecture, setting), part in tests.groupby(["architecture", "setting"], sort=False):
        cells = [study.named(str(architecture)), str(setting).rpartition("=")[2]]
        for row in part.sort_values("comparison").to_dict("records"):
            cells += [row["lead"], f"{row['superiority']:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Means and 95 % intervals over {tests['clips'].max()} clips; higher on: share of clips."]
    lines += ["", "**The thesis's claims after the controls.**", ""]
    for end, part in claims(verdicts, controls, curves).groupby("end", sort=False):
        lines.append(f"- *{end}*: {' '.join(part['statement'])}")
    return "\n".join(lines) + "\n"
