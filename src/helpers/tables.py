"""What every table of the study holds: one vocabulary, checked when a table is read.

A clip is a slice by its file name, a recording its Freesound id; classes are numbers 0 to 9.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import pandera.pandas as pa

from helpers import InputError

_CLASS = pa.Column(int, pa.Check.in_range(0, 9))
_SCORE = pa.Column(float, pa.Check.in_range(-1, 1), nullable=True, coerce=True)
_NUMBER = pa.Column(float, nullable=True, coerce=True)
_SHARE = pa.Column(float, pa.Check.in_range(0, 1), nullable=True, coerce=True)
_CLIP = {"clip": pa.Column(str), "recording": pa.Column(int)}
_ANSWERS = {"label": _CLASS, "predicted": _CLASS, "explained": _CLASS}


@dataclass(frozen=True)
class Schema:
    """The columns of a table; `more` says whether it may have others."""

    columns: dict[str, pa.Column]
    more: bool = False

    def validate(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """The table, its columns in their declared types.

        Raises
        ------
        InputError
            A column is missing, is not declared, or holds what it must not.
        """
        try:
            return pa.DataFrameSchema(self.columns, strict=not self.more).validate(frame)
        except (pa.errors.SchemaError, pa.errors.SchemaErrors) as wrong:
            said = " ".join(str(wrong).split())[:200]
            raise InputError(f"{name} does not hold what it should ({said}); remove it and make it again") from None


HISTORY = Schema(
    {
        "epoch": pa.Column(int, pa.Check.ge(1)),
        "fold": pa.Column(int, pa.Check.in_range(0, 10)),  # 0: the training folds
        "loss": _NUMBER,
        "accuracy": _SHARE,
    }
)
PREDICTIONS = Schema(_CLIP | {"label": _CLASS, "predicted": _CLASS} | {f"logit_{i}": _NUMBER for i in range(10)})
SCORES = Schema(_CLIP | _ANSWERS | {"specification": pa.Column(str), "score": _SCORE, "status": pa.Column(str)})
CONTROLS = Schema(
    _CLIP
    | _ANSWERS
    | {
        "frames": pa.Column(int, pa.Check.ge(1)),
        "salience": pa.Column(str, pa.Check.isin(("foreground", "background"))),
        "Grad-CAM": _SCORE,
    },
    more=True,
)
SANITY = Schema(
    {"check": pa.Column(str), "order": pa.Column(str), "layer": pa.Column(str)} | _CLIP | {"value": _NUMBER}
)
METRICS = Schema(
    {"metric": pa.Column(str), "map": pa.Column(str)} | _CLIP | {"value": _NUMBER, "status": pa.Column(str)}
)
KNOWN_TRUTH = Schema(METRICS.columns | {"frames": pa.Column(int, pa.Check.ge(1))})
PLANTED = Schema(
    _CLIP
    | {"label": _CLASS, "predicted": _CLASS, "level": _NUMBER, "filled": _SHARE}
    | {"map": pa.Column(str), "metric": pa.Column(str), "value": _NUMBER}
)
COMPARISON = Schema(
    _CLIP
    | _ANSWERS
    | {"frames": pa.Column(int, pa.Check.ge(1)), "explainer": pa.Column(str)}
    | {"layer": pa.Column(str, nullable=True), "seconds": _NUMBER}
    | {
        f"{head}{where}": _SCORE
        for where in ("", " inside")
        for head in ("score", "mean map", "again", "random", "ceiling")
    }
    | {f"{name} inside": _SCORE for name in ("zero", "mean", "neighbours")}
    | {"SRG": _SCORE, "insertion": _SHARE, "deletion": _SHARE}
)
BLOCKS = Schema(
    _CLIP
    | _ANSWERS
    | {"blocks": pa.Column(str), "baseline": pa.Column(str)}
    | {head: _SCORE for head in ("score", "mean map", "again", "loudness", "random", "ceiling")}
)
PROPERTIES = Schema(
    _CLIP
    | {"second": pa.Column(float, pa.Check.ge(0), coerce=True), "flatness": _NUMBER, "onsets per second": _NUMBER}
    | {"loudness": _NUMBER, "loudness variation": _NUMBER, "centroid": _NUMBER}
)
CO12 = Schema({"measure": pa.Column(str)} | _CLIP | {"value": _NUMBER})
SLIPS = Schema({"slip": pa.Column(str)} | _CLIP | {"score": _SCORE, "status": pa.Column(str)})
_READING = {name: pa.Column(str) for name in ("layer", "explained", "scored", "effect", "blocks", "baseline")}
SPECIFICATIONS = Schema(_CLIP | _READING | {"score": _SCORE, "ceiling": _SCORE}, more=True)
RANK_NULLS = Schema(_CLIP | _READING, more=True)
CURVE = Schema(
    _READING
    | {"clips": pa.Column(int), "nan": pa.Column(int)}
    | {name: _SCORE for name in ("estimate", "low", "high", "null_low", "null", "null_high", "ceiling")}
    | {name: _SHARE for name in ("below_0", "null_below_0", "null_below_0_low", "null_below_0_high")}
    | {
        "sign": pa.Column(str, pa.Check.isin(("negative", "around 0", "positive"))),
        "null_verdict": pa.Column(str, pa.Check.isin(("below null", "within null", "above null"))),
    }
)


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other; one without rows knows no types, and would make those of the others vague."""
    parts = list(parts)
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
