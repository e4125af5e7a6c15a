"""A study as a graph: which artefacts are still to be made, from which others, and what that will take.

`study.smk` makes a rule of each kind of artefact and a job of each that is not fresh by its recipe. Make or load stays
the only cache: what is fresh is not in the graph, and a job whose artefact has become fresh meanwhile does nothing.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import functools
import json
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from helpers import InputError, artifacts, study
from helpers.artifacts import Artefact, Piece
from helpers.book import studies, warm
from helpers.networks import models, training
from helpers.study import Run

KEYS = r"(-[a-z_]+=[^/]*|-[0-9a-f]{16})"  # what follows an artefact's name in a file's: fields, or a digest of them
# What a job asks a cluster for where nothing was measured; config/engines may say something else of each kind.
MEMORY, LEAST = 4000, 2000  # MB
SHORT, LONG = 60, 240  # minutes, of an artefact whose work nobody estimates and of one whose work nobody timed
THREADS = 8  # of long work; more are of little use for inputs as small as these
# A margin: another machine may be slower, and its memory fuller. A second try gets twice as much.
TIMES, MORE = 2, 1.5


def pieces(name: str, data: str, profile: str = "") -> dict[Path, Piece]:
    """All artefacts of a study by their paths, each once and after what it is made from."""
    found: dict[Path, Piece] = {}

    def add(artefact: Artefact, run: Run, fold: int | None = None) -> None:
        path = artefact.path(run, fold)
        if path not in found:
            for piece in artefact.made_from(run).values():
                add(*piece)
            found[path] = (artefact, run, fold)

    for _, run, artefact in studies.jobs(name, data, profile):
        add(artefact, run)
    return found


def graph(name: str, data: str, profile: str = "") -> list[dict[str, Any]]:
    """The jobs of a study: one for each artefact that is not there as it would be made now.

    Parameters
    ----------
    name, data : as in `make study`. profile : of all runs, in place of what the study says; "smoke" and "quick" take
        generated sounds too.

    Returns
    -------
    Of each job: kind (of artefact, the rule), record (its output), inputs (records of what must be made before),
    words (the command that makes it), mem_mb, runtime (minutes) and threads.

    Raises
    ------
    InputError
        There is no such study, or no recordings are there.

    Chapter: notebooks/11_runs.md
    """
    if profile in ("", "thesis"):
        studies.real(data)
    waiting: dict[Path, dict[str, Any]] = {}
    for path, (artefact, run, fold) in pieces(name, data, profile).items():
        inputs = [waiting[at]["record"] for one in artefact.made_from(run).values() if (at := _path(one)) in waiting]
        if inputs or not artefact.is_fresh(run, fold):
            waiting[path] = {
                "kind": artefact.name.partition(".")[0],
                "record": place(artifacts.record_path(path)),
                "inputs": inputs,
                "words": shlex.join(words(artefact, run, fold)),
                **_costs(artefact, run),
            }
    return list(waiting.values())


def write(name: str, data: str, profile: str, kept: Path) -> int:
    """Write the graph of a study to where `study.smk` reads it; how many jobs it has."""
    jobs = graph(name, data, profile)
    artifacts.write_text(kept, json.dumps(jobs))
    return len(jobs)


def words(artefact: Artefact, run: Run, fold: int | None = None) -> list[str]:
    """One artefact of one run as the command line takes it: `python -m helpers.book make ...`."""
    given = {n: getattr(run, n) for n in ("data", "profile", "architecture", "training_folds")} | run.changed
    said = {
        n: ",".join(v) if n != "training_folds" and isinstance(v, tuple) else study.said(v) for n, v in given.items()
    }
    pairs = [word for name, text in said.items() for word in ("-p", f"{name}={text}")]
    return [artefact.name, *(["--fold", str(fold)] if fold else []), *pairs]


def make(name: str, given: Mapping[str, str], *, fold: int | None = None, threads: int = 0) -> Path:
    """Make one artefact of one run, as a job's command says it; does nothing where it is fresh.

    Parameters
    ----------
    name : of the artefact, "scores.csv". given : fields of the run as text. fold : of one that is made fold by fold.
    threads : at most so many; 0: the library's choice.

    Raises
    ------
    InputError
        There is no such artefact or field, the artefact is made fold by fold and none is named, or the data is wrong.
    """
    run, artefact = study.open(**given), studies.named(name.partition(".")[0])
    if artefact.folds != (fold is not None):
        said = "is made fold by fold; name one with --fold" if artefact.folds else "is not made fold by fold"
        raise InputError(f"{artefact.name} {said}")
    warm.take_threads(threads)
    print(f"{run.key}: {artefact.name}{f' of fold {fold}' if fold else ''}", flush=True)
    return artefact.get(run, fold)


def place(path: Path) -> str:
    """A path as the workflow engine calls it: from the root of the study where it lies there."""
    return str(path.relative_to(study.ROOT) if path.is_relative_to(study.ROOT) else path)


def _path(piece: Piece) -> Path:
    artefact, run, fold = piece
    return artefact.path(run, fold)


def _costs(artefact: Artefact, run: Run) -> dict[str, int]:
    """What a job asks a cluster for, with a margin."""
    seconds = seconds_of(artefact, run)
    minutes = math.ceil(seconds * TIMES / 60) + 5 if seconds else LONG if artefact.work else SHORT
    peak = max(_known()["peak_mb"].get((artefact.name, run.profile), [0]))
    memory = max(LEAST, math.ceil(peak * MORE / 500) * 500) if peak else MEMORY
    short = run.profile == "smoke" or not artefact.work or (seconds is not None and seconds < artifacts.LONG)
    return {"mem_mb": memory, "runtime": minutes, "threads": 1 if short else THREADS}


def plan(name: str, data: str, profile: str = "") -> pd.DataFrame:
    """The jobs of a study, each artefact once, with those that it is made from.

    Parameters
    ----------
    name, data, profile : as in `graph`.

    Returns
    -------
    One row per artefact: run, network, artefact, there (yes or no); minutes, from what such work took before, and MB,
    from what such artefacts take, NaN where nothing is known or it is there.
    """
    if profile in ("", "thesis"):
        studies.real(data)
    rows = []
    for path, (one, run, _) in pieces(name, data, profile).items():
        if one.folds:  # a fold's features are too small to list
            continue
        there = artifacts.record_path(path).exists()
        seconds = None if there else seconds_of(one, run)
        costs = {"minutes": seconds and round(seconds / 60, 1), "MB": None if there else megabytes(one, run)}
        said = {"run": run.key, "network": run.name, "artefact": one.name, "there": "yes" if there else "no"}
        rows.append(said | costs)
    return pd.DataFrame(rows).astype({"minutes": float, "MB": float})


def totals(table: pd.DataFrame) -> pd.DataFrame:
    """A plan in a few lines: one row per network and one for all.

    Parameters
    ----------
    table : from `plan`.

    Returns
    -------
    network, artefacts, there (how many), to make, of unknown cost (how many of these), hours and GB of the others.
    """
    rows = []
    for network, part in [*table.groupby("network", sort=False), ("all", table)]:
        missing = part[part["there"] == "no"]
        row = {"network": network, "artefacts": len(part), "there": len(part) - len(missing), "to make": len(missing)}
        row |= {"of unknown cost": int(missing["minutes"].isna().sum())}
        rows.append(row | {"hours": round(part["minutes"].sum() / 60, 1), "GB": round(part["MB"].sum() / 1000, 1)})
    return pd.DataFrame(rows)


def seconds_of(artefact: Artefact, run: Run) -> float | None:
    """What an artefact takes; of a network that nobody timed, another's time by the ratio of their operations."""
    rates = artifacts.rates(artefact.name)
    if not artefact.work or "architecture" not in artefact.closure or run.architecture in rates or not rates:
        return artefact.seconds(run)
    other = "resnet18" if "resnet18" in rates else next(iter(rates))
    thesis = study.Run().shape if other != "resnet1d" else run.shape
    return rates[other] * artefact.work(run) * _operations(run.architecture, run.shape) / _operations(other, thesis)


