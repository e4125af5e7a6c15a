"""From a network and clips to Grad-CAM maps (thesis 2.4 and 2.5).

Chapter: notebooks/06_explanations.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import artifacts
from helpers.audio import representations, urbansound
from helpers.networks import models, training
from helpers.study import Run

# Which clips are explained does not depend on the training seed: every network of a profile
# explains the same ones, so that they can be compared in pairs.
SAMPLE_SEED = 2024


@dataclass(frozen=True)
class Explanations:
    """The thesis's NumPy file: maps, MFCCs and ground truths of the explained clips, and their names.

    maps : (clips, 13, 400), float32, in [0, 1].
    nodes : (clips, rows, columns), float32: what `stretch` made the maps of, one per place of the layer.
    inputs : (clips, 1, 13, 400), float32, MFCC units.
    labels, predicted, explained : (clips,), int64: true, predicted and explained class.
    frames : (clips,), int64: frames that hold sound. fs_ids : (clips,), int64: recording.
    names : (clips,), str, slice_file_name.
    """

    maps: np.ndarray
    nodes: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    frames: np.ndarray
    fs_ids: np.ndarray
    names: np.ndarray


def gradcam(
    network: nn.Module, inputs: np.ndarray, *, layer: nn.Module, classes: np.ndarray, batch: int = 16
) -> np.ndarray:
    """Grad-CAM maps by pytorch-grad-cam, stretched to the input and scaled to [0, 1] by the library.

    Parameters
    ----------
    inputs : (clips, 1, 13, 400), float32, MFCC units.
    layer : the module whose output is weighed, for instance `models.layer(network, "layer4[-1]")`.
    classes : (clips,), int64: the class to explain for each clip.

    Returns
    -------
    (clips, 13, 400), float32, in [0, 1]; all zero where no cell speaks for the class.

    Source: Selvaraju et al. 2017, equations 1-3; pytorch-grad-cam 1.5. Chapter: notebooks/06_explanations.md
    """
    return stretch(nodes(network, inputs, layer=layer, classes=classes, batch=batch), inputs.shape[2:])


def nodes(
    network: nn.Module, inputs: np.ndarray, *, layer: nn.Module, classes: np.ndarray, batch: int = 16
) -> np.ndarray:
    """What Grad-CAM gives each place of the layer, by pytorch-grad-cam, before its ReLU.

    Parameters
    ----------
    As `gradcam`.

    Returns
    -------
    (clips, rows, columns) of the layer's output, float32; (clips, 1, 13) at a ResNet's last block.

    Source: Selvaraju et al. 2017, equations 1 and 2. Chapter: notebooks/06_explanations.md
    """
    # here, because its import takes seconds that a page which only loads maps need not spend
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    class Nodes(GradCAM):
        """Keeps what the library goes on to stretch."""

        def get_cam_image(self, *given: object) -> np.ndarray:
            found.append(super().get_cam_image(*given))
            return found[-1]

    found: list[np.ndarray] = []
    with Nodes(model=network, target_layers=[layer]) as explainer:
        for start in range(0, len(inputs), batch):
            part = slice(start, start + batch)
            targets = [ClassifierOutputTarget(int(c)) for c in classes[part]]
            explainer(input_tensor=torch.from_numpy(inputs[part]), targets=targets)
    return np.concatenate(found).astype(np.float32)


def stretch(nodes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Maps from nodes, as pytorch-grad-cam makes them: ReLU, [0, 1], linear interpolation, [0, 1] again.

    Parameters
    ----------
    nodes : (maps, rows, columns), float: from `nodes`, or numbers that never saw a network.
    shape : (rows, columns) of the input, such as (13, 400).

    Returns
    -------
    (maps, *shape), float32, in [0, 1].

    Source: Selvaraju et al. 2017, equation 3; pytorch-grad-cam 1.5. Chapter: notebooks/06_explanations.md
    """
    from pytorch_grad_cam.utils.image import scale_cam_image

    return scale_cam_image(scale_cam_image(np.maximum(nodes, 0), tuple(shape)[::-1]))


def explanations(run: Run) -> Explanations:
    """Grad-CAM maps of random test clips (50 in the thesis), made once and loaded afterwards.

    Chapter: notebooks/06_explanations.md
    """
    with np.load(make(run), allow_pickle=False) as arrays:
        return Explanations(**arrays)


def title(maps: Explanations, i: int) -> str:
    """What a figure of one explained clip is called: true class, predicted class, file name.

    Chapter: notebooks/06_explanations.md
    """
    truth, guess = (urbansound.CLASSES[k[i]].replace("_", " ") for k in (maps.labels, maps.predicted))
    return f"{truth}, predicted {guess} ({maps.names[i]})"


def make(run: Run) -> Path:
    """The file explanations.npz of a run; `explanations` reads it.

    Chapter: notebooks/06_explanations.md
    """
    network = training.network(run)
    path = run.path("explanations.npz")

    def compute(work: Path) -> dict:
        test = representations.dataset(run).test()
        count = min(run.profile.explanations, len(test.labels))
        chosen = np.random.default_rng(SAMPLE_SEED).choice(len(test.labels), count, replace=False)
        clips = test.part(np.sort(chosen))
        predicted = training.predict(network, clips.mfcc).argmax(1).numpy()
        explained = predicted if run.explained == "predicted" else clips.labels
        found = nodes(network, clips.mfcc, layer=models.layer(network, run.layer), classes=explained)
        maps = stretch(found, clips.mfcc.shape[2:])
        np.savez(
            work / path.name,
            maps=maps,
            nodes=found,
            inputs=clips.mfcc,
            labels=clips.labels,
            predicted=predicted,
            explained=explained,
            frames=clips.frames,
            fs_ids=clips.fs_ids,
            names=clips.names,
        )
        return {"data": run.source.label, "clips": count, "empty_maps": int((maps.max((1, 2)) == 0).sum())}

    return artifacts.produce(
        path,
        parameters=run.parameters("layer", "explained")
        | {"explanations": run.profile.explanations, "sample_seed": SAMPLE_SEED},
        inputs={
            "features.npz": artifacts.digest_of(run.path("features.npz")),
            "network": artifacts.digest_of(run.path("network")),
        },
        make=compute,
    )
