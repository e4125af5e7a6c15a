"""The thesis's score as it computed it: stock Quantus.

Chapter: notebooks/08_scores.md
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from helpers import InputError
from helpers.metric import baselines, blocking, known


def quantus_scores(
    network: nn.Module,
    inputs: Tensor | np.ndarray,
    classes: Tensor | np.ndarray,
    maps: np.ndarray,
    *,
    draws: int,
    seed: int | tuple[int, ...],
    features_in_step: int,
    perturb_baseline: str,
) -> tuple[np.ndarray, list[str]]:
    """The thesis's score: stock Quantus, clip by clip.

    `MonotonicityCorrelation(nr_samples=draws, features_in_step=..., perturb_baseline=...)`, every other
    argument at Quantus's default (softmax added, absolute values, division by the maximum). One call per
    clip: in a batch the score depends on the clip's neighbours, because one maximum and one random stream
    serve all of them, and one constant map or one clip with p below 1e-5 ends the whole call.

    Parameters
    ----------
    network : in eval mode; returns logits.
    inputs : (clips, 1, rows, frames), float32, as the network is given them.
    classes : (clips,), int: the class whose probability is read.
    maps : (clips, rows, frames), float.
    draws : random replacement values per block (the thesis: 10).
    seed : clip i draws from the stream of (seed, i), whatever the other clips are.
    features_in_step : cells replaced together (the thesis: 13, as many as rows); divides rows x frames.
    perturb_baseline : what they become, one of `baselines.QUANTUS` (the thesis: "uniform").

    Returns
    -------
    scores : (clips,), float64, in [-1, 1]; NaN where Quantus has no answer.
    status : one per clip. "ok" and "p below 1e-5" have a score (1/p^2 is one factor for all blocks;
        Quantus leaves it out there and, in a batch, stops). NaN: "constant map", "negative map"
        (all below 0), "not finite", and "constant effects" (every block changes p alike).

    Raises
    ------
    InputError
        The network is in training mode, the lengths differ, or Quantus has no such step or baseline.

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
    blocking.whole_steps(features_in_step, (inputs.shape[2], inputs.shape[3]))
    known("perturb_baseline", perturb_baseline, baselines.QUANTUS)
    device = next(network.parameters()).device
    metric = quantus.MonotonicityCorrelation(
        nr_samples=draws,
        features_in_step=features_in_step,
        perturb_baseline=perturb_baseline,
        disable_warnings=True,
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
            np.random.seed(baselines.clip_seed(seed, i))  # noqa: NPY002
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
                        device=str(device),
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


def _map_status(map_: np.ndarray) -> str:
    if not np.isfinite(map_).all():
        return "not finite"
    if map_.min() == map_.max():
        return "constant map"
    return "negative map" if map_.max() < 0 else "ok"


def _probability(network: nn.Module, x: np.ndarray, y: int, device: torch.device) -> float:
    with torch.no_grad():
        return float(network(torch.as_tensor(x, device=device)).softmax(1)[0, int(y)])
