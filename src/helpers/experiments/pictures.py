"""What the compared clips look like, as pictures that are small enough to travel with the repository.

Chapter: notebooks/30_explorer.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.artifacts import Artefact
from helpers.audio import representations
from helpers.experiments import comparison
from helpers.study import Run

LEVELS = 127  # on either side of 0: one byte a cell, and more than a figure has greys


def pictures(run: Run) -> dict[str, np.ndarray]:
    """The clips of `comparison.clips` by name, each (rows, frames), float32; made once, loaded afterwards.

    They are to be looked at: in the representation's units, before any scaling, and in 255 levels (`packed`).

    Chapter: notebooks/30_explorer.md
    """
    with np.load(PICTURES.get(run), allow_pickle=False) as found:
        values = unpacked(found["levels"], found["knees"], found["limits"])
        return dict(zip(map(str, found["clips"]), values, strict=True))


def packed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures in one byte a cell: even steps up to the median size of a clip's cells, steps that grow beyond.

    Coefficient 0 of an MFCC is up to a hundred times larger than the others: even steps would leave these one level.

    Parameters
    ----------
    values : (clips, rows, frames), float.

    Returns
    -------
    levels, (clips, rows, frames), int8, -127 to 127, 0 for 0; knees and limits, (clips,), float32: the median and the
    largest size of each clip's cells, without those that are 0; 1 where all are.

    Chapter: notebooks/30_explorer.md
    """
    sizes = [np.abs(one[one != 0]) if one.any() else np.ones(1) for one in values]
    knees = np.array([np.median(one) for one in sizes], dtype=np.float32)
    limits = np.array([one.max() for one in sizes], dtype=np.float32)
    shares = np.arcsinh(values / _each(knees)) / _each(np.arcsinh(limits / knees))
    return np.rint(LEVELS * shares).astype(np.int8), knees, limits


def unpacked(levels: np.ndarray, knees: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """What `packed` made levels of, to half a level: (clips, rows, frames), float32.

    Chapter: notebooks/30_explorer.md
    """
    shares = levels.astype(np.float32) / LEVELS
    return _each(knees) * np.sinh(shares * _each(np.arcsinh(limits / knees)))


def _each(values: np.ndarray) -> np.ndarray:
    return values[:, None, None]


def _make(run: Run, target: Path) -> dict:
    compared = comparison.clips(run.with_(scaling="raw"))
    levels, knees, limits = packed(compared.inputs[:, 0])
    np.savez_compressed(target, clips=compared.clips, levels=levels, knees=knees, limits=limits)
    return {"clips": len(levels)}


PICTURES = Artefact(
    "pictures.npz",
    make=_make,
    chapter="30_explorer",
    fields=("compared_clips", "sample_seed"),
    inputs=(representations.FEATURES.each("test_fold"),),
    packages=("numpy",),
)
