"""The thesis's claims, and what a run says of each.

Chapter: notebooks/14_ledger.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import yaml

from helpers import InputError, study
from helpers.findings import statistics

VERDICTS = ("reproduced", "contradicted", "undecided", "not testable here")
SPECIFICATION = "draws"  # the thesis's metric on all clips, see `scores.table`
COLUMNS = [
    *("claim", "section", "statement", "network", "run", "data", "specification", "thesis", "statistic"),
    *("value", "low", "high", "clips", "recordings", "nan", "verdict", "why", "figure", "source"),
]


@dataclass(frozen=True)
class Statistic:
    """What is computed of a run's clips, and how it is said.

    words : of the value, with {value} and {between}.
    of : called with the values, (clips,) or (clips, 2) for two networks, and `between`: the statistic, or
    share : what each clip counts, 0 to 1, and the statistic is the mean.
    percent : whether the value is said in percent.
    """

    words: str
    of: Callable[[np.ndarray, list[float]], Any]
    share: bool = False
    percent: bool = False


STATISTICS = {
    "share below 0": Statistic(
        "{value} of the scores are below 0", lambda values, between: values < 0, share=True, percent=True
    ),
    "densest score": Statistic(
        "the density of scores is highest at {value}", lambda values, between: statistics.densest(values)
    ),
    "density": Statistic(
        "the mean density of scores between {between} is {value} per unit of score",
        lambda values, between: (values >= between[0]) & (values <= between[1]),
        share=True,
    ),
    "accuracy": Statistic(
        "{value} of the test clips are recognised", lambda values, between: values, share=True, percent=True
    ),
    "median difference": Statistic(
        "per clip the deeper network's score minus the other's has the median {value}",
        lambda values, between: np.median(values[:, 1] - values[:, 0]),
    ),
    "difference of shares below 0": Statistic(
        "the deeper network's share of negative scores minus the other's is {value}",
        lambda values, between: (values[:, 1] < 0).mean() - (values[:, 0] < 0).mean(),
        percent=True,
    ),
    "share below 0 of both": Statistic(
        "{value} of both networks' scores are below 0",
        lambda values, between: (values < 0).mean(axis=1),
        share=True,
        percent=True,
    ),
}


def claims() -> pd.DataFrame:
    """The entries of data/claims.yaml, one row each; what an entry does not name is None.

    Columns id, section (of the thesis), claim, network, thesis, statistic, between, holds, why, figure.

    Chapter: notebooks/14_ledger.md
    """
    entries = yaml.safe_load((study.ROOT / "data" / "claims.yaml").read_text())
    return pd.DataFrame(entries).astype(object).replace({np.nan: None})


def modes(architecture: str) -> list[tuple[float, float, str]]:
    """Where the thesis's text puts the modes of a network's scores: (low, high, id); [] if it has none.

    Parameters
    ----------
    architecture : such as "resnet18".

    Chapter: notebooks/08_scores.md
    """
    known = claims()
    known = known[(known["network"] == architecture) & known["between"].notna()]
    return [(*between, id_) for between, id_ in zip(known["between"], known["id"], strict=True)]


def verdict(value: float, low: float, high: float, holds: Sequence[float | None] | None) -> str:
    """One of `VERDICTS`, by the rule of data/claims.yaml.

    Parameters
    ----------
    value, low, high : the statistic and its 95% interval.
    holds : the range in which the statistic lies if the claim holds, its ends left out; an end that is None
        is open, a range that is None means that the claim has none.

    Chapter: notebooks/14_ledger.md
    """
    if holds is None or not np.isfinite([value, low, high]).all():
        return "not testable here"
    lower, upper = (-np.inf if holds[0] is None else holds[0]), (np.inf if holds[1] is None else holds[1])
    if lower < low and high < upper:
        return "reproduced"
    return "contradicted" if high <= lower or low >= upper else "undecided"


def verdicts(
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    data: str,
    source: str,
    specification: str = SPECIFICATION,
) -> pd.DataFrame:
    """Every claim held against every run it speaks of: one row each, columns `COLUMNS`.

    Parameters
    ----------
    rows : scores of some runs: columns run, architecture, specification, clip, recording, score. Runs that
        differ in their architecture only make the pairs that claims about both need.
    predictions : of the same runs, a row per test clip: columns run, recording, label, predicted.
    data : what the figures call the sounds (`Source.label`).
    source : the files that the rows can be computed from again.
    specification : whose scores are meant (see `scores.table`).

    Raises
    ------
    InputError
        A claim has a statistic that is not in `STATISTICS`.

    Chapter: notebooks/14_ledger.md
    """
    rows = rows[rows["specification"] == specification]
    facts = {"data": data, "specification": specification, "source": source}
    found = []
    for claim in claims().to_dict("records"):
        for _, part in rows.groupby(rows["run"].str.split(" ", n=1).str[1], sort=False):
            names = ["resnet18", "resnet101"] if claim["network"] == "both" else [claim["network"]]
            runs = [part[part["architecture"] == name] for name in names]
            if all(len(run) for run in runs):
                run = " and ".join(r["run"].iloc[0] for r in runs)
                found.append(_row(claim, runs, predictions) | {"run": run} | facts)
    return pd.DataFrame(found, columns=COLUMNS)


def table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """A ledger to read, a row per claim and run.

    Parameters
    ----------
    verdicts : as `verdicts` returns.

    Returns
    -------
    Columns claim, "the thesis (section: value)", verdict, why (our value with its interval), where (an HTML
    link to the figure that shows it).

    Chapter: notebooks/14_ledger.md
    """
    said = verdicts["statement"] + " (" + verdicts["section"] + ": " + verdicts["thesis"] + ")"
    link = '<a href="13_reference.html#' + verdicts["figure"].str.replace(":", "-") + '">figure</a>'
    shown = {"claim": verdicts["claim"], "the thesis (section: value)": said}
    return pd.DataFrame(shown | {"verdict": verdicts["verdict"], "why": verdicts["why"], "where": link})


def matrix(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Verdicts by claim (rows) and setting (columns); "" where a claim was not held against a setting.

    Parameters
    ----------
    verdicts : columns claim, setting, verdict.

    Chapter: notebooks/14_ledger.md
    """
    wide = verdicts.pivot(index="claim", columns="setting", values="verdict")
    return wide.reindex(index=verdicts["claim"].unique(), columns=verdicts["setting"].unique()).fillna("")


