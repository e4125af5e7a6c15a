"""What each block of the input means to the network, whatever any map says.

Chapter: notebooks/12_engine.md, notebooks/08_scores.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from helpers import InputError
from helpers.metric import baselines, blocking, known
from helpers.metric import forward as forwards

ROUNDING = 32  # epsilons by which a logit in one precision may be wrong: tests/unit/metric/test_perturbation.py


def effects(
    network: nn.Module | forwards.Full | forwards.Windowed,
    inputs: Tensor | np.ndarray,
    classes: Tensor | np.ndarray,
    *,
    blocks: str | tuple[int, int] | np.ndarray = "frame",
    baseline: str | baselines.Baseline = "uniform",
    nodes: int = 2,
    readout: str = "probability",
    forward: str = "auto",
    batch: int = 0,
) -> np.ndarray:
    """How much each block of the input matters to the network, whatever any map says.

    One block at a time is replaced; its effect is the mean squared change over the replacement values.
    Blocks and nodes of a clip share batched forwards; clips are taken one by one, so that memory does not
    grow with their number. Runs on the device and in the precision of the network's weights.

    Parameters
    ----------
    network : any classifier in eval mode that returns logits, or what `forward.prepare` made of it.
    inputs : (clips, 1, rows, columns), float: what the network was trained on; a column is a frame.
    classes : (clips,), int: the class whose answer is read.
    blocks : "frame" (a column), "cell", "coefficient" (a row), a patch (rows, columns), or labels such as
        `rank_blocks(maps)`: int, (rows, columns) or (clips, rows, columns), 0 .. blocks - 1.
    baseline : a name of `baselines.BASELINES` that needs no data ("uniform", "zero", "neighbours"), or a
        `Baseline`: `baselines.named` makes one of each name.
    nodes : quadrature nodes of "uniform"; 2 agree with 10 draws within the draws' own spread.
    readout : a name of `READOUTS`, of which the mean is taken. "probability": ((p' - p) / p)^2, as Quantus.
        "log-odds": the squared change of ln(p / (1 - p)). "cross-entropy": ln p - ln p', the rise of the
        loss in nats, signed (the thesis's sentence subtracts the other way round). All in float64 from the
        logits, so that p is never 0.
    forward : "windowed" recomputes only what a block can reach (`forward.Windowed`), "full" the
        whole network; "auto" is windowed for every network that can be. Equal up to rounding.
    batch : whole forwards at a time, three times as many windowed ones; sets time and memory, no result. 0: 64, and on
        a GPU as many as fit into its free memory.

    Returns
    -------
    (clips, blocks), float64; exactly 0 where a replacement changes nothing, and where the change lies below what
    the rounding of the logits makes by itself (`floor`): how many is `(effects == 0).sum(axis=1)`.

    Raises
    ------
    InputError
        Wrong shapes or names, values that are not finite, or a network in training mode.

    Source: Nguyen & Martinez 2020, arXiv:2007.07584.

    Chapter: notebooks/12_engine.md
    """
    inputs, category = _checked(inputs, classes)
    read = READOUTS[known("readout", readout, READOUTS)]
    shape = (inputs.shape[1], inputs.shape[2], inputs.shape[3])
    labels = blocking.block_labels(blocks, shape[1:], clips=len(inputs))
    base = baselines.named(baseline, nodes=nodes)
    if not isinstance(network, forwards.Full | forwards.Windowed):
        network = forwards.prepare(network, shape=shape, forward=forward)
    if network.shape != shape:
        raise InputError(f"network was prepared for inputs of shape {network.shape}, not {shape}")
    result = np.zeros((len(inputs), labels.max() + 1))
    for i in tqdm(range(len(inputs)), desc="Effects", disable=len(inputs) == 1):
        clip, label = inputs[i, 0], labels[min(i, len(labels) - 1)]
        values = _values(base, i, clip, label, blocks=result.shape[1])
        low, high = _changed_columns(clip, label, values, base.whole, blocks=result.shape[1])
        clean = network.remember(clip[None])
        if not torch.isfinite(clean).all():
            raise InputError(f"the network's logits for clip {i} are not finite; check its weights")
        if not 0 <= category[i] < len(clean):
            raise InputError(f"classes has {category[i]} for clip {i}; give a class from 0 to {len(clean) - 1}")
        rounding, clean = ROUNDING * torch.finfo(clean.dtype).eps, clean.double().cpu()
        size = batch or network.batch
        batches = _batches(low, high, len(base.weights), size, columns=shape[2], narrow=network.narrow)
        for block, node, first, width in batches:
            # a whole input is its block's own node, and every cell of it counts as the block's
            own = (torch.zeros_like(clip, dtype=torch.int64), values, 0 * block, block)
            mine = own if base.whole else (torch.from_numpy(label), values, block, node)
            asked = _replaced(clip, *mine, first, width)
            change = read(network.logits(asked, first).double().cpu(), clean, category[i]).numpy()
            np.add.at(result[i], block.numpy(), base.weights[node.numpy()] * change)
        result[i, np.abs(result[i]) < floor(read, clean, category[i], rounding=rounding)] = 0
    return result


def floor(read: Callable[[Tensor, Tensor, int], Tensor], clean: Tensor, category: int, *, rounding: float) -> float:
    """The size below which an effect is rounding: what a read-out makes of a logit that is wrong by `rounding`.

    It depends on the clip: where the probability is near 1, a wrong logit hardly changes it, and much smaller effects
    are still real. In float32 and with p = 1/2 it is 3.6e-12 for "probability", with p = 0.999 1.5e-17.

    Parameters
    ----------
    read : one of `READOUTS`. clean : (classes,), float64, the logits of the clip. category : the class that is read.
    rounding : of a logit; `ROUNDING` epsilons of the network's precision.

    Chapter: notebooks/12_engine.md
    """
    wrong = clean.clone()
    wrong[category] += rounding
    return abs(float(read(wrong[None], clean, category)[0]))


def _probability(logits: Tensor, clean: Tensor, category: int) -> Tensor:
    # p' / p - 1 = exp(ln p' - ln p) - 1: no rounding where p is near 1, no division where it is near 0
    return torch.expm1(-_cross_entropy(logits, clean, category)) ** 2


def _log_odds(logits: Tensor, clean: Tensor, category: int) -> Tensor:
    others = [c for c in range(len(clean)) if c != category]
    odds, before = (z[..., category] - z[..., others].logsumexp(-1) for z in (logits, clean))
    return (odds - before) ** 2


def _cross_entropy(logits: Tensor, clean: Tensor, category: int) -> Tensor:
    return clean.log_softmax(-1)[category] - logits.log_softmax(-1)[..., category]


# From the logits of changed inputs, (batch, classes), those of the clip, (classes,), both float64, and the
# class that is read, to what the change did: (batch,). A new read-out: a function and a line.
READOUTS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "probability": _probability,
    "log-odds": _log_odds,
    "cross-entropy": _cross_entropy,
}


def _checked(inputs: Tensor | np.ndarray, classes: Tensor | np.ndarray) -> tuple[Tensor, list[int]]:
    inputs, classes = torch.as_tensor(inputs).detach().cpu(), torch.as_tensor(classes)
    if inputs.ndim != 4 or inputs.shape[1] != 1 or not inputs.is_floating_point():
        raise InputError(
            f"inputs has shape {tuple(inputs.shape)} and type {inputs.dtype}; give floats, (clips, 1, rows, frames)"
        )
    if classes.shape != inputs.shape[:1]:
        raise InputError(f"classes has shape {tuple(classes.shape)} for {len(inputs)} clips; give one class per clip")
    bad = (~torch.isfinite(inputs)).flatten(1).any(1).nonzero()
    if len(bad):
        raise InputError(f"inputs has values that are not finite in clip {int(bad[0])}; leave it out")
    return inputs, [int(c) for c in classes]


def _values(base: baselines.Baseline, i: int, clip: Tensor, labels: np.ndarray, *, blocks: int) -> Tensor:
    """Replacement values of clip i, (nodes or blocks, rows, columns), in the clip's precision."""
    values = torch.as_tensor(np.asarray(base.values(i, clip.numpy(), labels)), dtype=clip.dtype)
    shape = (blocks if base.whole else len(base.weights), *clip.shape)
    try:
        values = values.expand(shape)
    except RuntimeError:
        raise InputError(f"the baseline of clip {i} has shape {tuple(values.shape)}; give {shape}") from None
    if not torch.isfinite(values).all():
        raise InputError(f"the baseline of clip {i} has values that are not finite; replace them")
    return values


def _changed_columns(
    clip: Tensor, labels: np.ndarray, values: Tensor, whole: bool, *, blocks: int
) -> tuple[np.ndarray, np.ndarray]:
    """First and last column that each block's replacement changes; last < first where it changes none."""
    changed = (values != clip).numpy()
    if whole:
        block, column = np.nonzero(changed.any(axis=1))
    else:
        row, column = np.nonzero(changed.any(axis=0))
        block = labels[row, column]
    low, high = np.full(blocks, clip.shape[1]), np.full(blocks, -1)
    np.minimum.at(low, block, column)
    np.maximum.at(high, block, column)
    return low, high


def _batches(
    low: np.ndarray, high: np.ndarray, nodes: int, batch: int, *, columns: int, narrow: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
    """(block, node, first column, width) of each batch; blocks of like width and position share one."""
    block = np.flatnonzero(high >= low)
    width = (high - low + 1)[block]
    # a window over most of the map costs more to gather than it saves
    width[(width > columns * 3 // 4) | (not narrow)] = columns
    # first columns that agree modulo 8 reach equally many columns of the strided maps
    order = np.lexsort((low[block] % 8, width))
    block, width = np.repeat(block[order], nodes), np.repeat(width[order], nodes)
    node = np.tile(np.arange(nodes), len(order))
    at = 0
    while at < len(block):
        part = slice(at, at + 3 * batch)
        if width[part][-1] == columns:
            part = slice(at, at + batch)
        widest = int(width[part][-1])  # ascending
        first = np.minimum(low[block[part]], columns - widest)
        yield torch.from_numpy(block[part]), torch.from_numpy(node[part]), torch.from_numpy(first), widest
        at = part.stop


def _replaced(
    clip: Tensor, labels: Tensor, values: Tensor, block: Tensor, node: Tensor, first: Tensor, width: int
) -> Tensor:
    """Columns first .. first + width - 1 of the clip with one block replaced: (batch, 1, rows, width)."""
    if width == clip.shape[1]:
        replaced = values[node]
    else:
        row = torch.arange(clip.shape[0])[:, None]
        column = first[:, None, None] + torch.arange(width)  # (batch, 1, width)
        replaced = values[node[:, None, None], row, column]
        labels, clip = labels[row, column], clip[row, column]
    return torch.where(labels == block[:, None, None], replaced, clip)[:, None]
