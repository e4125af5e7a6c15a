"""Effects of the frames of test clips: of which clips, on which network, and that nothing is asked twice."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import frame_effects
from helpers.maps import explainers
from helpers.metric import perturbation
from helpers.networks import models, training

NETWORK, EXPLANATIONS = functools.cache(training.network), functools.cache(explainers.explanations)
DATASET = functools.cache(representations.dataset)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    """Networks, maps and features are loaded once for all tests; made and checked they are in other files."""
    monkeypatch.setattr(training, "network", NETWORK)
    monkeypatch.setattr(explainers, "explanations", EXPLANATIONS)
    monkeypatch.setattr(representations, "dataset", DATASET)


def with_clips(run: study.Run, count: int | None) -> study.Run:
    return dataclasses.replace(run, profile=dataclasses.replace(run.profile, control_clips=count))


def number_of(clip: np.ndarray) -> int:
    """A clip's own number."""
    return int(1000 * np.abs(clip).sum())


class Asked:
    """Stands for `faithfulness.effects`: notes what it is asked, and may stop before a clip."""

    def __init__(self) -> None:
        self.calls, self.before = [], None

    def __call__(self, network, inputs, classes, *, nodes=2):
        assert len(inputs) == len(classes) == 1
        clip = number_of(inputs)
        if clip == self.before:
            raise KeyboardInterrupt
        self.calls.append((clip, int(classes[0]), nodes))
        return np.random.default_rng((clip, nodes)).random((1, 400))


@pytest.fixture
def asked(monkeypatch):
    """Effects of our own instead of the engine's; returns what was asked for."""
    stand_in = Asked()
    monkeypatch.setattr(perturbation, "effects", stand_in)
    return stand_in


@pytest.fixture
def empty(run, asked):
    """As `run`, without the file."""
    for path in (run.path("effects.npz"), artifacts.record_path(run.path("effects.npz"))):
        path.unlink(missing_ok=True)
    return run


# Which clips


@pytest.mark.parametrize("count", [0, 2, 4, 6, 10, 500, None])
def test_explained_clips_come_first_and_others_fill_up(run, count):
    sample, test = explainers.explanations(run).names.tolist(), representations.dataset(run).test()
    others = [name for name in test.names if name not in sample]
    assert (len(sample), len(others)) == (4, 6)
    chosen = (sample + others)[:count]
    found = frame_effects.clips(with_clips(run, count))
    # in the order of the test fold
    assert found.names.tolist() == [name for name in test.names if name in chosen]
    rows = [test.names.tolist().index(name) for name in found.names]
    assert np.array_equal(found.mfcc, test.mfcc[rows])
    assert np.array_equal(found.labels, test.labels[rows])


def test_a_sample_that_does_not_come_first_in_the_fold_is_still_taken_first(run):
    # else the test above says nothing
    names, test = explainers.explanations(run).names, representations.dataset(run).test().names
    assert names.tolist() != test[:4].tolist()
    assert set(frame_effects.clips(with_clips(run, 4)).names) == set(names)


# What is found


@pytest.mark.parametrize("explained", ["predicted", "true"])
def test_effects_are_the_engines_for_the_explained_class(settings, stand_in, explained):
    run = with_clips(study.open(profile="smoke", data=str(stand_in), explained=explained), 5)
    found, clips, network = frame_effects.frames(run), frame_effects.clips(run), training.network(run)
    predicted = training.predict(network, clips.mfcc).argmax(1).numpy()
    assert predicted.tolist() != clips.labels.tolist()  # else this test says nothing
    assert found.predicted.tolist() == predicted.tolist()
    assert found.explained.tolist() == (predicted if explained == "predicted" else clips.labels).tolist()
    for name in ("names", "fs_ids", "labels", "frames"):
        assert getattr(found, name).tolist() == getattr(clips, name).tolist()
    assert found.effects.shape == found.again.shape == (5, 400)
    assert found.effects.dtype == found.again.dtype == np.float32
    for i in range(5):
        one = slice(i, i + 1)
        given = (network, clips.mfcc[one], found.explained[one])
        (expected,) = perturbation.effects(*given)
        np.testing.assert_allclose(found.effects[i], expected, rtol=0, atol=1e-4 * expected.max())
        if found.names[i] in explainers.explanations(run).names:
            (expected,) = perturbation.effects(*given, nodes=3)
            np.testing.assert_allclose(found.again[i], expected, rtol=0, atol=1e-4 * expected.max())
    nodes = explainers.nodes(
        network, clips.mfcc, layer=models.layer(network, run.layer), classes=found.explained
    )
    assert np.array_equal(found.nodes, nodes)


