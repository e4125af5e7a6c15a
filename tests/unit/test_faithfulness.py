"""Effects written down by hand, scores against Quantus and SciPy, laws by hypothesis."""

import copy

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from helpers import InputError
from helpers.metric import blocking
from helpers.metric.baselines import Baseline
from helpers.metric.blocking import rank_blocks
from helpers.metric.correlation import score
from helpers.metric.perturbation import effects
from helpers.metric.stock import quantus_scores
from helpers.networks import models

ROWS, COLUMNS = 13, 26


class Probe(nn.Module):
    """Two classes whose log-odds are a weighted sum of the input: ln(p / (1 - p)) = sum(weight * x)."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float64))

    def forward(self, x):
        odds = (x.to(self.weight.dtype) * self.weight).sum((1, 2, 3))
        return torch.stack([odds, torch.zeros_like(odds)], 1)


class Slope(nn.Module):
    """p = 0.5 + slope * (sum of the input): a probability that is linear in each cell."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, x):
        p = 0.5 + self.slope * x.sum((1, 2, 3))
        return torch.stack([p, 1 - p], 1).log()


class Precise(nn.Module):
    """A float32 network computed in float64: what is left of a difference is not rounding."""

    def __init__(self, network):
        super().__init__()
        self.network = copy.deepcopy(network).double()

    def forward(self, x):
        return self.network(x.double())


def tiny(seed=0):
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 4)), nn.Flatten(), nn.Linear(32, 3)
    )
    return Precise(network).eval()


def example(clips=2, rows=ROWS, columns=COLUMNS, seed=0):
    """Inputs, classes and maps with many exact zeros, as Grad-CAM's."""
    random = np.random.default_rng(seed)
    inputs = random.normal(0, 3, (clips, 1, rows, columns)).astype(np.float32)
    maps = np.maximum(random.normal(size=(clips, rows, columns)), 0).astype(np.float32)
    return inputs, random.integers(3, size=clips), maps


# --- stock Quantus -----------------------------------------------------------------------------------


def test_a_clips_stock_score_does_not_depend_on_the_other_clips():
    inputs, classes, maps = example(3)
    scores, status = quantus_scores(tiny(), inputs, classes, maps, draws=2, seed=0)
    first, _ = quantus_scores(tiny(), inputs[:1], classes[:1], maps[:1], draws=2, seed=0)
    changed = maps.copy()
    changed[0] *= 100
    again, _ = quantus_scores(tiny(), torch.from_numpy(inputs), classes, changed, draws=2, seed=0)
    assert status == ["ok"] * 3
    assert scores.dtype == np.float64
    assert first[0] == scores[0]
    np.testing.assert_array_equal(again, scores)


def test_stock_scores_follow_the_seed_and_leave_numpys_generator_alone():
    inputs, classes, maps = example(1)
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    zero = quantus_scores(tiny(), inputs, classes, maps, draws=1, seed=0)[0]
    assert np.random.random() == expected  # noqa: NPY002
    assert quantus_scores(tiny(), inputs, classes, maps, draws=1, seed=0)[0] == zero
    assert quantus_scores(tiny(), inputs, classes, maps, draws=1, seed=1)[0] != zero


def test_what_quantus_cannot_score_is_nan_with_a_reason():
    inputs, classes, maps = example(5)
    maps[0], maps[1], maps[2, 0, 0] = 0, -1 - maps[1], np.nan
    scores, status = quantus_scores(tiny(), inputs, classes, maps, draws=1, seed=0)
    assert status == ["constant map", "negative map", "not finite", "ok", "ok"]
    assert np.isnan(scores).tolist() == [True, True, True, False, False]


def test_a_class_of_hardly_any_probability_is_scored_and_named():
    inputs, _, maps = example(1)
    network = Probe(np.full((ROWS, COLUMNS), 0.01)).eval()
    inputs -= 10
    scores, status = quantus_scores(network, inputs, np.zeros(1, int), maps, draws=2, seed=0)
    assert status == ["p below 1e-5"]
    assert np.isfinite(scores).all()


def test_a_network_that_never_changes_its_answer_has_no_stock_score():
    inputs, classes, maps = example(1)
    scores, status = quantus_scores(
        Probe(np.zeros((13, 26))).eval(), inputs, classes * 0, maps, draws=1, seed=0
    )
    assert status == ["constant effects"]
    assert np.isnan(scores).all()


def test_stock_quantus_refuses_a_training_network_and_unequal_lengths():
    inputs, classes, maps = example(2)
    with pytest.raises(InputError, match=r"training mode; call network\.eval\(\)"):
        quantus_scores(tiny().train(), inputs, classes, maps, draws=1, seed=0)
    with pytest.raises(InputError, match="have 2, 2 and 1 clips; give one of each per clip"):
        quantus_scores(tiny(), inputs, classes, maps[:1], draws=1, seed=0)


# --- the same score as Quantus -----------------------------------------------------------------------


def same_draws(network, inputs, classes, maps, draws=3, **options):
    blocks = rank_blocks(maps, order="stock")
    found = effects(
        network, inputs, classes, blocks=blocks, baseline=Baseline.draws(draws, seed=5), **options
    )
    return score(maps, found, blocks=blocks, order="stock")


