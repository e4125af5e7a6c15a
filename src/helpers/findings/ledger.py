"""The thesis's claims, and what a run says of each.

Chapter: notebooks/14_ledger.md
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import yaml
from pandas.io.formats.style import Styler

from helpers import InputError, study
from helpers.experiments import scores
from helpers.findings import statistics
from helpers.networks import training
from helpers.study import Run

VERDICTS = ("reproduced", "contradicted", "undecided", "not testable here")


COLUMNS = [
    *("claim", "section", "statement", "network", "run", "data", "specification", "thesis", "statistic"),
    *("value", "low", "high", "clips", "recordings", "nan", "verdict", "why", "figure", "source"),
]


@dataclass(frozen=True)
class Statistic:
    """What is computed of a run's clips, and how it is said.

    words : of the value, with {value} and {between}.
    of : called with the values, (clips,) or (clips, 2) for two networks: the statistic; or
    share : called with the values and `between`: what each clip counts, 0 to 1; the statistic is the mean.
    percent : whether the value is said in percent.
    """

    words: str
    of: Callable[[np.ndarray], float] | None = None
    share: Callable[[np.ndarray, list[float]], np.ndarray] | None = None
    percent: bool = False


STATISTICS = {
    "share below 0": Statistic(
        "{value} of the scores are below 0", share=lambda values, between: values < 0, percent=True
    ),
    "densest score": Statistic("the density of scores is highest at {value}", of=statistics.densest),
    "density": Statistic(
        "the mean density of scores between {between} is {value} per unit of score",
        share=lambda values, between: (values >= between[0]) & (values <= between[1]),
    ),
    "accuracy": Statistic(
        "{value} of the test clips are recognised", share=lambda values, between: values, percent=True
    ),
    "median difference": Statistic(
        "per clip the deeper network's score minus the other's has the median {value}",
        of=lambda values: float(np.median(values[:, 1] - values[:, 0])),
    ),
    "difference of shares below 0": Statistic(
        "the deeper network's share of negative scores minus the other's is {value}",
        of=lambda values: float((values[:, 1] < 0).mean() - (values[:, 0] < 0).mean()),
        percent=True,
    ),
    "share below 0 of both": Statistic(
        "{value} of both networks' scores are below 0",
        share=lambda values, between: (values < 0).mean(axis=1),
        percent=True,
    ),
}


def claims() -> pd.DataFrame:
    """The entries of data/claims.yaml, one row each; what an entry does not name is None.

    Chapter: notebooks/14_ledger.md
    """
    entries = yaml.safe_load((study.ROOT / "data" / "claims.yaml").read_text())
    return pd.DataFrame(entries).astype(object).replace({np.nan: None})


def modes(architecture: str) -> list[tuple[float, float, str]]:
    """Where the thesis's text puts the modes of a network's scores: (low, high, id); [] if it has none.

    Chapter: notebooks/08_scores.md
    """
    known = claims()
    known = known[(known["network"] == architecture) & known["between"].notna()]
    return [(*between, id_) for between, id_ in zip(known["between"], known["id"], strict=True)]


def verdict(value: float, low: float, high: float, holds: list[float] | None) -> str:
    """One of `VERDICTS`, by the rule of data/claims.yaml.

    Parameters
    ----------
    value, low, high : the statistic and its 95 % interval.
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
    rows: pd.DataFrame, predictions: pd.DataFrame, *, specification: str, source: str
) -> pd.DataFrame:
    """Every claim held against every run it speaks of: one row each, columns `COLUMNS`.

    Parameters
    ----------
    rows : columns run, data, architecture, setting, specification, clip, fsID, score. Runs of one `setting`
        (seed, hop and so on) but different architectures make the pairs that claims about both need.
    predictions : columns run, fsID, label, predicted, a row per test clip.
    specification : whose scores are meant (see `scores.table`).
    source : the files that the rows can be computed from again.

    Chapter: notebooks/14_ledger.md
    """
    rows = rows[rows["specification"] == specification]
    found = []
    for claim in claims().to_dict("records"):
        for _, part in rows.groupby("setting", sort=False):
            names = ["resnet18", "resnet101"] if claim["network"] == "both" else [claim["network"]]
            runs = [part[part["architecture"] == name] for name in names]
            if all(len(run) for run in runs):
                run = " and ".join(r["run"].iloc[0] for r in runs)
                facts = {"run": run, "data": part["data"].iloc[0], "specification": specification}
                found.append(_row(claim, runs, predictions) | facts | {"source": source})
    return pd.DataFrame(found, columns=COLUMNS)


