"""A network that learned nothing about sounds: trained like the others, on labels dealt out at random.

Kept apart from `helpers.sanity`, so that a new check does not train it anew.

Chapter: notebooks/16_sanity.md
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import artifacts
from helpers.audio import representations
from helpers.networks import models, training
from helpers.study import Run


def make(run: Run) -> Path:
    """The folder shuffled/ of a run: trained like its network, but on labels dealt out at random.

    Weights, history and predictions as in `training.make`. Each class keeps its number of training clips;
    the labels of the test clips are true.

    Source: Adebayo et al. 2018. Chapter: notebooks/16_sanity.md
    """
    data = representations.dataset(run)
    path = run.path("shuffled")

    def compute(work: Path) -> dict:
        clips = data.training()
        labels = np.random.default_rng((run.seed, 1)).permutation(clips.labels)
        seconds = training.train(
            models.build(run.architecture, seed=run.seed),
            dataclasses.replace(clips, labels=labels),
            data.test(),
            epochs=run.profile.epochs,
            seed=run.seed,
            checkpoint=work / "checkpoint.pt",
            folder=work / path.name,
            progress=f"training {run.name} on shuffled labels",
        )
        history = pd.read_csv(work / path.name / "history.csv")
        return {
            "data": run.source.label,
            "training_clips": len(labels),
            "train_accuracy": history["train_accuracy"].iloc[-1],
            "training_seconds": round(seconds, 1),
            "threads": torch.get_num_threads(),
            "device": str(training.device()),
        }

    return artifacts.produce(
        path,
        parameters=run.parameters("architecture", "seed", "scaling") | {"epochs": run.profile.epochs},
        inputs={"features.npz": artifacts.digest_of(run.path("features.npz"))},
        make=compute,
    )
