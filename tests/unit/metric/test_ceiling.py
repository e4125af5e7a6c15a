"""The best map of a layer's shape: nothing that is found by other means exceeds it."""

import itertools

import numpy as np
import pytest

from helpers.maps import explainers, nulls
from helpers.metric import ceiling, correlation

SIZE = (13, 400)


def score(nodes: np.ndarray, v: np.ndarray, shape=(1, 13)) -> np.ndarray:
    return correlation.frame_scores(nulls.profile(explainers.stretch(nodes.reshape(-1, *shape), SIZE)), v)


@pytest.mark.parametrize("shape", [(1, 13), (2, 50), (4, 6)])
def test_the_weights_are_those_of_the_stretch(shape):
    random = np.random.default_rng(0)
    nodes = random.random((5, *shape)).astype(np.float32)
    nodes -= nodes.min((1, 2), keepdims=True)
    nodes /= nodes.max((1, 2), keepdims=True)
    own = nulls.profile(explainers.stretch(nodes, SIZE))
    again = nodes.reshape(5, -1) @ ceiling.weights(shape, SIZE).T
    for one, two in zip(own, again, strict=True):  # the stretch scales each map
        assert np.corrcoef(one, two)[0, 1] > 0.999999


def test_the_weights_of_patches_are_sums_of_the_stretched_nodes():
    found = ceiling.weights((2, 2), (4, 4), (2, 4))  # two bands of two rows
    assert found.shape == (2, 4)
    # linear stretch of two rows of nodes to four: 1, 3/4, 1/4, 0 of the upper one, over columns that add up to two each
    assert found[0].tolist() == pytest.approx([(1 + 0.75) * 2] * 2 + [0.25 * 2] * 2)
    assert found.sum() == pytest.approx(16)
    assert np.array_equal(ceiling.weights((2, 2), (4, 4), (4, 1)), ceiling.weights((2, 2), (4, 4)))


def test_effects_that_nodes_can_show_are_shown():
    nodes = np.random.default_rng(1).random(13)
    v = np.exp(9 * ceiling.weights((1, 13), SIZE) @ nodes)  # heavy-tailed: ranks count
    found = ceiling.best_nodes(
        v, np.ones((1, 13)), weights=ceiling.weights((1, 13), SIZE), random=np.random.default_rng(0)
    )
    assert score(found, v)[0] > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_of_two_nodes_no_pair_of_values_is_better(seed):
    v = np.random.default_rng(seed).random(40)
    weights = ceiling.weights((1, 2), (1, 40))
    found = ceiling.best_nodes(v, np.ones((1, 2)), weights=weights, random=np.random.default_rng(0))
    grid = np.array(list(itertools.product(np.linspace(0, 1, 21), repeat=2)))
    every = correlation.frame_scores((grid @ weights.T).round(9), v)
    assert correlation.frame_scores((weights @ found)[None].round(9), v)[0] >= np.nanmax(every) - 1e-9


def test_neither_random_maps_nor_the_starts_exceed_it_and_the_seed_fixes_it():
    random = np.random.default_rng(2)
    v = np.convolve(random.standard_normal(430) ** 4, np.ones(31), "valid")
    starts = random.random((20, 13))
    weights = ceiling.weights((1, 13), SIZE)
    found, again = (ceiling.best_nodes(v, starts, weights=weights, random=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(found, again)
    best = score(found, v)[0]
    assert best >= np.nanmax(score(starts, v)) - 1e-6
    assert best > np.nanmax(score(random.standard_normal((5000, 13)), v))


def test_effects_that_are_all_the_same_have_no_best_map():
    weights = ceiling.weights((1, 13), SIZE)
    found = ceiling.best_nodes(np.ones(400), np.ones((1, 13)), weights=weights, random=np.random.default_rng(0))
    assert not found.any()
