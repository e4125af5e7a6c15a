"""From explanations to the study's table of faithfulness scores (thesis 2.7).

Chapter: notebooks/08_scores.md
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.maps import explainers
from helpers.maps.explainers import Explanations
from helpers.metric import baselines, blocking, correlation, forward, perturbation, stock
from helpers.networks import training
from helpers.study import Run

COLUMNS = list(tables.SCORES.columns)


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip and specification, made once and loaded afterwards.

    Columns: clip, recording, label, predicted, explained, specification, score (NaN where the metric has
    no answer), status (why). Specifications, all of monotonicity correlation:

    - "quantus": the thesis's, stock Quantus, on the first `run.stock_clips` clips;
    - "draws": the same with the engine, which takes Quantus' own random values and order of ties, on the
      first `run.drawn_clips`;
    - "rank": the same blocks on every clip; with `run.baseline` "uniform" the integral over the random value
      by quadrature, and ties broken by a stated rule (`blocking.rank_blocks`);
    - "text": as "rank", with the effect of the text (thesis 2.6), the loss of the unchanged clip
      minus that of the changed one, so that a block that matters has a *negative* effect; on the first
      `run.drawn_clips`;
    - "frame": one block per frame, so that every map of a clip is held against the same effects.

    Of a recorded run, those that are recorded.

    Chapter: notebooks/08_scores.md
    """
    parts = (STOCK, SCORES) if run.stock_clips else (SCORES,)
    return tables.joined(one.read(run) for one in [one for one in parts if one.there(run)] or [SCORES])


