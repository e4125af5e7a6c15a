"""Scores against SciPy, and laws that they keep."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import InputError
from helpers.maps import explainers, nulls
from helpers.metric import blocking
from helpers.metric.correlation import frame_scores, score, spearman

MAPS = arrays(np.float64, (3, 4, 6), elements=st.integers(0, 64).map(lambda n: n / 64))


@given(maps=MAPS, seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_score_is_scipys_spearman_of_the_block_sums(maps, seed):
    found = np.random.default_rng(seed).random((3, 6))
    scores = score(maps, found)
    for i in range(3):
        sums = maps[i].sum(axis=0)  # exact: sixty-fourths
        if np.ptp(sums) == 0:
            assert np.isnan(scores[i])
        else:
            assert scores[i] == pytest.approx(scipy.stats.spearmanr(sums, found[i])[0])


@given(maps=MAPS, factor=st.floats(1e-3, 1e3), order=st.permutations(range(6)))
@settings(max_examples=30, deadline=None)
def test_score_keeps_under_scaling_sign_and_order_of_blocks(maps, factor, order):
    found = np.random.default_rng(0).random((1, 6))
    expected = score(maps, found)
    np.testing.assert_allclose(score(maps * factor, found**3 * 5), expected)
    np.testing.assert_allclose(score(maps[:, :, order], found[:, order]), expected, atol=1e-12)
    labels = np.argsort(order)[np.broadcast_to(np.arange(6), (4, 6))]
    np.testing.assert_allclose(score(maps, found[:, order], blocks=labels), expected, atol=1e-12)


def test_the_effects_themselves_are_the_perfect_map():
    found = np.random.default_rng(0).random((2, 6))
    np.testing.assert_allclose(score(np.repeat(found[:, None], 4, 1), found), 1)
    np.testing.assert_allclose(score(np.repeat(1 - found[:, None], 4, 1), found), -1)


def test_what_has_no_score_is_nan():
    maps = np.random.default_rng(0).random((4, 4, 6))
    maps[0], maps[1, 0, 0] = 0, np.nan
    maps[2] = np.linspace(0, 1, 4)[:, None]  # not constant, but every frame gets the same
    assert np.isnan(score(maps, np.arange(6.0)[None])).tolist() == [True, True, True, False]
    assert np.isnan(score(maps, np.ones((1, 6)))).all()


@pytest.mark.parametrize(
    "curve", [lambda t: np.exp(-t / 8), lambda t: np.exp(-t / 2), lambda t: 1 + 1e-7 * t, lambda t: t**9]
)
def test_ranks_are_exact_however_the_values_are_spread(curve):
    t = np.arange(400.0)
    v = np.random.default_rng(0).permutation(t)
    expected = scipy.stats.spearmanr(curve(t), v).statistic
    assert score(curve(t) * np.ones((1, 13, 1)), v[None])[0] == pytest.approx(expected, abs=1e-12)
    assert frame_scores(curve(t)[None], v)[0] == pytest.approx(expected, abs=1e-12)
    assert frame_scores(curve(t)[None], curve(t))[0] == 1


@given(maps=MAPS, seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_any_rising_change_of_a_curve_keeps_its_score(maps, seed):
    curve, v = maps[:, 0], np.random.default_rng(seed).random(6)
    for rising in (np.exp, lambda x: x**5, lambda x: np.exp(40 * x)):
        shifted = rising(curve) + 0.0
        np.testing.assert_allclose(frame_scores(shifted, v), frame_scores(curve + 1, v), atol=1e-12)


def test_a_signed_map_counts_by_its_size_and_one_that_is_nowhere_above_zero_has_no_score():
    signed = np.array([[[3.0, -2.0, 1.0]]])
    assert score(signed, np.array([[9.0, 5.0, 1.0]])) == pytest.approx(1)
    assert frame_scores(signed[0], np.array([9.0, 5.0, 1.0])) == pytest.approx(1)
    for nothing in (-np.abs(signed), np.minimum(signed, 0)):
        assert np.isnan(score(nothing, np.array([[9.0, 5.0, 1.0]])))
        assert np.isnan(frame_scores(nothing[0], np.array([9.0, 5.0, 1.0])))


def test_only_what_the_resize_tells_apart_within_a_column_is_tied():
    maps = explainers.stretch(np.random.default_rng(3).standard_normal((20, 1, 13)), (13, 400))
    tied = blocking.tied(maps)
    assert (tied == tied[:, :1]).all()  # a map of one row of nodes says the same of every coefficient
    np.testing.assert_allclose(tied, maps, rtol=1e-6)
    assert len(np.unique(tied[0, 0])) > 100  # and not the same of every frame
    other = np.array([[[1.0, 1.0], [1e-7, 1.0 + 1e-5], [1e-9, 1.0 + 1e-7]]])
    assert blocking.tied(other).tolist() == [[[1.0, 1.0], [1e-7, 1.0 + 1e-5], [1e-9, 1.0]]]


def test_stock_sums_need_blocks_of_one_size():
    with pytest.raises(InputError, match='"stock" needs blocks of one size'):
        score(np.ones((1, 2, 3)), np.ones((1, 2)), blocks=(2, 2), order="stock")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"maps": np.ones((2, 3))}, r"maps have shape \(2, 3\)"),
        ({"effects": np.ones((2, 3))}, r"effects \(2, 3\); give"),
        ({"effects": np.ones((1, 4))}, "effects has 4 blocks, blocks 3; give both the same"),
        ({"order": "quick"}, 'order "quick" is not known; choose from stable, stock'),
    ],
)
def test_bad_input_to_score_is_one_sentence(changed, sentence):
    given = {"maps": np.ones((1, 2, 3)), "effects": np.ones((1, 3))} | changed
    with pytest.raises(InputError, match=sentence):
        score(given.pop("maps"), given.pop("effects"), **given)


# --- one block per frame -----------------------------------------------------------------------------


def test_scores_of_a_clip_by_hand():
    profiles = np.array([[1, 2, 3], [3, 2, 1], [1, 3, 2], [2, 2, 2]])
    # ranks of the effects are 2, 1, 3; Spearman of three is 1 - (sum of squared differences) / 4
    found = frame_scores(profiles, np.array([5.0, 1.0, 9.0]))
    assert found[:3].tolist() == pytest.approx([1 - 2 / 4, 1 - 6 / 4, 1 - 6 / 4])
    assert np.isnan(found[3])


def test_effects_that_are_all_the_same_have_no_score():
    assert np.isnan(frame_scores(np.array([[1, 2, 3]]), np.full(3, 0.7))).all()


@pytest.mark.parametrize("profiles", [[], np.empty((0, 3))])
def test_without_maps_there_are_no_scores(profiles):
    found = frame_scores(profiles, np.arange(3.0))
    assert (found.shape, found.dtype) == ((0,), np.float64)


def test_frame_scores_are_scores_with_one_block_per_frame():
    random = np.random.default_rng(0)
    maps, v = random.random((6, 13, 40)), random.random(40)
    expected = score(maps, v[None], blocks="frame")
    assert np.allclose(frame_scores(nulls.profile(maps), v), expected, rtol=0, atol=1e-12)
    assert expected[0] == pytest.approx(scipy.stats.spearmanr(maps[0].sum(axis=0), v).statistic)


@st.composite
def curves(draw) -> tuple[np.ndarray, np.ndarray]:
    frames = draw(st.integers(3, 12))
    one = st.lists(st.integers(0, 20), min_size=frames, max_size=frames)
    return np.array([draw(one)]), np.array(draw(one), dtype=float)


@given(curves(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_frames_in_another_order_keep_the_score(given, random):
    profiles, v = given
    order = random.sample(range(len(v)), len(v))
    before, after = (
        frame_scores(profiles, v),
        frame_scores(profiles[:, order], v[order]),
    )
    assert np.allclose(before, after, rtol=0, atol=1e-12, equal_nan=True)


@given(curves(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=50)
def test_the_size_of_a_map_or_of_the_effects_keeps_the_score(given, map_size, effect_size):
    profiles, v = given
    before, after = (
        frame_scores(profiles, v),
        frame_scores(map_size * profiles, effect_size * v),
    )
    assert np.allclose(before, after, rtol=0, atol=1e-12, equal_nan=True)


@given(curves())
@settings(deadline=None, max_examples=50)
def test_reversed_ranks_turn_the_score(given):
    profiles, v = given
    before, after = (
        frame_scores(profiles, v),
        frame_scores(profiles.max() - profiles, v),
    )
    assert np.allclose(before, -after, rtol=0, atol=1e-12, equal_nan=True)


@given(
    rows=arrays(np.float64, (2, 3, 7), elements=st.integers(-3, 3).map(float)),
    counts=st.lists(st.integers(1, 7), min_size=3, max_size=3).map(np.array),
)
@settings(max_examples=50, deadline=None)
def test_a_correlation_of_the_first_values_of_each_row_is_that_of_the_rows_cut(rows, counts):
    cut = [spearman(*(one[[i], :n] for one in rows))[0] for i, n in enumerate(counts)]
    np.testing.assert_allclose(spearman(*rows, counts=counts), cut, atol=1e-12)
