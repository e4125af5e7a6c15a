"""Would another metric say the same? The maps of a clip, held against every way to ask how faithful they are.

Chapter: notebooks/17_metrics.md
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.experiments import controls
from helpers.maps import examples, explainers, nulls
from helpers.maps.explainers import Explanations
from helpers.metric import baselines, blocking, correlation, forward, perturbation
from helpers.metric.baselines import Baseline
from helpers.networks import training
from helpers.study import Run

MAPS = ("Grad-CAM", "random nodes", "loudness")
CURVES = ("SRG", "MoRF", "LeRF", "label flip")
QUANTUS = ("pixel flipping", "faith. corr.", "ROAD")
COLUMNS = list(tables.METRICS.columns)


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip, map and metric, made once and loaded afterwards.

    Columns: metric, map, clip, recording, value (NaN where the metric has no answer), status (why).

    Maps: "Grad-CAM"; "random nodes", one map of Grad-CAM's shape that knows nothing
    (`nulls.random_nodes`); "loudness", `controls.loudness` at every coefficient, scaled to [0, 1].

    Metrics, each turned so that higher means more faithful:

    - "MC ...", monotonicity correlation, -1 to 1. With one block per frame, a replaced frame becomes
      "uniform": a number from U[0, 1); "zero"; "neighbours": the mean of the frames beside it; "mean": the
      training mean; "marginal": random values of training clips, two draws; "silence": what it is when
      its stretch of the waveform is silent (`silenced`). With U[0, 1) and other blocks, "rank": 13 cells
      by rank, the thesis's; "patch": squares as high as there are rows; "cell": one, at one quadrature point, because
      there are 5200; "coefficient": a whole row, without an answer for a map that is the same at all
      coefficients, as Grad-CAM's of the last block is. "... inside": among the frames that hold sound.
    - "SRG", "MoRF", "LeRF", "label flip": see `gains`.
    - "pixel flipping", "faith. corr.", "ROAD": see `quantus_values`.

    Chapter: notebooks/17_metrics.md
    """
    return METRICS.read(run)


def _make(run: Run, target: Path) -> dict:
    maps = explainers.explanations(run).first(run.control_clips)
    network = training.network(run).to(training.device())
    fast = forward.prepare(network, shape=maps.inputs.shape[1:])
    values = representations.training(run).inputs
    loud = controls.loudness(run, maps.clips)

    def one(i: int) -> pd.DataFrame:
        return _clip(run, fast, maps, i, loudness=loud[i], values=values)

    parts = artifacts.clip_by_clip(target, maps.clips, one, what=f"metrics of {run.name}")
    rows = pd.concat(parts, ignore_index=True)
    rows.to_csv(target, index=False, float_format="%.6f")
    own = rows[rows["map"] == MAPS[0]].groupby("metric", sort=False)["value"]
    return {"clips": len(parts), "nan": {str(name): int(part.isna().sum()) for name, part in own}}


def _clip(
    run: Run,
    fast: forward.Full | forward.Windowed,
    maps: Explanations,
    i: int,
    *,
    loudness: np.ndarray,
    values: np.ndarray,
) -> pd.DataFrame:
    """All rows of clip `i`; `values` are the training inputs."""
    random = np.random.default_rng((run.metric_seed, i))
    (blind,) = nulls.random_nodes(maps.nodes.shape[1:], count=1, random=random, size=run.shape)
    loud = np.tile(loudness / max(loudness.max(), 1e-9), (len(blind), 1))
    return measured(run, fast, maps, i, dict(zip(MAPS, (maps.maps[i], blind, loud), strict=True)), values=values)


