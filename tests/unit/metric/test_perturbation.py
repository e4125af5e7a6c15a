"""Effects written down by hand, and what they do not depend on."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import InputError, study
from helpers.maps import explainers
from helpers.metric import forward, perturbation
from helpers.metric.baselines import Baseline
from helpers.metric.blocking import rank_blocks
from helpers.metric.correlation import spearman
from helpers.metric.perturbation import effects
from helpers.networks import models, training
from tests.unit.metric.probes import WEIGHT, Probe, Slope, X, example, linear


@pytest.fixture(scope="module")
def resnet18():
    return models.build("resnet18", seed=0).eval()


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
    np.testing.assert_allclose(linear("frame", "zero", "probability", 1), ((1 - after) / (1 - p) - 1) ** 2, rtol=1e-12)


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
        (
            {"baseline": "blur"},
            'baseline "blur" is not known; choose from uniform, zero, mean, .*, or give a Baseline',
        ),
        ({"baseline": "mean"}, r'"mean" needs the training inputs; give named\("mean", training=...\)'),
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


def test_the_read_outs_are_the_legal_ones_and_a_new_one_is_a_line(monkeypatch):
    assert tuple(perturbation.READOUTS) == study.READOUTS

    def rise(logits, clean, category):
        return (logits - clean)[:, category]

    monkeypatch.setitem(perturbation.READOUTS, "rise", rise)
    np.testing.assert_allclose(linear("frame", "zero", "rise"), -(WEIGHT * X).sum(axis=0), rtol=1e-12)


# Rounding


def test_what_rounding_alone_can_make_is_exactly_0_and_the_rest_is_kept():
    # log-odds fall by 20, 1e-13 and 1e-15; a float64 logit may be wrong by 32 epsilons, 7.1e-15
    network, x = Probe([[20.0, 1e-13, 1e-15]]).eval(), np.ones((1, 1, 1, 3))
    found = effects(network, x, [0], blocks="cell", baseline="zero", readout="log-odds")[0]
    assert found[:2] == pytest.approx([400, 1e-26], rel=0.1)
    assert found[2] == 0
    # p is within 2e-9 of 1, so that its relative change is as much smaller: still real, and still kept
    found = effects(network, x, [0], blocks="cell", baseline="zero")[0]
    assert found[1] == pytest.approx((1e-13 / (1 + np.exp(20))) ** 2, rel=0.1)
    assert found[2] == 0


@pytest.mark.parametrize(("readout", "half", "sure"), [("probability", 1 / 4, 1e-6), ("log-odds", 1, 1)])
def test_the_floor_is_what_a_wrong_logit_makes_of_the_read_out(readout, half, sure):
    read = perturbation.READOUTS[readout]
    for p, factor in ((0.5, half), (0.999, sure)):
        clean = torch.tensor([p, 1 - p], dtype=torch.float64).log()
        found = perturbation.floor(read, clean, 0, rounding=1e-6)
        assert found == pytest.approx(1e-12 * factor, rel=1e-2)


@pytest.mark.slow
def test_in_half_the_digits_the_real_network_ranks_the_frames_the_same():
    """Effects of float32 above their floor are no noise: float64 has them in the same order, also where p is near 1."""
    run = study.traveller()
    network, maps = training.network(run), explainers.explanations(run)
    exact = copy.deepcopy(network).double()
    single, double = (forward.prepare(one, shape=maps.inputs.shape[1:]) for one in (network, exact))
    x, c = torch.from_numpy(maps.inputs[32]), maps.explained[[32]]  # whose p is near 1
    apart = (single.remember(x) - double.remember(x.double())).abs().max()
    assert apart < perturbation.ROUNDING * torch.finfo(torch.float32).eps
    one, two = effects(single, x[None], c)[0], effects(double, x[None].double(), c)[0]
    assert spearman(one[None], two[None])[0] > 0.999
