"""One score for every combination of the open choices: the specification curve.

Chapter: notebooks/18_specifications.md
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import frame_effects
from helpers.maps import explainers, nulls
from helpers.metric import blocking, correlation, forward, perturbation
from helpers.metric.baselines import Baseline
from helpers.networks import models, training
from helpers.study import Run

NULL_SEED = 1  # of the maps that know nothing


RANK_NULLS = 3  # maps that know nothing, per clip, with blocks of their own: each asks the network anew


CEILING_CLIPS = 10  # clips whose effects are measured a second time


CHOICES = ["layer", "explained", "scored", "effect", "blocks", "baseline"]


# What a block's effect is: the read-out of `faithfulness.effects`, and its sign.
EFFECTS = {
    "squared change of p": ("probability", 1),
    "squared change of the log-odds": ("log-odds", 1),
    "loss after - before": ("cross-entropy", 1),
    "loss before - after": ("cross-entropy", -1),
}


@dataclass(frozen=True)
class Axes:
    """Which values of each choice are combined for one network."""

    layers: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (explained, scored)
    baselines: tuple[str, ...]  # of one block per frame; blocks by rank have "uniform", as the thesis


def axes(run: Run) -> Axes:
    """All values for ResNet18; for deeper networks, ten times as slow, the last blocks of two stages, the
    predicted class and the thesis's baseline.

    Chapter: notebooks/18_specifications.md
    """
    if run.architecture == "resnet18":
        return Axes(
            layers=study.CHOICES["layer"],
            pairs=(("predicted", "explained"), ("predicted", "true"), ("true", "explained")),
            baselines=("uniform", "zero", "mean", "neighbours", "marginal"),
        )
    return Axes(
        layers=("layer4[-1]", "layer3[-1]"), pairs=(("predicted", "explained"),), baselines=("uniform",)
    )


class Heard(forward.Full):
    """A prepared network that keeps its answers on one clip, so that another read-out of them asks nothing.

    Chapter: notebooks/18_specifications.md
    """

    def __init__(self, network: forward.Full | forward.Windowed) -> None:
        """`network` is from `forward.prepare`; all calls of `effects` must be of one clip and its changes."""
        self.network, self.shape, self.narrow = network, network.shape, network.narrow
        self.clean: Tensor | None = None
        self.answers: list[Tensor] = []

    def remember(self, clip: Tensor) -> Tensor:
        """Logits of the clip, as `forward.Full.remember`; the next answer is the first one again."""
        self.asked = 0
        if self.clean is None:
            self.clean = self.network.remember(clip)
        return self.clean

    def logits(self, values: Tensor, start: Tensor) -> Tensor:
        """As `forward.Windowed.logits`, from memory where the same call was made before."""
        if self.asked == len(self.answers):
            self.answers.append(self.network.logits(values, start))
        self.asked += 1
        return self.answers[self.asked - 1]


def scores(run: Run) -> pd.DataFrame:
    """One row per explained clip and specification: made once, loaded afterwards.

    Columns: name, fs_id; the choices `CHOICES`; score; ceiling (of the first `CEILING_CLIPS` clips: the
    effects at three other nodes, or, where nothing is drawn, the effects themselves, 1); null 0, null 1,
    ...: scores of random nodes of the layer's shape, `RANK_NULLS` of them for blocks by rank.

    Chapter: notebooks/18_specifications.md
    """
    return pd.read_csv(make(run))


def make(run: Run) -> Path:
    """The file specifications.csv of a run; `scores` reads it. Goes on after the last whole clip.

    Chapter: notebooks/18_specifications.md
    """
    sample = frame_effects.sample(run)
    network = training.network(run).to(training.device())
    path, chosen = run.path("specifications.csv"), axes(run)
    blind = min(20, run.profile.null_maps)

    def compute(work: Path) -> dict:
        known = representations.dataset(run).training().mfcc
        fast = forward.prepare(network, shape=sample.inputs.shape[1:])
        parts = [work / f"clip-{i}.csv" for i in range(len(sample.names))]
        for i, part in enumerate(tqdm(parts, desc=f"specifications of {run.name}", unit="clip")):
            if not part.exists():
                classes = {"predicted": int(sample.predicted[i]), "true": int(sample.labels[i])}
                rows = clip_scores(
                    network,
                    fast,
                    sample.inputs[i],
                    classes,
                    axes=chosen,
                    baselines=_baselines(known, i),
                    count=blind,
                    again=i < CEILING_CLIPS,
                    random=np.random.default_rng((NULL_SEED, i)),
                )
                rows.insert(0, "name", sample.names[i])
                rows.insert(1, "fs_id", sample.fs_ids[i])
                artifacts.write_text(part, rows.to_csv(index=False, float_format="%.5f"))
        pd.concat(map(pd.read_csv, parts)).to_csv(work / path.name, index=False)
        return {
            "data": run.source.label,
            "clips": len(parts),
            "threads": torch.get_num_threads(),
            "device": str(training.device()),
        }

    return artifacts.produce(
        path,
        parameters=vars(chosen) | {"nulls": blind, "control_clips": run.profile.control_clips},
        inputs={
            "explanations.npz": artifacts.digest_of(run.path("explanations.npz")),
            "network": artifacts.digest_of(run.path("network")),
            "features.npz": artifacts.digest_of(run.path("features.npz")),
        },
        make=compute,
    )


def _baselines(known: np.ndarray, i: int) -> dict[str, tuple[str | Baseline, dict]]:
    """By name: the baseline, and the second measurement of it for the ceiling (None: nothing is drawn)."""
    return {
        "uniform": ("uniform", {"baseline": "uniform", "nodes": 3}),
        "zero": ("zero", None),
        "mean": (Baseline.mean(known), None),
        "neighbours": ("neighbours", None),
        "marginal": (
            Baseline.marginal(known, draws=2, seed=2 * i),
            {"baseline": Baseline.marginal(known, draws=2, seed=2 * i + 1)},
        ),
    }


def clip_scores(
    network: torch.nn.Module,
    fast: forward.Full | forward.Windowed,
    x: np.ndarray,
    classes: dict[str, int],
    *,
    axes: Axes,
    baselines: dict,
    count: int,
    again: bool,
    random: np.random.Generator,
) -> pd.DataFrame:
    """All specifications of one clip: columns `CHOICES`, score, ceiling, null 0 ...

    Parameters
    ----------
    x : (1, 13, 400), float32. classes : the clip's "predicted" and "true" class.
    count : random maps per layer shape. again : whether to measure the ceiling.

    Chapter: notebooks/18_specifications.md
    """
    nodes = {
        (layer, c): explainers.nodes(
            network, x[None], layer=models.layer(network, layer), classes=np.array([c])
        )[0]
        for layer in axes.layers
        for c in sorted({classes[explained] for explained, _ in axes.pairs})
    }
    maps = {key: explainers.stretch(found[None], x.shape[1:])[0] for key, found in nodes.items()}
    shapes = sorted({found.shape for found in nodes.values()})
    blind = {shape: nulls.random_nodes(shape, count=count, random=random) for shape in shapes}
    wanted = sorted(
        {classes[explained if scored == "explained" else scored] for explained, scored in axes.pairs}
    )
    ask = {"fast": fast, "x": x, "classes": wanted}
    rows = []

    def add(blocks: str, baseline: str, score_of: dict, ceiling: dict, null_of: dict) -> None:
        for layer, (explained, scored), effect in itertools.product(axes.layers, axes.pairs, EFFECTS):
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

    for name in axes.baselines:
        baseline, second = baselines[name]
        found = _effects(**ask, blocks="frame", baseline=baseline)
        more = _effects(**ask, blocks="frame", **second) if again and second else found if again else {}
        profiles = nulls.profile(np.array(list(maps.values())))
        score_of, ceiling, null_of = {}, {}, {}
        for (c, effect), v in found.items():
            mine = correlation.frame_scores(profiles, v)
            score_of |= {(*key, c, effect): score for key, score in zip(maps, mine, strict=True)}
            null_of |= {
                (shape, c, effect): correlation.frame_scores(nulls.profile(blind[shape]), v)
                for shape in shapes
            }
            if again:
                best = _ceiling(found[c, effect], more[c, effect])
                ceiling |= {(*key, c, effect): best for key in maps}
        add("frame", name, score_of, ceiling, null_of)
    score_of, ceiling, null_of = {}, {}, {}
    for key, own in maps.items():
        labels = blocking.rank_blocks(own)
        found = _effects(**ask, blocks=labels, baseline="uniform")
        more = _effects(**ask, blocks=labels, baseline="uniform", nodes=3) if again else {}
        for (c, effect), v in found.items():
            score_of[*key, c, effect] = correlation.score(own[None], v[None], blocks=labels)[0]
            if again:
                ceiling[*key, c, effect] = _ceiling(v, more[c, effect])
    for shape in shapes:
        scored = {}
        for map_ in blind[shape][:RANK_NULLS]:
            labels = blocking.rank_blocks(map_)
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
    found = {}
    for c, readout in itertools.product(classes, perturbation.READOUTS):
        v = perturbation.effects(
            heard, x[None], np.array([c]), blocks=blocks, baseline=baseline, nodes=nodes, readout=readout
        )[0]
        found |= {(c, name): sign * v for name, (own, sign) in EFFECTS.items() if own == readout}
    return found


def _ceiling(effects: np.ndarray, again: np.ndarray) -> float:
    return float(pd.Series(effects).corr(pd.Series(again), method="spearman"))