def test_with_quantus_draws_the_score_is_quantus_score():
    inputs, classes, maps = example(2)
    expected, _ = quantus_scores(tiny(), inputs, classes, maps, draws=3, seed=5)
    np.testing.assert_allclose(same_draws(tiny(), inputs, classes, maps), expected, atol=1e-6)


def test_with_quantus_draws_the_score_is_quantus_score_for_resnet18(resnet18):
    inputs, classes, maps = example(1, columns=40)
    expected, _ = quantus_scores(Precise(resnet18).eval(), inputs, classes, maps, draws=2, seed=5)
    network = copy.deepcopy(resnet18).double()
    for forward in ("full", "windowed"):
        found = same_draws(network, inputs, classes, maps, draws=2, forward=forward)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_quadrature_is_within_quantus_own_spread():
    inputs, classes, maps = example(1)
    blocks = rank_blocks(maps, order="stock")
    ours = score(maps, effects(tiny(), inputs, classes, blocks=blocks), blocks=blocks, order="stock")
    stock = [quantus_scores(tiny(), inputs, classes, maps, draws=20, seed=seed)[0][0] for seed in range(6)]
    assert abs(ours[0] - np.mean(stock)) < 3 * np.std(stock, ddof=1)


@pytest.fixture(scope="module")
def resnet18():
    return models.build("resnet18", seed=0).eval()


# --- effects by hand ---------------------------------------------------------------------------------


def test_quadrature_is_the_integral_of_a_quadratic_effect():
    # p(u) = 0.5 + 0.1 u: the mean of (0.1 u / 0.5)^2 over [0, 1) is 0.04 / 3
    found = effects(Slope(0.1).eval(), torch.zeros(1, 1, 2, 3, dtype=torch.float64), [0], blocks="cell")
    np.testing.assert_allclose(found, np.full((1, 6), 0.04 / 3), rtol=1e-12)


@pytest.mark.parametrize("nodes", [2, 3])
@given(
    weight=arrays(np.float64, (2, 3), elements=st.floats(-2, 2)),
    x=arrays(np.float64, (2, 3), elements=st.floats(-3, 3)),
)
@settings(max_examples=20, deadline=None)
def test_effect_of_a_frame_on_linear_log_odds(nodes, weight, x):
    # frame j: the change is sum_i w_ij (u - x_ij) = a u - b; its mean square over [0, 1) is a^2/3 - a b + b^2
    a, b = weight.sum(axis=0), (weight * x).sum(axis=0)
    found = effects(Probe(weight).eval(), torch.tensor(x[None, None]), [0], nodes=nodes, readout="log-odds")
    np.testing.assert_allclose(found[0], a * a / 3 - a * b + b * b, rtol=1e-9, atol=1e-9)


WEIGHT = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
X = np.array([[0.5, 1.0, -1.0], [2.0, 0.5, 0.0]])


def linear(blocks, baseline, readout="log-odds", category=0):
    return effects(
        Probe(WEIGHT).eval(), X[None, None], [category], blocks=blocks, baseline=baseline, readout=readout
    )[0]


@pytest.mark.parametrize(
    ("blocks", "change"),
    [
        ("frame", [-1.0, 0.5, 0.5]),  # - sum over the block of w x
        ("coefficient", [2.0, -2.0]),
        ("cell", [-0.5, 2.0, 0.5, -0.5, -1.5, 0.0]),
        ((1, 2), [1.5, 0.5, -2.0, 0.0]),
        (np.array([[0, 1, 1], [1, 0, 0]]), [-2.0, 2.0]),
    ],
)
def test_zero_baseline_over_every_shape_of_block(blocks, change):
    np.testing.assert_allclose(linear(blocks, "zero"), np.square(change), atol=1e-12)


def test_cross_entropy_is_the_signed_rise_of_the_loss():
    odds = (WEIGHT * X).sum()
    after = odds + np.array([-1.0, 0.5, 0.5])
    rise = np.log1p(np.exp(-after)) - np.log1p(np.exp(-odds))
    np.testing.assert_allclose(linear("frame", "zero", "cross-entropy"), rise, rtol=1e-12)


def test_probability_is_the_squared_relative_change():
    p, after = (1 / (1 + np.exp(-((WEIGHT * X).sum() + c))) for c in (0, np.array([-1.0, 0.5, 0.5])))
    np.testing.assert_allclose(linear("frame", "zero", "probability"), (after / p - 1) ** 2, rtol=1e-12)
    np.testing.assert_allclose(
        linear("frame", "zero", "probability", 1), ((1 - after) / (1 - p) - 1) ** 2, rtol=1e-12
    )


def test_mean_baseline_is_the_training_mean_of_each_coefficient():
    training = np.array([[[[1.0, 3.0], [0.0, 1.0]]], [[[2.0, 2.0], [1.0, 2.0]]]])  # means 2 and 1
    change = (WEIGHT * (np.array([[2.0], [1.0]]) - X)).sum(axis=0)
    np.testing.assert_allclose(linear("frame", Baseline.mean(training)), change**2, rtol=1e-12)


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
    baseline = Baseline.marginal(training, draws=200, seed=0)
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


