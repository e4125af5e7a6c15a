"""Do a clip's properties predict the score of its map? Models that are asked about recordings they have not seen.

Chapter: notebooks/26_commonalities.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.inspection import partial_dependence
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from helpers.findings import statistics

SOUND = ("flatness", "onsets per second", "loudness", "loudness variation", "centroid")
ANSWER = ("confidence", "margin", "entropy", "right", "agreement")
WORDS = ("class", "salience")  # properties that are no numbers
PROPERTIES = (*WORDS, "length", *ANSWER, *SOUND)
LEAST = 50, 20  # clips and recordings: with fewer no model is asked
FEW = "There are too few clips here for a model, so what faithful maps have in common is not asked."
FOLDS = 10  # of the cross-validation


def varied(part: pd.DataFrame) -> list[str]:
    """The properties of a kind's clips that differ at all: one seed alone always agrees with itself.

    Chapter: notebooks/26_commonalities.md
    """
    return [name for name in PROPERTIES if part[name].nunique() > 1]


def asked(
    table: pd.DataFrame, *, target: str = "score", least: tuple[int, int] = LEAST
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The kinds of network that have enough clips for a model, each with its clips that have the target.

    Parameters
    ----------
    table : `commonalities.clips`. target : "score" or "lead". least : clips and recordings.

    Chapter: notebooks/26_commonalities.md
    """
    for kind, part in table[table[target].notna()].groupby("kind", sort=False):
        if len(part) >= least[0] and part["recording"].nunique() >= least[1]:
            yield str(kind), part.reset_index(drop=True)


def linear(part: pd.DataFrame, names: Sequence[str]) -> Pipeline:
    """A linear model that is not fitted yet: ridge regression on standardised numbers and one column per class.

    How strongly it is held back is chosen by cross-validation among recordings of `part`.

    Parameters
    ----------
    part : the clips that it will learn from. names : of `PROPERTIES`.

    Source: scikit-learn's RidgeCV. Chapter: notebooks/26_commonalities.md
    """
    groups = part["recording"].to_numpy()
    splits = list(GroupKFold(min(3, len(np.unique(groups)))).split(groups, groups=groups))
    return make_pipeline(_columns(names), RidgeCV(np.logspace(-1, 4, 6), cv=splits))


def tree(part: pd.DataFrame, names: Sequence[str], *, depth: int = 3, leaf: int = 15, seed: int = 0) -> Pipeline:
    """A regression tree that is not fitted yet: at most `depth` questions, each answer for `leaf` clips or more.

    Parameters
    ----------
    part, names : as in `linear`. seed : decides between questions that are equally good.

    Source: scikit-learn's DecisionTreeRegressor. Chapter: notebooks/26_commonalities.md
    """
    return make_pipeline(
        _columns(names), DecisionTreeRegressor(max_depth=depth, min_samples_leaf=leaf, random_state=seed)
    )


MODELS = {"linear": linear, "tree": tree}