def _operations(architecture: str, shape: tuple[int, int]) -> float:
    """Multiplications and additions of one forward of a network, per cell of its input, rows x frames."""
    return models.operations(architecture, shape) / math.prod(shape)


def megabytes(artefact: Artefact, run: Run) -> float | None:
    """What an artefact will take: a network by its weights, others as those of that name and network that are there."""
    if artefact is training.NETWORK:
        return round(models.weights(run.architecture) * 4 / 1e6, 1)
    sizes = _known()["bytes"]
    known = sizes.get((artefact.name, run.architecture)) or sizes.get((artefact.name, ""))
    return round(sum(known) / len(known) / 1e6, 2) if known else None


@functools.cache
def _known() -> dict[str, dict[tuple[str, str], list[int]]]:
    """What the artefacts that are there take.

    Returns
    -------
    bytes: of files, by artefact and network, and by artefact alone; peak_mb: of the memory of the processes that made
    them, where their records say it, by artefact and profile.
    """
    found: dict[str, dict[tuple[str, str], list[int]]] = {"bytes": {}, "peak_mb": {}}
    for path in (path for root in (study.RECORDED, study.RUNS) for path in root.rglob("*.json")):
        record = studies.read(path)
        kept = path.parent / str(record.get("artefact"))
        name = re.sub(f"{KEYS}$", "", path.stem) + (kept.suffix if kept.is_file() else "")
        if kept.is_file() and kept != path:
            for network in (path.parent.name, ""):
                found["bytes"].setdefault((name, network), []).append(kept.stat().st_size)
        if peak := record.get("made", {}).get("peak_mb"):
            profile = path.parent.parent.name if path.parent.name in study.NETWORKS else path.parent.name
            found["peak_mb"].setdefault((name, profile), []).append(peak)
    return found
