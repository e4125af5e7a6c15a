"""From a source to the clips of a run: real recordings or the generated stand-in, one way to ask.

Chapter: notebooks/02_dataset.md
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import InputError, artifacts, study
from helpers.audio import standin, urbansound
from helpers.study import Run

OFFICIAL_MD5 = "5015c37ce7d54c0bb8cd40a0b5ee2074"  # of the official UrbanSound8K.csv


SAMPLE_SEED = 2024  # of the stand-in, and of the clips a profile takes


def clips(run: Run) -> tuple[pd.DataFrame, str]:
    """The clips of a run and a digest of all they depend on; generates the stand-in if it must.

    Returns
    -------
    Rows of `urbansound.read_clips`, at most `run.profile.clips` of each class and fold (a seeded
    choice), and a SHA-256 of the data set's contents.

    Raises
    ------
    InputError
        What `urbansound.read_clips` raises; no clip in the test fold or none in any other.

    Chapter: notebooks/02_dataset.md
    """
    source = run.source
    if source.synthetic and not source.named:
        digest = artifacts.digest_of(_stand_in(run))
    table = urbansound.read_clips(source.folder, complete=not source.named)
    if not (table["fold"] == study.TEST_FOLD).any() or (table["fold"] == study.TEST_FOLD).all():
        raise InputError(
            f'data folder "{source.folder}" has clips in folds {_listed(table["fold"])} only; '
            f"the study needs fold {study.TEST_FOLD} for the test and at least one other for training"
        )
    if not source.synthetic or source.named:
        digest = urbansound.digests(source.folder, table, cache=study.DATA / "digests.json")
    if run.profile.clips is not None:
        shuffled = table.sample(frac=1, random_state=np.random.default_rng(SAMPLE_SEED))
        chosen = shuffled.groupby(["fold", "classID"]).head(run.profile.clips).index.sort_values()
        table = table.loc[chosen].reset_index(drop=True)
    return table, digest


def _stand_in(run: Run) -> Path:
    folder = run.source.folder
    parameters = {"clips": run.profile.clips, "seed": SAMPLE_SEED}

    def compute(work: Path) -> dict:
        target = work / folder.name
        shutil.rmtree(target, ignore_errors=True)  # what an interrupted call left
        standin.generate(target, **parameters)
        return {"data": run.source.label}

    return artifacts.produce(folder, parameters=parameters, inputs={}, make=compute)


def summary(table: pd.DataFrame) -> str:
    """One sentence on the clips of a run: how many, which folds, and which folds the folder lacks.

    Chapter: notebooks/02_dataset.md
    """
    missing = table.attrs.get("missing_folds", [])
    lacks = f"; folds {_listed(missing)} are not in the folder" if missing else ""
    train = sorted(set(table["fold"]) - {study.TEST_FOLD})
    return (
        f"{len(table)} clips from {table['fsID'].nunique()} recordings: folds {_listed(train)} train, "
        f"fold {study.TEST_FOLD} tests{lacks}."
    )


def _listed(folds: Iterable[int]) -> str:
    return ", ".join(str(fold) for fold in sorted(set(map(int, folds))))


def official_slices() -> pd.DataFrame:
    """The counts of `urbansound.slices` for the whole official table, from data/recorded.

    Chapter: notebooks/02_dataset.md
    """
    return pd.read_csv(study.RECORDED / "urbansound8k_slices.csv")


def record_slices(folder: str | Path) -> Path:
    """Write what `official_slices` reads from the official table in `folder`.

    Raises
    ------
    InputError
        The table is not the official one.

    Chapter: notebooks/02_dataset.md
    """
    path = Path(folder) / "metadata" / "UrbanSound8K.csv"
    table = urbansound.read_table(folder)
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if md5 != OFFICIAL_MD5:
        raise InputError(
            f"{path} is not the official table (MD5 {md5}); name a folder that holds the official one"
        )

    def compute(work: Path) -> dict:
        urbansound.slices(table).to_csv(work / "urbansound8k_slices.csv", index=False)
        return {"data": "UrbanSound8K", "rows": len(table)}

    target = study.RECORDED / "urbansound8k_slices.csv"
    return artifacts.produce(target, parameters={}, inputs={"UrbanSound8K.csv md5": md5}, make=compute)


def credit(run: Run, recording: int) -> str:
    """Where a sound comes from, to be printed beside its player.

    Chapter: notebooks/02_dataset.md
    """
    if run.source.synthetic:
        return "Synthetic: made by a program, not a recording."
    recordist = urbansound.credits(run.source.folder).get(recording)
    by = f" by {recordist}" if recordist else ""
    return f"Freesound recording {recording}{by}, in UrbanSound8K (CC BY-NC)."
