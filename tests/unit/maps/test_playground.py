"""A sound of the reader's own."""

import re

import numpy as np
import pytest
import soundfile

from helpers import InputError, study
from helpers.maps import playground


@pytest.fixture
def stereo(tmp_path):
    """Six seconds at 8000 Hz; sample i of the left channel is i / 48000, the right one is silent."""
    left = np.arange(48_000) / 48_000
    path = tmp_path / "mine.flac"
    soundfile.write(path, np.column_stack([left, 0 * left]), 8000)
    return path


def test_four_seconds_from_where_they_shall_begin_as_one_channel(stereo):
    heard = playground.sound(str(stereo), second=1.5)
    assert (heard.rate, heard.second, heard.recording, heard.category) == (8000, 1.5, 0, "")
    expected = np.arange(12_000, 44_000) / 48_000 / 2  # the mean of the two channels
    np.testing.assert_allclose(heard.samples, expected, atol=2**-15)


def test_a_sound_that_ends_earlier_is_taken_to_its_end(stereo):
    assert len(playground.sound(str(stereo), second="5").samples) == 8000  # papermill passes text


def test_a_path_may_begin_at_the_repository(stereo, monkeypatch):
    monkeypatch.setattr(study, "ROOT", stereo.parent)
    assert playground.sound("mine.flac").clip == "mine.flac"


def test_nothing_is_written(stereo, monkeypatch):
    monkeypatch.setattr(study, "ROOT", stereo.parent)
    playground.sound("mine.flac")
    assert list(stereo.parent.iterdir()) == [stereo]


@pytest.mark.parametrize("second", [-1, 6, "soon", None])
def test_a_beginning_outside_the_sound_gets_one_sentence(stereo, second):
    said = f"second {second} does not lie in {stereo}, which lasts 6.0 s; give a number from 0 (second in the"
    with pytest.raises(InputError, match=re.escape(said)):
        playground.sound(str(stereo), second=second)


def test_what_is_no_sound_gets_one_sentence(tmp_path):
    text = tmp_path / "mine.wav"
    text.write_text("no sound")
    for path, why in ((text, "cannot be read as audio"), (tmp_path / "none.wav", "No such file or directory")):
        with pytest.raises(InputError, match="[^;]*" + why + "[^;]*; name a WAV, FLAC, OGG or MP3 file [^;]*$"):
            playground.sound(str(path))
    slow = tmp_path / "slow.wav"
    soundfile.write(slow, np.zeros(10), 5)
    with pytest.raises(InputError, match="claims 5 samples a second"):
        playground.sound(str(slow))


def test_a_generated_sound_is_the_same_each_time_and_of_its_class():
    one, two = playground.sound(), playground.sound(category="siren")
    assert (len(one.samples), one.rate, one.category) == (88_200, 22_050, "dog_bark")
    assert np.sqrt(np.mean(one.samples**2)) == pytest.approx(0.1, rel=1e-3)
    assert np.abs(one.samples).max() <= 1
    np.testing.assert_array_equal(one.samples, playground.sound().samples)
    assert not np.array_equal(one.samples, two.samples)
    with pytest.raises(InputError, match='class "cat" is not known; choose from air_conditioner'):
        playground.sound(category="cat")
