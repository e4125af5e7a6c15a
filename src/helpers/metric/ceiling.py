"""How well a map of a layer's shape can score at all: the best one that is found.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.stats import rankdata
from torch.nn import functional

from helpers.metric import blocking

SHIFTS = (0.0, 0.5, 0.8, 0.95, 1.05, 1.25, 2.0)  # what a node's value is multiplied by, to see whether that helps


@functools.cache
def weights(shape: tuple[int, int], size: tuple[int, int], block: tuple[int, int] | None = None) -> np.ndarray:
    """How much of each node each block gets when nodes are stretched: (blocks, nodes), float64, >= 0.

    Parameters
    ----------
    shape : (rows, columns) of the layer. size : (rows, frames) of the input. block : rows and frames of a block; a
        frame when not given.

    Chapter: notebooks/15_controls.md
    """
    nodes = torch.eye(shape[0] * shape[1], dtype=torch.float64).reshape(-1, 1, *shape)
    wide = functional.interpolate(nodes, size, mode="bilinear", align_corners=False)[:, 0].numpy()
    return blocking.sums(wide, block or (size[0], 1)).T


def best_nodes(
    effects: np.ndarray,
    starts: np.ndarray,
    *,
    weights: np.ndarray,
    random: np.random.Generator,
    sweeps: int = 8,
) -> np.ndarray:
    """Nodes whose stretched map ranks the effects as well as any that is found.

    It begins with the best of: the mean effect around each node, the least-squares fit of the effects' ranks, and
    `starts`. Then one node after the other, in random order, takes the value that raises the score most, until a
    whole sweep raises it by less than 0.0001. So the result scores at least as high as every start.

    Parameters
    ----------
    effects : (blocks,), some or all frames or other blocks of a clip.
    starts : (maps, nodes), >= 0: nodes of maps that are known, such as the explainer's own.
    weights : (blocks, nodes), from `weights`, of the same blocks.
    random : the order of the nodes.
    sweeps : at most.

    Returns
    -------
    (nodes,), float64, >= 0, the largest 1; all 0 where the effects are all the same.

    Chapter: notebooks/15_controls.md
    """
    ranks = rankdata(effects) - (len(effects) + 1) / 2
    nodes = weights.shape[1]
    if not ranks.any():
        return np.zeros(nodes)

    def scores(maps: np.ndarray) -> np.ndarray:
        # rounded: frames at the edges get exactly the same of one node, and must stay tied
        own = rankdata((maps / maps.max(axis=1, keepdims=True, initial=1e-300) @ weights.T).round(9), axis=1)
        own -= (len(effects) + 1) / 2
        size = np.sqrt((own * own).sum(axis=1) * (ranks @ ranks))
        return np.divide(own @ ranks, size, out=np.full(len(maps), -1.0), where=size > 0)

    lifted = ranks - ranks.min()
    around = weights.T @ lifted / np.maximum(weights.sum(axis=0), 1e-12)
    fit = np.linalg.lstsq(weights, lifted, rcond=None)[0]
    first = np.maximum(np.vstack([around, fit - fit.min(), fit, starts]), 0)
    found = scores(first)
    own, best = first[found.argmax()].copy(), found.max()
    for _ in range(sweeps):
        before = best
        for node in random.permutation(nodes):
            steps = np.sort(own)
            values = np.unique(
                np.concatenate([own[node] * np.array(SHIFTS), (steps[1:] + steps[:-1]) / 2, 1.5 * steps[-1:]])
            )
            tried = np.repeat(own[None], len(values), axis=0)
            tried[:, node] = values
            found = scores(tried)
            if found.max() > best:
                own, best = tried[found.argmax()], found.max()
        if best - before < 1e-4:
            break
    return own / max(own.max(), 1e-300)
