"""The same network on several test folds: the mean over folds, as the authors of UrbanSound8K ask for, and the tests
of the third plan (book/plan_folds.md).

Folds differ in difficulty, and all clips of a recording lie in one fold, so a mean over shuffled clips would be another
number. What is uncertain is which recordings were at hand: they are drawn anew within each fold.

Chapter: notebooks/13_reference.md, notebooks/21_confirmation.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from helpers import artifacts, study
from helpers.artifacts import Artefact
from helpers.experiments import controls, scores
from helpers.findings import confirmation, statistics
from helpers.networks import training
from helpers.study import Run

ALL = frozenset(range(1, 11))
LONGEST = 4.0  # seconds: what a clip of UrbanSound8K has at most, to some samples
PLANNED = (1, 2, 4, 5, 6, 7, 8, 9)  # test folds of the third plan: no map of them had been scored
MEAN = "mean over folds"
ALIKE = "each recording once"  # the mean over recordings of the mean of their clips
_NOTHING = pd.DataFrame(columns=["network", "of", "test fold", "mean", "low", "high", "clips", "recordings", ALIKE])


def runs(run: Run) -> list[Run]:
    """The runs of the study `folds` on a run's sounds, at its profile; of a recorded run all other recorded ones too.

    Chapter: notebooks/13_reference.md
    """
    own = study.entries("folds", data=run.data, profile=run.profile)
    return [*own, *(study.entries() if run.source.kind == "recorded" else [])]


def families(runs: Iterable[Run], *having: Artefact) -> dict[str, list[Run]]:
    """Runs that differ in their test fold only, where there are at least two folds.

    Training on all other folds counts as the same choice whatever the test fold is.

    Parameters
    ----------
    having : artefacts that each run has. None is made: on ten folds that takes hours.

    Returns
    -------
    Runs in the order of their test folds, by what they share: "ResNet18, seed 1, trained on folds 1+2". First those of
    the most folds.

    Chapter: notebooks/13_reference.md
    """
    found: dict[str, dict[int, Run]] = {}
    for run in runs:
        if all(_kept(artefact, run) for artefact in having):
            found.setdefault(_shared(run), {}).setdefault(run.test_fold, run)
    several = sorted(found.items(), key=lambda one: -len(one[1]))
    return {name: [by[fold] for fold in sorted(by)] for name, by in several if len(by) > 1}


def planned(run: Run, *, where: str = confirmation.INSIDE, clips: str = "") -> pd.DataFrame:
    """The leads of the networks of the study `folds` as far as they have controls, on a run's sounds, at its profile.

    Parameters
    ----------
    where, clips : as in `leads`.

    Returns
    -------
    `summary` of `leads`, of one family; without rows before two folds are there.

    Chapter: notebooks/21_confirmation.md
    """
    own = families(study.entries("folds", data=run.data, profile=run.profile), controls.CONTROLS)
    return summary(own, lambda one: leads(one, where=where, clips=clips), list(confirmation.RIVALS.values()))


def _kept(artefact: Artefact, run: Run) -> bool:
    return artefact.there(run) if run.source.kind == "recorded" else artefact.is_fresh(run)


def _shared(run: Run) -> str:
    others = frozenset(run.training_folds) | {run.test_fold} == ALL
    trained = "all other folds" if others else f"folds {study.said(run.training_folds)}"
    skipped = ("test_fold", "training_folds", "seed", *study.COUNTS)
    changed = [f"{n} {study.said(v)}" for n, v in run.changed.items() if n not in skipped]
    return ", ".join([run.name, f"seed {run.seed}", *changed, f"trained on {trained}"])


def tested(run: Run) -> pd.DataFrame:
    """What came out on test clips of a run: recording, then a value each, NaN where a clip has none.

    accuracy: 1 right, 0 wrong. score: of its Grad-CAM map, frame by frame, of the clips that the controls take. below
    0: whether the thesis's metric puts it there, 1 or 0, of the clips that are explained.

    Chapter: notebooks/13_reference.md
    """
    said, known, thesis = training.predictions(run), controls.CONTROLS.read(run), scores.SCORES.read(run)
    thesis = thesis[(thesis["specification"] == "rank") & thesis["score"].notna()]
    parts = {
        "accuracy": (said, (said["label"] == said["predicted"]).astype(float)),
        "score": (known, known["Grad-CAM"]),
        "below 0": (thesis, (thesis["score"] < 0).astype(float)),
    }
    return pd.concat(table[["recording"]].assign(**{name: values}) for name, (table, values) in parts.items())


def leads(run: Run, *, where: str = confirmation.INSIDE, clips: str = "") -> pd.DataFrame:
    """How far the score of each test clip's Grad-CAM map lies above what the second plan holds it against.

    Parameters
    ----------
    where : " inside" the sound, or "" for all frames.
    clips : "longest", as long as the input allows; "shorter"; "" for all.

    Returns
    -------
    recording and, by the name of each rival, the lead over it: `confirmation.leads`.

    Chapter: notebooks/21_confirmation.md
    """
    found = confirmation.leads(artifacts.across([run], controls.CONTROLS.read), where=where)
    full = min(found["frames"].max(), 1 + int(LONGEST * run.sampling_rate) // run.hop_length)  # some have a frame more
    longest = found["frames"] >= full
    found = found[{"": longest | True, "longest": longest, "shorter": ~longest}[clips]]
    return found.rename(columns=confirmation.RIVALS)[["recording", *confirmation.RIVALS.values()]]


def primary(by_fold: pd.DataFrame, *, bound: float = confirmation.BOUND, of: str = "mean") -> pd.DataFrame:
    """The tests of the third plan: the lead of each fold in `PLANNED` is one number, and their mean is held against 0.

    Parameters
    ----------
    by_fold : from `summary` of `leads`, of one family. bound : as in `confirmation.primary`.
    of : the column of `by_fold` that is a fold's lead; "mean" as planned, `ALIKE` to see what else it could say.

    Returns
    -------
    A row per rival: comparison, minus (the rival), folds (of `PLANNED`, that are there), mean with its 95 % interval
    low, high; p of a two-sided t-test and p_holm, corrected over the two; inner low, inner high, the 90 % interval;
    equal: it lies within the bound. Before all of `PLANNED` are there, these are NaN, and equal is False.

    Source: Student 1908; Holm 1979; Schuirmann 1987. Chapter: notebooks/21_confirmation.md
    """
    made = []
    planned = by_fold[by_fold["test fold"].isin([str(fold) for fold in PLANNED])]
    for comparison, rival in confirmation.RIVALS.items():
        own = planned.loc[planned["of"] == rival, of].to_numpy(float)
        facts = {
            "comparison": comparison,
            "minus": rival,
            "folds": len(own),
            "mean": own.mean() if len(own) else np.nan,
        }
        if len(own) == len(PLANNED):
            test = stats.ttest_1samp(own, 0)
            wide, inner = (test.confidence_interval(level) for level in (statistics.LEVEL, 1 - 2 * confirmation.LEVEL))
            facts |= {"low": wide.low, "high": wide.high, "p": test.pvalue}
            facts |= {"inner low": inner.low, "inner high": inner.high}
            facts["equal"] = -bound < inner.low and inner.high < bound
        made.append(dict.fromkeys(("low", "high", "p", "inner low", "inner high"), np.nan) | {"equal": False} | facts)
    table = pd.DataFrame(made)
    table["p_holm"] = multipletests(table["p"], method="holm")[1] if table["p"].notna().all() else np.nan
    return table


def how_sure(by_fold: pd.DataFrame) -> str:
    """Exploratory, as Markdown: how far the folds of the third plan differ, and its end with each recording once.

    Parameters
    ----------
    by_fold : as for `primary`, with all of `PLANNED`.

    Chapter: notebooks/21_confirmation.md
    """
    rival = confirmation.RIVALS["C"]
    own = by_fold[by_fold["test fold"].isin(map(str, PLANNED)) & (by_fold["of"] == rival)]
    ends = (
        f"{row['mean']:+.2f} (fold {row['test fold']})" for _, row in own.sort_values("mean").iloc[[0, -1]].iterrows()
    )
    above, below = (own["low"] > 0).sum(), (own["high"] < 0).sum()
    tests = primary(by_fold, of=ALIKE)
    lead = tests.set_index("minus").loc[rival]
    return (
        f"*How sure is that?* The folds differ. Minus one curve for all clips, they go from {' to '.join(ends)}; "
        f"intervals from recordings lie above 0 on {above} and below 0 on {below} of them. With each recording once, "
        f"which was not planned, their mean is {lead['mean']:+.2f} ({lead['low']:+.2f} to "
        f"{lead['high']:+.2f}), and maps would be **{confirmation.end(tests)}**."
    )


def summary(
    families: Mapping[str, Sequence[Run]], read: Callable[[Run], pd.DataFrame], values: Sequence[str]
) -> pd.DataFrame:
    """Each family on each of its test folds, and the mean over folds.

    Parameters
    ----------
    families : from `families`. read : gives the table of a run, a row per clip, with its recording and the values.
    values : columns of that table.

    Returns
    -------
    A row per family, value and fold, and one for the mean: network, of (which value), and the columns of `over`.

    Chapter: notebooks/13_reference.md
    """
    rows = []
    for name, runs in families.items():
        table = pd.concat(read(run).assign(fold=run.test_fold) for run in runs)
        for value in values:
            found = over(table[value], table["recording"], table["fold"])
            found.insert(0, "of", value)
            found.insert(0, "network", name)
            rows.append(found)
    return pd.concat(rows or [_NOTHING], ignore_index=True)


def over(
    values: Sequence[float] | pd.Series,
    recordings: Sequence[int] | pd.Series,
    folds: Sequence[int] | pd.Series,
    *,
    draws: int = 5000,
) -> pd.DataFrame:
    """The mean of each fold, and the mean over folds, in which each fold counts the same however many clips it has.

    Parameters
    ----------
    values : (clips,); clips whose value is NaN are left out. recordings, folds : (clips,), of each clip.
    draws : samples of the bootstrap, in which the recordings of each fold are drawn with replacement.

    Returns
    -------
    A row per fold and one for the mean over folds: test fold, mean with its 95 % interval low, high, clips,
    recordings; each recording once: the mean in which each recording counts the same, by the mean of its clips. With a
    fold of one recording the mean over folds has no interval (NaN).

    Source: Salamon, Jacoby & Bello 2014; Field & Welsh 2007 (cluster bootstrap). Chapter: notebooks/13_reference.md
    """
    table = pd.DataFrame({"value": values, "recording": recordings, "fold": folds}).dropna()
    table["value"] = table["value"].astype(float)
    rows = []
    for fold, part in table.groupby("fold"):
        low, high = statistics.interval(np.mean, part["value"], part["recording"], draws=draws)
        rows.append({"test fold": str(fold), "mean": part["value"].mean(), "low": low, "high": high, **_counts(part)})
    low, high = _interval(table, draws=draws)
    means = pd.DataFrame(rows, columns=["mean", ALIKE]).mean()
    return pd.DataFrame([*rows, {"test fold": MEAN, "low": low, "high": high, **_counts(table), **means}])


def _counts(part: pd.DataFrame) -> dict[str, float]:
    each = part.groupby("recording")["value"].mean()
    return {"clips": len(part), "recordings": len(each), ALIKE: each.mean()}


def _interval(table: pd.DataFrame, *, draws: int) -> tuple[float, float]:
    """Of the mean over folds; several samples are drawn from independently of each other."""
    sums = [part.groupby("recording")["value"].agg(["sum", "size"]).to_numpy() for _, part in table.groupby("fold")]
    if not sums or min(map(len, sums)) < 2:
        return np.nan, np.nan

    def mean(*drawn: np.ndarray, axis: int) -> np.ndarray:
        each = [
            of[which, 0].sum(axis=axis) / of[which, 1].sum(axis=axis) for of, which in zip(sums, drawn, strict=True)
        ]
        return np.mean(each, axis=0)

    found = stats.bootstrap(
        [np.arange(len(of)) for of in sums],
        mean,
        n_resamples=draws,
        vectorized=True,
        method="percentile",
        confidence_level=statistics.LEVEL,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
