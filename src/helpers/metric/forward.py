"""The same network, faster: exact short cuts for many forwards of almost the same clip.

Batch norms are folded into convolutions, kernel rows that meet only padding are cut off, weights lie
channels last, and a windowed forward recomputes only the columns of each activation map that a
changed frame can reach.

Chapter: notebooks/12_engine.md
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional

from helpers import InputError
from helpers.metric import known
from helpers.networks import devices

if TYPE_CHECKING:
    from torchvision.models.resnet import ResNet

FORWARDS = ("auto", "full", "windowed")
BATCH = 64  # whole forwards at a time on a CPU


def fold(network: nn.Module, *, shape: tuple[int, int, int]) -> nn.Module:
    """A copy for inputs of one shape that computes the same logits faster.

    In eval mode a batch norm is one factor and one offset per channel, which the convolution before it
    can carry. Where a convolution's output is one row high, only the kernel rows that meet the map are
    kept. A network that `torch.fx` cannot trace keeps its batch norms.

    Parameters
    ----------
    network : any classifier in eval mode; it is not changed.
    shape : (channels, rows, columns) of one input.

    Raises
    ------
    InputError
        The network is in training mode.

    Chapter: notebooks/12_engine.md
    """
    if network.training:
        raise InputError("network is in training mode; call network.eval() first")
    try:
        folded = fuse(network)
    except Exception:  # torch.fx has no exception of its own for "cannot be traced"
        folded = copy.deepcopy(network)
    folded = folded.requires_grad_(False).to(memory_format=torch.channels_last)
    seen: dict[nn.Conv2d, list[tuple[int, int]]] = {}

    def look(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
        seen.setdefault(layer, []).append((inputs[0].shape[2], output.shape[2]))

    hooks = [m.register_forward_hook(look) for m in folded.modules() if type(m) is nn.Conv2d]
    with torch.inference_mode():
        folded(_like(folded, torch.zeros(1, *shape)))
    for hook in hooks:
        hook.remove()
    for layer, heights in seen.items():
        plain = isinstance(layer.padding, tuple) and layer.padding_mode == "zeros" and layer.dilation[0] == 1
        top, side = _pair(layer.padding) if plain else (0, 0)
        if len(heights) == 1 and heights[0][1] == 1 and top:
            weight = layer.weight[:, :, top : top + heights[0][0]]
            weight = weight.contiguous(memory_format=torch.channels_last)
            layer.weight = nn.Parameter(weight, requires_grad=False)
            layer.kernel_size = (weight.shape[2], layer.kernel_size[1])
            layer.padding = (0, side)
    return folded


def prepare(network: nn.Module, *, shape: tuple[int, int, int], forward: str = "auto") -> Full | Windowed:
    """The network ready for `perturbation.effects`, for who asks it many times: folding takes a second or so.

    Parameters
    ----------
    network : any classifier in eval mode; it is not changed, and later changes of it are not seen.
    shape : (channels, rows, columns) of one input.
    forward : "windowed", "full" or "auto", as in `perturbation.effects`.

    Raises
    ------
    InputError
        The name is unknown, the network is in training mode, or it cannot be windowed.

    Chapter: notebooks/12_engine.md
    """
    able = windowable(network)
    if known("forward", forward, FORWARDS) == "windowed" and not able:
        raise InputError(f'forward "windowed" needs a torchvision ResNet, not {type(network).__name__}; take "auto"')
    if forward != "full" and hasattr(network, "terms"):
        return Summed(network, shape=shape)
    return (Windowed if able and forward != "full" else Full)(network, shape=shape)


def windowable(network: nn.Module) -> bool:
    """Whether `Windowed` knows the network: a torchvision ResNet, ResNeXt or Wide ResNet as it comes.

    Chapter: notebooks/12_engine.md
    """
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet  # here, because it takes seconds to import

    return (
        isinstance(network, ResNet)
        and type(network)._forward_impl is ResNet._forward_impl
        and (type(network).forward is ResNet.forward or hasattr(network, "unrolled"))
        and all(type(block) in (BasicBlock, Bottleneck) for _, block in _blocks(network))
    )


class Full:
    """The folded network, asked the same way as `Windowed`.

    Chapter: notebooks/12_engine.md
    """

    narrow = False

    def __init__(self, network: nn.Module, *, shape: tuple[int, int, int]) -> None:
        """`shape` is (channels, rows, columns) of one input."""
        self.network, self.shape = fold(network, shape=shape), tuple(shape)
        self.batch = devices.batch(self.network, self.shape, usual=BATCH)

    def remember(self, clip: Tensor) -> Tensor:
        """Logits of one clip, (channels, rows, columns): (classes,)."""
        return self.logits(clip[None], torch.zeros(1, dtype=torch.int64))[0]

    @torch.inference_mode()
    def logits(self, values: Tensor, start: Tensor) -> Tensor:
        """Logits of whole clips, (batch, channels, rows, columns): (batch, classes); `start` is 0."""
        with devices.exact():
            return self.network(_like(self.network, values))


class Summed(Full):
    """A network whose logits are a sum of one term per frame: only the changed frames are asked again.

    Chapter: notebooks/12_engine.md
    """

    narrow = True

    def __init__(self, network: nn.Module, *, shape: tuple[int, int, int]) -> None:
        """`network` has a method `terms`, as `architectures.FrameNet`; `shape` as in `Full`."""
        super().__init__(network, shape=shape)
        self.whole: Any = copy.deepcopy(network)

    @torch.inference_mode()
    def remember(self, clip: Tensor) -> Tensor:
        """Keep the terms of one clip, (channels, rows, columns); returns its logits, (classes,)."""
        self.terms = self._terms(clip[None])[0]
        return self.terms.sum(1)

    @torch.inference_mode()
    def logits(self, values: Tensor, start: Tensor) -> Tensor:
        """As `Windowed.logits`."""
        new = self._terms(values)
        at = start.to(new.device)[:, None] + torch.arange(values.shape[3], device=new.device)
        old = self.terms[:, at].transpose(0, 1)  # (batch, classes, width)
        return self.terms.sum(1) + (new - old).sum(2)

    def _terms(self, values: Tensor) -> Tensor:
        # terms are shares of a mean over the whole input's frames
        with devices.exact():
            return self.whole.terms(_like(self.whole, values)) * (values.shape[3] / self.shape[2])


class Windowed:
    """The windowed forward of a ResNet: exact logits of clips that differ from one clip in few columns.

    A changed column reaches few columns of the early maps (of 200, 100, 50 and 25); the rest are those
    of the unchanged clip, remembered. Incremental inference: Nakandala et al., SIGMOD 2019 ("Krypton").

    Chapter: notebooks/12_engine.md
    """

    narrow = True

    def __init__(self, network: ResNet, *, shape: tuple[int, int, int]) -> None:
        """`network` must be `windowable`; `shape` is (channels, rows, columns) of one input."""
        self.network, self.shape = fold(network, shape=shape), tuple(shape)
        self.batch = devices.batch(self.network, self.shape, usual=BATCH)
        self.blocks = [
            (
                [self._layer(f"{name}.{conv}") for conv in ("conv1", "conv2", "conv3") if hasattr(block, conv)],
                None if block.downsample is None else self._layer(f"{name}.downsample.0"),
            )
            for name, block in _blocks(network)
        ]
        self.clip: Tensor
        self.maps: list[Tensor] = []
        # a network over samples is given them frame by frame, below each other
        self.unrolled: Callable[[Tensor], Tensor] = getattr(network, "unrolled", lambda values: values)
        self.samples = shape[1] if hasattr(network, "unrolled") else 1

    def remember(self, clip: Tensor) -> Tensor:
        """Keep the activation maps of one clip, (channels, rows, columns); returns its logits, (classes,)."""
        clip = _like(self.network, self.unrolled(clip[None]))
        every = torch.zeros(1, dtype=torch.int64, device=clip.device)
        self.clip, self.maps = clip, []
        with devices.exact():
            return self._walk(Window(clip, every, every, every + clip.shape[3] - 1, clip), None)[0]

    def logits(self, values: Tensor, start: Tensor) -> Tensor:
        """Logits of the remembered clip with some columns replaced: (batch, classes).

        Parameters
        ----------
        values : (batch, channels, rows, width), the new columns.
        start : (batch,), int64: the first of them, between 0 and columns - width.
        """
        values = _like(self.network, self.unrolled(values))
        start = start.to(self.clip.device) * self.samples
        window = Window(values, start, start, start + values.shape[3] - 1, self.clip)
        with devices.exact():
            return self._walk(window, iter(self.maps))

    @torch.inference_mode()
    def _walk(self, window: Window, maps: Iterator[Tensor] | None) -> Tensor:
        """torchvision's ResNet on windows; without `maps` it remembers the maps instead."""

        def step(window: Window, layer: Any, skip: Callable[[Window], Tensor] | None = None) -> Window:
            out = window.slide(layer, None if maps is None else next(maps))
            if skip:
                out.values += skip(out)
            functional.relu_(out.values)
            if maps is None:
                self.maps.append(out.clean)
            return out

        window = step(window, self._layer("conv1"))
        window = step(window, self._layer("maxpool"))  # already >= 0: its ReLU changes nothing
        for convolutions, downsample in self.blocks:
            inside = window
            for convolution in convolutions[:-1]:
                inside = step(inside, convolution)

            def skip(out: Window, block: Window = window, layer: Any = downsample) -> Tensor:
                width = out.values.shape[3]
                return block.output(layer, out.start, width) if layer else block.columns(out.start, width)

            window = step(inside, convolutions[-1], skip)
        whole = window.columns(torch.zeros_like(window.start), window.clean.shape[3])
        return self._layer("fc")(self._layer("avgpool")(whole).flatten(1))

    def _layer(self, name: str) -> Any:
        return self.network.get_submodule(name)


