"""The networks: shapes, seeds, layers, and how far one value hears."""

import pytest
import torch
import torchvision
from torch import nn

from helpers import InputError, study
from helpers.metric import forward
from helpers.networks import architectures, models

CLASSES = {
    "resnet18": architectures.ResNet18,
    "resnet34": architectures.ResNet34,
    "resnet50": architectures.ResNet50,
    "resnet101": architectures.ResNet101,
    "resnet152": architectures.ResNet152,
    "resnet18-narrow": architectures.NarrowResNet18,
}

RESNETS = [name for name in study.NETWORKS if name.startswith("resnet") and name != "resnet1d"]
STAGES = ("layer1", "layer2", "layer3", "layer4")


def shapes(network, *, shape=(13, 400), stages=STAGES):
    return models.map_shapes(network, shape=shape, stages=stages)


def test_every_name_in_the_registry_has_its_class():
    assert list(architectures.NETWORKS) == list(study.NETWORKS)


@pytest.fixture(scope="module")
def networks():
    """All five depths, in evaluation mode; read only."""
    return {name: models.build(name, seed=0).eval() for name in RESNETS}


@pytest.mark.parametrize("name", RESNETS)
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


@pytest.mark.parametrize("name", RESNETS)
def test_a_network_has_as_many_layers_as_its_name_says(networks, name):
    # convolutions on the main path (those of the shortcuts are named downsample), and the last layer
    found = {n for n, module in networks[name].named_modules() if isinstance(module, nn.Conv2d)}
    main = [n for n in found if "downsample" not in n]
    assert f"resnet{len(main) + 1}" == name.removesuffix("-narrow")


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


@pytest.mark.parametrize("name", study.legal("architecture"))
def test_the_layer_that_is_explained_when_none_is_named_exists(name):
    assert isinstance(models.layer(models.build(name, seed=0), study.NETWORKS[name]), nn.Module)


def test_any_module_can_be_named(networks):
    network = networks["resnet18"]
    assert models.layer(network, "conv1") is network.conv1
    assert models.layer(network, "layer3.0.bn1") is network.layer3[0].bn1
    assert models.layer(network, "layer3[0].downsample[0]") is network.layer3[0].downsample[0]
    assert models.layer(network, "layer3[-2]") is network.layer3[0]


@pytest.mark.parametrize("name", ["layer5[-1]", "layer4[2]", "layer4[-3]", "fc.conv", "relu.x"])
def test_a_layer_that_is_not_there_is_said_in_one_sentence(networks, name):
    with pytest.raises(InputError) as caught:
        models.layer(networks["resnet18"], name)
    assert str(caught.value) == (
        f'layer "{name}" is not in ResNet18; name one such as layer1[-1], layer2[-1], layer3[-1], layer4[-1]'
    )


# Weights that were trained on pictures


def test_weights_that_are_not_on_the_disk_are_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError) as caught:
        models.build("resnet18", seed=0, pretrained=True)
    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    assert str(caught.value) == (
        f'pretrained weights of resnet18 are not on the disk; put {url} into "{tmp_path}/checkpoints", '
        "or take pretrained=False"
    )


