"""From a source to the clips of a run: real recordings or the generated stand-in, one way to ask.

Chapter: notebooks/02_dataset.md
"""

from __future__ import annotations

import functools
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
PLAYED = ("dog_bark", "drilling", "siren")  # classes of which chapters play a clip of the test fold


def clips(run: Run) -> pd.DataFrame:
    """The clips of a run's source; generates the stand-in if it must.

    Returns
    -------
    Rows of `urbansound.read_clips`, at most `run.clips` of each class and fold: a seeded choice, by fold,
    so that another fold in the folder changes none.

    Raises
    ------
    InputError
        What `urbansound.read_clips` raises; or the source is recorded, which has no sounds.

    Chapter: notebooks/02_dataset.md
    """
    left_out, source = artifacts.whole(run).left_out, artifacts.whole(run).source
    if source.kind == "recorded":
        raise InputError(
            "the recorded results come without sounds; name a folder of recordings (data), or listen at Freesound"
        )
    if source.kind == "stand-in":
        _stand_in(source.folder, clips=None if run.clips == "all" else run.clips, seed=run.data_seed)
    stamp = _stamp(source.folder)
    table = _read(source.folder, complete=not source.named, left_out=left_out, stamp=stamp).copy()
    if run.clips != "all":
        parts = [
            part.sample(frac=1, random_state=np.random.default_rng((run.data_seed, int(str(fold)))))
            .groupby("classID")
            .head(run.clips)
            for fold, part in table.groupby("fold")
        ]
        table = table.loc[pd.concat(parts).index.sort_values()].reset_index(drop=True)
    return table


def in_fold(run: Run, fold: int) -> pd.DataFrame:
    """The rows of `clips` in one fold.

    Chapter: notebooks/02_dataset.md
    """
    table = clips(run)
    return table[table["fold"] == fold].reset_index(drop=True)


def digest(run: Run, fold: int) -> dict[str, str]:
    """What the features of a fold depend on outside the study: a digest of its sound files and rows.

    Chapter: notebooks/11_runs.md
    """
    folder, table = artifacts.whole(run).source.folder, in_fold(run, fold)
    return {"clips": urbansound.digests(folder, table, cache=study.DATA / "digests.json")}


def _stamp(folder: Path) -> tuple[int, ...]:
    """When the table and the folds' folders were last changed."""
    paths = (study.table_of(folder), *sorted(study.folds_of(folder).glob("fold*")))
    return tuple(path.stat().st_mtime_ns for path in paths if path.exists())


@functools.lru_cache(maxsize=4)
def _read(folder: Path, *, complete: bool, left_out: int, stamp: tuple[int, ...]) -> pd.DataFrame:
    return urbansound.read_clips(folder, complete=complete, left_out=left_out)


def _stand_in(folder: Path, *, clips: int | None, seed: int) -> Path:
    def make(target: Path) -> dict:
        shutil.rmtree(target, ignore_errors=True)  # what an interrupted call left
        standin.generate(target, clips=clips, seed=seed)
        return {"data": "synthetic stand-in"}

    recipe = {"fields": {"clips": clips, "data_seed": seed}, "code": artifacts.code_digests("audio.standin")}
    return artifacts.produce(folder, recipe=recipe, make=make)


def summary(run: Run) -> str:
    """One sentence on the clips of a run: how many, which folds, and what the folder lacks or has beside them.

    Chapter: notebooks/02_dataset.md
    """
    table = clips(run)
    missing = table.attrs.get("missing_folds", [])
    lacks = f"; folds {_listed(missing)} are not in the folder" if missing else ""
    if others := table.attrs.get("unlisted"):
        lacks += f"; {len(others)} files that the table does not name are not used ({urbansound.first(others)})"
    return (
        f"{len(table)} clips from {table['fsID'].nunique()} recordings: folds {_listed(run.training_folds)} "
        f"train, fold {run.test_fold} tests{lacks}."
    )


def left_out(run: Run) -> list[str]:
    """The clips that are left out because they cannot be used, each with its reason.

    Chapter: notebooks/02_dataset.md
    """
    return clips(run).attrs.get("left_out", [])


def require_classes(run: Run) -> None:
    """Refuse sounds that lack a class before anything is computed: a network learns all ten, and chapters play some.

    Raises
    ------
    InputError
        The folds that train lack a class, or the one that tests lacks one of `PLAYED`.

    Chapter: notebooks/02_dataset.md
    """
    table = clips(run)
    for folds, wanted in ((run.training_folds, urbansound.CLASSES), ((run.test_fold,), PLAYED)):
        there = sorted(set(table.loc[table["fold"].isin(folds), "class"]))
        if lacking := [name for name in wanted if name not in there]:
            raise InputError(
                f'data folder "{artifacts.whole(run).source.folder}" has clips of {len(there)} of the ten classes in '
                f"fold {_listed(folds)} ({', '.join(there)}); the book needs {', '.join(lacking)} there too: add "
                "clips, or name folds that have some (test_fold, training_folds)"
            )


def _listed(folds: Iterable[int]) -> str:
    return ", ".join(str(fold) for fold in sorted(set(map(int, folds))))


def official_slices() -> pd.DataFrame:
    """The counts of `urbansound.slices` for the whole official table, from data/recorded.

    Chapter: notebooks/02_dataset.md
    """
    return pd.read_csv(study.RECORDED / "urbansound8k_slices.csv")


def is_official(folder: Path) -> bool:
    """Whether a folder holds the official table, byte for byte.

    Chapter: notebooks/02_dataset.md
    """
    content = study.table_of(folder).read_bytes()
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == OFFICIAL_MD5


def record_slices(folder: Path) -> Path:
    """Write what `official_slices` reads from the official table in `folder`.

    Chapter: notebooks/02_dataset.md
    """
    table = urbansound.read_table(folder)

    def make(target: Path) -> dict:
        urbansound.slices(table).to_csv(target, index=False)
        return {"data": "UrbanSound8K", "rows": len(table)}

    recipe = {"inputs": {"UrbanSound8K.csv md5": OFFICIAL_MD5}}
    return artifacts.produce(study.RECORDED / "urbansound8k_slices.csv", recipe=recipe, make=make)


def credit(run: Run, recording: int) -> str:
    """Where a sound comes from, to be printed beside its player.

    Chapter: notebooks/02_dataset.md
    """
    source = run.source
    if source.synthetic:
        return "Synthetic: made by a program, not a recording."
    recordist = urbansound.credits(source.folder).get(recording)
    by = f" by {recordist}" if recordist else ""
    return f"Freesound recording {recording}{by}, in UrbanSound8K (CC BY-NC)."
