"""Networks that learned nothing: their maps, their scores, and the table of both."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import sanity, scores
from helpers.maps import explainers
from helpers.metric import correlation, perturbation
from helpers.networks import models, training

pytestmark = pytest.mark.slow

NAN = float("nan")
SEEDS = itertools.count(1000)
TOP_DOWN = ["original", "fc", *(f"layer{i}.0.conv2" for i in (4, 3, 2, 1))]


def gradcam(network, maps, i):
    at = models.layer(network, "layer4[-1]")
    clip = slice(i, i + 1)
    return explainers.maps(network, maps.inputs[clip], layer=at, classes=maps.explained[clip])[0]


def reset(network, name, *, seed):
    torch.manual_seed(seed + 1)  # as Quantus does, before each module
    network.get_submodule(name).reset_parameters()


def maps_by_hand(network, maps, i, order):
    """Grad-CAM after each layer with random weights has lost them."""
    names = [name for name, module in network.named_modules() if hasattr(module, "reset_parameters")]
    found = {"original": gradcam(network, maps, i)}
    with torch.random.fork_rng(devices=[]):
        other = copy.deepcopy(network)
        for name in names[::-1] if order == "top_down" else names:
            if order == "independent":
                other = copy.deepcopy(network)
            reset(other, name, seed=i)
            if "bn" not in name:
                found[name] = gradcam(other, maps, i)
    return found


# Randomised


@pytest.mark.parametrize("order", sanity.ORDERS)
def test_maps_are_those_of_the_network_that_loses_its_layers(run, order):
    network, maps = training.network(run), explainers.explanations(run)
    for i in (0, 2):  # each clip has random weights of its own
        similar, found = sanity.randomised(network, maps, i, layer=run.layer, order=order)
        assert list(similar) == (TOP_DOWN if order == "top_down" else TOP_DOWN[:1] + TOP_DOWN[:0:-1])
        expected = maps_by_hand(network, maps, i, order)
        assert list(similar) == list(expected)
        assert found.shape == (6, 13, 400)
        np.testing.assert_allclose(found, list(expected.values()), atol=1e-6)


@pytest.fixture
def half_empty(run):
    """Explained clips of which the second has an empty map, and a network whose map of the others may be."""
    maps = explainers.explanations(run)
    kept = np.array([1, 0, 1, 1], dtype=np.float32)[:, None, None]
    return dataclasses.replace(maps, maps=maps.maps * kept)


def test_similarity_is_spearmans_and_undefined_for_an_empty_map(run, half_empty):
    network = training.network(run)
    values = []
    for i in range(4):
        for order in sanity.ORDERS:
            similar, found = sanity.randomised(network, half_empty, i, layer=run.layer, order=order)
            for value, other in zip(similar.values(), found, strict=True):
                if half_empty.maps[i].any() and other.any():
                    own = stats.spearmanr(half_empty.maps[i].ravel(), other.ravel()).statistic
                    assert value == pytest.approx(own, abs=1e-4)
                else:
                    assert np.isnan(value)
                values.append((i, value))
    assert all(np.isnan(value) for i, value in values if i == 1)
    known = [np.isfinite(value) for i, value in values if i != 1]
    assert 0 < np.mean(known) < 1  # else this test says nothing of a random network's empty map


def test_neither_the_network_nor_the_random_generator_changes(run):
    network, maps = training.network(run), explainers.explanations(run)
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    sanity.randomised(network, maps, 0, layer=run.layer, order="top_down")
    sanity.efficient(network, maps, layer=run.layer, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_efficient_is_the_relative_rise_of_entropy(run, half_empty):
    network = training.network(run)
    other = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        for name, module in other.named_modules():
            if hasattr(module, "reset_parameters"):
                reset(other, name, seed=5)

    def entropy(map_):
        share = np.histogram(map_, bins=100)[0] / map_.size
        return -(share[share > 0] * np.log(share[share > 0])).sum()

    expected = []
    for i in range(4):
        own, random = gradcam(network, half_empty, i), gradcam(other, half_empty, i)
        rise = entropy(random) / entropy(own) - 1 if own.any() and random.any() else NAN
        expected.append(rise)
    found = sanity.efficient(network, half_empty, layer=run.layer, seed=5)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.isfinite(found).any()


def test_efficient_of_networks_without_any_map_is_undefined(run):
    class Mute(type(training.network(run))):
        """All feature maps are 0, and so is every map."""

        def forward(self, x):
            return self.fc(0 * self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))

    network, maps = Mute().eval(), explainers.explanations(run)
    assert np.isnan(sanity.efficient(network, maps, layer=run.layer, seed=0)).all()
    similar, _ = sanity.randomised(network, maps, 0, layer=run.layer, order="top_down")
    assert np.isnan(list(similar.values())).all()


# Networks that learned nothing


def test_an_untrained_network_has_its_first_weights_and_calibrated_batch_norms(run):
    network, first = sanity.untrained(run), models.build(run.architecture, seed=run.seed)
    assert not network.training
    for (name, value), other in zip(network.named_parameters(), first.parameters(), strict=True):
        assert torch.equal(value, other), name
    mfcc = representations.training(run).inputs
    order = np.random.default_rng(run.seed).permutation(len(mfcc))
    norm = network.layer1[0].bn2
    with torch.no_grad():
        batches = [network.layer1[0].conv2(x) for x in torch.from_numpy(mfcc[order]).split(64)]
    assert len(batches) == 2
    mean = torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)


# The table of a run


@pytest.fixture
def own(run):
    """A run whose table no other test has computed."""
    return run.with_(efficient_seed=next(SEEDS))


class Cascade:
    """Stands for `sanity.randomised`: notes what it is asked, and may stop before a clip."""

    def __init__(self) -> None:
        self.asked, self.stop = [], None

    def __call__(self, network, maps, i, *, layer, order):
        if i == self.stop:
            raise KeyboardInterrupt
        self.asked.append((i, order))
        return {"original": 1.0}, maps.maps[[i]]


@pytest.fixture
def no_cascade(monkeypatch):
    """No layer is randomised; returns what was asked for."""
    cascade = Cascade()
    monkeypatch.setattr(sanity, "randomised", cascade)
    return cascade


def part_of(table, *keys):
    return table.set_index(sanity.COLUMNS[:3]).sort_index().loc[keys]


def test_the_table_has_every_check_of_every_clip(run):
    table, maps = sanity.table(run), explainers.explanations(run)
    assert list(table) == sanity.COLUMNS
    counts = table.groupby("check").size().to_dict()
    assert counts == {"MPRT": 48, "score": 48, "untrained": 4, "shuffled labels": 4, "eMPRT": 4}
    for keys, part in table.groupby(sanity.COLUMNS[:3]):
        assert part["clip"].tolist() == maps.clips.tolist(), keys
        assert part["recording"].tolist() == maps.recordings.tolist(), keys
    assert table["layer"].drop_duplicates().tolist() == [*TOP_DOWN, "all"]
    assert table["value"].isna().any()
    made = artifacts.record(sanity.SANITY.path(run))["made"]
    missing = table["value"].isna().groupby(table["check"]).sum().to_dict()
    assert (made["clips"], made["nan"], made["data"]) == (4, missing, "synthetic stand-in")
    history = training.history(run.with_(labels="shuffled"))
    accuracy = history.loc[(history["epoch"] == 2) & (history["fold"] == 0), "accuracy"].item()
    assert made["shuffled_train_accuracy"] == accuracy


def test_the_score_is_that_of_the_randomised_map_on_the_trained_network(run):
    table, maps, network = sanity.table(run), explainers.explanations(run), training.network(run)
    effects = perturbation.effects(network, maps.inputs[:2], maps.explained[:2])
    for order in sanity.ORDERS:
        for i in range(2):
            for layer, found in maps_by_hand(network, maps, i, order).items():
                expected = correlation.score(found[None], effects[i : i + 1])[0]
                value = part_of(table, "score", order, layer)["value"].iloc[i]
                assert value == pytest.approx(expected, abs=1e-4, nan_ok=True), (order, layer)
    frame = scores.table(run).query("specification == 'frame'")["score"]
    own = part_of(table, "score", "top_down", "original")["value"]
    np.testing.assert_allclose(own, frame, atol=1e-5)


@pytest.mark.parametrize("explained", ["predicted", "true"])
def test_another_network_is_held_against_its_own_effects(settings, stand_in, explained, no_cascade, monkeypatch):
    given = {"explained": explained, "efficient_seed": next(SEEDS)}
    run = study.open(profile="smoke", data=str(stand_in), **given)
    maps = explainers.explanations(run)
    others = {name: (getattr(maps, name) + 1) % 10 for name in ("predicted", "explained")}
    maps = dataclasses.replace(maps, **others)
    monkeypatch.setattr(explainers, "explanations", lambda run: maps)
    table = sanity.table(run)
    taught = training.network(run.with_(labels="shuffled"))
    for check, network in (("untrained", sanity.untrained(run)), ("shuffled labels", taught)):
        predicted = training.predict(network, maps.inputs).argmax(1).numpy()
        classes = predicted if explained == "predicted" else maps.labels
        assert predicted.tolist() != maps.labels.tolist()
        assert classes.tolist() != maps.explained.tolist()  # else this test says nothing
        at = models.layer(network, run.layer)
        own = explainers.maps(network, maps.inputs, layer=at, classes=classes)
        expected = correlation.score(own, perturbation.effects(network, maps.inputs, classes))
        found = part_of(table, check, "all", "all")["value"]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_interrupted_call_goes_on_after_the_last_whole_clip(own, no_cascade, monkeypatch):
    monkeypatch.setattr(perturbation, "effects", lambda *given: np.arange(400.0)[None])
    no_cascade.stop = 3
    with pytest.raises(KeyboardInterrupt):
        sanity.SANITY.get(own)
    assert no_cascade.asked == [(i, order) for i in range(3) for order in sanity.ORDERS]
    no_cascade.stop, no_cascade.asked = None, []
    first = sanity.SANITY.get(own).read_bytes()
    assert no_cascade.asked == [(3, order) for order in sanity.ORDERS]
    sanity.SANITY.path(own).unlink()  # the same bytes as without an interruption
    assert sanity.SANITY.get(own).read_bytes() == first
    assert len(no_cascade.asked) == 2 + 8


def test_the_table_takes_the_first_clips_where_fewer_are_asked_for(own, no_cascade):
    table = sanity.table(own.with_(control_clips=1))
    assert table["clip"].unique().tolist() == explainers.explanations(own).clips[:1].tolist()
    assert no_cascade.asked == [(0, order) for order in sanity.ORDERS]
