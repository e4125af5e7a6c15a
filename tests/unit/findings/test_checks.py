"""What the sanity checks and the other metrics say, as tables."""

import numpy as np
import pandas as pd
import pytest

from helpers import InputError
from helpers.experiments import metrics, sanity
from helpers.findings import checks

NAN = float("nan")


# Of the sanity checks


def sanity_rows(values):
    """A table from {(check, order, layer): values}, clip by clip from recordings of their own."""
    return pd.DataFrame(
        [(*keys, f"{i}.wav", i, value) for keys, own in values.items() for i, value in enumerate(own)],
        columns=sanity.COLUMNS,
    )


def test_summary_by_hand():
    keys = ("MPRT", "top_down", "fc")
    table = checks.summary(sanity_rows({keys: [0.5, 0.5, NAN, 0.5], ("eMPRT", "all", "all"): [NAN, NAN, NAN, NAN]}))
    first, second = table.to_dict("records")
    assert first == dict(zip(sanity.COLUMNS[:3], keys, strict=True)) | {
        "clips": 4,
        "NaN": 1,
        "median": 0.5,
        "low": 0.5,
        "high": 0.5,
    }
    assert (second["clips"], second["NaN"]) == (4, 4)
    assert np.isnan([second[name] for name in ("median", "low", "high")]).all()


def test_an_interval_draws_recordings_and_not_clips():
    rows = sanity_rows({("MPRT", "top_down", "fc"): [0.0, 1.0, 1.0, 1.0]})
    assert checks.summary(rows)[["low", "high"]].to_numpy().tolist() == [[0.0, 1.0]]
    assert checks.summary(rows.assign(recording=7))[["low", "high"]].to_numpy().tolist() == [[1.0, 1.0]]


def test_a_stage_is_gone_with_its_last_layer_of_the_cascade():
    layers = ["original", "fc", "layer2.1.conv1", "layer2.0.conv1", "conv1"]
    values = {("MPRT", "top_down", layer): [k] for k, layer in enumerate(layers)}
    values |= {("MPRT", "independent", layer): [9.0] for layer in layers} | {("eMPRT", "all", "all"): [9.0]}
    found = checks.stages(sanity_rows(values))
    assert found["layer"].tolist() == ["original", "fc", "layer2", "conv1"]
    assert found["value"].tolist() == [0, 1, 3, 4]


NETWORKS = {
    ("MPRT", "top_down", "original"): [1.0, 1.0, 1.0],
    ("score", "top_down", "original"): [0.5, 0.6, NAN],
    ("score", "independent", "original"): [9.0, 9.0, 9.0],
    ("score", "top_down", "fc"): [9.0, 9.0, 9.0],
    ("untrained", "all", "all"): [0.4, 0.4, 0.4],
    ("shuffled labels", "all", "all"): [0.7, 0.1, 0.1],
    ("eMPRT", "all", "all"): [9.0, 9.0, 9.0],
}


def test_scores_of_the_networks_side_by_side():
    found = checks.networks(sanity_rows(NETWORKS))
    assert list(found) == ["reading", "clip", "recording", "score"]
    assert found["reading"].unique().tolist() == ["trained", *sanity.NOTHING]
    by = found.groupby("reading", sort=False)["score"].apply(list)
    assert by["trained"][:2] == [0.5, 0.6]
    assert by["shuffled labels"] == [0.7, 0.1, 0.1]


def test_differences_are_the_trained_networks_lead():
    found = checks.differences(sanity_rows(NETWORKS).sample(frac=1, random_state=0)).set_index("difference")
    assert found.index.tolist() == ["trained minus untrained", "trained minus shuffled labels"]
    assert found["median_difference"].tolist() == pytest.approx([0.15, 0.15])
    assert found["superiority"].tolist() == [1.0, 0.5]
    assert found[["clips", "nan"]].to_numpy().tolist() == [[2, 1], [2, 1]]


# Of the other metrics


def rows_of(**values: list[float]) -> pd.DataFrame:
    """Rows of one map: rows_of(a=[0.1, 0.2]) are metric "a" of clips 0 and 1."""
    rows = [(m, "Grad-CAM", f"{i}.wav", 7 * i, v, "") for m, own in values.items() for i, v in enumerate(own)]
    return pd.DataFrame(rows, columns=metrics.COLUMNS)


def table_of(rows: pd.DataFrame) -> dict:
    return {(a, b): (r, n) for a, b, r, n in rows.to_numpy()}


