"""Which metric finds the truth, where the truth is known: a network that sees one frame at a time.

Chapter: notebooks/20_known_truth.md
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d
from torch import nn

from helpers import InputError, artifacts, tables
from helpers.audio import representations
from helpers.experiments import controls, metrics
from helpers.maps import explainers, nulls
from helpers.metric import baselines, forward
from helpers.networks import training
from helpers.study import Run

BASELINES = ("uniform", "zero", "mean")  # whose truths are known: the replacement is the same for every frame
BLUR = 8  # frames, the deviation of the blur
MAPS = (
    *(f"truth ({name})" for name in BASELINES),
    *("truth for the class", "truth reversed", "truth shifted", "truth blurred", "truth in nodes"),
    *("Grad-CAM", "random nodes", "loudness", "sound or padding"),
)


def terms(network: nn.Module, x: np.ndarray, category: int) -> np.ndarray:
    """What each frame of an input adds to a class's logit: (frames,), float64.

    Parameters
    ----------
    network : `architectures.FrameNet`. x : (rows, frames), as the network is given it.

    Chapter: notebooks/20_known_truth.md
    """
    asked: Any = network
    weights = next(network.parameters())
    with torch.inference_mode():
        found = asked.terms(torch.tensor(x, dtype=weights.dtype, device=weights.device)[None, None])
    return found[0, category].double().cpu().numpy()


def truths(network: nn.Module, x: np.ndarray, category: int, *, known: np.ndarray) -> dict[str, np.ndarray]:
    """What the logit loses when one frame becomes the baseline: the frame's term minus the baseline's, exactly.

    Parameters
    ----------
    x : (rows, frames). known : the training inputs, (clips, 1, rows, frames).

    Returns
    -------
    (frames,), float64, signed, in logits, by name of `BASELINES`; of "uniform" the root of the mean square over
    its two quadrature points, without a sign.

    Chapter: notebooks/20_known_truth.md
    """
    own, found = terms(network, x, category), {}
    labels = np.broadcast_to(np.arange(x.shape[1]), x.shape)
    for name in BASELINES:
        base = baselines.named(name, training=lambda: known)
        values = np.asarray(base.values(0, x, labels), dtype=x.dtype)
        changes = [own - terms(network, np.broadcast_to(value, x.shape), category) for value in values]
        single = changes[0] if len(changes) == 1 else np.sqrt(base.weights @ np.square(changes))
        found[name] = single
    return found


def candidates(truth: dict[str, np.ndarray], *, sounding: int, nodes: int) -> dict[str, np.ndarray]:
    """The truth, and the truth spoilt in five ways: curves by name of `MAPS`, (frames,), >= 0.

    Reversed and shifted are those of the sound only, so that they know as much of the padding as the truth does.

    Parameters
    ----------
    truth : from `truths`. sounding : frames that hold sound.
    nodes : columns that "truth in nodes" is squeezed into, as a ResNet's last block has.

    Chapter: notebooks/20_known_truth.md
    """
    size = np.abs(truth["uniform"])
    sound, rest = size[:sounding], size[sounding:]
    return {
        **{f"truth ({name})": np.abs(curve) for name, curve in truth.items()},
        "truth for the class": np.maximum(truth["mean"], 0),
        "truth reversed": np.concatenate([sound[::-1], rest]),
        "truth shifted": np.concatenate([np.roll(sound, sounding // 4), rest]),
        "truth blurred": gaussian_filter1d(size, BLUR),
        "truth in nodes": controls.squeezed(size, (1, nodes)),
    }


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip, map (`MAPS`) and metric of `metrics.table`; made once and loaded afterwards.

    Columns metric, map, clip, recording, value (NaN where the metric has no answer), status (why), frames (that
    hold sound).

    Raises
    ------
    InputError
        The run's network does not see one frame at a time.

    Chapter: notebooks/20_known_truth.md
    """
    if run.architecture != "framenet":
        raise InputError(
            f'the truth is known for a network that sees one frame at a time; take architecture="framenet", not '
            f'"{run.architecture}"'
        )
    return KNOWN.read(run)


def _make(run: Run, target: Path) -> dict:
    maps = explainers.explanations(run).first(run.control_clips)
    network = training.network(run).to(training.device())
    known = representations.training(run).inputs
    loud = controls.loudness(run, maps.clips)
    fast = forward.prepare(network, shape=maps.inputs.shape[1:])
    nodes = -(-run.frames // 32)  # a ResNet halves the frames five times

    def one(i: int) -> pd.DataFrame:
        x, random = maps.inputs[i, 0], np.random.default_rng((run.metric_seed, i))
        truth = truths(network, x, int(maps.explained[i]), known=known)
        curves = candidates(truth, sounding=int(maps.frames[i]), nodes=nodes)
        curves |= {
            "Grad-CAM": nulls.profile(maps.maps[[i]])[0],
            "random nodes": nulls.profile(nulls.random_nodes((1, nodes), count=1, random=random, size=run.shape))[0],
            "loudness": loud[i],
            "sound or padding": (np.arange(run.frames) < maps.frames[i]).astype(float),
        }
        tall = {name: np.tile(curves[name] / max(curves[name].max(), 1e-300), (run.rows, 1)) for name in MAPS}
        rows = metrics.measured(run, fast, maps, i, tall, values=known)
        return rows.assign(frames=int(maps.frames[i]))

    parts = artifacts.clip_by_clip(target, maps.clips, one, what=f"known truth of {run.name}")
    rows = pd.concat(parts, ignore_index=True)
    rows.to_csv(target, index=False, float_format="%.6f")
    return {"clips": len(parts), "nan": int(rows["value"].isna().sum())}


KNOWN = dataclasses.replace(  # made from what the other metrics are made from
    metrics.METRICS, name="known-truth.csv", make=_make, chapter="20_known_truth", table=tables.KNOWN_TRUTH
)
