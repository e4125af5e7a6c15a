"""From a network and clips to maps: Grad-CAM in the thesis (2.4 and 2.5), and its relatives.

Chapter: notebooks/06_explanations.md
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import artifacts
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds, urbansound
from helpers.maps import attributions
from helpers.maps.attributions import Question
from helpers.networks import models, training
from helpers.study import Run

# The name of a class of pytorch-grad-cam, each of which gives raw nodes in the same way; or a function that gives
# every cell of the input a number, which counts as a layer of the input's own shape.
EXPLAINERS: dict[str, str | Callable[[Question], torch.Tensor]] = {
    "Grad-CAM": "GradCAM",
    "HiResCAM": "HiResCAM",
    "XGradCAM": "XGradCAM",
    "Grad-CAM++": "GradCAMPlusPlus",
    "LayerCAM": "LayerCAM",
    "EigenCAM": "EigenCAM",
    "ScoreCAM": "ScoreCAM",
    "AblationCAM": "AblationCAM",
    "RefineCAM": attributions.refine_cam,
    "saliency": attributions.saliency,
    "input x gradient": attributions.input_x_gradient,
    "integrated gradients": attributions.integrated_gradients,
    "SmoothGrad": attributions.smooth_grad,
    "occlusion": attributions.occlusion,
    "feature ablation": attributions.feature_ablation,
    "KernelSHAP": attributions.kernel_shap,
    "RISE": attributions.rise,
}


@dataclass(frozen=True)
class Explanations:
    """The thesis's NumPy file: maps, inputs and ground truths of the explained clips, and their names.

    maps : (clips, rows, frames), float32, in [0, 1].
    nodes : (clips, rows, columns), float32: what `stretch` made the maps of, one per place of the layer.
    inputs : (clips, 1, rows, frames), float32, as the network is given them.
    labels, predicted, explained : (clips,), int64: true, predicted and explained class.
    frames : (clips,), int64: frames that hold sound. recordings : (clips,), int64.
    seconds : (clips,), float64: where the clip begins in its recording. clips : (clips,), str.
    """

    maps: np.ndarray
    nodes: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    frames: np.ndarray
    recordings: np.ndarray
    seconds: np.ndarray
    clips: np.ndarray

    def first(self, count: int | str) -> Explanations:
        """The first so many clips, or "all"."""
        part = slice(None if count == "all" else int(count))
        return Explanations(**{name: values[part] for name, values in vars(self).items()})


def maps(
    network: nn.Module,
    inputs: np.ndarray,
    *,
    layer: nn.Module,
    classes: np.ndarray,
    explainer: str = "Grad-CAM",
    batch: int = 16,
) -> np.ndarray:
    """Maps by pytorch-grad-cam, stretched to the input and scaled to [0, 1] by the library.

    Parameters
    ----------
    inputs : (clips, 1, rows, frames), float32.
    layer : the module whose output is weighed, for instance `models.layer(network, "layer4[-1]")`.
    classes : (clips,), int64: the class to explain for each clip.
    explainer : one of `study.EXPLAINERS`.

    Returns
    -------
    (clips, rows, frames), float32, in [0, 1]; all zero where no cell speaks for the class.

    Source: Selvaraju et al. 2017, equations 1-3; pytorch-grad-cam 1.5. Chapter: notebooks/06_explanations.md
    """
    found = nodes(network, inputs, layer=layer, classes=classes, explainer=explainer, batch=batch)
    return stretch(found, inputs.shape[2:])


def nodes(
    network: nn.Module,
    inputs: np.ndarray,
    *,
    layer: nn.Module,
    classes: np.ndarray,
    explainer: str = "Grad-CAM",
    batch: int = 16,
    samples: int = 500,
    seed: int = 0,
    gained: Callable[[int, np.ndarray], torch.Tensor] | None = None,
) -> np.ndarray:
    """What an explainer gives each place of the layer, by pytorch-grad-cam, before its ReLU.

    Parameters
    ----------
    As `maps`; and of explainers by sampling
    samples : changed inputs that are tried on a clip. seed : of what is drawn; each clip draws for itself.
    gained : from a clip's number and gains, (masks, frames), to inputs, (masks, 1, rows, frames): see `faded`.

    Returns
    -------
    (clips, rows, columns) of the layer's output, float32; (clips, 1, 13) at a ResNet's last block. Of explainers of the
    input's cells (clips, rows, frames), >= 0: the sizes of what they give, since a score asks how much, not which way.

    Source: Selvaraju et al. 2017, equations 1 and 2. Chapter: notebooks/06_explanations.md
    """
    made_by = EXPLAINERS[explainer]
    if not isinstance(made_by, str):
        asked = (
            Question(
                network=network,
                clip=torch.from_numpy(inputs[[i]]),
                category=int(classes[i]),
                layer=layer,
                samples=samples,
                random=np.random.default_rng((seed, i)),
                gained=gained and functools.partial(gained, i),
            )
            for i in range(len(inputs))
        )
        return np.stack([made_by(one).detach()[0, 0].abs().cpu().numpy() for one in asked]).astype(np.float32)
    # here, because its import takes seconds that a page which only loads maps need not spend
    import pytorch_grad_cam
    from pytorch_grad_cam.ablation_layer import AblationLayer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    # A call of such an object gives only rectified, stretched, scaled maps; here it keeps what it began with.
    class Nodes(getattr(pytorch_grad_cam, made_by)):  # type: ignore[misc]
        def get_cam_image(self, *given: object, **named: object) -> np.ndarray:
            found.append(super().get_cam_image(*given, **named))
            return found[-1]

    class Ablation(AblationLayer):  # EfficientNet gives its blocks one thing more than their input
        def __call__(self, x: torch.Tensor, **_: object) -> torch.Tensor:
            return super().__call__(x)

    found: list[np.ndarray] = []
    with Nodes(model=network, target_layers=[layer]) as explain:
        if made_by == "AblationCAM":
            explain.ablation_layer = Ablation()
        for start in range(0, len(inputs), batch):
            part = slice(start, start + batch)
            targets = [ClassifierOutputTarget(int(c)) for c in classes[part]]
            explain(input_tensor=torch.from_numpy(inputs[part]), targets=targets)
    return np.concatenate(found).astype(np.float32)


def faded(run: Run, clips: np.ndarray) -> Callable[[int, np.ndarray], torch.Tensor]:
    """What the network is given when the *sound* of a clip is faded: for explainers that ask so (`nodes`).

    Parameters
    ----------
    clips : (clips,), slice_file_name of clips of the run.

    Returns
    -------
    From a clip's number and gains, (masks, frames), 0 to 1, to inputs, (masks, 1, rows, frames), float32. Between the
    middles of two frames the gain follows a straight line.

    Chapter: notebooks/24_explainers.md
    """
    paths = sounds.clips(run).set_index("slice_file_name")["path"]
    mean, deviation = (0.0, 1.0) if run.scaling == "raw" else map(torch.from_numpy, representations.scale(run))

    def inputs(i: int, gains: np.ndarray) -> torch.Tensor:
        samples, rate = urbansound.load_audio(artifacts.whole(run).source.folder / paths[clips[i]])
        wave = representations.prepared(torch.from_numpy(samples)[None], rate, run)
        at = np.arange(wave.shape[1]) / run.hop_length
        fades = (np.interp(at, np.arange(run.frames), row).astype(np.float32) for row in gains)
        pictures = [representations.picture(wave * torch.from_numpy(fade), run.sampling_rate, run) for fade in fades]
        return (torch.stack(pictures) - mean) / deviation

    return inputs


def stretch(nodes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Maps from nodes, as pytorch-grad-cam makes them: ReLU, [0, 1], linear interpolation, [0, 1] again.

    Parameters
    ----------
    nodes : (maps, rows, columns), float: from `nodes`, or numbers that never saw a network.
    shape : (rows, frames) of the input, such as (13, 400).

    Returns
    -------
    (maps, *shape), float32, in [0, 1].

    Source: Selvaraju et al. 2017, equation 3; pytorch-grad-cam 1.5. Chapter: notebooks/06_explanations.md
    """
    from pytorch_grad_cam.utils.image import scale_cam_image

    return scale_cam_image(scale_cam_image(np.maximum(nodes, 0), tuple(shape)[::-1]))


