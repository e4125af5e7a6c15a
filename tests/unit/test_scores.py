"""The table of scores and what is said of it."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from helpers import explain, faithfulness, scores, study

NAN = float("nan")
SEEDS = itertools.count(1000)


def rows_of(**values: list[float]) -> pd.DataFrame:
    """A table of scores per network: rows_of(ResNet18=[0.1, -0.2])."""
    return pd.DataFrame(
        [(name, score) for name, own in values.items() for score in own], columns=["architecture", "score"]
    )


# Summary


def test_summary_by_hand():
    table = scores.summary(rows_of(ResNet18=[-0.4, 0.0, 0.2, NAN, -0.2]))
    assert list(table) == ["clips", "NaN", "median", "lower quartile", "upper quartile", "share below 0"]
    # of -0.4, -0.2, 0, 0.2: quartiles lie a quarter of the way between neighbours
    expected = [5, 1, -0.1, -0.25, 0.05, 0.5]
    assert table.loc["ResNet18"].tolist() == pytest.approx(expected, abs=1e-12)


def test_summary_keeps_the_order_of_the_networks():
    table = scores.summary(rows_of(ResNet50=[0.1], ResNet101=[0.2], ResNet18=[0.3]))
    assert table.index.tolist() == ["ResNet50", "ResNet101", "ResNet18"]
    assert table["median"].tolist() == [0.1, 0.2, 0.3]


def test_summary_of_a_network_without_any_score_has_no_numbers():
    table = scores.summary(rows_of(ResNet18=[NAN, NAN], ResNet34=[0.5]))
    assert table.loc["ResNet18", ["clips", "NaN"]].tolist() == [2, 2]
    assert table.loc["ResNet18"].iloc[2:].isna().all()
    assert table.loc["ResNet34"].tolist() == [1, 0, 0.5, 0.5, 0.5, 0.0]


def test_zero_is_not_below_zero():
    assert scores.summary(rows_of(a=[0.0, -0.0])).loc["a", "share below 0"] == 0


@given(st.lists(st.floats(-1, 1) | st.just(NAN), min_size=1, max_size=30), st.randoms())
@options(deadline=None)
def test_summary_does_not_depend_on_the_order_of_clips(values, random):
    shuffled = random.sample(values, len(values))
    first, second = (scores.summary(rows_of(a=v)).loc["a"].to_numpy() for v in (values, shuffled))
    assert np.allclose(first, second, equal_nan=True)
    assert first[1] == sum(np.isnan(values))


# The thesis's statements


def test_statements_by_hand():
    table = scores.statements(
        rows_of(ResNet18=[-0.6, -0.7, -0.2, 0.4, NAN], ResNet101=[-0.05, -0.2, 0.5, 0.5])
    )
    table = table.set_index(["network", "the thesis"])
    share, clips = table["share of this run's scores there"], table["clips with a score"]
    assert share["ResNet18"].to_dict() == {
        "most scores are below 0": 0.75,
        "the densest scores lie in [-0.7; -0.5]": 0.5,
        "a second mode in [-0.3; -0.1]": 0.25,
        "few positive scores in [0.3; 0.5]": 0.25,
    }
    assert share["ResNet101"].to_dict() == {
        "most scores are below 0": 0.5,
        "the densest scores lie in [-0.3; -0.1]": 0.25,
        "the second densest lie in [-0.1; 0]": 0.25,
    }
    assert set(clips["ResNet18"]) == {4}
    assert set(clips["ResNet101"]) == {4}


def test_both_ends_of_a_stated_interval_belong_to_it():
    # the statement says [-0.7; -0.5]
    table = scores.statements(rows_of(ResNet18=[-0.7, -0.5])).set_index("the thesis")
    share = table["share of this run's scores there"]
    assert share["the densest scores lie in [-0.7; -0.5]"] == 1.0


def test_most_below_0_does_not_count_0():
    table = scores.statements(rows_of(ResNet18=[0.0, -1.0])).set_index("the thesis")
    assert table.loc["most scores are below 0", "share of this run's scores there"] == 0.5


def test_statements_of_a_network_without_scores_have_no_share():
    table = scores.statements(rows_of(ResNet18=[NAN, NAN]))
    assert len(table) == 4
    assert table["share of this run's scores there"].isna().all()
    assert set(table["clips with a score"]) == {0}


@pytest.mark.parametrize("rows", [rows_of(ResNet34=[0.1, 0.2]), rows_of()], ids=["resnet34", "none"])
def test_a_network_of_which_the_thesis_says_nothing_has_no_row(rows):
    # `make book ARCHS=resnet34` ends here
    table = scores.statements(rows)
    assert len(table) == 0
    assert list(table) == [
        "network",
        "the thesis",
        "share of this run's scores there",
        "clips with a score",
    ]


def test_statements_leave_out_networks_that_did_not_run():
    table = scores.statements(rows_of(ResNet101=[0.1], ResNet34=[0.1]))
    assert set(table["network"]) == {"ResNet101"}


def test_modes_of_the_thesiss_networks():
    assert scores.thesis_modes("resnet18") == [
        (-0.7, -0.5, "R18-mode"),
        (-0.3, -0.1, "R18-mode2"),
        (0.3, 0.5, "R18-pos"),
    ]
    assert scores.thesis_modes("resnet101") == [(-0.3, -0.1, "R101-mode"), (-0.1, 0.0, "R101-mode2")]
    assert scores.thesis_modes("resnet34") == []


def test_claims_name_known_networks_and_intervals_of_scores():
    table = scores.claims()
    assert set(table["architecture"]) <= set(study.ARCHITECTURES)
    assert table["id"].is_unique
    bounded = table.dropna(subset=["low", "high"])
    assert ((bounded["low"] < bounded["high"]) & (bounded["low"] >= -1) & (bounded["high"] <= 1)).all()
    assert (table["low"].isna() == table["high"].isna()).all()


# The sentence


@pytest.fixture
def said(run, monkeypatch):
    """What is said of some scores of a run that explained five clips."""

    class Explained:
        names = ("a", "b", "c", "d", "e")

    monkeypatch.setattr(explain, "explanations", lambda run: Explained)
    return lambda *values: scores.sentence(rows_of(ResNet18=list(values)), run)


def test_the_sentence_by_hand(said):
    assert said(-0.5, NAN, 0.25, -0.25) == (
        "Scored: **4** of 5 explained clips, 1 random values per block (synthetic stand-in · smoke). "
        "Without a score (NaN): **1**. Median **-0.25**; below zero: **2 of 3**."
    )


def test_the_sentence_shows_the_sign_of_a_positive_median(said):
    assert said(0.5).endswith("Without a score (NaN): **0**. Median **+0.50**; below zero: **0 of 1**.")


@pytest.mark.parametrize("values", [(NAN, NAN), ()])
def test_the_sentence_without_any_score_has_no_median(said, values):
    assert said(*values).endswith(f"Without a score (NaN): **{len(values)}**.")
    assert "nan" not in said(*values)


# The table of a run


@pytest.fixture
def given_scores(monkeypatch):
    """Scores of our own instead of Quantus'; returns what was asked for."""
    asked = {}
    monkeypatch.setattr(scores, "METRIC_SEED", next(SEEDS))  # a recipe of this test alone

    def quantus_scores(network, inputs, classes, maps, *, draws, seed):
        asked.update(classes=classes, maps=maps, inputs=inputs, draws=draws, seed=seed)
        values = np.full(len(maps), 0.25)
        values[-1] = NAN
        return values, ["ok"] * (len(maps) - 1) + ["constant map"]

    monkeypatch.setattr(faithfulness, "quantus_scores", quantus_scores)
    return asked


