"""Twelve qualities of an explanation (Co-12): a number from the recorded results for each that has one, or why not.

Chapter: notebooks/01_introduction.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from helpers import artifacts, study
from helpers.experiments import controls, planted
from helpers.findings import agreement, confirmation, pointing, reference, statistics
from helpers.networks import training
from helpers.study import Run

PROPERTIES = {  # what each is about, and the question it asks, in our words
    "Correctness": ("content", "Does the explanation say what the model really does?"),
    "Completeness": ("content", "Does it say all that the model does?"),
    "Consistency": ("content", "Do equal models get equal explanations of equal inputs?"),
    "Continuity": ("content", "Do similar inputs get similar explanations?"),
    "Contrastivity": ("content", "Does it tell this answer from the others?"),
    "Covariate complexity": ("content", "Are the features that it speaks of, and their interplay, understandable?"),
    "Compactness": ("presentation", "Is it short?"),
    "Composition": ("presentation", "Is its form right for what it has to say?"),
    "Confidence": ("presentation", "Does it say how sure it, or the model, is?"),
    "Context": ("user", "Does it serve the need of the person who asks?"),
    "Coherence": ("user", "Does it agree with what people know?"),
    "Controllability": ("user", "Can the person steer it?"),
}
REASONS = {  # why a property has no number
    "Covariate complexity": "A map speaks of places in an MFCC, which few people can read. How far people "
    "understand it only they can say, and none were asked.",
    "Composition": "Whether a map is the right form, and not a sentence or a sound, only people can say. Clips can be "
    "heard beside their maps.",
    "Confidence": "There is nothing to measure: each map is scaled to its own largest value, so a sure answer and an "
    "unsure one look alike.",
    "Context": "No people were asked.",
    "Controllability": "The method has nothing to steer but the class and the layer. The parameters of each chapter "
    "are yours.",
}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per property, from recorded files: a number where there is one, else the reason why not.

    Parameters
    ----------
    rows : from `experiments.co12.table`, of the network that travels with the repository.

    Returns
    -------
    Columns about, property, asks; measure (what the number is), value, its 95 % interval over recordings low, high,
    form (how it is written), clips, where (label of a chapter): empty or NaN where there is none; reason, empty where
    there is a number.

    Source: Nauta et al. 2023. Chapter: notebooks/01_introduction.md
    """
    numbers = {row["property"]: row for row in (*_of_maps(rows), *_recorded(study.traveller()))}
    found = []
    for name, (about, asks) in PROPERTIES.items():
        facts: dict[str, Any] = {"about": about, "property": name, "asks": asks, "reason": REASONS.get(name, "")}
        found.append(facts | numbers.get(name, {"measure": "", "form": "", "where": ""}))
    return pd.DataFrame(found)


def said(rows: pd.DataFrame) -> str:
    """The table as a chapter shows it: MyST, with links to the chapters.

    Parameters
    ----------
    rows : from `table`.

    Chapter: notebooks/01_introduction.md
    """
    lines = ["| About | Property | The question it asks | In this book |", "|---|---|---|---|"]
    for row in rows.to_dict("records"):
        text = f"Not measured. {row['reason']}"
        if not row["reason"]:
            value, low, high = (format(row[name], row["form"]) for name in ("value", "low", "high"))
            text = f"**{value}** ({low} to {high}), {row['clips']:.0f} clips: {row['measure']}. {{ref}}`{row['where']}`"
        lines.append(f"| {row['about']} | {row['property']} | {row['asks']} | {text} |")
    return "\n".join(lines)


def _number(name: str, values: pd.Series, recordings: pd.Series, **facts: str) -> dict[str, Any]:
    known = values.dropna()
    low, high = statistics.interval(np.mean, known, recordings[known.index])
    return {"property": name, "value": known.mean(), "low": low, "high": high, "clips": len(known)} | facts


def _of_maps(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What is measured on the explained clips of one network."""
    own = {measure: part.reset_index(drop=True) for measure, part in rows.groupby("measure")}
    worst, gini = own["completeness"]["value"].max(), own["sparseness"]["value"].mean()
    for name, measure, form, where, text in (
        (
            *("Completeness", "cut", ".0%", "sec:explanations-resnet18"),
            "the share of the nodes that is below 0 and cut off. With it, the nodes add up to the class's logit "
            f"without its bias, to {1e6 * worst:.1f} millionths of it at worst. The map that is shown is scaled: "
            "its sum says nothing",
        ),
        (
            *("Continuity", "continuity", "+.3f", "sec:explanations-resnet18"),
            "rank correlation of the map with maps after a little noise is added to the input; 1: the same map",
        ),
        (
            *("Contrastivity", "contrastivity", "+.2f", "sec:sanity"),
            "rank correlation of the map with that for the next likeliest class; 1: the same map, 0: nothing to do "
            "with each other",
        ),
        (
            *("Compactness", "half", ".0%", "sec:networks"),
            "the share of the sound's frames that holds half of the map; half of the frames, if all had the same. Gini "
            f"index {gini:.2f}; 0: all the same, 1: a single frame. In numbers a map is short: it has one per node",
        ),
    ):
        part = own[measure]
        yield _number(name, part["value"], part["recording"], measure=text, form=form, where=where)


def _recorded(run: Run) -> Iterator[dict[str, Any]]:
    """What other chapters measured, of the run's network and of those that differ from it in the seed only."""
    weights = training.NETWORK.path(run)
    kin = [one for one in reference.confirmed() if training.NETWORK.path(one.with_(seed=run.seed)) == weights]
    leads = confirmation.leads(artifacts.across(kin, controls.CONTROLS.read))
    text = "score inside the sound, minus that of maps that know nothing"
    facts = {"measure": text, "form": "+.2f", "where": "sec:confirmation"}
    yield _number("Correctness", leads["A"], leads["recording"], **facts)

    seeds = agreement.summary(agreement.pairs(map(agreement.answers, kin))).iloc[0]
    text = "rank correlation of the maps of two training seeds that give the same answer; 1: the same map. That the "
    text += "library computes equations 1 to 3 is checked in each network's Grad-CAM chapter"
    facts = {"property": "Consistency", "measure": text, "form": "+.2f", "where": "sec:agreement"}
    yield facts | {"value": seeds["agreement"]} | {name: seeds[name] for name in ("low", "high", "clips")}

    events = planted.table(run)
    mass = events[(events["metric"] == "mass") & (events["level"] == max(planted.LEVELS))]
    wide = mass.pivot(index=["clip", "recording"], columns="map", values="value").reset_index()
    text = "the share of the map that lies in an event at a known time, minus that of maps that know nothing"
    facts = {"measure": text, "form": "+.2f", "where": "sec:planted"}
    yield _number("Coherence", wide["Grad-CAM"] - wide[pointing.CHANCE], wide["recording"], **facts)
