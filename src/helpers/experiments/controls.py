"""What a score is worth: beside it, maps that know nothing, maps that know only the sound, and the ceiling.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch.nn import functional
from tqdm import tqdm

from helpers import InputError, artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds, urbansound
from helpers.experiments import frame_effects
from helpers.experiments.frame_effects import Effects
from helpers.maps import explainers, nulls
from helpers.metric import ceiling, correlation
from helpers.study import Run

# The ladder: maps by what they may know. "random nodes", "other class" and "same class" are means over many maps.
RUNGS = {
    "random nodes": "nothing",
    "sound or padding": "nothing",
    "bump": "no clip",
    "mean map": "no clip",
    "other class": "another clip",
    "same class": "another clip",
    "loudness": "the sound, no network",
    "loudness in nodes": "the sound, no network",
    "Grad-CAM": "the sound and the network",
    "ceiling in nodes": "the effects",
    "ceiling": "the effects",
}
RIVALS = ("loudness", "loudness in nodes", "bump", "mean map", "distance from 0.5", "sound or padding", "MFCC 0")
# also scored among the frames that hold sound, where "sound or padding" is constant
INSIDE = ("distance from 0.5", "MFCC 0", *(rung for rung in RUNGS if rung != "sound or padding"))
GIVEN = ("sound or padding", "loudness", "MFCC 0")
SALIENCE = ("foreground", "background")


def loudness(run: Run, names: Sequence[str] | np.ndarray) -> np.ndarray:
    """Root mean square of the samples of each frame: a map that never saw a network.

    Parameters
    ----------
    names : (clips,), slice_file_name of clips of the run.

    Returns
    -------
    (clips, frames), float32, amplitude with full scale 1; 0 in the padding (where it repeats the sound, the
    sound's own frames again, as in the features).

    Raises
    ------
    InputError
        A clip is not in the run.

    Chapter: notebooks/15_controls.md
    """
    paths = sounds.clips(run).set_index("slice_file_name")["path"]
    unknown = set(names) - set(paths.index)
    if unknown:
        raise InputError(f"clip {min(unknown)} is not in this run; name some of its slice_file_name")
    folder = artifacts.whole(run).source.folder
    found = np.zeros((len(names), run.frames), dtype=np.float32)
    for i, name in enumerate(tqdm(names, desc="loudness", unit="clip")):
        found[i] = frame_loudness(*urbansound.load_audio(folder / paths[name]), run)
    return found


def frame_loudness(samples: np.ndarray, rate: int, run: Run) -> np.ndarray:
    """`loudness` of one sound: (frames,), float32.

    Parameters
    ----------
    samples : (samples,), float32. rate : in Hz.

    Chapter: notebooks/15_controls.md
    """
    wave = representations.prepared(torch.from_numpy(samples)[None], rate, run)
    wave = functional.pad(wave, (run.n_fft // 2,) * 2, "reflect")  # as the MFCC's own frames
    values = wave[0].unfold(0, run.n_fft, run.hop_length)[: run.frames].square().mean(1).sqrt().numpy()
    if run.padding == "repeat_frames":
        return np.resize(values, run.frames)
    return np.pad(values, (0, run.frames - len(values)))


def sounding_of(run: Run, frames: np.ndarray) -> np.ndarray:
    """How many frames of each clip count as *inside the sound*: all of them where clips are repeated.

    Parameters
    ----------
    frames : (clips,), int: how many hold the sound, of a repeated one the first time it plays.

    Chapter: notebooks/15_controls.md
    """
    return np.full_like(frames, run.frames) if run.padding.startswith("repeat") else frames


def partial(score_of: np.ndarray, effects: np.ndarray, given: np.ndarray) -> float:
    """Spearman correlation of a profile and the effects with what another profile explains of both removed.

    The correlation of what remains of the ranks after a straight line in the third's ranks; NaN where
    nothing remains.

    Parameters
    ----------
    score_of, effects, given : (frames,).

    Chapter: notebooks/15_controls.md
    """
    a, v, g = (rankdata(x) - (len(x) + 1) / 2 for x in (score_of, effects, given))
    if (g * g).sum() > 0:
        a, v = (x - g * (g @ x) / (g @ g) for x in (a, v))
    size = np.sqrt((a @ a) * (v @ v))
    return float(a @ v / size) if size > 1e-9 * len(a) ** 3 else np.nan


def table(run: Run) -> pd.DataFrame:
    """One row per clip: Grad-CAM's frame score and every control beside it; made once, loaded afterwards.

    Columns: clip, recording, label, predicted, explained, frames (that hold sound), salience; "Grad-CAM" (the
    run's explainer); for each kind of `nulls.NULLS` its mean score, share "below 0" and the "percentile" of
    Grad-CAM's score among them; the score of each of `RIVALS`: the loudness of the clip's frames, also squeezed into
    the layer's nodes, a "bump" at the middle of the input, the "mean map" of all other recordings, ...; "ceiling",
    the effects measured at other values, and "ceiling in nodes", the best map of the layer's shape that was found
    (`helpers.metric.ceiling`); "... inside", scores of `INSIDE` among the frames that hold sound (where clips are
    repeated, all do); "given ...", Grad-CAM's score with a rival's part removed (`partial`); "no effect", the share
    of frames whose effect is 0.

    Chapter: notebooks/15_controls.md
    """
    return CONTROLS.read(run)


def _make(run: Run, target: Path) -> dict:
    found = frame_effects.frames(run)
    salience = sounds.clips(run).set_index("slice_file_name")["salience"].loc[found.clips].to_numpy()
    inputs = frame_effects.clips(run).inputs[:, 0]
    loud = loudness(run, found.clips)
    profiles = nulls.profile(explainers.stretch(found.nodes, run.shape))
    means = mean_maps(profiles, found.recordings)
    rows = pd.DataFrame(
        _row(run, i, found, profiles, means[i], inputs[i], loud[i])
        for i in tqdm(range(len(found.clips)), desc=f"controls of {run.name}", unit="clip")
    )
    rows.insert(6, "salience", np.array(SALIENCE)[salience - 1])
    rows.to_csv(target, index=False, float_format="%.5f")
    return {"clips": len(rows), "nan": int(rows["Grad-CAM"].isna().sum())}


def mean_maps(profiles: np.ndarray, recordings: np.ndarray) -> np.ndarray:
    """For each clip the mean of the maps of all other recordings' clips.

    Parameters
    ----------
    profiles : (clips, frames). recordings : (clips,).

    Returns
    -------
    (clips, frames); NaN where there is no other recording.

    Chapter: notebooks/15_controls.md
    """
    found = np.full(profiles.shape, np.nan)
    for recording in np.unique(recordings):
        own = recordings == recording
        if not own.all():
            found[own] = profiles[~own].mean(axis=0)
    return found


def squeezed(curve: np.ndarray, nodes: tuple[int, int]) -> np.ndarray:
    """A curve as coarse as a map of the layer: its mean over the frames of each column of nodes, stretched again.

    Parameters
    ----------
    curve : (frames,), >= 0. nodes : (rows, columns) of the layer.

    Returns
    -------
    (frames,), float64.

    Chapter: notebooks/15_controls.md
    """
    return nulls.profile(explainers.stretch(squeezed_nodes(curve, (1, nodes[1]))[None], (1, len(curve))))[0]


def _row(
    run: Run, i: int, found: Effects, profiles: np.ndarray, mean: np.ndarray, inputs: np.ndarray, loud: np.ndarray
) -> dict:
    v, nodes = found.effects[i], found.nodes.shape[1:]
    sounding = int(sounding_of(run, found.frames)[i])
    facts = ("clips", "recordings", "labels", "predicted", "explained", "frames")
    heads = ("clip", "recording", "label", "predicted", "explained", "frames")
    row = {head: getattr(found, fact)[i] for head, fact in zip(heads, facts, strict=True)}
    random = np.random.default_rng((run.null_seed, i))
    blind = nulls.profiles_of(
        i,
        profiles,
        recordings=found.recordings,
        explained=found.explained,
        nodes=nodes,
        rows=run.rows,
        count=run.null_maps,
        random=random,
    )
    frames = np.arange(len(v))
    curves = {
        "Grad-CAM": profiles[i],
        "loudness": loud,
        "loudness in nodes": squeezed(loud, nodes),
        "bump": len(v) - np.abs(frames - (len(v) - 1) / 2),
        "mean map": mean,
        "distance from 0.5": np.abs(inputs - 0.5).sum(axis=0),
        "sound or padding": (frames < sounding).astype(float),
        "MFCC 0": inputs[0] - inputs[0].min(),
        "ceiling": found.again[i],
    }
    known = [np.maximum(found.nodes.reshape(len(found.nodes), -1), 0), squeezed_nodes(loud, nodes)]
    for where, part in (("", slice(None)), (" inside", slice(0, sounding))):
        scores = {name: correlation.frame_scores(curve[None, part], v[part])[0] for name, curve in curves.items()}
        null = {kind: correlation.frame_scores(maps[:, part], v[part]) for kind, maps in blind.items()}
        if nodes == run.shape:  # a map of the input's cells: the best are the effects themselves
            scores["ceiling in nodes"] = np.nan
        else:
            best = ceiling.best_nodes(
                v[part], np.vstack(known), weights=ceiling.weights(nodes, run.shape)[part], random=random
            )
            best_map = nulls.profile(explainers.stretch(best.reshape(1, *nodes), run.shape))
            coarse = [scores["Grad-CAM"], scores["loudness in nodes"], *null["random nodes"], *null["same class"]]
            coarse += [*null["other class"], *correlation.frame_scores(best_map[:, part], v[part])]
            scores["ceiling in nodes"] = _most(coarse)
        scores |= {kind: _mean(values) for kind, values in null.items()}
        row |= {f"{name}{where}": score for name, score in scores.items() if not where or name in INSIDE}
        if not where:
            for kind, values in null.items():
                row[f"{kind} below 0"] = _mean((values < 0)[np.isfinite(values)])
                row[f"{kind} percentile"] = nulls.percentile(row["Grad-CAM"], values)
    for name in GIVEN:
        row[f"given {name}"] = partial(profiles[i], v, curves[name])
    return row | {"no effect": (v == 0).mean()}


def squeezed_nodes(curve: np.ndarray, nodes: tuple[int, int]) -> np.ndarray:
    """The nodes that `squeezed` stretches, the same in every row of the layer: (1, rows x columns)."""
    means = np.array([part.mean() for part in np.array_split(curve, nodes[1])])
    return np.tile(means, nodes[0])[None]


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _most(values: Sequence[float]) -> float:
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.max()) if len(known) else np.nan


CONTROLS = Artefact(
    "controls.csv",
    make=_make,
    chapter="15_controls",
    fields=("null_maps", "null_seed"),
    inputs=(frame_effects.EFFECTS, representations.FEATURES.each("test_fold")),
    packages=("numpy", "scipy"),
    table=tables.CONTROLS,
    work=lambda run: float((1000 + run.null_maps) * (800 if run.control_clips == "all" else run.control_clips)),
    smaller=("null_maps", "control_clips"),
)
