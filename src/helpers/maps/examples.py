"""Single clips to look at and listen to, and a mixture of two.

Chapter: notebooks/01_introduction.md, notebooks/06_explanations.md
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from helpers import InputError, study
from helpers.audio import representations, sounds, urbansound
from helpers.maps import explainers
from helpers.networks import models, training
from helpers.study import Run


@dataclass(frozen=True)
class Sound:
    """One clip to look at and listen to.

    samples : mono float32 at `rate` Hz. mfcc : (13, 400) float32, of which `frames` hold sound.
    """

    name: str
    fs_id: int
    category: str
    samples: np.ndarray
    rate: int
    mfcc: np.ndarray
    frames: int


def sound(run: Run, name: str) -> Sound:
    """A clip of the run by its file name (`slice_file_name`).

    Chapter: notebooks/06_explanations.md
    """
    clips, _ = sounds.clips(run)
    named = clips[clips["slice_file_name"] == name]
    if named.empty:
        raise InputError(f'clip "{name}" is not in this run; name one of its slice_file_name')
    row = named.iloc[0]
    samples, rate = urbansound.load_audio(run.source.folder / row["path"])
    return Sound(
        name=name,
        fs_id=int(row["fsID"]),
        category=row["class"],
        samples=samples,
        rate=rate,
        mfcc=_mfcc(run, samples, rate)[0].numpy(),
        frames=representations.sounding_frames(len(samples), rate, hop_length=run.hop_length),
    )


def example(run: Run, category: str) -> Sound:
    """A long foreground clip of a class in the test fold.

    Parameters
    ----------
    category : one of `urbansound.CLASSES`.

    Raises
    ------
    InputError
        The test fold has no clip of that class.

    Chapter: notebooks/01_introduction.md
    """
    clips, _ = sounds.clips(run)
    of_class = clips[(clips["class"] == category) & (clips["fold"] == study.TEST_FOLD)]
    if of_class.empty:
        raise InputError(
            f'fold {study.TEST_FOLD} of "{run.source.folder}" has no clip of class "{category}"; '
            "name another class"
        )
    ordered = of_class.sort_values(["salience", "seconds"], ascending=[True, False], kind="stable")
    return sound(run, ordered["slice_file_name"].iloc[0])


@dataclass(frozen=True)
class Mixture:
    """Two clips in one: `classes[0]` sounds in the first half, `classes[1]` in the second.

    samples : mono float32 at `rate`; parts : the two sounds alone; mfcc : (13, 400) float32;
    maps : (2, 13, 400) float32, Grad-CAM for each class; events : (start, end) in seconds per class;
    `frames` of the 400 hold sound.
    """

    samples: np.ndarray
    parts: tuple[np.ndarray, np.ndarray]
    rate: int
    mfcc: np.ndarray
    maps: np.ndarray
    classes: tuple[str, str]
    events: dict[str, tuple[float, float]]
    names: tuple[str, str]
    frames: int


def mixture(run: Run, classes: tuple[str, str] = ("dog_bark", "siren")) -> Mixture:
    """One sound after the other in one clip, and a Grad-CAM map for each: thesis figure 1 by ear.

    Chapter: notebooks/01_introduction.md
    """
    first, second = (example(run, category) for category in classes)
    rate, half = first.rate, 2.0
    parts = []
    for clip, start in ((first, 0.0), (second, half)):
        sound = torch.from_numpy(clip.samples)[None]
        sound = representations.resample(clip.rate, rate)(sound)[0, : int(half * rate)].numpy()
        part = np.zeros(int(2 * half * rate), dtype=np.float32)
        part[int(start * rate) : int(start * rate) + len(sound)] = sound / max(np.abs(sound).max(), 1e-9) / 2
        parts.append(part)
    samples = parts[0] + parts[1]
    mfcc = _mfcc(run, samples, rate)
    network = training.network(run)
    maps = explainers.gradcam(
        network,
        mfcc[None].repeat(2, 1, 1, 1).numpy(),
        layer=models.layer(network, run.layer),
        classes=np.array([urbansound.CLASSES.index(category) for category in classes]),
    )
    return Mixture(
        samples=samples,
        parts=(parts[0], parts[1]),
        rate=rate,
        mfcc=mfcc[0].numpy(),
        maps=maps,
        classes=classes,
        events={classes[0]: (0.0, half), classes[1]: (half, 2 * half)},
        names=(first.name, second.name),
        frames=representations.sounding_frames(len(samples), rate, hop_length=run.hop_length),
    )


def _mfcc(run: Run, samples: np.ndarray, rate: int) -> torch.Tensor:
    return representations.mfcc(
        torch.from_numpy(samples)[None], rate, **run.parameters("hop_length", "padding")
    )
