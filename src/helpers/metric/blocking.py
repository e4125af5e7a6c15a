"""Which cells of the input are replaced together.

Chapter: notebooks/12_engine.md
"""

from __future__ import annotations

import numpy as np

from helpers import InputError
from helpers.metric import known

# The resize of a Grad-CAM map leaves the cells of a column equal only to about 1e-7 of their value; a tie must not
# depend on the processor's rounding. So cells of one column that differ by less than this share are tied.
TIE = 1e-6
SUM = 1e-12  # of a block's cells: what adding them in another order may change

ORDERS = ("stable", "stock")


def rank_blocks(maps: np.ndarray, *, size: int | None = None, order: str = "stable") -> np.ndarray:
    """Blocks of `size` cells by attribution, weakest first: the blocks that Quantus makes from a map.

    Parameters
    ----------
    maps : (rows, columns) or (maps, rows, columns), float.
    size : cells per block, those of one frame when not given; the last block may be smaller.
    order : of tied cells. "stable": cells that the resize ties (`tied`) follow each other row by row, as in a
        stable sort of an exactly tied map: all coefficients 0 first, by frame.
        "stock": numpy's default sort of the values to the last bit, whose order of ties depends on
        numpy's version and the processor's vector width; blocks of one size only.

    Returns
    -------
    Block of each cell, int64, shape of `maps`: for `effects(..., blocks=...)` and `score`.

    Raises
    ------
    InputError
        Wrong shape or name, or a size that "stock" cannot have.

    Chapter: notebooks/12_engine.md
    """
    maps = np.asarray(maps)
    if maps.ndim not in (2, 3):
        raise InputError(f"maps have shape {maps.shape}; give (rows, columns) or (maps, rows, columns)")
    rows, columns = maps.shape[-2:]
    size = rows if size is None else size
    if known("order", order, ORDERS) == "stock":
        whole_steps(size, (rows, columns))
    maps_ = maps.reshape(-1, rows, columns)
    stable = order == "stable"
    cells = tied(maps_).reshape(len(maps_), -1) if stable else scaled(maps_)
    ranked = np.argsort(cells, axis=1, kind="stable" if stable else None)
    labels = np.empty_like(ranked)
    np.put_along_axis(labels, ranked, np.arange(ranked.shape[1])[None] // size, axis=1)
    return labels.reshape(maps.shape)


def whole_steps(size: int, shape: tuple[int, int]) -> None:
    """Refuse blocks of `size` cells that do not fill an input, (rows, frames): Quantus stops at them.

    Chapter: notebooks/12_engine.md
    """
    rows, frames = shape
    if size < 1 or rows * frames % size:
        raise InputError(
            f"features_in_step={size} does not divide the {rows} x {frames} cells of an input, "
            f"which Quantus needs; take {rows} (one frame's cells) or another divisor"
        )


def block_labels(blocks: str | tuple[int, int] | np.ndarray, shape: tuple[int, int], *, clips: int) -> np.ndarray:
    """The block of each cell: (1 or clips, rows, columns), int64. `blocks` as in `effects`.

    Patches are numbered row by row; at the right and lower edge they may be smaller.

    Chapter: notebooks/12_engine.md
    """
    rows, columns = shape
    named = {"frame": (rows, 1), "cell": (1, 1), "coefficient": (1, columns)}
    if isinstance(blocks, str):
        otherwise = ", give a patch (rows, columns), or labels such as rank_blocks(maps)"
        blocks = named[known("blocks", blocks, named, otherwise=otherwise)]
    if isinstance(blocks, tuple):
        if len(blocks) != 2 or min(blocks) < 1:
            raise InputError(f"blocks is {blocks}; give a patch (rows, columns), both at least 1")
        down, across = np.arange(rows) // blocks[0], np.arange(columns) // blocks[1]
        return (down[:, None] * (across[-1] + 1) + across)[None]
    labels = np.asarray(blocks)
    labels = labels[None] if labels.ndim == 2 else labels
    if labels.dtype.kind not in "iu" or labels.shape[1:] != shape or len(labels) not in (1, clips) or labels.min() < 0:
        raise InputError(
            f"blocks has shape {labels.shape} and type {labels.dtype}; "
            f"give whole numbers from 0, one per cell: {shape} or {(clips, *shape)}"
        )
    return labels.astype(np.int64)


def sums(maps: np.ndarray, patch: tuple[int, int]) -> np.ndarray:
    """What maps give to each block of a grid, the sum of absolute values there: (maps, blocks), float64.

    Parameters
    ----------
    maps : (maps, rows, columns), float. patch : rows and columns of a block, numbered as in `block_labels`.

    Chapter: notebooks/28_representations.md
    """
    down, across = np.arange(0, maps.shape[1], patch[0]), np.arange(0, maps.shape[2], patch[1])
    rows = np.add.reduceat(np.abs(maps), down, axis=1, dtype=np.float64)
    return np.add.reduceat(rows, across, axis=2).reshape(len(maps), -1)


def scaled(maps: np.ndarray) -> np.ndarray:
    """Absolute values divided by the map's largest, as Quantus does, 0 for NaN: (maps, cells)."""
    cells = np.abs(np.where(np.isfinite(maps), maps, 0).reshape(len(maps), -1))
    largest = cells.max(axis=1, keepdims=True)
    return np.divide(cells, largest, where=largest > 0, out=cells.astype(np.result_type(cells, np.float32)))


def tied(maps: np.ndarray) -> np.ndarray:
    """Absolute values, 0 for NaN; those of one column that only the resize tells apart are equal."""
    return merged(np.abs(np.where(np.isfinite(maps), maps, 0)), share=TIE)


def merged(values: np.ndarray, *, share: float) -> np.ndarray:
    """Values >= 0; along axis 1, those next in order that differ by less than a share of their size become equal."""
    order = np.argsort(values, axis=1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=1)
    apart = np.diff(ascending, axis=1, prepend=-1) > share * ascending
    places = np.arange(values.shape[1]).reshape(-1, *[1] * (values.ndim - 2))
    first = np.maximum.accumulate(np.where(apart, places, 0), axis=1)  # of those that are equal, the smallest
    result = np.empty_like(values)
    np.put_along_axis(result, order, np.take_along_axis(ascending, first, axis=1), axis=1)
    return result
