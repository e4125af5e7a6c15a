"""What a map keeps of a sound: over time, and band by band."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import InputError, study
from helpers.audio import representations
from helpers.maps import examples, hearing

FACTS = {"clip": "a.wav", "recording": 1, "second": 0.0, "category": "siren"}


def asked(**choices):
    """A run whose sounds are short: at most 32 frames of 256 samples at 8 kHz, one second in all."""
    choices |= {"architecture": "resnet1d"} if choices.get("representation") == "waveform" else {}
    own = {"sampling_rate": 8000, "n_fft": 1024, "hop_length": 256, "frames": 32, "n_mels": 32, "n_mfcc": 13}
    return study.open(profile="smoke", **(own | choices))


def tone(hertz: float, *, rate: int = 8000, seconds: float = 1.0) -> np.ndarray:
    return (0.25 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def heard(samples, rate: int = 8000) -> examples.Heard:
    return examples.Heard(samples=np.asarray(samples, dtype=np.float32), rate=rate, **FACTS)


def share(samples: np.ndarray, hertz: float) -> float:
    """How strong a tone is in a sound, the start and the end of which are left out: 1 for `tone`."""
    inner = slice(1000, -1000)
    return float(np.abs(np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8000)[inner] @ samples[inner]) / 750)


# Over time


def test_a_curve_keeps_the_moments_it_marks_and_all_versions_are_equally_strong():
    run = asked(hop_length=1000)
    sound = heard(np.full(9, 0.25), rate=32)  # a sample every quarter of a frame: to frame 2
    curve = np.arange(32.0)
    found = hearing.versions(sound, {"kept": curve, "dropped": 2 - curve, "all": np.ones(32)}, run)
    line = np.arange(9) / 8
    np.testing.assert_allclose(found["kept"].samples / found["kept"].samples[-1], line, rtol=1e-6)
    np.testing.assert_allclose(found["dropped"].samples / found["dropped"].samples[0], 1 - line, atol=1e-6)
    np.testing.assert_allclose(found["all"].samples, sound.samples, rtol=1e-6)
    for part in found.values():
        assert np.sqrt(np.mean(part.samples**2)) == pytest.approx(0.25)
        assert (part.rate, part.recording, part.samples.dtype) == (32, 1, np.float32)


def test_where_one_version_would_be_too_loud_all_are_turned_down_together():
    run = asked(hop_length=1000)
    shares = {"one moment": np.eye(32)[0], "all": np.ones(32)}
    found = hearing.versions(heard(np.ones(4), rate=8), shares, run)
    # one of four samples is as strong as four of half its size
    np.testing.assert_allclose(found["one moment"].samples, [1, 0, 0, 0])
    np.testing.assert_allclose(found["all"].samples, [0.5] * 4)


def test_an_empty_map_keeps_silence_and_drops_everything_and_a_sound_that_is_not_at_hand_stays_so():
    run = asked(hop_length=1000)
    sound = heard(np.full(9, 0.5), rate=32)
    (kept,) = hearing.shares(np.zeros((1, *run.shape)), run)
    found = hearing.versions(sound, {"kept": kept, "dropped": 1 - kept}, run)
    assert (found["kept"].samples == 0).all()
    np.testing.assert_allclose(found["dropped"].samples, sound.samples)
    away = examples.Heard(samples=None, rate=0, **FACTS)
    assert hearing.versions(away, {"kept": np.ones(32)}, run) == {"kept": away}


# What can be heard of a map


def test_rows_that_are_frequencies_are_heard_and_others_summed():
    maps = np.array([[[0.0, 2, 4], [0, 1, 0]], [[0, 0, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(hearing.shares(maps, asked(representation="log-mel")), maps / 4)
    np.testing.assert_array_equal(hearing.shares(maps, asked(representation="spectrogram")), maps / 4)
    for representation in ("mfcc", "waveform"):
        found = hearing.shares(maps, asked(representation=representation))
        np.testing.assert_array_equal(found, [[0, 3 / 4, 1], [0, 0, 0]])


# Band by band

BANDS = ("log-mel", "spectrogram")


@pytest.mark.parametrize("representation", BANDS)
def test_a_map_of_ones_keeps_all(representation):
    noise = 0.1 * np.random.default_rng(0).standard_normal(7777).astype(np.float32)
    run = asked(representation=representation)
    found = hearing.weighted(heard(noise), np.ones(run.shape), run)
    np.testing.assert_allclose(found.samples, noise, atol=1e-6)
    assert (found.rate, found.samples.dtype, found.clip) == (8000, np.float32, "a.wav")


@pytest.mark.parametrize("representation", BANDS)
def test_a_map_of_the_low_bands_keeps_a_low_tone_and_drops_a_high_one(representation):
    run = asked(representation=representation)
    both = heard(tone(250) + tone(3000))
    low = np.zeros(run.shape)
    low[:16] = 1  # half of the bands end at 2000 Hz, or at about 1100 Hz of the mel scale
    kept, dropped = (hearing.weighted(both, part, run).samples for part in (low, 1 - low))
    assert [share(kept, 250), share(kept, 3000)] == pytest.approx([1, 0], abs=0.01)
    assert [share(dropped, 250), share(dropped, 3000)] == pytest.approx([0, 1], abs=0.01)
    np.testing.assert_allclose(kept + dropped, both.samples, atol=1e-6)


def test_a_band_is_kept_at_the_moments_that_are_marked():
    run = asked(representation="log-mel")
    early = np.zeros(run.shape)
    early[:16, :16] = 1  # 16 frames of 256 samples: half a second
    kept = hearing.weighted(heard(tone(250) + tone(3000)), early, run).samples
    first, second = np.split(kept, 2)
    assert np.abs(first[300:3000] - tone(250)[300:3000]).max() < 0.02
    assert np.abs(second[1000:]).max() < 0.001


@pytest.mark.parametrize("representation", BANDS)
@given(seed=st.integers(0, 99), samples=st.integers(1, 3000))
def test_what_is_kept_and_what_is_dropped_add_up_to_the_sound(representation, seed, samples):
    random = np.random.default_rng(seed)
    run = asked(representation=representation)
    sound = heard(random.uniform(-0.5, 0.5, samples))
    (kept,) = hearing.shares(random.random((1, *run.shape)), run)
    parts = [hearing.weighted(sound, part, run).samples for part in (kept, 1 - kept)]
    np.testing.assert_allclose(sum(parts), sound.samples, atol=1e-6)


def test_a_sound_at_another_rate_is_heard_as_the_network_hears_it():
    run = asked(representation="log-mel")
    sound = heard(tone(250, rate=16_000) + tone(6000, rate=16_000), rate=16_000)
    found = hearing.versions(sound, {"all": np.ones(run.shape), "some": np.eye(32)}, run)
    assert {part.rate for part in found.values()} == {8000}
    assert {len(part.samples) for part in found.values()} == {8000}
    spectrum = np.abs(np.fft.rfft(found["all"].samples))  # a bin a hertz; the other tone has no place at this rate
    assert spectrum.argmax() == 250
    strengths = [np.sqrt(np.mean(part.samples**2)) for part in found.values()]
    assert strengths[0] == pytest.approx(strengths[1], rel=1e-4)


@pytest.mark.parametrize("representation", BANDS)
def test_bands_are_those_that_the_network_is_given(representation):
    run = asked(representation=representation, sampling_rate=44_100, n_fft=2048, n_mels=32)
    parts = hearing.bands(run)
    assert parts.shape == (1025, 32)
    np.testing.assert_allclose(parts.sum(axis=1), 1)
    for bin_ in (20, 100, 300, 500):  # of which tones lie in the middle
        wave = np.sin(2 * np.pi * bin_ / 2048 * np.arange(20_000)).astype(np.float32)
        picture = representations.REPRESENTATIONS[representation](torch.from_numpy(wave)[None], run)
        assert parts[bin_].argmax() == picture[0, :, 10].argmax()
    assert parts[0, 0] == parts[-1, -1] == 1  # no band holds these: the nearest speaks


@pytest.mark.parametrize("representation", ["mfcc", "waveform"])
def test_rows_that_are_no_frequencies_get_one_sentence(representation):
    run = asked(representation=representation)
    with pytest.raises(InputError, match=f'rows of the representation "{representation}" are no frequencies; weigh'):
        hearing.weighted(heard(tone(250)), np.ones(run.shape), run)