def _row(claim: dict, runs: list[pd.DataFrame], predictions: pd.DataFrame) -> dict:
    named = {key: claim[key] for key in ("section", "network", "thesis", "statistic", "figure")}
    row = {"claim": claim["id"], "statement": claim["claim"], **named}
    row |= dict.fromkeys(("value", "low", "high"), np.nan)
    values, recordings, missing = _values(claim, runs, predictions)
    row |= {"clips": len(values), "recordings": len(np.unique(recordings)), "nan": missing}
    if claim["statistic"] is None:
        return row | {"verdict": "not testable here", "why": claim["why"]}
    if claim["statistic"] not in STATISTICS:
        raise InputError(
            f'data/claims.yaml: statistic "{claim["statistic"]}" of claim {claim["id"]} is not known; '
            f"choose from {', '.join(STATISTICS)}"
        )
    if not len(values):
        return row | {"verdict": "not testable here", "why": "No clip of this run has a score."}
    statistic, between = STATISTICS[claim["statistic"]], claim["between"]
    if statistic.share:
        scale = 1 / np.subtract(*between[::-1]) if claim["statistic"] == "density" else 1
        counts = statistic.of(values, between).astype(float)
        value = counts.mean() * scale
        low, high = (end * scale for end in statistics.share(counts, recordings))
    else:
        value = float(statistic.of(values, between))
        low, high = statistics.interval(lambda drawn: statistic.of(drawn, between), values, recordings)
        if np.isnan([value, low, high]).any():
            return row | {"verdict": "not testable here", "why": "Too few clips of this run differ in score."}
    row |= {"value": value, "low": low, "high": high}
    return row | {
        "verdict": verdict(value, low, high, claim["holds"]),
        "why": _why(claim, statistic, row, runs[0]["run"].iloc[0]),
    }


def _values(claim: dict, runs: list[pd.DataFrame], predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
    """Values per clip, the clips' recordings, and how many clips have no value."""
    if claim["statistic"] == "accuracy":
        own = predictions[predictions["run"] == runs[0]["run"].iloc[0]]
        return (own["label"] == own["predicted"]).to_numpy(float), own["recording"].to_numpy(), 0
    if len(runs) == 1:
        table = runs[0].set_index("clip")[["recording", "score"]]
    else:
        pair = runs[0].merge(runs[1], on=["clip", "recording"], suffixes=("", "_deeper"), validate="1:1")
        table = pair.set_index("clip")[["recording", "score", "score_deeper"]]
    known = table.dropna()
    values = known.drop(columns="recording").to_numpy(float)
    return values[:, 0] if len(runs) == 1 else values, known["recording"].to_numpy(), len(table) - len(known)


def _why(claim: dict, statistic: Statistic, row: dict, run: str) -> str:
    def said(value: float) -> str:
        return f"{value:.0%}" if statistic.percent else f"{value:.2f}"

    between = " and ".join(f"{end:g}" for end in claim["between"] or [])
    words = statistic.words.format(value=said(row["value"]), between=between)
    missing = f", {row['nan']} without a score" if row["nan"] else ""
    sentence = (
        f"{words[0].upper()}{words[1:]} (95% interval {said(row['low'])} to {said(row['high'])}; "
        f"{row['clips']} clips of {row['recordings']} recordings{missing})"
    )
    if claim["holds"] is None:
        folds = re.search(r"training_folds=(\S+)", run)
        return f"{sentence}. {claim['why'].format(folds=folds[1].count('+') + 1 if folds else 9)}"
    lower, upper = ("" if end is None else said(end) for end in claim["holds"])
    needs = f"between {lower} and {upper}" if lower and upper else (lower and f"above {lower}") or f"below {upper}"
    return f"{sentence}; the claim needs it {needs}."
