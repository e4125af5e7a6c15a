"""Every metric of a clip's maps, and what is said of the table."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from torch import nn

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import controls, metrics
from helpers.maps import examples, explainers, nulls
from helpers.metric import baselines, blocking, correlation, forward, perturbation
from helpers.networks import training

pytestmark = pytest.mark.slow

NAN = float("nan")
SEEDS = itertools.count(1000)
MC = ("uniform", "zero", "neighbours", "mean", "marginal", "silence", "patch", "coefficient", "cell", "rank")
INSIDE = [f"MC {name} inside" for name in MC[:6]]  # one block per frame
EVERY = [*(f"MC {name}" for name in MC), *INSIDE, *metrics.CURVES, *metrics.QUANTUS]


class Weighs(nn.Module):
    """Two logits: a weighted sum of all cells, and 0. Keeps what it was asked."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float32))
        self.asked = []
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked.append(x[:, 0].clone().numpy())
        logit = (x[:, 0] * self.weights).sum((1, 2))
        return torch.stack([logit, torch.zeros_like(logit)], 1)


# The curves


def test_removal_replaces_frames_in_the_order_of_the_map_s_sums():
    clip = np.arange(1.0, 11.0, dtype=np.float32).reshape(2, 5)
    own = np.array([[0.0, 3, 0, 1, 2], [1, 0, 0, 0, 0]])  # sums 1, 3, 0, 1, 2
    fill = np.array([-1.0, -2.0])
    network = Weighs(np.ones((2, 5)))
    logits = metrics.removal(network, clip, own, fill=fill, step=2)
    (asked,) = network.asked
    most, least = asked[:4], asked[4:]
    for curve, gone in ((most, [[], [1, 4], [1, 4, 0, 3]]), (least, [[], [2, 0], [2, 0, 3, 4]])):
        for changed, frames in zip(curve, [*gone, range(5)], strict=True):
            expected = clip.copy()
            expected[:, list(frames)] = fill[:, None]
            np.testing.assert_array_equal(changed, expected)
    np.testing.assert_allclose(logits[..., 0], asked.sum((1, 2)).reshape(2, 4))
    assert logits.shape == (2, 4, 2)
    assert logits.dtype == np.float64


def test_of_equal_sums_the_earlier_frame_comes_first():
    own = np.full((2, 4), 0.5)
    own[:, 3] = 1
    network = Weighs(np.ones((2, 4)))
    metrics.removal(network, np.ones((2, 4), np.float32), own, fill=np.zeros(2), step=1)
    lost = [[int(np.flatnonzero(d)[0]) for d in np.diff(network.asked[0][s, 0], axis=0)] for s in HALVES]
    assert lost == [[3, 0, 1, 2], [0, 1, 2, 3]]


HALVES = (slice(0, 5), slice(5, 10))


@given(st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(lambda v: len(set(v)) > 1))
@options(deadline=None, max_examples=30)
def test_a_map_and_its_opposite_exchange_the_curves(values):
    own = np.tile(np.array(values, float), (2, 1))
    rng = np.random.default_rng(sum(values))
    network, clip = Weighs(rng.normal(size=(2, 12))), rng.normal(size=(2, 12)).astype(np.float32)
    first, second = (metrics.removal(network, clip, m, fill=np.zeros(2), step=3) for m in (own, own.max() - own))
    np.testing.assert_array_equal(first, second[::-1])
    assert metrics.gains(first, 0)["SRG"] == pytest.approx(-metrics.gains(second, 0)["SRG"])
    higher = metrics.removal(network, clip, 3 * own + 1, fill=np.zeros(2), step=3)
    np.testing.assert_array_equal(first, higher)


def logits_of(*curves: list[float]) -> np.ndarray:
    """Logits whose softmax gives class 0 these probabilities, class 1 the rest."""
    p = np.array(curves, float)
    return np.stack([np.log(p), np.log1p(-p)], axis=2)


