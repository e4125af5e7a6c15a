"""Four of the Co-12 properties, measured on the explained clips: is a map complete, steady, about its class, and short?

Chapter: notebooks/01_introduction.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from helpers import tables
from helpers.artifacts import Artefact
from helpers.experiments import controls
from helpers.maps import explainers, nulls
from helpers.maps.explainers import Explanations
from helpers.metric import correlation
from helpers.networks import models, training
from helpers.study import Run

NOISE = 0.1  # of a small change: its size beside that of the input's own ups and downs
DRAWS = 10  # of such changes
HALF = 0.5  # of a map's mass


def table(run: Run) -> pd.DataFrame:
    """One row per explained clip and measure, made once and loaded afterwards.

    Columns: measure, clip, recording, value (NaN where a map is empty). Measures:

    - "completeness": how far the sum of the nodes, before what is below 0 is cut off, lies from the class's logit
      without its bias; a share of that logit;
    - "cut": what is cut off, the size of the nodes below 0 as a share of the size of all nodes, 0 to 1;
    - "continuity": mean rank correlation of the map's curve with those of inputs to which a little noise is added;
    - "contrastivity": rank correlation of the curves of two maps, for the explained class and for the likeliest other;
    - "half": which share of the sound's frames, taken from the highest down, holds half of the map, 0 to 1;
    - "sparseness": Quantus' Gini index of the curve, 0 (the same everywhere) to 1.

    All but the first two inside the sound.

    Chapter: notebooks/01_introduction.md
    """
    return CO12.read(run)


def completeness(network: nn.Module, inputs: np.ndarray, nodes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How far the nodes are from adding up to the logit that they explain, without the bias of the last layer.

    Parameters
    ----------
    inputs : (clips, 1, rows, frames), float32. nodes : (clips, rows, columns), signed. classes : (clips,), int64.

    Returns
    -------
    (clips,), float64, >= 0: the distance as a share of the logit's size; 0 for a complete explanation.

    Source: Sundararajan, Taly & Yan 2017 (completeness). Chapter: notebooks/01_introduction.md
    """
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    logits = training.predict(network, inputs).numpy().astype(np.float64)
    own = (logits - last.bias.detach().cpu().numpy())[np.arange(len(classes)), classes]
    return np.abs(nodes.sum(axis=(1, 2), dtype=np.float64) - own) / np.abs(own)


def noisy(inputs: np.ndarray, frames: np.ndarray, *, draws: int, seed: int = 0) -> np.ndarray:
    """Inputs with a little normal noise where there is sound, `NOISE` times the spread of each row there.

    Parameters
    ----------
    inputs : (clips, 1, rows, frames), float32. frames : (clips,), int, that hold sound.

    Returns
    -------
    (draws, clips, 1, rows, frames), float32; the padding stays as it is.

    Chapter: notebooks/01_introduction.md
    """
    random = np.random.default_rng(seed)
    found = np.repeat(inputs[None], draws, axis=0)
    for i, sounding in enumerate(frames):
        part = inputs[i, ..., :sounding]
        noise = random.standard_normal((draws, *part.shape)) * part.std(axis=-1, keepdims=True)
        found[:, i, ..., :sounding] += (NOISE * noise).astype(np.float32)
    return found


def half(curve: np.ndarray) -> float:
    """Which share of the frames, from the highest down, holds half of a curve: 0.5 for one that is the same everywhere.

    Parameters
    ----------
    curve : (frames,), >= 0.

    Returns
    -------
    0 to 1, to whole frames; NaN for a curve of zeros.

    Chapter: notebooks/01_introduction.md
    """
    if not curve.any():
        return np.nan
    held = np.cumsum(np.sort(curve)[::-1]) / curve.sum()
    return float((np.searchsorted(held, HALF - 1e-9) + 1) / len(curve))


def sparseness(curve: np.ndarray) -> float:
    """Quantus' Sparseness of a curve, its Gini index; NaN for a curve of zeros.

    Parameters
    ----------
    curve : (frames,), >= 0.

    Source: Chalasani et al. 2020; quantus 0.6.0. Chapter: notebooks/01_introduction.md
    """
    import quantus  # takes seconds, which a page that only loads results need not spend

    if np.ptp(curve) == 0:  # which Quantus refuses
        return 0.0 if curve.any() else np.nan
    given = curve[None, None, None].astype(np.float32)
    metric = quantus.Sparseness(display_progressbar=False, disable_warnings=True)
    return float(metric(model=None, x_batch=given, y_batch=np.zeros(1, int), a_batch=given, channel_first=True)[0])


def _make(run: Run, target: Path) -> dict:
    maps, network = explainers.explanations(run), training.network(run).to(training.device())
    layer = models.layer(network, run.layer)

    def nodes(inputs: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return explainers.nodes(network, inputs, layer=layer, classes=classes, explainer=run.explainer)

    def curves(inputs: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return nulls.profile(explainers.stretch(nodes(inputs, classes), run.shape))

    own, given = nodes(maps.inputs, maps.explained), nulls.profile(maps.maps)
    sounding = controls.sounding_of(run, maps.frames)
    logits = training.predict(network, maps.inputs).numpy()
    logits[np.arange(len(logits)), maps.explained] = -np.inf
    rival = curves(maps.inputs, logits.argmax(axis=1))
    moved = [curves(inputs, maps.explained) for inputs in noisy(maps.inputs, sounding, draws=DRAWS)]
    inside = [curve[:n] for curve, n in zip(given, sounding, strict=True)]
    size = np.abs(own).sum(axis=(1, 2))
    found = {
        "completeness": completeness(network, maps.inputs, own, maps.explained),
        "cut": -np.minimum(own, 0).sum(axis=(1, 2)) / np.where(size > 0, size, np.nan),
        "continuity": np.mean([_alike(given, other, sounding) for other in moved], axis=0),
        "contrastivity": _alike(given, rival, sounding),
        "half": [half(curve) for curve in inside],
        "sparseness": [sparseness(curve) for curve in inside],
    }
    rows = pd.concat(_rows(maps, measure, values) for measure, values in found.items())
    rows.to_csv(target, index=False, float_format="%.6g")
    return {"clips": len(maps.clips), "nan": int(rows["value"].isna().sum())}


def _rows(maps: Explanations, measure: str, values: np.ndarray | list[float]) -> pd.DataFrame:
    return pd.DataFrame({"measure": measure, "clip": maps.clips, "recording": maps.recordings, "value": values})


def _alike(first: np.ndarray, second: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Rank correlation of each two curves over the first so many frames; NaN where one is the same everywhere."""
    pairs = zip(first, second, frames, strict=True)
    return np.array([correlation.spearman(a[None, :n], b[None, :n])[0] for a, b, n in pairs])


CO12 = Artefact(
    "co12.csv",
    make=_make,
    chapter="01_introduction",
    inputs=(training.NETWORK, explainers.EXPLANATIONS),
    packages=("torch", "grad-cam", "quantus"),
    table=tables.CO12,
    work=lambda run: float(run.explanations * DRAWS),
    smaller=("explanations",),
)
