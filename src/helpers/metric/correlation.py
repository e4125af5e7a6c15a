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
    profiles : (maps, frames), float: from `nulls.profile`, or any curve over the frames; of a signed one the
        absolute value counts, as in `score`.
    effects : (frames,), from `perturbation.effects`.

    Returns
    -------
    (maps,), float64, in [-1, 1]; NaN where a profile or the effects are all the same, a profile has no value above
    0, or something is not finite.

    Chapter: notebooks/15_controls.md
    """
    profiles, effects = np.asarray(profiles, dtype=np.float64), np.asarray(effects, dtype=np.float64)
    if not len(profiles):
        return np.empty(0)
    answers = np.isfinite(profiles).all(axis=1) & np.isfinite(effects).all() & (profiles > 0).any(axis=1)
    return np.where(answers, spearman(np.abs(profiles), effects[None]), np.nan)


def score(
    maps: np.ndarray,
    effects: np.ndarray,
    *,
    blocks: str | tuple[int, int] | np.ndarray = "frame",
    order: str = "stable",
) -> np.ndarray:
    """Spearman correlation between what maps give to blocks and what the blocks do.

    A map gives a block the sum of its absolute values there, as in Quantus: of a signed map a strong "against" counts
    as much as a strong "for". Ranks are exact, equal values share their mean rank; cells of one column that only
    the resize of a map tells apart are equal (`blocking.tied`).

    Parameters
    ----------
    maps : (maps, rows, columns), float.
    effects : (maps, blocks), or (1, blocks) for many maps of one clip: from `effects`, same `blocks`.
    blocks : as in `effects`.
    order : "stable": the same on every processor. "stock": sums in the map's own precision, ties broken by its
        last bit, as Quantus does; blocks of one size only.

    Returns
    -------
    (maps,), float64, in [-1, 1]; NaN for a map that is not finite, has no value above 0 (Quantus refuses it) or
    gives all blocks the same, and for effects that are all the same.

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
    answers = np.isfinite(maps).all(axis=(1, 2)) & np.isfinite(effects).all(axis=1) & (maps > 0).any(axis=(1, 2))
    known("order", order, blocking.ORDERS)
    cells = blocking.tied(maps).reshape(len(maps), -1) if order == "stable" else blocking.scaled(maps)
    rho = spearman(_sums(cells, labels.reshape(len(labels), -1), order), effects)
    return np.where(answers, rho, np.nan)


def _sums(cells: np.ndarray, labels: np.ndarray, order: str) -> np.ndarray:
    """What each map gives to each block: (maps, blocks)."""
    blocks = int(labels.max()) + 1
    if order == "stock" and (np.bincount(labels.ravel()) * blocks != labels.size).any():
        raise InputError('order "stock" needs blocks of one size, as Quantus does; take "stable"')
    if order == "stable":
        index = labels + blocks * np.arange(len(cells))[:, None]
        sums = np.bincount(index.ravel(), cells.ravel(), blocks * len(cells)).reshape(-1, blocks)
        return blocking.merged(sums, share=blocking.SUM)
    # Quantus adds a block's cells from the smallest up, in the map's own precision
    labels = np.broadcast_to(labels, cells.shape)
    ranked = np.take_along_axis(cells, np.lexsort((cells, labels)), axis=1)
    return ranked.reshape(len(cells), blocks, -1).sum(axis=2)


def spearman(given: np.ndarray, effects: np.ndarray, *, counts: np.ndarray | None = None) -> np.ndarray:
    """Spearman correlation of each row of (maps, blocks) with one of (maps or 1, blocks), by exact ranks.

    Parameters
    ----------
    counts : (maps,), 1 or more: of each row its first so many values; all by default.

    Returns
    -------
    (maps,), float64, in [-1, 1]; NaN where one of the two is the same everywhere.

    Chapter: notebooks/12_engine.md
    """
    return of_ranks(ranks(given, counts=counts), ranks(effects, counts=counts))


def of_ranks(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`spearman` of what is ranked already: each row of (maps, blocks) with one of the other, (maps,), float64.

    Chapter: notebooks/12_engine.md
    """
    with np.errstate(invalid="ignore"):  # 0 / 0: all the same
        rho = (a * v).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (v * v).sum(axis=1))
    return np.clip(rho, -1, 1)


def ranks(rows: np.ndarray, *, counts: np.ndarray | None = None) -> np.ndarray:
    """Ranks in each row less their mean, (maps, blocks), float64; 0 beyond a row's count (`spearman`).

    Chapter: notebooks/12_engine.md
    """
    if counts is None:
        found = rankdata(rows, axis=1)
        return found - found.mean(axis=1, keepdims=True)
    rows, counts = rows[:, : counts.max(initial=0)], counts[:, None]
    beyond = np.arange(rows.shape[1]) >= counts
    found = rankdata(np.where(beyond, np.inf, rows), axis=1)  # what is larger moves no rank of what is smaller
    return np.where(beyond, 0, found - (counts + 1) / 2)
