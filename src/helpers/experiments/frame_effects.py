"""What each frame of a clip means to a network, for every test clip: what all controls are held against.

Kept apart from `helpers.experiments.controls`, so that a new control does not ask the networks anew.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers import artifacts
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.maps import explainers
from helpers.metric import forward, perturbation
from helpers.networks import training
from helpers.study import Run


@dataclass(frozen=True)
class Effects:
    """What each frame of test clips means to a network, and what the explainer gives to the layer's nodes.

    Parameters
    ----------
    clips : (clips,), str.
    recordings, labels, predicted, explained, frames : (clips,), int64, as in `explainers.Explanations`.
    nodes : (clips, rows, columns), float32, as there.
    effects : (clips, frames), float32: `perturbation.effects` by frame, U[0, 1) at two quadrature points.
    again : (clips, frames), float32: the same at three other points, for the ceiling; NaN for clips that are
        not among those that are explained.
    """

    clips: np.ndarray
    recordings: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    frames: np.ndarray
    nodes: np.ndarray
    effects: np.ndarray
    again: np.ndarray


def frames(run: Run) -> Effects:
    """Effects of the frames of `run.control_clips` test clips, made once and loaded afterwards.

    Chapter: notebooks/15_controls.md
    """
    with np.load(EFFECTS.get(run), allow_pickle=False) as arrays:
        return Effects(**arrays)


def clips(run: Run) -> representations.Features:
    """The test clips that the controls take: those that are explained, and others up to `run.control_clips`.

    Chapter: notebooks/15_controls.md
    """
    sample = explainers.explanations(run).clips
    test = representations.test(run)
    first = np.argsort(~np.isin(test.clips, sample), kind="stable")
    return test.part(np.sort(first if run.control_clips == "all" else first[: run.control_clips]))


def _make(run: Run, target: Path) -> dict:
    sample = explainers.explanations(run).clips
    network = training.network(run).to(training.device())
    test = clips(run)
    predicted = training.predict(network, test.inputs).argmax(1).numpy()
    explained = predicted if run.explained == "predicted" else test.labels
    nodes = explainers.of_run(run, network, test.inputs, classes=explained, clips=test.clips)
    fast = forward.prepare(network, shape=test.inputs.shape[1:])

    def one(i: int) -> np.ndarray:
        ask: dict[str, Any] = {"inputs": test.inputs[[i]], "classes": explained[[i]]}
        found = np.full((2, run.frames), np.nan, dtype=np.float32)
        found[0] = perturbation.effects(fast, **ask)[0]
        if test.clips[i] in sample:
            found[1] = perturbation.effects(fast, **ask, nodes=3)[0]
        return found

    found = np.stack(artifacts.clip_by_clip(target, test.clips, one, what=f"effects of {run.name}"), axis=1)
    facts = {name: getattr(test, name) for name in ("clips", "recordings", "labels", "frames")}
    facts |= {"predicted": predicted, "explained": explained, "nodes": nodes}
    np.savez_compressed(target, **facts, effects=found[0], again=found[1])
    return {"clips": len(test.clips)}


EFFECTS = Artefact(
    "effects.npz",
    make=_make,
    chapter="15_controls",
    fields=("explainer", "layer", "explained", "control_clips"),
    inputs=(explainers.EXPLANATIONS, training.NETWORK),
    packages=("torch", "grad-cam"),
    work=lambda run: float(200 if run.control_clips == "all" else run.control_clips) * run.frames,
    smaller=("control_clips",),
)
