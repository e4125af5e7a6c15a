"""What a table holds is checked when it is read."""

import pandas as pd
import pytest

from helpers import InputError, tables

ROW = {
    "clip": "1-2-0-0.wav",
    "recording": 1,
    "label": 2,
    "predicted": 2,
    "explained": 2,
    "specification": "rank",
    "score": 0.5,
    "status": "ok",
}


def test_a_table_that_holds_what_it_should_is_returned():
    frame = pd.DataFrame([ROW, ROW | {"score": float("nan")}])
    assert tables.SCORES.validate(frame, "scores.csv").equals(frame)


@pytest.mark.parametrize(
    "change",
    [{"label": 10}, {"score": 1.2}, {"score": "high"}, {"more": 1}, {"recording": 0.5}],
    ids=str,
)
def test_what_does_not_belong_is_refused_in_one_sentence(change):
    with pytest.raises(InputError, match=r"^scores\.csv does not hold what it should .*; remove it and make it again$"):
        tables.SCORES.validate(pd.DataFrame([ROW | change]), "scores.csv")


def test_a_missing_column_is_refused():
    with pytest.raises(InputError, match="status"):
        tables.SCORES.validate(pd.DataFrame([ROW]).drop(columns="status"), "scores.csv")


def test_tables_without_rows_do_not_make_types_vague():
    empty = pd.DataFrame(columns=list(ROW))
    assert tables.joined([empty, pd.DataFrame([ROW])])["score"].dtype == float
    assert list(tables.joined([empty]).columns) == list(ROW)
