"""Recorded results made again, and what came out held against what is recorded.

Chapter: book/how_to_use.md
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy

from helpers import artifacts, study
from helpers.book import studies
from helpers.experiments import frame_effects, scores
from helpers.maps import explainers
from helpers.metric import blocking, correlation, forward, perturbation
from helpers.networks import training

CLIPS = 4  # by default
# How far what is made again may lie from what is recorded. The network that travels is in half precision (11 bits), the
# recorded numbers are the full one's; so its answers, maps and effects agree to about a thousandth of a clip's largest.
ALLOWED = {"logits": 2e-2, "nodes": 5e-3, "effects": 2e-2, "scores by frame": 0.02, "scores by rank": 0.02}
UNSETTLED = "scores by rank, recorded by an earlier rule of ties: not compared"
COLUMNS = ["what", "clips", "largest difference", "allowed", "equal"]


def verify(*, count: int | str, name: str, data: str) -> pd.DataFrame:
    """All that can be held against each other: of the recorded results, or with `data` of a study that is made anew.

    Returns
    -------
    what, clips, largest difference, allowed, equal ("yes", "no", or "" where nothing can be compared).

    Chapter: book/how_to_use.md
    """
    if data:
        return again(name, data)
    found = files()
    return pd.concat([found, travelling(count)], ignore_index=True) if (found["equal"] == "yes").all() else found


def files() -> pd.DataFrame:
    """Whether every recorded file is the one that its record speaks of: one row, how many are not, with their names.

    Chapter: book/how_to_use.md
    """
    records = sorted((study.RECORDED / "urbansound8k").rglob("*.json"))
    changed = [path.name for path in records if not artifacts.unchanged(path)]
    named = f": {', '.join(changed)}" if changed else ""
    return _table([(f"{len(records)} files as recorded{named}", "all", float(len(changed)), 0.0)])


def travelling(count: int | str = CLIPS) -> pd.DataFrame:
    """Answers, maps, effects and scores by the network that comes with the repository, from its recorded inputs.

    Parameters
    ----------
    count : explained clips, the first so many, or "all".

    Returns
    -------
    One row for each: what, clips, largest difference, allowed, equal. Of logits, nodes and effects the difference is a
    share of the clip's largest, of scores it is a difference.

    Chapter: book/how_to_use.md
    """
    run = study.traveller()
    network, maps = training.network(run), explainers.explanations(run).first(count)
    answers = training.predictions(run).set_index("clip").loc[maps.clips].filter(like="logit_").to_numpy()
    known = frame_effects.frames(run)
    at = [list(known.clips).index(clip) for clip in maps.clips]
    nodes = explainers.of_run(run, network, maps.inputs, classes=maps.explained, clips=maps.clips)
    fast, ask = forward.prepare(network, shape=maps.inputs.shape[1:]), (maps.inputs, maps.explained)
    effects = perturbation.effects(fast, *ask)
    made = explainers.stretch(nodes, run.shape)
    ranked, settled = ranks(maps.maps, size=run.features_in_step)
    by_rank = perturbation.effects(fast, *ask, blocks=ranked, baseline=run.baseline)
    recorded = scores.SCORES.read(run).pivot_table(index="clip", columns="specification", values="score", dropna=False)
    recorded = recorded.reindex(maps.clips)
    again = correlation.score(maps.maps, by_rank, blocks=ranked)
    found = {
        "logits": _share(training.predict(network, maps.inputs).numpy(), answers),
        "nodes": _share(nodes, maps.nodes),
        "effects": _share(effects, known.effects[at]),
        "scores by frame": _apart(correlation.score(made, effects), recorded["frame"]),
        "scores by rank": _apart(again[settled], recorded["rank"][settled]),
    }
    counts = {"scores by rank": int(settled.sum())}
    rows: list[tuple] = [
        (what, str(counts.get(what, len(maps.clips))), value, ALLOWED[what]) for what, value in found.items()
    ]
    if not settled.all():  # said, and not compared
        rows.append(
            (UNSETTLED, str(int((~settled).sum())), _apart(again[~settled], recorded["rank"][~settled]), np.nan)
        )
    return _table(rows)


def ranks(maps: np.ndarray, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The blocks of recorded maps by rank, and of which maps they do not hang on less than a millionth of the largest.

    Scores that were recorded before ranks became exact took such cells for equal (book/changed.md). Where this moves
    more than three hundredths of a map's cells into another block, today's score is one of another order.

    Parameters
    ----------
    maps : (maps, rows, columns), float. size : cells in a block.

    Returns
    -------
    Blocks as in `blocking.rank_blocks`, and (maps,), bool.

    Chapter: book/how_to_use.md
    """
    ranked = blocking.rank_blocks(maps, size=size)
    coarse = np.round(blocking.scaled(maps).reshape(maps.shape).astype(np.float64) * 1e6)
    return ranked, (blocking.rank_blocks(coarse, size=size) != ranked).mean(axis=(1, 2)) < 0.03


