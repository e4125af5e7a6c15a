"""Effects of the frames of test clips: of which clips, on which network, and that nothing is asked twice."""

import numpy as np
import pytest
import torch

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import frame_effects
from helpers.maps import explainers
from helpers.metric import perturbation
from helpers.networks import models, training


def number_of(clip: np.ndarray) -> int:
    """A clip's own number."""
    return int(1000 * np.abs(clip).sum())


class Asked:
    """Stands for `perturbation.effects`: notes what it is asked, and may stop before a clip."""

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
    """As `run`, without any file of effects."""
    for path in frame_effects.EFFECTS.path(run).parent.glob("effects*"):
        path.unlink()
    return run


# Which clips


@pytest.mark.parametrize("count", [2, 4, 6, 10, 500, "all"])
def test_explained_clips_come_first_and_others_fill_up(run, count):
    sample, test = explainers.explanations(run).clips.tolist(), representations.test(run)
    others = [name for name in test.clips if name not in sample]
    assert (len(sample), len(others)) == (4, 6)
    chosen = (sample + others)[: None if count == "all" else count]
    found = frame_effects.clips(run.with_(control_clips=count))
    # in the order of the test fold
    assert found.clips.tolist() == [name for name in test.clips if name in chosen]
    rows = [test.clips.tolist().index(name) for name in found.clips]
    assert np.array_equal(found.inputs, test.inputs[rows])
    assert np.array_equal(found.labels, test.labels[rows])


def test_a_sample_that_does_not_come_first_in_the_fold_is_still_taken_first(run):
    # else the test above says nothing
    names, test = explainers.explanations(run).clips, representations.test(run).clips
    assert names.tolist() != test[:4].tolist()
    assert set(frame_effects.clips(run.with_(control_clips=4)).clips) == set(names)


# What is found


@pytest.mark.parametrize("explained", ["predicted", "true"])
def test_effects_are_the_engines_for_the_explained_class(settings, stand_in, explained):
    run = study.open(profile="smoke", data=str(stand_in), explained=explained, control_clips=5)
    found, clips, network = frame_effects.frames(run), frame_effects.clips(run), training.network(run)
    predicted = training.predict(network, clips.inputs).argmax(1).numpy()
    assert predicted.tolist() != clips.labels.tolist()  # else this test says nothing
    assert found.predicted.tolist() == predicted.tolist()
    assert found.explained.tolist() == (predicted if explained == "predicted" else clips.labels).tolist()
    for name in ("clips", "recordings", "labels", "frames"):
        assert getattr(found, name).tolist() == getattr(clips, name).tolist()
    assert found.effects.shape == found.again.shape == (5, 400)
    assert found.effects.dtype == found.again.dtype == np.float32
    for i in range(2):
        one = slice(i, i + 1)
        given = (network, clips.inputs[one], found.explained[one])
        (expected,) = perturbation.effects(*given)
        np.testing.assert_allclose(found.effects[i], expected, rtol=0, atol=1e-4 * expected.max())
        if found.clips[i] in explainers.explanations(run).clips:
            (expected,) = perturbation.effects(*given, nodes=3)
            np.testing.assert_allclose(found.again[i], expected, rtol=0, atol=1e-4 * expected.max())
    nodes = explainers.nodes(network, clips.inputs, layer=models.layer(network, run.layer), classes=found.explained)
    assert np.array_equal(found.nodes, nodes)


def test_only_explained_clips_are_measured_again(empty, asked):
    run = empty.with_(control_clips=7)
    found, clips = frame_effects.frames(run), frame_effects.clips(run)
    sample = np.isin(found.clips, explainers.explanations(run).clips)
    assert sample.sum() == 4
    assert np.isnan(found.again[~sample]).all()
    assert np.isfinite(found.again[sample]).all()
    assert np.isfinite(found.effects).all()
    assert len(found.clips) == 7
    expected = []
    for i in range(7):
        ask = (number_of(clips.inputs[i : i + 1]), int(found.explained[i]))
        expected += [(*ask, 2)] + ([(*ask, 3)] if sample[i] else [])
        own = np.random.default_rng((ask[0], 2)).random(400)
        assert np.array_equal(found.effects[i], own.astype(np.float32))
    assert asked.calls == expected


def test_maps_of_another_layer(empty, asked):
    run = empty.with_(layer="layer3[-1]")
    found = frame_effects.frames(run)
    assert found.nodes.shape == (4, 2, 50)
    assert frame_effects.EFFECTS.path(run) != frame_effects.EFFECTS.path(empty)
    assert artifacts.record(frame_effects.EFFECTS.path(run))["recipe"]["fields"] == {
        "explainer": "Grad-CAM",
        "layer": "layer3[-1]",
        "explained": "predicted",
        "control_clips": 4,
    }


def test_the_record_says_of_what_and_how_many(empty, asked):
    made = artifacts.record(frame_effects.EFFECTS.get(empty.with_(control_clips=7)))["made"]
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
    run = empty.with_(control_clips=6)
    clips = frame_effects.clips(run)
    numbers = [number_of(clips.inputs[i : i + 1]) for i in range(6)]
    asked.before = numbers[3]
    with pytest.raises(KeyboardInterrupt):
        frame_effects.EFFECTS.get(run)
    (work,) = frame_effects.EFFECTS.path(run).parent.glob(".effects*.work")
    assert {path.name for path in work.iterdir()} == {"clip-0.npy", "clip-1.npy", "clip-2.npy"}
    assert list(dict.fromkeys(clip for clip, _, _ in asked.calls)) == numbers[:3]
    asked.before, asked.calls = None, []
    resumed = frame_effects.frames(run)
    assert list(dict.fromkeys(clip for clip, _, _ in asked.calls)) == numbers[3:]
    assert not work.exists()
    # the same as without the interruption
    frame_effects.EFFECTS.path(run).unlink()
    whole = frame_effects.frames(run)
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(values, getattr(resumed, name))


def test_the_dearer_controls_take_the_first_explained_clips(run):
    maps = explainers.explanations(run)
    for count, expected in ((3, 3), ("all", 4)):
        part = maps.first(count)
        assert part.clips.tolist() == maps.clips[:expected].tolist()
        assert np.array_equal(part.maps, maps.maps[:expected])
