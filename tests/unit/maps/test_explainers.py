"""Grad-CAM: the equations by hand, the thesis's file, and sounds to listen to."""

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from helpers import InputError, study
from helpers.audio import representations, sounds, urbansound
from helpers.maps import examples, explainers
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
    maps = explainers.gradcam(network, x, layer=network.conv, classes=np.array([0, 0, 1, 1]))
    assert (maps.shape, maps.dtype) == ((4, 13, 400), np.float32)
    for i, sign in enumerate((1, 1, -1, -1)):
        assert np.allclose(maps[i], scaled(np.maximum(sign * x[i, 0], 0)), atol=1e-5)


def test_a_map_is_scaled_from_0_to_1_for_each_clip():
    network, x = ByHand([[1, 0, 0]]).eval(), noise(3, 1, 13, 400)
    maps = explainers.gradcam(network, x * 1000, layer=network.conv, classes=np.zeros(3, dtype=int))
    assert np.allclose(maps.max((1, 2)), 1, atol=1e-5)
    assert np.allclose(maps.min((1, 2)), 0, atol=1e-5)


def test_a_map_where_nothing_speaks_for_the_class_is_empty():
    network, x = ByHand([[0, 0, 1]]).eval(), np.abs(noise(2, 1, 13, 400))  # relu(-x) is 0
    maps = explainers.gradcam(network, x, layer=network.conv, classes=np.zeros(2, dtype=int))
    assert not maps.any()


@pytest.mark.parametrize("name", ["layer4[-1]", "layer4[-1].conv", "layer2[-1]"])
def test_the_library_agrees_with_the_three_equations_on_resnet18(name):
    network = models.build("resnet18", seed=0).eval()
    x, classes = noise(3, 1, 13, 400), np.array([0, 7, 3])
    layer = models.layer(network, name)
    maps = explainers.gradcam(network, x, layer=layer, classes=classes)
    kept = {}
    with layer.register_forward_hook(lambda module, inputs, output: kept.update(A=output)):
        y = network(torch.from_numpy(x))
    (gradient,) = torch.autograd.grad(y[range(3), classes].sum(), kept["A"])  # equation 1
    alpha = gradient.mean((2, 3), keepdim=True)  # equation 2
    own = torch.relu((alpha * kept["A"]).sum(1)).detach().numpy()  # equation 3
    for i in range(3):
        stretched = cv2.resize(scaled(own[i]), (400, 13))
        assert np.abs(maps[i] - scaled(stretched)).max() < 1e-5


def test_a_map_of_one_row_is_the_same_in_all_coefficients():
    network = models.build("resnet18", seed=0).eval()
    maps = explainers.gradcam(
        network, noise(1, 1, 13, 400), layer=models.layer(network, "layer4[-1]"), classes=np.array([1])
    )
    assert maps.any()
    assert np.allclose(maps, maps[:, :1], atol=1e-6)


def test_maps_do_not_depend_on_the_batch(tiny):
    network, x = tiny("resnet18", seed=0).eval(), noise(5, 1, 13, 400)
    classes = np.arange(5)
    options = {"layer": network.layer4[-1], "classes": classes}
    maps = explainers.gradcam(network, x, **options)
    assert np.allclose(explainers.gradcam(network, x, batch=2, **options), maps, atol=1e-5)
    last = explainers.gradcam(network, x[4:], layer=network.layer4[-1], classes=classes[4:])
    assert np.allclose(last[0], maps[4], atol=1e-5)


def test_explaining_leaves_no_hook_and_no_changed_weight(tiny):
    network = tiny("resnet18", seed=0).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    explainers.gradcam(network, noise(2, 1, 13, 400), layer=network.layer4[-1], classes=np.array([0, 1]))
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
    assert not network.training


# Nodes, before they are stretched


def plain(network: nn.Module, x: np.ndarray, *, layer: nn.Module, classes: np.ndarray) -> np.ndarray:
    """pytorch-grad-cam as everybody calls it."""
    with GradCAM(model=network, target_layers=[layer]) as library:
        return library(
            input_tensor=torch.from_numpy(x), targets=[ClassifierOutputTarget(int(c)) for c in classes]
        )


@pytest.mark.parametrize("name", ["layer4[-1]", "layer3[-1]", "layer2[-1]"])
def test_stretched_nodes_are_the_librarys_maps_bit_for_bit_on_resnet18(name):
    network = models.build("resnet18", seed=0).eval()
    options = {"layer": models.layer(network, name), "classes": np.array([2, 9])}
    x = noise(2, 1, 13, 400)
    found = explainers.nodes(network, x, **options)
    maps = explainers.stretch(found, (13, 400))
    assert maps.dtype == np.float32
    assert np.array_equal(maps, plain(network, x, **options))
    assert np.array_equal(maps, explainers.gradcam(network, x, **options))


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


