"""Does depth make maps less faithful, or how far a node sees?

Chapter: notebooks/27_depth.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.special import softmax

from helpers import study
from helpers.experiments import comparison, controls
from helpers.findings import ledger, readings, reference, statistics
from helpers.maps import nulls
from helpers.networks import models, training
from helpers.study import Run

# what the table of the comparison calls the columns of the controls
_AS_COMPARED = {
    "Grad-CAM inside": "score inside",
    "random nodes inside": "random inside",
    "ceiling in nodes inside": "ceiling inside",
}
STAGE = re.compile(r"^layer(\d)\[-1\]$")
OTHER = "resnet18-narrow"  # as deep as its twin, but its nodes see less


def layers_of(architecture: str) -> int:
    """How many layers a ResNet's name says.

    Chapter: notebooks/27_depth.md
    """
    return int(re.sub(r"\D", "", architecture) or 0)


def networks(run: Run) -> list[Run]:
    """The ResNets that are set side by side: of a recorded run all recorded ones on MFCCs, else the run's own.

    Those whose layers are compared come first. Then those whose last block alone is recorded, with the controls, where
    they learned and were tested as the first did.

    Chapter: notebooks/27_depth.md
    """
    first = [one for one in reference.anywhere(run, comparison.COMPARISON) if _compared(one)]
    others = [one for one in reference.beside(first[0], controls.CONTROLS) if _compared(one)]
    there = {one.key for one in first}
    return first + [one for one in others if one.key not in there and _as(one) == _as(first[0])]


def _as(run: Run) -> dict[str, Any]:
    """How a network learned and is asked, but for its depth and its seed."""
    asked = {*training.NETWORK.closure, "test_fold", "explainer", "explained"} - {"architecture", "seed"}
    return {name: getattr(run, name) for name in asked}


def waiting(runs: list[Run]) -> list[str]:
    """Networks of the recorded study that belong here and are not computed yet, by name and seed.

    Chapter: notebooks/27_depth.md
    """
    asked = zip(study.study("reference"), study.entries(), strict=True)
    named = {one.key: one for entry, one in asked if "comparison" in entry.get("also", []) and _compared(one)}
    there = {one.key for one in runs if comparison.COMPARISON.there(one)}
    return [f"{one.name}, seed {one.seed}" for key, one in named.items() if key not in there]


def _compared(run: Run) -> bool:
    return run.architecture.startswith("resnet") and run.representation == "mfcc"


def scores(runs: list[Run]) -> pd.DataFrame:
    """Grad-CAM's scores at the last block of every stage, of networks that differ in depth alone.

    Parameters
    ----------
    runs : of ResNets, whose explainers are compared (`comparison.table`); of others the controls speak for the last
        block alone, on the same clips.

    Returns
    -------
    One row per run, stage and clip: run, architecture, depth (layers), seed, stage (1 to 4), field (frames that a node
    can see), clip, recording, score, normalised and lead (over random nodes), all three inside the sound.

    Chapter: notebooks/27_depth.md
    """
    parts: list[pd.DataFrame] = []
    for run in runs:
        if comparison.COMPARISON.there(run):
            rows = comparison.table(run)
            rows = rows[(rows["explainer"] == comparison.OWN) & rows["layer"].astype(str).str.match(STAGE)]
        else:
            rows = controls.table(run)[["clip", "recording", *_AS_COMPARED]]
            rows = rows.rename(columns=_AS_COMPARED).assign(layer=run.layer)
            rows = rows[rows["clip"].isin(parts[0]["clip"])]
        with torch.device("meta"):  # kernels and strides alone
            network = models.build(run.architecture, seed=0)
        fields = {
            layer: models.receptive_field(network, layer.removesuffix("[-1]")) for layer in rows["layer"].unique()
        }
        ends = rows["random inside"], rows["ceiling inside"]
        facts: dict[str, Any] = {
            "run": run.key,
            "architecture": run.architecture,
            "depth": layers_of(run.architecture),
            "seed": run.seed,
        }
        parts.append(
            rows[["clip", "recording"]].assign(
                **facts,
                stage=rows["layer"].str.extract(STAGE.pattern, expand=False).astype(int),
                field=rows["layer"].map(fields),
                score=rows["score inside"],
                normalised=nulls.normalised(rows["score inside"], *ends),
                lead=rows["score inside"] - rows["random inside"],
            )
        )
    return pd.concat(parts, ignore_index=True)


_MEANS: dict[str, Callable] = {"lead": np.mean, "normalised": np.median}


def table(rows: pd.DataFrame, runs: list[Run], *, draws: int = 1000) -> pd.DataFrame:
    """One row per network and stage: what its maps score, and what else differs between networks.

    Parameters
    ----------
    rows, runs : from, and as in, `scores`. draws : bootstrap samples of each interval.

    Returns
    -------
    network, seed, stage, field, architecture, depth; accuracy and confidence (mean probability of the answer) on the
    test fold; clips; lead (mean) and normalised (median) inside the sound, each with its 95 % interval over
    recordings: lead_low, lead_high, and low, high.

    Chapter: notebooks/27_depth.md
    """
    answers = {run.key: training.predictions(run) for run in runs}
    sure = {key: _confidence(found) for key, found in answers.items()}
    right = {key: readings.accuracy(found.assign(run=key)).iloc[0]["accuracy"] for key, found in answers.items()}
    found = []
    for _, part in rows.groupby(["run", "stage"], sort=False):
        key = str(part["run"].iloc[0])
        row = {"network": study.named(str(part["architecture"].iloc[0])), "seed": part["seed"].iloc[0]}
        row |= {"accuracy": right[key], "confidence": sure[key]}
        row |= {n: part[n].iloc[0] for n in ("stage", "field", "architecture", "depth")} | {"clips": len(part)}
        for name, of in _MEANS.items():
            known = part[name].dropna()
            low, high = statistics.interval(of, known, part.loc[known.index, "recording"], draws=draws)
            ends = ("low", "high") if name == "normalised" else (f"{name}_low", f"{name}_high")
            row |= {name: of(known) if len(known) else np.nan, ends[0]: low, ends[1]: high}
        found.append(row)
    return pd.DataFrame(found).sort_values(["depth", "architecture", "seed", "stage"], ignore_index=True)


def _confidence(answers: pd.DataFrame) -> float:
    return float(softmax(answers.filter(like="logit_").to_numpy(), axis=1).max(axis=1).mean())


def trends(rows: pd.DataFrame) -> pd.DataFrame:
    """Does the normalised score fall with depth at a fixed stage, or with the field at a fixed network?

    Page's test asks, clip by clip, whether the scores stand in one order. It speaks of these clips and *these*
    networks: whether other networks of the same depths would do the same, only more seeds can tell.

    Parameters
    ----------
    rows : from `scores`.

    Returns
    -------
    One row per question: along ("depth", "field", or "stage" where the field stays the same), fixed (which stage, or
    which network), steps (what is compared, in order), clips (with a score at every step), change (median over clips of
    the last step's normalised score minus the first's), low, high (its 95 % interval over recordings), falls and rises:
    p of Page's test, one-sided.

    Source: Page 1963; scipy. Chapter: notebooks/27_depth.md
    """
    usual = rows[rows["architecture"] != OTHER]
    asked: dict[tuple[str, str], tuple[pd.DataFrame, str]] = {}
    for stage in sorted(usual["stage"].unique(), reverse=True):
        asked["depth", f"stage {stage}"] = usual[usual["stage"] == stage], "depth"
    for architecture in rows.sort_values("depth")["architecture"].unique():
        asked["field", study.named(architecture)] = rows[rows["architecture"] == architecture], "field"
    narrow = rows[(rows["architecture"] == OTHER) & (rows["field"] == rows["field"].where(rows["stage"] == 4).min())]
    asked["stage", f"{study.named(OTHER)}, equal field"] = narrow, "stage"
    found = [_trend(part, step, along, fixed) for (along, fixed), (part, step) in asked.items()]
    return pd.DataFrame([row for row in found if row])


def _trend(part: pd.DataFrame, step: str, along: str, fixed: str) -> Mapping[str, object]:
    # seeds of one network count once
    wide = part.groupby(["clip", "recording", step])["normalised"].mean().unstack().dropna()
    facts = {"along": along, "fixed": fixed, "steps": ", ".join(map(str, wide.columns)), "clips": len(wide)}
    if wide.shape[1] < 2 or len(wide) < 2:
        return {}
    change = (wide.iloc[:, -1] - wide.iloc[:, 0]).to_numpy()
    low, high = statistics.interval(np.median, change, wide.index.get_level_values("recording"))
    facts |= {"change": np.median(change), "low": low, "high": high}
    if wide.shape[1] == 2:  # Page's test needs three
        p = {name: stats.wilcoxon(change, alternative=side).pvalue for name, side in _SIDES.items()}
    else:
        p = {name: stats.page_trend_test(wide.to_numpy()[:, :: 1 if name == "rises" else -1]).pvalue for name in _SIDES}
    return facts | p


_SIDES = {"falls": "less", "rises": "greater"}


def recorded() -> tuple[str, str]:
    """The `verdict` of the recorded networks.

    Chapter: notebooks/19_answer.md
    """
    return verdict(trends(scores(networks(reference.runs()[0]))))


def verdict(trend: pd.DataFrame) -> tuple[str, str]:
    """What becomes of the thesis's claim that maps are less faithful in deeper networks, and why.

    Two depths are a difference, three a trend. The claim is reproduced if, at the last stage, the change from the least
    deep network to the deepest lies surely below 0 and Page's test says that the scores fall; contradicted if the
    change lies surely above 0; else undecided.

    Parameters
    ----------
    trend : from `trends`.

    Chapter: notebooks/27_depth.md, notebooks/14_ledger.md
    """
    asked = trend[(trend["along"] == "depth") & (trend["fixed"] == "stage 4")] if len(trend) else trend
    if not len(asked) or asked.iloc[0]["steps"].count(",") < 2:
        return "not testable here", "Fewer than three depths are compared."
    row = asked.iloc[0]
    found = ledger.verdict(row["change"], row["low"], row["high"], [None, 0])
    if found == "reproduced" and row["falls"] >= _LEVEL:
        found = "undecided"
    return found, (
        f"At the last block of networks of {row['steps']} layers, the deepest "
        f"one's normalised score minus the first one's is {row['change']:+.2f} ({row['low']:+.2f} to "
        f"{row['high']:+.2f}; p of a fall along all of them {row['falls']:.3f}; {row['clips']} clips)."
    )


def narrowed(rows: pd.DataFrame) -> dict:
    """The narrow network minus its twin: as deep, but a node of its last block sees less.

    Parameters
    ----------
    rows : from `scores`.

    Returns
    -------
    As `statistics.difference`, of leads over random nodes at the last stage, where both have nodes of one shape; {}
    where one of the two is not there.

    Chapter: notebooks/27_depth.md
    """
    last = rows[rows["stage"] == rows["stage"].max()]
    wide = last.groupby(["clip", "recording", "architecture"])["lead"].mean().unstack()
    if not {OTHER, OTHER.removesuffix("-narrow")} <= set(wide):
        return {}
    lead = wide[OTHER] - wide[OTHER.removesuffix("-narrow")]
    return statistics.difference(lead, wide.index.get_level_values("recording"))


def said(found: pd.DataFrame, trend: pd.DataFrame, twin: Mapping[str, Any]) -> str:
    """What the networks say of depth and of the field, as a list; also when they say little.

    Parameters
    ----------
    found : from `table`. trend : from `trends`. twin : from `narrowed`.

    Chapter: notebooks/27_depth.md
    """
    lines = []
    for along, what in _WAYS.items():
        part = trend[trend["along"] == along] if len(trend) else trend
        for _, row in part.iterrows():
            down, up = row["falls"] < _LEVEL, row["rises"] < _LEVEL
            how = "falls" if down else "rises" if up else "neither falls nor rises surely"
            lines.append(
                f"- When {what} ({row['fixed']}, {row['steps']}), the normalised score **{how}**: "
                f"last minus first {row['change']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})."
            )
    if twin:
        sure = "is sure" if twin["p"] < _LEVEL else "is not sure, which does not make it equal to 0"
        lines.append(
            f"- With a smaller field at the same depth, the lead over random nodes changes by {twin['mean']:+.2f}; "
            f"this {sure}."
        )
    depths = found[found["architecture"] != OTHER]["depth"].nunique()
    lines.append(
        f"- {depths} {'depth is' if depths == 1 else 'depths are'} compared. "
        + ("That is no trend yet. " if depths < 3 else "")
        + "p is not corrected for the number of questions: all of this is exploratory."
    )
    return "\n".join(lines)


_LEVEL = 0.05
_WAYS = {
    "depth": "the network gets deeper",
    "field": "a node sees more, in one network",
    "stage": "the stage is a later one and a node sees no more",
}
