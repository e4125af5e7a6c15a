"""From explanations to the study's table of faithfulness scores (thesis 2.7).

Chapter: notebooks/08_scores.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import artifacts, explain, faithfulness, study, training
from helpers.study import Run

METRIC_SEED = 0  # of the random replacement values


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip and specification, made once and loaded afterwards.

    Columns: name, fs_id, label, predicted, explained, specification, score (NaN where the metric has
    no answer), status (why). Specifications, all of monotonicity correlation:

    - "quantus": the thesis's, stock Quantus, on the first clips of the profile's `stock_clips`;
    - "rank": the same blocks and baseline on every clip, the integral over the random value by
      quadrature and ties broken by a stated rule (`faithfulness.rank_blocks`);
    - "frame": one block per frame, so that every map of a clip is held against the same effects.

    Chapter: notebooks/08_scores.md
    """
    return pd.read_csv(make(run))


def make(run: Run) -> Path:
    """The file scores.csv of a run; `table` reads it.

    Chapter: notebooks/08_scores.md
    """
    maps = explain.explanations(run)
    network = training.network(run).to(training.device())
    stock = min(run.profile.stock_clips, len(maps.names))
    path = run.path("scores.csv")

    def compute(work: Path) -> dict:
        clips = pd.DataFrame(
            {
                "name": maps.names,
                "fs_id": maps.fs_ids,
                "label": maps.labels,
                "predicted": maps.predicted,
                "explained": maps.explained,
            }
        )
        scores, status = faithfulness.quantus_scores(
            network,
            maps.inputs[:stock],
            maps.explained[:stock],
            maps.maps[:stock],
            draws=run.profile.draws,
            seed=METRIC_SEED,
        )
        parts = [clips[:stock].assign(specification="quantus", score=scores, status=status)]
        for name, blocks in {"rank": faithfulness.rank_blocks(maps.maps), "frame": "frame"}.items():
            effects = faithfulness.effects(network, maps.inputs, maps.explained, blocks=blocks)
            scores = faithfulness.score(maps.maps, effects, blocks=blocks)
            status = np.where(np.isnan(scores), "constant map or effects", "ok")
            parts.append(clips.assign(specification=name, score=scores, status=status))
        rows = pd.concat(parts, ignore_index=True)
        rows.to_csv(work / path.name, index=False)
        return {
            "data": run.source.label,
            "clips": len(clips),
            "nan": {name: int(part.isna().sum()) for name, part in rows.groupby("specification")["score"]},
            "threads": torch.get_num_threads(),
            "device": str(training.device()),
        }

    return artifacts.produce(
        path,
        parameters={"draws": run.profile.draws, "stock_clips": stock, "metric_seed": METRIC_SEED},
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
        if np.isnan(claim["low"]):
            return (scores < 0).mean()
        return scores.between(claim["low"], claim["high"]).mean()

    return pd.DataFrame(
        {
            "network": known["architecture"].str.replace("resnet", "ResNet"),
            "the thesis": known["statement"],
            "share of this run's scores there": [share(claim) for _, claim in known.iterrows()],
            "clips with a score": known["architecture"].map(lambda name: len(by_network[name])),
        }
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Per network and specification: clips, NaN, median, quartiles, share below 0 (of the valid scores).

    Chapter: notebooks/09_results.md
    """

    def of(scores: pd.Series) -> pd.Series:
        low, middle, high = scores.quantile([0.25, 0.5, 0.75])
        below = (scores < 0).sum() / scores.count() if scores.count() else np.nan
        return pd.Series(
            {
                "clips": len(scores),
                "NaN": scores.isna().sum(),
                "lower quartile": low,
                "median": middle,
                "upper quartile": high,
                "share below 0": below,
            }
        )

    keys = ["architecture", "specification"]
    table = rows.groupby(keys, sort=False)["score"].apply(of).unstack().reset_index()
    return table.astype({"clips": int, "NaN": int})


def agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """Stock Quantus against specification "rank", clip by clip: architecture, name, quantus, rank.

    Chapter: notebooks/08_scores.md
    """
    wide = rows.pivot_table(index=["architecture", "name"], columns="specification", values="score")
    return wide.reindex(columns=["quantus", "rank"]).dropna().reset_index()
