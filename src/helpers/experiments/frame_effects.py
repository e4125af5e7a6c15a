"""What each frame of a clip means to a network, for every test clip: what all controls are held against.

Kept apart from `helpers.controls`, so that a new control does not ask the networks anew.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from helpers import artifacts
from helpers.audio import representations
from helpers.maps import explainers
from helpers.metric import forward, perturbation
from helpers.networks import models, training
from helpers.study import Run


@dataclass(frozen=True)
class Effects:
    """What each frame of test clips means to a network, and what Grad-CAM gives to the layer's nodes.

    names : (clips,), str, slice_file_name. fs_ids, labels, predicted, explained, frames : (clips,), int64,
        as in `explain.Explanations`.
    nodes : (clips, rows, columns), float32, as there.
    effects : (clips, 400), float32: `faithfulness.effects` by frame, U[0, 1) at two quadrature nodes.
    again : (clips, 400), float32: the same at three other nodes, for the ceiling; NaN for clips that are
        not among those that the profile explains.
    """

    names: np.ndarray
    fs_ids: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    frames: np.ndarray
    nodes: np.ndarray
    effects: np.ndarray
    again: np.ndarray


def frames(run: Run) -> Effects:
    """Effects of the frames of `run.profile.control_clips` test clips, made once and loaded afterwards.

    Chapter: notebooks/15_controls.md
    """
    with np.load(make(run), allow_pickle=False) as arrays:
        return Effects(**arrays)


def make(run: Run) -> Path:
    """The file effects.npz of a run; `frames` reads it. An interrupted call goes on after the last clip.

    Chapter: notebooks/15_controls.md
    """
    sample = explainers.explanations(run).names
    network = training.network(run).to(training.device())
    path = run.path("effects.npz")

    def compute(work: Path) -> dict:
        test = clips(run)
        predicted = training.predict(network, test.mfcc).argmax(1).numpy()
        explained = predicted if run.explained == "predicted" else test.labels
        layer = models.layer(network, run.layer)
        nodes = explainers.nodes(network, test.mfcc, layer=layer, classes=explained)
        fast = forward.prepare(network, shape=test.mfcc.shape[1:])
        found = np.full((2, *test.mfcc.shape[::3]), np.nan, dtype=np.float32)
        for i in tqdm(range(len(test.names)), desc=f"effects of {run.name}", unit="clip"):
            part = work / f"clip-{i}.npy"
            if not part.exists():
                ask = {"inputs": test.mfcc[i : i + 1], "classes": explained[i : i + 1]}
                found[0, i] = perturbation.effects(fast, **ask)[0]
                if test.names[i] in sample:
                    found[1, i] = perturbation.effects(fast, **ask, nodes=3)[0]
                with part.with_suffix(".part").open("wb") as file:
                    np.save(file, found[:, i])
                part.with_suffix(".part").replace(part)
            found[:, i] = np.load(part)
        facts = ("names", "fs_ids", "labels", "frames")
        np.savez(
            work / path.name,
            **{name: getattr(test, name) for name in facts},
            predicted=predicted,
            explained=explained,
            nodes=nodes,
            effects=found[0],
            again=found[1],
        )
        return {
            "data": run.source.label,
            "clips": len(test.names),
            "threads": torch.get_num_threads(),
            "device": str(training.device()),
        }

    return artifacts.produce(
        path,
        parameters=run.parameters("layer", "explained") | {"control_clips": run.profile.control_clips},
        inputs={
            "explanations.npz": artifacts.digest_of(run.path("explanations.npz")),
            "network": artifacts.digest_of(run.path("network")),
        },
        make=compute,
    )


def sample(run: Run) -> explainers.Explanations:
    """The explained clips that the dearer controls take: the first `run.profile.control_clips`, or all.

    Chapter: notebooks/16_sanity.md
    """
    first = slice(run.profile.control_clips)
    found = vars(explainers.explanations(run))
    return explainers.Explanations(**{name: values[first] for name, values in found.items()})


def clips(run: Run) -> representations.Features:
    """The test clips that the controls take: those that are explained, and others up to the profile's number.

    Chapter: notebooks/15_controls.md
    """
    sample = explainers.explanations(run).names
    test = representations.dataset(run).test()
    first = np.argsort(~np.isin(test.names, sample), kind="stable")[: run.profile.control_clips]
    return test.part(np.sort(first))
