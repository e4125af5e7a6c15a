"""Events at known times: does a map point at them, and does its score say so?

Chapter: notebooks/22_planted.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import InputError, artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds, standin, urbansound
from helpers.experiments import controls
from helpers.maps import explainers, nulls
from helpers.metric import correlation, forward, perturbation
from helpers.networks import models, training
from helpers.study import Run

LEVELS = (20, 10, 0)  # dB of a planted event over the street
SECONDS = 4.0  # of the street
LONGEST = 2.0  # of an event, so that half of the clip is street
WIDEST = 0.75  # of a generated clip may be event, or pointing anywhere is right
CHANCE = 100  # maps of random nodes, whose mean is what chance gives
MAPS = ("Grad-CAM", "loudness", "effects", "random nodes")
# Of Quantus' localisation metrics those without a threshold.
METRICS = {"pointing game": "PointingGame", "mass": "RelevanceMassAccuracy", "rank": "RelevanceRankAccuracy"}
COLUMNS = list(tables.PLANTED.columns)


@dataclass(frozen=True)
class Case:
    """A sound with events at known times.

    clip, recording, label : of the event. level : dB over the street, NaN where a program made both.
    wave : (samples,), float32, at `rate` Hz. spans : start and end of each event, in seconds.
    """

    clip: str
    recording: int
    label: int
    level: float
    wave: np.ndarray
    rate: int
    spans: tuple[tuple[float, float], ...]


def plant(event: np.ndarray, street: np.ndarray, *, at: int, level: float) -> np.ndarray:
    """An event in the noise of a street: (samples of the street,), float32, the largest sample 0.9.

    Parameters
    ----------
    event, street : (samples,), at one rate, the event not longer than what is left of the street.
    at : first sample of the event. level : dB of the event's root mean square over the street's.

    Chapter: notebooks/22_planted.md
    """
    wave = street / np.sqrt(np.mean(street**2))
    wave[at : at + len(event)] += event / np.sqrt(np.mean(event**2)) * 10 ** (level / 20)
    return (0.9 * wave / np.abs(wave).max()).astype(np.float32)


def cases(run: Run) -> Iterator[Case]:
    """The sounds of a run that have events at known times.

    Of the stand-in: clips of the test fold of whose length the events fill at most `WIDEST`, as they were made. Of
    recordings: clips of the test fold in the foreground and at most `LONGEST` long, one of each recording, planted at
    each of `LEVELS` into a street that a program makes. At most `run.explanations` clips, drawn at random.

    Chapter: notebooks/22_planted.md
    """
    source = artifacts.whole(run).source
    table = sounds.in_fold(run, run.test_fold)
    random = np.random.default_rng(run.sample_seed)
    table = table.loc[random.permutation(table.index)]
    spans = {}
    if source.synthetic:
        known = standin.events(source.folder)
        spans = {
            clip: tuple(zip(part["start_s"], part["end_s"], strict=True))
            for clip, part in known.groupby("slice_file_name")
        }
        filled = {clip: sum(end - start for start, end in own) for clip, own in spans.items()}
        share = table["slice_file_name"].map(filled).fillna(np.inf) / (table["end"] - table["start"])
        table = table[share <= WIDEST]
    else:
        fits = (table["salience"] == 1) & (table["end"] - table["start"] <= LONGEST)
        table = table[fits].drop_duplicates("fsID")
    for row in table.head(run.explanations).to_dict("records"):
        wave, rate = urbansound.load_audio(source.folder / row["path"])
        facts: dict[str, Any] = {"clip": row["slice_file_name"], "recording": row["fsID"], "label": row["classID"]}
        if source.synthetic:
            yield Case(**facts, level=np.nan, wave=wave, rate=rate, spans=spans[row["slice_file_name"]])
            continue
        if not np.any(wave):  # silence cannot be set to a level
            continue
        draws = np.random.default_rng((run.sample_seed, row["fsID"]))
        wave, rate = representations.resample(rate, standin.RATE)(torch.from_numpy(wave)).numpy(), standin.RATE
        street = standin.street(draws, draws, int(SECONDS * rate))
        at = int(draws.integers(0, len(street) - len(wave) + 1))
        span = (at / rate, (at + len(wave)) / rate)
        for level in LEVELS:  # the same street, at the same moment
            yield Case(**facts, level=level, wave=plant(wave, street, at=at, level=level), rate=rate, spans=(span,))


def within(spans: tuple[tuple[float, float], ...], run: Run) -> np.ndarray:
    """Which frames have their middle in an event: (frames,), bool.

    Chapter: notebooks/22_planted.md
    """
    middle = np.arange(run.frames) * run.seconds_per_frame  # a frame is centred on its hop
    return np.any([(start <= middle) & (middle <= end) for start, end in spans], axis=0)


def localised(curves: np.ndarray, event: np.ndarray) -> dict[str, np.ndarray]:
    """Quantus' localisation metrics of curves over the frames.

    Parameters
    ----------
    curves : (maps, frames), >= 0, not all 0. event : (frames,), bool.

    Returns
    -------
    By name of `METRICS`, (maps,): "pointing game", 1 where the highest frame lies in the event; "mass", the
    share of the curve in the event; "rank", which share of the highest frames, as many as the event has, lie in it.
    0 to 1.

    Source: quantus 0.6.0. Chapter: notebooks/22_planted.md
    """
    import quantus  # takes seconds, which a page that only loads results need not spend

    given = curves[:, None, None, :].astype(np.float32)
    masks = np.broadcast_to(event, given.shape).astype(int)
    look = {"display_progressbar": False, "disable_warnings": True}
    ask = {
        "model": None,
        "x_batch": given,
        "y_batch": np.zeros(len(given), int),
        "a_batch": given,
        "s_batch": masks,
        "channel_first": True,
    }
    return {name: np.array(getattr(quantus, metric)(**look)(**ask), dtype=float) for name, metric in METRICS.items()}


def table(run: Run) -> pd.DataFrame:
    """One row per sound with known events, map (`MAPS`) and metric; made once and loaded afterwards.

    Columns clip, recording, label, predicted, level (dB, NaN in the stand-in), filled (share of the sound's frames in
    the event), map, metric (`METRICS`, and "frame score" inside the sound), value. "effects" is what the frames really
    mean to the network, "random nodes" the mean over maps that know nothing: what chance gives.

    Chapter: notebooks/22_planted.md
    """
    return PLANTED.read(run)


def _make(run: Run, target: Path) -> dict:
    every = list(cases(run))
    if not every:
        raise InputError(
            f"fold {run.test_fold} has no clip whose event ends before the sound does; take another test_fold"
        )
    network = training.network(run).to(training.device())
    layer = models.layer(network, run.layer)
    fast = forward.prepare(network, shape=(1, *run.shape))

    def one(i: int) -> pd.DataFrame:
        case = every[i]
        x = representations.picture(torch.from_numpy(case.wave)[None], case.rate, run)[None].numpy()
        if run.scaling != "raw":
            mean, deviation = representations.scale(run)
            x = (x - mean) / deviation
        predicted = training.predict(network, x).argmax(1).numpy()
        nodes = explainers.nodes(network, x, layer=layer, classes=predicted, explainer=run.explainer)
        sounding = representations.sounding_frames(len(case.wave), case.rate, run)
        effects = perturbation.effects(fast, x, predicted)[0]
        random = nulls.random_nodes(
            nodes.shape[1:], count=CHANCE, random=np.random.default_rng((run.null_seed, i)), size=run.shape
        )
        curves = {
            "Grad-CAM": nulls.profile(explainers.stretch(nodes, run.shape)),
            "loudness": controls.frame_loudness(case.wave, case.rate, run)[None],
            "effects": effects[None],
            "random nodes": nulls.profile(random),
        }
        event = within(case.spans, run)
        facts: dict[str, Any] = {"clip": case.clip, "recording": case.recording, "label": case.label}
        facts |= {"predicted": predicted[0], "level": case.level, "filled": event[:sounding].mean()}
        rows = []
        for name, maps in curves.items():
            # constant maps and maps without a value above 0 point nowhere
            points = maps[np.ptp(maps[:, :sounding], axis=1) > 0]
            found: dict[str, Any] = localised(points[:, :sounding], event[:sounding]) if len(points) else {}
            found["frame score"] = correlation.frame_scores(maps[:, :sounding], effects[:sounding])
            values = {metric: found.get(metric, np.array([np.nan])) for metric in (*METRICS, "frame score")}
            rows += [facts | {"map": name, "metric": m, "value": _mean(v)} for m, v in values.items()]
        return pd.DataFrame(rows, columns=COLUMNS)

    names = [f"{case.clip} {case.level}" for case in every]
    rows = pd.concat(
        artifacts.clip_by_clip(target, names, one, what=f"planted events of {run.name}"), ignore_index=True
    )
    rows.to_csv(target, index=False, float_format="%.6f")
    return {"clips": len({case.clip for case in every}), "nan": int(rows["value"].isna().sum())}


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


PLANTED = Artefact(
    "planted.csv",
    make=_make,
    chapter="22_planted",
    fields=("explainer", "layer", "explanations", "sample_seed", "null_seed", "test_fold", "clips"),
    inputs=(training.NETWORK, representations.FEATURES.each("test_fold")),
    packages=("torch", "grad-cam", "quantus"),
    table=tables.PLANTED,
    work=lambda run: float(run.explanations * len(LEVELS) * run.frames),
    smaller=("explanations",),
)
