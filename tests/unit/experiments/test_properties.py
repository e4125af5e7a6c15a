"""What a sound is like: tones, noise, silence and clicks whose numbers are known."""

import numpy as np
import pytest

from helpers.audio import sounds
from helpers.experiments import properties

RATE, WINDOW = 44_100, {"n_fft": 2048, "hop_length": 1024}
TIME = np.arange(RATE * 2) / RATE
TONE = (0.5 * np.sin(2 * np.pi * 1000 * TIME)).astype(np.float32)


def measured(samples: np.ndarray, **options) -> dict:
    return properties.measured(samples.astype(np.float32), RATE, **WINDOW, **options)


def test_a_tone_is_steady_and_lies_at_its_frequency():
    found = measured(TONE)
    assert found["centroid"] == pytest.approx(1000, abs=5)
    assert found["flatness"] < -40
    assert found["loudness"] == pytest.approx(10 * np.log10(0.5**2 / 2), abs=0.01)  # a sine's mean square
    assert found["loudness variation"] == pytest.approx(0, abs=0.02)


def test_white_noise_is_flat_up_to_the_highest_frequency():
    found = measured(np.random.default_rng(0).normal(0, 0.1, RATE * 2), highest=8000)
    assert found["centroid"] == pytest.approx(4000, rel=0.02)
    # the geometric mean of exponential powers is exp(-0.577) of their mean
    assert found["flatness"] == pytest.approx(10 * np.log10(np.exp(-0.5772)), abs=0.1)


def test_what_lies_above_the_highest_frequency_does_not_count():
    high = TONE + 0.5 * np.sin(2 * np.pi * 15_000 * TIME)
    assert measured(high)["centroid"] == pytest.approx(measured(TONE)["centroid"], abs=1)
    assert measured(high, highest=20_000)["centroid"] == pytest.approx(8000, rel=0.01)


def test_frames_count_by_their_power():
    loud = np.concatenate([TONE, np.random.default_rng(0).normal(0, 1e-4, RATE * 2)])
    assert measured(loud)["centroid"] == pytest.approx(1000, abs=5)


def test_half_silence_varies_by_as_much_as_it_sounds():
    assert measured(np.where(TIME < 1, TONE, 0))["loudness variation"] == pytest.approx(1, abs=0.05)  # 1, 1, 0, 0


def test_clicks_are_counted_per_second():
    clicks = np.zeros(RATE * 4)
    for second in (0.5, 1.5, 2.5, 3.5):
        clicks[int(second * RATE) :][:2000] = np.random.default_rng(0).normal(0, 0.5, 2000) * np.linspace(1, 0, 2000)
    assert measured(clicks)["onsets per second"] == pytest.approx(1)


def test_silence_has_no_colour():
    found = measured(np.zeros(RATE))
    assert np.isnan([found["flatness"], found["centroid"]]).all()
    assert (found["loudness"], found["loudness variation"], found["onsets per second"]) == (-100, 0, 0)


def test_the_table_has_a_row_per_test_clip_and_reads_nothing_of_the_network(run):
    found = properties.table(run)
    assert set(found["clip"]) == set(sounds.in_fold(run, run.test_fold)["slice_file_name"])
    assert properties.PROPERTIES.path(run) == properties.PROPERTIES.path(run.with_(seed=1, padding="minimum", epochs=1))
    assert (found["loudness"] <= 0).all()
    assert (found["second"] >= 0).all()
