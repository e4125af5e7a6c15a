"""Grad-CAM: the equations by hand, the library bit for bit, and the thesis's file."""

import cv2
import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from helpers import artifacts, study
from helpers.audio import representations, sounds, urbansound
from helpers.maps import explainers
from helpers.networks import models, training


def scaled(values: np.ndarray) -> np.ndarray:
    """From 0 to 1; a map that is zero everywhere stays so."""
    span = values.max() - values.min()
    return (values - values.min()) / span if span else values * 0


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class ByHand(nn.Module):
    """A = (x, 2x, -x), y_c = sum_k w_ck mean(A_k): its Grad-CAM can be written down."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1, bias=False)
        self.fc = nn.Linear(3, len(weights), bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, 2.0, -1.0])[:, None, None, None])
            self.fc.weight.copy_(torch.tensor(weights))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


# Equations 1 to 3


def test_gradcam_of_a_network_written_down_by_hand():
    # class 0: alpha = (1, 1, 0) / Z, so Grad-CAM = relu(3 x) / Z; class 1: (0, 0, 1), relu(-x) / Z
    network, x = ByHand([[1, 1, 0], [0, 0, 1]]).eval(), noise(4, 1, 13, 400)
    maps = explainers.maps(network, x, layer=network.conv, classes=np.array([0, 0, 1, 1]))
    assert (maps.shape, maps.dtype) == ((4, 13, 400), np.float32)
    for i, sign in enumerate((1, 1, -1, -1)):
        assert np.allclose(maps[i], scaled(np.maximum(sign * x[i, 0], 0)), atol=1e-5)


def test_a_map_is_scaled_from_0_to_1_for_each_clip():
    network, x = ByHand([[1, 0, 0]]).eval(), noise(3, 1, 13, 400)
    maps = explainers.maps(network, x * 1000, layer=network.conv, classes=np.zeros(3, dtype=int))
    assert np.allclose(maps.max((1, 2)), 1, atol=1e-5)
    assert np.allclose(maps.min((1, 2)), 0, atol=1e-5)


def test_a_map_where_nothing_speaks_for_the_class_is_empty():
    network, x = ByHand([[0, 0, 1]]).eval(), np.abs(noise(2, 1, 13, 400))  # relu(-x) is 0
    maps = explainers.maps(network, x, layer=network.conv, classes=np.zeros(2, dtype=int))
    assert not maps.any()


@pytest.mark.parametrize("name", ["layer4[-1]", "layer4[-1].conv", "layer2[-1]"])
def test_the_library_agrees_with_the_three_equations_on_resnet18(name):
    network = models.build("resnet18", seed=0).eval()
    x, classes = noise(3, 1, 13, 400), np.array([0, 7, 3])
    layer = models.layer(network, name)
    maps = explainers.maps(network, x, layer=layer, classes=classes)
    kept = {}
    with layer.register_forward_hook(lambda module, inputs, output: kept.update(A=output)):
        y = network(torch.from_numpy(x))
    (gradient,) = torch.autograd.grad(y[range(3), classes].sum(), kept["A"])  # equation 1
    alpha = gradient.mean((2, 3), keepdim=True)  # equation 2
    own = torch.relu((alpha * kept["A"]).sum(1)).detach().numpy()  # equation 3
    for i in range(3):
        stretched = cv2.resize(scaled(own[i]), (400, 13))
        assert np.abs(maps[i] - scaled(stretched)).max() < 1e-5


def heard_noise() -> tuple[nn.Module, torch.Tensor]:
    """A ResNet18 whose batch norms have seen some clips of noise, and these clips."""
    x = torch.from_numpy(5 * noise(3, 1, 13, 100))
    network = models.build("resnet18", seed=0).train()
    with torch.no_grad():
        for _ in range(10):
            network(x)
    return network.eval(), x


def test_captum_gives_the_same_nodes():
    network, x = heard_noise()
    layer, classes = models.layer(network, "layer4[-1]"), np.array([0, 7, 3])
    found = explainers.nodes(network, x.numpy(), layer=layer, classes=classes)
    target = torch.from_numpy(classes)
    # its ReLU would hide what speaks against a class
    peer = LayerGradCam(network, layer).attribute(x, target=target, relu_attributions=False)[:, 0]
    assert found.std() > 0
    assert np.abs(found - peer.detach().numpy()).max() < 1e-5


def test_hirescam_weighs_each_place_by_its_own_gradient():
    network, x = heard_noise()
    layer, classes = models.layer(network, "layer3[-1]"), np.array([0, 7, 3])
    kept = {}
    with layer.register_forward_hook(lambda module, inputs, output: kept.update(A=output)):
        y = network(x)
    (gradient,) = torch.autograd.grad(y[range(3), classes].sum(), kept["A"])
    own = (gradient * kept["A"]).sum(1).detach().numpy()
    found = explainers.nodes(network, x.numpy(), layer=layer, classes=classes, explainer="HiResCAM")
    assert np.allclose(found, own, rtol=1e-3, atol=1e-5 * np.abs(own).max())
    gradcam = explainers.nodes(network, x.numpy(), layer=layer, classes=classes)
    assert np.abs(found - gradcam).max() > 0.1 * np.abs(gradcam).max()


def test_hirescam_is_gradcam_where_an_average_over_all_places_follows():
    # every place of the last block has the same gradient, so its average is the gradient itself
    network, x = heard_noise()
    options = {"layer": models.layer(network, "layer4[-1]"), "classes": np.array([0, 7, 3])}
    found = explainers.nodes(network, x.numpy(), explainer="HiResCAM", **options)
    assert np.allclose(found, explainers.nodes(network, x.numpy(), **options), rtol=1e-3, atol=1e-6)


def test_the_explainer_of_a_run_is_used(run):
    first, network = run.with_(layer="layer3[-1]"), training.network(run)
    maps = explainers.explanations(first.with_(explainer="HiResCAM"))
    options = {"layer": network.layer3[-1], "classes": maps.explained, "explainer": "HiResCAM"}
    assert np.array_equal(explainers.nodes(network, maps.inputs, **options), maps.nodes)
    assert not np.allclose(maps.maps, explainers.explanations(first).maps, atol=1e-2)


def test_every_explainer_that_may_be_chosen_exists():
    assert list(explainers.EXPLAINERS) == list(study.EXPLAINERS)


def test_a_map_of_one_row_is_the_same_in_all_coefficients():
    network = models.build("resnet18", seed=0).eval()
    maps = explainers.maps(
        network, noise(1, 1, 13, 400), layer=models.layer(network, "layer4[-1]"), classes=np.array([1])
    )
    assert maps.any()
    assert np.allclose(maps, maps[:, :1], atol=1e-6)


def test_maps_do_not_depend_on_the_batch(tiny):
    network, x = tiny("resnet18", seed=0).eval(), noise(5, 1, 13, 400)
    classes = np.arange(5)
    options = {"layer": network.layer4[-1], "classes": classes}
    maps = explainers.maps(network, x, **options)
    assert np.allclose(explainers.maps(network, x, batch=2, **options), maps, atol=1e-5)
    last = explainers.maps(network, x[4:], layer=network.layer4[-1], classes=classes[4:])
    assert np.allclose(last[0], maps[4], atol=1e-5)


def test_explaining_leaves_no_hook_and_no_changed_weight(tiny):
    network = tiny("resnet18", seed=0).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    explainers.maps(network, noise(2, 1, 13, 400), layer=network.layer4[-1], classes=np.array([0, 1]))
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
    assert not network.training


# Nodes, before they are stretched


def plain(network: nn.Module, x: np.ndarray, *, layer: nn.Module, classes: np.ndarray) -> np.ndarray:
    """pytorch-grad-cam as everybody calls it."""
    with GradCAM(model=network, target_layers=[layer]) as library:
        return library(input_tensor=torch.from_numpy(x), targets=[ClassifierOutputTarget(int(c)) for c in classes])


@pytest.mark.parametrize("name", ["layer4[-1]", "layer3[-1]", "layer2[-1]"])
def test_stretched_nodes_are_the_librarys_maps_bit_for_bit_on_resnet18(name):
    network = models.build("resnet18", seed=0).eval()
    options = {"layer": models.layer(network, name), "classes": np.array([2, 9])}
    x = noise(2, 1, 13, 400)
    found = explainers.nodes(network, x, **options)
    maps = explainers.stretch(found, (13, 400))
    assert maps.dtype == np.float32
    assert np.array_equal(maps, plain(network, x, **options))
    assert np.array_equal(maps, explainers.maps(network, x, **options))


@pytest.mark.parametrize("layer", ["layer4[-1]", "layer3[-1]", "layer2[-1]"])
@pytest.mark.parametrize("seed", range(3))
def test_stretched_nodes_are_the_librarys_maps_bit_for_bit(tiny, layer, seed):
    # more clips than a batch has
    network, x = tiny("resnet18", seed=seed).eval(), noise(5, 1, 13, 400, seed=seed)
    options = {"layer": models.layer(network, layer), "classes": np.arange(5)}
    found = explainers.nodes(network, x, batch=5, **options)
    assert np.array_equal(explainers.stretch(found, (13, 400)), plain(network, x, **options))
    parts = explainers.nodes(network, x, batch=2, **options)
    assert np.allclose(parts, found, rtol=1e-4, atol=1e-6 * np.abs(found).max())


def test_where_every_node_is_negative_the_map_is_zero_as_the_librarys():
    network, x = ByHand([[0, 0, 1]]).eval(), np.abs(noise(2, 1, 13, 400)) + 1
    options = {"layer": network.conv, "classes": np.zeros(2, dtype=int)}
    found = explainers.nodes(network, x, **options)
    assert (found < 0).all()
    maps = explainers.stretch(found, (13, 400))
    assert not maps.any()
    assert np.array_equal(maps, plain(network, x, **options))


def test_nodes_of_a_network_written_down_by_hand_keep_their_sign():
    # class 0: alpha = (1, 1, 0) / Z, so a node is 3 x / Z; class 1: -x / Z
    network, x = ByHand([[1, 1, 0], [0, 0, 1]]).eval(), noise(2, 1, 13, 400)
    found = explainers.nodes(network, x, layer=network.conv, classes=np.array([0, 1]))
    assert (found.shape, found.dtype) == ((2, 13, 400), np.float32)
    expected = x[:, 0] * np.array([3, -1])[:, None, None] / (13 * 400)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("name", "shape"), [("layer4[-1]", (1, 13)), ("layer3[-1]", (1, 25)), ("layer2[-1]", (2, 50))])
def test_a_resnet_has_so_many_nodes(name, shape):
    network = models.build("resnet18", seed=0).eval()
    layer = models.layer(network, name)
    found = explainers.nodes(network, noise(1, 1, 13, 400), layer=layer, classes=np.array([0]))
    assert found.shape == (1, *shape)


def test_a_vgg_has_as_many_nodes_as_a_resnets_last_block():
    network = models.build("vgg13", seed=0).eval()
    layer = models.layer(network, study.NETWORKS["vgg13"])
    found = explainers.nodes(network, noise(1, 1, 13, 400), layer=layer, classes=np.array([0]))
    assert found.shape == (1, 1, 13)
    assert found.any()


def test_numbers_that_never_saw_a_network_are_stretched_like_nodes():
    # 0 becomes 0, the largest 1, what is negative 0; between two nodes it rises steadily
    maps = explainers.stretch(np.array([[[-5.0, 0.0, 2.0, 4.0]], [[-1.0, -2.0, -3.0, -4.0]]]), (13, 400))
    assert (maps.shape, maps.dtype) == ((2, 13, 400), np.float32)
    assert not maps[1].any()
    assert np.allclose(maps[0], maps[0, :1], atol=1e-6)
    assert (maps[0, 0, :150] == 0).all()  # the middle of the second node's 100 columns
    assert np.allclose(maps[0, 0, 350:], 1, atol=1e-6)
    assert (np.diff(maps[0, 0]) >= 0).all()
    assert maps[0, 0, 250] == pytest.approx(0.5, abs=0.01)


@given(st.integers(0, 1000), st.floats(0.01, 100))
@options(deadline=None, max_examples=20)
def test_a_factor_changes_no_map(seed, factor):
    found = noise(2, 1, 13, seed=seed)
    maps = explainers.stretch(found, (13, 400))
    assert np.allclose(explainers.stretch(found * np.float32(factor), (13, 400)), maps, atol=1e-3)


# The thesis's file


def test_the_files_have_the_promised_arrays(run):
    kinds = {}
    for path in (explainers.EXPLANATIONS.get(run), explainers.SAMPLE.get(run)):
        with np.load(path, allow_pickle=False) as arrays:
            kinds |= {name: (arrays[name].shape, arrays[name].dtype.str[1:]) for name in arrays.files}
    assert kinds.pop("clips")[0] == (4,)
    assert kinds == {
        "nodes": ((4, 1, 25), "f4"),
        "predicted": ((4,), "i8"),
        "explained": ((4,), "i8"),
        "inputs": ((4, 1, 13, 400), "f4"),
        "labels": ((4,), "i8"),
        "frames": ((4,), "i8"),
        "recordings": ((4,), "i8"),
        "seconds": ((4,), "f8"),
    }
    maps = explainers.explanations(run)
    assert (maps.maps.shape, maps.maps.dtype) == ((4, 13, 400), np.float32)


def test_the_explained_clips_are_test_clips_with_their_features(run):
    maps, test = explainers.explanations(run), representations.test(run)
    rows = {clip: i for i, clip in enumerate(test.clips)}
    starts = urbansound.true_starts(sounds.in_fold(run, 10))
    assert len(set(maps.clips)) == 4
    for i, clip in enumerate(maps.clips):
        j = rows[clip]
        assert np.array_equal(maps.inputs[i], test.inputs[j])
        assert (maps.labels[i], maps.frames[i], maps.recordings[i], maps.seconds[i]) == (
            test.labels[j],
            test.frames[j],
            test.recordings[j],
            starts[clip],
        )


def test_a_run_on_scaled_rows_explains_them_scaled(run):
    other = run.with_(scaling="standardised")
    assert explainers.SAMPLE.path(other) == explainers.SAMPLE.path(run)  # the clips are the same
    test = representations.test(other)
    maps = explainers.explanations(other)
    expected = test.inputs[[list(test.clips).index(clip) for clip in maps.clips]]
    assert np.array_equal(maps.inputs, expected)
    assert not np.array_equal(maps.inputs, explainers.explanations(run).inputs)


def test_predicted_classes_are_those_of_the_trained_network(run):
    maps, table = explainers.explanations(run), training.predictions(run).set_index("clip")
    assert maps.predicted.tolist() == table.loc[maps.clips, "predicted"].tolist()
    assert maps.explained.tolist() == maps.predicted.tolist()


def test_the_maps_are_gradcam_of_that_network(run):
    maps, network = explainers.explanations(run), training.network(run)
    expected = explainers.maps(network, maps.inputs, layer=network.layer4[-1], classes=maps.explained)
    assert np.allclose(maps.maps, expected, atol=1e-5)
    assert maps.maps.any()


def test_no_more_clips_are_explained_than_the_test_fold_has(settings, stand_in):
    run = study.open(profile="quick", data=str(stand_in))
    assert run.explanations == 500
    assert len(explainers.explanations(run).clips) == 10


@pytest.mark.parametrize("choice", [{"architecture": "resnet34"}, {"seed": 1}], ids=str)
def test_another_network_explains_the_same_clips(run, choice):
    first = explainers.explanations(run)
    second = explainers.explanations(study.open(profile="smoke", data=run.data, **choice))
    assert first.clips.tolist() == second.clips.tolist()
    assert np.array_equal(first.inputs, second.inputs)
    assert not np.array_equal(first.maps, second.maps)


def test_another_seed_of_the_sample_explains_other_clips(run):
    assert explainers.explanations(run.with_(sample_seed=5)).clips.tolist() != (
        explainers.explanations(run).clips.tolist()
    )


def test_the_first_clips_are_a_part_of_every_array(run):
    maps = explainers.explanations(run)
    for values, whole in zip(vars(maps.first(3)).values(), vars(maps).values(), strict=True):
        assert np.array_equal(values, whole[:3])
    assert np.array_equal(maps.first("all").maps, maps.maps)


def test_true_labels_are_explained_when_asked(run):
    maps = explainers.explanations(run.with_(explained="true"))
    assert maps.explained.tolist() == maps.labels.tolist()
    assert maps.labels.tolist() != maps.predicted.tolist()  # else this test says nothing
    network = training.network(run)
    expected = explainers.maps(network, maps.inputs, layer=network.layer4[-1], classes=maps.labels)
    assert np.allclose(maps.maps, expected, atol=1e-5)


def test_the_layer_of_a_run_is_used(run):
    maps, network = explainers.explanations(run.with_(layer="layer2[-1]")), training.network(run)
    expected = explainers.maps(network, maps.inputs, layer=network.layer2[-1], classes=maps.explained)
    assert np.allclose(maps.maps, expected, atol=1e-5)
    assert not np.allclose(maps.maps, explainers.explanations(run).maps, atol=1e-2)


@pytest.mark.parametrize("layer", ["layer4[-1]", "layer2[-1]"])
def test_the_files_nodes_make_its_maps(run, layer):
    maps = explainers.explanations(run.with_(layer=layer))
    assert np.array_equal(explainers.stretch(maps.nodes, (13, 400)), maps.maps)
    assert (maps.nodes < 0).any()  # before the ReLU


def test_the_record_counts_maps_that_are_empty(run):
    made, maps = artifacts.record(explainers.EXPLANATIONS.get(run))["made"], explainers.explanations(run)
    assert (made["clips"], made["empty_maps"]) == (4, (maps.maps.max((1, 2)) == 0).sum())


def test_a_title_says_what_it_is_what_was_heard_and_which_clip(run):
    maps = explainers.explanations(run)
    truth = urbansound.CLASSES[maps.labels[2]].replace("_", " ")
    guess = urbansound.CLASSES[maps.predicted[2]].replace("_", " ")
    assert explainers.title(maps, 2) == f"{truth}, predicted {guess} ({maps.clips[2]})"


def test_a_name_with_spaces_makes_a_path_without(run):
    path = explainers.EXPLANATIONS.path(run.with_(explainer="input x gradient"))
    assert path.name == "explanations-explainer=input_x_gradient.npz"


@pytest.mark.slow
@pytest.mark.parametrize(
    "explainer", [name for name, made_by in explainers.EXPLAINERS.items() if isinstance(made_by, str)]
)
def test_efficientnet_is_explained_by_every_explainer_of_nodes(explainer):
    network = models.build("efficientnet-lite0", seed=0).eval()
    layer = models.layer(network, study.NETWORKS["efficientnet-lite0"])
    inputs = np.random.default_rng(0).normal(size=(1, 1, 64, 96)).astype(np.float32)
    found = explainers.nodes(network, inputs, layer=layer, classes=np.zeros(1, np.int64), explainer=explainer)
    assert found.shape == (1, 2, 3)
    assert np.isfinite(found).all()
