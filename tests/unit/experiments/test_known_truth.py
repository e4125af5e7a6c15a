"""A network whose frames' worth is known: the truth against the network itself, and what each metric says of it."""

import copy

import numpy as np
import pytest
import torch

from helpers import InputError, study
from helpers.experiments import known_truth
from helpers.metric import perturbation
from helpers.networks import architectures, models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network():
    made = models.build("framenet", seed=0).double().eval()
    with torch.no_grad():  # so that terms are large enough to be seen
        made.fc.weight *= 50
    return made


@pytest.fixture(scope="module")
def known():
    return np.random.default_rng(0).normal(size=(5, 1, 13, 60)) * np.arange(1, 14)[:, None]


def test_the_truth_is_what_the_logit_loses(network, known):
    x = np.random.default_rng(1).normal(size=(13, 60))
    found = known_truth.truths(network, x, 3, known=known)
    assert set(found) == set(known_truth.BASELINES)
    fill = known.mean(axis=(0, 1, 3))
    for name, value in (("zero", np.zeros(13)), ("mean", fill)):
        for frame in (0, 17, 59):
            changed = x.copy()
            changed[:, frame] = value
            with torch.inference_mode():
                before, after = network(torch.as_tensor(np.stack([x, changed]))[:, None])[:, 3]
            assert found[name][frame] == pytest.approx(float(before - after), abs=1e-12)


def test_the_truth_squared_is_the_engines_effect_where_only_one_logit_moves(network, known):
    alone = copy.deepcopy(network)
    with torch.no_grad():
        alone.fc.weight[torch.arange(10) != 3] = 0
    x = np.random.default_rng(2).normal(size=(13, 60))
    found = known_truth.truths(alone, x, 3, known=known)
    for name in ("uniform", "zero"):
        v = perturbation.effects(alone, x[None, None], np.array([3]), baseline=name, readout="log-odds")[0]
        np.testing.assert_allclose(found[name] ** 2, v, rtol=1e-6)


def test_the_truth_is_spoilt_in_the_ways_that_are_named():
    truth = {"uniform": np.arange(40.0), "zero": -np.arange(40.0), "mean": np.arange(40.0) - 20}
    found = known_truth.candidates(truth, sounding=8, nodes=4)
    assert found["truth reversed"].tolist() == [*range(7, -1, -1), *range(8, 40)]
    assert found["truth shifted"].tolist() == [6, 7, 0, 1, 2, 3, 4, 5, *range(8, 40)]
    assert found["truth for the class"].tolist() == [*[0] * 21, *range(1, 20)]
    assert found["truth (zero)"].tolist() == list(range(40))
    assert (np.diff(found["truth in nodes"]) >= 0).all()
    assert 0 < found["truth blurred"][0] < found["truth blurred"][-1] < 39


def test_another_network_has_no_known_truth(run):
    with pytest.raises(InputError, match='take architecture="framenet", not "resnet18"'):
        known_truth.table(run)


def test_the_table_has_every_metric_of_every_map(settings, stand_in, monkeypatch):
    monkeypatch.setattr(models, "build", lambda architecture, **given: architectures.NETWORKS[architecture]())
    run = study.open(
        profile="smoke",
        data=str(stand_in),
        architecture="framenet",
        explanations=2,
        control_clips=2,
        epochs=1,
        frames=64,
    )
    table = known_truth.table(run)
    assert list(table["map"].unique()) == list(known_truth.MAPS)
    assert table.groupby(["clip", "map"])["metric"].nunique().eq(table["metric"].nunique()).all()
    frame = table[table["metric"] == "MC uniform"].pivot(index="clip", columns="map", values="value")
    assert (frame["truth (uniform)"] > 0.5).all()
    assert (frame["truth (uniform)"] >= frame["truth in nodes"]).all()
