"""Slips: each changes what it says, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers.experiments import scores, slips
from helpers.maps import explainers
from helpers.metric import forward, perturbation
from helpers.networks import training

pytestmark = pytest.mark.slow


@pytest.fixture
def run(run):
    return run.with_(explanations=1, drawn_clips=0)


@pytest.fixture
def known(run):
    return slips.cases(run)


def test_without_a_slip_the_scores_are_those_of_the_book(run):
    found = slips.table(run).query("slip == 'none'").set_index("clip")["score"]
    own = scores.table(run).query("specification == 'rank'").set_index("clip")["score"]
    assert found.to_numpy() == pytest.approx(own[found.index].to_numpy(), nan_ok=True)


def test_every_slip_has_a_sentence_and_every_clip_a_row(run, known):
    assert set(known) <= set(slips.SLIPS)
    # recorded maps are of recorded clips
    assert set(slips.SLIPS) - set(known) == {"map of ResNet101", "map of hop 512"}
    table = slips.table(run)
    assert table.groupby("slip")["clip"].nunique().to_dict() == dict.fromkeys(
        known, len(explainers.explanations(run).clips)
    )
    assert ((table["status"] == "ok") == table["score"].notna()).all()


def test_a_slip_changes_what_it_says_and_nothing_else(run, known):
    maps, right = explainers.explanations(run), known["none"]
    same = {"network": right.network, "inputs": right.inputs, "maps": right.maps, "classes": right.classes}

    def changed(name):
        return {field for field, value in same.items() if getattr(known[name], field) is not value}

    assert changed("maps out of step") == {"maps"}
    assert changed("classes out of step") == {"classes"}
    assert changed("true class scored") == {"classes"}
    assert changed("softmax twice") == {"network", "maps"}
    assert changed("shuffled labels") == {"network", "inputs", "maps", "classes"}
    assert changed("the text's effect") == set()
    assert (known["the text's effect"].readout, known["the text's effect"].sign) == ("cross-entropy", -1)
    assert sorted(known["maps out of step"].maps.sum((1, 2))) == sorted(maps.maps.sum((1, 2)))
    assert (
        known["true class scored"].classes is maps.labels or (known["true class scored"].classes == maps.labels).all()
    )
    assert known["scaled to [0, 1]"].inputs.min() == 0
    assert known["scaled to [0, 1]"].inputs.max() == 1
    assert known["173 frames"].inputs.shape[3] == 173
    assert known["inputs of hop 512"].inputs.shape == maps.inputs.shape


def test_rows_and_columns_are_mixed_up(known):
    own, mixed = known["none"].maps[0], known["rows and columns"].maps[0]
    # read column by column, written row by row: the first row holds the first columns
    assert mixed[0, :13].tolist() == own[:, 0].tolist()
    assert sorted(mixed.ravel()) == sorted(own.ravel())


def test_a_second_softmax_is_that_of_a_network_with_one_at_its_end(tiny):
    network, x = tiny("resnet18", seed=0).eval(), np.random.default_rng(0).normal(size=(1, 1, 13, 40)).astype("f4")
    ready = slips.softmaxed(forward.prepare(network, shape=(1, 13, 40)))
    plain = forward.prepare(network, shape=(1, 13, 40))
    whole = nn.Sequential(network, nn.Softmax(dim=1)).eval()
    asked = {"inputs": x, "classes": np.array([3])}
    assert perturbation.effects(ready, **asked) == pytest.approx(perturbation.effects(whole, **asked), rel=1e-3)
    assert perturbation.effects(ready, **asked).max() < perturbation.effects(plain, **asked).max()


def test_a_copy_stays_in_training_mode_and_the_network_is_not_touched(tiny):
    network = tiny("resnet18", seed=0).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    other = slips.training_mode(network)
    assert other.eval() is other
    assert other.training
    other(torch.randn(4, 1, 13, 40))
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_picture_in_the_colours_jet_is_brightest_in_the_middle():
    # jet begins at half blue, (0, 0, 0.5), ends at half red, (0.5, 0, 0), and is green in the middle
    low, middle, high = slips.in_grey(np.array([[[0.0, 0.5, 1.0]]]))[0, 0]
    assert low == pytest.approx(0.114 / 2, abs=1e-3)
    assert high == pytest.approx(0.299 / 2, abs=1e-3)
    assert middle > 0.75


def test_what_a_network_is_asked_is_of_one_piece(run):
    network, inputs = training.network(run), explainers.explanations(run).inputs
    case = slips.asked(run, network, inputs)
    assert case.classes.tolist() == training.predict(network, inputs).argmax(1).tolist()
    assert np.array_equal(case.maps, explainers.explanations(run).maps)
