"""The networks themselves: torchvision's, with one input channel and ten classes, and one of our own.

Apart from `helpers.networks.models`, since torchvision takes seconds to import, which a page that asks no network need
not spend. A new network: a class and a line in `NETWORKS`.

Chapter: notebooks/04_networks.md
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
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


class NarrowResNet18(ResNet18):
    """ResNet18 with kernels one frame wide in its last two stages: as deep, but a node sees 99 frames, not 435."""

    def __init__(self, classes: int = 10) -> None:
        """Untrained, for so many classes."""
        super().__init__(classes)
        for stage in (self.layer3, self.layer4):
            for block in stage:
                for name in ("conv1", "conv2"):
                    wide = getattr(block, name)
                    narrow = nn.Conv2d(
                        wide.in_channels, wide.out_channels, (3, 1), stride=wide.stride, padding=(1, 0), bias=False
                    )
                    nn.init.kaiming_normal_(narrow.weight, mode="fan_out", nonlinearity="relu")
                    setattr(block, name, narrow)


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


class ResNet1D(ResNet):
    """A small ResNet over the samples of a waveform: ten layers, kernels one row high, in the end a node a frame.

    The first layer is as wide as that of Dai et al. 2017 (80 samples); the steps of all layers together make 512
    samples. A kernel is one more than twice as wide as its step, so that no sample is passed over.
    """

    def __init__(self, classes: int = 10) -> None:
        """Untrained, for so many classes."""
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=classes)
        self.conv1 = self._across(1, 64, kernel=80, step=8, padding=36)
        self.maxpool = nn.MaxPool2d((1, 5), stride=(1, 4), padding=(0, 2))
        for stage, step in zip((self.layer1, self.layer2, self.layer3, self.layer4), (1, 4, 2, 2), strict=True):
            block = stage[0]
            before, after = block.conv1.in_channels, block.conv1.out_channels
            block.conv1 = self._across(before, after, kernel=2 * step + 1, step=step, padding=step)
            block.conv2 = self._across(after, after, kernel=3, step=1, padding=1)
            if block.downsample is not None:
                block.downsample[0] = self._across(before, after, kernel=1, step=step, padding=0)

    @staticmethod
    def _across(before: int, after: int, *, kernel: int, step: int, padding: int) -> nn.Conv2d:
        made = nn.Conv2d(before, after, (1, kernel), stride=(1, step), padding=(0, padding), bias=False)
        nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
        return made

    @staticmethod
    def unrolled(x: torch.Tensor) -> torch.Tensor:
        """The samples one after the other, (clips, 1, 1, rows * frames), of (clips, 1, rows, frames)."""
        return x.transpose(2, 3).reshape(x.shape[0], 1, 1, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, (clips, classes), of (clips, 1, rows, frames), a frame's samples below each other."""
        return super().forward(self.unrolled(x))


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
    "resnet18-narrow": NarrowResNet18,
    "vgg13": VGG13,
    "efficientnet-lite0": efficientnet_lite0,
    "framenet": FrameNet,
    "resnet1d": ResNet1D,
}
