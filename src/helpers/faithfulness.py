"""Does a map point where the network's answer is sensitive? Monotonicity correlation, stock and fast.

`quantus_scores` is the thesis's call. `effects` and `score` compute the same number from its two halves:
what each block of the input means to the network, and how well a map ranks the blocks.

Chapter: notebooks/12_engine.md, notebooks/08_scores.md
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from tqdm import tqdm

from helpers import InputError
from helpers import forward as forwards

# Two values closer than this share of the largest are tied. The resize of a Grad-CAM map leaves the 13
# cells of a column equal only to about 1e-7 of it; a tie must not depend on the processor's rounding.
TIE = 1e-6

READOUTS = ("probability", "log-odds", "cross-entropy")
ORDERS = ("stable", "stock")


def quantus_scores(
    network: nn.Module,
    inputs: Tensor | np.ndarray,
    classes: Tensor | np.ndarray,
    maps: np.ndarray,
    *,
    draws: int,
    seed: int | tuple[int, ...],
) -> tuple[np.ndarray, list[str]]:
    """The thesis's score: stock Quantus, clip by clip.

    `MonotonicityCorrelation(nr_samples=draws, features_in_step=13, perturb_baseline="uniform")`,
    every other argument at Quantus's default (softmax added, absolute values, division by the
    maximum). One call per clip: in a batch the score depends on the clip's neighbours, because one
    maximum and one random stream serve all of them, and one constant map or one clip with
    p below 1e-5 ends the whole call.

    Parameters
    ----------
    network : in eval mode; returns logits.
    inputs : (clips, 1, coefficients, frames), float32, MFCC units.
    classes : (clips,), int: the class whose probability is read.
    maps : (clips, coefficients, frames), float.
    draws : random replacement values per block (the thesis: 10).
    seed : clip i draws from the stream of (seed, i), whatever the other clips are.

    Returns
    -------
    scores : (clips,), float64, in [-1, 1]; NaN where Quantus has no answer.
    status : one per clip. "ok" and "p below 1e-5" have a score (1/p^2 is one factor for all blocks;
        Quantus leaves it out there and, in a batch, stops). NaN: "constant map", "negative map"
        (all below 0), "not finite", and "constant effects" (every block changes p alike).

    Raises
    ------
    InputError
        The network is in training mode, or the lengths differ.

    Source: Nguyen & Martinez 2020, arXiv:2007.07584; quantus 0.6.0 (Hedström et al. 2023).

    Chapter: notebooks/08_scores.md
    """
    import quantus  # here, because it takes seconds to import

    if network.training:
        raise InputError("network is in training mode; call network.eval() before scoring")
    inputs = np.asarray(torch.as_tensor(inputs).cpu(), dtype=np.float32)
    classes = np.asarray(torch.as_tensor(classes).cpu())
    maps = np.asarray(maps)
    if not len(inputs) == len(classes) == len(maps):
        raise InputError(
            f"inputs, classes and maps have {len(inputs)}, {len(classes)} and {len(maps)} clips; "
            "give one of each per clip"
        )
    device = next(network.parameters()).device
    metric = quantus.MonotonicityCorrelation(
        nr_samples=draws, features_in_step=13, perturb_baseline="uniform", disable_warnings=True
    )
    scores, status = np.full(len(maps), np.nan), []
    # Quantus draws from numpy's global generator and accepts no other: seeded here for each clip,
    # and put back as it was.
    state = np.random.get_state()  # noqa: NPY002
    try:
        for i in tqdm(range(len(maps)), desc="Quantus", disable=len(maps) == 1):
            status.append(_map_status(maps[i]))
            if status[i] != "ok":
                continue
            np.random.seed(clip_seed(seed, i))  # noqa: NPY002
            with warnings.catch_warnings():
                # `disable_warnings` misses one: a draw that changes nothing (u near 0 in padding)
                warnings.simplefilter("ignore")
                try:
                    scores[i] = metric(
                        model=network,
                        x_batch=inputs[i : i + 1],
                        y_batch=classes[i : i + 1],
                        a_batch=maps[i : i + 1, None],
                        channel_first=True,
                        device=device,
                    )[0]
                except AttributeError as error:
                    # Spearman of a constant is a bare NaN, of which Quantus asks the shape
                    if "has no attribute 'shape'" not in str(error):
                        raise
            if np.isnan(scores[i]):
                status[i] = "constant effects"
            elif _probability(network, inputs[i : i + 1], classes[i], device) < metric.eps:
                status[i] = "p below 1e-5"
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return scores, status


def clip_seed(seed: int | tuple[int, ...], clip: int) -> np.ndarray:
    """The seed of one clip's random stream: (4,), uint32, for numpy's `RandomState`.

    Chapter: notebooks/08_scores.md
    """
    return np.random.SeedSequence((seed, clip)).generate_state(4)


def _map_status(map_: np.ndarray) -> str:
    if not np.isfinite(map_).all():
        return "not finite"
    if map_.min() == map_.max():
        return "constant map"
    return "negative map" if map_.max() < 0 else "ok"


def _probability(network: nn.Module, x: np.ndarray, y: int, device: torch.device) -> float:
    with torch.no_grad():
        return float(network(torch.as_tensor(x, device=device)).softmax(1)[0, int(y)])


@dataclass(frozen=True)
class Baseline:
    """What a block's cells become while the network is asked again.

    values : called with (clip number, input (rows, columns), labels (rows, columns)); returns new values,
        broadcastable to (nodes, rows, columns), of which a block takes those of its own cells. With
        `whole`, (blocks, rows, columns): the whole input after each block's change, for an edit that
        reaches beyond the block's cells.
    weights : (nodes,), sum 1: how much each node counts in the mean effect.

    The names "uniform" (U[0, 1) by Gauss-Legendre quadrature, one value for all cells of a block), "zero"
    and "neighbours" (mean of the nearest cells of the same coefficient in other blocks) need no data.

    Chapter: notebooks/12_engine.md
    """

    values: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
    weights: np.ndarray
    whole: bool = False

    @classmethod
    def mean(cls, training: np.ndarray) -> Baseline:
        """Each coefficient's mean over the training inputs, (clips, 1, coefficients, frames)."""
        means = np.asarray(training).mean(axis=(0, 1, 3), dtype=np.float64)[None, :, None]
        return cls(lambda clip, x, labels: means, np.ones(1))

    @classmethod
    def marginal(cls, training: np.ndarray, *, draws: int, seed: int) -> Baseline:
        """Each cell alone, `draws` times, from its coefficient's values in the training inputs."""

        def values(clip: int, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
            random = np.random.default_rng((seed, clip))
            shape = (draws, *x.shape)
            clips = random.integers(len(training), size=shape)
            frames = random.integers(training.shape[3], size=shape)
            return training[clips, 0, np.arange(x.shape[0])[:, None], frames]

        return cls(values, np.full(draws, 1 / draws))

    @classmethod
    def draws(cls, count: int, *, seed: int | tuple[int, ...]) -> Baseline:
        """The random values that `quantus_scores(..., draws=count, seed=seed)` takes, block by block."""

        def values(clip: int, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
            # numpy's old generator, because it is the one that Quantus draws from
            random = np.random.RandomState(clip_seed(seed, clip))
            return random.uniform(size=(labels.max() + 1, count)).T[:, labels]

        return cls(values, np.full(count, 1 / count))

    @classmethod
    def edited(cls, inputs: Callable[[int], np.ndarray]) -> Baseline:
        """Silence or noise in the waveform: features made by the caller.

        `inputs(clip)` returns (blocks, rows, columns): the features of the clip's waveform after each
        block's stretch of sound, in turn, was replaced.
        """
        return cls(lambda clip, x, labels: inputs(clip), np.ones(1), whole=True)


def effects(
    network: nn.Module | forwards.Full | forwards.Windowed,
    inputs: Tensor | np.ndarray,
    classes: Tensor | np.ndarray,
    *,
    blocks: str | tuple[int, int] | np.ndarray = "frame",
    baseline: str | Baseline = "uniform",
    nodes: int = 2,
    readout: str = "probability",
    forward: str = "auto",
    batch: int = 64,
) -> np.ndarray:
    """How much each block of the input matters to the network, whatever any map says.

    One block at a time is replaced; its effect is the mean squared change over the replacement values.
    Blocks and nodes of a clip share batched forwards; clips are taken one by one, so that memory does not
    grow with their number. Runs on the device and in the precision of the network's weights.

    Parameters
    ----------
    network : any classifier in eval mode that returns logits, or what `helpers.forward.prepare` made of it.
    inputs : (clips, 1, rows, columns), float: coefficients and frames, MFCC units.
    classes : (clips,), int: the class whose answer is read.
    blocks : "frame" (a column), "cell", "coefficient" (a row), a patch (rows, columns), or labels such as
        `rank_blocks(maps)`: int, (rows, columns) or (clips, rows, columns), 0 .. blocks - 1.
    baseline : "uniform", "zero", "neighbours" or a `Baseline`.
    nodes : quadrature nodes of "uniform"; 2 agree with 10 draws within the draws' own spread.
    readout : "probability": mean of ((p' - p) / p)^2, as Quantus. "log-odds": mean of the squared change
        of ln(p / (1 - p)). "cross-entropy": mean of ln p - ln p', the rise of the loss in nats, signed (the
        thesis's sentence subtracts the other way round). All in float64 from the logits, so that p is
        never 0; from float32 logits, effects below about 1e-11 are rounding.
    forward : "windowed" recomputes only what a block can reach (`helpers.forward.Windowed`), "full" the
        whole network; "auto" is windowed for every network that can be. Equal up to rounding.
    batch : whole forwards at a time, three times as many windowed ones; sets time and memory, no result.

    Returns
    -------
    (clips, blocks), float64; exactly 0 where a replacement changes nothing.

    Raises
    ------
    InputError
        Wrong shapes or names, values that are not finite, or a network in training mode.

    Source: Nguyen & Martinez 2020, arXiv:2007.07584.

    Chapter: notebooks/12_engine.md
    """
    inputs, classes = _checked(inputs, classes)
    if readout not in READOUTS:
        raise InputError(f'readout "{readout}" is not known; choose from {", ".join(READOUTS)}')
    labels = block_labels(blocks, tuple(inputs.shape[2:]), clips=len(inputs))
    base = _baseline(baseline, nodes)
    shape = tuple(inputs.shape[1:])
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
        if not 0 <= classes[i] < len(clean):
            raise InputError(
                f"classes has {classes[i]} for clip {i}; give a class from 0 to {len(clean) - 1}"
            )
        batches = _batches(low, high, len(base.weights), batch, columns=clip.shape[1], narrow=network.narrow)
        for block, node, first, width in batches:
            # a whole input is its block's own node, and every cell of it counts as the block's
            own = (torch.zeros_like(clip, dtype=torch.int64), values, 0 * block, block)
            mine = own if base.whole else (torch.from_numpy(label), values, block, node)
            asked = _replaced(clip, *mine, first, width)
            change = _change(network.logits(asked, first), clean, classes[i], readout)
            np.add.at(result[i], block.numpy(), base.weights[node.numpy()] * change)
    return result


def score(
    maps: np.ndarray,
    effects: np.ndarray,
    *,
    blocks: str | tuple[int, int] | np.ndarray = "frame",
    order: str = "stable",
) -> np.ndarray:
    """Spearman correlation between what maps give to blocks and what the blocks do.

    A map gives a block the sum of its absolute values there. Ties have their mean rank.

    Parameters
    ----------
    maps : (maps, rows, columns), float.
    effects : (maps, blocks), or (1, blocks) for many maps of one clip: from `effects`, same `blocks`.
    blocks : as in `effects`.
    order : "stable": sums closer than `TIE` of the largest are tied, on every processor. "stock": sums in
        the map's own precision, ties broken by its last bit, as Quantus does; blocks of one size only.

    Returns
    -------
    (maps,), float64, in [-1, 1]; NaN for a map that is not finite or gives all blocks the same, and for
    effects that are all the same.

    Raises
    ------
    InputError
        Wrong shapes or names.

    Chapter: notebooks/12_engine.md
    """
    maps = np.asarray(maps)
    effects = np.asarray(effects, dtype=np.float64)
    if maps.ndim != 3 or effects.ndim != 2 or len(effects) not in (1, len(maps)):
        raise InputError(
            f"maps have shape {maps.shape} and effects {effects.shape}; "
            "give (maps, rows, columns) and (maps, blocks) or (1, blocks)"
        )
    labels = block_labels(blocks, maps.shape[1:], clips=len(maps))
    if labels.max() + 1 != effects.shape[1]:
        raise InputError(
            f"effects has {effects.shape[1]} blocks, blocks {labels.max() + 1}; give both the same blocks"
        )
    finite = np.isfinite(maps).all(axis=(1, 2)) & np.isfinite(effects).all(axis=1)
    sums = _sums(_scaled(maps), labels.reshape(len(labels), -1), _order(order))
    a = rankdata(_levels(sums) if order == "stable" else sums, axis=1)
    v = rankdata(effects, axis=1)
    a, v = a - a.mean(axis=1, keepdims=True), v - v.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # 0 / 0: all the same
        rho = (a * v).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (v * v).sum(axis=1))
    return np.where(finite, np.clip(rho, -1, 1), np.nan)


def rank_blocks(maps: np.ndarray, *, size: int = 13, order: str = "stable") -> np.ndarray:
    """Blocks of `size` cells by attribution, weakest first: the blocks that Quantus makes from a map.

    Parameters
    ----------
    maps : (rows, columns) or (maps, rows, columns), float.
    size : cells per block; the last block may be smaller.
    order : of tied cells. "stable": cells closer than `TIE` of the largest are tied and follow each other
        row by row, as in a stable sort of an exactly tied map: all coefficients 0 first, by frame.
        "stock": numpy's default sort of the values to the last bit, whose order of ties depends on
        numpy's version and the processor's vector width.

    Returns
    -------
    Block of each cell, int64, shape of `maps`: for `effects(..., blocks=...)` and `score`.

    Chapter: notebooks/12_engine.md
    """
    maps = np.asarray(maps)
    if maps.ndim not in (2, 3):
        raise InputError(f"maps have shape {maps.shape}; give (rows, columns) or (maps, rows, columns)")
    cells = _scaled(maps.reshape(-1, *maps.shape[-2:]))
    if _order(order) == "stable":
        ranked = np.argsort(_levels(cells), axis=1, kind="stable")
    else:
        ranked = np.argsort(cells, axis=1)
    labels = np.empty_like(ranked)
    np.put_along_axis(labels, ranked, np.arange(ranked.shape[1])[None] // size, axis=1)
    return labels.reshape(maps.shape)


def block_labels(
    blocks: str | tuple[int, int] | np.ndarray, shape: tuple[int, int], *, clips: int
) -> np.ndarray:
    """The block of each cell: (1 or clips, rows, columns), int64. `blocks` as in `effects`.

    Patches are numbered row by row; at the right and lower edge they may be smaller.

    Chapter: notebooks/12_engine.md
    """
    rows, columns = shape
    named = {"frame": (rows, 1), "cell": (1, 1), "coefficient": (1, columns)}
    if isinstance(blocks, str):
        if blocks not in named:
            raise InputError(
                f'blocks "{blocks}" is not known; choose from {", ".join(named)}, '
                "give a patch (rows, columns), or labels such as rank_blocks(maps)"
            )
        blocks = named[blocks]
    if isinstance(blocks, tuple):
        if len(blocks) != 2 or min(blocks) < 1:
            raise InputError(f"blocks is {blocks}; give a patch (rows, columns), both at least 1")
        down, across = np.arange(rows) // blocks[0], np.arange(columns) // blocks[1]
        return (down[:, None] * (across[-1] + 1) + across)[None]
    labels = np.asarray(blocks)
    labels = labels[None] if labels.ndim == 2 else labels
    if (
        labels.dtype.kind not in "iu"
        or labels.shape[1:] != shape
        or len(labels) not in (1, clips)
        or labels.min() < 0
    ):
        raise InputError(
            f"blocks has shape {labels.shape} and type {labels.dtype}; "
            f"give whole numbers from 0, one per cell: {shape} or {(clips, *shape)}"
        )
    return labels.astype(np.int64)


def _checked(inputs: Tensor | np.ndarray, classes: Tensor | np.ndarray) -> tuple[Tensor, list[int]]:
    inputs, classes = torch.as_tensor(inputs).detach().cpu(), torch.as_tensor(classes)
    if inputs.ndim != 4 or inputs.shape[1] != 1 or not inputs.is_floating_point():
        raise InputError(
            f"inputs has shape {tuple(inputs.shape)} and type {inputs.dtype}; "
            "give floats, (clips, 1, coefficients, frames)"
        )
    if classes.shape != inputs.shape[:1]:
        raise InputError(
            f"classes has shape {tuple(classes.shape)} for {len(inputs)} clips; give one class per clip"
        )
    bad = (~torch.isfinite(inputs)).flatten(1).any(1).nonzero()
    if len(bad):
        raise InputError(f"inputs has values that are not finite in clip {int(bad[0])}; leave it out")
    return inputs, [int(c) for c in classes]


def _baseline(baseline: str | Baseline, nodes: int) -> Baseline:
    if isinstance(baseline, Baseline):
        return baseline
    if baseline == "uniform":
        points, weights = np.polynomial.legendre.leggauss(nodes)  # on [-1, 1]
        points = ((points + 1) / 2)[:, None, None]
        return Baseline(lambda clip, x, labels: points, weights / 2)
    if baseline == "zero":
        return Baseline(lambda clip, x, labels: np.zeros((1, 1, 1)), np.ones(1))
    if baseline == "neighbours":
        return Baseline(lambda clip, x, labels: _neighbours(x, labels)[None], np.ones(1))
    raise InputError(
        f'baseline "{baseline}" is not known; choose from uniform, zero, neighbours, or give a Baseline'
    )


def _values(base: Baseline, i: int, clip: Tensor, labels: np.ndarray, *, blocks: int) -> Tensor:
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


def _neighbours(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each cell the mean of the two cells beside its block in the row; at an edge, the one there is."""
    columns = x.shape[1]
    edge = labels[:, 1:] != labels[:, :-1]
    if not edge.any(axis=1).all():
        raise InputError(
            'baseline "neighbours" needs blocks narrower than the input; choose another baseline'
        )
    column = np.broadcast_to(np.arange(1, columns), edge.shape)
    first = np.maximum.accumulate(np.pad(np.where(edge, column, 0), ((0, 0), (1, 0))), axis=1)
    after = np.pad(np.where(edge, column, columns), ((0, 0), (0, 1)), constant_values=columns)
    after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(first > 0, first - 1, after), np.where(after < columns, after, first - 1)
    return (np.take_along_axis(x, left, 1) + np.take_along_axis(x, right, 1)) / 2


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
        yield *(torch.from_numpy(a) for a in (block[part], node[part], first)), widest
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


def _change(logits: Tensor, clean: Tensor, category: int, readout: str) -> np.ndarray:
    """The effect of each forward, (batch,), float64, before the mean over nodes."""
    logits, clean = logits.double().cpu(), clean.double().cpu()
    if readout == "log-odds":
        others = [c for c in range(len(clean)) if c != category]
        odds, before = (z[..., category] - z[..., others].logsumexp(-1) for z in (logits, clean))
        return ((odds - before) ** 2).numpy()
    # p' / p - 1 = exp(ln p' - ln p) - 1: no rounding where p is near 1, no division where it is near 0
    rise = logits.log_softmax(-1)[..., category] - clean.log_softmax(-1)[category]
    return (-rise if readout == "cross-entropy" else torch.expm1(rise) ** 2).numpy()


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Absolute values divided by the map's largest, as Quantus does, 0 for NaN: (maps, cells)."""
    cells = np.abs(np.where(np.isfinite(maps), maps, 0).reshape(len(maps), -1))
    largest = cells.max(axis=1, keepdims=True)
    return np.divide(cells, largest, where=largest > 0, out=cells.astype(np.result_type(cells, np.float32)))


def _levels(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 of values >= 0, row by row; values next in order and closer than `TIE` share a rank."""
    order = np.argsort(values, axis=1)
    ascending = np.take_along_axis(values, order, axis=1)
    apart = np.diff(ascending, axis=1, prepend=ascending[:, :1]) > TIE * ascending[:, -1:]
    levels = np.empty_like(order)
    np.put_along_axis(levels, order, np.cumsum(apart, axis=1), axis=1)
    return levels


def _sums(cells: np.ndarray, labels: np.ndarray, order: str) -> np.ndarray:
    """What each map gives to each block: (maps, blocks)."""
    blocks = labels.max() + 1
    if order == "stable":
        index = labels + blocks * np.arange(len(cells))[:, None]
        return np.bincount(index.ravel(), cells.ravel(), blocks * len(cells)).reshape(-1, blocks)
    if (np.bincount(labels.ravel()) * blocks != labels.size).any():
        raise InputError('order "stock" needs blocks of one size, as Quantus does; take "stable"')
    # Quantus adds a block's cells from the smallest up, in the map's own precision
    labels = np.broadcast_to(labels, cells.shape)
    ranked = np.take_along_axis(cells, np.lexsort((cells, labels)), axis=1)
    return ranked.reshape(len(cells), blocks, -1).sum(axis=2)


def _order(order: str) -> str:
    if order not in ORDERS:
        raise InputError(f'order "{order}" is not known; choose from {", ".join(ORDERS)}')
    return order
