"""Any choice of the specification curve, flipped: one sentence for each of its rows.

Chapter: notebooks/19_answer.md
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from helpers import artifacts
from helpers.experiments import specifications
from helpers.findings import curve
from helpers.study import Run

# What a reader chooses, by column of the curve, as it is called on the page.
CHOICES = {
    "network": "network",
    "folds": "learned from",
    **{name: name.replace("_length", "") for name in curve.NETWORK},
    **{name: name for name in specifications.CHOICES},
}


def rows(runs: Iterable[Run]) -> pd.DataFrame:
    """The curves of several runs as a reader flips them, first the row that reads every choice as this book does.

    Returns
    -------
    The columns of `CHOICES`, text; own (bool): the row is this book's reading; said, one sentence on its number, as
    plain text; estimate, low, high, null_low, null_high, as in the curve. Rows are sorted by how many choices differ
    from the first row's, so that the first that fits is the nearest.

    Chapter: notebooks/19_answer.md
    """
    parts = []
    for run in runs:
        table = artifacts.across([run], curve.CURVE.read)
        named = {"network": run.name, "folds": f"{len(run.training_folds)} folds"}
        parts.append(table.assign(own=curve.thesis_own(table), **named))
    every = pd.concat(parts, ignore_index=True)
    records: list[dict] = every.to_dict("records")
    chosen = [{name: str(row[name]) for name in CHOICES} for row in records]
    first = chosen[int(every["own"].to_numpy().argmax())]
    made = []
    for row, own in zip(records, chosen, strict=True):
        flipped = [f"{CHOICES[name]} {value}" for name, value in own.items() if value != first[name]]
        ends = {name: row[name] for name in ("own", "estimate", "low", "high", "null_low", "null_high")}
        made.append(own | ends | {"said": sentence(row, flipped=", ".join(flipped)), "apart": len(flipped)})
    return pd.DataFrame(made).sort_values("apart", kind="stable", ignore_index=True).drop(columns="apart")


def sentence(row: dict, *, flipped: str) -> str:
    """What one row of the curve says, in one sentence for its number and one for what knows nothing.

    Parameters
    ----------
    row : of `curve.curve`. flipped : the choices that differ from this book's reading, in words; "" for none.

    Chapter: notebooks/19_answer.md
    """
    how = f"With {flipped}" if flipped else "With every choice as this book reads the thesis"
    if pd.isna(row["estimate"]):
        return f"{how}, no clip has a score."
    scored = int(row["clips"] - row["nan"])
    sign = {
        "negative": "all of it below 0: the thesis would call such maps unfaithful",
        "positive": "all of it above 0: the thesis would not call such maps unfaithful",
        "around 0": "with 0 inside: the sign is open",
    }[row["sign"]]
    ends = f"{row['estimate']:+.2f} (interval {row['low']:+.2f} to {row['high']:+.2f}, {sign})"
    text = f"{how}, the median score of {scored} clips is {ends}."
    if pd.isna(row["null_low"]):
        return f"{text} What maps that know nothing would score is not recorded."
    null = f"{row['null_low']:+.2f} to {row['null_high']:+.2f}"
    against = {
        "below null": "Grad-CAM lies below: worse than knowing nothing",
        "within null": "Grad-CAM lies within: it cannot be told from knowing nothing",
        "above null": "Grad-CAM lies above: better than knowing nothing",
    }[row["null_verdict"]]
    return f"{text} Maps that know nothing would have a median of {null}; {against}."
