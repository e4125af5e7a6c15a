"""Single clips to look at and listen to, and a mixture of two.

Chapter: notebooks/01_introduction.md, notebooks/06_explanations.md
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from helpers import InputError, artifacts
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds, urbansound
from helpers.audio.representations import Features
from helpers.maps import explainers
from helpers.networks import models, training
from helpers.study import Run

MIXED = ("dog_bark", "siren")  # of the mixture that is recorded


@dataclass(frozen=True)
class Heard:
    """One clip to listen to, or a part of it.

    samples : mono float32 at `rate` Hz; None where no sound is at hand. second : where it begins in its
    recording.
    """

    clip: str
    recording: int
    second: float
    category: str
    samples: np.ndarray | None
    rate: int


@dataclass(frozen=True)
class Sound(Heard):
    """One clip to look at and listen to: picture, (rows, frames) float32, of which `frames` hold sound."""

    picture: np.ndarray
    frames: int


def sound(run: Run, clip: str) -> Sound:
    """A clip of the run by its file name; a recorded one is among those that are explained, and has no sound.

    Chapter: notebooks/06_explanations.md
    """
    if run.source.kind == "recorded":
        return _recorded(run, clip)
    table = sounds.clips(run)
    named = table[table["slice_file_name"] == clip]
    if named.empty:
        raise InputError(f'clip "{clip}" is not in this run; name one of its slice_file_name')
    row = named.iloc[0]
    samples, rate = urbansound.load_audio(run.source.folder / row["path"])
    return Sound(
        clip=clip,
        recording=int(row["fsID"]),
        second=float(urbansound.true_starts(named).iloc[0]),
        category=row["class"],
        samples=samples,
        rate=rate,
        picture=representations.picture(torch.from_numpy(samples)[None], rate, run)[0].numpy(),
        frames=representations.sounding_frames(len(samples), rate, run),
    )


def _recorded(run: Run, clip: str) -> Sound:
    sample = explainers.sampled(run)
    found = np.flatnonzero(sample["clips"] == clip)
    if not len(found):
        raise InputError(f'clip "{clip}" is not among the recorded ones; name one that is explained')
    i = int(found[0])
    return Sound(
        clip=clip,
        recording=int(sample["recordings"][i]),
        second=float(sample["seconds"][i]),
        category=urbansound.CLASSES[sample["labels"][i]],
        samples=None,
        rate=0,
        picture=sample["inputs"][i, 0],
        frames=int(sample["frames"][i]),
    )


def explained(run: Run) -> Features:
    """The clips that are explained, as the network is given them: the pictures that are recorded.

    Chapter: notebooks/03_features.md
    """
    sample = explainers.sampled(run)
    del sample["seconds"]
    return Features(**sample, folds=np.full(len(sample["clips"]), run.test_fold))


def example(run: Run, category: str) -> Sound:
    """A long clip of a class in the test fold, in the foreground where that is known.

    Parameters
    ----------
    category : one of `urbansound.CLASSES`.

    Raises
    ------
    InputError
        The test fold has no clip of that class, or none that is recorded.

    Chapter: notebooks/01_introduction.md
    """
    if run.source.kind == "recorded":
        sample = explained(run)
        sample = sample.part(sample.labels == urbansound.CLASSES.index(category))
        ordered = sample.clips[np.argsort(-sample.frames, kind="stable")]
    else:
        table = sounds.in_fold(run, run.test_fold)
        table = table[table["class"] == category]
        table = table.sort_values(["salience", "seconds"], ascending=[True, False], kind="stable")
        ordered = table["slice_file_name"].to_numpy()
    if not len(ordered):
        raise InputError(
            f'fold {run.test_fold} of "{run.source.folder}" has no clip of class "{category}"; name another class'
        )
    return sound(run, str(ordered[0]))


@dataclass(frozen=True)
class Mixture:
    """Two clips in one: `classes[0]` sounds in the first half, `classes[1]` in the second.

    samples : mono float32 at `rate`; None where no sound is at hand. picture : (rows, frames) float32, of
    which `frames` hold sound; maps : (2, rows, frames) float32, one for each class; events : (start, end) in
    seconds per class; sounds : each alone, where it sounds in the mixture.
    """

    samples: np.ndarray | None
    rate: int
    picture: np.ndarray
    maps: np.ndarray
    classes: tuple[str, str]
    events: dict[str, tuple[float, float]]
    sounds: tuple[Heard, ...]
    frames: int


def mixture(run: Run, classes: tuple[str, str] = MIXED) -> Mixture:
    """One sound after the other in one clip, and a map for each: thesis figure 1 by ear.

    Chapter: notebooks/01_introduction.md
    """
    if run.source.kind == "recorded":
        if tuple(classes) != MIXED:
            raise InputError(
                f"only the mixture of {' and '.join(MIXED)} is recorded; name a folder of sounds (data) for others"
            )
        samples, rate = None, 0
        with np.load(MIXTURE.get(run), allow_pickle=False) as arrays:
            picture, frames = arrays["picture"], int(arrays["frames"])
            events = json.loads(str(arrays["events"]))
            named = zip(map(str, arrays["clips"]), arrays["seconds"], classes, strict=True)
            alone = tuple(
                Heard(clip, int(clip.partition("-")[0]), float(second), category, samples, rate)
                for clip, second, category in named
            )
    else:
        samples, alone, rate, events = _mixed(run, classes)
        picture = representations.picture(torch.from_numpy(samples)[None], rate, run).numpy()
        frames = representations.sounding_frames(len(samples), rate, run)
    network = training.network(run)
    maps = explainers.maps(
        network,
        picture[None].repeat(2, axis=0),
        layer=models.layer(network, run.layer),
        classes=np.array([urbansound.CLASSES.index(category) for category in classes]),
        explainer=run.explainer,
    )
    return Mixture(
        samples=samples,
        rate=rate,
        picture=picture[0],
        maps=maps,
        classes=classes,
        events={name: (ends[0], ends[1]) for name, ends in events.items()},
        sounds=alone,
        frames=frames,
    )


def _mixed(run: Run, classes: tuple[str, str]) -> tuple:
    first, second = (example(run, category) for category in classes)
    rate, half = first.rate, 2.0
    alone, mixed = [], np.zeros(int(2 * half * rate), dtype=np.float32)
    for clip, start in ((first, 0.0), (second, half)):
        wave = representations.resample(clip.rate, rate)(torch.from_numpy(clip.samples)[None])
        wave = wave[0, : int(half * rate)].numpy()
        part = np.zeros_like(mixed)
        part[int(start * rate) : int(start * rate) + len(wave)] = wave / max(np.abs(wave).max(), 1e-9) / 2
        alone.append(Heard(clip.clip, clip.recording, clip.second, clip.category, part, rate))
        mixed += part
    events = {classes[0]: (0.0, half), classes[1]: (half, 2 * half)}
    return mixed, tuple(alone), rate, events


def _make(run: Run, target: Path) -> dict:
    samples, alone, rate, events = _mixed(artifacts.whole(run), MIXED)
    picture = representations.picture(torch.from_numpy(samples)[None], rate, run).numpy()
    frames = representations.sounding_frames(len(samples), rate, run)
    clips, seconds = [one.clip for one in alone], [one.second for one in alone]
    said = json.dumps(events)
    np.savez_compressed(target, picture=picture, clips=clips, seconds=seconds, events=said, frames=frames)
    return {"mixed": clips}


MIXTURE = Artefact(  # the features of the mixture, for copies of the study without sounds
    "mixture.npz",
    make=_make,
    chapter="01_introduction",
    inputs=(representations.FEATURES.each("test_fold"),),
    packages=("torchaudio",),
)
