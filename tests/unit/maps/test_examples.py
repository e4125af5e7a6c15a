"""Sounds to look at and listen to, and a mixture of two."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import InputError, study
from helpers.audio import representations, sounds, urbansound
from helpers.maps import examples, explainers
from helpers.networks import models, training

# Sounds


def table_of(run) -> pd.DataFrame:
    return sounds.clips(run).set_index("slice_file_name")


def test_a_sound_is_its_file_and_its_features(run):
    test = representations.test(run)
    clip = str(test.clips[-1])
    sound, row = examples.sound(run, clip), table_of(run).loc[clip]
    samples, rate = urbansound.load_audio(run.source.folder / row["path"])
    assert (sound.clip, sound.recording, sound.category, sound.rate) == (
        clip,
        row["fsID"],
        row["class"],
        rate,
    )
    assert sound.second == urbansound.true_starts(sounds.clips(run))[clip]
    assert np.array_equal(sound.samples, samples)
    assert (sound.picture.shape, sound.picture.dtype) == ((13, 400), np.float32)
    assert np.array_equal(sound.picture, test.inputs[-1, 0])
    assert sound.frames == test.frames[-1]


def test_a_sound_that_is_not_there_is_said_in_one_sentence(run):
    with pytest.raises(InputError, match=r"1-2-3-4\.wav"):
        examples.sound(run, "1-2-3-4.wav")


@pytest.mark.parametrize("category", ["dog_bark", "siren"])
def test_an_example_is_the_longest_foreground_clip_of_the_test_fold(run, category):
    table = table_of(run)
    clips = table[(table["class"] == category) & (table["fold"] == 10)]
    clips = clips[clips["salience"] == clips["salience"].min()]
    sound = examples.example(run, category)
    assert sound.category == category
    assert sound.clip in clips.index
    assert clips.loc[sound.clip, "seconds"] == clips["seconds"].max()


def test_an_example_prefers_the_foreground_to_length(run, monkeypatch):
    rows = [("a", 2, 4.0, 10), ("b", 1, 1.0, 10), ("c", 1, 3.0, 10), ("d", 1, 4.0, 9)]
    clips = pd.DataFrame(rows, columns=["slice_file_name", "salience", "seconds", "fold"])
    monkeypatch.setattr(sounds, "clips", lambda run: clips.assign(**{"class": "siren"}))
    monkeypatch.setattr(examples, "sound", lambda run, clip: clip)
    assert examples.example(run, "siren") == "c"


@pytest.mark.parametrize("category", ["gun_shot", "thunder"])
def test_a_class_that_the_test_fold_lacks_is_said_in_one_sentence(settings, stand_in, tmp_path, category):
    folder = tmp_path / "no-shots"
    shutil.copytree(stand_in, folder)
    path = folder / "metadata" / "UrbanSound8K.csv"
    table = pd.read_csv(path)
    gone = (table["class"] == "gun_shot") & (table["fold"] == 10)
    assert gone.any()
    for name in table["slice_file_name"][gone]:
        (folder / "audio" / "fold10" / name).unlink()
    table[~gone].to_csv(path, index=False)
    run = study.open(profile="smoke", data=str(folder))
    for call in (lambda: examples.example(run, category), lambda: examples.mixture(run, ("siren", category))):
        with pytest.raises(InputError) as caught:
            call()
        assert f'has no clip of class "{category}"; name another class' in str(caught.value)
        assert "fold 10" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_mixture_is_one_sound_after_the_other(run):
    mix = examples.mixture(run, ("drilling", "siren"))
    assert mix.rate == 22050
    assert mix.samples.shape == (88200,)
    assert mix.samples.dtype == np.float32
    parts = [alone.samples for alone in mix.sounds]
    assert np.array_equal(mix.samples, parts[0] + parts[1])
    assert not parts[0][44100:].any()
    assert not parts[1][:44100].any()
    assert mix.events == {"drilling": (0.0, 2.0), "siren": (2.0, 4.0)}
    assert mix.classes == ("drilling", "siren")
    for alone, category in zip(mix.sounds, mix.classes, strict=True):
        one = examples.example(run, category)
        assert (alone.clip, alone.recording, alone.second) == (one.clip, one.recording, one.second)
        assert (alone.category, alone.rate) == (category, mix.rate)
    for part in parts:
        assert np.abs(part).max() == pytest.approx(0.5, rel=1e-5)
    first = examples.example(run, "drilling")
    assert np.corrcoef(parts[0][:44100], first.samples[:44100])[0, 1] == pytest.approx(1, abs=1e-5)


def test_a_mixture_has_one_map_per_class(run):
    mix, network = examples.mixture(run), training.network(run)
    assert mix.classes == ("dog_bark", "siren")
    assert mix.picture.shape == (13, 400)
    expected = representations.picture(torch.from_numpy(mix.samples)[None], mix.rate, run)[0].numpy()
    assert np.array_equal(mix.picture, expected)
    assert (mix.maps.shape, mix.maps.dtype) == ((2, 13, 400), np.float32)
    for i, category in enumerate(mix.classes):
        own = explainers.maps(
            network,
            mix.picture[None, None],
            layer=network.layer4[-1],
            classes=np.array([urbansound.CLASSES.index(category)]),
        )
        assert np.allclose(mix.maps[i], own[0], atol=1e-5)


def test_a_mixture_in_the_other_order_changes_sides(run):
    mix, swapped = examples.mixture(run), examples.mixture(run, ("siren", "dog_bark"))
    assert np.array_equal(mix.sounds[0].samples[:44100], swapped.sounds[1].samples[44100:])
    assert swapped.events == {"siren": (0.0, 2.0), "dog_bark": (2.0, 4.0)}


# Recorded


@pytest.fixture
def traveller():
    """The recorded run whose network can be asked."""
    return study.traveller()


def test_a_recorded_sound_has_its_picture_and_no_samples(traveller):
    maps = explainers.explanations(traveller)
    sound = examples.sound(traveller, str(maps.clips[3]))
    assert (sound.samples, sound.rate) == (None, 0)
    assert np.array_equal(sound.picture, maps.inputs[3, 0])
    assert (sound.recording, sound.second, sound.frames) == (
        maps.recordings[3],
        maps.seconds[3],
        maps.frames[3],
    )
    with pytest.raises(InputError, match=r'clip "1-2-3-4\.wav" is not among the recorded ones'):
        examples.sound(traveller, "1-2-3-4.wav")


def test_the_explained_clips_of_a_run_are_features(run):
    maps, clips = explainers.explanations(run), examples.explained(run)
    assert set(clips.folds) == {10}
    for name, values in vars(clips).items():
        if name != "folds":
            assert np.array_equal(values, getattr(maps, name))


def test_a_recorded_example_is_the_longest_of_its_class(traveller):
    sound = examples.example(traveller, "siren")
    clips = examples.explained(traveller)
    sirens = clips.part(clips.labels == urbansound.CLASSES.index("siren"))
    assert sound.category == "siren"
    assert sound.frames == sirens.frames.max()


def test_a_recorded_mixture_has_maps_of_the_network_that_travels(traveller):
    mix, network = examples.mixture(traveller), training.network(traveller)
    assert (mix.samples, mix.rate) == (None, 0)
    assert [alone.category for alone in mix.sounds] == list(mix.classes) == ["dog_bark", "siren"]
    assert all(alone.samples is None and alone.second >= 0 for alone in mix.sounds)
    assert mix.events == {"dog_bark": (0.0, 2.0), "siren": (2.0, 4.0)}
    layer = models.layer(network, traveller.layer)
    own = explainers.maps(network, mix.picture[None, None], layer=layer, classes=np.array([8]))
    assert np.allclose(mix.maps[1], own[0], atol=1e-4)
    with pytest.raises(InputError, match="only the mixture of dog_bark and siren is recorded"):
        examples.mixture(traveller, ("siren", "dog_bark"))
