"""From explanations to the study's table of faithfulness scores (thesis 2.7).

Chapter: notebooks/08_scores.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import artifacts, explain, faithfulness, study, training
from helpers.study import Run

METRIC_SEED = 0  # of the random replacement values


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip and specification, made once and loaded afterwards.

    Columns: name, fs_id, label, predicted, explained, specification, score (NaN where the metric has
    no answer), status (why). Specification "quantus" is the thesis's: stock MonotonicityCorrelation.

    Chapter: notebooks/08_scores.md
    """
    return pd.read_csv(make(run))


def make(run: Run) -> Path:
    """The file scores.csv of a run; `table` reads it."""
    explained = explain.explanations(run)
    network = training.network(run)
    count = min(run.profile.stock_clips, len(explained.names))

    def compute(work: Path) -> dict:
        scores, status = faithfulness.quantus_scores(
            network,
            explained.inputs[:count],
            explained.explained[:count],
            explained.maps[:count],
            draws=run.profile.draws,
            seed=METRIC_SEED,
        )
        columns = {
            "name": explained.names,
            "fs_id": explained.fs_ids,
            "label": explained.labels,
            "predicted": explained.predicted,
            "explained": explained.explained,
        }
        rows = pd.DataFrame({name: values[:count] for name, values in columns.items()})
        rows = rows.assign(specification="quantus", score=scores, status=status)
        rows.to_csv(work / "scores.csv", index=False)
        return {"data": run.source.label, "clips": count, "nan": int(np.isnan(scores).sum())}

    return artifacts.produce(
        run.path("scores.csv"),
        parameters={"draws": run.profile.draws, "stock_clips": count, "metric_seed": METRIC_SEED},
        inputs={
            "explanations.npz": artifacts.digest_of(run.path("explanations.npz")),
            "network": artifacts.digest_of(run.path("network")),
        },
        make=compute,
    )


def tables(runs: list[Run]) -> pd.DataFrame:
    """The score tables of several runs, one below the other, with the columns architecture and data.

    Chapter: notebooks/09_results.md
    """
    return pd.concat(
        [table(run).assign(architecture=run.name, data=run.source.label) for run in runs], ignore_index=True
    )


def sentence(rows: pd.DataFrame, run: Run) -> str:
    """What the scores of one run are, in Markdown.

    Chapter: notebooks/08_scores.md
    """
    valid = rows["score"].dropna()
    explained = len(explain.explanations(run).names)
    said = (
        f"Scored: **{len(rows)}** of {explained} explained clips, {run.profile.draws} random values per block "
        f"({run.data_label}). Without a score (NaN): **{len(rows) - len(valid)}**."
    )
    if valid.empty:
        return said
    return f"{said} Median **{valid.median():+.2f}**; below zero: **{(valid < 0).sum()} of {len(valid)}**."


def thesis_modes(architecture: str) -> list[tuple[float, float, str]]:
    """Where the thesis's text puts the modes of a network's scores: (low, high, name); [] if it has none.

    Chapter: notebooks/08_scores.md
    """
    modes = claims()
    modes = modes[(modes["architecture"] == architecture) & modes["low"].notna()]
    return list(zip(modes["low"], modes["high"], modes["id"], strict=True))


def claims() -> pd.DataFrame:
    """The thesis's statements about its scores: id, architecture, statement, low, high (of a score).

    Chapter: notebooks/10_conclusions.md
    """
    return pd.read_csv(study.ROOT / "config" / "thesis_claims.csv")


def statements(rows: pd.DataFrame) -> pd.DataFrame:
    """Each of the thesis's statements beside the share of this run's scores that it speaks of.

    Chapter: notebooks/10_conclusions.md
    """
    by_network = {name.lower(): part["score"].dropna() for name, part in rows.groupby("architecture")}
    known = claims()
    known = known[known["architecture"].isin(by_network)]

    def share(claim: pd.Series) -> float:
        scores = by_network[claim["architecture"]]
        low = -np.inf if np.isnan(claim["low"]) else claim["low"]
        high = 0.0 if np.isnan(claim["high"]) else claim["high"]
        return ((scores >= low) & (scores < high)).mean() if len(scores) else np.nan

    return pd.DataFrame(
        {
            "network": known["architecture"].str.replace("resnet", "ResNet"),
            "the thesis": known["statement"],
            "share of this run's scores there": known.apply(share, axis=1),
            "clips with a score": known["architecture"].map(lambda name: len(by_network[name])),
        }
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Per network: clips, NaN, median, quartiles, share below 0 (of the clips that have a score).

    Chapter: notebooks/09_results.md
    """

    def of(scores: pd.Series) -> pd.Series:
        valid = scores.dropna()
        low, middle, high = valid.quantile([0.25, 0.5, 0.75]) if len(valid) else [np.nan] * 3
        return pd.Series(
            {
                "clips": len(scores),
                "NaN": int(scores.isna().sum()),
                "median": middle,
                "lower quartile": low,
                "upper quartile": high,
                "share below 0": (valid < 0).mean() if len(valid) else np.nan,
            }
        )

    return rows.groupby("architecture", sort=False)["score"].apply(of).unstack()