@dataclass
class Window:
    """One activation map of a batch of changed clips: the columns that may differ, and the clean map.

    values : (batch, channels, rows, width): columns start .. start + width - 1 of each changed map.
    start : (batch,), int64; the window lies inside the map.
    low, high : (batch,), int64: columns outside low .. high are unchanged.
    clean : (1, channels, rows, columns): the map of the unchanged clip.

    Chapter: notebooks/12_engine.md
    """

    values: Tensor
    start: Tensor
    low: Tensor
    high: Tensor
    clean: Tensor

    def columns(self, first: Tensor, width: int) -> Tensor:
        """Columns first .. first + width - 1 of the changed maps; zeros outside the map.

        One gather from a table with one row of channels per position: a row of zeros, the clean map's
        positions, the windows' positions.
        """
        batch, channels, rows, size = self.values.shape
        total, device = self.clean.shape[3], self.values.device
        if width == size == total:
            return self.values
        column = (first[:, None] + torch.arange(width, device=device))[:, None]  # (batch, 1, width)
        inside = column - self.start[:, None, None]
        row = torch.arange(rows, device=device)[:, None]
        clip = torch.arange(batch, device=device)[:, None, None]
        index = torch.where((column >= 0) & (column < total), 1 + row * total + column, 0)
        changed = 1 + rows * total + (clip * rows + row) * size + inside
        index = torch.where((inside >= 0) & (inside < size), changed, index)
        table = torch.cat([self.clean.new_zeros(1, channels), _by_position(self.clean), _by_position(self.values)])
        gathered = table.index_select(0, index.reshape(-1)).view(batch, rows, width, channels)
        return gathered.permute(0, 3, 1, 2)  # channels last in memory

    def slide(self, layer: nn.Conv2d | nn.MaxPool2d, clean: Tensor | None) -> Window:
        """The layer's window: the output columns whose kernel meets a changed column.

        clean : the layer's output (after skip and ReLU) for the unchanged clip; None where this is it.
        """
        size, stride, padding = _geometry(layer)
        total = (self.clean.shape[3] + 2 * padding - size) // stride + 1
        # output column o reads input columns o * stride - padding .. o * stride - padding + size - 1
        low = (-((size - 1 - padding - self.low) // stride)).clamp(0, total - 1)
        high = torch.maximum(((self.high + padding) // stride).clamp(0, total - 1), low)
        width = int((high - low).max()) + 1
        start = low.clamp(max=total - width)
        values = self.output(layer, start, width)
        return Window(values, start, low, high, values if clean is None else clean)

    def output(self, layer: nn.Conv2d | nn.MaxPool2d, start: Tensor, width: int) -> Tensor:
        """Columns start .. start + width - 1 of the layer's output: (batch, channels, rows, width)."""
        size, stride, padding = _geometry(layer)
        total = self.clean.shape[3]
        if self.values.shape[3] == total and width == (total + 2 * padding - size) // stride + 1:
            return layer(self.values)
        values = self.columns(start * stride - padding, (width - 1) * stride + size)
        rows = _pair(layer.padding)[0]
        if isinstance(layer, nn.MaxPool2d):  # zeros pad as well as -inf: after a ReLU nothing is below 0
            pooled = functional.pad(values, (0, 0, rows, rows))
            return functional.max_pool2d(pooled, layer.kernel_size, layer.stride)
        return functional.conv2d(
            values, layer.weight, layer.bias, layer.stride, (rows, 0), layer.dilation, layer.groups
        )


def _blocks(network: ResNet) -> Iterator[tuple[str, nn.Module]]:
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        for number, block in enumerate(getattr(network, stage)):
            yield f"{stage}.{number}", block


def _geometry(layer: nn.Conv2d | nn.MaxPool2d) -> tuple[int, int, int]:
    """Reach of the kernel, stride and padding along the columns."""
    given = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    size, stride, padding, dilation = (_pair(value)[1] for value in given)
    return dilation * (size - 1) + 1, stride, padding


def _pair(value: Any) -> tuple[int, int]:
    """Rows and columns of a layer's geometry, for which torch takes one number or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _by_position(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _like(network: nn.Module, values: Tensor) -> Tensor:
    """Device and type of the network's weights, channels last."""
    weight = next(network.parameters())
    return values.to(weight.device, weight.dtype, memory_format=torch.channels_last)