@pytest.mark.parametrize(
    ("name", "shape"), [("layer4[-1]", (1, 13)), ("layer3[-1]", (1, 25)), ("layer2[-1]", (2, 50))]
)
def test_a_resnet_has_so_many_nodes(name, shape):
    network = models.build("resnet18", seed=0).eval()
    layer = models.layer(network, name)
    found = explainers.nodes(network, noise(1, 1, 13, 400), layer=layer, classes=np.array([0]))
    assert found.shape == (1, *shape)


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


def test_the_file_has_the_promised_arrays(run):
    path = explainers.make(run)
    with np.load(path, allow_pickle=False) as arrays:
        kinds = {name: (arrays[name].shape, arrays[name].dtype.kind) for name in arrays.files}
        assert all(arrays[n].dtype == np.float32 for n in ("maps", "nodes", "inputs"))
        assert all(
            arrays[n].dtype == np.int64 for n in ("labels", "predicted", "explained", "frames", "fs_ids")
        )
    assert kinds == {
        "maps": ((4, 13, 400), "f"),
        "nodes": ((4, 1, 25), "f"),
        "inputs": ((4, 1, 13, 400), "f"),
        "labels": ((4,), "i"),
        "predicted": ((4,), "i"),
        "explained": ((4,), "i"),
        "frames": ((4,), "i"),
        "fs_ids": ((4,), "i"),
        "names": ((4,), "U"),
    }


def test_the_explained_clips_are_test_clips_with_their_features(run):
    maps, test = explainers.explanations(run), representations.dataset(run).test()
    rows = {name: i for i, name in enumerate(test.names)}
    assert len(set(maps.names)) == 4
    for i, name in enumerate(maps.names):
        j = rows[name]
        assert np.array_equal(maps.inputs[i], test.mfcc[j])
        assert (maps.labels[i], maps.frames[i], maps.fs_ids[i]) == (
            test.labels[j],
            test.frames[j],
            test.fs_ids[j],
        )


def test_predicted_classes_are_those_of_the_trained_network(run):
    maps, table = explainers.explanations(run), training.predictions(run).set_index("name")
    assert maps.predicted.tolist() == table.loc[maps.names, "predicted"].tolist()
    assert maps.explained.tolist() == maps.predicted.tolist()


def test_the_maps_are_gradcam_of_that_network(run):
    maps, network = explainers.explanations(run), training.network(run)
    expected = explainers.gradcam(network, maps.inputs, layer=network.layer4[-1], classes=maps.explained)
    assert np.allclose(maps.maps, expected, atol=1e-5)
    assert maps.maps.any()


def test_no_more_clips_are_explained_than_the_test_fold_has(settings, stand_in):
    run = study.open(profile="quick", data=str(stand_in))
    assert run.profile.explanations == 500
    assert len(explainers.explanations(run).names) == 10


def test_another_network_explains_the_same_clips(run, stand_in):
    others = [{"architecture": "resnet34"}, {"seed": 1}]
    first = explainers.explanations(run)
    for choice in others:
        second = explainers.explanations(study.open(profile="smoke", data=str(stand_in), **choice))
        assert first.names.tolist() == second.names.tolist()
        assert np.array_equal(first.inputs, second.inputs)
        assert not np.array_equal(first.maps, second.maps)


def test_true_labels_are_explained_when_asked(run, stand_in):
    other = study.open(profile="smoke", data=str(stand_in), explained="true")
    maps = explainers.explanations(other)
    assert maps.explained.tolist() == maps.labels.tolist()
    assert maps.labels.tolist() != maps.predicted.tolist()  # else this test says nothing
    network = training.network(run)
    expected = explainers.gradcam(network, maps.inputs, layer=network.layer4[-1], classes=maps.labels)
    assert np.allclose(maps.maps, expected, atol=1e-5)


def test_the_layer_of_a_run_is_used(run, stand_in):
    other = study.open(profile="smoke", data=str(stand_in), layer="layer2[-1]")
    maps, network = explainers.explanations(other), training.network(run)
    expected = explainers.gradcam(network, maps.inputs, layer=network.layer2[-1], classes=maps.explained)
    assert np.allclose(maps.maps, expected, atol=1e-5)
    assert not np.allclose(maps.maps, explainers.explanations(run).maps, atol=1e-2)


@pytest.mark.parametrize("layer", ["layer4[-1]", "layer2[-1]"])
def test_the_files_nodes_make_its_maps(settings, stand_in, layer):
    maps = explainers.explanations(study.open(profile="smoke", data=str(stand_in), layer=layer))
    assert np.array_equal(explainers.stretch(maps.nodes, (13, 400)), maps.maps)
    assert (maps.nodes < 0).any()  # before the ReLU


# Sounds


def table_of(run) -> pd.DataFrame:
    return sounds.clips(run)[0].set_index("slice_file_name")


