"""Studies: lists of runs (config/studies), what they ask for, recorded and merged through what the artefacts declare.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors.torch
import torch

from helpers import InputError, artifacts, study
from helpers.artifacts import Artefact
from helpers.book import contents
from helpers.experiments import (
    blocks,
    co12,
    comparison,
    controls,
    frame_effects,
    known_truth,
    metrics,
    peers,
    pictures,
    planted,
    properties,
    sanity,
    scores,
    slips,
    specifications,
)
from helpers.findings import curve
from helpers.maps import examples, explainers
from helpers.networks import training
from helpers.study import Run

# every artefact of a run; a module that is imported here has declared its own
EVERY = (
    training,
    explainers,
    examples,
    scores,
    peers,
    frame_effects,
    controls,
    comparison,
    blocks,
    known_truth,
    sanity,
    metrics,
    planted,
    pictures,
    properties,
    slips,
    co12,
    specifications,
    curve,
)
ALWAYS = ("network", "predictions.csv", "sample.npz", "explanations.npz", "scores.csv")


def named(stem: str) -> Artefact:
    """An artefact by its name without suffix, as studies and `make plan` write it.

    Raises
    ------
    InputError
        There is none.
    """
    found = {name.partition(".")[0]: artefact for name, artefact in artifacts.ALL.items()}
    if stem not in found:
        raise InputError(f'artefact "{stem}" is not known; choose from {", ".join(found)} (config/studies)')
    return found[stem]


def jobs(name: str, data: str, profile: str = "") -> Iterator[tuple[dict, Run, Artefact]]:
    """Every artefact that a study asks for: its entry, the run and the artefact, in the order of making."""
    for entry, run in zip(study.study(name), study.entries(name, data=data, profile=profile), strict=True):
        usual = ALWAYS[:2] if "only" in entry else ALWAYS
        for artefact in [artifacts.ALL[n] for n in usual] + [named(n) for n in beside(entry)]:
            yield entry, run, artefact


def beside(entry: Mapping[str, Any]) -> list[str]:
    """What an entry of a study names beside what every run has: `also`, or `only` where it shall have nothing else."""
    return entry.get("also", []) + entry.get("only", [])


def reads(chapter: str) -> list[Artefact]:
    """The artefacts that a chapter can ask for, by the helper modules its cells import, with their inputs."""
    modules = contents.imports_of(chapter)
    asked = [one for one in artifacts.ALL.values() if one.make.__module__.partition(".")[2] in modules]
    return list(dict.fromkeys(inner for one in asked for inner in _all(one)))


def _all(artefact: Artefact) -> Iterator[Artefact]:
    """An artefact after all that it is made from."""
    for one in artefact.inputs:
        yield from _all(one if isinstance(one, Artefact) else one.artefact)
    yield artefact


def real(data: str) -> None:
    """Refuse sounds that a program made.

    Raises
    ------
    InputError
        No recordings are there.
    """
    if study.open(profile="thesis", data=data).source.synthetic:
        raise InputError(
            "a recorded study needs real recordings; name them with DATA=folder, or get them with `make data`"
        )


@contextlib.contextmanager
def staged() -> Iterator[Path]:
    """Let data/recorded be a copy of itself that takes its place at the end: what is written there is one step or none.

    Gives the folder of the copy, where `study.RECORDED` is meanwhile. Without room for it: RuntimeError.
    """
    home = study.RECORDED
    for left in home.parent.glob(".recorded-*"):  # by a call that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=".recorded-", dir=home.parent) as work:
        try:
            study.RECORDED = Path(shutil.copytree(home, Path(work) / "recorded"))
        except shutil.Error as several:  # one for each file; the first says enough
            reason = several.args[0][0][2].partition(":")[0]
            raise RuntimeError(
                f"{home} cannot be copied before it is written to ({reason}); make room, and run the same command again"
            ) from None
        try:
            yield study.RECORDED
            artifacts.take_place(study.RECORDED, home)
        finally:
            study.RECORDED = home


def record(name: str, data: str) -> list[str]:
    """Copy what a study's runs made to data/recorded: the same tree, provenance beside each file.

    No sound; no weights but those of the entry that says so, in half precision. Runs that are not there stay
    as they are recorded. Call it within `staged`.

    Returns
    -------
    What was copied.

    Raises
    ------
    InputError
        Nothing is there, or an artefact does not belong to the one it was made from.
    """
    real(data)
    copied: list[str] = []
    for entry, run, last in jobs(name, data):
        for artefact in _all(last):
            path = artefact.path(run, run.test_fold)
            if not artefact.record or not artifacts.record_path(path).exists():
                continue
            _check(artefact, run)
            target = artefact.path(run.with_(data="recorded"))
            if (where := target.relative_to(study.RECORDED).as_posix()) not in copied:
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(path, target, weights=bool(entry.get("weights")))
                copied.append(where)
    if not copied:
        raise InputError(f"no run of study {name} is there; `make study STUDY={name} DATA={data}` computes them")
    return copied


def _check(artefact: Artefact, run: Run) -> None:
    """Refuse an artefact that was changed, or whose inputs are others now."""
    path = artefact.path(run)
    known = artifacts.record(path)
    again = "`make study` makes it again"
    if artifacts.content_digest(path) != known["content"]:
        raise InputError(f"{path} has changed since it was made; {again}")
    for one in artefact.inputs:
        if (
            isinstance(one, Artefact)
            and artifacts.record(one.path(run))["content"] != known["recipe"]["inputs"][one.name]
        ):
            raise InputError(f"{path} was made from another {one.name}; {again}")


def _copy(path: Path, target: Path, *, weights: bool) -> None:
    known = artifacts.record(path)
    if path.is_dir():
        shutil.rmtree(target, ignore_errors=True)  # what was recorded before, weights too
        target.mkdir()
        for file in path.iterdir():
            if file.suffix != ".safetensors":
                shutil.copy2(file, target / file.name)
            elif weights:
                full = safetensors.torch.load_file(file)
                half = {n: v.half() if v.dtype == torch.float32 else v for n, v in full.items()}
                safetensors.torch.save_file(half, target / file.name)
        known["made"]["recorded"] = "weights in half precision" if weights else "without weights"
    else:
        shutil.copy2(path, target)
    artifacts.write_text(
        artifacts.record_path(target),
        json.dumps(known | {"content": artifacts.content_digest(target)}, indent=1) + "\n",
    )


def merge(folder: str, data: str) -> pd.DataFrame:
    """Take over what others made of the same study: artefacts of their runs that are whole, beside one's own.

    Nothing is ever overwritten. An artefact is moved into place in one step, its record last.

    Parameters
    ----------
    folder : their runs (RUNS of their call, or data/runs of their checkout). data : one's own sounds.

    Returns
    -------
    One row per artefact that was found: artefact, outcome ("taken", "there already", or why not).

    Raises
    ------
    InputError
        There is no such folder, or no artefact in it.
    """
    source, theirs = study.open(profile="thesis", data=data).source, study.place("FROM", folder)
    records = sorted(path for path in theirs.rglob("*.json") if not path.name.startswith("."))
    found = {path: known for path in records if "recipe_digest" in (known := read(path))}
    if not found:
        raise InputError(
            f'no artefact lies in "{folder}"; name a folder of runs, such as data/runs of a checkout (FROM)'
        )
    rows = []
    for path, known in found.items():
        parts = path.relative_to(theirs).parts
        level = next((i for i, part in enumerate(parts) if part in study.profiles()), None)
        name = Path(str(known.get("artefact"))).name
        theirs_is = path.parent / name
        if level is None or name != known["artefact"] or path != artifacts.record_path(theirs_is):
            outcome = "not where an artefact of that name lies"
        elif (sounds := known.get("made", {}).get("data")) != source.label:
            outcome = f"of other sounds ({sounds}, not {source.label})"
        elif not artifacts.is_whole(theirs_is):
            outcome = "changed since it was made"
        else:
            outcome = _taken(theirs_is, source.results.joinpath(*parts[level:-1], name), known)
        rows.append({"artefact": theirs_is.relative_to(theirs).as_posix(), "outcome": outcome})
    return pd.DataFrame(rows)


def _taken(path: Path, target: Path, known: dict[str, Any]) -> str:
    """Copy one artefact beside its place and move it there, its record last; nothing where something is."""
    if artifacts.record_path(target).exists():
        same = artifacts.record(target)["content"] == known["content"]
        return "there already" if same else "conflict: another one of that name is there, and was kept"
    target.parent.mkdir(parents=True, exist_ok=True)
    with artifacts.locked(target), tempfile.TemporaryDirectory(prefix=".merge-", dir=target.parent) as work:
        copied = Path(work) / target.name
        shutil.copytree(path, copied) if path.is_dir() else shutil.copy2(path, copied)
        if artifacts.content_digest(copied) != known["content"]:
            return "changed while it was copied"
        artifacts.take_place(copied, target)  # a rest without a record belongs to nobody
        artifacts.write_text(artifacts.record_path(target), artifacts.record_path(path).read_text())
    return "taken"


def read(path: Path) -> dict[str, Any]:
    """A record as it lies there; {} where the file is none."""
    try:
        known = json.loads(path.read_text())
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def prune(names: list[str]) -> pd.DataFrame:
    """Runs' artefacts by size, largest first; those named are removed.

    Parameters
    ----------
    names : paths as the table shows them, such as "synthetic/quick/resnet101/network-learning_rate=0.0003".

    Raises
    ------
    InputError
        A name is not in the table.
    """
    rows = []
    for path, known in artifacts.records(study.RUNS, "**/*.json").items():
        kept = path.with_name(known["artefact"])
        files = [kept] if kept.is_file() else [p for p in kept.rglob("*") if p.is_file()]
        name = kept.relative_to(study.RUNS).as_posix()
        rows.append({"artefact": name, "MB": round(sum(p.stat().st_size for p in files) / 1e6, 1)})
    table = pd.DataFrame(rows, columns=["artefact", "MB"]).sort_values("MB", ascending=False, ignore_index=True)
    unknown = set(names) - set(table["artefact"])
    if unknown:
        raise InputError(f"{min(unknown)} is not there; name artefacts as `make prune` lists them (NAMES in the call)")
    for name in names:
        kept = study.RUNS / name
        artifacts.record_path(kept).unlink()
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink(missing_ok=True)
    return table[~table["artefact"].isin(names)]