def test_agreement_by_hand():
    rows = rows_of(b=[1, 2, 3, 4], a=[10, 30, 20, NAN], c=[NAN, 5, 4, NAN], d=[2, 2, 2, 2])
    table = checks.agreement(rows.sample(frac=1, random_state=0).sort_values("metric", key=lambda m: m != "b"))
    assert list(table) == ["first", "second", "correlation", "clips"]
    found = table_of(table)
    assert found["b", "a"] == found["a", "b"] == (0.5, 3)  # ranks 1 2 3 and 1 3 2: 1 - 6 * 2 / 24
    assert found["b", "b"] == (1, 4)
    assert found["b", "c"][1] == 2
    assert np.isnan(found["b", "c"][0])  # two points always lie on a line
    assert np.isnan(found["b", "d"][0])
    assert found["b", "d"][1] == 4
    assert table["first"].unique()[0] == "b"
    assert len(table) == 16


def test_ranks_are_those_among_the_common_clips():
    # among all clips b orders 1 2 3 4 5; among those that a has, only the order of three counts
    found = table_of(checks.agreement(rows_of(a=[3, NAN, 2, NAN, 1], b=[1, 9, 2, 0, 3])))
    assert found["a", "b"] == (-1, 3)


def test_what_belongs_to_the_clip_alone_can_be_taken_out():
    own = rows_of(a=[11, 22, 33, 44], b=[14, 23, 32, 41])
    other = rows_of(a=[10, 20, 30, 40], b=[10, 20, 30, 40]).assign(map="loudness")
    rows = pd.concat([own, other])
    assert table_of(checks.agreement(rows))["a", "b"] == (1, 4)
    assert table_of(checks.agreement(rows, minus="loudness"))["a", "b"] == (-1, 4)
    assert table_of(checks.agreement(rows, map="loudness"))["a", "b"] == (1, 4)


def test_a_map_that_is_not_there_is_named():
    with pytest.raises(InputError, match='map "Grad-Cam" is not in rows; choose from Grad-CAM'):
        checks.agreement(rows_of(a=[1, 2]), map="Grad-Cam")


def test_wins_by_hand(few):
    own = rows_of(b=[1, 2, 3, 4, NAN], a=[1, 1, 1, 1, 1])
    blind = rows_of(b=[0, 2, 9, 1, 1], a=[0, 0, 0, 0, 0]).assign(map="random nodes")
    loud = rows_of(b=[NAN, NAN, 4, 5, 6], a=[NAN] * 5).assign(map="loudness")
    table = checks.wins(pd.concat([loud, own, blind]))
    assert list(table) == ["metric", "rival", "share", "low", "high", "clips", "NaN"]
    assert list(zip(table["metric"], table["rival"], strict=True)) == [
        *(("b", "random nodes"), ("b", "loudness"), ("a", "random nodes"), ("a", "loudness"))
    ]
    assert table["share"].tolist()[:3] == [(1 + 0.5 + 0 + 1) / 4, 0, 1]
    assert table["clips"].tolist() == [4, 2, 5, 0]
    assert table["NaN"].tolist() == [1, 3, 0, 5]
    assert table.loc[3, ["share", "low", "high"]].isna().all()
    assert (table["low"] <= table["share"])[:3].all()
    # all of five recordings: the exact interval of a binomial, 0.025 ** (1 / 5)
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx([0.025**0.2, 1])


def test_intervals_are_over_recordings(few):
    own = rows_of(a=[1, 1, 1, 1])
    same = pd.concat([own, own.assign(map="random nodes", value=0), own.assign(map="loudness", value=0)])
    two = checks.wins(same.assign(recording=np.tile([3, 3, 3, 8], 3)))
    assert two["low"].tolist() == pytest.approx([0.025**0.5] * 2)


def test_wins_are_read_a_row_per_metric():
    columns = ["metric", "rival", "share", "low", "high", "clips", "NaN"]
    rows = [("b", "random nodes", 0.5, 0.25, 0.751, 4, 1), ("b", "loudness", 0, 0, 0.84, 2, 3)]
    rows += [("a", "random nodes", 1, 0.5, 1, 5, 0), ("a", "loudness", NAN, NAN, NAN, 0, 5)]
    found = checks.shown(pd.DataFrame(rows, columns=columns))
    assert found.index.tolist() == ["b", "a"]
    assert found["random nodes"].tolist() == ["50% (25% to 75%)", "100% (50% to 100%)"]
    assert found["loudness"].tolist() == ["0% (0% to 84%)", "–"]
    assert found[["clips", "NaN"]].to_numpy().tolist() == [[2, 3], [0, 5]]
