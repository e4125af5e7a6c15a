"""Exercises that say what is wrong with an answer, and not only that it is.

Chapter: notebooks/03_features.md, notebooks/07_metric.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from IPython.display import Markdown


def check(answer: Any, expected: Any, *, slips: Mapping[str, Any] | None = None, within: float = 1e-3) -> Markdown:
    """Whether an answer to an exercise is right; if not, what is wrong with it, without the right one.

    Parameters
    ----------
    answer : a number or an array of numbers; None where nothing is filled in. expected : the right one.
    slips : what comes out of a slip that is easily made, by what is then said, such as {"You left the padding out": 2}.
    within : share of the largest expected size by which a right answer may differ.

    Returns
    -------
    One or two sentences.

    Chapter: notebooks/03_features.md
    """
    if answer is None:
        return Markdown("Nothing is filled in yet: write your answer into the cell, and run it again.")
    right = np.asarray(expected, dtype=float)
    try:
        given = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return Markdown(f"**Not yet.** {_a(right).capitalize()} is asked for, and this is {type(answer).__name__}.")
    near: dict[str, Any] = {"rtol": 0, "atol": within * max(np.abs(right).max(initial=0), 1e-12)}
    if given.shape != right.shape:
        return Markdown(f"**Not yet.** {_a(right).capitalize()} is asked for, and this is {_a(given)}.")
    if np.allclose(given, right, **near):
        return Markdown("**Right.**")
    known = [
        said for said, wrong in (slips or {}).items() if np.allclose(given, np.asarray(wrong, dtype=float), **near)
    ]
    return Markdown(f"**Not yet.** {known[0] if known else _off(given, right, near)}.")


def _a(values: np.ndarray) -> str:
    return "one number" if values.ndim == 0 else f"an array of the shape {values.shape}"


def _off(given: np.ndarray, right: np.ndarray, near: dict[str, Any]) -> str:
    """In what an answer of the right shape differs, as the beginning of a sentence."""
    if not np.isfinite(given).all():
        return "It is not finite: somewhere 0 is divided by 0, or the logarithm of 0 is taken"
    if np.allclose(-given, right, **near):
        return "Its size is right, its sign is not"
    scale = np.vdot(given, right) / np.vdot(right, right) if right.any() else 0.0
    if given.ndim and scale > 0 and np.allclose(given, scale * right, **near):
        return f"It is {scale:.3g} times what it should be, everywhere alike"
    if given.ndim == 1 and np.allclose(given[::-1], right, **near):
        return "Its order is turned round"
    wrong = ~np.isclose(given, right, **near)
    if not given.ndim:
        return f"{given:g} is too {'large' if given > right else 'small'}"
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    size = "large" if given[place] > right[place] else "small"
    which = place[0] if len(place) == 1 else place
    return f"{wrong.sum()} of {wrong.size} values are wrong; the first, at {which}, is too {size}"
