"""The five depths: shapes, seeds, layers, and how far one value hears."""

import pytest
import torch
from torch import nn

from helpers import study
from helpers.networks import models

CLASSES = {
    "resnet18": models.ResNet18,
    "resnet34": models.ResNet34,
    "resnet50": models.ResNet50,
    "resnet101": models.ResNet101,
    "resnet152": models.ResNet152,
}


@pytest.fixture(scope="module")
def networks():
    """All five depths, in evaluation mode; read only."""
    return {name: models.build(name, seed=0).eval() for name in study.ARCHITECTURES}


@pytest.mark.parametrize("name", study.ARCHITECTURES)
def test_a_network_takes_one_channel_and_gives_ten_logits(networks, name):
    network = networks[name]
    assert type(network) is CLASSES[name]
    assert network.conv1.in_channels == 1
    assert network.conv1.weight.shape == (64, 1, 7, 7)
    assert network.fc.out_features == 10
    with torch.inference_mode():
        logits = network(torch.randn(2, 1, 13, 400, generator=torch.Generator().manual_seed(0)))
    assert (logits.shape, logits.dtype) == ((2, 10), torch.float32)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", study.ARCHITECTURES)
def test_a_network_has_as_many_layers_as_its_name_says(networks, name):
    # convolutions on the main path (those of the shortcuts are named downsample), and the last layer
    found = {n for n, module in networks[name].named_modules() if isinstance(module, nn.Conv2d)}
    main = [n for n in found if "downsample" not in n]
    assert f"resnet{len(main) + 1}" == name


def test_the_first_convolution_starts_as_torchvisions():
    weight = models.build("resnet18", seed=0).conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 7 * 7)) ** 0.5, rel=0.05)  # He, fan out
    assert models.build("resnet18", seed=0).conv1.bias is None


# Seeds


def test_the_same_seed_gives_the_same_weights():
    first, second = (models.build("resnet18", seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_other_weights():
    first, second = (models.build("resnet18", seed=seed).state_dict() for seed in (3, 4))
    for name in ("conv1.weight", "layer3.1.conv2.weight", "fc.weight", "fc.bias"):
        assert not torch.equal(first[name], second[name])


def test_torchs_global_generator_is_left_alone_and_not_asked():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = models.build("resnet18", seed=3).fc.weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(models.build("resnet18", seed=3).fc.weight, first)


# Layers


def test_names_of_layers_mean_the_modules_they_say(networks):
    for name, conv in (("resnet18", "conv2"), ("resnet101", "conv3")):
        network = networks[name]
        assert models.layer(network, "layer4[-1]") is network.layer4[-1]
        assert models.layer(network, "layer3[-1]") is network.layer3[-1]
        assert models.layer(network, "layer2[-1]") is network.layer2[-1]
        assert models.layer(network, "layer4[-1].conv") is getattr(network.layer4[-1], conv)


def test_the_last_convolution_is_the_last_one_that_runs(networks):
    for network in networks.values():
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert models.layer(network, "layer4[-1].conv") is convolutions[-1]


@pytest.mark.parametrize("name", study.CHOICES["layer"])
def test_every_layer_that_may_be_chosen_exists(networks, name):
    for network in networks.values():
        assert isinstance(models.layer(network, name), nn.Module)


# Receptive fields


@pytest.mark.parametrize(
    ("name", "stage", "frames"),
    [
        # conv1 7 and the pooling 4 more: 11; then 2 * stride so far for each 3 x 3
        ("resnet18", "layer1", 43),  # 11 + 4 * 8
        ("resnet18", "layer2", 99),  # + 8 + 3 * 16
        ("resnet18", "layer3", 211),  # + 16 + 3 * 32
        ("resnet18", "layer4", 435),  # + 32 + 3 * 64
        ("resnet34", "layer2", 179),  # 11 + 6 * 8 = 59, + 8 + 7 * 16
        ("resnet50", "layer1", 35),  # one 3 x 3 per block: 11 + 3 * 8
        ("resnet50", "layer2", 91),  # + 8 + 3 * 16
        ("resnet101", "layer2", 91),
        ("resnet101", "layer4", 971),  # 91 + 16 + 22 * 32 = 811, + 32 + 2 * 64
    ],
)
def test_receptive_fields_by_hand(networks, name, stage, frames):
    assert models.receptive_field(networks[name], stage) == frames


@pytest.mark.parametrize(
    ("name", "stage"), [("resnet18", "layer2"), ("resnet18", "layer4"), ("resnet50", "layer2")]
)
def test_receptive_field_is_what_the_gradient_reaches(name, stage):
    network = models.build(name, seed=0).double().eval()
    network.maxpool = nn.AvgPool2d(3, stride=2, padding=1)  # a maximum lets one place through only
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):  # all positive: nothing cancels, no ReLU closes
                module.weight.fill_(1 / module.weight[0].numel())
    kept = {}
    getattr(network, stage).register_forward_hook(lambda module, inputs, output: kept.update(A=output))
    x = torch.ones(1, 1, 13, 1400, dtype=torch.float64, requires_grad=True)
    network(x)
    middle = kept["A"].shape[-1] // 2
    (gradient,) = torch.autograd.grad(kept["A"][0, 0, :, middle].sum(), x)
    reached = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert 0 < reached.min() < reached.max() < 1399  # the picture is wide enough
    assert len(reached) == reached.max() - reached.min() + 1
    assert models.receptive_field(network, stage) == len(reached)


# Sizes of the maps


@pytest.mark.parametrize("name", study.ARCHITECTURES)
def test_map_shapes_are_those_of_the_stages(networks, name):
    assert models.map_shapes(networks[name]) == {
        "layer1": (4, 100),
        "layer2": (2, 50),
        "layer3": (1, 25),
        "layer4": (1, 13),
    }


def test_map_shapes_follow_the_input(networks):
    assert models.map_shapes(networks["resnet18"], coefficients=64, frames=64)["layer4"] == (2, 2)


@pytest.mark.parametrize("training", [True, False])
def test_asking_for_shapes_does_not_change_a_network(training):
    # in training mode, what is sent through moves the batch norms' running variances
    network = models.build("resnet18", seed=0).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    models.map_shapes(network)
    assert network.training is training
    assert [n for n, v in network.state_dict().items() if not torch.equal(v, before[n])] == []
