"""Bad data never hurts: each case is read as it should be, or refused in one sentence, and nothing is written."""

import os

import numpy as np
import pytest
import torch

from helpers import InputError, study
from helpers.audio import representations, sounds, urbansound
from tests.unit.audio import corpus
from tests.unit.audio.corpus import CASES, CLIP, Case

REFUSED = [case for case in CASES if case.said]
READ = [case for case in CASES if not case.said]
HARMED = [case for case in corpus.CLIPS if case.said]


def each(cases: list[Case]):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The data set before it is harmed; nothing else is at hand."""
    monkeypatch.setattr(study, "DATA", tmp_path / "data")
    monkeypatch.setattr(study, "RUNS", tmp_path / "data" / "runs")
    return corpus.plain(tmp_path / "set" / "mine")


def named(case: Case, folder) -> str:
    """What a user names as DATA after the case has done its harm."""
    path = case.make(folder) or folder
    if case.name == "may not be read" and os.access(folder / CLIP, os.R_OK):
        pytest.skip("this user may read everything")
    return str(path)


def opened(data: str, **choices) -> study.Run:
    return study.open(data=data, test_fold=2, profile="thesis", **choices)


def files(root) -> dict:
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}


def test_there_are_many_cases_and_no_two_of_a_name():
    names = [case.name for case in CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert len(REFUSED) >= 60
    assert len(READ) >= 40


@each(REFUSED)
def test_what_cannot_be_used_is_refused_in_one_sentence(folder, case):
    data = named(case, folder)
    before = files(folder.parents[1])
    with pytest.raises(InputError) as caught:
        sounds.clips(opened(data))
    sentence = str(caught.value)
    for part in case.said:
        assert part.format(folder=folder) in sentence, sentence
    assert sentence.isprintable(), sentence
    assert ";" in sentence  # what is wrong; what to do
    assert len(sentence) < 900
    assert files(folder.parents[1]) == before


@each(READ)
def test_what_is_odd_but_clear_is_read_as_it_would_be_in_the_usual_form(folder, case):
    run = opened(named(case, folder))
    table = sounds.clips(run)
    assert table["slice_file_name"].tolist() == ["7-3-0-0.wav", "7-3-0-1.wav", "8-1-0-0.wav", "9-9-0-0.wav"]
    assert table[["fsID", "start", "end", "salience", "fold", "classID"]].to_numpy().tolist() == [
        [7, 0.0, 4.0, 1, 1, 3],
        [7, 0.5, 4.5, 2, 1, 3],
        [8, 0.0, 0.05, 1, 2, 1],
        [9, 1.0, 1.05, 2, 2, 9],
    ]
    for place, row in enumerate(table.to_dict("records")):
        harmed = place == 1 and case.sound is not None
        samples, rate = urbansound.load_audio(run.source.folder / row["path"])
        expected = case.sound if harmed else corpus.TONE
        assert rate == row["rate"] == (case.rate if harmed else corpus.RATE)
        assert len(samples) == row["samples"]
        lossy = harmed and "ADPCM" in case.name  # fills its last block, and is slow to start
        assert len(samples) == len(expected) or lossy
        wrong = np.abs(samples[: len(expected)] - expected)[100 * lossy :]
        assert wrong.max() <= (case.step if harmed else 1 / 32768)
        if harmed:
            picture = representations.picture(torch.from_numpy(samples)[None], rate, run)
            assert picture.shape == (1, *run.shape)
            assert torch.isfinite(picture).all()
    assert "4 clips from 3 recordings" in sounds.summary(run)


@pytest.mark.slow
@each(HARMED)
def test_just_as_many_clips_as_are_named_are_left_out_and_listed(folder, case):
    data = named(case, folder)
    run = opened(data, left_out=1)
    table = sounds.clips(run)
    assert table["slice_file_name"].tolist() == ["7-3-0-0.wav", "8-1-0-0.wav", "9-9-0-0.wav"]
    assert table.index.tolist() == [0, 1, 2]
    assert table["rate"].dtype == table["samples"].dtype == "int64"
    (said,) = sounds.left_out(run)
    assert said.startswith(f"{CLIP} ")
    assert said.removeprefix(f"{CLIP} ") in case.said or any(part in said for part in case.said[4:])
    for count in (0, 2):
        with pytest.raises(InputError, match=r"1 of 4 clips cannot be used .*left_out=1"):
            sounds.clips(opened(data, left_out=count))
