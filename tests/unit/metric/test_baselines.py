"""What a block becomes: by hand, and the registry of names."""

import numpy as np
import pytest

from helpers import InputError, study
from helpers.metric import baselines
from helpers.metric.baselines import Baseline
from tests.unit.metric.probes import WEIGHT, X, linear


def test_mean_baseline_is_the_training_mean_of_each_coefficient():
    training = np.array([[[[1.0, 3.0], [0.0, 1.0]]], [[[2.0, 2.0], [1.0, 2.0]]]])  # means 2 and 1
    change = (WEIGHT * (np.array([[2.0], [1.0]]) - X)).sum(axis=0)
    np.testing.assert_allclose(
        linear("frame", baselines.named("mean", training=lambda: training)), change**2, rtol=1e-12
    )


def test_neighbours_baseline_is_the_mean_of_the_cells_beside_the_block():
    beside = np.array([[1.0, -0.25, 1.0], [0.5, 1.0, 0.5]])  # at the edges: the one neighbour
    change = (WEIGHT * (beside - X)).sum(axis=0)
    np.testing.assert_allclose(linear("frame", "neighbours"), change**2, rtol=1e-12)
    # a block of the first two frames: both take the third
    change = (WEIGHT * (np.array([[-1.0, -1.0, 1.0], [0.0, 0.0, 0.5]]) - X))[:, :2].sum()
    assert linear((2, 2), "neighbours")[0] == pytest.approx(change**2)


def test_neighbours_baseline_needs_neighbours():
    with pytest.raises(InputError, match='"neighbours" needs blocks narrower than the input'):
        linear("coefficient", "neighbours")


def test_marginal_baseline_draws_each_coefficient_from_its_own_values():
    training = np.array([[[[1.0, 2.0], [30.0, 40.0]]], [[[3.0, 4.0], [50.0, 60.0]]]])
    baseline = baselines.named("marginal", training=lambda: training, draws=200, seed=0)
    values = baseline.values(0, X, np.zeros_like(X, int))
    assert set(values[:, 0].ravel()) == {1, 2, 3, 4}
    assert set(values[:, 1].ravel()) == {30, 40, 50, 60}
    assert not np.array_equal(values, baseline.values(1, X, np.zeros_like(X, int)))
    # one draw each for two cells: the effect is their mean square, here over 200 draws
    change = WEIGHT[:, :1] * (values[:, :, :1] - X[:, :1])
    assert linear("frame", baseline)[0] == pytest.approx(np.mean(change.sum(axis=(1, 2)) ** 2))


def test_edited_baseline_takes_whole_inputs_also_beyond_the_block():
    edited = np.stack([X + 1, X, X * np.array([1, 1, 0])])
    change = (WEIGHT * (edited - X)).sum(axis=(1, 2))
    found = linear("frame", Baseline.edited(lambda clip: edited))
    np.testing.assert_allclose(found, change**2, rtol=1e-12)
    assert found[1] == 0


# --- the registry ------------------------------------------------------------------------------------


def test_the_baselines_are_the_legal_ones():
    assert tuple(baselines.BASELINES) == study.BASELINES
    # the field of Quantus' own names takes no more than Quantus does
    assert set(baselines.QUANTUS) <= set(study.QUANTUS_BASELINES)


@pytest.mark.parametrize("name", study.BASELINES)
def test_every_name_gives_a_baseline_for_any_height_of_the_input(name):
    training = np.random.default_rng(0).random((3, 1, 5, 8))
    found = baselines.named(name, training=lambda: training, nodes=3, draws=4, seed=1)
    values = found.values(0, training[0, 0], np.tile(np.arange(8), (5, 1)))
    assert np.broadcast_shapes(values.shape, (len(found.weights), 5, 8)) == (len(found.weights), 5, 8)
    assert found.weights.sum() == pytest.approx(1)
    assert len(found.weights) == {"uniform": 3, "marginal": 4, "resampled": 4}.get(name, 1)


def test_a_resampled_frame_is_a_whole_frame_of_a_training_input():
    training = np.arange(2 * 3 * 4, dtype=float).reshape(2, 1, 3, 4)
    frames = {tuple(training[clip, 0, :, frame]) for clip in range(2) for frame in range(4)}
    found = baselines.named("resampled", training=lambda: training, draws=5, seed=1)
    values = found.values(0, training[0, 0], np.tile(np.arange(4), (3, 1)))
    drawn = [tuple(values[draw, :, frame]) for draw in range(5) for frame in range(4)]
    assert set(drawn) <= frames
    assert len(set(drawn)) > 3
    again = baselines.named("resampled", training=lambda: training, draws=5, seed=1)
    assert np.array_equal(values, again.values(0, training[0, 0], np.tile(np.arange(4), (3, 1))))


def test_the_median_is_each_rows_over_all_clips_and_frames():
    training = np.array([[[[1.0, 2, 3], [0, 0, 9]]], [[[4, 5, 60], [0, 9, 9]]]])
    found = baselines.named("median", training=lambda: training)
    assert found.values(0, training[0, 0], np.zeros((2, 3), int)).ravel().tolist() == [3.5, 4.5]


def test_training_inputs_are_only_read_by_who_needs_them():
    def read():
        raise RuntimeError("read")

    for name in ("uniform", "zero", "neighbours"):
        baselines.named(name, training=read)
    for name in ("mean", "marginal"):
        with pytest.raises(RuntimeError, match="read"):
            baselines.named(name, training=read)
        with pytest.raises(InputError, match=f'"{name}" needs the training inputs; give named'):
            baselines.named(name)


def test_a_new_baseline_is_a_function_and_a_line(monkeypatch):
    def one(**_):
        return Baseline(lambda clip, x, labels: np.ones((1, 1, 1)), np.ones(1))

    monkeypatch.setitem(baselines.BASELINES, "one", one)
    np.testing.assert_allclose(linear("frame", "one"), (WEIGHT * (1 - X)).sum(axis=0) ** 2, rtol=1e-12)


def test_a_baseline_stays_as_it_is():
    own = Baseline(lambda clip, x, labels: x, np.ones(1))
    assert baselines.named(own) is own


def test_quantus_numbers_of_a_clip_are_its_least_largest_and_mean():
    for name, value in {"black": -1, "white": 2, "mean": X.mean()}.items():
        found = Baseline.draws(10, seed=0, perturb_baseline=name)
        np.testing.assert_allclose(linear("frame", found), (WEIGHT * (value - X)).sum(axis=0) ** 2, rtol=1e-12)
    with pytest.raises(InputError, match='perturb_baseline "random" is not known; choose from uniform, black'):
        Baseline.draws(10, seed=0, perturb_baseline="random")
