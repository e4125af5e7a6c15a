"""Explainers of the input's cells, without a layer of the network: captum's, RefineCAM and RISE.

Each takes one `Question` and gives every cell a number. A new one: a function here, a line in
`explainers.EXPLAINERS` and its name in `study.EXPLAINERS`.

Chapter: notebooks/24_explainers.md
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers import InputError


@dataclass(frozen=True)
class Question:
    """Which clip is to be explained, and how.

    network : in evaluation mode. clip : (1, 1, rows, frames), float32. category : the class to explain.
    layer : of explainers that have one; here the network's last block. samples : changed inputs to try.
    random : what is drawn. gained : from gains, (masks, frames), 0 to 1, of the clip's *sound* to the network's inputs,
    (masks, 1, rows, frames); None where no sound is at hand.
    """

    network: nn.Module
    clip: Tensor
    category: int
    layer: nn.Module
    samples: int
    random: np.random.Generator
    gained: Callable[[np.ndarray], Tensor] | None = None


def refine_cam(asked: Question) -> Tensor:
    """The product of Grad-CAM++'s maps of the last block of each stage of a ResNet.

    Raises
    ------
    InputError
        The network has no stages.

    Source: pytorch-grad-cam 1.5.7. Chapter: notebooks/24_explainers.md
    """
    from pytorch_grad_cam import RefineCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    stages = [getattr(asked.network, f"layer{i}", None) for i in (1, 2, 3, 4)]
    if None in stages:
        raise InputError(
            f"RefineCAM needs the four stages of a ResNet, which {type(asked.network).__name__} has not; "
            "take another explainer"
        )
    explain = RefineCAM(asked.network, [list(stage.children())[-1] for stage in stages if stage])
    found = explain(asked.clip, [ClassifierOutputTarget(asked.category)])
    for one in explain.base_cam_per_layer:  # it leaves its hooks in the network
        one.activations_and_grads.release()
    return torch.from_numpy(found)[:, None]


def saliency(asked: Question) -> Tensor:
    """The size of the gradient of the class's logit.

    Source: Simonyan et al. 2014; captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import Saliency

    return Saliency(asked.network).attribute(asked.clip.requires_grad_(), target=asked.category)


def input_x_gradient(asked: Question) -> Tensor:
    """The gradient times the input.

    Source: Shrikumar et al. 2016; captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import InputXGradient

    return InputXGradient(asked.network).attribute(asked.clip.requires_grad_(), target=asked.category)


def integrated_gradients(asked: Question, *, points: int = 50) -> Tensor:
    """The gradient averaged on the way from an input of zeros to the clip, times the clip.

    Source: Sundararajan et al. 2017; captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import IntegratedGradients

    explain = IntegratedGradients(asked.network)
    return explain.attribute(asked.clip, target=asked.category, n_steps=points, internal_batch_size=points)


def smooth_grad(asked: Question, *, draws: int = 50, share: float = 0.15) -> Tensor:
    """Saliency averaged over noisy copies of the clip.

    Parameters
    ----------
    draws : noisy copies. share : the noise's standard deviation, as a share of the range of the clip's values.

    Source: Smilkov et al. 2017; captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import NoiseTunnel, Saliency

    deviation = float(asked.clip.max() - asked.clip.min()) * share
    explain = NoiseTunnel(Saliency(asked.network))
    options = {"nt_type": "smoothgrad", "nt_samples": draws, "nt_samples_batch_size": draws, "stdevs": deviation}
    with _drawn(asked):
        return explain.attribute(asked.clip.requires_grad_(), target=asked.category, **options)


def occlusion(asked: Question, *, width: int = 10) -> Tensor:
    """How far the logit falls while a window of some frames is 0; windows overlap by half.

    Source: Zeiler & Fergus 2014; captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import Occlusion

    rows = asked.clip.shape[2]
    options = {"sliding_window_shapes": (1, rows, width), "strides": (1, rows, width // 2)}
    with torch.no_grad():
        return Occlusion(asked.network).attribute(
            asked.clip, target=asked.category, perturbations_per_eval=64, **options
        )


def feature_ablation(asked: Question) -> Tensor:
    """How far the logit falls when one frame is 0.

    Source: captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import FeatureAblation

    with torch.no_grad():
        return FeatureAblation(asked.network).attribute(
            asked.clip, target=asked.category, feature_mask=_stretches(asked, width=1), perturbations_per_eval=64
        )


def kernel_shap(asked: Question, *, width: int = 8) -> Tensor:
    """Shapley values of stretches of frames, from random sets of stretches that are 0.

    Source: Lundberg & Lee 2017; captum. Chapter: notebooks/24_explainers.md
    """
    from captum.attr import KernelShap

    with _drawn(asked), torch.no_grad():
        return KernelShap(asked.network).attribute(
            asked.clip,
            target=asked.category,
            feature_mask=_stretches(asked, width=width),
            n_samples=asked.samples,
            perturbations_per_eval=64,
        )


def rise(asked: Question, *, cells: int = 16, kept: float = 0.5) -> Tensor:
    """How probable the class is, on average, when a moment of the *sound* is heard: random fades of the waveform.

    Parameters
    ----------
    cells : random gains, 0 or 1, over the length of the input, with straight lines between them and shifted at random.
    kept : the share of gains that are 1.

    Raises
    ------
    InputError
        No sound is at hand.

    Source: Petsiuk et al. 2018. Chapter: notebooks/24_explainers.md
    """
    if asked.gained is None:
        raise InputError(
            "RISE fades the sound itself, and no sound is at hand; name a folder of recordings (data), or take "
            "another explainer"
        )
    frames = asked.clip.shape[3]
    width = -(-frames // cells)
    coarse = torch.from_numpy((asked.random.random((asked.samples, 1, cells + 2)) < kept).astype(np.float32))
    wide = functional.interpolate(coarse, scale_factor=width, mode="linear", align_corners=False)[:, 0].numpy()
    shift = asked.random.integers(width, size=asked.samples)[:, None]
    gains = np.take_along_axis(wide, shift + np.arange(frames), axis=1)
    with torch.inference_mode():
        p = [asked.network(x).softmax(1)[:, asked.category] for x in asked.gained(gains).split(64)]
    heard = torch.from_numpy(gains)
    total = torch.cat(p).cpu() @ heard / heard.sum(0).clamp(min=1e-9)
    return total.expand(asked.clip.shape)


def _stretches(asked: Question, *, width: int) -> Tensor:
    """Which stretch of frames each cell belongs to: (1, 1, 1, frames)."""
    return (torch.arange(asked.clip.shape[3]) // width)[None, None, None]


@contextlib.contextmanager
def _drawn(asked: Question) -> Iterator[None]:
    """captum draws from torch's global generator: seeded by the question's own, and put back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(asked.random.integers(2**32)))
        yield
