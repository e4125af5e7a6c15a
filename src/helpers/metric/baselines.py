"""What a block's cells become while the network is asked again.

`BASELINES` holds the engine's, by name; a new one is a function and a line there, and a line in `study`.
Quantus has names of its own, of which only "uniform" is also ours: U[0, 1), in Quantus one draw after the
other, in the engine by quadrature. Its "black", "white" and "mean" are one number for all cells: the least,
the largest and the mean of the clip's own input, where our "mean" is each row's over the training inputs.
`Baseline.draws` makes any of them. Quantus' documentation also names "random", which its code refuses.

Chapter: notebooks/12_engine.md
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers import InputError
from helpers.metric import known

_OF_CLIP: dict[str, Callable[[np.ndarray], Any]] = {"black": np.min, "white": np.max, "mean": np.mean}
QUANTUS = ("uniform", *_OF_CLIP)


def clip_seed(seed: int | tuple[int, ...], clip: int) -> np.ndarray:
    """The seed of one clip's random stream: (4,), uint32, for numpy's `RandomState`.

    Chapter: notebooks/08_scores.md
    """
    # numpy takes nested numbers, as in ((seed, clip), 0); its stubs know flat ones only
    entropy: Any = (seed, clip)
    return np.random.SeedSequence(entropy).generate_state(4)


@dataclass(frozen=True)
class Baseline:
    """What a block's cells become while the network is asked again.

    Parameters
    ----------
    values : called with (clip number, input (rows, columns), labels (rows, columns)); returns new values,
        broadcastable to (nodes, rows, columns), of which a block takes those of its own cells. With
        `whole`, (blocks, rows, columns): the whole input after each block's change, for an edit that
        reaches beyond the block's cells.
    weights : (nodes,), sum 1: how much each node counts in the mean effect.
    whole : see `values`.

    Chapter: notebooks/12_engine.md
    """

    values: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
    weights: np.ndarray
    whole: bool = False

    @classmethod
    def draws(cls, count: int, *, seed: int | tuple[int, ...], perturb_baseline: str = "uniform") -> Baseline:
        """The values that `quantus_scores` with the same draws, seed and `perturb_baseline` takes.

        Where they are not random all draws are one.
        """

        def values(clip: int, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
            # numpy's old generator, because it is the one that Quantus draws from
            random = np.random.RandomState(clip_seed(seed, clip))
            return random.uniform(size=(labels.max() + 1, count)).T[:, labels]

        if known("perturb_baseline", perturb_baseline, QUANTUS) == "uniform":
            return cls(values, np.full(count, 1 / count))
        of_clip = _OF_CLIP[perturb_baseline]
        return cls(lambda clip, x, labels: np.reshape(of_clip(x), (1, 1, 1)), np.ones(1))

    @classmethod
    def edited(cls, inputs: Callable[[int], np.ndarray]) -> Baseline:
        """Silence or noise in the waveform: features made by the caller.

        `inputs(clip)` returns (blocks, rows, columns): the features of the clip's waveform after each
        block's stretch of sound, in turn, was replaced.
        """
        return cls(lambda clip, x, labels: inputs(clip), np.ones(1), whole=True)


def named(
    baseline: str | Baseline,
    *,
    nodes: int = 2,
    training: Callable[[], np.ndarray] | None = None,
    draws: int = 2,
    seed: int = 0,
) -> Baseline:
    """The `Baseline` that a name of `BASELINES` means; what is a `Baseline` already stays as it is.

    Parameters
    ----------
    nodes : quadrature nodes of "uniform".
    training : called only by the names that need it ("mean", "median", "marginal", "resampled"); returns the training
        inputs, (clips, 1, rows, frames), float, in the units of the inputs that are replaced.
    draws, seed : of "marginal" and "resampled": values per block, and where they begin.

    Raises
    ------
    InputError
        The name is unknown, or needs training inputs that are not given.

    Chapter: notebooks/12_engine.md
    """
    if isinstance(baseline, Baseline):
        return baseline

    def missing() -> np.ndarray:
        raise InputError(f'baseline "{baseline}" needs the training inputs; give named("{baseline}", training=...)')

    make = BASELINES[known("baseline", baseline, BASELINES, otherwise=", or give a Baseline")]
    return make(training=training or missing, nodes=nodes, draws=draws, seed=seed)


def _uniform(*, nodes: int, **_: Any) -> Baseline:
    """U[0, 1), one value for all cells of a block, by Gauss-Legendre quadrature."""
    points, weights = np.polynomial.legendre.leggauss(nodes)  # on [-1, 1]
    points = ((points + 1) / 2)[:, None, None]
    return Baseline(lambda clip, x, labels: points, weights / 2)


def _zero(**_: Any) -> Baseline:
    """0, whatever the units."""
    return Baseline(lambda clip, x, labels: np.zeros((1, 1, 1)), np.ones(1))


def _mean(*, training: Callable[[], np.ndarray], **_: Any) -> Baseline:
    """Each row's mean over the training inputs."""
    means = np.asarray(training()).mean(axis=(0, 1, 3), dtype=np.float64)[None, :, None]
    return Baseline(lambda clip, x, labels: means, np.ones(1))


