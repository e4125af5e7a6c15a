"""Maps that know nothing: their profiles, and how a score stands among theirs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from helpers.maps import explainers, nulls
from helpers.metric import correlation

NAN = float("nan")
ROWS, FRAMES = 13, 400


def clips_of(recordings: list[int], explained: list[int], *, nodes: tuple[int, int] = (1, 4)) -> dict:
    return {"recordings": np.array(recordings), "explained": np.array(explained), "nodes": nodes}


def of(
    i: int, clips: dict, profiles: np.ndarray, *, rows: int = ROWS, count: int = 200, seed: int = 0
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return nulls.profiles_of(i, profiles, rows=rows, count=count, random=random, **clips)


# Profiles


def test_a_profile_adds_the_sizes_of_all_coefficients_frame_by_frame():
    maps = np.array([[[1, -2, 0], [3, 4, 0]], [[5, 0, -1], [0, 0, -1]]])
    assert nulls.profile(maps).tolist() == [[4, 6, 0], [5, 0, 2]]


# Maps of random nodes


def random_nodes(
    shape: tuple[int, int], *, count: int = 7, seed: int = 0, size: tuple[int, int] = (ROWS, FRAMES)
) -> np.ndarray:
    return nulls.random_nodes(shape, count=count, random=np.random.default_rng(seed), size=size)


def test_random_nodes_make_maps_as_grad_cams():
    maps = random_nodes((1, 13))
    assert (maps.shape, maps.dtype) == ((7, ROWS, FRAMES), np.float32)
    assert maps.min() == 0
    assert maps.max() <= 1
    assert maps.max(axis=(1, 2)) == pytest.approx(np.ones(7), abs=1e-6)
    # one row of nodes: the coefficients of a frame do not differ
    assert np.ptp(maps, axis=1).max() < 1e-6
    nodes = np.random.default_rng(0).standard_normal((7, 1, 13))
    assert np.array_equal(maps, explainers.stretch(nodes, (ROWS, FRAMES)))


def test_random_nodes_come_from_their_generator():
    assert np.array_equal(random_nodes((1, 13)), random_nodes((1, 13)))
    assert not np.array_equal(random_nodes((1, 13)), random_nodes((1, 13), seed=1))
    maps = random_nodes((1, 13))
    assert len(np.unique(maps.reshape(7, -1), axis=0)) == 7


def test_random_nodes_have_the_shape_of_the_layer_and_the_size_of_the_input():
    maps = random_nodes((2, 3), size=(20, 40))
    assert maps.shape == (7, 20, 40)
    assert np.ptp(maps, axis=1).max() > 0.1  # two rows of nodes
    # a single node is the same everywhere
    assert np.ptp(random_nodes((1, 1)), axis=(1, 2)).max() == 0


def test_random_nodes_score_zero_on_average_on_effects_of_their_own():
    random = np.random.default_rng(0)
    found = np.concatenate(
        [
            correlation.frame_scores(nulls.profile(random_nodes((1, 13), count=20, seed=i)), random.random(400))
            for i in range(20)
        ]
    )
    known = found[np.isfinite(found)]
    assert len(known) > 390
    assert abs(known.mean()) < 0.02
    assert 0.03 < known.std() < 0.1  # about 1 / sqrt(400)


# Kinds of maps that know nothing


def test_every_kind_has_as_many_profiles_as_asked():
    found = clips_of([1, 2, 3], [0, 0, 1])
    kinds = of(0, found, np.random.default_rng(0).random((3, FRAMES)), count=5)
    assert tuple(kinds) == nulls.NULLS
    assert {kind: profiles.shape for kind, profiles in kinds.items()} == dict.fromkeys(nulls.NULLS, (5, FRAMES))
    again = of(0, found, np.random.default_rng(0).random((3, FRAMES)), count=5)
    other = of(0, found, np.random.default_rng(0).random((3, FRAMES)), count=5, seed=1)
    for kind in nulls.NULLS:
        assert np.array_equal(kinds[kind], again[kind])
    for kind in ("random nodes", "shifted", "independent frames"):
        assert not np.array_equal(kinds[kind], other[kind])


def test_shifted_maps_are_rotations_and_every_second_one_is_reversed():
    own = np.array([1.0, 2.0, 3.0, 5.0])
    found = clips_of([1, 2], [0, 0])
    shifted = of(0, found, np.array([own, [9, 9, 9, 9]]))["shifted"]
    rotations = {tuple(np.roll(own, -k)) for k in (1, 2, 3)}
    assert set(map(tuple, shifted[0::2])) == rotations  # all of them, and not the map itself
    assert set(map(tuple, shifted[1::2])) == {rotation[::-1] for rotation in rotations}


@given(st.integers(0, 1000), st.integers(2, 30))
@options(deadline=None, max_examples=20)
def test_a_shifted_map_is_never_the_map_itself(seed, frames):
    profiles = np.arange(float(frames))[None]
    shifted = of(0, clips_of([1], [0]), profiles, count=20, seed=seed)["shifted"]
    assert (np.sort(shifted, axis=1) == profiles[0]).all()
    assert not (shifted[0::2] == profiles[0]).all(axis=1).any()
    assert not (shifted[1::2] == profiles[0, ::-1]).all(axis=1).any()


def clips_in(profiles: np.ndarray, chosen: np.ndarray) -> set[int]:
    """Which clips some profiles are those of."""
    return {int(np.flatnonzero((profiles == own).all(axis=1))[0]) for own in chosen}


def test_another_recordings_maps_of_the_same_and_of_other_classes():
    profiles = np.random.default_rng(0).random((7, FRAMES))
    # clip 0 shares its recording with clips 1 and 6
    found = clips_of([5, 5, 6, 7, 8, 9, 5], [2, 2, 2, 2, 3, 4, 3])
    kinds = of(0, found, profiles)
    assert clips_in(profiles, kinds["same class"]) == {2, 3}
    assert clips_in(profiles, kinds["other class"]) == {4, 5}
    kinds = of(4, found, profiles)
    assert clips_in(profiles, kinds["same class"]) == {6}
    assert clips_in(profiles, kinds["other class"]) == {0, 1, 2, 3, 5}


def test_where_no_other_recording_is_of_the_kind_there_is_no_map():
    profiles = np.random.default_rng(0).random((3, FRAMES))
    kinds = of(0, clips_of([1, 1, 2], [0, 0, 1]), profiles)
    assert kinds["same class"].shape == (0, FRAMES)
    assert len(kinds["other class"]) == 200
    kinds = of(0, clips_of([1, 1, 2], [0, 1, 0]), profiles)
    assert kinds["other class"].shape == (0, FRAMES)
    assert len(kinds["same class"]) == 200


def test_random_nodes_of_a_clip_have_the_shapes_of_its_nodes_and_of_the_input(monkeypatch):
    asked = []

    def note(shape, *, count, random, size):
        asked.append((shape, count, size))
        return random.random((count, *size))

    monkeypatch.setattr(nulls, "random_nodes", note)
    of(0, clips_of([1], [0], nodes=(2, 25)), np.ones((1, 30)), rows=20, count=3)
    assert asked == [((2, 25), 3, (20, 30))]


def test_independent_frames_are_uniform():
    values = of(0, clips_of([1], [0]), np.ones((1, FRAMES)))["independent frames"]
    assert values.min() >= 0
    assert values.max() < 1
    assert np.quantile(values, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.01)
    # neighbours know nothing of each other
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < 0.02


# How a score stands


def test_the_percentile_by_hand():
    null = np.array([0.0, 0.1, 0.1, 0.2, NAN])
    for score, expected in ((-1, 0), (0, 1 / 8), (0.05, 1 / 4), (0.1, 1 / 2), (0.2, 7 / 8), (1, 1)):
        assert nulls.percentile(score, null) == expected


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20), st.integers(-6, 6))
def test_the_percentile_is_scipys(null, score):
    expected = percentileofscore(null, score, kind="mean") / 100
    assert nulls.percentile(score, np.array(null, dtype=float)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("score", "null"), [(NAN, [0.1, 0.2]), (0.1, []), (0.1, [NAN, NAN])])
def test_without_a_score_or_a_null_there_is_no_percentile(score, null):
    assert np.isnan(nulls.percentile(score, np.array(null, dtype=float)))


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20), st.integers(-6, 6))
def test_turned_scores_have_the_opposite_percentile(null, score):
    null = np.array(null, dtype=float)
    assert nulls.percentile(score, null) + nulls.percentile(-score, -null) == pytest.approx(1)


def test_normalised_scores_by_hand():
    found = nulls.normalised([0.1, 0.5, 0.3, 0.0, NAN], [0.1, 0.1, 0.1, 0.1, 0.1], 0.5)
    assert found == pytest.approx([0, 1, 0.5, -0.25, NAN], nan_ok=True)


@pytest.mark.parametrize(("null", "ceiling"), [(0.5, 0.5), (0.6, 0.5), (NAN, 0.5), (0.1, NAN)])
def test_without_room_above_the_null_nothing_is_normalised(null, ceiling):
    assert np.isnan(nulls.normalised(0.4, null, ceiling))
    assert nulls.normalised([0.4, 0.4], [null, 0.2], [ceiling, 0.6]) == pytest.approx([NAN, 0.5], nan_ok=True)


# Planted maps


@pytest.fixture(scope="module")
def planted():
    """Smooth effects of twelve recordings, and what kinds of maps that know nothing score on the first."""
    smooth = nulls.profile(random_nodes((1, 13), count=12, seed=7)) + np.linspace(0, 1, FRAMES)
    found = clips_of(list(range(12)), [0, 1] * 6, nodes=(1, 13))
    kinds = of(0, found, smooth)
    return smooth[0], {kind: correlation.frame_scores(profiles, smooth[0]) for kind, profiles in kinds.items()}


def standing(profile: np.ndarray, planted, kind: str) -> tuple[float, float]:
    v, blind = planted
    (score,) = correlation.frame_scores(profile[None], v)
    return nulls.percentile(score, blind[kind]), float(nulls.normalised(score, np.nanmean(blind[kind]), 1))


@pytest.mark.parametrize("kind", nulls.NULLS)
def test_a_faithful_map_stands_above_all_that_know_nothing(planted, kind):
    percentile, normalised = standing(planted[0], planted, kind)
    assert percentile == 1
    assert normalised == pytest.approx(1)


@pytest.mark.parametrize("kind", nulls.NULLS)
def test_an_unfaithful_map_stands_below_all_that_know_nothing(planted, kind):
    v = planted[0]
    percentile, normalised = standing(v.max() - v, planted, kind)
    assert percentile == 0
    assert normalised < -0.3


@pytest.mark.parametrize("kind", ["random nodes", "shifted", "independent frames"])
def test_a_map_that_knows_nothing_stands_in_between(planted, kind):
    if kind == "random nodes":
        maps = nulls.profile(random_nodes((1, 13), count=40, seed=99))
    elif kind == "shifted":
        maps = np.array([np.roll(planted[0], 10 * k) for k in range(1, 40)])
    else:
        maps = np.random.default_rng(99).random((40, FRAMES))
    found = [standing(profile, planted, kind) for profile in maps]
    percentiles, normalised = map(np.array, zip(*found, strict=True))
    assert 0.3 < np.nanmean(percentiles) < 0.7
    assert abs(np.nanmean(normalised)) < 0.2
