"""What would give the thesis's scores? Slips and choices that code like ours may hold, made one at a time.

Chapter: notebooks/23_slips.md
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from torch import nn

from helpers import artifacts, study, tables
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds
from helpers.experiments import sanity
from helpers.maps import examples, explainers
from helpers.metric import blocking, correlation, forward, perturbation
from helpers.networks import models, training
from helpers.study import Run

NONE = "none"
SLIPS = {
    NONE: "nothing: the code of this book",
    "maps out of step": "the maps come from a second pass over a shuffled loader: each clip has another's map",
    "classes out of step": "the same of the classes: each clip is asked about another clip's class",
    "true class explained": "the map explains the true class, the predicted one is scored",
    "true class scored": "the map explains the predicted class, the true one is scored",
    "true class, both": "explained and scored is the true class",
    "softmax twice": "the network ends in a softmax, and the metric takes another",
    "training mode": "the maps are made while batch norms take the batch's own mean (pytorch-grad-cam prevents it)",
    "scaled to [0, 1]": "each clip's MFCCs are scaled to [0, 1], for a network that learned from raw ones",
    "standardised late": "the MFCCs are standardised, for a network that learned from raw ones",
    "rows and columns": "the map is reshaped where it should be transposed",
    "picture of the map": "the map is read back from its coloured picture, in grey",
    "the text's effect": "the loss is subtracted as the thesis's sentence says, with its sign",
    "untrained network": "the weights were never loaded",
    "shuffled labels": "the network learned from shuffled labels",
    "map of an untrained network": "the map is an untrained network's, the score the trained one's",
    "map of shuffled labels": "the map is that of the network of shuffled labels, the score the right one's",
    "map of ResNet101": "the map is the other network's (recorded, folds 1 and 2)",
    "map of hop 512": "the map is that of the network of hop 512 (recorded, folds 1 and 2)",
    "inputs of hop 512": "the network learned at one hop and is asked at half of it",
    "173 frames": "the clips are cut where 4 s end, for a network that learned from padded ones",
}


@dataclass(frozen=True)
class Case:
    """What is scored: a network and, for each clip, its input, its map and the class whose answer is read.

    network : ready for `perturbation.effects`. inputs : (clips, 1, rows, frames). maps : (clips, rows, frames).
    classes : (clips,). readout : of `perturbation.READOUTS`. sign : what the effects are multiplied by.
    """

    network: forward.Full | forward.Windowed
    inputs: np.ndarray
    maps: np.ndarray
    classes: np.ndarray
    readout: str = "probability"
    sign: int = 1


def table(run: Run) -> pd.DataFrame:
    """One row per slip and explained clip, made once and loaded afterwards.

    Columns slip (`SLIPS`), clip, recording, score (specification "rank" of `scores.table`; NaN where the metric has
    no answer), status (why).

    Chapter: notebooks/23_slips.md
    """
    return TABLE.read(run)


def cases(run: Run) -> dict[str, Case]:
    """What each slip makes of the run's explained clips.

    Maps of recorded networks are left out where these explained other clips.

    Chapter: notebooks/23_slips.md
    """
    maps, network = explainers.explanations(run), training.network(run).to(training.device())
    turned = np.random.default_rng(run.metric_seed).permutation(len(maps.clips))
    values, standard = maps.inputs, run.with_(scaling="standardised")
    low, high = values.min((1, 2, 3), keepdims=True), values.max((1, 2, 3), keepdims=True)
    mean, deviation = representations.scale(standard)
    shuffled = training.network(run.with_(labels="shuffled")).to(training.device())
    right = Case(_ready(network, values), values, maps.maps, maps.explained)
    nothing, chance = asked(run, sanity.untrained(run), values), asked(run, shuffled, values)
    found = {
        NONE: right,
        "maps out of step": replace(right, maps=maps.maps[turned]),
        "classes out of step": replace(right, classes=maps.explained[turned]),
        "true class explained": replace(right, maps=_maps(run, network, values, maps.labels)),
        "true class scored": replace(right, classes=maps.labels),
        "true class, both": replace(right, maps=_maps(run, network, values, maps.labels), classes=maps.labels),
        "softmax twice": replace(
            right,
            network=softmaxed(right.network),
            maps=_maps(run, network, values, maps.explained, end=nn.Softmax(dim=1)),
        ),
        "training mode": replace(right, maps=_maps(run, training_mode(network), values, maps.explained)),
        "scaled to [0, 1]": asked(run, network, (values - low) / (high - low)),
        "standardised late": asked(run, network, (values - mean) / deviation),
        "rows and columns": replace(right, maps=maps.maps.transpose(0, 2, 1).reshape(maps.maps.shape)),
        "picture of the map": replace(right, maps=in_grey(maps.maps)),
        "the text's effect": replace(right, readout="cross-entropy", sign=-1),
        "untrained network": nothing,
        "shuffled labels": chance,
        "map of an untrained network": replace(right, maps=nothing.maps),
        "map of shuffled labels": replace(right, maps=chance.maps),
    }
    for name, other in recorded().items():
        theirs = explainers.explanations(other)
        if np.array_equal(theirs.clips, maps.clips):
            found[f"map of {name}"] = replace(right, maps=explainers.stretch(theirs.nodes, run.shape))
    for name, changes in {"inputs of hop 512": {"hop_length": 512}, "173 frames": {"frames": 173}}.items():
        other = artifacts.whole(run).with_(**changes)
        pictures = [examples.sound(other, clip).picture for clip in maps.clips]
        found[name] = asked(run, network, np.stack(pictures)[:, None])
    return found


def recorded() -> dict[str, Run]:
    """The recorded runs whose maps are mixed up with the run's own: the other network, the other hop.

    Chapter: notebooks/23_slips.md
    """
    return {
        "ResNet101": study.open(data="recorded", architecture="resnet101"),
        "hop 512": study.open(data="recorded", architecture="resnet18", hop_length=512),
    }


def asked(run: Run, network: nn.Module, inputs: np.ndarray) -> Case:
    """A network, inputs, its maps of them and the classes that it names: all of one piece.

    Parameters
    ----------
    inputs : (clips, 1, rows, frames), float32, of any width.

    Chapter: notebooks/23_slips.md
    """
    inputs = inputs.astype(np.float32)
    classes = training.predict(network, inputs).argmax(1).numpy()
    return Case(_ready(network, inputs), inputs, _maps(run, network, inputs, classes), classes)


def softmaxed(network: forward.Full | forward.Windowed) -> forward.Full | forward.Windowed:
    """A prepared network with a softmax at its end: what reads its logits gets probabilities.

    Chapter: notebooks/23_slips.md
    """
    other: Any = copy.copy(network)
    other.remember = lambda clip: network.remember(clip).softmax(-1)
    other.logits = lambda values, start: network.logits(values, start).softmax(-1)
    return other


def training_mode(network: nn.Module) -> nn.Module:
    """A copy that stays in training mode, whatever it is told.

    Chapter: notebooks/23_slips.md
    """
    other: Any = copy.deepcopy(network).train()
    other.eval = lambda: other
    return other


def in_grey(maps: np.ndarray) -> np.ndarray:
    """What remains of maps that were drawn in the colours "jet" and read as grey: highest in the middle.

    Parameters
    ----------
    maps : (clips, rows, frames), in [0, 1].

    Returns
    -------
    The same shape, float64, in [0, 1]: 0.299 red + 0.587 green + 0.114 blue.

    Source: ITU-R BT.601 (the weights). Chapter: notebooks/23_slips.md
    """
    return matplotlib.colormaps["jet"](maps)[..., :3] @ np.array([0.299, 0.587, 0.114])


def _ready(network: nn.Module, inputs: np.ndarray) -> forward.Full | forward.Windowed:
    return forward.prepare(network, shape=inputs.shape[1:])


def _maps(
    run: Run, network: nn.Module, inputs: np.ndarray, classes: np.ndarray, end: nn.Module | None = None
) -> np.ndarray:
    layer = models.layer(network, run.layer)
    whole = nn.Sequential(network, end) if end else network
    return explainers.maps(whole, inputs, layer=layer, classes=classes, explainer=run.explainer)


def _scored(case: Case, i: int, size: int) -> tuple[float, str]:
    own = case.maps[[i]]
    blocks = blocking.rank_blocks(own, size=size)
    given: Mapping[str, Any] = {"blocks": blocks, "readout": case.readout}
    v = case.sign * perturbation.effects(case.network, case.inputs[[i]], case.classes[[i]], **given)
    (found,) = correlation.score(own, v, blocks=blocks)
    return found, "constant map or effects" if np.isnan(found) else "ok"


def _make(run: Run, target: Path) -> dict:
    maps, known = explainers.explanations(run), cases(run)

    def one(i: int) -> pd.DataFrame:
        rows = [(name, *_scored(case, i, run.features_in_step or run.rows)) for name, case in known.items()]
        found = pd.DataFrame(rows, columns=["slip", "score", "status"])
        return found.assign(clip=maps.clips[i], recording=maps.recordings[i])

    parts = artifacts.clip_by_clip(target, maps.clips, one, what=f"slips of {run.name}")
    rows = pd.concat(parts, ignore_index=True)[list(tables.SLIPS.columns)]
    rows.to_csv(target, index=False)
    return {"clips": len(parts), "nan": int(rows["score"].isna().sum())}


def _outside(run: Run) -> dict[str, str]:
    theirs = {name: explainers.EXPLANATIONS.get(other) for name, other in recorded().items()}
    known = {f"maps of {name}": artifacts.digest_of(path) for name, path in theirs.items()}
    return known | sounds.digest(run, run.test_fold)


TABLE = Artefact(
    "slips.csv",
    make=_make,
    chapter="23_slips",
    fields=("features_in_step", "metric_seed", "explainer", "layer"),
    inputs=(
        explainers.EXPLANATIONS,
        training.NETWORK,
        training.NETWORK.of(labels="shuffled"),
        representations.FEATURES.each("training_folds"),
    ),
    packages=("torch", "numpy", "grad-cam", "matplotlib"),
    table=tables.SLIPS,
    outside=_outside,
    work=lambda run: float(len(SLIPS) * run.explanations * run.rows * run.frames),
    smaller=("explanations",),
)
