"""Where slices begin, by their sound: the official table steps by half a second, the audio by two."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from helpers import study
from helpers.audio import overlaps, urbansound
from tests.conftest import RECORDINGS

RATE = 8000


@pytest.fixture
def tree(tmp_path):
    """Writes slices of noise that lie `step` seconds apart: tree(step) -> folder, table."""

    def write(step: float, *, slices: int = 3, seconds: float = 4.0):
        sound = np.random.default_rng(0).normal(size=int(RATE * 20)).clip(-3, 3) / 4
        rows = []
        for i in range(slices):
            name = f"7-3-0-{i}.wav"
            start = int(i * step * RATE)
            soundfile.write(tmp_path / name, sound[start : start + int(seconds * RATE)], RATE, subtype="FLOAT")
            rows.append({"slice_file_name": name, "path": name, "fold": 1})
        return tmp_path, pd.DataFrame(rows)

    return write


@pytest.mark.parametrize(("step", "found", "other"), [(2.0, "2.0 s", "0.5 s"), (0.5, "0.5 s", "2.0 s")])
def test_the_sound_says_how_far_slices_lie_apart(tree, step, found, other):
    table = overlaps.overlaps(*tree(step))
    assert table[["clip", "next"]].to_numpy().tolist() == [
        ["7-3-0-0.wav", "7-3-0-1.wav"],
        ["7-3-0-1.wav", "7-3-0-2.wav"],
    ]
    assert (table[found] > 0.999).all()
    assert (table[other].abs() < 0.1).all()


def test_short_slices_and_missing_neighbours_are_left_out(tree):
    folder, table = tree(2.0)
    assert overlaps.overlaps(folder, table.iloc[[0, 2]]).empty
    folder, table = tree(2.0, seconds=3.0)
    assert overlaps.overlaps(folder, table).empty


def test_the_recorded_pairs_lie_two_seconds_apart():
    table = overlaps.recorded()
    assert len(table) > 1000
    assert (table["2.0 s"] > 0.9).mean() > 0.99
    assert (table["0.5 s"] < 0.9).all()
    assert (study.RECORDED / "overlaps.md").read_text() == overlaps.said()


def hours(starts: pd.Series, lengths: pd.Series, recordings: pd.Series) -> float:
    """How long the distinct sound of all clips lasts."""
    total = 0.0
    for _, part in pd.DataFrame({"start": starts, "end": starts + lengths}).groupby(recordings.to_numpy()):
        reached = -np.inf
        for start, end in part.sort_values("start").to_numpy():
            total, reached = total + max(0.0, end - max(start, reached)), max(reached, end)
    return total / 3600


@pytest.mark.skipif(not RECORDINGS.exists(), reason="no official table beside the repository")
def test_what_the_page_says_of_the_official_table_is_so():
    page = (study.ROOT / "book" / "urbansound8k.md").read_text()
    table = urbansound.read_table(RECORDINGS)
    later = table["slice_file_name"].str.extract(urbansound.NAME)[3].astype(int) > 0
    assert f"{later.sum()} of the {len(table)} rows" in page
    lengths, recordings = table["end"] - table["start"], table["fsID"]
    true = urbansound.true_starts(table).reset_index(drop=True)
    said = [lengths.sum() / 3600, hours(true, lengths, recordings), hours(table["start"], lengths, recordings)]
    assert (
        "{:.2f} hours of clips hold {:.2f} hours of distinct sound, where the table's seconds say {:.2f}".format(*said)
        in page
    )
    assert len(urbansound.leakage(table)) == 5
    assert "but for five recordings" in page