def again(name: str, data: str) -> pd.DataFrame:
    """Every artefact of a study made anew, in data/again, and held against data/runs and data/recorded.

    On the same machine, with the same packages and number of threads, all is equal to the last bit. A network that
    learned on another processor is another network; so there only what is made without one is compared, to 1e-3.

    Parameters
    ----------
    name : of the study. data : the folder of recordings.

    Returns
    -------
    One row for each artefact; "not compared" where the recorded one comes from another machine and a network.

    Chapter: book/how_to_use.md
    """
    rows: dict[Path, tuple] = {}
    home = study.RUNS
    with _elsewhere(home.with_name("again")):
        studies.real(data)
        for _, run, artefact in studies.jobs(name, data):
            made = artefact.get(run)
            own, kept = home / made.relative_to(study.RUNS), artefact.path(run.with_(data="recorded"))
            before = next((path for path in (own, kept) if artifacts.record_path(path).exists()), None)
            if before is None or made in rows:
                continue
            what = f"{artefact.name} of {run.key}, {'data/runs' if before == own else 'data/recorded'}"
            same = _circumstances(made) == _circumstances(before)
            if same or "seed" not in artefact.closure:
                rows[made] = (what, "all", difference(made, before), 0.0 if same else 1e-3)
            else:
                rows[made] = (f"{what}: by another machine, not compared", "all", np.nan, np.nan)
    return _table(rows.values())


@contextlib.contextmanager
def _elsewhere(folder: Path) -> Iterator[None]:
    """Results go to a folder of their own: kept when this is interrupted, so that the next call goes on."""
    home, study.RUNS = study.RUNS, folder
    try:
        yield
        shutil.rmtree(folder)
    finally:
        study.RUNS = home


def _circumstances(path: Path) -> tuple:
    made = artifacts.record(path)["made"]
    return tuple(str(made.get(name)) for name in ("machine", "versions", "threads", "device"))


def difference(one: Path, other: Path) -> float:
    """The largest difference of the numbers in two artefacts; infinite where anything else differs.

    Of folders the files that both have: weights do not travel.

    Chapter: book/how_to_use.md
    """
    if one.is_dir():
        names = {path.name for path in one.iterdir()} & {path.name for path in other.iterdir()}
        return max(difference(one / name, other / name) for name in names)
    first, second = _arrays(one), _arrays(other)
    if set(first) != set(second):
        return np.inf
    return max((_largest(first[name], second[name]) for name in first), default=0.0)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".csv":
        return {str(name): column.to_numpy() for name, column in pd.read_csv(path).items()}
    if path.suffix == ".safetensors":
        return safetensors.numpy.load_file(path)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return np.inf
    if one.dtype.kind not in "fiu":
        return 0.0 if (pd.Series(one.ravel()).fillna("") == pd.Series(other.ravel()).fillna("")).all() else np.inf
    return _apart(one.astype(other.dtype) if other.dtype == np.float16 else one, other)  # weights travel in half


def _apart(one: np.ndarray, other: np.ndarray | pd.Series) -> float:
    """The largest difference; both may lack the same values."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if (np.isnan(a) != np.isnan(b)).any():
        return np.inf
    return float(np.nanmax(np.abs(a - b), initial=0.0)) if a.size else 0.0


def _share(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference as a share of the largest value of the same clip."""
    one, other = (np.asarray(values, dtype=np.float64).reshape(len(values), -1) for values in (one, other))
    largest = np.abs(other).max(1, keepdims=True)
    return _apart(one / np.where(largest == 0, 1, largest), other / np.where(largest == 0, 1, largest))


def _table(rows: Iterable[tuple]) -> pd.DataFrame:
    found = pd.DataFrame(list(rows), columns=COLUMNS[:4])
    known = found["allowed"].notna()
    return found.assign(
        equal=np.where(~known, "", np.where(found["largest difference"] <= found["allowed"], "yes", "no"))
    )