def test_a_replacement_that_changes_nothing_has_no_effect_at_all(resnet18):
    inputs, classes, _ = example(1)
    inputs[..., 20:] = 0
    found = effects(resnet18, inputs, classes, baseline="zero")[0]
    assert (found[:20] > 0).all()
    assert (found[20:] == 0).all()


def test_a_probability_of_zero_has_finite_effects():
    # p = exp(-2000) is 0 in float64; ln p' - ln p = 1 for the cell that is removed
    network = Probe(np.array([[-1.0, 2000.0]])).eval()
    x = np.array([[[[1.0, -1.0]]]])
    found = effects(network, x, [0], baseline="zero")
    assert found[0, 0] == pytest.approx(np.expm1(1) ** 2)


def test_windowed_and_full_effects_agree(resnet18):
    inputs, classes, maps = example(1, columns=75)
    for blocks in ("frame", (13, 3), rank_blocks(maps)):
        full, windowed = (
            effects(resnet18, inputs, classes, blocks=blocks, forward=way) for way in ("full", "windowed")
        )
        np.testing.assert_allclose(windowed, full, rtol=1e-3, atol=1e-4 * full.max())
        assert (full > 0).all()


def test_clips_and_batches_are_independent(resnet18):
    inputs, classes, _ = example(2)
    both = effects(resnet18, inputs, classes, batch=7)
    alone = effects(resnet18, inputs[1:], classes[1:])
    np.testing.assert_allclose(both[1:], alone, rtol=1e-3, atol=1e-4 * alone.max())


# --- scores and ties ---------------------------------------------------------------------------------

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
    np.testing.assert_allclose(score(-maps * factor, found**3 * 5), expected)
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
    np.testing.assert_allclose(
        score(noisy, found, blocks=blocks), score(exact, found, blocks=blocks), atol=1e-12
    )


def test_stock_order_is_numpys_default_sort_of_the_scaled_map():
    maps = example(2)[2]
    for labels, map_ in zip(rank_blocks(maps, order="stock"), maps, strict=True):
        order = np.argsort((map_ / map_.max()).ravel())
        np.testing.assert_array_equal(labels.ravel()[order], np.arange(ROWS * COLUMNS) // 13)


def test_stock_sums_need_blocks_of_one_size():
    with pytest.raises(InputError, match='"stock" needs blocks of one size'):
        score(np.ones((1, 2, 3)), np.ones((1, 2)), blocks=(2, 2), order="stock")


# --- a user's mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"inputs": np.zeros((1, 2, 3))}, r"inputs has shape \(1, 2, 3\) and type .*; give floats"),
        ({"inputs": np.zeros((1, 1, 2, 3), int)}, "type torch.int64; give floats"),
        ({"inputs": np.full((1, 1, 2, 3), np.nan)}, "not finite in clip 0; leave it out"),
        ({"classes": [0, 1]}, r"classes has shape \(2,\) for 1 clips; give one class per clip"),
        ({"classes": [2]}, "classes has 2 for clip 0; give a class from 0 to 1"),
        ({"classes": [-1]}, "classes has -1 for clip 0"),
        ({"blocks": "frames"}, 'blocks "frames" is not known; choose from frame, cell, coefficient'),
        ({"blocks": (0, 1)}, r"blocks is \(0, 1\); give a patch"),
        ({"blocks": np.zeros((2, 2), int)}, r"blocks has shape \(1, 2, 2\)"),
        ({"blocks": np.zeros((2, 3))}, "type float64; give whole numbers"),
        ({"blocks": np.full((2, 3), -1)}, "give whole numbers from 0"),
        ({"baseline": "blur"}, 'baseline "blur" is not known; choose from uniform, zero, neighbours'),
        ({"baseline": Baseline(lambda *_: np.ones((3, 2, 3)), np.ones(1))}, "has shape .*; give"),
        (
            {"baseline": Baseline(lambda *_: np.full((1, 1, 1), np.inf), np.ones(1))},
            "baseline of clip 0 .* not finite",
        ),
        ({"readout": "logit"}, 'readout "logit" is not known; choose from probability, log-odds'),
        ({"forward": "fast"}, 'forward "fast" is not known; choose from auto, full, windowed'),
        ({"forward": "windowed"}, '"windowed" needs a torchvision ResNet, not Probe'),
        ({"network": Probe(WEIGHT)}, "training mode"),
        ({"network": Probe(WEIGHT * np.inf).eval()}, "logits for clip 0 are not finite"),
    ],
)
def test_bad_input_to_effects_is_one_sentence(changed, sentence):
    given = {"network": Probe(WEIGHT).eval(), "inputs": X[None, None], "classes": [0]} | changed
    with pytest.raises(InputError, match=sentence):
        effects(given.pop("network"), given.pop("inputs"), given.pop("classes"), **given)


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


def test_bad_maps_to_rank_blocks_is_one_sentence():
    with pytest.raises(InputError, match=r"maps have shape \(3,\)"):
        rank_blocks(np.ones(3))
    assert blocking.TIE == 1e-6