def _columns(names: Sequence[str]) -> ColumnTransformer:
    words = [name for name in names if name in WORDS]
    numbers = [name for name in names if name not in WORDS]
    return make_column_transformer(
        (StandardScaler(), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        verbose_feature_names_out=False,
    )


Fits = list[tuple[Pipeline, np.ndarray, float]]
Learned = dict[tuple[str, str], Fits]


def fits(part: pd.DataFrame, names: Sequence[str], *, model: str, target: str = "score", folds: int = FOLDS) -> Fits:
    """Models that are each asked about recordings they did not learn from.

    Parameters
    ----------
    part : clips of one kind that have the target. names : of `PROPERTIES`. model : one of `MODELS`.
    target : one of `SCORES`. folds : of the cross-validation, grouped by recording.

    Returns
    -------
    Per fold: the fitted model, the clips (positions in `part`) that it has not seen, and the mean target of the
    others.

    Chapter: notebooks/26_commonalities.md
    """
    found = []
    for seen, new in GroupKFold(folds).split(part, groups=part["recording"]):
        known = part.iloc[seen]
        fitted = MODELS[model](known, names).fit(known[list(names)], known[target])
        found.append((fitted, new, float(known[target].mean())))
    return found


def learned(table: pd.DataFrame, *, target: str = "score", folds: int = FOLDS) -> Learned:
    """The models of all properties, which `compare`, `importance` and `coefficients` ask.

    Parameters
    ----------
    table, target : as in `asked`. folds : as in `fits`.

    Returns
    -------
    By kind of network and name of `MODELS`: its `fits`.

    Chapter: notebooks/26_commonalities.md
    """
    return {
        (kind, model): fits(part, varied(part), model=model, target=target, folds=folds)
        for kind, part in asked(table, target=target)
        for model in MODELS
    }


def expected(part: pd.DataFrame, models: Fits) -> np.ndarray:
    """What each clip's own model, which has not seen its recording, expects of it: (clips,).

    Chapter: notebooks/26_commonalities.md
    """
    found = np.empty(len(part))
    for model, new, _ in models:
        found[new] = model.predict(part.iloc[new])
    return found


def squares(part: pd.DataFrame, models: Fits, *, target: str = "score") -> np.ndarray:
    """Squared errors of models that have not seen the clip's recording, and of the mean of what they learned from.

    Parameters
    ----------
    part : clips of one kind that have the target. models : from `fits`. target : what they predict.

    Returns
    -------
    (clips, 2), in squares of the target.

    Chapter: notebooks/26_commonalities.md
    """
    means = np.empty(len(part))
    for _, new, mean in models:
        means[new] = mean
    return (np.column_stack([expected(part, models), means]) - part[[target]].to_numpy()) ** 2


def r2(errors: np.ndarray) -> float:
    """1 minus how large squared errors are beside those of the mean: 1 is perfect, 0 no better than the mean.

    Parameters
    ----------
    errors : (clips, 2), from `squares`.

    Chapter: notebooks/26_commonalities.md
    """
    wrong, base = errors.sum(axis=0)
    return float(1 - wrong / base) if base > 0 else np.nan


def compare(table: pd.DataFrame, models: Learned, *, target: str = "score", draws: int = 1000) -> pd.DataFrame:
    """Do all properties together say more of the score than the clip's length alone? Out of fold.

    Parameters
    ----------
    table, target : as in `asked`. models : of the same, from `learned`. draws : bootstrap samples of each interval; the
        models stay as they are.

    Returns
    -------
    One row per kind and model of `MODELS`: kind, model, clips, recordings, R2 with its 95 % interval over recordings
    low, high; length alone, with length low, length high; more, the difference of the two, with more low, more high.
    0 is what the mean of the other recordings' clips would reach.

    Chapter: notebooks/26_commonalities.md
    """
    found = []
    for kind, part in asked(table, target=target):
        for model in MODELS:
            every = models[kind, model]
            alone = fits(part, ["length"], model=model, target=target, folds=len(every))
            errors = np.column_stack([squares(part, every, target=target), squares(part, alone, target=target)[:, 0]])
            facts = {"kind": kind, "model": model, "clips": len(part), "recordings": part["recording"].nunique()}
            for name, ends, read in _READS:
                interval = statistics.interval(read, errors, part["recording"], draws=draws)
                facts |= {name: read(errors)} | dict(zip(ends, interval, strict=True))
            found.append(facts)
    return pd.DataFrame(found)


# of squared errors: all properties, the mean, length alone
_READS: tuple[tuple[str, tuple[str, str], Callable[[np.ndarray], float]], ...] = (
    ("R2", ("low", "high"), lambda s: r2(s[:, [0, 1]])),
    ("length alone", ("length low", "length high"), lambda s: r2(s[:, [2, 1]])),
    ("more", ("more low", "more high"), lambda s: r2(s[:, [0, 1]]) - r2(s[:, [2, 1]])),
)


def importance(
    table: pd.DataFrame,
    models: Learned,
    *,
    model: str = "linear",
    target: str = "score",
    repeats: int = 10,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How much worse is a model on new recordings when a property is shuffled among the clips?

    Parameters
    ----------
    table, models, target, draws : as in `compare`. model : one of `MODELS`. repeats : shuffles, of which the mean is
        taken. seed : of the shuffles.

    Returns
    -------
    One row per kind and property, the most important first: kind, property, fall (of R2) with its 95 % interval over
    recordings low, high. Properties that say the same share their fall.

    Source: Breiman 2001 (permutation importance). Chapter: notebooks/26_commonalities.md
    """
    found = []
    for kind, part in asked(table, target=target):
        names, values, random = varied(part), part[target].to_numpy(), np.random.default_rng(seed)
        own, base = squares(part, models[kind, model], target=target).T
        orders = np.array([random.permutation(len(part)) for _ in range(repeats)])
        rises, rows = np.empty((len(names), len(part))), []
        for fitted, new, _ in models[kind, model]:  # all shuffles of all properties at once
            plain, others = part.iloc[np.tile(new, repeats)], orders[:, new].ravel()
            shuffled = pd.concat([plain.assign(**{name: part[name].to_numpy()[others]}) for name in names])
            wrong = (fitted.predict(shuffled).reshape(len(names), repeats, -1) - values[new]) ** 2
            rises[:, new] = wrong.mean(axis=1) - own[new]
        for name, rise in zip(names, rises, strict=True):
            pair = np.column_stack([rise, base])
            low, high = statistics.interval(_share, pair, part["recording"], draws=draws)
            rows.append({"kind": kind, "property": name, "fall": _share(pair), "low": low, "high": high})
        found.append(pd.DataFrame(rows).sort_values("fall", ascending=False))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _share(pair: np.ndarray) -> float:
    part, whole = pair.sum(axis=0)
    return float(part / whole)


def coefficients(table: pd.DataFrame, models: Learned, *, target: str = "score") -> pd.DataFrame:
    """By how many of its standard deviations the linear model's score rises with one of a property's.

    A class or salience counts as 1 where it is and 0 elsewhere.

    Parameters
    ----------
    table, models, target : as in `compare`.

    Returns
    -------
    One row per kind and property, class and salience, the largest first: kind, property, coefficient (of a model of all
    clips), low, high: the smallest and largest among the models of the cross-validation.

    Chapter: notebooks/26_commonalities.md
    """
    found = []
    for kind, part in asked(table, target=target):
        names = varied(part)
        whole = linear(part, names).fit(part[names], part[target])
        every = [whole, *(model for model, _, _ in models[kind, "linear"])]
        slopes = np.array([one[-1].coef_ for one in every]) / part[target].std(ddof=0)
        facts = {"kind": kind, "property": [name.replace("_", ": ") for name in whole[0].get_feature_names_out()]}
        ends = {"low": slopes[1:].min(axis=0), "high": slopes[1:].max(axis=0)}
        rows = pd.DataFrame(facts | {"coefficient": slopes[0]} | ends)
        found.append(rows.sort_values("coefficient", key=np.abs, ascending=False))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def dependence(
    table: pd.DataFrame, important: pd.DataFrame, *, target: str = "score", strongest: int = 2, points: int = 40
) -> pd.DataFrame:
    """What the models of all clips expect on average if every clip had one value of a property and kept the rest.

    Parameters
    ----------
    table, target : as in `compare`. important : from `importance`. strongest : how many properties of each kind, only
    numbers. points : values of each, between the clips' 5th and 95th percentile.

    Returns
    -------
    kind, property, model, value, expected.

    Source: Friedman 2001 (partial dependence). Chapter: notebooks/26_commonalities.md
    """
    found = []
    for kind, part in asked(table, target=target):
        ranked = important[(important["kind"] == kind) & ~important["property"].isin(WORDS)]["property"]
        names = varied(part)
        rows = part[names].astype({name: float for name in names if name not in WORDS})
        for model, make in MODELS.items():
            fitted = make(part, names).fit(rows, part[target])
            for name in ranked.head(strongest):
                curve = partial_dependence(fitted, rows, [name], grid_resolution=points)
                facts = {"kind": kind, "property": name, "model": model, "value": curve["grid_values"][0]}
                found.append(pd.DataFrame(facts | {"expected": curve["average"][0]}))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def said(found: pd.DataFrame) -> str:
    """Whether the properties predict a score, and more of it than length alone: a sentence per model.

    Sure: the 95 % interval lies above 0.

    Parameters
    ----------
    found : from `compare`; empty where there are too few clips.

    Chapter: notebooks/26_commonalities.md
    """
    if found.empty:
        return FEW
    lines = []
    for model, part in found.groupby("model", sort=False):
        mean, length = (_named(part[part[end] > 0]["kind"], len(part)) for end in ("low", "more low"))
        lines.append(
            f"- The {model} model of all properties is surely better than the mean in {mean}, and surely better than "
            f"length alone in {length}; R² is {part['R2'].min():+.2f} to {part['R2'].max():+.2f}."
        )
    return "\n".join(lines)


def _named(kinds: Iterable[str], every: int) -> str:
    names = list(kinds)
    return f"{len(names)} of {every} kinds of network" + (f" ({'; '.join(names)})" if names else "")


def agreed(found: pd.DataFrame, plain: pd.DataFrame) -> str:
    """Where both scales say that the properties predict more than length alone: one sentence, or none without models.

    Parameters
    ----------
    found, plain : `compare` for the score and for the lead.

    Chapter: notebooks/26_commonalities.md
    """
    if found.empty or plain.empty:
        return ""
    both = found.merge(plain, on=["kind", "model"], suffixes=("", " plain"))
    sure = both[(both["more low"] > 0) & (both["more low plain"] > 0)]
    where = _named(dict.fromkeys(sure["kind"]), both["kind"].nunique())
    return f"On both scales at once, one model or the other surely beats length alone in {where}."


def carry(important: pd.DataFrame) -> str:
    """Which properties a model is surely worse without: a line per kind, and those that come in several kinds.

    Parameters
    ----------
    important : from `importance`; without rows, where there are too few clips, nothing is said.

    Chapter: notebooks/26_commonalities.md
    """
    if important.empty:
        return ""
    sure = important[important["low"] > 0]
    by = sure.groupby("kind")["property"].agg(", ".join).reindex(important["kind"].unique()).fillna("none")
    often = sure["property"].value_counts()
    shared = [f"{name} ({count} kinds)" for name, count in often.items() if count > 1]
    lines = [f"- Surely worse without, {kind}: {names}." for kind, names in by.items()]
    return "\n".join([*lines, f"- In more than one kind of network: {', '.join(shared) or 'none'}."])