def test_gains_by_hand():
    # areas: (0.9 / 2 + 0.4 + 0.1 / 2) / 2 = 0.45 and (0.9 / 2 + 0.8 + 0.1 / 2) / 2 = 0.65
    found = metrics.gains(logits_of([0.9, 0.4, 0.1], [0.9, 0.8, 0.1]), 0)
    assert found == pytest.approx({"SRG": 0.2, "MoRF": 0.55, "LeRF": 0.65, "label flip": 0.5})
    # of the other class: the areas are 1 minus those
    found = metrics.gains(logits_of([0.9, 0.4, 0.1], [0.9, 0.8, 0.1]), 1)
    assert found == pytest.approx({"SRG": -0.2, "MoRF": 0.45, "LeRF": 0.35, "label flip": 0.5})


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6, 0.6], 0),  # never
        ([0.9, 0.8, 0.7, 0.6, 0.4], 0),  # only when everything is gone
        ([0.9, 0.4, 0.9, 0.4, 0.4], 0.75),  # first, and back again
        ([0.1, 0.2, 0.3, 0.6, 0.4], 0.25),  # the answer need not be the class
    ],
)
def test_the_label_flips_when_the_answer_first_changes(most, expected):
    least = [most[0], 0.4, 0.6, 0.4, 0.6]  # least important first: says nothing of it
    assert metrics.gains(logits_of(most, least), 0)["label flip"] == pytest.approx(expected)


# Quantus


def quantus_of(network: nn.Module, clip: np.ndarray, own: np.ndarray, *, seed=(0, 0), category=0, answer=0):
    inputs = clip[None, None].astype(np.float32)
    return metrics.quantus_values(network, inputs, category, own, answer=answer, seed=seed)


def example(scale: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(13, 400)).astype(np.float32), scale * rng.normal(size=(13, 400))


def test_pixel_flipping_replaces_the_most_important_cells_by_the_mean_of_what_is_there():
    clip, weights = example()
    own = np.random.default_rng(2).random((13, 400)).astype(np.float32)
    values, curve = clip.ravel().copy(), []
    for cells in np.argsort(-own.ravel()).reshape(40, 130):
        values[cells] = values.mean()
        curve.append(1 / (1 + np.exp(-(values @ weights.ravel()))))
    for category, expected in ((0, curve), (1, 1 - np.array(curve))):
        found = quantus_of(Weighs(weights), clip, own, category=category)["pixel flipping"]
        assert found == pytest.approx(1 - np.trapezoid(expected) / 39, abs=1e-6)


def test_faithfulness_correlation_of_an_exact_map_is_one_and_its_subsets_are_seeded():
    clip, weights = example(scale=1e-4)  # so small that the probability is a straight line
    exact = weights * (clip - clip.mean())
    found = quantus_of(Weighs(weights), clip, exact)["faith. corr."]
    assert found == pytest.approx(1, abs=1e-3)
    assert quantus_of(Weighs(weights), clip, exact, category=1)["faith. corr."] == pytest.approx(-found)
    other = np.random.default_rng(3).random((13, 400))
    first, again, second = (quantus_of(Weighs(weights), clip, other, seed=(0, s)) for s in (1, 1, 2))
    assert first == again
    assert first["faith. corr."] != second["faith. corr."]


def test_faithfulness_correlation_has_no_answer_where_the_probability_stands_still():
    clip, weights = example()
    found = quantus_of(Weighs(0 * weights), clip, np.random.default_rng(2).random((13, 400)))
    assert np.isnan(found["faith. corr."])


@pytest.mark.parametrize(("start", "answer", "expected"), [(200, 0, 5 / 9), (200, 1, 4 / 9), (0, 0, 0)])
def test_road_counts_the_levels_at_which_the_answer_is_lost(start, answer, expected):
    # the last frame is heard; frames go from the last to the first and become what lies left of them, so
    # the answer is lost once all the sound from `start` on is gone, from five tenths on
    clip, weights = np.zeros((13, 400)), np.zeros((13, 400))
    clip[:, start:] = 10
    weights[0, 399] = 1
    own = np.tile(np.arange(400.0), (13, 1))
    heard = nn.Sequential(Weighs(weights), Above(5)).eval()
    assert quantus_of(heard, clip, own, answer=answer)["ROAD"] == pytest.approx(expected)


