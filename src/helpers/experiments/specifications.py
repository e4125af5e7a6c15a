"""One score for every combination of the open choices: the specification curve.

Chapter: notebooks/18_specifications.md
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.maps import explainers, nulls
from helpers.metric import baselines as named_baselines
from helpers.metric import blocking, correlation, forward, perturbation
from helpers.metric.baselines import Baseline
from helpers.networks import models, training
from helpers.study import Run

CHOICES = ["layer", "explained", "scored", "effect", "blocks", "baseline"]
# What a block's effect is: the read-out of `perturbation.effects`, and its sign. Each reading once: the loss the other
# way round is the same score with the other sign, and the log-odds rank the blocks as the probability does.
EFFECTS = {
    "squared change of p": ("probability", 1),  # the code's
    "loss before - after": ("cross-entropy", -1),  # the text's
}


class Heard(forward.Full):
    """A prepared network that keeps its answers on one clip, so that another read-out of them asks nothing.

    Chapter: notebooks/18_specifications.md
    """

    def __init__(self, network: forward.Full | forward.Windowed) -> None:
        """`network` is from `forward.prepare`; all calls of `effects` must be of one clip and its changes."""
        self.asked_of, self.shape, self.narrow, self.batch = network, network.shape, network.narrow, network.batch
        self.clean: Tensor | None = None
        self.answers: list[Tensor] = []

    def remember(self, clip: Tensor) -> Tensor:
        """Logits of the clip, as `forward.Full.remember`; the next answer is the first one again."""
        self.asked = 0
        if self.clean is None:
            self.clean = self.asked_of.remember(clip)
        return self.clean

    def logits(self, values: Tensor, start: Tensor) -> Tensor:
        """As `forward.Windowed.logits`, from memory where the same call was made before."""
        if self.asked == len(self.answers):
            self.answers.append(self.asked_of.logits(values, start))
        self.asked += 1
        return self.answers[self.asked - 1]


def scores(run: Run) -> pd.DataFrame:
    """One row per explained clip and specification: made once, loaded afterwards.

    Every combination of `run.layers`, `run.readings` (explained/scored class), `EFFECTS`, and `run.baselines` with
    one block per frame, or U[0, 1) with blocks by rank, as the thesis.

    Columns: clip, recording; the choices `CHOICES`; score; ceiling (of the first `run.ceiling_clips` clips: the
    effects at three other points, or, where nothing is drawn, the effects themselves, 1); null 0, null 1,
    ...: scores of random nodes of the layer's shape, `run.rank_nulls` of them for blocks by rank.

    Chapter: notebooks/18_specifications.md
    """
    return SPECIFICATIONS.read(run)


def _make(run: Run, target: Path) -> dict:
    maps = explainers.explanations(run).first(run.control_clips)
    network = training.network(run).to(training.device())
    known = representations.training(run).inputs
    fast = forward.prepare(network, shape=maps.inputs.shape[1:])

    def one(i: int) -> pd.DataFrame:
        rows = clip_scores(
            network,
            fast,
            maps.inputs[i],
            {"predicted": int(maps.predicted[i]), "true": int(maps.labels[i])},
            run=run,
            baselines=_baselines(run, known, i),
            again=i < run.ceiling_clips,
            random=np.random.default_rng((run.curve_null_seed, i)),
        )
        rows.insert(0, "clip", maps.clips[i])
        rows.insert(1, "recording", maps.recordings[i])
        return rows

    parts = artifacts.clip_by_clip(target, maps.clips, one, what=f"specifications of {run.name}")
    rows = pd.concat(parts, ignore_index=True)
    rows.to_csv(target, index=False, float_format="%.5f")
    return {"clips": len(parts)}


SPECIFICATIONS = Artefact(
    "specifications.csv",
    make=_make,
    chapter="18_specifications",
    fields=(
        *("explainer", "layers", "readings", "baselines", "control_clips", "features_in_step"),
        *("curve_nulls", "curve_null_seed", "rank_nulls", "ceiling_clips"),
    ),
    inputs=(explainers.EXPLANATIONS, training.NETWORK, representations.FEATURES.each("training_folds")),
    packages=("torch", "grad-cam"),
    table=tables.SPECIFICATIONS,
    work=lambda run: float(run.explanations if run.control_clips == "all" else run.control_clips),
    smaller=("control_clips", "layers", "readings", "baselines"),
    record=False,
)


def _baselines(run: Run, known: np.ndarray, i: int) -> dict[str, tuple[Baseline, dict | None]]:
    """By name: the baseline, and the second measurement of it for the ceiling (None: nothing is drawn)."""

    def of(name: str, seed: int = 0) -> Baseline:
        return named_baselines.named(name, training=lambda: known, draws=2, seed=seed)

    again: dict[str, dict | None] = {
        "uniform": {"baseline": "uniform", "nodes": 3},
        "marginal": {"baseline": of("marginal", 2 * i + 1)},
    }
    return {name: (of(name, 2 * i), again.get(name)) for name in run.baselines}


def clip_scores(
    network: torch.nn.Module,
    fast: forward.Full | forward.Windowed,
    x: np.ndarray,
    classes: dict[str, int],
    *,
    run: Run,
    baselines: dict,
    again: bool,
    random: np.random.Generator,
) -> pd.DataFrame:
    """All specifications of one clip: columns `CHOICES`, score, ceiling, null 0 ...

    Parameters
    ----------
    x : (1, rows, frames), float32. classes : the clip's "predicted" and "true" class.
    baselines : see `_baselines`. again : whether to measure the ceiling.

    Chapter: notebooks/18_specifications.md
    """
    pairs = [tuple(reading.split("/")) for reading in run.readings]  # (explained, scored)
    nodes = {
        (layer, c): explainers.nodes(
            network,
            x[None],
            layer=models.layer(network, layer),
            classes=np.array([c]),
            explainer=run.explainer,
        )[0]
        for layer in run.layers
        for c in sorted({classes[explained] for explained, _ in pairs})
    }
    maps = {key: explainers.stretch(found[None], x.shape[1:])[0] for key, found in nodes.items()}
    shapes = sorted({found.shape for found in nodes.values()})
    blind = {
        shape: nulls.random_nodes(shape, count=run.curve_nulls, random=random, size=x.shape[1:]) for shape in shapes
    }
    wanted = sorted({classes[explained if scored == "explained" else scored] for explained, scored in pairs})
    ask: dict[str, Any] = {"fast": fast, "x": x, "classes": wanted}
    rows = []

    def add(blocks: str, baseline: str, score_of: dict, ceiling: dict, null_of: dict) -> None:
        for layer, (explained, scored), effect in itertools.product(run.layers, pairs, EFFECTS):
            own = classes[explained]
            c = own if scored == "explained" else classes[scored]
            shape = nodes[layer, own].shape
            rows.append(
                dict(zip(CHOICES, (layer, explained, scored, effect, blocks, baseline), strict=True))
                | {
                    "score": score_of[layer, own, c, effect],
                    "ceiling": ceiling.get((layer, own, c, effect), np.nan),
                }
                | {f"null {k}": score for k, score in enumerate(null_of[shape, c, effect])}
            )

    score_of: dict[tuple, float]
    ceiling: dict[tuple, float]
    null_of: dict[tuple, Any]
    for name in run.baselines:
        baseline, second = baselines[name]
        found = _effects(**ask, blocks="frame", baseline=baseline)
        more = _effects(**ask, blocks="frame", **second) if again and second else found if again else {}
        profiles = nulls.profile(np.array(list(maps.values())))
        score_of, ceiling, null_of = {}, {}, {}
        for (c, effect), v in found.items():
            mine = correlation.frame_scores(profiles, v)
            score_of |= {(*key, c, effect): score for key, score in zip(maps, mine, strict=True)}
            null_of |= {
                (shape, c, effect): correlation.frame_scores(nulls.profile(blind[shape]), v) for shape in shapes
            }
            if again:
                best = _ceiling(found[c, effect], more[c, effect])
                ceiling |= {(*key, c, effect): best for key in maps}
        add("frame", name, score_of, ceiling, null_of)
    score_of, ceiling, null_of = {}, {}, {}
    for key, own in maps.items():
        labels = blocking.rank_blocks(own, size=run.features_in_step)
        found = _effects(**ask, blocks=labels, baseline="uniform")
        more = _effects(**ask, blocks=labels, baseline="uniform", nodes=3) if again else {}
        for (c, effect), v in found.items():
            score_of[*key, c, effect] = correlation.score(own[None], v[None], blocks=labels)[0]
            if again:
                ceiling[*key, c, effect] = _ceiling(v, more[c, effect])
    for shape in shapes:
        scored: dict[tuple, list] = {}
        for map_ in blind[shape][: run.rank_nulls]:
            labels = blocking.rank_blocks(map_, size=run.features_in_step)
            for place, v in _effects(**ask, blocks=labels, baseline="uniform").items():
                scored.setdefault(place, []).extend(correlation.score(map_[None], v[None], blocks=labels))
        null_of |= {(shape, *place): found for place, found in scored.items()}
    add("rank", "uniform", score_of, ceiling, null_of)
    return pd.DataFrame(rows)


def _effects(
    *,
    fast: forward.Full | forward.Windowed,
    x: np.ndarray,
    classes: list[int],
    blocks: str | np.ndarray,
    baseline: str | Baseline,
    nodes: int = 2,
) -> dict[tuple[int, str], np.ndarray]:
    """By class and effect: (blocks,)."""
    heard = Heard(fast)
    found: dict[tuple[int, str], np.ndarray] = {}
    for c, (name, (readout, sign)) in itertools.product(classes, EFFECTS.items()):
        v = perturbation.effects(
            heard, x[None], np.array([c]), blocks=blocks, baseline=baseline, nodes=nodes, readout=readout
        )[0]
        found[c, name] = sign * v
    return found


def _ceiling(effects: np.ndarray, again: np.ndarray) -> float:
    return float(correlation.spearman(effects[None], again[None])[0])