def _clip(maps: Explanations, i: int, values: Mapping[str, tuple[float, str]]) -> pd.DataFrame:
    """Rows of the table for one clip, from (score, status) by specification."""
    facts = (maps.clips, maps.recordings, maps.labels, maps.predicted, maps.explained)
    rows = [[*(fact[i] for fact in facts), name, *value] for name, value in values.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _classes(run: Run, maps: Explanations) -> np.ndarray:
    return maps.labels if run.scored == "true" else maps.explained


def write(
    target: Path,
    maps: Explanations,
    clips: Mapping[str, int],
    score: Callable[[str, int], tuple[float, str]],
) -> dict:
    """Score so many clips by each specification and write their table; returns facts for the record.

    Parameters
    ----------
    clips : by specification. score : from a specification and a clip's number to score and status.

    Chapter: notebooks/08_scores.md
    """

    def one(i: int) -> pd.DataFrame:
        return _clip(maps, i, {name: score(name, i) for name, count in clips.items() if i < count})

    names = maps.clips[: max(clips.values())]
    parts = artifacts.clip_by_clip(target, names, one, what=target.stem)
    rows = tables.joined(parts or [pd.DataFrame(columns=COLUMNS)])
    order = rows["specification"].map(list(clips).index)
    rows = rows.iloc[np.argsort(order, kind="stable")]
    rows.to_csv(target, index=False)
    missing = {str(name): int(part.isna().sum()) for name, part in rows.groupby("specification")["score"]}
    return {"clips": dict(clips), "nan": missing}


def _make(run: Run, target: Path) -> dict:
    maps, network = explainers.explanations(run), training.network(run).to(training.device())
    every, drawn = len(maps.clips), min(run.drawn_clips, len(maps.clips))
    fast = forward.prepare(network, shape=maps.inputs.shape[1:])
    known = functools.cache(lambda: representations.training(run).inputs)

    def base(specification: str, i: int) -> baselines.Baseline:
        if specification == "draws":
            seed = (run.metric_seed, i)
            return baselines.Baseline.draws(run.draws, seed=seed, perturb_baseline=run.perturb_baseline)
        # each clip draws for itself
        return baselines.named(run.baseline, training=known, draws=run.draws, seed=run.metric_seed + i)

    def score(specification: str, i: int) -> tuple[float, str]:
        inputs, own, classes = maps.inputs[[i]], maps.maps[[i]], _classes(run, maps)[[i]]
        order = "stock" if specification == "draws" else "stable"
        size = run.features_in_step
        blocks = "frame" if specification == "frame" else blocking.rank_blocks(own, size=size, order=order)
        given = base(specification, i)
        readout = "cross-entropy" if specification == "text" else "probability"
        v = perturbation.effects(fast, inputs, classes, blocks=blocks, baseline=given, readout=readout)
        (found,) = correlation.score(own, -v if specification == "text" else v, blocks=blocks, order=order)
        return found, "constant map or effects" if np.isnan(found) else "ok"

    return write(target, maps, {"draws": drawn, "rank": every, "text": drawn, "frame": every}, score)


def _make_stock(run: Run, target: Path) -> dict:
    maps, network = explainers.explanations(run), training.network(run).to(training.device())

    def score(specification: str, i: int) -> tuple[float, str]:
        return quantus(network, run, maps, i)

    return write(target, maps, {"quantus": min(run.stock_clips, len(maps.clips))}, score)


def quantus(network: nn.Module, run: Run, maps: Explanations, i: int) -> tuple[float, str]:
    """Score and status of one explained clip by the Quantus that is installed: the thesis's call.

    Chapter: notebooks/08_scores.md
    """
    (score,), (status,) = stock.quantus_scores(
        network,
        maps.inputs[[i]],
        _classes(run, maps)[[i]],
        maps.maps[[i]],
        draws=run.draws,
        seed=(run.metric_seed, i),
        features_in_step=run.features_in_step,
        perturb_baseline=run.perturb_baseline,
    )
    return score, status


SCORES = Artefact(
    "scores.csv",
    make=_make,
    chapter="08_scores",
    fields=(
        *("scored", "draws", "features_in_step", "perturb_baseline", "baseline", "metric_seed"),
        "drawn_clips",
    ),
    inputs=(explainers.EXPLANATIONS, training.NETWORK),
    packages=("torch", "numpy"),
    table=tables.SCORES,
    work=lambda run: float((run.drawn_clips * (run.draws + 2) + 4 * run.explanations) * run.rows * run.frames),
    smaller=("explanations", "drawn_clips", "draws"),
)
STOCK = Artefact(
    "quantus.csv",
    make=_make_stock,
    chapter="08_scores",
    fields=("scored", "draws", "features_in_step", "perturb_baseline", "metric_seed", "stock_clips"),
    inputs=(explainers.EXPLANATIONS, training.NETWORK),
    packages=("torch", "numpy", "quantus"),
    table=tables.SCORES,
    work=lambda run: float(run.stock_clips * run.draws * run.rows * run.frames),
    smaller=("stock_clips", "draws"),
)


def summary(rows: pd.DataFrame, *, by: str = "architecture") -> pd.DataFrame:
    """Per network (or other column) and specification: clips, NaN, quartiles, share of valid scores below 0.

    Chapter: notebooks/09_results.md
    """

    def of(scores: pd.Series) -> pd.Series:
        low, middle, high = scores.quantile([0.25, 0.5, 0.75])
        return pd.Series(
            {
                "clips": len(scores),
                "NaN": scores.isna().sum(),
                "lower quartile": low,
                "median": middle,
                "upper quartile": high,
                "share below 0": (scores < 0).sum() / scores.count() if scores.count() else np.nan,
            }
        )

    table = rows.groupby([by, "specification"], sort=False)["score"].apply(of).unstack().reset_index()
    return table.astype({"clips": int, "NaN": int})


def agreement(rows: pd.DataFrame, *, by: str = "architecture") -> pd.DataFrame:
    """Stock Quantus beside the engine, clip by clip: `by`, clip, quantus, draws, rank.

    Chapter: notebooks/08_scores.md
    """
    wide = rows.pivot_table(index=[by, "clip"], columns="specification", values="score")
    return wide.reindex(columns=["quantus", "draws", "rank"]).dropna().reset_index()
