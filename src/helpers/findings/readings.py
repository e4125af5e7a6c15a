"""The thesis done again: how the networks listen, and what each reading of an open choice does to the scores.

Chapter: notebooks/13_reference.md
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from helpers import study
from helpers.findings import ledger, statistics

OLDER = "quantus 0.5.3"  # the specification of `helpers.experiments.peers`


def trained(records: Mapping[str, dict], predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per network: folds, clips, epochs, training time, and where and when it was trained.

    Parameters
    ----------
    records : by run, what `artifacts.record` says of its network; of runs with one network the first counts.
    predictions : of the same runs, a row per test clip: column run.

    Chapter: notebooks/13_reference.md
    """
    tested = predictions["run"].value_counts()
    rows = []
    for run, record in records.items():
        made = record["made"]
        facts = {
            "run": run,
            "training folds": ", ".join(map(str, made["training_folds"])),
            "training clips": made["training_clips"],
            "test clips": tested[run],
            "epochs": record["recipe"]["fields"]["epochs"],
            "minutes": f"{made['training_seconds'] / 60:.1f}",
            "date": made["date"][:10],
            "machine": f"{made['machine']}, {made['cores']} cores, {made['device']}",
        }
        facts |= {name: made["versions"][name] for name in ("torch", "quantus")}
        rows.append(facts | {"revision": made["revision"], "content": record["content"]})
    return pd.DataFrame(rows).drop_duplicates("content", ignore_index=True).drop(columns="content")


def accuracy(predictions: pd.DataFrame) -> pd.DataFrame:
    """Share of test clips that are recognised, 0 to 1, with a 95 % interval over recordings, per run.

    Parameters
    ----------
    predictions : a row per run and test clip: columns run, recording, label, predicted.

    Returns
    -------
    Columns run, accuracy, low, high, clips, recordings.

    Chapter: notebooks/13_reference.md
    """
    rows = []
    for run, part in predictions.groupby("run", sort=False):
        right = (part["label"] == part["predicted"]).to_numpy(float)
        low, high = statistics.share(right, part["recording"])
        facts = {"clips": len(part), "recordings": part["recording"].nunique()}
        rows.append({"run": run, "accuracy": right.mean(), "low": low, "high": high} | facts)
    return pd.DataFrame(rows)


def agreement(scores: pd.DataFrame) -> pd.DataFrame:
    """How far scores of the same clips by stock Quantus, its older version and the engine differ, per run.

    Parameters
    ----------
    scores : columns run, clip, specification, score.

    Returns
    -------
    Columns run, pair (of specifications, see `scores.table`), clips with both scores, median difference and
    largest difference (absolute).

    Chapter: notebooks/13_reference.md
    """
    wide = scores.pivot(index=["run", "clip"], columns="specification", values="score")
    rows = []
    for run, part in wide.groupby("run", sort=False):
        for other in ("draws", "rank", OLDER):
            if {"quantus", other} <= set(part):
                apart = (part["quantus"] - part[other]).abs().dropna()
                facts = {"run": run, "pair": f"quantus 0.6.0 and {other}", "clips": len(apart)}
                facts |= {"median difference": apart.median(), "largest difference": apart.max()}
                rows.append(facts)
    heads = ["run", "pair", "clips", "median difference", "largest difference"]
    return pd.DataFrame(rows, columns=heads).query("clips > 0")


def of(scores: pd.DataFrame, architecture: str) -> pd.DataFrame:
    """Scores under the default reading and under each other one that differs in one choice.

    Two readings have the default settings and another specification (see `scores.table`): "effect as in the
    text" and "Quantus 0.5.3", on fewer clips; all others have "rank".

    Parameters
    ----------
    scores : of several runs that learned from the same folds: columns architecture, setting, specification,
        recording, score.
    architecture : whose scores, such as "resnet18".

    Returns
    -------
    Columns recording, score, reading (what differs, as `hop_length=512`).

    Chapter: notebooks/13_reference.md
    """
    default = f"seed=0 hop_length={study.FIELDS['hop_length'].default}"
    own = scores[scores["architecture"] == architecture]
    parts = {}
    for setting, part in own[own["specification"] == "rank"].groupby("setting", sort=False):
        differs = [choice for choice in str(setting).split(" ") if choice not in default.split(" ")]
        if len(differs) <= 1:
            parts[differs[0] if differs else "default reading"] = part
    for specification, reading in ((OLDER, "Quantus 0.5.3"), ("text", "effect as in the text")):
        parts[reading] = own[(own["specification"] == specification) & (own["setting"] == default)]
    named = [part[["recording", "score"]].assign(reading=reading) for reading, part in parts.items()]
    return pd.concat(named, ignore_index=True)


def signs(rows: pd.DataFrame) -> pd.DataFrame:
    """Per reading the share of scores below 0, its 95 % interval, and the verdict on "most are below 0".

    Parameters
    ----------
    rows : from `of`.

    Returns
    -------
    Columns reading, clips (with a score), NaN, median, share below 0, low, high, verdict (`ledger.VERDICTS`).

    Chapter: notebooks/13_reference.md
    """
    found = []
    for reading, part in rows.groupby("reading", sort=False):
        known = part.dropna()
        below = (known["score"] < 0).to_numpy(float)
        low, high = statistics.share(below, known["recording"])
        facts = {"reading": reading, "clips": len(known), "NaN": len(part) - len(known)}
        facts |= {"median": known["score"].median(), "share below 0": below.mean(), "low": low, "high": high}
        found.append(facts | {"verdict": ledger.verdict(below.mean(), low, high, [0.5, None])})
    return pd.DataFrame(found)
