"""Networks that learned nothing: their maps, their scores, and the table of both."""

import copy
import dataclasses
import functools
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import sanity, scores
from helpers.findings import checks
from helpers.maps import explainers
from helpers.metric import correlation, perturbation
from helpers.networks import models, shuffled, training

NAN = float("nan")
SEEDS = itertools.count(1000)
TOP_DOWN = ["original", "fc", *(f"layer{i}.0.conv2" for i in (4, 3, 2, 1))]
NETWORK, EXPLANATIONS = functools.cache(training.network), functools.cache(explainers.explanations)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    """Networks and maps are loaded once for all tests; made and checked they are in other files."""
    monkeypatch.setattr(training, "network", NETWORK)
    monkeypatch.setattr(explainers, "explanations", EXPLANATIONS)


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
    sanity.efficient(network, maps, layer=run.layer)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_efficient_is_the_relative_rise_of_entropy(run, half_empty):
    network = training.network(run)
    other = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        for name, module in other.named_modules():
            if hasattr(module, "reset_parameters"):
                reset(other, name, seed=sanity.EFFICIENT_SEED)

    def entropy(map_):
        share = np.histogram(map_, bins=100)[0] / map_.size
        return -(share[share > 0] * np.log(share[share > 0])).sum()

    expected = []
    for i in range(4):
        own, random = gradcam(network, half_empty, i), gradcam(other, half_empty, i)
        rise = entropy(random) / entropy(own) - 1 if own.any() and random.any() else NAN
        expected.append(rise)
    found = sanity.efficient(network, half_empty, layer=run.layer)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.isfinite(found).any()


def test_efficient_of_networks_without_any_map_is_undefined(run):
    class Mute(type(training.network(run))):
        """All feature maps are 0, and so is every map."""

        def forward(self, x):
            return self.fc(0 * self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))

    network, maps = Mute().eval(), explainers.explanations(run)
    assert np.isnan(sanity.efficient(network, maps, layer=run.layer)).all()
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


def test_shuffled_labels_are_a_permutation_and_the_test_clips_keep_theirs(fresh, stand_in, monkeypatch):
    run = study.open(profile="smoke", data=str(stand_in), seed=3)
    data, asked, train = representations.dataset(run), [], training.train

    def spy(model, clips, test, **options):
        asked.append((clips, test, options))
        first = models.build(run.architecture, seed=3).state_dict()
        assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())
        return train(model, clips, test, **options)

    monkeypatch.setattr(training, "train", spy)
    folder = shuffled.make(run)
    assert folder == run.path("shuffled") == shuffled.make(run)
    ((clips, test, options),) = asked
    assert (options["epochs"], options["seed"]) == (2, 3)
    own = data.training()
    np.testing.assert_array_equal(clips.labels, np.random.default_rng((3, 1)).permutation(own.labels))
    assert (clips.labels != own.labels).mean() > 0.5
    assert np.array_equal(clips.inputs, own.inputs)
    assert np.array_equal(test.labels, data.test().labels)
    history = pd.read_csv(folder / "history.csv")
    made = artifacts.record(folder)["made"]
    assert made["train_accuracy"] == pytest.approx(history["train_accuracy"][1])
    assert (made["training_clips"], made["data"]) == (90, "synthetic stand-in")
    assert (folder / "weights.safetensors").exists()


# The table of a run


@pytest.fixture
def own_recipe(monkeypatch):
    """A recipe of this test alone, which no other test has computed."""
    monkeypatch.setattr(sanity, "EFFICIENT_SEED", next(SEEDS))


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
    accuracy = artifacts.record(run.path("shuffled"))["made"]["train_accuracy"]
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
def test_another_network_is_held_against_its_own_effects(
    settings, stand_in, explained, own_recipe, no_cascade, monkeypatch
):
    run = study.open(profile="smoke", data=str(stand_in), explained=explained)
    maps = explainers.explanations(run)
    others = {name: (getattr(maps, name) + 1) % 10 for name in ("predicted", "explained")}
    maps = dataclasses.replace(maps, **others)
    monkeypatch.setattr(explainers, "explanations", lambda run: maps)
    table = sanity.table(run)
    taught = models.build(run.architecture, seed=run.seed)
    taught.load_state_dict(load_file(shuffled.make(run) / "weights.safetensors"))
    for check, network in (("untrained", sanity.untrained(run)), ("shuffled labels", taught.eval())):
        predicted = training.predict(network, maps.inputs).argmax(1).numpy()
        classes = predicted if explained == "predicted" else maps.labels
        assert predicted.tolist() != maps.labels.tolist()
        assert classes.tolist() != maps.explained.tolist()  # else this test says nothing
        at = models.layer(network, run.layer)
        own = explainers.maps(network, maps.inputs, layer=at, classes=classes)
        expected = correlation.score(own, perturbation.effects(network, maps.inputs, classes))
        found = part_of(table, check, "all", "all")["value"]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_interrupted_call_goes_on_after_the_last_whole_clip(run, own_recipe, no_cascade, monkeypatch):
    monkeypatch.setattr(perturbation, "effects", lambda *given: np.arange(400.0)[None])
    no_cascade.stop = 3
    with pytest.raises(KeyboardInterrupt):
        sanity.SANITY.get(run)
    assert no_cascade.asked == [(i, order) for i in range(3) for order in sanity.ORDERS]
    no_cascade.stop, no_cascade.asked = None, []
    first = sanity.SANITY.get(run).read_bytes()
    assert no_cascade.asked == [(3, order) for order in sanity.ORDERS]
    sanity.SANITY.path(run).unlink()  # the same bytes as without an interruption
    assert sanity.SANITY.get(run).read_bytes() == first
    assert len(no_cascade.asked) == 2 + 8


