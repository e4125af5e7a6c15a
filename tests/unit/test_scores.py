"""The table of scores and what is said of it."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from helpers import artifacts, explain, faithfulness, scores, study, training

NAN = float("nan")
SEEDS = itertools.count(1000)


def rows_of(*, specification: str = "quantus", **values: list[float]) -> pd.DataFrame:
    """A table of scores per network: rows_of(ResNet18=[0.1, -0.2])."""
    rows = [(network, f"{i}.wav", score) for network, own in values.items() for i, score in enumerate(own)]
    table = pd.DataFrame(rows, columns=["architecture", "name", "score"])
    return table.assign(specification=specification)


# Summary


def summary_of(**values: list[float]) -> pd.DataFrame:
    return scores.summary(rows_of(**values)).set_index("architecture").drop(columns="specification")


def test_summary_by_hand():
    table = scores.summary(rows_of(ResNet18=[-0.4, 0.0, 0.2, NAN, -0.2]))
    # of -0.4, -0.2, 0, 0.2: quartiles lie a quarter of the way between neighbours
    (row,) = table.to_dict("records")
    assert (row.pop("architecture"), row.pop("specification")) == ("ResNet18", "quantus")
    expected = {
        "clips": 5,
        "NaN": 1,
        "lower quartile": -0.25,
        "median": -0.1,
        "upper quartile": 0.05,
        "share below 0": 0.5,
    }
    assert row == pytest.approx(expected, abs=1e-12)


def test_summary_keeps_the_order_of_networks_and_specifications():
    parts = [
        rows_of(ResNet50=[0.1], ResNet101=[0.2], ResNet18=[0.3], specification=name)
        for name in ("quantus", "frame")
    ]
    table = scores.summary(pd.concat(parts).sort_index(kind="stable"))
    assert len(table) == 6
    own = table[table["specification"] == "quantus"]
    assert own["architecture"].tolist() == ["ResNet50", "ResNet101", "ResNet18"]
    assert own["median"].tolist() == [0.1, 0.2, 0.3]
    assert table["specification"].unique().tolist() == ["quantus", "frame"]


def test_summary_keeps_specifications_apart():
    rows = pd.concat([rows_of(a=[-1.0]), rows_of(a=[1.0, 1.0], specification="rank")])
    table = scores.summary(rows).set_index("specification")
    assert table["median"].to_dict() == {"quantus": -1.0, "rank": 1.0}
    assert table["clips"].to_dict() == {"quantus": 1, "rank": 2}


def test_summary_of_a_network_without_any_score_has_no_numbers():
    table = summary_of(ResNet18=[NAN, NAN], ResNet34=[0.5])
    assert table.loc["ResNet18", ["clips", "NaN"]].tolist() == [2, 2]
    assert table.loc["ResNet18"].drop(["clips", "NaN"]).isna().all()
    assert table.loc["ResNet34"].tolist() == [1, 0, 0.5, 0.5, 0.5, 0.0]


def test_zero_is_not_below_zero():
    assert summary_of(a=[0.0, -0.0]).loc["a", "share below 0"] == 0


@given(st.lists(st.floats(-1, 1) | st.just(NAN), min_size=1, max_size=30), st.randoms())
@options(deadline=None)
def test_summary_does_not_depend_on_the_order_of_clips(values, random):
    shuffled = random.sample(values, len(values))
    first, second = (summary_of(a=v).loc["a"].to_numpy(float) for v in (values, shuffled))
    assert np.allclose(first, second, equal_nan=True)
    assert first[1] == sum(np.isnan(values))


# Agreement of two specifications


def test_agreement_is_clip_by_clip_where_both_have_a_score():
    rows = pd.concat(
        [
            rows_of(a=[0.1, NAN, 0.3, 0.4], b=[0.5]),
            rows_of(a=[-0.1, -0.2, NAN, -0.4], b=[-0.5], specification="rank"),
            rows_of(a=[1, 1, 1, 1], b=[1], specification="frame"),
        ]
    )
    table = scores.agreement(rows)
    assert list(table) == ["architecture", "name", "quantus", "rank"]
    assert sorted(map(tuple, table.to_numpy())) == [
        ("a", "0.wav", 0.1, -0.1),
        ("a", "3.wav", 0.4, -0.4),
        ("b", "0.wav", 0.5, -0.5),
    ]


def test_agreement_without_a_common_clip_is_empty():
    assert len(scores.agreement(pd.concat([rows_of(a=[0.1])]))) == 0


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


def test_the_table_has_one_row_per_clip_and_specification(run, given_scores):
    table, maps = scores.table(run), explain.explanations(run)
    assert list(table) == [
        *("name", "fs_id", "label", "predicted", "explained", "specification", "score", "status")
    ]
    assert table["specification"].tolist() == ["quantus"] * 2 + ["rank"] * 4 + ["frame"] * 4
    for name, part in table.groupby("specification"):
        count = run.profile.stock_clips if name == "quantus" else len(maps.names)
        assert part["name"].tolist() == maps.names[:count].tolist()
        assert part["fs_id"].tolist() == maps.fs_ids[:count].tolist()
        assert part["label"].tolist() == maps.labels[:count].tolist()
        assert part["predicted"].tolist() == maps.predicted[:count].tolist()
        assert part["explained"].tolist() == maps.explained[:count].tolist()
    assert (table["score"].isna() == (table["status"] != "ok")).all()
    assert table["score"].dropna().between(-1, 1).all()


def test_stock_quantus_gets_the_first_clips(run, given_scores):
    table, maps = scores.table(run), explain.explanations(run)
    own = table[table["specification"] == "quantus"]
    assert own["score"].tolist()[0] == 0.25
    assert np.isnan(own["score"].tolist()[1])
    assert own["status"].tolist() == ["ok", "constant map"]
    assert np.array_equal(given_scores["maps"], maps.maps[:2])
    assert np.array_equal(given_scores["inputs"], maps.inputs[:2])
    assert (given_scores["draws"], given_scores["seed"]) == (1, scores.METRIC_SEED)


def test_the_other_specifications_are_the_engines_scores(run, given_scores):
    table, maps, network = scores.table(run), explain.explanations(run), training.network(run)
    for name, blocks in (("rank", faithfulness.rank_blocks(maps.maps)), ("frame", "frame")):
        effects = faithfulness.effects(network, maps.inputs, maps.explained, blocks=blocks)
        expected = faithfulness.score(maps.maps, effects, blocks=blocks)
        own = table.loc[table["specification"] == name, "score"].to_numpy()
        assert np.allclose(own, expected, atol=1e-6, equal_nan=True)


def test_the_record_counts_scores_that_are_missing(run, given_scores):
    made = artifacts.record(scores.make(run))["made"]
    assert made["clips"] == 4
    assert made["nan"]["quantus"] == 1
    assert set(made["nan"]) == {"quantus", "rank", "frame"}


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
    assert table["architecture"].tolist() == ["ResNet34"] * 10 + ["ResNet18"] * 10
    assert set(table["data"]) == {"synthetic stand-in"}
    assert table.index.tolist() == list(range(20))


def test_stock_quantus_scores_a_tiny_run(run):
    # the real call, on two clips with one draw: a number from -1 to 1, or NaN with its reason
    table = scores.table(run)
    table = table[table["specification"] == "quantus"]
    assert len(table) == 2
    assert table["score"].dropna().between(-1, 1).all()
    assert table["status"].notna().all()
