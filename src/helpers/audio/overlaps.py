"""How far slices of one occurrence lie apart: what the sound says of the official table's `start`.

Chapter: book/urbansound8k.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import artifacts, study
from helpers.audio import urbansound

STEPS = (0.5, 2.0)  # seconds from a slice to the next: what the table says, and what the sound says
NAME = "urbansound8k_overlaps.csv"


def overlaps(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Does a slice go on in the next one as it should if they lie 0.5 s apart, or 2 s?

    Parameters
    ----------
    folder : with audio/fold1 ... table : rows of `urbansound.read_clips`; pairs with both slices in it count.

    Returns
    -------
    One row per pair of neighbours of one occurrence, the first at least 3.9 s long: clip, next, fold, and for each of
    `STEPS` the correlation (-1 to 1) of what both slices hold if they lie so far apart.

    Chapter: book/urbansound8k.md
    """
    names = table["slice_file_name"].str.extract(urbansound.NAME)
    rows = table.assign(occurrence=names[0] + "-" + names[1] + "-" + names[2], slice=names[3].astype(int))
    after = rows.assign(slice=rows["slice"] - 1)[["occurrence", "slice", "slice_file_name", "path"]]
    pairs = rows.merge(after, on=["occurrence", "slice"], suffixes=("", "_next")).sort_values("slice_file_name")
    found = []
    for row in tqdm(pairs.to_dict("records"), desc="overlaps", unit="pair"):
        (one, rate), (two, other) = (urbansound.load_audio(folder / row[name]) for name in ("path", "path_next"))
        if rate != other or len(one) < 3.9 * rate:
            continue
        facts = {"clip": row["slice_file_name"], "next": row["slice_file_name_next"], "fold": row["fold"]}
        for step in STEPS:
            rest = one[round(step * rate) :]
            shared = min(len(rest), len(two))
            facts[f"{step} s"] = np.corrcoef(rest[:shared], two[:shared])[0, 1] if shared > rate else np.nan
        found.append(facts)
    return pd.DataFrame(found).dropna().reset_index(drop=True)


def recorded() -> pd.DataFrame:
    """What `overlaps` said of the recordings at hand.

    Chapter: book/urbansound8k.md
    """
    return pd.read_csv(study.RECORDED / NAME)


def said() -> str:
    """`recorded` in a table to read, as Markdown; data/recorded/overlaps.md holds it.

    Chapter: book/urbansound8k.md
    """
    table = recorded()
    folds = ", ".join(map(str, sorted(table["fold"].unique())))
    lines = ["| if slices lie this far apart | median correlation | pairs above 0.9 |", "|---|---|---|"]
    for step in STEPS:
        found = table[f"{step} s"]
        lines.append(f"| {step} s | {found.median():.3f} | {(found > 0.9).sum()} of {len(found)} |")
    lines += ["", f"UrbanSound8K, neighbouring slices of folds {folds} as far as they were at hand, 22.05 kHz mono."]
    return "\n".join(lines) + "\n"


def record(folder: Path, table: pd.DataFrame) -> Path:
    """Write what `recorded` reads, with its provenance, and what `said` says of it.

    Chapter: book/urbansound8k.md
    """

    def make(target: Path) -> dict:
        found = overlaps(folder, table)
        found.to_csv(target, index=False, float_format="%.4f")
        return {"data": "UrbanSound8K", "pairs": len(found), "folds": sorted(set(map(int, found["fold"])))}

    recipe = {
        "inputs": {"clips": urbansound.digests(folder, table, cache=study.DATA / "digests.json")},
        "code": artifacts.code_digests("audio.overlaps"),
    }
    made = artifacts.produce(study.RECORDED / NAME, recipe=recipe, make=make)
    artifacts.write_text(made.with_name("overlaps.md"), said())
    return made