# What is said of the table


def rows_of(values):
    """A table from {(check, order, layer): values}, clip by clip from recordings of their own."""
    return pd.DataFrame(
        [(*keys, f"{i}.wav", i, value) for keys, own in values.items() for i, value in enumerate(own)],
        columns=sanity.COLUMNS,
    )


def test_summary_by_hand():
    keys = ("MPRT", "top_down", "fc")
    table = checks.summary(rows_of({keys: [0.5, 0.5, NAN, 0.5], ("eMPRT", "all", "all"): [NAN, NAN, NAN, NAN]}))
    first, second = table.to_dict("records")
    assert first == dict(zip(sanity.COLUMNS[:3], keys, strict=True)) | {
        "clips": 4,
        "NaN": 1,
        "median": 0.5,
        "low": 0.5,
        "high": 0.5,
    }
    assert (second["clips"], second["NaN"]) == (4, 4)
    assert np.isnan([second[name] for name in ("median", "low", "high")]).all()


def test_an_interval_draws_recordings_and_not_clips():
    rows = rows_of({("MPRT", "top_down", "fc"): [0.0, 1.0, 1.0, 1.0]})
    assert checks.summary(rows)[["low", "high"]].to_numpy().tolist() == [[0.0, 1.0]]
    assert checks.summary(rows.assign(recording=7))[["low", "high"]].to_numpy().tolist() == [[1.0, 1.0]]


def test_a_stage_is_gone_with_its_last_layer_of_the_cascade():
    layers = ["original", "fc", "layer2.1.conv1", "layer2.0.conv1", "conv1"]
    values = {("MPRT", "top_down", layer): [k] for k, layer in enumerate(layers)}
    values |= {("MPRT", "independent", layer): [9.0] for layer in layers} | {("eMPRT", "all", "all"): [9.0]}
    found = checks.stages(rows_of(values))
    assert found["layer"].tolist() == ["original", "fc", "layer2", "conv1"]
    assert found["value"].tolist() == [0, 1, 3, 4]


NETWORKS = {
    ("MPRT", "top_down", "original"): [1.0, 1.0, 1.0],
    ("score", "top_down", "original"): [0.5, 0.6, NAN],
    ("score", "independent", "original"): [9.0, 9.0, 9.0],
    ("score", "top_down", "fc"): [9.0, 9.0, 9.0],
    ("untrained", "all", "all"): [0.4, 0.4, 0.4],
    ("shuffled labels", "all", "all"): [0.7, 0.1, 0.1],
    ("eMPRT", "all", "all"): [9.0, 9.0, 9.0],
}


def test_scores_of_the_networks_side_by_side():
    found = checks.networks(rows_of(NETWORKS))
    assert list(found) == ["reading", "clip", "recording", "score"]
    assert found["reading"].unique().tolist() == ["trained", *sanity.NOTHING]
    by = found.groupby("reading", sort=False)["score"].apply(list)
    assert by["trained"][:2] == [0.5, 0.6]
    assert by["shuffled labels"] == [0.7, 0.1, 0.1]


def test_differences_are_the_trained_networks_lead():
    found = checks.differences(rows_of(NETWORKS).sample(frac=1, random_state=0)).set_index("difference")
    assert found.index.tolist() == ["trained minus untrained", "trained minus shuffled labels"]
    assert found["median_difference"].tolist() == pytest.approx([0.15, 0.15])
    assert found["superiority"].tolist() == [1.0, 0.5]
    assert found[["clips", "nan"]].to_numpy().tolist() == [[2, 1], [2, 1]]
