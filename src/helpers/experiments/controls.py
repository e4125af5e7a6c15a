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
from helpers.metric import correlation
from helpers.study import Run

RIVALS = ("loudness", "distance from 0.5", "sound or padding", "MFCC 0")


INSIDE = ("Grad-CAM", "loudness", "distance from 0.5", "MFCC 0", "ceiling in nodes")


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
        samples, rate = urbansound.load_audio(folder / paths[name])
        wave = representations.prepared(torch.from_numpy(samples)[None], rate, run)
        wave = functional.pad(wave, (run.n_fft // 2,) * 2, "reflect")  # as the MFCC's own frames
        frames = wave[0].unfold(0, run.n_fft, run.hop_length)[: run.frames]
        values = frames.square().mean(1).sqrt().numpy()
        found[i, : len(values)] = values
        if run.padding == "repeat_frames":
            found[i] = np.resize(values, run.frames)
    return found


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
    Grad-CAM's score among them; the score of each of `RIVALS`; "ceiling", the effects measured at other values,
    and "ceiling in nodes", the same squeezed into as many nodes as Grad-CAM has; "... inside", scores of `INSIDE`
    and random nodes among the frames that hold sound; "given ...", Grad-CAM's score with a rival's part
    removed (`partial`).

    Chapter: notebooks/15_controls.md
    """
    return CONTROLS.read(run)


def _make(run: Run, target: Path) -> dict:
    found = frame_effects.frames(run)
    salience = sounds.clips(run).set_index("slice_file_name")["salience"].loc[found.clips].to_numpy()
    inputs = frame_effects.clips(run).inputs[:, 0]
    profiles = nulls.profile(explainers.stretch(found.nodes, run.shape))
    loud = loudness(run, found.clips)
    rows = pd.DataFrame(
        _row(run, i, found, profiles, inputs[i], loud[i])
        for i in tqdm(range(len(found.clips)), desc=f"controls of {run.name}", unit="clip")
    )
    rows.insert(6, "salience", np.array(SALIENCE)[salience - 1])
    rows.to_csv(target, index=False, float_format="%.5f")
    return {"clips": len(rows), "nan": int(rows["Grad-CAM"].isna().sum())}


def _row(run: Run, i: int, found: Effects, profiles: np.ndarray, inputs: np.ndarray, loud: np.ndarray) -> dict:
    own, v, sounding = profiles[i], found.effects[i], int(found.frames[i])
    facts = ("clips", "recordings", "labels", "predicted", "explained", "frames")
    heads = ("clip", "recording", "label", "predicted", "explained", "frames")
    row = {head: getattr(found, fact)[i] for head, fact in zip(heads, facts, strict=True)}
    row["Grad-CAM"] = correlation.frame_scores(own[None], v)[0]
    blind = nulls.profiles_of(
        i,
        profiles,
        recordings=found.recordings,
        explained=found.explained,
        nodes=found.nodes.shape[1:],
        rows=run.rows,
        count=run.null_maps,
        random=np.random.default_rng((run.null_seed, i)),
    )
    for kind, null in blind.items():
        scored = correlation.frame_scores(null, v)
        known = scored[np.isfinite(scored)]
        row[kind] = known.mean() if len(known) else np.nan
        row[f"{kind} below 0"] = (known < 0).mean() if len(known) else np.nan
        row[f"{kind} percentile"] = nulls.percentile(row["Grad-CAM"], scored)
    rivals = {
        "loudness": loud,
        "distance from 0.5": np.abs(inputs - 0.5).sum(axis=0),
        "sound or padding": (np.arange(len(v)) < sounding).astype(float),
        "MFCC 0": inputs[0] - inputs[0].min(),
    }
    again = found.again[i]
    nodes = found.nodes.shape[2]
    squeezed = [part.mean() for part in np.array_split(again, nodes)]
    squeezed = nulls.profile(explainers.stretch(np.array([[squeezed]]), (1, len(v))))[0]
    ceilings = {"ceiling": again, "ceiling in nodes": squeezed}
    for name, curve in (rivals | ceilings).items():
        row[name] = correlation.frame_scores(curve[None], v)[0]
    curves = {"Grad-CAM": own} | rivals | ceilings
    for name in INSIDE:
        row[f"{name} inside"] = correlation.frame_scores(curves[name][None, :sounding], v[:sounding])[0]
    null = correlation.frame_scores(blind["random nodes"][:, :sounding], v[:sounding])
    row["random nodes inside"] = null[np.isfinite(null)].mean() if np.isfinite(null).any() else np.nan
    for name in GIVEN:
        row[f"given {name}"] = partial(own, v, rivals[name])
    return row


CONTROLS = Artefact(
    "controls.csv",
    make=_make,
    chapter="15_controls",
    fields=("null_maps", "null_seed"),
    inputs=(frame_effects.EFFECTS, representations.FEATURES.each("test_fold")),
    packages=("numpy", "scipy"),
    table=tables.CONTROLS,
    work=lambda run: float(run.null_maps * (800 if run.control_clips == "all" else run.control_clips)),
    smaller=("null_maps", "control_clips"),
)
