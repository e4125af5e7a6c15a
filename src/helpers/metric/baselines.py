"""What a block's cells become while the network is asked again.

Chapter: notebooks/12_engine.md
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helpers import InputError


def clip_seed(seed: int | tuple[int, ...], clip: int) -> np.ndarray:
    """The seed of one clip's random stream: (4,), uint32, for numpy's `RandomState`.

    Chapter: notebooks/08_scores.md
    """
    return np.random.SeedSequence((seed, clip)).generate_state(4)


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


def named(baseline: str | Baseline, nodes: int) -> Baseline:
    """The `Baseline` that a name means; `nodes` quadrature nodes for "uniform"."""
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