def of(runs: list[Run], *, specification: str = "rank") -> pd.DataFrame:
    """The ledger of runs of this copy of the study, see `verdicts`.

    Chapter: notebooks/10_conclusions.md
    """
    tables, predictions = [], []
    for run in runs:
        keys = {"run": run.key, "data": run.source.label, "architecture": run.architecture}
        setting = {"setting": run.key.partition(" ")[2]}
        names = {"name": "clip", "fs_id": "fsID"}
        tables.append(scores.table(run).rename(columns=names).assign(**keys, **setting))
        predictions.append(training.predictions(run).rename(columns=names).assign(**keys))
    return verdicts(
        pd.concat(tables), pd.concat(predictions), specification=specification, source="this run's scores.csv"
    )


def table(verdicts: pd.DataFrame) -> Styler:
    """A ledger to read: claim, the thesis's value, verdict, why (our value with its interval), link.

    Parameters
    ----------
    verdicts : columns `COLUMNS`, as `verdicts` returns.

    Chapter: notebooks/14_ledger.md
    """

    def link(label: str) -> str:
        return f'<a href="13_reference.html#{label.replace(":", "-")}">figure</a>'

    said = verdicts["statement"] + " (" + verdicts["section"] + ": " + verdicts["thesis"] + ")"
    shown = pd.DataFrame(
        {
            "claim": verdicts["claim"],
            "the thesis (section: value)": said,
            "verdict": verdicts["verdict"],
            "why": verdicts["why"],
            "where": verdicts["figure"].map(link),
        }
    )
    widths = {"the thesis (section: value)": "26%", "why": "44%"}
    styles = {name: [{"selector": "", "props": [("width", width)]}] for name, width in widths.items()}
    return shown.style.hide(axis="index").set_table_styles(styles)


def matrix(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Verdicts by claim (rows) and setting (columns); "" where a claim was not held against a setting.

    Chapter: notebooks/14_ledger.md
    """
    setting = verdicts["run"].str.rsplit(" and ", n=1).str[-1].str.split(" ", n=1).str[1]
    wide = verdicts.assign(setting=setting).pivot(index="claim", columns="setting", values="verdict")
    return wide.reindex(index=verdicts["claim"].unique(), columns=setting.unique()).fillna("")


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
    statistic = STATISTICS[claim["statistic"]]
    if statistic.share:
        scale = 1 / np.subtract(*claim["between"][::-1]) if claim["statistic"] == "density" else 1
        counts = statistic.share(values, claim["between"]).astype(float)
        value = counts.mean() * scale
        low, high = (end * scale for end in statistics.share(counts, recordings))
    else:
        value = statistic.of(values)
        low, high = statistics.interval(statistic.of, values, recordings)
        if np.isnan([value, low, high]).any():
            return row | {"verdict": "not testable here", "why": "Too few clips of this run differ in score."}
    row |= {"value": value, "low": low, "high": high}
    return row | {
        "verdict": verdict(value, low, high, claim["holds"]),
        "why": _why(claim, statistic, row),
    }


def _values(claim: dict, runs: list[pd.DataFrame], predictions: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Values per clip, the clips' recordings, and how many clips have no value."""
    if claim["statistic"] == "accuracy":
        own = predictions[predictions["run"] == runs[0]["run"].iloc[0]]
        return (own["label"] == own["predicted"]).to_numpy(float), own["fsID"].to_numpy(), 0
    if len(runs) == 1:
        table = runs[0].set_index("clip")[["fsID", "score"]]
    else:
        pair = runs[0].merge(runs[1], on=["clip", "fsID"], suffixes=("", "_deeper"), validate="1:1")
        table = pair.set_index("clip")[["fsID", "score", "score_deeper"]]
    known = table.dropna()
    values = known.drop(columns="fsID").to_numpy(float)
    return values[:, 0] if len(runs) == 1 else values, known["fsID"].to_numpy(), len(table) - len(known)


def _why(claim: dict, statistic: Statistic, row: dict) -> str:
    def said(value: float) -> str:
        return f"{100 * value:.0f} %" if statistic.percent else f"{value:.2f}"

    between = " and ".join(f"{end:g}" for end in claim["between"] or [])
    words = statistic.words.format(value=said(row["value"]), between=between)
    missing = f", {row['nan']} without a score" if row["nan"] else ""
    sentence = (
        f"{words[0].upper()}{words[1:]} (95 % interval {said(row['low'])} to {said(row['high'])}; "
        f"{row['clips']} clips of {row['recordings']} recordings{missing})"
    )
    if claim["holds"] is None:
        return f"{sentence}. {claim['why']}"
    lower, upper = ("" if end is None else said(end) for end in claim["holds"])
    needs = (
        f"between {lower} and {upper}"
        if lower and upper
        else (lower and f"above {lower}") or f"below {upper}"
    )
    return f"{sentence}; the claim needs it {needs}."
