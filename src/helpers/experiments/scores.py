"""From explanations to the study's table of faithfulness scores (thesis 2.7).

Chapter: notebooks/08_scores.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from helpers import artifacts
from helpers.maps import explainers
from helpers.maps.explainers import Explanations
from helpers.metric import blocking, correlation, forward, perturbation, stock
from helpers.metric.baselines import Baseline
from helpers.networks import training
from helpers.study import Run

METRIC_SEED = 0  # of the random replacement values


COLUMNS = ["name", "fs_id", "label", "predicted", "explained", "specification", "score", "status"]


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip and specification, made once and loaded afterwards.

    Columns: name, fs_id, label, predicted, explained, specification, score (NaN where the metric has
    no answer), status (why). Specifications, all of monotonicity correlation:

    - "quantus": the thesis's, stock Quantus, on the first clips of the profile's `stock_clips`
      (`stock_clips_deep` for networks deeper than ResNet18);
    - "draws": the same with the engine, which takes Quantus' own random values and order of ties, on the
      first `drawn_clips`;
    - "rank": the same blocks and baseline on every clip, the integral over the random value by
      quadrature and ties broken by a stated rule (`faithfulness.rank_blocks`);
    - "text": as "rank", with the effect of the text (thesis 2.6), the loss of the unchanged clip
      minus that of the changed one, so that a block that matters has a *negative* effect; on the first
      `drawn_clips`;
    - "frame": one block per frame, so that every map of a clip is held against the same effects.

    Chapter: notebooks/08_scores.md
    """
    return _joined([make_stock(run), make(run)])


def make(run: Run) -> Path:
    """The file scores.csv of a run, all scores of the engine; `table` reads it.

    Chapter: notebooks/08_scores.md
    """
    every, drawn = run.profile.explanations, run.profile.drawn_clips
    return _make(run, "scores.csv", {"draws": drawn, "rank": every, "text": drawn, "frame": every})


def make_stock(run: Run) -> Path:
    """The file quantus.csv of a run, the scores of stock Quantus, which take long; `table` reads it.

    Chapter: notebooks/08_scores.md
    """
    profile = run.profile
    clips = profile.stock_clips if run.architecture == "resnet18" else profile.stock_clips_deep
    return _make(run, "quantus.csv", {"quantus": clips})


def _make(run: Run, artefact: str, clips: dict[str, int]) -> Path:
    """Score so many clips by each specification; an interrupted call goes on after the last whole clip."""
    maps = explainers.explanations(run)
    network = training.network(run).to(training.device())
    clips = {name: min(count, len(maps.names)) for name, count in clips.items()}
    path = run.path(artefact)

    def compute(work: Path) -> dict:
        fast = forward.prepare(network, shape=maps.inputs.shape[1:])
        parts = [work / f"clip-{i}.csv" for i in range(max(clips.values()))]
        for i, part in enumerate(tqdm(parts, desc=f"{path.stem} of {run.name}", unit="clip")):
            if not part.exists():
                names = [name for name, count in clips.items() if i < count]
                rows = [_score(name, network, fast, maps, i, run) for name in names]
                artifacts.write_text(part, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False))
        rows = _joined(parts) if parts else pd.DataFrame(columns=COLUMNS)
        order = rows["specification"].map(list(clips).index)
        rows.iloc[np.argsort(order, kind="stable")].to_csv(work / path.name, index=False)
        return {
            "data": run.source.label,
            "clips": clips,
            "nan": {name: int(part.isna().sum()) for name, part in rows.groupby("specification")["score"]},
            "threads": torch.get_num_threads(),
            "device": str(training.device()),
        }

    return artifacts.produce(
        path,
        parameters=run.parameters("scored")
        | {"draws": run.profile.draws, "clips": clips, "metric_seed": METRIC_SEED},
        inputs={
            "explanations.npz": artifacts.digest_of(run.path("explanations.npz")),
            "network": artifacts.digest_of(run.path("network")),
        },
        make=compute,
    )


def _score(
    specification: str,
    network: nn.Module,
    fast: forward.Full | forward.Windowed,
    maps: Explanations,
    i: int,
    run: Run,
) -> dict:
    """One clip's row of the table."""
    clip, seed, draws = slice(i, i + 1), (METRIC_SEED, i), run.profile.draws
    classes = (maps.labels if run.scored == "true" else maps.explained)[clip]
    inputs, own = maps.inputs[clip], maps.maps[clip]
    if specification == "quantus":
        (score,), (status,) = stock.quantus_scores(network, inputs, classes, own, draws=draws, seed=seed)
    else:
        drawn = specification == "draws"
        order = "stock" if drawn else "stable"
        blocks = "frame" if specification == "frame" else blocking.rank_blocks(own, order=order)
        baseline = Baseline.draws(draws, seed=seed) if drawn else "uniform"
        readout = "cross-entropy" if specification == "text" else "probability"
        effects = perturbation.effects(
            fast, inputs, classes, blocks=blocks, baseline=baseline, readout=readout
        )
        effects = -effects if specification == "text" else effects
        (score,) = correlation.score(own, effects, blocks=blocks, order=order)
        status = "constant map or effects" if np.isnan(score) else "ok"
    facts = (maps.names, maps.fs_ids, maps.labels, maps.predicted, maps.explained)
    return dict(zip(COLUMNS, [*(fact[i] for fact in facts), specification, score, status], strict=True))


def _joined(paths: list[Path]) -> pd.DataFrame:
    tables = [pd.read_csv(path) for path in paths]
    # a table without rows knows no types, and would make those of the others vague
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def tables(runs: list[Run]) -> pd.DataFrame:
    """The score tables of several runs, one below the other, with the columns architecture and data.

    Chapter: notebooks/09_results.md
    """
    return pd.concat(
        [table(run).assign(architecture=run.name, data=run.source.label) for run in runs], ignore_index=True
    )


def summary(rows: pd.DataFrame, *, by: str = "architecture") -> pd.DataFrame:
    """Per network (or other column) and specification: clips, NaN, quartiles, share of valid scores below 0.

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

    keys = [by, "specification"]
    table = rows.groupby(keys, sort=False)["score"].apply(of).unstack().reset_index()
    return table.astype({"clips": int, "NaN": int})


def agreement(rows: pd.DataFrame, *, by: str = "architecture") -> pd.DataFrame:
    """Stock Quantus beside the engine, clip by clip: `by`, name, quantus, draws, rank.

    Chapter: notebooks/08_scores.md
    """
    wide = rows.pivot_table(index=[by, "name"], columns="specification", values="score")
    return wide.reindex(columns=["quantus", "draws", "rank"]).dropna().reset_index()
