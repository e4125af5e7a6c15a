"""Intervals and tests over clips that come in recordings."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, gaussian_kde

from helpers import InputError
from helpers.findings import statistics

NAN = float("nan")


def mean(values) -> float:
    return float(np.mean(values))


# Cluster bootstrap


def test_whole_recordings_are_drawn():
    # recording 1 has the clip 0, recording 2 the clips 1, 2, 3; of two draws, one time in four each is twice
    # the first, twice the second
    seen = []

    def note(values):
        seen.append(tuple(sorted(values.tolist())))
        return 0.0

    statistics.interval(note, [0, 1, 2, 3], [1, 2, 2, 2], draws=2000)
    expected = {(0, 0): 500, (0, 1, 2, 3): 1000, (1, 1, 2, 2, 3, 3): 500}
    assert set(seen) == set(expected)
    assert len(seen) == 2000
    for drawn, count in expected.items():
        assert abs(seen.count(drawn) - count) < 4 * np.sqrt(500)


def test_the_interval_of_a_mean_of_two_recordings_by_hand():
    # means 0 (a quarter), 3/4 (half; three clips against one), 1 (a quarter): both tails are over 2.5 %
    assert statistics.interval(mean, [0, 1, 1, 1], [1, 2, 2, 2]) == (0.0, 1.0)


@pytest.mark.parametrize(("ones", "low", "high"), [(8, 4, 12), (3, 0, 6), (1, 0, 3), (16, 16, 16)])
def test_the_interval_of_a_share_is_the_binomials(ones, low, high):
    # 16 recordings of one clip: the number of ones drawn is Binomial(16, ones / 16)
    assert [int(binom.ppf(q, 16, ones / 16)) for q in (0.025, 0.975)] == [low, high]
    values = np.arange(16) < ones
    assert statistics.interval(mean, values, np.arange(16)) == (low / 16, high / 16)


def test_one_recording_has_the_estimate_at_both_ends():
    assert statistics.interval(mean, [1.0, 2.0, 6.0], [7, 7, 7]) == (3.0, 3.0)


def test_no_clips_have_no_interval():
    assert np.isnan(statistics.interval(mean, [], [])).all()
    assert np.isnan(statistics.interval(mean, np.empty((0, 2)), [])).all()


def test_clips_may_have_several_values():
    values = np.array([[1.0, 4.0], [1.0, 6.0], [1.0, 6.0]])
    found = statistics.interval(lambda v: mean(v[:, 1] - v[:, 0]), values, [5, 9, 9])
    assert found == (3.0, 5.0)


def test_few_draws_without_a_statistic_are_left_out():
    # no value where only the first of three recordings was drawn: one sample of 27
    found = statistics.interval(lambda v: v.max() or NAN, [0.0, 1.0, 1.0], [1, 2, 3])
    assert found == (1.0, 1.0)


def test_many_draws_without_a_statistic_leave_no_interval():
    found = statistics.interval(lambda v: mean(v) if v.any() else NAN, [0.0, 1.0, 1.0, 1.0], [1, 2, 2, 2])
    assert np.isnan(found).all()


def test_the_fast_way_to_a_mean_draws_the_same_samples():
    random = np.random.default_rng(0)
    values, recordings = random.standard_normal(60), random.integers(0, 17, 60)
    slow = statistics.interval(lambda v: v.mean(), values, recordings, draws=300)
    assert statistics.interval(np.mean, values, recordings, draws=300) == pytest.approx(slow, abs=1e-14)


def test_recordings_make_the_interval_wider():
    # ten recordings, each with eight equal clips: ten facts, not eighty
    recordings = np.repeat(np.arange(10), 8)
    values = np.random.default_rng(0).standard_normal(10)[recordings]
    low, high = statistics.interval(mean, values, recordings)
    narrow, wide = statistics.interval(mean, values, np.arange(80)), (low, high)
    ratio = (wide[1] - wide[0]) / (narrow[1] - narrow[0])
    assert ratio == pytest.approx(np.sqrt(8), rel=0.1)
    assert low < values.mean() < high


def clips():
    """Values of clips and the recordings that these are cut from."""
    one = st.tuples(st.floats(-1, 1), st.integers(0, 4))
    return st.lists(one, min_size=1, max_size=12).map(lambda rows: tuple(map(np.array, zip(*rows, strict=True))))


@given(clips(), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_clips_changes_nothing(given, random):
    values, recordings = given
    order = random.sample(range(len(values)), len(values))
    first = statistics.interval(mean, values, recordings, draws=40)
    second = statistics.interval(mean, values[order], recordings[order], draws=40)
    assert np.allclose(first, second, rtol=0, atol=1e-12)
    assert min(values) - 1e-12 <= first[0] <= first[1] <= max(values) + 1e-12


def test_clips_in_another_order_than_their_recordings_are_other_clips():
    values, recordings = np.array([0.0, 0.0, 1.0, 1.0]), np.array([1, 1, 2, 2])
    assert statistics.interval(mean, values, recordings) == (0.0, 1.0)
    assert statistics.interval(mean, values[[0, 2, 1, 3]], recordings) == (0.5, 0.5)


def test_the_seed_and_the_number_of_draws_are_used():
    values = np.random.default_rng(0).standard_normal(9)
    given = (mean, values, np.arange(9))
    assert statistics.interval(*given, draws=50) == statistics.interval(*given, draws=50, seed=0)
    assert statistics.interval(*given, draws=50) != statistics.interval(*given, draws=50, seed=1)
    assert statistics.interval(*given) != statistics.interval(*given, draws=50)
    calls = itertools.count()
    statistics.interval(lambda v: float(next(calls)), values, np.arange(9), draws=7)
    assert next(calls) == 7


def test_every_clip_needs_a_recording():
    with pytest.raises(InputError, match="values has 3 clips, recordings 2; give one recording per clip"):
        statistics.interval(mean, [1, 2, 3], [1, 2])
    with pytest.raises(InputError):
        statistics.interval(mean, [], [1])


# Where scores are densest


@pytest.mark.parametrize("seed", range(8))
def test_the_densest_score_is_the_peak_of_scipys_density(seed):
    random = np.random.default_rng(seed)
    scores = np.clip(random.normal(random.uniform(-0.6, 0.6), 0.3, size=random.integers(2, 60)), -1, 1)
    grid = np.linspace(-1, 1, 401)
    assert statistics.densest(scores) == grid[gaussian_kde(scores)(grid).argmax()]


def test_the_densest_of_two_heaps_is_the_larger():
    heaps = [-0.6, -0.58, -0.62, 0.3, 0.32]
    assert statistics.densest(heaps) == pytest.approx(-0.6, abs=0.1)
    assert statistics.densest([-s for s in heaps]) == pytest.approx(-statistics.densest(heaps), abs=1e-12)


@pytest.mark.parametrize("scores", [[], [0.3], [0.3, 0.3, 0.3]])
def test_scores_without_a_spread_have_no_density(scores):
    assert np.isnan(statistics.densest(scores))


# Two networks on the same clips


def paired(difference, recordings, **options):
    first = np.linspace(-0.5, 0.5, len(difference))
    return statistics.paired(first, first + np.asarray(difference), recordings, **options)


@pytest.fixture
def few(monkeypatch):
    """Few bootstrap draws, where the interval is not what is tested."""
    own = statistics.interval
    monkeypatch.setattr(statistics, "interval", lambda *given, **options: own(*given, **options | {"draws": 30}))


def test_a_pair_of_networks_by_hand():
    # clips 0.2, 0.4 | -0.1 | 0 of three recordings: sums 0.6, -0.1, 0 of each
    found = statistics.paired([0.1, 0.1, 0.1, 0.1], [0.3, 0.5, 0.0, 0.1], [4, 4, 5, 6])
    assert (found["clips"], found["recordings"], found["nan"]) == (4, 3, 0)
    assert found["median_difference"] == pytest.approx(0.1)
    assert found["superiority"] == (2 + 0.5) / 4
    # sums of exchanged recordings are 0.7, 0.5 (ours), -0.5 and -0.7: half of them at least 0.5, twice
    assert found["p"] == 1.0
    assert set(found) == {*("clips", "recordings", "nan", "median_difference", "low", "high", "superiority", "p")}


def enumerated(sums) -> float:
    """The exact two-sided p: every choice of signs, the smaller tail twice."""
    every = [np.dot(signs, sums) for signs in itertools.product((1, -1), repeat=len(sums))]
    observed = np.sum(sums)
    tails = [np.mean([s >= observed - 1e-9 for s in every]), np.mean([s <= observed + 1e-9 for s in every])]
    return min(1, 2 * min(tails))


@pytest.mark.parametrize("seed", range(5))
def test_p_of_few_recordings_is_exact(few, seed):
    random = np.random.default_rng(seed)
    recordings = np.concatenate([np.arange(6), random.integers(6, size=9)])
    difference = random.normal(0.3, 0.4, size=15)
    sums = np.bincount(recordings, difference)
    assert paired(difference, recordings)["p"] == pytest.approx(enumerated(sums), abs=1e-12)


def test_p_counts_recordings_and_not_clips(few):
    # eight clips, all higher: 2 / 2^8 as eight recordings, 2 / 2^2 as two
    difference = np.full(8, 0.2)
    assert paired(difference, np.arange(8))["p"] == pytest.approx(2 / 2**8)
    assert paired(difference, [1, 1, 1, 1, 2, 2, 2, 2])["p"] == pytest.approx(2 / 2**2)


def test_p_of_many_recordings_is_drawn(few):
    # 2^40 exchanges are not counted: 9999 of them and the observed one, in either tail
    assert paired(np.full(40, 0.1), np.arange(40))["p"] == pytest.approx(2 / 10_000)


def test_the_interval_of_a_pair_is_the_clustered_one_of_the_median():
    difference = np.array([0.1, 0.2, 0.7, -0.3, 0.05, 0.4])
    recordings = np.array([1, 1, 2, 3, 3, 4])
    found = paired(difference, recordings, seed=3)
    low, high = statistics.interval(np.median, difference, recordings, seed=3)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(0, 1000), st.integers(2, 20))
@settings(deadline=None, max_examples=6)
def test_exchanging_the_networks_turns_the_sign_and_keeps_p(seed, count):
    random = np.random.default_rng(seed)
    first, second = random.uniform(-1, 1, size=(2, count))
    recordings = np.append([0, 1], random.integers(5, size=count - 2))
    one, other = statistics.paired(first, second, recordings), statistics.paired(second, first, recordings)
    assert other["median_difference"] == -one["median_difference"]
    assert (other["low"], other["high"]) == pytest.approx((-one["high"], -one["low"]), abs=1e-12)
    assert other["superiority"] == pytest.approx(1 - one["superiority"])
    assert other["p"] == one["p"]


def test_pairs_without_a_score_are_counted_and_left_out(few):
    first = [0.1, NAN, 0.3, 0.4, NAN, 0.0]
    second = [0.2, 0.2, NAN, 0.2, NAN, 0.1]
    found = statistics.paired(first, second, [1, 2, 2, 3, 4, 5])
    assert (found["clips"], found["recordings"], found["nan"]) == (3, 3, 3)
    assert found == statistics.paired([0.1, 0.4, 0.0], [0.2, 0.2, 0.1], [1, 3, 5]) | {"nan": 3}


@pytest.mark.parametrize("recordings", [[7, 7, 7], [7, 7, 8]])
def test_one_recording_says_nothing_of_others(recordings):
    # the clip of recording 8 has no score
    found = statistics.paired([0.1, 0.2, NAN], [0.3, 0.1, 0.5], recordings)
    assert (found["clips"], found["recordings"], found["nan"]) == (2, 1, 1)
    numbers = [found[name] for name in ("median_difference", "low", "high", "superiority", "p")]
    assert np.isnan(numbers).all()


def test_no_pair_at_all_says_nothing():
    found = statistics.paired([NAN], [0.1], [1])
    assert (found["clips"], found["recordings"], found["nan"]) == (0, 0, 1)
    assert np.isnan(found["p"])


@pytest.mark.parametrize(
    ("lengths", "said"), [((2, 3, 3), "2, 3 and 3"), ((3, 2, 3), "3, 2 and 3"), ((3, 3, 2), "3, 3 and 2")]
)
def test_a_pair_needs_the_same_clips(lengths, said):
    with pytest.raises(InputError, match=f"have {said} clips; give the same clips to all"):
        statistics.paired(*map(np.zeros, lengths))


# Shares


def test_a_share_has_the_interval_of_its_mean():
    counts, recordings = [0, 1, 1, 0, 1], [1, 1, 2, 3, 3]
    assert statistics.share(counts, recordings) == statistics.interval(np.mean, np.array(counts), recordings)


@pytest.mark.parametrize("count", [0, 1])
def test_a_share_of_none_or_all_is_not_certain(count):
    # 30 clips of 10 recordings: what 10 clips would tell; (1 - high)^10 = 0.025
    low, high = statistics.share([count] * 30, np.arange(30) % 10)
    end = 0.025**0.1
    assert (low, high) == pytest.approx((0, 1 - end) if count == 0 else (end, 1))


def test_a_share_without_clips_is_nan():
    assert np.isnan(statistics.share([], [])).all()


# How far differences lie from 0


def test_a_difference_by_hand():
    # clips 0.3, 0.1 | -0.2 | 0.2, none of three recordings: sums 0.4, -0.2, 0.2
    values, recordings = [0.3, 0.1, -0.2, 0.2, NAN], [4, 4, 5, 6, 6]
    found = statistics.difference(values, recordings)
    assert list(found) == [*("clips", "recordings", "nan", "mean", "low", "high", "superiority", "p", "needed")]
    assert (found["clips"], found["recordings"], found["nan"]) == (5, 3, 1)
    assert found["mean"] == pytest.approx(0.4 / 5)
    assert found["superiority"] == (3 + 0.5) / 5
    # turned sums are 0.8, 0.4 (ours), 0.4, 0, 0, -0.4, -0.4, -0.8: three of eight at least 0.4, twice
    assert found["p"] == pytest.approx(6 / 8)
    low, high = statistics.interval(np.mean, [0.3, 0.1, -0.2, 0.2, 0], recordings)
    assert (found["low"], found["high"]) == pytest.approx((low, high))


def test_a_clip_without_a_score_is_a_difference_of_zero(few):
    values, recordings = [0.3, NAN, -0.2, NAN, 0.4], [1, 2, 3, 3, 4]
    found = statistics.difference(values, recordings)
    assert found["nan"] == 2
    assert found == statistics.difference([0.3, 0, -0.2, 0, 0.4], recordings) | {"nan": 2}


@pytest.mark.parametrize("count", [3, 4, 7])
@pytest.mark.parametrize("seed", range(3))
def test_p_of_a_difference_is_exact_for_few_recordings(few, count, seed):
    random = np.random.default_rng(seed)
    recordings = np.concatenate([np.arange(count), random.integers(count, size=6)])
    values = random.normal(0.2, 0.4, size=count + 6)
    found = statistics.difference(values, recordings)
    assert found["p"] == pytest.approx(enumerated(np.bincount(recordings, values)), abs=1e-12)


def test_p_of_a_difference_counts_recordings_and_not_clips(few):
    values = np.full(8, 0.2)
    assert statistics.difference(values, np.arange(8))["p"] == pytest.approx(2 / 2**8)
    assert statistics.difference(values, [1, 1, 1, 1, 2, 2, 2, 2])["p"] == pytest.approx(2 / 2**2)
    # 9999 turns and the observed one
    assert statistics.difference(np.full(40, 0.1), np.arange(40))["p"] == pytest.approx(2 / 10_000)


@given(st.integers(0, 1000), st.integers(2, 15))
@settings(deadline=None, max_examples=6)
def test_the_other_sign_turns_the_mean_and_keeps_p(seed, count):
    random = np.random.default_rng(seed)
    values, recordings = random.uniform(-1, 1, count), np.append([0, 1], random.integers(5, size=count - 2))
    one, other = (statistics.difference(v, recordings) for v in (values, -values))
    assert other["mean"] == pytest.approx(-one["mean"])
    assert (other["low"], other["high"]) == pytest.approx((-one["high"], -one["low"]), abs=1e-12)
    assert other["superiority"] == pytest.approx(1 - one["superiority"])
    assert other["p"] == one["p"]
    assert other["needed"] == pytest.approx(one["needed"], rel=1e-6)


def test_as_many_clips_are_needed_as_the_interval_asks():
    values = np.random.default_rng(0).normal(0.05, 0.3, size=60)
    found = statistics.difference(values, np.arange(60))
    # power 80 %: the mean must be 1.96 + 0.84 standard errors; an interval is 2 x 1.96 of them wide
    error = (found["high"] - found["low"]) / (2 * 1.959964)
    assert found["needed"] == pytest.approx(60 * ((1.959964 + 0.841621) * error / found["mean"]) ** 2, rel=1e-5)


@pytest.mark.parametrize(("factor", "clips"), [(1, 100), (2, 25), (-2, 25), (0.5, 400)])
def test_a_mean_twice_as_large_needs_a_quarter_of_the_clips(monkeypatch, factor, clips):
    mean = 0.1
    half = mean * 1.959964 / (1.959964 + 0.841621)  # just found four times in five
    monkeypatch.setattr(statistics, "interval", lambda *given, **options: (-half, half))
    found = statistics.difference(np.full(100, factor * mean), np.arange(100))
    assert found["needed"] == pytest.approx(clips, rel=1e-5)


def test_no_number_of_clips_finds_no_difference(few):
    found = statistics.difference([0.1, -0.1, 0.0], [1, 2, 3])
    assert found["needed"] == np.inf
    assert (found["mean"], found["superiority"], found["p"]) == (0, 0.5, 1)


@pytest.mark.parametrize(("values", "recordings"), [([0.1, 0.2, NAN], [7, 7, 7]), ([0.3], [1]), ([], [])])
def test_a_difference_of_one_recording_says_nothing_of_others(values, recordings):
    found = statistics.difference(values, recordings)
    facts = (len(values), len(set(recordings)), sum(np.isnan(values)))
    assert (found["clips"], found["recordings"], found["nan"]) == facts
    assert np.isnan([found[name] for name in ("mean", "low", "high", "superiority", "p", "needed")]).all()


def test_the_seed_of_a_difference_is_used():
    values = np.random.default_rng(0).standard_normal(30)
    one, same, other = (statistics.difference(values, np.arange(30), seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one["p"] != other["p"]
    assert one["low"] != other["low"]


def test_the_share_with_a_lead_counts_ties_half_and_leaves_out_what_has_none():
    found = statistics.higher([0.2, 0.0, -0.1, np.nan, 0.3], [1, 1, 2, 3, 4], draws=50)
    assert found["share"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert (found["clips"], found["NaN"]) == (4, 1)
    assert 0 <= found["low"] <= found["share"] <= found["high"] <= 1
    nothing = statistics.higher([np.nan], [1])
    assert np.isnan([nothing["share"], nothing["low"], nothing["high"]]).all()
    assert (nothing["clips"], nothing["NaN"]) == (0, 1)