def test_the_table_has_one_row_per_scored_clip(run, given_scores):
    table, maps = scores.table(run), explain.explanations(run)
    assert list(table) == [
        *("name", "fs_id", "label", "predicted", "explained", "specification", "score", "status")
    ]
    assert len(table) == run.profile.stock_clips == 2
    assert table["name"].tolist() == maps.names[:2].tolist()
    assert table["label"].tolist() == maps.labels[:2].tolist()
    assert table["explained"].tolist() == maps.explained[:2].tolist()
    assert table["score"].tolist()[0] == 0.25
    assert np.isnan(table["score"].tolist()[1])
    assert table["status"].tolist() == ["ok", "constant map"]
    assert set(table["specification"]) == {"quantus"}
    assert np.array_equal(given_scores["maps"], maps.maps[:2])
    assert np.array_equal(given_scores["classes"], maps.explained[:2])
    assert (given_scores["draws"], given_scores["seed"]) == (1, scores.METRIC_SEED)


@pytest.mark.parametrize("explained", ["predicted", "true"])
def test_the_class_that_was_explained_is_the_one_that_is_scored(settings, stand_in, given_scores, explained):
    run = study.open(profile="smoke", data=str(stand_in), explained=explained)
    scores.table(run)
    maps = explain.explanations(run)
    assert maps.labels[:2].tolist() != maps.predicted[:2].tolist()  # else this test says nothing
    expected = maps.predicted if explained == "predicted" else maps.labels
    assert given_scores["classes"].tolist() == expected[:2].tolist()


def test_tables_of_several_runs_name_network_and_data(settings, stand_in, given_scores):
    names, data = ("resnet34", "resnet18"), str(stand_in)
    runs = [study.open(profile="smoke", data=data, architecture=name) for name in names]
    table = scores.tables(runs)
    assert table["architecture"].tolist() == ["ResNet34"] * 2 + ["ResNet18"] * 2
    assert set(table["data"]) == {"synthetic stand-in"}
    assert table.index.tolist() == [0, 1, 2, 3]


def test_stock_quantus_scores_a_tiny_run(run):
    # the real call, on two clips with one draw: a number from -1 to 1, or NaN with its reason
    table = scores.table(run)
    assert len(table) == 2
    assert table["score"].dropna().between(-1, 1).all()
    assert table["status"].notna().all()