def test_a_sound_is_its_file_and_its_features(run):
    everything = representations.dataset(run)
    name = str(everything.names[-1])
    sound, row = examples.sound(run, name), table_of(run).loc[name]
    samples, rate = urbansound.load_audio(run.source.folder / row["path"])
    assert (sound.name, sound.fs_id, sound.category, sound.rate) == (name, row["fsID"], row["class"], rate)
    assert np.array_equal(sound.samples, samples)
    assert (sound.mfcc.shape, sound.mfcc.dtype) == ((13, 400), np.float32)
    assert np.array_equal(sound.mfcc, everything.mfcc[-1, 0])
    assert sound.frames == everything.frames[-1]


def test_a_sound_that_is_not_there_is_said_in_one_sentence(run):
    with pytest.raises(InputError, match=r"1-2-3-4\.wav"):
        examples.sound(run, "1-2-3-4.wav")


@pytest.mark.parametrize("category", ["dog_bark", "siren"])
def test_an_example_is_the_longest_foreground_clip_of_the_test_fold(run, category):
    table = table_of(run)
    clips = table[(table["class"] == category) & (table["fold"] == 10)]
    clips = clips[clips["salience"] == clips["salience"].min()]
    sound = examples.example(run, category)
    assert sound.category == category
    assert sound.name in clips.index
    assert clips.loc[sound.name, "seconds"] == clips["seconds"].max()


def test_an_example_prefers_the_foreground_to_length(run, monkeypatch):
    rows = [("a", 2, 4.0, 10), ("b", 1, 1.0, 10), ("c", 1, 3.0, 10), ("d", 1, 4.0, 9)]
    clips = pd.DataFrame(rows, columns=["slice_file_name", "salience", "seconds", "fold"])
    monkeypatch.setattr(sounds, "clips", lambda run: (clips.assign(**{"class": "siren"}), ""))
    monkeypatch.setattr(examples, "sound", lambda run, name: name)
    assert examples.example(run, "siren") == "c"


@pytest.mark.parametrize("category", ["gun_shot", "thunder"])
def test_a_class_that_the_test_fold_lacks_is_said_in_one_sentence(settings, stand_in, tmp_path, category):
    folder = tmp_path / "no-shots"
    shutil.copytree(stand_in, folder)
    path = folder / "metadata" / "UrbanSound8K.csv"
    table = pd.read_csv(path)
    gone = (table["class"] == "gun_shot") & (table["fold"] == 10)
    assert gone.any()
    for name in table["slice_file_name"][gone]:
        (folder / "audio" / "fold10" / name).unlink()
    table[~gone].to_csv(path, index=False)
    run = study.open(profile="smoke", data=str(folder))
    for call in (lambda: examples.example(run, category), lambda: examples.mixture(run, ("siren", category))):
        with pytest.raises(InputError) as caught:
            call()
        assert f'has no clip of class "{category}"; name another class' in str(caught.value)
        assert "fold 10" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_mixture_is_one_sound_after_the_other(run):
    mix = examples.mixture(run, ("drilling", "siren"))
    assert mix.rate == 22050
    assert mix.samples.shape == (88200,)
    assert mix.samples.dtype == np.float32
    assert np.array_equal(mix.samples, mix.parts[0] + mix.parts[1])
    assert not mix.parts[0][44100:].any()
    assert not mix.parts[1][:44100].any()
    assert mix.events == {"drilling": (0.0, 2.0), "siren": (2.0, 4.0)}
    assert mix.classes == ("drilling", "siren")
    assert mix.names == tuple(examples.example(run, category).name for category in mix.classes)
    for part in mix.parts:
        assert np.abs(part).max() == pytest.approx(0.5, rel=1e-5)
    first = examples.example(run, "drilling")
    assert np.corrcoef(mix.parts[0][:44100], first.samples[:44100])[0, 1] == pytest.approx(1, abs=1e-5)


def test_a_mixture_has_one_map_per_class(run):
    mix, network = examples.mixture(run), training.network(run)
    assert mix.classes == ("dog_bark", "siren")
    assert mix.mfcc.shape == (13, 400)
    expected = representations.mfcc(torch.from_numpy(mix.samples)[None], mix.rate)[0].numpy()
    assert np.array_equal(mix.mfcc, expected)
    assert (mix.maps.shape, mix.maps.dtype) == ((2, 13, 400), np.float32)
    for i, category in enumerate(mix.classes):
        own = explainers.gradcam(
            network,
            mix.mfcc[None, None],
            layer=network.layer4[-1],
            classes=np.array([urbansound.CLASSES.index(category)]),
        )
        assert np.allclose(mix.maps[i], own[0], atol=1e-5)


def test_a_mixture_in_the_other_order_changes_sides(run):
    mix, swapped = examples.mixture(run), examples.mixture(run, ("siren", "dog_bark"))
    assert np.array_equal(mix.parts[0][:44100], swapped.parts[1][44100:])
    assert swapped.events == {"siren": (0.0, 2.0), "dog_bark": (2.0, 4.0)}
