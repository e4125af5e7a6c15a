"""How well a map ranks the blocks: monotonicity correlation from maps and effects.

Chapter: notebooks/12_engine.md, notebooks/08_scores.md
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from helpers import InputError
from helpers.metric import blocking, known


def frame_scores(profiles: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Frame scores of many maps of one clip: `score` with one block per frame.

    Parameters
    ----------
    profiles : (maps, frames), float, >= 0: from `nulls.profile`, or any curve over the frames.
    effects : (frames,), from `perturbation.effects`.

    Returns
    -------
    (maps,), float64, in [-1, 1]; NaN where a profile or the effects are all the same.

    Chapter: notebooks/15_controls.md
    """
    if not len(profiles):
        return np.empty(0)
    return score(np.asarray(profiles)[:, None], np.asarray(effects)[None])


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
    labels = blocking.block_labels(blocks, (maps.shape[1], maps.shape[2]), clips=len(maps))
    if labels.max() + 1 != effects.shape[1]:
        raise InputError(f"effects has {effects.shape[1]} blocks, blocks {labels.max() + 1}; give both the same blocks")
    finite = np.isfinite(maps).all(axis=(1, 2)) & np.isfinite(effects).all(axis=1)
    known("order", order, blocking.ORDERS)
    sums = _sums(blocking.scaled(maps), labels.reshape(len(labels), -1), order)
    a = rankdata(blocking.levels(sums) if order == "stable" else sums, axis=1)
    v = rankdata(effects, axis=1)
    a, v = a - a.mean(axis=1, keepdims=True), v - v.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # 0 / 0: all the same
        rho = (a * v).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (v * v).sum(axis=1))
    return np.where(finite, np.clip(rho, -1, 1), np.nan)


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
