"""What a score is worth: beside it, maps that know nothing, maps that know only the sound, and the ceiling.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from torch.nn import functional
from tqdm import tqdm

from helpers import InputError, artifacts
from helpers.audio import representations, sounds, urbansound
from helpers.experiments import frame_effects
from helpers.experiments.frame_effects import Effects
from helpers.maps import explainers, nulls
from helpers.metric import correlation
from helpers.study import Run

NULL_SEED = 0  # of the maps that know nothing


RIVALS = ("loudness", "distance from 0.5", "sound or padding", "MFCC 0")


INSIDE = ("Grad-CAM", "loudness", "distance from 0.5", "MFCC 0", "ceiling in nodes")


GIVEN = ("sound or padding", "loudness", "MFCC 0")


SALIENCE = ("foreground", "background")


def loudness(run: Run, names: ArrayLike) -> np.ndarray:
    """Root mean square of the samples of each MFCC frame: a map that never saw a network.

    Parameters
    ----------
    names : (clips,), slice_file_name of clips of the run.

    Returns
    -------
    (clips, 400), float32, amplitude with full scale 1; 0 in the padding (with `padding="repeat"` the
    sound's own frames again, as in the features).

    Raises
    ------
    InputError
        A clip is not in the run.

    Chapter: notebooks/15_controls.md
    """
    table, _ = sounds.clips(run)
    paths = table.set_index("slice_file_name")["path"]
    unknown = set(names) - set(paths.index)
    if unknown:
        raise InputError(f"clip {min(unknown)} is not in this run; name some of its slice_file_name")
    found = np.zeros((len(names), representations.FRAMES), dtype=np.float32)
    for i, name in enumerate(tqdm(names, desc="loudness", unit="clip")):
        samples, rate = urbansound.load_audio(run.source.folder / paths[name])
        wave = representations.resample(rate)(torch.from_numpy(samples)[None])
        wave = functional.pad(wave, (0, max(representations.WINDOW - wave.shape[1], 0)))
        wave = functional.pad(wave, (representations.WINDOW // 2,) * 2, "reflect")  # as the MFCC's own frames
        frames = wave[0].unfold(0, representations.WINDOW, run.hop_length)[: representations.FRAMES]
        values = frames.square().mean(1).sqrt().numpy()
        found[i, : len(values)] = values
        if run.padding == "repeat":
            found[i] = np.resize(values, representations.FRAMES)
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

    Columns: clip, fsID, label, predicted, explained, frames (that hold sound), salience; "Grad-CAM"; for
    each kind of `helpers.nulls` its mean score, share "below 0" and the "percentile" of Grad-CAM's score
    among them; the score of each of `RIVALS`; "ceiling", the effects measured at other values, and
    "ceiling in nodes", the same squeezed into as many nodes as Grad-CAM has; "... inside", scores of `INSIDE`
    and random nodes among the frames that hold sound; "given ...", Grad-CAM's score with a rival's part
    removed (`partial`).

    Chapter: notebooks/15_controls.md
    """
    return pd.read_csv(make(run))


def make(run: Run) -> Path:
    """The file controls.csv of a run; `table` reads it.

    Chapter: notebooks/15_controls.md
    """
    found = frame_effects.frames(run)
    path = run.path("controls.csv")

    def compute(work: Path) -> dict:
        table, _ = sounds.clips(run)
        salience = table.set_index("slice_file_name")["salience"].loc[found.names].to_numpy()
        mfcc = frame_effects.clips(run).mfcc[:, 0]
        profiles = nulls.profile(explainers.stretch(found.nodes, mfcc.shape[1:]))
        loud = loudness(run, found.names)
        rows = [
            _row(i, found, profiles, mfcc[i], loud[i], count=run.profile.null_maps)
            for i in tqdm(range(len(found.names)), desc=f"controls of {run.name}", unit="clip")
        ]
        rows = pd.DataFrame(rows)
        rows.insert(6, "salience", np.array(SALIENCE)[salience - 1])
        rows.to_csv(work / path.name, index=False, float_format="%.5f")
        return {"data": run.source.label, "clips": len(rows), "nan": int(rows["Grad-CAM"].isna().sum())}

    return artifacts.produce(
        path,
        parameters={"null_maps": run.profile.null_maps, "null_seed": NULL_SEED},
        inputs={
            "effects.npz": artifacts.digest_of(run.path("effects.npz")),
            "features.npz": artifacts.digest_of(run.path("features.npz")),
        },
        make=compute,
    )


def _row(
    i: int, found: Effects, profiles: np.ndarray, mfcc: np.ndarray, loud: np.ndarray, *, count: int
) -> dict:
    own, v, sounding = profiles[i], found.effects[i], int(found.frames[i])
    facts = ("names", "fs_ids", "labels", "predicted", "explained", "frames")
    heads = ("clip", "fsID", "label", "predicted", "explained", "frames")
    row = {head: getattr(found, fact)[i] for head, fact in zip(heads, facts, strict=True)}
    row["Grad-CAM"] = correlation.frame_scores(own[None], v)[0]
    blind = nulls.profiles_of(i, profiles, found, count=count, random=np.random.default_rng((NULL_SEED, i)))
    for kind, null in blind.items():
        scored = correlation.frame_scores(null, v)
        known = scored[np.isfinite(scored)]
        row[kind] = known.mean() if len(known) else np.nan
        row[f"{kind} below 0"] = (known < 0).mean() if len(known) else np.nan
        row[f"{kind} percentile"] = nulls.percentile(row["Grad-CAM"], scored)
    rivals = {
        "loudness": loud,
        "distance from 0.5": np.abs(mfcc - 0.5).sum(axis=0),
        "sound or padding": (np.arange(len(v)) < sounding).astype(float),
        "MFCC 0": mfcc[0] - mfcc[0].min(),
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
