"""What the first page has of its own: a sound, of recordings or a program's, and the picture of a preview."""

import re

import cv2
import numpy as np
import pytest
import soundfile

from helpers import study
from helpers.audio import standin, urbansound
from helpers.book import contents, first, picture


@pytest.fixture
def executed(monkeypatch, tmp_path):
    monkeypatch.setattr(contents, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(study, "DATA", tmp_path / "data")
    return tmp_path / "executed"


def heard(executed) -> tuple[str, np.ndarray, int]:
    """The text of the page, and its sound."""
    text = (executed / "sound.md").read_text()
    (name,) = re.findall(r'src="\.\./_static/(audio/\w+\.mp3)"', text)
    return text, *soundfile.read(executed / "_static" / name)


def test_without_recordings_a_program_makes_a_sound_of_the_class_and_the_page_says_so(executed):
    first.sound("")
    text, samples, rate = heard(executed)
    assert "made by a program" in text
    assert "Synthetic, not a recording" in text
    assert 'preload="none"' in text
    assert len(samples) / rate == pytest.approx(first.SECONDS, abs=0.1)
    assert 0.3 < np.abs(samples).max() <= 1


@pytest.fixture
def recordings(tmp_path):
    """A folder that has the clip of the first page: a tone of a second."""
    clip, _ = picture.middle()
    folder = tmp_path / "sounds"
    (folder / "audio" / "fold3").mkdir(parents=True)
    (folder / "metadata").mkdir()
    soundfile.write(folder / "audio" / "fold3" / clip, 0.5 * np.sin(np.arange(22_050) / 10), 22_050)
    return folder


def test_where_the_recording_is_at_hand_it_is_played_with_its_source(executed, recordings):
    first.sound(str(recordings))
    text, samples, rate = heard(executed)
    assert "The clip of the figure below" in text
    assert re.search(r"Freesound recording \d+, in UrbanSound8K \(CC BY-NC\)", text)
    assert len(samples) / rate == pytest.approx(1, abs=0.1)


def test_it_is_made_anew_only_when_the_figure_or_the_sounds_are_others(executed, recordings):
    first.sound("")
    page = executed / "sound.md"
    page.write_text(f"{page.read_text()}kept")
    first.sound("")
    assert page.read_text().endswith("kept")
    first.sound(str(recordings))
    assert not page.read_text().endswith("kept")


@pytest.mark.parametrize("category", urbansound.CLASSES)
def test_every_class_has_a_sound(category):
    samples = first.made(category)
    assert samples.shape == (first.SECONDS * standin.RATE,)
    assert np.abs(samples).max() == 0.5


def test_the_card_has_the_size_that_previews_ask_for(executed):
    first.card()
    assert cv2.imread(str(executed / "_static" / "card.png")).shape == (630, 1200, 3)
