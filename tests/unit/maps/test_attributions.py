"""Explainers of the input's cells on a linear network, where every one of them can be worked out by hand."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from helpers import InputError, study
from helpers.maps import attributions, explainers
from helpers.maps.attributions import Question
from helpers.networks import models

ROWS, FRAMES = 2, 16
WEIGHTS = np.random.default_rng(3).standard_normal((2, ROWS, FRAMES)).astype(np.float32)
CLIP = np.random.default_rng(4).standard_normal((1, 1, ROWS, FRAMES)).astype(np.float32)
PRODUCT = WEIGHTS[1] * CLIP[0, 0]


class Linear(nn.Module):
    """Logits are sums over the cells."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(ROWS * FRAMES, 2, bias=False)
        self.fc.weight.data = torch.from_numpy(WEIGHTS.reshape(2, -1).copy())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1))


def asked(**changes) -> Question:
    network = Linear().eval()
    given = {"network": network, "clip": torch.from_numpy(CLIP.copy()), "category": 1, "layer": network.fc}
    return Question(**{**given, "samples": 400, "random": np.random.default_rng(0), **changes})


def cells(found: torch.Tensor) -> np.ndarray:
    return found.detach().numpy()[0, 0]


def test_the_gradient_of_a_sum_is_its_weight():
    assert np.allclose(cells(attributions.saliency(asked())), np.abs(WEIGHTS[1]), atol=1e-6)
    assert np.allclose(cells(attributions.smooth_grad(asked())), np.abs(WEIGHTS[1]), atol=1e-6)


def test_gradient_times_input_and_its_path_are_each_cells_part_of_the_sum():
    assert np.allclose(cells(attributions.input_x_gradient(asked())), PRODUCT, atol=1e-6)
    assert np.allclose(cells(attributions.integrated_gradients(asked())), PRODUCT, atol=1e-5)


def test_a_frame_that_is_taken_away_takes_its_part_of_the_sum_with_it():
    expected = np.tile(PRODUCT.sum(axis=0), (ROWS, 1))
    assert np.allclose(cells(attributions.feature_ablation(asked())), expected, atol=1e-5)


def test_occlusion_gives_each_frame_the_mean_over_the_windows_that_cover_it():
    frames, windows = PRODUCT.sum(axis=0), range(0, FRAMES - 4 + 1, 2)
    expected = [np.mean([frames[a : a + 4].sum() for a in windows if a <= t < a + 4]) for t in range(FRAMES)]
    assert np.allclose(cells(attributions.occlusion(asked(), width=4)), np.tile(expected, (ROWS, 1)), atol=1e-5)


def test_kernel_shap_gives_a_stretch_its_part_of_the_sum():
    parts = PRODUCT.sum(axis=0).reshape(-1, 4).sum(axis=1)
    found = cells(attributions.kernel_shap(asked(), width=4))
    assert np.allclose(found, np.tile(np.repeat(parts, 4), (ROWS, 1)), atol=1e-3)


def test_rise_finds_the_moment_without_which_the_class_is_not_heard():
    class Hears(nn.Module):
        """Sure of class 1 where frame 5 is loud."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([torch.zeros(len(x)), 20 * x[:, 0, 0, 5] - 10], dim=1)

    def gained(gains: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(gains)[:, None, None].expand(-1, 1, ROWS, -1)

    found = cells(attributions.rise(asked(network=Hears(), gained=gained), cells=8))
    assert found.shape == (ROWS, FRAMES)
    assert abs(int(found[0].argmax()) - 5) <= 1
    assert np.array_equal(found[0], found[1])
    assert found[0].max() > 0.8  # where frame 5 is heard the class is sure
    assert 0.3 < np.median(found[0]) < 0.7  # other frames are heard together with it half of the time


def test_rise_without_a_sound_is_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"RISE fades the sound itself, and no sound is at hand; name a folder"):
        attributions.rise(asked())


@pytest.mark.parametrize("explain", [attributions.kernel_shap, attributions.smooth_grad])
def test_what_is_drawn_follows_from_the_question_and_leaves_torchs_generator_alone(explain):
    network = models.build("resnet18", seed=0).eval()
    clip = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 13, 48)).astype(np.float32))

    def found(seed: int) -> np.ndarray:
        given = {"network": network, "clip": clip.clone(), "samples": 4, "random": np.random.default_rng(seed)}
        return cells(explain(asked(**given)))

    before = torch.get_rng_state()
    first = found(0)
    state = torch.get_rng_state()
    assert np.array_equal(first, found(0))
    assert not np.array_equal(first, found(1))
    torch.set_rng_state(before)
    asked()  # its layers draw their first weights
    assert torch.equal(torch.get_rng_state(), state)


def test_refine_cam_is_the_product_of_the_stages_maps_and_leaves_no_hook():
    network = models.build("resnet18", seed=0).eval()
    clip = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 13, 100)).astype(np.float32))
    found = cells(attributions.refine_cam(asked(network=network, clip=clip)))
    product = np.ones((13, 100))
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        with GradCAMPlusPlus(model=network, target_layers=[stage[-1]]) as library:
            product *= library(input_tensor=clip, targets=[ClassifierOutputTarget(1)])[0]
    assert found.shape == (13, 100)
    assert np.allclose(found, (product - product.min()) / (product.max() - product.min()), atol=1e-4)
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())


def test_refine_cam_of_a_network_without_stages_is_refused():
    with pytest.raises(InputError, match=r"RefineCAM needs the four stages of a ResNet, which Linear has not"):
        attributions.refine_cam(asked())


@pytest.mark.parametrize("name", [n for n, made in explainers.EXPLAINERS.items() if not isinstance(made, str)])
def test_every_explainer_of_the_input_gives_sizes_of_the_inputs_shape(name, tiny):
    network = tiny("resnet18", seed=0).eval()
    x = np.random.default_rng(0).standard_normal((2, 1, 13, 48)).astype(np.float32)
    given = x.copy()
    found = explainers.nodes(
        network,
        x,
        layer=network.layer4[-1],
        classes=np.array([1, 2]),
        explainer=name,
        samples=8,
        gained=lambda i, gains: torch.from_numpy(x[i] * gains[:, None, None]),
    )
    assert (found.shape, found.dtype) == ((2, 13, 48), np.float32)
    assert (found >= 0).all()
    assert found.max() > 0
    assert np.array_equal(x, given)
    assert np.allclose(explainers.stretch(found, (13, 48)).max((1, 2)), 1)


def test_a_faded_sound_is_the_clips_own_picture_where_nothing_is_faded(run):
    sample = explainers.sampled(run)
    inputs = explainers.faded(run, sample["clips"])(1, np.array([[1.0] * 400, [0.5] * 400]))
    assert inputs.shape == (2, 1, *run.shape)
    frames = int(sample["frames"][1])
    assert torch.allclose(inputs[0], torch.from_numpy(sample["inputs"][1]), atol=1e-3)
    # half as loud: the first coefficient falls by the same in every frame, the others stay as they are
    change = (inputs[1] - inputs[0])[0, :, :frames]
    assert change[0].max() < 0
    assert change[0].std() < 0.2
    assert change[1:].abs().max() < 0.2


def test_the_names_of_the_run_are_the_registrys():
    assert set(study.SLOW) < set(explainers.EXPLAINERS)
