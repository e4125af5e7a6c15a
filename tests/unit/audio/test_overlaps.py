"""Where slices begin, by their sound: the official table steps by half a second, the audio by two."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from helpers.audio import overlaps

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
    assert overlaps.RECORDED.with_name("overlaps.md").read_text() == overlaps.said()
