"""One sentence for every row of the specification curve: its words fit its numbers, whatever is chosen."""

import re

import pandas as pd
import pytest

from helpers import study
from helpers.findings import curve, flip, reference
from tests.unit.findings.made import NAN

ROW = {"estimate": 0.2, "low": 0.1, "high": 0.3, "clips": 50, "nan": 2, "null_low": -0.1, "null_high": 0.1}
ROW |= {"sign": "positive", "null_verdict": "above null"}


def test_a_sentence_has_its_numbers_and_what_they_mean():
    assert flip.sentence(ROW, flipped="") == (
        "With every choice as this book reads the thesis, the median score of 48 clips is +0.20 (interval "
        "+0.10 to +0.30, all of it above 0: the thesis would not call such maps unfaithful). Maps that know nothing "
        "would have a median of -0.10 to +0.10; Grad-CAM lies above: better than knowing nothing."
    )
    other = ROW | {"estimate": -0.2, "low": -0.3, "high": -0.1, "sign": "negative", "null_verdict": "below null"}
    assert flip.sentence(other, flipped="hop 512, seed 1") == (
        "With hop 512, seed 1, the median score of 48 clips is -0.20 (interval -0.30 to -0.10, all of it below 0: "
        "the thesis would call such maps unfaithful). Maps that know nothing would have a median of -0.10 to +0.10; "
        "Grad-CAM lies below: worse than knowing nothing."
    )


def test_what_is_not_known_is_said():
    assert flip.sentence(ROW | {"estimate": NAN}, flipped="seed 1") == "With seed 1, no clip has a score."
    assert flip.sentence(ROW | {"null_low": NAN}, flipped="").endswith(
        " What maps that know nothing would score is not recorded."
    )


@pytest.fixture(scope="module")
def recorded() -> pd.DataFrame:
    runs = reference.anywhere(study.traveller(), curve.CURVE)
    assert len({run.training_folds for run in runs}) == 2
    return flip.rows(runs)


def test_the_first_row_is_this_books_reading_and_the_nearest_come_first(recorded):
    first = recorded.iloc[0]
    assert first["own"]
    assert first["said"].startswith("With every choice as this book reads the thesis, ")
    assert recorded["said"].str.startswith("With every choice").sum() == 1
    apart = (recorded[list(flip.CHOICES)] != first[list(flip.CHOICES)]).sum(axis=1)
    assert apart.is_monotonic_increasing
    assert not recorded[list(flip.CHOICES)].duplicated().any()


def test_every_recorded_sentence_agrees_with_its_row(recorded):
    # the words against the numbers of the same table, not against the columns they were chosen by
    for row in recorded.dropna(subset=["estimate", "null_low"]).to_dict("records"):
        said = row["said"]
        numbers = [float(n) for n in re.findall(r"[+-]\d\.\d\d", said.partition(", the median score")[2])]
        known = [row[name] for name in ("estimate", "low", "high", "null_low", "null_high")]
        assert numbers == pytest.approx(known, abs=0.00501)
        assert ("below 0:" in said) == (row["high"] < 0)
        assert ("above 0:" in said) == (row["low"] > 0)
        assert ("with 0 inside" in said) == (row["low"] <= 0 <= row["high"])
        assert ("lies below:" in said) == (row["estimate"] < row["null_low"])
        assert ("lies above:" in said) == (row["estimate"] > row["null_high"])
        assert ("lies within:" in said) == (row["null_low"] <= row["estimate"] <= row["null_high"])


def test_every_recorded_sentence_names_what_is_flipped_and_nothing_else(recorded):
    first = recorded.iloc[0]
    for row in recorded.to_dict("records"):
        named = row["said"].partition(", the median")[0].partition(", no clip")[0]
        for column, name in flip.CHOICES.items():
            assert (f"{name} {row[column]}" in f"{named},".replace("With ", "")) == (row[column] != first[column])