def test_pretrained_weights_are_torchvisions_summed_over_colours_with_a_last_layer_of_our_own(tmp_path, monkeypatch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        theirs = torchvision.models.resnet18()
    name = torchvision.models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    (tmp_path / "checkpoints").mkdir()
    torch.save(theirs.state_dict(), tmp_path / "checkpoints" / name)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    ours, random = models.build("resnet18", seed=3, pretrained=True), models.build("resnet18", seed=3)
    assert torch.equal(ours.conv1.weight, theirs.conv1.weight.sum(dim=1, keepdim=True))
    assert torch.equal(ours.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    assert torch.equal(ours.fc.weight, random.fc.weight)
    assert torch.equal(ours.fc.bias, random.fc.bias)
    # a grey picture gives the first layer the same numbers as one colour does
    x = torch.randn(1, 1, 13, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ours.conv1(x), theirs.conv1(x.expand(1, 3, 13, 40)), atol=1e-5)


# A network of another family


@pytest.fixture(scope="module")
def vgg():
    """VGG13 whose batch norms have seen clips of noise, in double precision and evaluation mode."""
    network = models.build("vgg13", seed=0).double().train()
    x = 5 * torch.randn(4, 1, 13, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        for _ in range(5):
            network(x)
    return network.eval()


def test_a_vgg_has_the_layers_of_torchvisions_and_one_channel(vgg):
    with torch.device("meta"):
        theirs = torchvision.models.vgg13_bn()
    assert study.named("vgg13") == type(vgg).__name__ == "VGG13"
    assert [type(m) for m in vgg.features] == [type(m) for m in theirs.features]
    ours = {n: v.shape for n, v in vgg.features.state_dict().items() if n != "0.weight"}
    assert ours == {n: v.shape for n, v in theirs.features.state_dict().items() if n != "0.weight"}
    assert vgg.features[0].weight.shape == (64, 1, 3, 3)
    assert models.layer(vgg, study.NETWORKS["vgg13"]) is vgg.features[-1]


@pytest.mark.parametrize(("shape", "places"), [((13, 400), (1, 13)), ((64, 173), (2, 6))])
def test_a_vgg_takes_the_thesiss_shape_and_others_and_folds_exactly(vgg, shape, places):
    x = 5 * torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.inference_mode():
        logits = vgg(x)
    assert logits.shape == (2, 10)
    assert logits.std() > 0
    with torch.inference_mode():
        assert vgg.features(x).shape == (2, 512, *places)
    prepared = forward.prepare(vgg, shape=(1, *shape))
    assert isinstance(prepared, forward.Full)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.network.modules())
    found = prepared.logits(x, torch.zeros(2, dtype=torch.int64))
    assert torch.allclose(found, logits, rtol=1e-9, atol=1e-9)


def test_a_vggs_seed_decides_its_weights():
    first, second, other = (models.build("vgg13", seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ("features.0.weight", "features.31.weight", "classifier.weight"):
        assert not torch.equal(first[name], other[name])


def test_a_vgg_begins_with_the_weights_of_torchvisions_layers(vgg, tmp_path, monkeypatch):
    theirs = {f"features.{n}": v.float() for n, v in vgg.features.state_dict().items()}
    theirs["features.0.weight"] = torch.arange(64.0 * 27).reshape(64, 3, 3, 3)
    theirs["classifier.0.weight"] = torch.ones(4, 4)  # has no place here
    name = torchvision.models.VGG13_BN_Weights.DEFAULT.url.rpartition("/")[2]
    (tmp_path / "checkpoints").mkdir()
    torch.save(theirs, tmp_path / "checkpoints" / name)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    ours = models.build("vgg13", seed=3, pretrained=True)
    assert torch.equal(ours.features[0].weight, theirs["features.0.weight"].sum(1, keepdim=True))
    assert torch.equal(ours.features[31].weight, theirs["features.31.weight"])
    assert torch.equal(ours.classifier.weight, models.build("vgg13", seed=3).classifier.weight)


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
        ("resnet18-narrow", "layer2", 99),
        ("resnet18-narrow", "layer4", 99),  # one frame wide from there on
        ("resnet101", "layer4", 971),  # 91 + 16 + 22 * 32 = 811, + 32 + 2 * 64
    ],
)
def test_receptive_fields_by_hand(networks, name, stage, frames):
    assert models.receptive_field(networks[name], stage) == frames


@pytest.mark.parametrize(
    ("name", "stage"),
    [("resnet18", "layer2"), ("resnet18", "layer4"), ("resnet18-narrow", "layer4"), ("resnet50", "layer2")],
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


# Over samples


def test_the_network_of_waveforms_reads_a_frames_samples_one_after_the_other():
    x = torch.arange(2 * 3 * 4).reshape(2, 1, 3, 4)  # three samples in each of four frames
    assert architectures.ResNet1D.unrolled(x)[0, 0, 0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    network = models.build("resnet1d", seed=0).eval()
    assert network(torch.zeros(2, 1, 512, 30)).shape == (2, 10)
    convolutions = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n]
    assert len(convolutions) == 9  # ten layers with the last, linear one


def test_the_network_of_waveforms_has_a_node_for_each_frame_of_512_samples_and_no_sample_is_passed_over():
    network = models.build("resnet1d", seed=0).eval()
    assert models.map_shapes(network, shape=(512, 173), stages=["layer4"]) == {"layer4": (1, 173)}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            assert module.kernel_size[0] == 1
            assert module.kernel_size[1] > module.stride[1]


# Sizes of the maps


@pytest.mark.parametrize("name", RESNETS)
def test_map_shapes_are_those_of_the_stages(networks, name):
    assert shapes(networks[name]) == {
        "layer1": (4, 100),
        "layer2": (2, 50),
        "layer3": (1, 25),
        "layer4": (1, 13),
    }


def test_map_shapes_follow_the_input(networks):
    assert shapes(networks["resnet18"], shape=(64, 64), stages=["layer4"]) == {"layer4": (2, 2)}


@pytest.mark.parametrize("training", [True, False])
def test_asking_for_shapes_does_not_change_a_network(training):
    # in training mode, what is sent through moves the batch norms' running variances
    network = models.build("resnet18", seed=0).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    shapes(network)
    assert network.training is training
    assert [n for n, v in network.state_dict().items() if not torch.equal(v, before[n])] == []


# Networks of other families


def test_the_logit_of_a_framenet_is_the_sum_of_its_frames_terms():
    network = models.build("framenet", seed=0).double()
    for module in network.modules():  # batch norms as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.weight.data.uniform_(0.5, 2)
    network.eval()
    x = torch.randn(3, 1, 13, 400, dtype=torch.float64)
    with torch.inference_mode():
        terms, logits = network.terms(x), network(x)
        assert terms.shape == (3, 10, 400)
        assert torch.allclose(terms.sum(2), logits, atol=1e-12)
        changed = x.clone()
        changed[..., 7] += 1.0  # one frame's term changes and no other's
        apart = (network.terms(changed) - terms).abs().amax((0, 1))
    assert apart[7] > 1e-5
    assert apart[torch.arange(400) != 7].max() < 1e-12


def test_efficientnet_takes_the_picture_as_three_equal_channels_and_begins_with_imagenets_weights():
    network = models.build("efficientnet-lite0", seed=0, pretrained=True).eval()
    other = models.build("efficientnet-lite0", seed=1, pretrained=True).eval()
    assert torch.equal(network._conv_stem.weight, other._conv_stem.weight)
    assert not torch.equal(network._fc.weight, other._fc.weight)
    assert not torch.equal(network._conv_stem.weight, models.build("efficientnet-lite0", seed=0)._conv_stem.weight)
    x = torch.randn(2, 1, 128, 173)
    with torch.inference_mode():
        logits = network(x)
        assert torch.allclose(logits, super(type(network), network).forward(x.repeat(1, 3, 1, 1)))
    assert logits.shape == (2, 10)
    assert shapes(network, shape=(128, 173), stages=("_blocks.15",)) == {"_blocks.15": (4, 5)}


def test_a_network_without_pretrained_weights_says_so():
    with pytest.raises(InputError, match="no pretrained weights of framenet"):
        models.build("framenet", seed=0, pretrained=True)


def test_operations_and_weights_are_those_of_the_layers():
    # FrameNet at 13 rows: 7, 4, 2 and 1 rows come out, kernels three rows high, then one linear layer; times and plus
    convolutions = 400 * (7 * 3 * 1 * 64 + 4 * 3 * 64 * 128 + 2 * 3 * 128 * 256 + 1 * 3 * 256 * 256)
    assert models.operations("framenet", (13, 400)) == 2 * (convolutions + 256 * 10)
    assert models.weights("framenet") == sum(
        one.numel() for one in models.build("framenet", seed=0).state_dict().values()
    )


@pytest.mark.parametrize("architecture", study.NETWORKS)
def test_refinecam_is_a_default_where_a_network_has_four_stages(architecture):
    whole = {"layer1", "layer2", "layer3", "layer4"} <= dict(models.build(architecture, seed=0).named_children()).keys()
    given = {"representation": "waveform"} if architecture == "resnet1d" else {"n_mfcc": 40}
    assert ("RefineCAM" in study.open(architecture=architecture, **given).explainers) == whole