def measured(
    run: Run,
    fast: forward.Full | forward.Windowed,
    maps: Explanations,
    i: int,
    candidates: dict[str, np.ndarray],
    *,
    values: np.ndarray,
) -> pd.DataFrame:
    """Every metric of some maps of clip `i`: rows of `table`.

    Parameters
    ----------
    fast : from `forward.prepare`. maps : whose clip it is, and the class that is explained.
    candidates : (rows, frames) maps by name. values : the training inputs, (clips, 1, rows, frames).

    Chapter: notebooks/17_metrics.md
    """
    inputs, category, seed = maps.inputs[[i]], maps.explained[[i]], run.metric_seed
    silence = Baseline.edited(lambda clip: silenced(run, maps.clips[i]))
    given: dict[str, Any] = {"training": lambda: values, "draws": 2, "seed": seed + i}
    asked: dict[str, tuple] = {
        name: ("frame", {"baseline": baselines.named(name, **given)})
        for name in ("uniform", "zero", "neighbours", "mean", "marginal")
    }
    asked |= {"silence": ("frame", {"baseline": silence}), "patch": ((run.rows, run.rows), {})}
    asked |= {"coefficient": ("coefficient", {}), "cell": ("cell", {"nodes": 1})}

    def effects(blocks: str | tuple | np.ndarray, options: dict) -> np.ndarray:
        return perturbation.effects(fast, inputs, category, blocks=blocks, **options)

    # these blocks do not depend on a map: one effect vector serves all maps
    held = {name: (blocks, effects(blocks, options)) for name, (blocks, options) in asked.items()}
    fill = values.mean(axis=(0, 1, 3), dtype=np.float64)
    rows: list[tuple] = []
    for name, own in candidates.items():
        rank = blocking.rank_blocks(own, size=run.features_in_step)
        found = {
            f"MC {key}": correlation.score(own[None], effect, blocks=blocks)[0]
            for key, (blocks, effect) in (held | {"rank": (rank, effects(rank, {}))}).items()
        }
        curve = nulls.profile(own[None, :, : maps.frames[i]])
        found |= {
            f"MC {key} inside": correlation.frame_scores(curve, effect[0, : maps.frames[i]])[0]
            for key, (blocks, effect) in held.items()
            if isinstance(blocks, str) and blocks == "frame"
        }
        status = "constant map or effects"
        if own.min() < own.max():
            gone = removal(fast.network, inputs[0, 0], own, fill=fill, step=run.removal_step)
            answer = maps.predicted[i]
            found |= gains(gone, category[0])
            found |= quantus_values(fast.network, inputs, category[0], own, answer=answer, seed=(seed, i))
        else:  # an order of frames that is time's alone, and Quantus stops with an error
            found |= dict.fromkeys(CURVES + QUANTUS, np.nan)
            status = "constant map"
        rows += [
            (metric, name, maps.clips[i], maps.recordings[i], value, status if np.isnan(value) else "ok")
            for metric, value in found.items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def silenced(run: Run, name: str) -> np.ndarray:
    """Pictures of a clip with the sound of one frame silenced in the waveform, for each frame in turn.

    A hop's samples around the frame's middle become 0; then come the features, as for every clip. A window
    is longer than a hop, so the frames beside it change too, and all of them where the loudest moment is
    silenced: torchaudio cuts everything off 80 dB below it.

    Parameters
    ----------
    name : slice_file_name of a clip of the run.

    Returns
    -------
    (frames, rows, frames), float32, as the network's inputs; a frame in the padding has nothing to silence.

    Chapter: notebooks/17_metrics.md
    """
    sound = examples.sound(artifacts.whole(run), name)
    wave = representations.resample(sound.rate, run.sampling_rate)(torch.from_numpy(sound.samples)[None])
    found = np.repeat(sound.picture[None], run.frames, axis=0)
    for frame in range(sound.frames):
        start = frame * run.hop_length - run.hop_length // 2  # frame t has its middle at sample t * hop
        edited = wave.clone()
        edited[:, max(start, 0) : start + run.hop_length] = 0
        found[frame] = representations.picture(edited, run.sampling_rate, run)[0].numpy()
    if run.scaling == "raw":
        return found
    mean, deviation = representations.scale(run)
    return (found - mean[0]) / deviation[0]


def removal(network: nn.Module, clip: np.ndarray, own: np.ndarray, *, fill: np.ndarray, step: int) -> np.ndarray:
    """Logits while more and more frames are replaced, a map's most important first, and its least.

    A frame's importance is the map's sum over the coefficients; of equal frames the earlier comes first, in
    both orders.

    Parameters
    ----------
    clip, own : (rows, frames), the input and the map.
    fill : (rows,), what the coefficients of a replaced frame become, such as the training means.
    step : frames replaced at a time.

    Returns
    -------
    (2, steps + 1, classes), float64: most important first, least important first; from the whole clip to
    nothing of it.

    Source: Bach et al. 2015; Samek et al. 2017. Chapter: notebooks/17_metrics.md
    """
    sums = nulls.profile(own[None])
    orders = [blocking.rank_blocks(kept, size=step)[0] for kept in (sums.max() - sums, sums)]
    done = np.arange(orders[0].max() + 2)
    gone = np.stack([order < done[:, None] for order in orders])
    changed = np.where(gone[:, :, None], fill[:, None], clip).astype(np.float32)
    logits = training.predict(network, changed.reshape(-1, 1, *clip.shape))
    return logits.double().numpy().reshape(2, len(done), -1)


def gains(logits: np.ndarray, category: int) -> dict[str, float]:
    """What the two curves of `removal` say of a map, higher for a more faithful one.

    Areas lie under the probability of the class, over the share of frames replaced.

    - "MoRF": 1 minus the area, most important first: a faithful map lets the class vanish soon.
    - "LeRF": the area, least important first: a faithful map keeps it long.
    - "SRG", symmetric relevance gain: the second area minus the first, -1 to 1.
    - "label flip": 1 minus the share of frames replaced, most important first, when the network's answer
      changes first; 0 if it never does. Our reading of the label-flip rate, clip by clip: the rate after
      a share of frames is the share of clips whose number is at least 1 minus that. Hoedt et al. put an
      adversarial perturbation into the most important segments; here the training mean comes there.

    Parameters
    ----------
    logits : (2, steps + 1, classes), from `removal`. category : the class whose probability is read.

    Source: Samek et al. 2017; Blücher et al. 2024; Hoedt et al. 2023. Chapter: notebooks/17_metrics.md
    """
    steps = logits.shape[1] - 1
    p = torch.from_numpy(logits).softmax(2).numpy()[..., category]
    most, least = np.trapezoid(p, dx=1 / steps, axis=1)
    answers = logits[0].argmax(1)
    other = np.flatnonzero(answers != answers[0])
    replaced = other[0] / steps if len(other) else 1.0
    return dict(zip(CURVES, (least - most, 1 - most, least, 1 - replaced), strict=True))


def quantus_values(
    network: nn.Module,
    inputs: np.ndarray,
    category: int,
    own: np.ndarray,
    *,
    answer: int,
    seed: tuple[int, int],
) -> dict[str, float]:
    """Three metrics of Quantus for one map of one clip, turned so that higher means more faithful.

    - "pixel flipping" (PixelFlipping): 1 minus the mean probability of the class while cells are replaced
      by the mean of what is there, most important first, ten frames' worth at a time (fewer, where ten do
      not divide the input). Quantus' default, "black", is the
      clip's smallest value: coefficient 0 of silence, which no other coefficient ever has.
    - "faith. corr." (FaithfulnessCorrelation): Pearson correlation, over 100 random sets of 224 cells
      (Quantus' defaults), of the map's sum there with the fall of the probability when they become the
      clip's mean. NaN where the probability stands still.
    - "ROAD": 1 minus the share of nine levels, a tenth of the cells to nine tenths, at which the network
      keeps its answer though the most important cells are interpolated from the others, with some noise.

    Parameters
    ----------
    inputs : (1, 1, rows, frames), float32. own : (rows, frames), not the same everywhere: there Quantus stops.
    category : the class whose probability is read. answer : the network's for this clip.
    seed : of the random sets and the noise; the same for all maps of a clip.

    Source: Bach et al. 2015; Bhatt et al. 2020; Rong et al. 2022; quantus 0.6.0.
    Chapter: notebooks/17_metrics.md
    """
    import quantus  # here, because it takes seconds to import

    quiet: dict[str, Any] = {"disable_warnings": True}
    frames = max(step for step in range(1, 11) if inputs.shape[3] % step == 0)  # Quantus takes whole steps only
    flipping = quantus.PixelFlipping(features_in_step=frames * inputs.shape[2], perturb_baseline="mean", **quiet)
    correlation = quantus.FaithfulnessCorrelation(perturb_baseline="mean", return_aggregate=False, **quiet)
    road = quantus.ROAD(percentages=list(range(10, 100, 10)), **quiet)
    given: dict[str, Any] = {"x_batch": inputs, "a_batch": own[None, None], "channel_first": True, "softmax": True}
    given |= {"model": network, "device": next(network.parameters()).device}
    # Quantus draws from numpy's global generator: seeded here, and put back as it was
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(baselines.clip_seed(seed, 0))  # noqa: NPY002
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a replacement changes nothing; the probability stands still
            curve: Any = flipping(y_batch=np.array([category]), **given)[0]
            pearson: Any = correlation(y_batch=np.array([category]), **given)[0]
            kept: Any = road(y_batch=np.array([answer]), **given)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    # Quantus' own area calls numpy.trapz, which numpy 2.4 has no more
    area = np.trapezoid(curve, dx=1 / (len(curve) - 1))
    return dict(zip(QUANTUS, (1 - area, pearson, 1 - np.mean(list(kept.values()))), strict=True))


METRICS = Artefact(
    "metrics.csv",
    make=_make,
    chapter="17_metrics",
    fields=("metric_seed", "control_clips", "features_in_step", "removal_step"),
    inputs=(explainers.EXPLANATIONS, training.NETWORK, representations.FEATURES.each("training_folds")),
    packages=("torch", "quantus"),
    table=tables.METRICS,
    work=lambda run: float(run.explanations if run.control_clips == "all" else run.control_clips),
    smaller=("control_clips", "explanations"),
)
