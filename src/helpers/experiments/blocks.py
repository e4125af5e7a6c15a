"""Frames, bands and patches: what a map knows of each, whatever the network is given.

Chapter: notebooks/28_representations.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.experiments import comparison, controls
from helpers.maps import explainers
from helpers.metric import baselines, blocking, ceiling, correlation, forward, perturbation
from helpers.networks import training
from helpers.study import Run

# what is replaced, and by what; "silence" is made in the sound itself
ASKED: dict[str, tuple[str, ...]] = {
    "frame": ("uniform", "median", "resampled", "silence"),
    "band": ("uniform", "median"),
    "patch": ("uniform", "median"),
}
AGAIN = "again"  # the first baseline, measured a second time at other values
BANDS = 16  # at most; as many columns of patches
SHOWN = 3  # clips whose pictures are kept, to be looked at


def kinds(run: Run) -> tuple[str, ...]:
    """The kinds of block that a representation has: a waveform has no bands.

    Chapter: notebooks/28_representations.md
    """
    return ("frame",) if run.representation == "waveform" else tuple(ASKED)


def size(run: Run, kind: str) -> tuple[int, int]:
    """Rows and frames of one block: a frame, a band (a sixteenth of the rows, at least one row), or a patch of a band.

    Chapter: notebooks/28_representations.md
    """
    height, width = -(-run.rows // BANDS), -(-run.frames // BANDS)
    return {"frame": (run.rows, 1), "band": (height, run.frames), "patch": (height, width)}[kind]


def arrays(run: Run) -> dict[str, np.ndarray]:
    """Maps and effects of one clip of each recording, made once and loaded afterwards.

    Returns
    -------
    clips, recordings, labels, predicted, explained : (clips,). nodes : (clips, rows, columns) of the layer.
    loudness : (clips, frames). inputs : (up to `SHOWN`, rows, frames), none of a waveform. Effects, by kind of block
    and baseline, such as "frame uniform" : (clips, blocks), >= 0.

    Chapter: notebooks/28_representations.md
    """
    with np.load(EFFECTS.get(run), allow_pickle=False) as found:
        return dict(found)


def maps(run: Run) -> np.ndarray:
    """The run's maps of these clips: (clips, rows, frames), float32, in [0, 1].

    Chapter: notebooks/28_representations.md
    """
    return explainers.stretch(arrays(run)["nodes"], run.shape)


def table(run: Run) -> pd.DataFrame:
    """One row per clip, kind of block and baseline, made once and loaded afterwards.

    Columns: clip, recording, label, predicted, explained, blocks, baseline; score, of the run's map; "random", the mean
    score of maps of random nodes; "mean map", the score of the mean map of all other recordings; "loudness", of frames
    only; "again", the score of the effects of the first baseline measured a second time; "ceiling", the best map of the
    layer's shape that is found, NaN where the layer has a node for each frame. A map that gives all blocks of a kind
    the same has no score: NaN.

    Chapter: notebooks/28_representations.md
    """
    return SCORES.read(run)


def _make(run: Run, target: Path) -> dict:
    network = training.network(run).to(training.device())
    test = comparison.clips(run)
    predicted = training.predict(network, test.inputs).argmax(1).numpy()
    explained = predicted if run.explained == "predicted" else test.labels
    fast = forward.prepare(network, shape=test.inputs.shape[1:])
    known = representations.training(run).inputs
    same = {name: baselines.named(name, training=lambda: known) for name in ("uniform", "median")}
    silenced = explainers.faded(run, test.clips)

    def filled(i: int, baseline: str) -> baselines.Baseline:
        if baseline == "silence":
            one_off = 1 - np.eye(run.frames)
            return baselines.Baseline.edited(lambda _: silenced(i, one_off)[:, 0].numpy())
        return same.get(baseline) or baselines.named(baseline, training=lambda: known, seed=i)

    def one(i: int) -> np.ndarray:
        x, category = test.inputs[[i]], explained[[i]]
        rows = [explainers.of_run(run, network, x, classes=category, clips=test.clips[[i]])[0].ravel()]
        for kind, baseline in _columns(run):
            blocks = size(run, kind)
            asked = {"nodes": 3} if baseline == AGAIN else {"baseline": filled(i, baseline)}
            rows.append(perturbation.effects(fast, x, category, blocks=blocks, **asked)[0])
        widest = max(map(len, rows))
        return np.stack([np.pad(row, (0, widest - len(row)), constant_values=np.nan) for row in rows])

    found = np.stack(artifacts.clip_by_clip(target, test.clips, one, what=f"blocks of {run.name}"))
    layer = explainers.of_run(run, network, test.inputs[:1], classes=explained[:1], clips=test.clips[:1])[0].shape
    shown = test.inputs[: SHOWN if run.representation != "waveform" else 0, 0]
    told: dict[str, Any] = {name: getattr(test, name) for name in ("clips", "recordings", "labels")}
    for k, (kind, baseline) in enumerate(_columns(run), start=1):
        known_blocks = ~np.isnan(found[:, k]).all(axis=0)
        told[f"{kind} {baseline}"] = found[:, k, known_blocks].astype(np.float32)
    np.savez_compressed(
        target,
        **told,
        predicted=predicted,
        explained=explained,
        nodes=found[:, 0, : int(np.prod(layer))].reshape(-1, *layer).astype(np.float32),
        loudness=controls.loudness(run, test.clips),
        inputs=shown,
    )
    return {"clips": len(found), "blocks": {kind: list(size(run, kind)) for kind in kinds(run)}}


def _columns(run: Run) -> list[tuple[str, str]]:
    return [(kind, baseline) for kind in kinds(run) for baseline in (*ASKED[kind], AGAIN)]


EFFECTS = Artefact(
    "block-effects.npz",
    make=_make,
    chapter="28_representations",
    fields=("explained", "explainer", "layer", "sample_seed", "explainer_samples", "explainer_seed", "compared_clips"),
    inputs=(
        training.NETWORK,
        representations.FEATURES.each("test_fold"),
        representations.FEATURES.each("training_folds"),
    ),
    packages=("torch", "grad-cam"),
    work=lambda run: comparison.count(run) * run.rows * run.frames,
    smaller=("compared_clips",),
)


def _scored(run: Run, target: Path) -> dict:
    found = arrays(run)
    rows = []
    for kind in kinds(run):
        block = size(run, kind)
        own = _given(maps(run), block)
        means = controls.mean_maps(own, found["recordings"])
        for i in tqdm(range(len(own)), desc=f"scores of {run.name}, {kind}", unit="clip"):
            random = np.random.default_rng((run.null_seed, i, *block))
            rows += _clip(run, i, kind, found, own=own[i], mean=means[i], random=random)
    pd.DataFrame(rows).to_csv(target, index=False, float_format="%.5f")
    return {"clips": len(own), "nan": int(sum(np.isnan(row["score"]) for row in rows))}


def _given(maps: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """What maps give to each block; what only the resize tells apart is equal."""
    return blocking.merged(blocking.sums(maps, block), share=blocking.TIE)


def _clip(
    run: Run,
    i: int,
    kind: str,
    found: dict[str, np.ndarray],
    *,
    own: np.ndarray,
    mean: np.ndarray,
    random: np.random.Generator,
) -> list[dict]:
    """The rows of clip `i` and one kind of block, one per baseline."""
    facts = comparison.facts(found, i) | {"blocks": kind}
    block, nodes = size(run, kind), found["nodes"][i]
    drawn = random.standard_normal((run.null_maps, *nodes.shape))
    parts = np.array_split(drawn, -(-len(drawn) // 100))  # a thousand stretched pictures at once would take gigabytes
    blind = np.vstack([_given(explainers.stretch(part, run.shape), block) for part in parts])
    rows = []
    for baseline in ASKED[kind]:
        v = found[f"{kind} {baseline}"][i].astype(np.float64)
        null = correlation.frame_scores(blind, v)
        told = {"score": own, "mean map": mean, "again": found[f"{kind} {AGAIN}"][i]}
        told |= {"loudness": found["loudness"][i] if kind == "frame" else np.full(len(v), np.nan)}
        scores = dict(zip(told, correlation.frame_scores(np.stack(list(told.values())), v), strict=True))
        scores["random"] = np.nanmean(null) if np.isfinite(null).any() else np.nan
        scores["ceiling"] = np.nan
        if nodes.shape[1] < run.frames and np.isfinite(null).any():
            ways = ceiling.weights(nodes.shape, run.shape, block)
            best = ceiling.best_nodes(v, np.maximum(nodes, 0).reshape(1, -1), weights=ways, random=random)
            seen = _given(explainers.stretch(best.reshape(1, *nodes.shape), run.shape), block)
            scores["ceiling"] = np.nanmax([*correlation.frame_scores(seen, v), *null, scores["score"]])
        rows.append(facts | {"baseline": baseline} | scores)
    return rows


SCORES = Artefact(
    "blocks.csv",
    make=_scored,
    chapter="28_representations",
    fields=("null_maps", "null_seed"),
    inputs=(EFFECTS,),
    packages=("numpy", "scipy"),
    table=tables.BLOCKS,
    work=lambda run: comparison.count(run) * run.null_maps,
    smaller=("null_maps", "compared_clips"),
)