def test_only_explained_clips_are_measured_again(empty, asked):
    run = with_clips(empty, 7)
    found, clips = frame_effects.frames(run), frame_effects.clips(run)
    sample = np.isin(found.names, explainers.explanations(run).names)
    assert sample.sum() == 4
    assert np.isnan(found.again[~sample]).all()
    assert np.isfinite(found.again[sample]).all()
    assert np.isfinite(found.effects).all()
    assert len(found.names) == 7
    expected = []
    for i in range(7):
        ask = (number_of(clips.mfcc[i : i + 1]), int(found.explained[i]))
        expected += [(*ask, 2)] + ([(*ask, 3)] if sample[i] else [])
        own = np.random.default_rng((ask[0], 2)).random(400)
        assert np.array_equal(found.effects[i], own.astype(np.float32))
    assert asked.calls == expected


def test_maps_of_another_layer(empty, asked):
    run = dataclasses.replace(empty, layer="layer3[-1]")
    found = frame_effects.frames(run)
    assert found.nodes.shape == (4, 2, 50)
    assert run.path("effects.npz") != empty.path("effects.npz")
    assert artifacts.record(run.path("effects.npz"))["recipe"]["parameters"] == {
        "layer": "layer3[-1]",
        "explained": "predicted",
        "control_clips": 4,
    }


def test_the_record_says_of_what_and_how_many(empty, asked):
    made = artifacts.record(frame_effects.make(with_clips(empty, 7)))["made"]
    assert (made["clips"], made["data"]) == (7, "synthetic stand-in")
    assert (made["threads"], made["device"]) == (torch.get_num_threads(), str(training.device()))


# Nothing is asked twice


def test_what_is_there_is_loaded(empty, asked):
    first = frame_effects.frames(empty)
    calls = len(asked.calls)
    assert calls == 8
    second = frame_effects.frames(empty)
    assert len(asked.calls) == calls
    for name, values in vars(first).items():
        assert np.array_equal(values, getattr(second, name))


def test_an_interrupted_call_goes_on_after_the_last_whole_clip(empty, asked):
    run = with_clips(empty, 6)
    clips = frame_effects.clips(run)
    numbers = [number_of(clips.mfcc[i : i + 1]) for i in range(6)]
    asked.before = numbers[3]
    with pytest.raises(KeyboardInterrupt):
        frame_effects.make(run)
    (work,) = run.path("effects.npz").parent.glob(".effects*.work")
    assert {path.name for path in work.iterdir()} == {"clip-0.npy", "clip-1.npy", "clip-2.npy"}
    assert list(dict.fromkeys(clip for clip, _, _ in asked.calls)) == numbers[:3]
    asked.before, asked.calls = None, []
    resumed = frame_effects.frames(run)
    assert list(dict.fromkeys(clip for clip, _, _ in asked.calls)) == numbers[3:]
    assert not work.exists()
    # the same as without the interruption
    run.path("effects.npz").unlink()
    whole = frame_effects.frames(run)
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(values, getattr(resumed, name))


def test_the_dearer_controls_take_the_first_explained_clips(monkeypatch):
    maps = explainers.Explanations(*(np.arange(10) + i for i in range(9)))
    monkeypatch.setattr(explainers, "explanations", lambda run: maps)
    run = study.open(profile="smoke")
    assert frame_effects.sample(with_clips(run, 3)).names.tolist() == [8, 9, 10]
    assert frame_effects.sample(with_clips(run, None)).maps.tolist() == list(range(10))