def _median(*, training: Callable[[], np.ndarray], **_: Any) -> Baseline:
    """Each row's median over the training inputs: a frame like most."""
    medians = np.median(np.asarray(training()), axis=(0, 1, 3))[None, :, None]
    return Baseline(lambda clip, x, labels: medians, np.ones(1))


def _neighbours(**_: Any) -> Baseline:
    """The mean of the nearest cells of the same row in other blocks."""
    return Baseline(lambda clip, x, labels: _beside(x, labels)[None], np.ones(1))


def _marginal(*, training: Callable[[], np.ndarray], draws: int, seed: int, **_: Any) -> Baseline:
    """Each cell alone, `draws` times, from its row's values in the training inputs."""
    inputs = training()

    def values(clip: int, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        random = np.random.default_rng((seed, clip))
        shape = (draws, *x.shape)
        clips = random.integers(len(inputs), size=shape)
        frames = random.integers(inputs.shape[3], size=shape)
        return inputs[clips, 0, np.arange(x.shape[0])[:, None], frames]

    return Baseline(values, np.full(draws, 1 / draws))


def _resampled(*, training: Callable[[], np.ndarray], draws: int, seed: int, **_: Any) -> Baseline:
    """A whole frame of a training input, drawn for each frame anew, `draws` times."""
    inputs = training()

    def values(clip: int, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        random = np.random.default_rng((seed, clip))
        clips, frames = (random.integers(n, size=(draws, x.shape[1])) for n in (len(inputs), inputs.shape[3]))
        return inputs[clips, 0, :, frames].transpose(0, 2, 1)

    return Baseline(values, np.full(draws, 1 / draws))


BASELINES: dict[str, Callable[..., Baseline]] = {
    "uniform": _uniform,
    "zero": _zero,
    "mean": _mean,
    "median": _median,
    "neighbours": _neighbours,
    "marginal": _marginal,
    "resampled": _resampled,
}


def _beside(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each cell the mean of the two cells beside its block in the row; at an edge, the one there is."""
    columns = x.shape[1]
    edge = labels[:, 1:] != labels[:, :-1]
    if not edge.any(axis=1).all():
        raise InputError('baseline "neighbours" needs blocks narrower than the input; choose another baseline')
    column = np.broadcast_to(np.arange(1, columns), edge.shape)
    first = np.maximum.accumulate(np.pad(np.where(edge, column, 0), ((0, 0), (1, 0))), axis=1)
    after = np.pad(np.where(edge, column, columns), ((0, 0), (0, 1)), constant_values=columns)
    after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(first > 0, first - 1, after), np.where(after < columns, after, first - 1)
    return (np.take_along_axis(x, left, 1) + np.take_along_axis(x, right, 1)) / 2
