"""Which cells are replaced together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import InputError
from helpers.metric import blocking
from helpers.metric.blocking import rank_blocks
from helpers.metric.correlation import score
from tests.unit.metric.probes import COLUMNS, ROWS, example


def test_ties_go_row_by_row():
    # ascending: five zeros (row 0 first), then the ties of 0.5, then 1
    cells = np.array([[0.5, 0.0, 0.0, 1.0], [0.0, 0.0, 0.5, 0.0]])
    np.testing.assert_array_equal(rank_blocks(cells, size=2), [[2, 0, 0, 3], [1, 1, 3, 2]])
    np.testing.assert_array_equal(rank_blocks(cells, size=3), [[1, 0, 0, 2], [0, 1, 2, 1]])


@given(seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_last_bit_of_a_map_changes_neither_blocks_nor_score(seed):
    # 13 equal rows up to a unit in the last place, as OpenCV's resize leaves them
    random = np.random.default_rng(seed)
    column = np.maximum(np.interp(np.arange(60), np.arange(0, 60, 6), random.normal(size=10)), 0)
    exact = np.broadcast_to(column, (1, 13, 60)).astype(np.float32)
    noisy = np.nextafter(exact, np.where(random.random(exact.shape) < 0.5, 0, 1).astype(np.float32))
    noisy[exact == 0] = 0
    found = random.random((1, 60))
    blocks = rank_blocks(exact)
    np.testing.assert_array_equal(rank_blocks(noisy), blocks)
    np.testing.assert_allclose(score(noisy, found, blocks=blocks), score(exact, found, blocks=blocks), atol=1e-12)


def test_stock_order_is_numpys_default_sort_of_the_scaled_map():
    maps = example(2)[2]
    for labels, map_ in zip(rank_blocks(maps, order="stock"), maps, strict=True):
        order = np.argsort((map_ / map_.max()).ravel())
        np.testing.assert_array_equal(labels.ravel()[order], np.arange(ROWS * COLUMNS) // ROWS)


def test_a_block_has_the_cells_of_one_frame_unless_a_size_is_given():
    maps = np.random.default_rng(0).random((2, 20, 6))
    for order in blocking.ORDERS:
        np.testing.assert_array_equal(rank_blocks(maps, order=order), rank_blocks(maps, size=20, order=order))
    assert np.bincount(rank_blocks(maps)[0].ravel()).tolist() == [20] * 6
    assert np.bincount(rank_blocks(maps[0], size=7).ravel()).tolist() == [7] * 17 + [1]


@given(maps=arrays(np.float64, (3, 8), elements=st.integers(0, 64).map(float)), factor=st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_the_size_of_a_map_and_the_other_maps_keep_its_blocks(maps, factor):
    expected = rank_blocks(maps)
    np.testing.assert_array_equal(rank_blocks(-maps * factor), expected)
    np.testing.assert_array_equal(rank_blocks(np.stack([maps * 0, maps]))[1], expected)


def test_bad_maps_to_rank_blocks_is_one_sentence():
    with pytest.raises(InputError, match=r"maps have shape \(3,\)"):
        rank_blocks(np.ones(3))
    with pytest.raises(InputError, match='order "quick" is not known; choose from stable, stock'):
        rank_blocks(np.ones((2, 3)), order="quick")
    for size in (4, 0):
        with pytest.raises(InputError, match=f"features_in_step={size} does not divide the 2 x 3 cells .* take 2"):
            rank_blocks(np.ones((2, 3)), size=size, order="stock")


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3))
def test_sums_of_a_grid_are_those_of_its_labels(rows, columns, down, across):
    maps = np.random.default_rng(0).normal(size=(2, rows, columns))
    labels = blocking.block_labels((down, across), (rows, columns), clips=1)[0]
    by_hand = [[np.abs(one)[labels == block].sum() for block in range(labels.max() + 1)] for one in maps]
    assert blocking.sums(maps, (down, across)) == pytest.approx(np.array(by_hand))
