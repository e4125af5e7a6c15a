"""ResNets that listen: torchvision's, with one input channel and ten classes (thesis 2.3).

Chapter: notebooks/04_networks.md
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


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


_NETWORKS = {
    network.__name__.lower(): network for network in (ResNet18, ResNet34, ResNet50, ResNet101, ResNet152)
}


def build(architecture: str, *, seed: int) -> ResNet:
    """An untrained network with seeded weights.

    Parameters
    ----------
    architecture : one of `study.ARCHITECTURES`.
    seed : of the random initial weights.

    Returns
    -------
    A network that maps (clips, 1, 13, 400) float32 to (clips, 10) logits.

    Source: He et al. 2016, torchvision. Chapter: notebooks/04_networks.md
    """
    # torch's layers draw their first weights from the global generator only
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _NETWORKS[architecture]()


def layer(network: ResNet, name: str) -> nn.Module:
    """The module that a layer's name in `study.CHOICES["layer"]` means.

    "layer4[-1]" is the last block (after its ReLU, what pytorch-grad-cam's examples take);
    "layer4[-1].conv" is that block's last convolution, the thesis's words taken literally.

    Chapter: notebooks/06_explanations.md
    """
    stage, _, rest = name.partition("[-1]")
    block = getattr(network, stage)[-1]
    if not rest:
        return block
    return block.conv3 if isinstance(block, Bottleneck) else block.conv2


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


def map_shapes(network: ResNet, *, coefficients: int = 13, frames: int = 400) -> dict[str, tuple[int, int]]:
    """Height and width of each stage's output, before Grad-CAM stretches its map back to the input.

    Chapter: notebooks/04_networks.md
    """
    shapes = {}
    network = copy.deepcopy(network).eval()  # a batch norm in training mode would remember the zeros
    with torch.inference_mode():
        values = torch.zeros(1, 1, coefficients, frames)
        values = network.maxpool(network.relu(network.bn1(network.conv1(values))))
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            values = getattr(network, stage)(values)
            shapes[stage] = tuple(values.shape[-2:])
    return shapes
