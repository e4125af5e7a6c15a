"""Intervals and tests for clips that come in recordings: clips of one recording are not independent.

Chapter: notebooks/14_ledger.md
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.power import normal_sample_size_one_tail

from helpers import InputError

LEVEL = 0.95  # of every interval


def interval(
    statistic: Callable[[np.ndarray], float],
    values: ArrayLike,
    recordings: ArrayLike,
    *,
    draws: int = 5000,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Cluster bootstrap, percentile method: whole recordings are drawn with replacement.

    Parameters
    ----------
    statistic : of rows of `values`.
    values : (clips, ...), one row per clip.
    recordings : (clips,), which recording each clip is cut from.
    draws : bootstrap samples; the few whose statistic is NaN are left out.
    seed : of the samples. level : how often such intervals hold the true value, 0 to 1.

    Returns
    -------
    Lower and upper end of the interval; NaN without clips or where the statistic often has no value (one
    sample in twenty or more). With one recording, or where every clip has the same value, both ends are the
    estimate: then the interval says nothing about other recordings.

    Raises
    ------
    InputError
        The lengths differ.

    Source: Field & Welsh 2007 (cluster bootstrap). Chapter: notebooks/14_ledger.md
    """
    values, recordings = np.asarray(values), np.asarray(recordings)
    if len(values) != len(recordings):
        raise InputError(f"values has {len(values)} clips, recordings {len(recordings)}; give one recording per clip")
    if not len(values):
        return np.nan, np.nan
    members = [np.flatnonzero(recordings == recording) for recording in np.unique(recordings)]
    if len(members) == 1:  # scipy asks for two
        return (float(statistic(values)),) * 2

    fast = statistic is np.mean and values.ndim == 1
    sums = np.array([(values[member].sum(), len(member)) for member in members]) if fast else np.empty((0, 2))

    def mean(drawn: np.ndarray, axis: int) -> np.ndarray:  # of all samples at once, ten times as fast
        return sums[drawn, 0].sum(axis=axis) / sums[drawn, 1].sum(axis=axis)

    def of(drawn: np.ndarray) -> float:
        return float(statistic(values[np.concatenate([members[number] for number in drawn])]))

    with warnings.catch_warnings(action="ignore", category=stats.DegenerateDataWarning):  # of NaN
        found = stats.bootstrap(
            (np.arange(len(members)),),
            mean if fast else of,
            n_resamples=draws,
            vectorized=fast,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    known = found[~np.isnan(found)]
    if len(known) < LEVEL * draws:  # what is left would pretend to be sure
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share(counts: ArrayLike, recordings: ArrayLike, *, draws: int = 5000) -> tuple[float, float]:
    """95 % interval of a mean of numbers from 0 to 1, such as the share of clips of some kind.

    As `interval`; where all clips count 0, or all 1, the bootstrap sees no spread, and the exact interval
    of a binomial with as many clips as there are recordings stands in for it.

    Parameters
    ----------
    counts : (clips,), 0 to 1.
    recordings, draws : as in `interval`.

    Returns
    -------
    Lower and upper end, 0 to 1; NaN without clips.

    Source: Clopper & Pearson 1934. Chapter: notebooks/14_ledger.md
    """
    counts = np.asarray(counts, dtype=float)
    if len(counts) and counts.min() == counts.max() and counts[0] in (0, 1):
        clips = len(np.unique(recordings))
        exact = stats.binomtest(int(counts[0]) * clips, clips).proportion_ci(LEVEL, "exact")
        return float(exact.low), float(exact.high)
    return interval(np.mean, counts, recordings, draws=draws)


def higher(lead: ArrayLike, recordings: ArrayLike, *, draws: int = 5000) -> dict:
    """On which share of clips one map has more than another.

    Parameters
    ----------
    lead : (clips,), how much more; NaN where one of them has no value.
    recordings, draws : as in `interval`.

    Returns
    -------
    share of clips with a lead above 0, ties counted half, with its 95 % interval low, high; clips, with a lead; NaN,
    the others.

    Source: Vargha & Delaney 2000. Chapter: notebooks/15_controls.md
    """
    lead, recordings = np.asarray(lead, dtype=float), np.asarray(recordings)
    known = np.isfinite(lead)
    won = (np.sign(lead[known]) + 1) / 2
    low, high = share(won, recordings[known], draws=draws)
    facts = {"share": won.mean() if known.any() else np.nan, "low": low, "high": high}
    return facts | {"clips": int(known.sum()), "NaN": int((~known).sum())}


def densest(scores: ArrayLike) -> float:
    """Where the density of scores is highest: the peak of a Gaussian kernel estimate, to 0.005.

    Scott's bandwidth, as in the density figures.

    Parameters
    ----------
    scores : (clips,), -1 to 1.

    Returns
    -------
    A multiple of 0.005 from -1 to 1; NaN for fewer than two different scores.

    Chapter: notebooks/14_ledger.md
    """
    scores = np.asarray(scores, dtype=float)
    if len(np.unique(scores)) < 2:
        return np.nan
    grid = np.linspace(-1, 1, 401)
    # scipy's gaussian_kde, which takes twenty times as long, and a bootstrap asks thousands of times
    bandwidth = scores.std(ddof=1) * len(scores) ** -0.2
    height = np.exp(-(((grid[:, None] - scores) / bandwidth) ** 2) / 2).sum(axis=1)
    return float(grid[height.argmax()])


def paired(first: ArrayLike, second: ArrayLike, recordings: ArrayLike, *, seed: int = 0) -> dict:
    """Two networks on the same clips: how the second differs from the first, and whether by chance.

    Pairs with a NaN are left out and counted. The test exchanges the two networks for all clips of a
    recording at once (9999 exchanges drawn at random) and compares sums of differences.

    Parameters
    ----------
    first, second : (clips,), scores of the same clips.
    recordings, seed : as in `interval`; also the exchanges are drawn from the seed.

    Returns
    -------
    clips, recordings, nan; median_difference (second minus first) with its 95 % interval low, high;
    superiority: share of clips where the second is higher, ties counted half (0.5: no difference; an
    effect size); p, two-sided.

    Raises
    ------
    InputError
        The lengths differ.

    Source: Ernst 2004 (permutation tests); Vargha & Delaney 2000 (effect size).

    Chapter: notebooks/13_reference.md
    """
    first, second, recordings = (np.asarray(a) for a in (first, second, recordings))
    if not len(first) == len(second) == len(recordings):
        raise InputError(
            f"first, second and recordings have {len(first)}, {len(second)} and {len(recordings)} clips; "
            "give the same clips to all"
        )
    known = np.isfinite(first) & np.isfinite(second)
    difference, recordings = (second - first)[known], recordings[known]
    names, which = np.unique(recordings, return_inverse=True)
    known_facts = {"clips": len(difference), "recordings": len(names), "nan": int((~known).sum())}
    if len(names) < 2:
        nothing = ("median_difference", "low", "high", "superiority", "p")
        return known_facts | dict.fromkeys(nothing, np.nan)
    low, high = interval(np.median, difference, recordings, seed=seed)
    return known_facts | {
        "median_difference": float(np.median(difference)),
        "low": low,
        "high": high,
        "superiority": _superiority(difference),
        "p": _turned(np.bincount(which, difference), seed=seed),
    }


def difference(values: ArrayLike, recordings: ArrayLike, *, seed: int = 0) -> dict:
    """How far differences lie from 0 on average, the planned test of the controls.

    A NaN, a clip on which one side has no score, counts as a difference of 0. The test turns the signs of all
    differences of a recording at once (9999 turns drawn at random).

    Parameters
    ----------
    values : (clips,), differences.
    recordings, seed : as in `paired`.

    Returns
    -------
    clips, recordings, nan (clips without a difference); mean with its 95 % interval low, high; superiority:
    share of clips above 0, ties counted half; p, two-sided; needed: how many clips, in recordings as these,
    find a mean as large four times in five.

    Source: Ernst 2004 (permutation tests). Chapter: notebooks/15_controls.md
    """
    values, recordings = np.asarray(values, dtype=float), np.asarray(recordings)
    missing = np.isnan(values)
    values = np.where(missing, 0, values)
    names, which = np.unique(recordings, return_inverse=True)
    facts = {"clips": len(values), "recordings": len(names), "nan": int(missing.sum())}
    if len(names) < 2:
        nothing = ("mean", "low", "high", "superiority", "p", "needed")
        return facts | dict.fromkeys(nothing, np.nan)
    low, high = interval(np.mean, values, recordings, seed=seed)
    return facts | {
        "mean": float(values.mean()),
        "low": low,
        "high": high,
        "superiority": _superiority(values),
        "p": _turned(np.bincount(which, values), seed=seed),
        "needed": _needed(values.mean(), (high - low) / 2, len(values)),
    }


def _needed(mean: float, half: float, clips: int, *, power: float = 0.8) -> float:
    """Clips that find `mean` with this power, where `clips` of them have an interval of mean +- half.

    The half width falls with the square root of the clips (normal approximation).
    """
    if mean == 0:
        return np.inf
    alpha = (1 - LEVEL) / 2
    deviation = half / stats.norm.isf(alpha) * np.sqrt(clips)
    return float(normal_sample_size_one_tail(mean, power, alpha, std_null=deviation))


def _superiority(difference: np.ndarray) -> float:
    return float((np.sign(difference) + 1).mean() / 2)


def _turned(sums: np.ndarray, *, seed: int) -> float:
    """p of a permutation test that turns the signs of recordings' sums."""
    test = stats.permutation_test(
        (sums, np.zeros_like(sums)),  # exchanging a pair turns the sign of its difference
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)
