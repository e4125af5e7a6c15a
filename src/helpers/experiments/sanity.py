"""What maps and scores say of a network that learned nothing: randomised, untrained, or taught nonsense.

Chapter: notebooks/16_sanity.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.maps import explainers
from helpers.maps.explainers import Explanations
from helpers.metric import correlation, forward, perturbation
from helpers.networks import models, training
from helpers.study import Run

COLUMNS = list(tables.SANITY.columns)


ORDERS = ("top_down", "independent")


NOTHING = ("untrained", "shuffled labels")


def table(run: Run) -> pd.DataFrame:
    """One row per check, layer and explained clip, made once and loaded afterwards.

    Columns: check, order, layer, clip, recording, value (NaN where a map is empty). Checks:

    - "MPRT" (Adebayo et al. 2018): similarity of the map of the randomised network to the clip's own map, see
      `randomised`; order "top_down" (from the output down to this layer) or "independent" (this layer alone);
    - "score": how well that map ranks the effects of frames on the *trained* network (`correlation.score`);
      in the layer "original", the score of Grad-CAM itself;
    - "eMPRT" (Hedström et al. 2024): relative rise of the map's complexity, see `efficient`;
    - "untrained", "shuffled labels": the frame score of another network's own map against its own
      effects, for the class that it predicts itself (the true one where the run explains that).

    The last three have order and layer "all".

    Chapter: notebooks/16_sanity.md
    """
    return SANITY.read(run)


def _make(run: Run, target: Path) -> dict:
    maps = explainers.explanations(run).first(run.control_clips)
    network = training.network(run).to(training.device())
    taught = artifacts.whole(run).with_(labels="shuffled")
    asked = {"untrained": untrained(run), "shuffled labels": training.network(taught).to(training.device())}
    others = {check: _asked(other, maps, run) for check, other in asked.items()}
    fast = forward.prepare(network, shape=maps.inputs.shape[1:])

    def one(i: int) -> pd.DataFrame:
        clip = maps.inputs[[i]]
        effects = perturbation.effects(fast, clip, maps.explained[[i]])
        rows = []
        for order in ORDERS:
            similar, found = randomised(network, maps, i, layer=run.layer, order=order)
            scores = correlation.score(found, effects)
            rows += [("MPRT", order, layer, value) for layer, value in similar.items()]
            rows += [("score", order, layer, value) for layer, value in zip(similar, scores, strict=True)]
        for check, (other, classes, own) in others.items():
            effects = perturbation.effects(other, clip, classes[[i]])
            rows.append((check, "all", "all", correlation.score(own[[i]], effects)[0]))
        return _rows(rows, maps, i)

    parts = artifacts.clip_by_clip(target, maps.clips, one, what=f"sanity of {run.name}")
    rises = efficient(network, maps, layer=run.layer, seed=run.efficient_seed)
    parts += [_rows([("eMPRT", "all", "all", rise)], maps, i) for i, rise in enumerate(rises)]
    rows = pd.concat(parts, ignore_index=True)
    rows.to_csv(target, index=False, float_format="%.5f")
    learned = training.history(taught).query("fold == 0")["accuracy"].iloc[-1]
    return {
        "clips": len(maps.clips),
        "nan": {str(check): int(part.isna().sum()) for check, part in rows.groupby("check")["value"]},
        "shuffled_train_accuracy": float(learned),
    }


def randomised(
    network: nn.Module, maps: Explanations, i: int, *, layer: str, order: str
) -> tuple[dict[str, float], np.ndarray]:
    """Grad-CAM of one explained clip while Quantus' MPRT takes from the network what it learned.

    Quantus resets every module that can be: convolutions and the linear layer to small random weights, batch
    norms to mean 0, variance 1, scale 1 and offset 0, which is not random. So only convolutions and the
    linear layer have a value; "top_down", a convolution's batch norm is reset just before it. Clip i
    has random weights of its own, from seed i; Quantus begins each layer at the same seed, so that layers of
    one shape get the same weights. Quantus stops at an empty map and is given NaN instead.

    Parameters
    ----------
    network : in eval mode; it is not changed.
    i : which of the explained clips.
    layer : the explained layer, as in `models.layer`.
    order : "top_down" or "independent".

    Returns
    -------
    Spearman correlation with the clip's own map by layer, "original" first, in Quantus' order: in [-1, 1],
    NaN where either map is empty; and the maps, (layers, rows, frames), float32.

    Source: Adebayo et al. 2018; quantus 0.6.0. Chapter: notebooks/16_sanity.md
    """
    import quantus  # here, because it takes seconds to import

    names = [name for name, module in network.named_modules() if hasattr(module, "reset_parameters")]
    names = ["original", *(names[::-1] if order == "top_down" else names)]
    modules = dict(network.named_modules())
    # batch norms, whose Grad-CAM would take half of the time
    skipped = [isinstance(modules.get(name), nn.BatchNorm2d) for name in names]
    found: list[np.ndarray] = []

    def explainer(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object) -> np.ndarray:
        if skipped[len(found)]:
            found.append(np.full((1, *inputs.shape[2:]), np.nan, np.float32))
        else:
            at = models.layer(model, layer)
            found.append(explainers.maps(model, inputs, layer=at, classes=targets))
        return _said(found[-1])

    def similarity(a: np.ndarray, b: np.ndarray, *, batched: bool) -> np.ndarray:
        if not np.isfinite(a + b).all():
            return np.full(len(a), np.nan)
        return np.asarray(quantus.functions.similarity_func.correlation_spearman(a, b, batched=batched))

    metric = quantus.MPRT(layer_order=order, seed=i, similarity_func=similarity, disable_warnings=True)
    clip = slice(i, i + 1)
    with torch.random.fork_rng(devices=[]):  # Quantus seeds torch's global generator
        values: Any = metric(
            model=network,
            x_batch=maps.inputs[clip],
            y_batch=maps.explained[clip],
            a_batch=_said(maps.maps[clip]),
            channel_first=True,
            explain_func=explainer,
        )
    kept = {name: values[name][0] for name, skip in zip(names, skipped, strict=True) if not skip}
    return kept, np.concatenate(found)[~np.array(skipped)]


def efficient(network: nn.Module, maps: Explanations, *, layer: str, seed: int) -> np.ndarray:
    """Quantus' EfficientMPRT: does the map get more complex when every layer is randomised?

    Complexity is the entropy, in nats, of the histogram of a map's values in 100 bins between its smallest
    and its largest; the value of a clip is (randomised - original) / original. Layers are reset as in
    `randomised`, to the same weights for all clips.

    Parameters
    ----------
    network, layer : as in `randomised`. seed : of the random weights.

    Returns
    -------
    (clips,), float64, from -1: 0 for equal complexity, above 0 where it rises, as it should; NaN where either
    map is empty.

    Source: Hedström et al. 2024; quantus 0.6.0. Chapter: notebooks/16_sanity.md
    """
    import quantus

    def explainer(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object) -> np.ndarray:
        return _said(explainers.maps(model, inputs, layer=models.layer(model, layer), classes=targets))

    def complexity(a: np.ndarray, x: np.ndarray | None, **bins: int) -> float:
        return quantus.functions.complexity_func.discrete_entropy(a, x, **bins) if np.isfinite(a).all() else np.nan

    metric = quantus.EfficientMPRT(complexity_func=complexity, seed=seed, disable_warnings=True)
    with torch.random.fork_rng(devices=[]):
        # one call for all clips: Quantus keeps the copy of the network that each call makes
        values: Any = metric(
            model=network,
            x_batch=maps.inputs,
            y_batch=maps.explained,
            a_batch=_said(maps.maps),
            channel_first=True,
            explain_func=explainer,
            device=str(next(network.parameters()).device),
        )
    return np.array(values, dtype=np.float64)


def untrained(run: Run) -> nn.Module:
    """The network of a run before its first step of training, in eval mode, its batch norms calibrated.

    A new batch norm takes mean 0 and variance 1 for granted, so in eval mode it does nothing, and numbers
    grow from block to block: a deep network is then certain of one class, whatever it hears, and no frame
    has an effect. One pass over the training clips, without labels and without a gradient, gives each batch
    norm the means and variances that this network really has.

    Source: `models.build`. Chapter: notebooks/16_sanity.md
    """
    network = models.build(run.architecture, seed=run.seed).to(training.device()).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, and not mostly over the last
    inputs = representations.training(run).inputs
    order = np.random.default_rng(run.seed).permutation(len(inputs))
    with torch.no_grad():
        for x in torch.from_numpy(inputs[order]).split(64):
            network(x.to(training.device()))
    return network.eval()


def _said(maps: np.ndarray) -> np.ndarray:
    """Maps as Quantus takes them, (clips, 1, rows, columns), NaN where one is empty or not finite."""
    return np.where(maps.max(axis=(1, 2), keepdims=True) > 0, maps, np.nan)[:, None]


def _asked(
    network: nn.Module, maps: Explanations, run: Run
) -> tuple[forward.Full | forward.Windowed, np.ndarray, np.ndarray]:
    """A network ready for effects, the class that it explains for each clip, and its Grad-CAM maps."""
    predicted = training.predict(network, maps.inputs).argmax(1).numpy()
    classes = predicted if run.explained == "predicted" else maps.labels
    own = explainers.maps(network, maps.inputs, layer=models.layer(network, run.layer), classes=classes)
    return forward.prepare(network, shape=maps.inputs.shape[1:]), classes, own


def _rows(values: Sequence[tuple], maps: Explanations, i: int) -> pd.DataFrame:
    """Rows of `table` for clip i from (check, order, layer, value)."""
    return pd.DataFrame([(*keys, maps.clips[i], maps.recordings[i], value) for *keys, value in values], columns=COLUMNS)


SANITY = Artefact(
    "sanity.csv",
    make=_make,
    chapter="16_sanity",
    fields=("explainer", "layer", "explained", "seed", "efficient_seed", "control_clips"),
    inputs=(explainers.EXPLANATIONS, training.NETWORK, training.NETWORK.of(labels="shuffled")),
    packages=("torch", "grad-cam", "quantus"),
    table=tables.SANITY,
    work=lambda run: float(run.explanations if run.control_clips == "all" else run.control_clips),
    smaller=("control_clips", "explanations", "epochs"),
)
