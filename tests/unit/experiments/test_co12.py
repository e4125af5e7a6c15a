"""Completeness, continuity, contrastivity and compactness of maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.experiments import co12
from helpers.maps import explainers
from helpers.networks import models, training


def test_before_the_cut_grad_cam_of_the_last_block_adds_up_to_the_logit_without_its_bias(tiny):
    network = tiny("resnet18", seed=0).eval()
    inputs = np.random.default_rng(0).normal(size=(3, 1, 13, 64)).astype(np.float32)
    classes = np.array([1, 2, 3])
    layer = models.layer(network, "layer4[-1]")
    nodes = explainers.nodes(network, inputs, layer=layer, classes=classes)
    assert co12.completeness(network, inputs, nodes, classes) == pytest.approx(np.zeros(3), abs=1e-5)
    # half of the nodes explain half of the logit
    assert co12.completeness(network, inputs, nodes / 2, classes) == pytest.approx(np.full(3, 0.5), abs=1e-5)
    other = training.predict(network, inputs).numpy()[:, 4] - network.fc.bias[4].item()
    assert nodes.sum((1, 2)) != pytest.approx(other, abs=1e-3)


def test_noise_is_a_tenth_of_each_rows_spread_and_leaves_the_padding():
    inputs = np.zeros((2, 1, 2, 400), dtype=np.float32)
    inputs[0, 0, 0, :300] = np.resize([-5, 5], 300)
    inputs[0, 0, 1, :300] = np.resize([-50, 50], 300)
    found = co12.noisy(inputs, np.array([300, 100]), draws=20)
    assert found.shape == (20, *inputs.shape)
    added = found - inputs
    assert added[:, 0, 0, 0, :300].std() == pytest.approx(0.5, rel=0.05)
    assert added[:, 0, 0, 1, :300].std() == pytest.approx(5, rel=0.05)
    assert not added[:, 0, ..., 300:].any()
    assert not added[:, 1].any()  # a clip without ups and downs
    assert added[0].tolist() != added[1].tolist()


@pytest.mark.parametrize(
    ("curve", "share"), [([1, 1, 1, 1], 0.5), ([0, 0, 9, 0], 0.25), ([4, 1, 3, 0], 0.25), ([3, 2, 2, 1], 0.5)]
)
def test_half_of_a_curve_lies_in_its_highest_frames(curve, share):
    assert co12.half(np.array(curve, dtype=float)) == share


@given(st.integers(1, 50), st.floats(0.01, 100))
def test_half_of_a_constant_curve_is_half_of_the_frames(frames, height):
    assert co12.half(np.full(frames, height)) == np.ceil(frames / 2) / frames


def test_a_curve_of_zeros_is_neither_short_nor_long():
    assert np.isnan(co12.half(np.zeros(4)))
    assert np.isnan(co12.sparseness(np.zeros(4)))


def test_sparseness_is_the_gini_index():
    assert co12.sparseness(np.full(4, 13.0)) == pytest.approx(0, abs=1e-6)
    # one of four frames has all: 1 - 1 / 4
    assert co12.sparseness(np.array([0.0, 0, 0, 1])) == pytest.approx(0.75, abs=1e-5)


def test_every_explained_clip_has_every_measure(run):
    found = co12.table(run).pivot(index="clip", columns="measure", values="value")
    assert len(found) == len(explainers.explanations(run).clips)
    assert set(found) == {"completeness", "cut", "continuity", "contrastivity", "half", "sparseness"}
    assert found["completeness"].max() < 1e-3
    assert found["cut"].dropna().between(0, 1).all()
    for name in ("continuity", "contrastivity"):
        assert found[name].dropna().between(-1, 1).all()
