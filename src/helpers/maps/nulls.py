"""Maps that know nothing, and how a score stands among theirs.

All maps of a clip are held against the same effects, one block per frame, so a map counts by what it
gives each frame: its profile.

Chapter: notebooks/15_controls.md
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from helpers.maps import explainers

NULLS = ("random nodes", "shifted", "same class", "other class", "independent frames")


def profile(maps: np.ndarray) -> np.ndarray:
    """What maps, (maps, rows, frames), give to each frame: (maps, frames), float64.

    Chapter: notebooks/15_controls.md
    """
    return np.abs(maps).sum(axis=1, dtype=np.float64)


def random_nodes(
    shape: tuple[int, int], *, count: int, random: np.random.Generator, size: tuple[int, int]
) -> np.ndarray:
    """Maps of Grad-CAM's shape that know nothing: normal random nodes, stretched as Grad-CAM's.

    Parameters
    ----------
    shape : (rows, columns) of the layer: (1, 13) at a ResNet's last block.
    size : (rows, frames) of the input.

    Returns
    -------
    (count, *size), float32, in [0, 1].

    Chapter: notebooks/15_controls.md
    """
    return explainers.stretch(random.standard_normal((count, *shape)), size)


def profiles_of(
    i: int,
    profiles: np.ndarray,
    *,
    recordings: np.ndarray,
    explained: np.ndarray,
    nodes: tuple[int, int],
    rows: int,
    count: int,
    random: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Profiles of maps that know nothing of clip `i`, by kind (`NULLS`).

    - "random nodes": see `random_nodes`.
    - "shifted": the clip's own map, rotated by at least one frame, half of them reversed in time.
    - "same class", "other class": another recording's map, explained for the same or another class; with
      fewer such clips than `count`, each comes several times.
    - "independent frames": every frame alone, uniform.

    Parameters
    ----------
    profiles : (clips, frames): `profile` of every clip's map.
    recordings, explained : (clips,), int: where each clip comes from, and the class its map explains.
    nodes : (rows, columns) of the layer. rows : of the input.

    Returns
    -------
    (count, frames) by kind; (0, frames) where no clip is of the kind.

    Chapter: notebooks/15_controls.md
    """
    frames = profiles.shape[1]
    shift = random.integers(1, frames, size=count)
    column = (np.arange(frames) + shift[:, None]) % frames
    column[1::2] = column[1::2, ::-1]
    others = recordings != recordings[i]
    same = explained == explained[i]

    def of(chosen: np.ndarray) -> np.ndarray:
        pool = np.flatnonzero(chosen)
        return profiles[random.choice(pool, count)] if len(pool) else profiles[:0]

    return {
        "random nodes": profile(random_nodes(nodes, count=count, random=random, size=(rows, frames))),
        "shifted": profiles[i][column],
        "same class": of(others & same),
        "other class": of(others & ~same),
        "independent frames": random.random((count, frames)),
    }


def percentile(score: float, null: np.ndarray) -> float:
    """Share of null scores below a score, ties counted half; NaN without a score or a null.

    Chapter: notebooks/15_controls.md
    """
    null = null[np.isfinite(null)]
    if not len(null) or np.isnan(score):
        return np.nan
    return float((null < score).mean() + (null == score).mean() / 2)


def normalised(score: ArrayLike, null: ArrayLike, ceiling: ArrayLike) -> np.ndarray:
    """(score - null) / (ceiling - null): 0 for a map that knows nothing, 1 for the effects themselves.

    NaN where the ceiling is not above the null.

    Chapter: notebooks/15_controls.md
    """
    score, null, ceiling = (np.asarray(a, dtype=float) for a in (score, null, ceiling))
    room = ceiling - null
    return np.divide(score - null, room, out=np.full(room.shape, np.nan), where=room > 0)
