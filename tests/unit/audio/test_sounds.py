"""From a source to the clips of a run: which, how many, and what they depend on."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from helpers import InputError, study
from helpers.audio import sounds, urbansound
from helpers.maps import examples
from tests.unit.audio.made import HEADER, write_table, write_wav


def add(folder, fold: int) -> None:
    """Six clips of one class and five of another, in one fold of a folder."""
    for label, count in ((3, 6), (1, 5)):
        for i in range(count):
            name = f"{100 * fold + i}-{label}-0-0.wav"
            write_wav(folder / "audio" / f"fold{fold}" / name, np.full(100 + 10 * i, label / 10))


def row(fold: int, label: int, i: int) -> str:
    recording = 100 * fold + i
    name = urbansound.CLASSES[label]
    return f"{recording}-{label}-0-0.wav,{recording},0.0,4.0,1,{fold},{label},{name}"


@pytest.fixture
def folder(tmp_path):
    """A folder with folds 1 and 10, and a table that names fold 2 as well."""
    rows = [row(fold, label, i) for fold in (1, 2, 10) for label, count in ((3, 6), (1, 5)) for i in range(count)]
    write_table(tmp_path / "set", HEADER, *rows)
    for fold in (1, 10):
        add(tmp_path / "set", fold)
    return tmp_path / "set"


def opened(folder, **choices) -> study.Run:
    return study.open(profile="smoke", data=str(folder), **choices)


def names(table: pd.DataFrame) -> list[str]:
    return table["slice_file_name"].tolist()


# Which clips


def test_all_clips_are_those_that_are_read(fresh, folder):
    table = sounds.clips(opened(folder, clips="all"))
    assert table.equals(urbansound.read_clips(folder))
    assert len(table) == 22


def test_a_limit_holds_for_each_class_and_fold(fresh, folder):
    everything = sounds.clips(opened(folder, clips="all"))
    table = sounds.clips(opened(folder, clips=2))
    assert (table.groupby(["fold", "classID"]).size() == 2).all()
    assert len(table) == 8
    assert table.index.tolist() == list(range(8))
    assert names(table) == [name for name in names(everything) if name in set(names(table))]  # by fold and name
    assert len(sounds.clips(opened(folder, clips=100))) == 22
    assert names(sounds.clips(opened(folder, clips=2))) == names(table)
    chosen = {tuple(names(sounds.clips(opened(folder, clips=2, data_seed=seed)))) for seed in range(5)}
    assert len(chosen) == 5


def test_one_fold_is_a_part_of_the_clips(fresh, folder):
    run = opened(folder, clips=2)
    table = sounds.clips(run)
    part = sounds.in_fold(run, 10)
    assert part.index.tolist() == list(range(4))
    assert names(part) == names(table[table["fold"] == 10])


def test_what_is_done_to_a_table_changes_no_other(fresh, folder):
    run = opened(folder, clips="all")
    table = sounds.clips(run)
    table["fold"] = 7
    assert set(sounds.clips(run)["fold"]) == {1, 10}


def test_a_fold_that_joins_changes_no_other_folds_clips_and_digest(fresh, folder):
    before = opened(folder, clips=2)
    clips, digest = sounds.in_fold(before, 1), sounds.digest(before, 1)
    add(folder, 2)
    after = opened(folder, clips=2)
    assert after.training_folds == (1, 2)
    assert len(sounds.clips(after)) == 12  # the folder was read again
    assert sounds.in_fold(after, 1).equals(clips)
    assert sounds.digest(after, 1) == digest
    assert sounds.digest(after, 2) != digest


def test_a_digest_is_of_the_clips_that_are_used_alone(fresh, folder):
    run = opened(folder, clips=2)
    digest, used = sounds.digest(run, 1), set(names(sounds.in_fold(run, 1)))
    paths = sorted((folder / "audio" / "fold1").iterdir())
    other = next(path for path in paths if path.name not in used)
    write_wav(other, np.full(150, 0.9))
    assert sounds.digest(run, 1) == digest
    write_wav(next(path for path in paths if path.name in used), np.full(150, 0.9))
    assert sounds.digest(run, 1) != digest


def test_data_that_is_found_has_to_be_complete_and_data_that_is_named_has_not(fresh, folder):
    assert set(sounds.clips(opened(folder))["fold"]) == {1, 10}
    shutil.copytree(folder, study.DATA / "UrbanSound8K")
    with pytest.raises(InputError, match="lacks fold 2; finish it with `make data`"):
        sounds.clips(opened(""))


def test_a_stand_in_that_is_not_there_is_generated_once(fresh):
    run = study.open(profile="smoke")
    assert not run.source.folder.exists()
    table = sounds.clips(run)
    assert (table.groupby(["fold", "classID"]).size() == run.clips).all()
    made = (run.source.folder / "metadata" / "UrbanSound8K.csv").stat().st_mtime_ns
    assert sounds.clips(run).equals(table)
    assert (run.source.folder / "metadata" / "UrbanSound8K.csv").stat().st_mtime_ns == made
    other = study.open(profile="smoke", data_seed=1)
    assert other.source.folder != run.source.folder


def test_recorded_data_has_no_clips_to_read():
    with pytest.raises(InputError) as caught:
        sounds.clips(study.entries()[0])
    assert str(caught.value) == (
        "the recorded results come without sounds; name a folder of recordings (data), or listen at Freesound"
    )


# What is said of them


@pytest.mark.parametrize("clips", [2, "all"])
def test_a_sentence_says_how_many_clips_which_folds_and_what_is_lacking(fresh, folder, clips):
    count, recordings = (8, len(set(sounds.clips(opened(folder, clips=2))["fsID"]))) if clips == 2 else (22, 12)
    assert sounds.summary(opened(folder, clips=clips)) == (
        f"{count} clips from {recordings} recordings: folds 1 train, fold 10 tests; folds 2 are not in the folder."
    )
    add(folder, 2)
    assert sounds.summary(opened(folder, clips="all")) == (
        "33 clips from 18 recordings: folds 1, 2 train, fold 10 tests."
    )


def test_a_class_that_the_book_needs_is_asked_for_before_it_is_missed(fresh, stand_in, tmp_path):
    folder = shutil.copytree(stand_in, tmp_path / "sounds")
    run = opened(folder)
    sounds.require_classes(run)
    table = urbansound.read_table(folder)

    def without(name: str, fold: int) -> None:
        rows = table[(table["class"] != name) | (table["fold"] != fold)]
        rows.to_csv(folder / "metadata" / "UrbanSound8K.csv", index=False)

    without("car_horn", 10)  # which is played nowhere
    sounds.require_classes(opened(folder))
    without("siren", 10)
    with pytest.raises(InputError) as caught:
        sounds.require_classes(opened(folder))
    assert "has clips of 9 of the ten classes in fold 10 (air_conditioner, " in str(caught.value)
    assert "; the book needs siren there too: add clips, or name folds that have some" in str(caught.value)
    without("car_horn", 3)
    sounds.require_classes(opened(folder))  # the other folds that train have some
    with pytest.raises(InputError, match=r"9 of the ten classes in fold 3 .* the book needs car_horn there too"):
        sounds.require_classes(opened(folder, training_folds="3"))


def test_the_classes_that_are_asked_for_are_those_that_chapters_play():
    chapters = "".join(path.read_text() for path in sorted((study.ROOT / "notebooks").glob("*.md")))
    named = set(re.findall(r'examples\.example\(run, "(\w+)"\)|^category = "(\w+)"', chapters, re.MULTILINE))
    named = {name for pair in named for name in pair if name}
    assert named
    assert named | set(examples.MIXED) == set(sounds.PLAYED)


def test_the_official_counts_are_those_of_the_table():
    table = sounds.official_slices()
    assert list(table) == ["class", "fold", "salience", "slices", "recordings"]
    assert table["slices"].sum() == 8732
    assert table.groupby("fold")["slices"].sum().tolist() == [873, 888, 925, 990, 936, 823, 838, 806, 816, 837]


def test_the_official_table_is_known_by_its_bytes(folder, real):
    assert not sounds.is_official(folder)
    assert sounds.is_official(real)
