"""What each claim of the thesis comes to, and the answer in plain words.

Chapter: notebooks/19_answer.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from helpers import artifacts, study
from helpers.experiments import controls, scores, specifications
from helpers.findings import confirmation, curve, depth, folds, ledger, plan, readings, reference, statistics
from helpers.networks import training

ENDS = ("survives", "does not survive", "undecided", "not testable here")
# what one verdict of the ledger comes to
FROM_LEDGER = dict(zip(("reproduced", "contradicted", "undecided", "not testable here"), ENDS, strict=True))


def claims(
    verdicts: pd.DataFrame, controls: pd.DataFrame, curves: pd.DataFrame, *, trend: tuple[str, str] | None = None
) -> pd.DataFrame:
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
    trend : from `depth.verdict`, what networks of more than two depths say; None where none are there.

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
        elif claim == "depth-trend" and trend:
            end, why = FROM_LEDGER[trend[0]], trend[1]
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
    shares, negative = found["below 0"], (found["sign"] == "negative").sum()
    why = (
        f"With the thesis's own blocks {shares.min():.0%} to {shares.max():.0%} of maps that know nothing score below "
        f"0, surely more than half in {negative} of {len(found)} runs."
    )
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


def three(
    verdicts: pd.DataFrame,
    controls: pd.DataFrame,
    curves: pd.DataFrame,
    confirmed: pd.DataFrame,
    by_fold: pd.DataFrame,
) -> str:
    """The answer in three sentences, each with its numbers and what it does not say, as Markdown.

    Parameters
    ----------
    verdicts, controls, curves : as for `claims`. confirmed : controls of the second plan's runs.
    by_fold : from `folds.planned`, for the third plan's; before all its folds are there it says nothing.

    Chapter: notebooks/19_answer.md
    """
    return "\n".join([_negative(verdicts, curves), _blank(controls), _inside(confirmed), *_again(by_fold)])


def one(confirmed: pd.DataFrame) -> str:
    """The answer in one sentence, as Markdown: of how many planned kinds of network the maps know the clip.

    Parameters
    ----------
    confirmed : controls of the second plan's runs.

    Chapter: notebooks/21_confirmation.md
    """
    ends = confirmation.ends(confirmation.primary(confirmation.leads(confirmed)))
    planned = ends.loc[confirmation.names(ends).isin(confirmation.FAMILY), "end"]
    return (
        "Where there is sound, its maps rank the moments that matter better than both a guess and one curve drawn for "
        f"all clips **in {(planned == confirmation.ENDS[0]).sum()} of {len(planned)} kinds of network**, counted as "
        "planned."
    )


def _negative(verdicts: pd.DataFrame, curves: pd.DataFrame) -> str:
    own = verdicts[verdicts["claim"].str.endswith("-sign")].sort_values("value")
    least, most = (f"{r['value']:.0%} ({r['low']:.0%} to {r['high']:.0%})" for _, r in own.iloc[[0, -1]].iterrows())
    blind = curve.ignorance(curves[curves["run"].isin(own["run"])])["below 0"]
    return (
        f"1. The thesis found most scores below 0. Here that is so in **{(own['verdict'] == 'reproduced').sum()} of "
        f"{len(own)} networks**: with its own metric {least} to {most} of {own['clips'].max()} clips lie below 0. "
        "*This does not say* that the maps are right. Of maps that know nothing, this metric puts "
        f"{blind.min():.0%} to {blind.max():.0%} below 0, so its sign says little."
    )


def _blank(controls: pd.DataFrame) -> str:
    own = controls.groupby("run", sort=False)["Grad-CAM"].mean()
    beaten = {
        rival: sum(
            statistics.interval(np.mean, (part[rival] - part["Grad-CAM"]).fillna(0), part["recording"])[0] > 0
            for _, part in controls.groupby("run", sort=False)
        )
        for rival in ("mean map", "loudness")
    }
    return (
        f"2. Over all frames, Grad-CAM's maps score {own.min():+.2f} to {own.max():+.2f} on average. But **one curve "
        f"that is the same for every clip scores higher in {beaten['mean map']} of {len(own)} networks**, and how loud "
        f"the sound is in {beaten['loudness']}. *This does not say* that a map is wrong where there is sound. Behind "
        "the sound comes a blank that hardly matters to a network, and every such curve is dark there."
    )


def _inside(confirmed: pd.DataFrame) -> str:
    leads = confirmation.leads(confirmed)
    tests, groups = confirmation.primary(leads), confirmation.strata(leads)
    tests["lead"], groups["lead"] = plan.said(tests), plan.said(groups, of="lead")
    small = tests["equal"] & (tests["p_holm"] < confirmation.LEVEL)
    tests["lead"] += np.where(small, ", sure and small", "")
    ends = confirmation.ends(tests)
    tests, groups, ends = (table.assign(kind=confirmation.names(table)) for table in (tests, groups, ends))
    ends = ends[ends["kind"].isin(confirmation.FAMILY)]
    lines = []
    for kind, seeds, end in ends[["kind", "seeds", "end"]].itertuples(index=False):
        own = tests[tests["kind"] == kind].set_index("comparison")["lead"]
        apart = groups[(groups["kind"] == kind) & (groups["comparison"] == "C")].set_index("clips that are")["lead"]
        cells = [f"{kind} ({seeds})", own["A"], own["C"], apart["longest"], apart["shorter"], f"**{end}**"]
        lines.append(_row(cells))
    clips, recordings = tests[["clips", "recordings"]].max()
    knowing = (ends["end"] == confirmation.ENDS[0]).sum()
    return "\n".join(
        [
            f"3. On new sounds ({clips} clips of {recordings} recordings), only where there is sound, and by a plan "
            f"that was written before: **in {knowing} of {len(ends)} kinds of network do the maps score higher than "
            "both maps that know nothing and one curve that is the same for all clips**, as maps that know the clip "
            "should. *This does not say* what another layer, another explainer or another kind of network would do.",
            "",
            "Sentence 3 in numbers: the mean score of Grad-CAM's maps minus that of others. *Small* means nearer to 0 "
            f"than {confirmation.BOUND}; the longest and the shorter clips apart are minus one curve. "
            f"{len(ends)} of {len(confirmation.FAMILY)} planned kinds are computed.",
            "",
            _otherwise(confirmed),
            "",
            "| network, input (trained) | minus maps that know nothing | minus one curve for all clips "
            "| longest clips | shorter clips | by the rule |",
            "|---|---|---|---|---|---|",
            *lines,
        ]
    )


def _row(cells: Iterable[object]) -> str:
    """A row of a table in Markdown, in which an interval stays in one piece."""
    return f"| {' | '.join(map(str, cells))} |".replace(" to ", "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}")


def _again(by_fold: pd.DataFrame) -> list[str]:
    tests = folds.primary(by_fold)
    if tests["p"].isna().any():
        return []
    own = by_fold[by_fold["test fold"].isin(map(str, folds.PLANNED)) & (by_fold["of"] == tests["minus"].iloc[0])]
    clips, recordings = own[["clips", "recordings"]].sum()
    nothing, shared = plan.said(tests)
    return [
        "",
        f"The same question of the thesis's network on {len(own)} other folds, by a third plan: {len(own)} networks, "
        f"each tested on the fold that it did not learn from ({clips} clips of {recordings} recordings). Mean over "
        f"folds, minus maps that know nothing {nothing}, minus one curve for all clips {shared}. By the rule: "
        f"**{confirmation.end(tests)}**. This does not replace the second plan's end, in the table's first row. "
        f"{folds.how_sure(by_fold)}",
    ]


def _otherwise(confirmed: pd.DataFrame) -> str:
    found = confirmation.otherwise(confirmed)
    ways = found["counted"]
    once = found[(ways == "each recording once") & (found["end"] == confirmation.ENDS[0])]["kind"].tolist()
    alone = found[ways.str.startswith("seed ")].groupby("kind", sort=False)["C"]
    trained = "; ".join(f"{kind}: {', '.join(f'{lead:+.2f}' for lead in leads)}" for kind, leads in alone)
    which = f" ({'; '.join(once)})" if once else ""
    return (
        "*How sure is that?* Each clip counts the same, as planned, so a recording of many clips counts more. With "
        f"each recording once, which was not planned, the maps score higher than both in **{len(once)} of "
        f"{found['kind'].nunique()}** kinds{which}."
        + (f" And trainings differ. Minus one curve, each alone: {trained}." if trained else "")
    )


def summary(
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    verdicts: pd.DataFrame,
    *,
    training_folds: Iterable[int],
) -> str:
    """What several runs say of the thesis's verdict, as Markdown: a table and what it is of.

    Parameters
    ----------
    scores : a row per run, specification and clip: columns run, architecture, seed, hop_length,
        specification, score.
    predictions : of the same runs, as for `readings.accuracy`.
    verdicts : from `ledger.verdicts`, of the same runs.
    training_folds : of all runs.

    Chapter: notebooks/19_answer.md
    """
    known = {(row["claim"], row["run"]): row for row in verdicts.to_dict("records")}
    listens = readings.accuracy(predictions).set_index("run")["accuracy"]
    lines = [
        "| network | hop | seed | accuracy | scores below 0, 95% interval | median | most are below 0 |",
        "|---|---|---|---|---|---|---|",
    ]
    own = scores[scores["specification"] == ledger.SPECIFICATION]
    for run, part in own.groupby("run", sort=False):
        architecture, hop, seed = part[["architecture", "hop_length", "seed"]].iloc[0]
        row = known[f"R{architecture.removeprefix('resnet')}-sign", run]
        share = f"{row['value']:.0%} of {row['clips']} ({row['low']:.0%} to {row['high']:.0%})"
        cells = [study.named(architecture), hop, seed, f"{listens[run]:.0%}", share]
        cells += [f"{part['score'].median():+.2f}", row["verdict"]]
        lines.append(_row(cells))
    folds = " and ".join(map(str, training_folds))
    lines += [
        "",
        f"UrbanSound8K, training on folds {folds} (the thesis: nine), test on fold 10; the thesis's metric "
        "with Quantus' own random values; intervals over recordings.",
    ]
    return "\n".join(lines) + "\n"


def sheet(
    verdicts: pd.DataFrame,
    controls: pd.DataFrame,
    curves: pd.DataFrame,
    confirmed: pd.DataFrame,
    by_fold: pd.DataFrame,
    *,
    trend: tuple[str, str] | None = None,
) -> str:
    """The answer on one page, as Markdown: three sentences, and what the claims come to.

    Parameters
    ----------
    verdicts, controls, curves, confirmed, by_fold : as for `three`. trend : as for `claims`.

    Chapter: notebooks/19_answer.md
    """
    lines = [three(verdicts, controls, curves, confirmed, by_fold)]
    lines += ["", "**The thesis's claims after the controls.**", ""]
    for end, part in claims(verdicts, controls, curves, trend=trend).groupby("end", sort=False):
        lines.append(f"- *{end}*: {' '.join(part['statement'])}")
    return "\n".join(lines) + "\n"


def write() -> str:
    """Write what follows from the recorded runs, the ledger, the answer and the sheet, and give the answer."""
    every, found = reference.runs(), reference.verdicts()
    own = artifacts.across(reference.runs(controls.CONTROLS), controls.CONTROLS.read)
    curves = artifacts.across(reference.runs(curve.CURVE), curve.CURVE.read)
    artifacts.write_text(study.RECORDED / "verdicts.csv", found.to_csv(index=False))
    new = artifacts.across(reference.confirmed(), controls.CONTROLS.read)
    table = summary(
        artifacts.across(every, scores.table),
        artifacts.across(every, training.predictions),
        found,
        training_folds=every[0].training_folds,
    )
    facts = found, own, curves, new, folds.planned(every[0])
    said = f"{three(*facts)}\n\nThe networks of the first two sentences:\n\n{table}"
    artifacts.write_text(study.RECORDED / "answer.md", said)
    artifacts.write_text(study.RECORDED / "sheet.md", sheet(*facts, trend=depth.recorded()))
    return said


def show(said: str) -> None:
    """Write the answer into the README."""
    readme = study.ROOT / "README.md"
    marked = re.compile(r"(<!-- answer: .*? -->\n).*(<!-- /answer -->)", re.DOTALL)
    text = marked.sub(lambda found: f"{found[1]}{said}{found[2]}", readme.read_text())
    artifacts.write_text(readme, text)
