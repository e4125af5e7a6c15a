"""What the study costs: time and memory as they were measured, and the whole of it on paper.

Chapter: notebooks/29_scale.md
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from helpers import InputError, study
from helpers.networks import models

# Machines of the table on paper: cores, and operations a second of a GPU where there is one. A third of the 67e12 that
# the maker of an H100 gives for float32: what large convolutions reach.
MACHINES: dict[str, dict[str, float]] = {
    "1 core": {"cores": 1},
    "16 cores": {"cores": 16},
    "100 nodes of 16 cores": {"cores": 1600},
    "one GPU": {"operations": 67e12 / 3},
}
CLIPS = 7_859  # of nine folds of UrbanSound8K, on average


def measured() -> tuple[dict[str, Any], pd.DataFrame]:
    """What `benchmarks/scale.py` measured: facts of the machine, and one row per step and choice.

    Returns
    -------
    date, revision, processor, cores, torch; varied (what is changed in this group of rows), step, clips, frames, rows,
    architecture, workers, seconds, MiB (peak memory of a process).

    Raises
    ------
    InputError
        Nothing is recorded.

    Chapter: notebooks/29_scale.md
    """
    path = study.RECORDED / "scale.json"
    if not path.exists():
        raise InputError(f"{path} is not there; `make scale`, then `make record`, writes it")
    found = json.loads(path.read_text())
    return {name: value for name, value in found.items() if name != "rows"}, pd.DataFrame(found["rows"])


def growth(rows: pd.DataFrame) -> pd.DataFrame:
    """How time and memory grow from the least to the most of what is varied.

    Parameters
    ----------
    rows : from `measured`.

    Returns
    -------
    One row per step and varied choice that is a number: least, most, times as much, times as long; for tenfold (what
    ten times as much takes, by a straight line through the logarithms); MiB more.

    Chapter: notebooks/29_scale.md
    """
    found = []
    for (step, varied), part in rows[rows["varied"] != "architecture"].groupby(["step", "varied"], sort=False):
        amount, seconds = part[varied].to_numpy(float), part["seconds"].to_numpy()
        slope = np.polyfit(np.log(amount), np.log(seconds), 1)[0] if len(set(amount)) > 1 else np.nan
        row = {
            "step": step,
            "varied": varied,
            "least": amount[0],
            "most": amount[-1],
            "times as much": amount[-1] / amount[0],
        }
        row |= {"times as long": seconds[-1] / seconds[0], "for tenfold": 10**slope}
        found.append(row | {"MiB more": part["MiB"].iloc[-1] - part["MiB"].iloc[0]})
    return pd.DataFrame(found)


def depths(rows: pd.DataFrame, *, epochs: int = 30) -> pd.DataFrame:
    """What a training costs by depth: counted operations, measured speed, and hours.

    Parameters
    ----------
    rows : from `measured`. epochs : of a training, on `CLIPS` clips.

    Returns
    -------
    network, GFLOP (of one forward of the thesis's input), clips a second in training, GFLOP a second (a training step
    is counted as three forwards), then hours of one training: "1 core", as measured, and "one GPU", by `MACHINES`.

    Chapter: notebooks/29_scale.md
    """
    part = rows[(rows["step"] == "training") & (rows["varied"] == "architecture")]
    found = []
    for _, row in part.iterrows():
        forward = models.operations(str(row["architecture"]), (13, 400))
        speed = row["clips"] / row["seconds"]
        total = 3 * forward * CLIPS * epochs
        found.append(
            {
                "network": study.named(str(row["architecture"])),
                "GFLOP": forward / 1e9,
                "clips a second": speed,
                "GFLOP a second": 3 * forward * speed / 1e9,
                "1 core": CLIPS * epochs / speed / 3600,
                "one GPU": total / MACHINES["one GPU"]["operations"] / 3600,
            }
        )
    return pd.DataFrame(found)


def on_paper(table: pd.DataFrame, *, runs: int = 50) -> pd.DataFrame:
    """Hours that all trainings of the full study take: every depth, ten folds, five seeds.

    Runs do not wait for each other, so cores divide the hours, but no fewer than the longest training takes.

    Parameters
    ----------
    table : from `depths`. runs : of each depth.

    Returns
    -------
    machine, hours, longest (hours of the longest training, below which more cores help nothing).

    Chapter: notebooks/29_scale.md
    """
    rows = []
    for machine, has in MACHINES.items():
        alone = table["one GPU" if "operations" in has else "1 core"]
        hours = max(alone.sum() * runs / has.get("cores", 1), alone.max())
        rows.append({"machine": machine, "hours": hours, "longest": alone.max()})
    return pd.DataFrame(rows)
