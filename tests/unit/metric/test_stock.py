"""Stock Quantus clip by clip, and the engine with Quantus' own draws."""

import copy

import numpy as np
import pytest
import torch

from helpers import InputError
from helpers.metric import baselines, stock
from helpers.metric.baselines import Baseline
from helpers.metric.blocking import rank_blocks
from helpers.metric.correlation import score
from helpers.metric.perturbation import effects
from helpers.networks import models
from tests.unit.metric.probes import COLUMNS, ROWS, Precise, Probe, example, tiny


def quantus_scores(*given, features_in_step=ROWS, perturb_baseline="uniform", **options):
    options |= {"features_in_step": features_in_step, "perturb_baseline": perturb_baseline}
    return stock.quantus_scores(*given, **options)


def test_a_clips_stock_score_does_not_depend_on_the_other_clips():
    inputs, classes, maps = example(3, columns=13)
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
    scores, status = quantus_scores(Probe(np.zeros((ROWS, COLUMNS))).eval(), inputs, classes * 0, maps, draws=1, seed=0)
    assert status == ["constant effects"]
    assert np.isnan(scores).all()


def test_stock_quantus_refuses_a_training_network_and_unequal_lengths():
    inputs, classes, maps = example(2)
    with pytest.raises(InputError, match=r"training mode; call network\.eval\(\)"):
        quantus_scores(tiny().train(), inputs, classes, maps, draws=1, seed=0)
    with pytest.raises(InputError, match="have 2, 2 and 1 clips; give one of each per clip"):
        quantus_scores(tiny(), inputs, classes, maps[:1], draws=1, seed=0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"features_in_step": 5}, "features_in_step=5 does not divide the 13 x 26 cells of an input"),
        ({"features_in_step": 0}, "features_in_step=0 does not divide .*; take 13"),
        ({"perturb_baseline": "blur"}, 'perturb_baseline "blur" is not known; choose from uniform, black'),
        ({"perturb_baseline": "random"}, 'perturb_baseline "random" is not known'),
    ],
)
def test_what_quantus_stops_at_is_one_sentence(given, sentence):
    inputs, classes, maps = example(1)
    with pytest.raises(InputError, match=sentence):
        quantus_scores(tiny(), inputs, classes, maps, draws=1, seed=0, **given)


def test_quantus_itself_refuses_what_is_refused_here():
    import quantus

    inputs, classes, maps = example(1)
    for given in ({"features_in_step": 5}, {"features_in_step": 13, "perturb_baseline": "random"}):
        metric = quantus.MonotonicityCorrelation(nr_samples=1, disable_warnings=True, **given)
        with pytest.raises((AssertionError, ValueError), match=r"modulo remainder|'random' as a choice"):
            metric(tiny(), inputs, classes, maps[:, None], channel_first=True, device="cpu")


# --- the same score as Quantus -----------------------------------------------------------------------


def same_draws(network, inputs, classes, maps, draws=2, size=ROWS, perturb_baseline="uniform", **options):
    blocks = rank_blocks(maps, size=size, order="stock")
    baseline = Baseline.draws(draws, seed=5, perturb_baseline=perturb_baseline)
    found = effects(network, inputs, classes, blocks=blocks, baseline=baseline, **options)
    return score(maps, found, blocks=blocks, order="stock")


@pytest.mark.parametrize(
    ("perturb_baseline", "rows", "size"),
    [("uniform", ROWS, ROWS), ("uniform", 20, 40), *((name, ROWS, 26) for name in baselines.QUANTUS[1:])],
)
def test_with_quantus_draws_the_score_is_quantus_score(perturb_baseline, rows, size):
    inputs, classes, maps = example(2, rows=rows)
    given = {"draws": 2, "perturb_baseline": perturb_baseline}
    expected, status = quantus_scores(tiny(), inputs, classes, maps, seed=5, features_in_step=size, **given)
    assert status == ["ok"] * 2
    np.testing.assert_allclose(same_draws(tiny(), inputs, classes, maps, size=size, **given), expected, atol=1e-6)


@pytest.mark.slow
def test_with_quantus_draws_the_score_is_quantus_score_for_resnet18():
    resnet18 = models.build("resnet18", seed=0)
    inputs, classes, maps = example(1, columns=24)
    expected, _ = quantus_scores(Precise(resnet18).eval(), inputs, classes, maps, draws=2, seed=5)
    network = copy.deepcopy(resnet18).double().eval()
    for forward in ("full", "windowed"):
        found = same_draws(network, inputs, classes, maps, draws=2, forward=forward)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_quadrature_is_within_quantus_own_spread():
    inputs, classes, maps = example(1, columns=13)
    blocks = rank_blocks(maps, order="stock")
    ours = score(maps, effects(tiny(), inputs, classes, blocks=blocks), blocks=blocks, order="stock")
    stock = [quantus_scores(tiny(), inputs, classes, maps, draws=10, seed=seed)[0][0] for seed in range(6)]
    assert abs(ours[0] - np.mean(stock)) < 3 * np.std(stock, ddof=1)