def explanations(run: Run) -> Explanations:
    """Maps of random test clips (50 in the thesis), made once and loaded afterwards.

    Chapter: notebooks/06_explanations.md
    """
    with np.load(EXPLANATIONS.get(run), allow_pickle=False) as arrays:
        return Explanations(maps=stretch(arrays["nodes"], run.shape), **arrays, **sampled(run))


def of_run(
    run: Run,
    network: nn.Module,
    inputs: np.ndarray,
    *,
    classes: np.ndarray,
    clips: np.ndarray,
    explainer: str = "",
    layer: str = "",
) -> np.ndarray:
    """`nodes` by the explainer and of the layer of a run, or by others.

    Parameters
    ----------
    clips : (clips,), slice_file_name: whose inputs these are.

    Chapter: notebooks/24_explainers.md
    """
    name = explainer or run.explainer
    return nodes(
        network,
        inputs,
        layer=models.layer(network, layer or run.layer),
        classes=classes,
        explainer=name,
        samples=run.explainer_samples,
        seed=run.explainer_seed,
        gained=faded(run, clips) if name == "RISE" else None,
    )


def title(maps: Explanations, i: int) -> str:
    """What a figure of one explained clip is called: true class, predicted class, file name.

    Chapter: notebooks/06_explanations.md
    """
    truth, guess = (urbansound.CLASSES[k[i]].replace("_", " ") for k in (maps.labels, maps.predicted))
    return f"{truth}, predicted {guess} ({maps.clips[i]})"


