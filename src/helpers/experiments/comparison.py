"""Explainers and layers side by side: the same clips, the same effects, one clip of each recording.

Chapter: notebooks/24_explainers.md, notebooks/27_depth.md
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from tqdm import tqdm

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.experiments import controls, metrics
from helpers.maps import explainers, nulls
from helpers.metric import baselines, ceiling, correlation, forward, perturbation
from helpers.networks import training
from helpers.study import Run

BASELINES = ("uniform", "zero", "mean", "neighbours")  # of the effects; by the first all maps are scored
OWN, SOUND = "Grad-CAM", "loudness"
_FACTS = {
    **{"clip": "clips", "recording": "recordings", "label": "labels"},
    **{"predicted": "predicted", "explained": "explained", "frames": "frames"},
}


def variants(run: Run) -> list[tuple[str, str]]:
    """The maps that are compared, (explainer, layer): every explainer at the run's layer, Grad-CAM at others, loudness.

    Chapter: notebooks/24_explainers.md
    """
    layers = [layer for layer in run.compared_layers if layer != run.layer]
    return [(name, run.layer) for name in run.explainers] + [(OWN, layer) for layer in layers] + [(SOUND, "")]


def clips(run: Run) -> representations.Features:
    """One clip of each recording of the test fold, drawn at random, in random order: the first `run.compared_clips`.

    Chapter: notebooks/24_explainers.md
    """
    test = representations.test(run)
    order = np.random.default_rng(run.sample_seed).permutation(len(test.clips))
    _, first = np.unique(test.recordings[order], return_index=True)  # of each recording, in the order that was drawn
    count = None if run.compared_clips == "all" else run.compared_clips
    return test.part(order[np.sort(first)][:count])


def count(run: Run) -> float:
    """How many clips are compared, for estimates of time: fold 3 as it was at hand has 80 recordings.

    Chapter: notebooks/24_explainers.md
    """
    return 80.0 if run.compared_clips == "all" else float(run.compared_clips)


def facts(found: dict[str, np.ndarray], i: int) -> dict[str, Any]:
    """What a table says of clip `i` first: whose it is, and which classes are true, answered and explained.

    Parameters
    ----------
    found : arrays by name, a value for each clip, such as `arrays`.

    Chapter: notebooks/24_explainers.md
    """
    return {head: found[name][i] for head, name in _FACTS.items() if name in found}


def table(run: Run) -> pd.DataFrame:
    """One row per clip and map, made once and loaded afterwards.

    Columns: clip, recording, label, predicted, explained, frames (that hold sound); explainer and layer (`variants`;
    "loudness" has no layer: the frames' loudness, which knows no network); seconds that the map took. Then, over all
    frames and "... inside" the sound,

    - "score", the frame score;
    - "random", the mean score of maps that know nothing: of random nodes of the same layer, or of independent frames;
    - "mean map", the score of the mean of the same explainer's maps of all other recordings;
    - "ceiling", the best map of the layer's shape that is found, NaN for a map of the input's cells;
    - "again", the score of the effects measured a second time;
    - "zero inside", "mean inside", "neighbours inside": the frame score with another baseline;
    - "SRG", "insertion", "deletion", over all frames: see `metrics.gains`. Insertion is the area under the class's
      probability while the frames come back, most important first; deletion while they go.

    Chapter: notebooks/24_explainers.md
    """
    return COMPARISON.read(run)


def arrays(run: Run) -> dict[str, np.ndarray]:
    """What `table` is made from, made once and loaded afterwards.

    Returns
    -------
    clips, recordings, labels, frames, predicted, explained : (clips,). explainers, layers : (maps,), str, `variants`.
    effects : (clips, `BASELINES` and again, frames). curves : (clips, maps, frames), >= 0. seconds : (clips, maps).
    shapes : (maps, 2), of the nodes. removal : (clips, maps, 2, steps), the class's probability: `metrics.removal`.

    Chapter: notebooks/24_explainers.md
    """
    with np.load(COMPARED.get(run), allow_pickle=False) as found:
        return dict(found)


def _make(run: Run, target: Path) -> dict:
    network = training.network(run).to(training.device())
    test, compared = clips(run), variants(run)
    predicted = training.predict(network, test.inputs).argmax(1).numpy()
    explained = predicted if run.explained == "predicted" else test.labels
    fast = forward.prepare(network, shape=test.inputs.shape[1:])
    known = representations.training(run).inputs
    fill = known.mean(axis=(0, 1, 3), dtype=np.float64)
    loud = controls.loudness(run, test.clips)
    steps = -(-run.frames // run.removal_step) + 1
    width = max(run.frames, 3 + 2 * steps)

    def of(i: int, name: str, layer: str) -> np.ndarray:
        """A map's curve; below it seconds, the shape of its nodes, and the class's probability in two removals."""
        x, category = test.inputs[[i]], explained[[i]]
        began = time.perf_counter()
        options: dict[str, Any] = {"classes": category, "clips": test.clips[[i]], "explainer": name, "layer": layer}
        nodes = loud[[i]] if name == SOUND else explainers.of_run(run, network, x, **options)[0]
        taken = time.perf_counter() - began
        own = explainers.stretch(nodes[None], run.shape)[0]
        gone = metrics.removal(fast.network, x[0, 0], own, fill=fill, step=run.removal_step)
        p = softmax(gone, axis=2)[..., category[0]]
        return np.stack([_wide(nulls.profile(own[None])[0]), _wide(np.array([taken, *nodes.shape, *p.ravel()]))])

    def _wide(values: np.ndarray) -> np.ndarray:
        return np.pad(values.astype(np.float64), (0, width - len(values)), constant_values=np.nan)

    def one(i: int) -> np.ndarray:
        asked: list[dict[str, Any]] = [
            {"baseline": baselines.named(name, training=lambda: known)} for name in BASELINES
        ]
        rows = [
            perturbation.effects(fast, test.inputs[[i]], explained[[i]], **options)[0]
            for options in [*asked, {"nodes": 3}]
        ]
        return np.concatenate([[_wide(row) for row in rows], *(of(i, *map_) for map_ in compared)])

    found = np.stack(artifacts.clip_by_clip(target, test.clips, one, what=f"explainers of {run.name}"))
    own, facts = found[:, len(BASELINES) + 1 :: 2], found[:, len(BASELINES) + 2 :: 2]
    np.savez_compressed(
        target,
        **{name: getattr(test, name) for name in ("clips", "recordings", "labels", "frames")},
        predicted=predicted,
        explained=explained,
        explainers=np.array([name for name, _ in compared]),
        layers=np.array([layer for _, layer in compared]),
        effects=found[:, : len(BASELINES) + 1, : run.frames].astype(np.float32),
        curves=own[:, :, : run.frames].astype(np.float32),
        seconds=facts[:, :, 0].astype(np.float32),
        shapes=facts[0, :, 1:3].astype(np.int64),
        removal=facts[:, :, 3 : 3 + 2 * steps].reshape(len(found), len(compared), 2, steps).astype(np.float32),
    )
    return {"clips": len(found), "maps": [" ".join(map_) for map_ in compared]}


COMPARED = Artefact(
    "compared.npz",
    make=_make,
    chapter="24_explainers",
    fields=(
        *("explained", "layer", "sample_seed", "explainer_samples", "explainer_seed"),
        *("compared_clips", "explainers", "compared_layers", "removal_step"),
    ),
    inputs=(
        training.NETWORK,
        representations.FEATURES.each("test_fold"),
        representations.FEATURES.each("training_folds"),
    ),
    packages=("torch", "grad-cam", "captum"),
    work=lambda run: count(run) * len(run.explainers),
    smaller=("compared_clips", "explainers", "explainer_samples"),
)


def _scored(run: Run, target: Path) -> dict:
    found = arrays(run)
    means = np.stack(
        [controls.mean_maps(found["curves"][:, k], found["recordings"]) for k in range(len(found["explainers"]))],
        axis=1,
    )
    rows = [
        row
        for i in tqdm(range(len(found["clips"])), desc=f"scores of {run.name}'s explainers", unit="clip")
        for row in _clip(run, i, found, means[i])
    ]
    pd.DataFrame(rows).to_csv(target, index=False, float_format="%.5f")
    return {"clips": len(found["clips"]), "nan": int(sum(np.isnan(row["score inside"]) for row in rows))}


def _clip(run: Run, i: int, found: dict[str, np.ndarray], means: np.ndarray) -> list[dict]:
    """The rows of clip `i`, one per map."""
    sounding = int(controls.sounding_of(run, found["frames"])[i])
    effects = dict(zip((*BASELINES, "again"), found["effects"][i], strict=True))
    curves, shapes = found["curves"][i], [(int(rows), int(columns)) for rows, columns in found["shapes"]]
    known: dict[tuple[str, tuple[int, int]], tuple[float, float]] = {}
    for shape in dict.fromkeys(shapes):
        members = curves[[one == shape for one in shapes]]
        random = np.random.default_rng((run.null_seed, i, *shape))
        blind = _blind(run, shape, random)
        for where, part in _parts(sounding):
            known[where, shape] = _ends(run, shape, members, blind, effects["uniform"], part, random)
    rows = []
    for k, (name, layer) in enumerate(zip(found["explainers"], found["layers"], strict=True)):
        row = facts(found, i) | {"explainer": name, "layer": layer, "seconds": found["seconds"][i, k]}
        for where, part in _parts(sounding):
            of = np.stack([curves[k], means[k], effects["again"]])[:, part]
            scores = correlation.frame_scores(of, effects["uniform"][part])
            ends = dict(zip(("random", "ceiling"), known[where, shapes[k]], strict=True))
            ends |= dict(zip(("score", "mean map", "again"), scores, strict=True))
            row |= {f"{head}{where}": score for head, score in ends.items()}
        for other in BASELINES[1:]:
            inside = correlation.frame_scores(curves[k, None, :sounding], effects[other][:sounding])
            row[f"{other} inside"] = inside[0]
        deletion, insertion = np.trapezoid(found["removal"][i, k], dx=1 / (found["removal"].shape[-1] - 1))
        rows.append(row | {"SRG": insertion - deletion, "insertion": insertion, "deletion": deletion})
    return rows


def _parts(sounding: int) -> tuple[tuple[str, slice], ...]:
    return ("", slice(None)), (" inside", slice(0, sounding))


def _blind(run: Run, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Curves of maps that know nothing, (null_maps, frames): of random nodes, or of frames that know no neighbour."""
    if shape[1] == run.frames:
        return random.random((run.null_maps, run.frames))
    return nulls.profile(nulls.random_nodes(shape, count=run.null_maps, random=random, size=run.shape))


def _ends(
    run: Run,
    shape: tuple[int, int],
    members: np.ndarray,
    blind: np.ndarray,
    effects: np.ndarray,
    part: slice,
    random: np.random.Generator,
) -> tuple[float, float]:
    """The mean score of blind maps, and the best that a map of the layer's shape is found to score, in some frames."""
    v = effects[part]
    null = correlation.frame_scores(blind[:, part], v)
    if not np.isfinite(null).any():
        return np.nan, np.nan
    if shape[1] == run.frames:  # of a map of the input's cells the best is the effects themselves
        return np.nanmean(null), np.nan
    # rows add up to a curve, so one row of nodes can say all that several can
    columns, size = (1, shape[1]), (1, run.frames)
    starts = np.vstack([controls.squeezed_nodes(curve, columns) for curve in members])
    best = ceiling.best_nodes(v, starts, weights=ceiling.weights(columns, size)[part], random=random)
    own = nulls.profile(explainers.stretch(best.reshape(1, *columns), size))
    seen = correlation.frame_scores(np.vstack([own, members])[:, part], v)
    return np.nanmean(null), np.nanmax([*seen, *null])


COMPARISON = Artefact(
    "comparison.csv",
    make=_scored,
    chapter="24_explainers",
    fields=("null_maps", "null_seed"),
    inputs=(COMPARED,),
    packages=("numpy", "scipy"),
    table=tables.COMPARISON,
    work=lambda run: count(run) * run.null_maps,
    smaller=("null_maps", "compared_clips"),
)