class Above(nn.Module):
    """Lowers the first of two logits, so that it must be above a level to win."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - torch.tensor([self.level, 0.0])


def test_quantus_leaves_numpy_s_generator_as_it_was():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    clip, weights = example()
    quantus_of(Weighs(weights), clip, np.abs(weights))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_quantus_stops_at_a_map_that_is_the_same_everywhere():
    # why the table does not ask it there
    clip, weights = example()
    with pytest.raises(AssertionError):
        quantus_of(Weighs(weights), clip, np.full((13, 400), 0.5))


# Silence


def test_a_frame_s_own_stretch_of_the_waveform_is_silenced(settings, stand_in):
    run = study.open(profile="smoke", data=str(stand_in), hop_length=512)
    test = representations.test(run)
    i = int(test.frames.argmin())  # a clip with padding
    found = metrics.silenced(run, test.clips[i])
    assert found.shape == (400, 13, 400)
    assert found.dtype == np.float32
    sound = examples.sound(run, test.clips[i])
    wave = representations.resample(sound.rate, 44_100)(torch.from_numpy(sound.samples)[None])
    for frame, first, last in ((0, 0, 256), (5, 2304, 2816)):
        edited = wave.clone()
        edited[:, first:last] = 0
        expected = representations.picture(edited, 44_100, run)[0]
        np.testing.assert_array_equal(found[frame], expected.numpy())
        assert (found[frame] != sound.picture).any()
    assert test.frames[i] < 400
    np.testing.assert_array_equal(found[test.frames[i] :] - sound.picture, 0)
    np.testing.assert_array_equal(sound.picture, test.inputs[i, 0])


def test_a_frame_reaches_its_neighbours_and_no_further_unless_it_is_the_loudest(monkeypatch, settings, stand_in):
    run = study.open(profile="smoke", data=str(stand_in))
    rng = np.random.default_rng(0)
    samples = rng.normal(size=44_100).astype(np.float32)
    samples[19_968:20_992] *= 1e2  # the stretch of frame 20; 40 dB above the rest
    samples[32_000:] *= 1e-3  # 100 dB below that
    mfcc = representations.picture(torch.from_numpy(samples)[None], 44_100, run)[0].numpy()
    sound = examples.Sound("x.wav", 1, 0.0, "siren", samples, 44_100, mfcc, 44)
    monkeypatch.setattr(examples, "sound", lambda run, name: sound)
    changed = (metrics.silenced(run, "x.wav") != mfcc).any(axis=1)
    assert np.flatnonzero(changed[10]).tolist() == [9, 10, 11]
    assert changed[20, 33:44].all()  # no longer cut off
    assert not changed[44:].any()


def test_silence_is_scaled_as_the_inputs_are(settings, stand_in):
    runs = [study.open(profile="smoke", data=str(stand_in), scaling=s) for s in ("raw", "standardised")]
    test = representations.test(runs[1])
    i = int(test.frames.argmin())
    raw, scaled = (metrics.silenced(run, test.clips[i]) for run in runs)
    np.testing.assert_array_equal(scaled[-1], test.inputs[i, 0])  # padding: nothing changes, to the last bit
    known = representations.training(runs[0]).inputs[:, 0]
    mean, deviation = (of(known, axis=(0, 2))[:, None] for of in (np.mean, np.std))
    np.testing.assert_allclose(scaled[3], (raw[3] - mean) / deviation, rtol=1e-4, atol=1e-4)


# The table


def first(run):
    """The clips that the metrics are asked of."""
    return explainers.explanations(run).first(run.control_clips)


@pytest.fixture
def two(run):
    """A run of two clips, which no other test has computed."""
    return run.with_(control_clips=2, metric_seed=next(SEEDS))


@pytest.fixture
def given_answers(monkeypatch):
    """Answers of our own instead of the slow ones; returns what was asked."""
    asked = {"effects": [], "quantus": [], "silenced": [], "before": None}

    def effects(network, inputs, classes, *, blocks, baseline="uniform", nodes=2):
        if asked["before"] == len(asked["effects"]):
            raise KeyboardInterrupt
        labels = blocking.block_labels(blocks, (13, 400), clips=1)
        number = len(asked["effects"])
        asked["effects"].append(
            {
                "input": inputs[0],
                "class": int(classes[0]),
                "blocks": blocks,
                "baseline": baseline,
                "nodes": nodes,
            }
        )
        return np.random.default_rng(number).random((1, labels.max() + 1))

    def quantus_values(network, inputs, category, own, *, answer, seed):
        asked["quantus"].append({"class": category, "map": own, "answer": answer, "seed": seed})
        return dict(zip(metrics.QUANTUS, (0.5, NAN, 0.25), strict=True))

    def silenced(run, name):
        asked["silenced"].append(name)
        return np.zeros((400, 13, 400), np.float32)

    monkeypatch.setattr(perturbation, "effects", effects)
    monkeypatch.setattr(metrics, "quantus_values", quantus_values)
    monkeypatch.setattr(metrics, "silenced", silenced)
    return asked


def test_the_table_has_one_row_per_clip_map_and_metric(two, given_answers):
    table, maps = metrics.table(two), first(two)
    assert list(table) == ["metric", "map", "clip", "recording", "value", "status"]
    assert set(table["metric"]) == set(EVERY)
    keys = list(zip(table["clip"], table["map"], strict=True))
    assert keys == [(n, m) for n in maps.clips for m in metrics.MAPS for _ in EVERY]
    assert table["recording"].tolist() == [f for f in maps.recordings for _ in range(3 * len(EVERY))]
    assert not table.duplicated(["metric", "map", "clip"]).any()
    assert (table["value"].isna() == (table["status"] != "ok")).all()
    nothing = table[table["metric"] == "faith. corr."]
    assert set(nothing["status"]) == {"constant map or effects"}
    assert table.loc[table["metric"] == "ROAD", "value"].unique().tolist() == [0.25]
    made = artifacts.record(metrics.METRICS.path(two))["made"]
    assert made["clips"] == 2
    assert made["nan"] == {
        name: 2 if name in ("faith. corr.", "MC coefficient") else 0 for name in table["metric"].unique()
    }


def test_the_network_is_asked_once_for_all_maps_where_blocks_are_fixed(two, given_answers):
    metrics.METRICS.get(two)
    maps, known = first(two), representations.training(two).inputs
    assert len(given_answers["effects"]) == 2 * 12  # nine of fixed blocks, one by rank for each map
    for i in range(2):
        asked = given_answers["effects"][12 * i : 12 * (i + 1)]
        assert all(np.array_equal(a["input"], maps.inputs[i]) for a in asked)
        assert {a["class"] for a in asked} == {maps.explained[i]}
        fixed, ranked = asked[:9], asked[9:]
        assert [str(a["blocks"]) for a in fixed] == ["frame"] * 6 + ["(13, 13)", "coefficient", "cell"]
        assert [a["nodes"] for a in fixed] == [2] * 8 + [1]
        named = [a["baseline"] for a in fixed[:5]]
        assert {a["baseline"] for a in [*fixed[6:], *ranked]} == {"uniform"}
        np.testing.assert_array_equal(ranked[0]["blocks"], blocking.rank_blocks(maps.maps[i]))
        silence, labels = fixed[5]["baseline"], np.tile(np.arange(400), (13, 1))
        names = ("uniform", "zero", "neighbours", "mean", "marginal")
        for name, baseline in zip(names, named, strict=True):
            given = {"training": lambda: known, "draws": 2, "seed": two.metric_seed + i}
            expected = baselines.named(name, **given)
            x = (0, maps.inputs[i, 0], labels)
            np.testing.assert_array_equal(baseline.values(*x), expected.values(*x))
            assert baseline.weights.tolist() == expected.weights.tolist()
        silence.values(0, maps.inputs[i, 0], labels)
        assert silence.whole
    assert given_answers["silenced"] == maps.clips.tolist()
    drawn = [given_answers["effects"][k]["baseline"].values(0, maps.inputs[0, 0], labels) for k in (4, 16)]
    assert (drawn[0] != drawn[1]).any()  # each clip its own


def test_the_three_maps(two, given_answers):
    metrics.METRICS.get(two)
    maps = first(two)
    loud = controls.loudness(two, maps.clips)
    asked = given_answers["quantus"]
    assert len(asked) == 6
    for i in range(2):
        own, blind, loudness = (a["map"] for a in asked[3 * i : 3 * i + 3])
        np.testing.assert_array_equal(own, maps.maps[i])
        random = np.random.default_rng((two.metric_seed, i))
        expected = nulls.random_nodes(maps.nodes.shape[1:], count=1, random=random, size=(13, 400))[0]
        np.testing.assert_array_equal(blind, expected)
        np.testing.assert_allclose(loudness, np.tile(loud[i] / loud[i].max(), (13, 1)), rtol=1e-6)
        assert (loudness.max(), loudness.dtype) == (1, np.float32)
        assert {a["seed"] for a in asked[3 * i : 3 * i + 3]} == {(two.metric_seed, i)}


def test_metrics_of_the_answer_ask_for_the_network_s_own(settings, stand_in, given_answers):
    given = {"explained": "true", "control_clips": 2, "metric_seed": next(SEEDS)}
    two = study.open(profile="smoke", data=str(stand_in), **given)
    maps = first(two)
    assert maps.labels.tolist() != maps.predicted.tolist()  # else this test says nothing
    metrics.METRICS.get(two)
    assert [a["class"] for a in given_answers["quantus"]] == np.repeat(maps.labels, 3).tolist()
    assert [a["answer"] for a in given_answers["quantus"]] == np.repeat(maps.predicted, 3).tolist()


def test_a_map_that_is_the_same_everywhere_has_no_value_and_says_so(two, given_answers, monkeypatch):
    maps = first(two)
    empty = dataclasses.replace(maps, maps=np.where(np.arange(2)[:, None, None] == 0, 0, maps.maps))
    monkeypatch.setattr(explainers, "explanations", lambda run: empty)
    monkeypatch.setattr(controls, "loudness", lambda run, names: np.zeros((2, 400), np.float32))
    table = metrics.table(two).set_index(["clip", "map"])
    silent = [(name, "loudness") for name in maps.clips]
    for key in [(maps.clips[0], "Grad-CAM"), *silent]:
        assert table.loc[[key], "value"].isna().all()
        assert set(table.loc[[key], "status"]) == {"constant map"}
    assert len(given_answers["quantus"]) == 3
    assert table.loc[[(maps.clips[1], "Grad-CAM")], "value"].notna().any()


def test_an_interrupted_call_goes_on_after_the_last_whole_clip(two, given_answers):
    given_answers["before"] = 15  # in the second clip
    with pytest.raises(KeyboardInterrupt):
        metrics.METRICS.get(two)
    given_answers["before"] = None
    metrics.METRICS.get(two)
    assert len(given_answers["effects"]) == 15 + 12
    names = [a["blocks"] for a in given_answers["effects"][15:18]]
    assert names == ["frame"] * 3
    assert len(metrics.table(two)) == 2 * 3 * len(EVERY)


def test_the_values_are_those_of_engine_curves_and_quantus(run, monkeypatch):
    # the real calls, on one clip
    maps, network = explainers.explanations(run), training.network(run)
    one = explainers.Explanations(**{name: values[:1] for name, values in vars(maps).items()})
    fast, known = forward.prepare(network, shape=(1, 13, 400)), representations.training(run).inputs
    loud = controls.loudness(run, one.clips)[0]
    table = metrics._clip(run, fast, one, 0, loudness=loud, values=known)
    found = table[table["map"] == "Grad-CAM"].set_index("metric")["value"]
    x, c, own = one.inputs, one.explained, one.maps
    for name, asked in {
        "uniform": {},
        "mean": {"baseline": baselines.named("mean", training=lambda: known)},
        "patch": {"blocks": (13, 13)},
        "rank": {"blocks": blocking.rank_blocks(own[0])},
        "silence": {"baseline": baselines.Baseline.edited(lambda i: metrics.silenced(run, one.clips[0]))},
    }.items():
        effects = perturbation.effects(fast, x, c, **asked)
        (expected,) = correlation.score(own, effects, blocks=asked.get("blocks", "frame"))
        assert found[f"MC {name}"] == pytest.approx(expected, abs=1e-6), name
    mean = known[:, 0].mean(axis=(0, 2))
    curves = metrics.removal(network, x[0, 0], own[0], fill=mean, step=10)
    assert found[list(metrics.CURVES)].to_dict() == pytest.approx(metrics.gains(curves, c[0]), abs=1e-5)
    assert curves.shape == (2, 41, 10)
    given = {"answer": one.predicted[0], "seed": (run.metric_seed, 0)}
    expected = metrics.quantus_values(network, x, c[0], own[0], **given)
    assert found[list(metrics.QUANTUS)].to_dict() == pytest.approx(expected, abs=1e-4)
    assert np.isnan(found["MC coefficient"])