def sampled(run: Run) -> dict[str, np.ndarray]:
    """The explained clips as the network is given them: what `Explanations` has of them, by field.

    Chapter: notebooks/06_explanations.md
    """
    with np.load(SAMPLE.get(run), allow_pickle=False) as arrays:
        sample = dict(arrays)
    if run.scaling != "raw" and artifacts.whole(run).source.kind != "recorded":
        mean, deviation = representations.scale(run)
        sample["inputs"] = (sample["inputs"] - mean) / deviation
    return sample


def _sample(run: Run, target: Path) -> dict:
    # Which clips does not depend on the network: all explain the same ones, to be compared in pairs.
    test = representations.test(run.with_(scaling="raw"))
    count = min(run.explanations, len(test.labels))
    chosen = np.sort(np.random.default_rng(run.sample_seed).choice(len(test.labels), count, replace=False))
    clips = vars(test.part(chosen))
    seconds = urbansound.true_starts(sounds.in_fold(run, run.test_fold)).loc[clips["clips"]].to_numpy()
    np.savez_compressed(target, seconds=seconds, **{n: v for n, v in clips.items() if n != "folds"})
    return {"clips": count}


SAMPLE = Artefact(
    "sample.npz",
    make=_sample,
    chapter="06_explanations",
    fields=("explanations", "sample_seed"),
    inputs=(representations.FEATURES.each("test_fold"),),
    packages=("numpy",),
)


def _explain(run: Run, target: Path) -> dict:
    network, clips = training.network(run), sampled(run)
    predicted = training.predict(network, clips["inputs"]).argmax(1).numpy()
    explained = predicted if run.explained == "predicted" else clips["labels"]
    found = of_run(run, network, clips["inputs"], classes=explained, clips=clips["clips"])
    np.savez(target, nodes=found, predicted=predicted, explained=explained)
    return {"clips": len(found), "empty_maps": int((found.max((1, 2)) <= 0).sum())}


EXPLANATIONS = Artefact(
    "explanations.npz",
    make=_explain,
    chapter="06_explanations",
    fields=("explainer", "layer", "explained", "explainer_samples", "explainer_seed"),
    inputs=(training.NETWORK, SAMPLE),
    packages=("torch", "grad-cam", "captum"),
)
