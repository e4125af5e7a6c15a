"""The runs on real recordings behind the book's answer: computed by `make reference`, kept by `make record`.

config/reference.yaml lists them. Their results lie in data/recorded as plain tables, without sound or
weights, so that a copy of the study without recordings shows and re-analyses them.

Chapter: notebooks/13_reference.md
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import os
from collections.abc import Callable

import numpy as np
import pandas as pd
import yaml

from helpers import InputError, artifacts, study
from helpers.experiments import scores
from helpers.findings import curve
from helpers.study import Run

ARTEFACTS = ("features.npz", "network", "explanations.npz", "scores.csv")


# artefacts that only some runs have, see config/reference.yaml
MORE = (
    *("quantus.csv", "quantus-older.csv", "effects.npz", "controls.csv", "specifications.csv"),
    *("metrics.csv", "sanity.csv"),
)


TABLES = ("controls", "metrics", "sanity")  # recorded row by row


KEYS = ["run", "data", "architecture", "seed"]


UNHEARD = ("layer", "explained", "scored")  # choices of a run that its network does not know


SCORES = [*KEYS, "specification", "clip", "fsID", "label", "predicted", "score", "explained", "status"]


def runs(data: str) -> list[Run]:
    """The runs of config/reference.yaml on the recordings in the folder `data` ("": data/UrbanSound8K).

    Raises
    ------
    InputError
        There are no recordings, or an entry has an unknown parameter or value.

    Chapter: notebooks/13_reference.md
    """
    made = []
    for entry in _entries():
        choices = {name: value for name, value in entry.items() if name not in ("stock", "engine", "also")}
        run = study.open(profile="thesis", data=data, **choices)
        if run.source.synthetic:
            raise InputError(
                "the reference runs need real recordings; name them with DATA=folder, or get them with "
                "`make data`"
            )
        less = {}
        if entry.get("engine"):
            less["drawn_clips"] = 0
        if entry.get("engine") or not entry.get("stock", True):
            less |= {"stock_clips": 0, "stock_clips_deep": 0}
        made.append(dataclasses.replace(run, profile=dataclasses.replace(run.profile, **less)))
    return made


def make(data: str) -> None:
    """Compute every reference run that is not there yet, one after the other; goes on after an interruption.

    Chapter: notebooks/13_reference.md
    """
    every = runs(data)
    for run in every:
        print(run.key, flush=True)
        scores.make(run)
    for entry, run in zip(_entries(), every, strict=True):
        for name in entry.get("also", []):
            print(f"{run.key}: {name}", flush=True)
            importlib.import_module(f"helpers.{name}").make(run)
    for run in every:  # stock Quantus takes longest and comes last
        scores.make_stock(run)


def _entries() -> list[dict]:
    return yaml.safe_load((study.ROOT / "config" / "reference.yaml").read_text())


def record(data: str) -> list[str]:
    """Write the tables below data/recorded from the runs that are there; recorded runs that are not, stay.

    Returns
    -------
    Keys of the runs that were written.

    Raises
    ------
    InputError
        No run is there, or an artefact does not belong to the one it was made from.

    Chapter: notebooks/13_reference.md
    """
    every = runs(data)
    there = [run for run in every if artifacts.record_path(run.path("scores.csv")).exists()]
    if not there:
        raise InputError(
            f"no reference run on {every[0].source.folder} is there; `make reference` computes them"
        )
    study.RECORDED.mkdir(parents=True, exist_ok=True)
    order = [run.key for run in every]
    provenance = {run.key: _provenance(run) for run in there}
    networks = list({run.key: run for run in map(_network, there)}.values())
    tables = {
        "scores": (_scores, there),
        # runs that differ in what is explained share a network: its history and predictions are kept once
        "histories": (_history, networks),
        "predictions": (_predictions, networks),
        "specifications": (_curve, _having(there, "specifications")),
        **{name: (functools.partial(_table, name), _having(there, name)) for name in TABLES},
    }
    for name, (of, having) in tables.items():
        new = {run.key: run for run in having}
        path = study.RECORDED / f"{name}.csv"
        parts = [of(run) for run in having]
        if path.exists():
            old = pd.read_csv(path)
            parts.append(old[old["run"].isin(set(order) - set(new))])
        if not parts:
            continue
        both = pd.concat([part for part in parts if len(part)], ignore_index=True)
        rank = both["run"].map(order.index)
        artifacts.write_text(path, both.iloc[np.argsort(rank, kind="stable")].to_csv(index=False))
    _record_arrays("nodes.npz", _nodes, there, order)
    _record_arrays("effects.npz", _effects, _having(there, "effects", suffix=".npz"), order)
    known = recorded("provenance.json") if (study.RECORDED / "provenance.json").exists() else {}
    both = {key: (known | provenance)[key] for key in order if key in known | provenance}
    artifacts.write_text(study.RECORDED / "provenance.json", json.dumps(both, indent=1) + "\n")
    return list(provenance)


def recorded(name: str) -> pd.DataFrame | dict:
    """A file of data/recorded: scores, histories, predictions or verdicts (.csv), or provenance.json.

    Tables of runs have the columns run, data, architecture and seed; here also `setting`, the run without
    its architecture.

    Chapter: notebooks/13_reference.md
    """
    path = study.RECORDED / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    table = pd.read_csv(path).rename(columns={"fsID": "recording"})
    if "setting" not in table and "architecture" in table:
        table["setting"] = table["run"].str.split(" ", n=1).str[1]
    return table


def select(name: str, setting: str) -> pd.DataFrame:
    """The rows of a recorded table that belong to one setting, such as "seed=0 hop_length=1024".

    The column architecture has the names that figures show, such as ResNet18.

    Raises
    ------
    InputError
        No run of that setting is recorded.

    Chapter: notebooks/13_reference.md
    """
    table = recorded(name)
    if not (table["setting"] == setting).any():
        known = "; ".join(table["setting"].unique())
        raise InputError(f'no run with "{setting}" is recorded; choose one of: {known}')
    architecture = table["architecture"].str.replace("resnet", "ResNet")
    return table.assign(architecture=architecture)[table["setting"] == setting]


def nodes(key: str) -> np.ndarray:
    """What Grad-CAM gave the places of the layer in a recorded run: (clips, rows, columns), float32.

    The clips are those of the run in scores.csv, in that order; `explain.stretch` makes the maps.

    Chapter: notebooks/13_reference.md
    """
    with np.load(study.RECORDED / "nodes.npz", allow_pickle=False) as arrays:
        return arrays[key]


def _network(run: Run) -> Run:
    """The run with the same network whose explanations and scores are the default ones."""
    return _by_default(run, *UNHEARD)


def _by_default(run: Run, *choices: str) -> Run:
    return dataclasses.replace(run, **{name: study.CHOICES[name][0] for name in choices})


def _keys(run: Run) -> dict:
    return {"run": run.key, "data": run.source.label, "architecture": run.architecture, "seed": run.seed}


def _scores(run: Run) -> pd.DataFrame:
    names = ("quantus.csv", "quantus-older.csv", "scores.csv")
    there = [run.path(name) for name in names if run.path(name).exists()]
    tables = [pd.read_csv(path) for path in there]
    table = pd.concat([table for table in tables if len(table)])
    return table.rename(columns={"name": "clip", "fs_id": "fsID"}).assign(**_keys(run))[SCORES]


def _history(run: Run) -> pd.DataFrame:
    table = pd.read_csv(run.path("network") / "history.csv")
    return table.assign(**_keys(run))[[*KEYS, *table.columns]]


def _predictions(run: Run) -> pd.DataFrame:
    table = pd.read_csv(run.path("network") / "predictions.csv")
    table = table.rename(columns={"name": "clip", "fs_id": "fsID"})
    return table.assign(**_keys(run))[[*KEYS, *table.columns]]


def _has(run: Run, artefact: str) -> bool:
    """Whether an artefact is there, and not that of a run which differs in a choice the artefact ignores."""
    path = run.path(artefact)
    others = (_by_default(run, choice) for choice in UNHEARD)
    shared = any(other != run and other.path(artefact) == path for other in others)
    return not shared and artifacts.record_path(path).exists()


def _having(runs: list[Run], name: str, *, suffix: str = ".csv") -> list[Run]:
    return [run for run in runs if _has(run, name + suffix)]


def _table(name: str, run: Run) -> pd.DataFrame:
    table = pd.read_csv(run.path(f"{name}.csv")).rename(columns={"name": "clip", "fs_id": "fsID"})
    return table.assign(**_keys(run))[[*KEYS, *table.columns]]


def _curve(run: Run) -> pd.DataFrame:
    table = curve.curve(pd.read_csv(run.path("specifications.csv")))
    choices = run.parameters("hop_length", "padding", "scaling")
    return table.assign(**_keys(run), **choices)[[*KEYS, *choices, *table.columns]]


def _nodes(run: Run) -> dict[str, np.ndarray]:
    with np.load(run.path("explanations.npz"), allow_pickle=False) as arrays:
        return {run.key: arrays["nodes"]}


def _effects(run: Run) -> dict[str, np.ndarray]:
    with np.load(run.path("effects.npz"), allow_pickle=False) as arrays:
        return {f"{run.key} {name}": arrays[name] for name in ("names", "nodes", "effects", "again")}


def _record_arrays(
    name: str, of: Callable[[Run], dict[str, np.ndarray]], there: list[Run], order: list[str]
) -> None:
    path = study.RECORDED / name
    arrays = {}
    if path.exists():
        with np.load(path, allow_pickle=False) as old:
            arrays = {key: old[key] for key in old.files}
    for run in there:
        arrays |= of(run)
    known = {key: values for run in order for key, values in arrays.items() if _belongs(key, run)}
    if not known:
        return
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **known)
    os.replace(part, path)


def _belongs(key: str, run: str) -> bool:
    """Whether an array's key is the run's, or the run's and a name; a choice (with a "=") is no name."""
    head, _, name = key.rpartition(" ")
    return key == run or (head == run and "=" not in name)


def _provenance(run: Run) -> dict:
    """The run's parameters and the records of its artefacts, checked to belong to each other."""
    there = [*ARTEFACTS, *(name for name in MORE if _has(run, name))]
    records = {name: artifacts.record(run.path(name)) for name in there}
    for name, known in records.items():
        if artifacts.content_digest(run.path(name)) != known["content"]:
            raise InputError(
                f"{run.path(name)} has changed since it was made; `make reference` makes it again"
            )
        for source, digest in known["recipe"]["inputs"].items():
            if source in records and records[source]["content"] != digest:
                raise InputError(
                    f"{run.path(name)} was made from another {source}; `make reference` makes it again"
                )
    choices = {field: value for field, value in vars(run).items() if field not in ("profile", "source")}
    return {
        "data": run.source.label,
        "training_folds": records["network"]["made"]["training_folds"],
        "test_fold": records["network"]["made"]["test_fold"],
        "parameters": choices | {"profile": vars(run.profile)},
        "artefacts": records,
    }
