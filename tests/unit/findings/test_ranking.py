"""Which maps can be told apart, by cases that can be counted on fingers."""

import numpy as np
import pandas as pd
import pytest

from helpers.findings import ranking


def table(scores: dict[str, list[float]], *, layer: str = "layer4[-1]", **columns) -> pd.DataFrame:
    """Rows of `comparison.table`: the same score in every column, random maps at 0, the mean map at -.1."""
    rows = []
    for name, values in scores.items():
        for i, value in enumerate(values):
            row = {"clip": f"{i}.wav", "recording": i, "explainer": name, "layer": layer, "seconds": 0.5}
            for where in ("", " inside"):
                row |= {f"score{where}": value, f"random{where}": 0.0, f"mean map{where}": -0.1}
                row |= {f"ceiling{where}": 0.8}
            row |= dict.fromkeys(("zero inside", "mean inside", "neighbours inside", "SRG"), value)
            rows.append(row | columns)
    return pd.DataFrame(rows)


def spread(mean: float, count: int = 40, *, seed: int = 0) -> list[float]:
    noise = np.random.default_rng(seed).normal(0, 0.02, count)
    return list(mean + noise - noise.mean())


def test_maps_far_apart_get_letters_of_their_own_and_close_ones_share_one():
    scores = pd.DataFrame({"low": spread(0.0), "high": spread(0.5, seed=1), "high too": spread(0.499, seed=2)})
    assert ranking.groups(scores) == {"high": "a", "high too": "a", "low": "b"}


def test_a_map_between_two_that_differ_may_belong_to_both():
    # neighbours never differ, the ends do: ab | bc
    runs = list(ranking._runs(3, {(0, 2)}))
    assert [list(run) for run in runs] == [[0, 1], [1, 2]]


def test_where_no_pair_differs_there_is_one_group_and_where_every_pair_does_one_each():
    assert [list(run) for run in ranking._runs(3, set())] == [[0, 1, 2]]
    every = {(0, 1), (0, 2), (1, 2)}
    assert [list(run) for run in ranking._runs(3, every)] == [[0], [1], [2]]


def test_the_same_scores_cannot_be_told_apart():
    scores = pd.DataFrame({"one": spread(0.2), "twin": spread(0.2)})
    assert ranking.groups(scores) == {"one": "a", "twin": "a"}
    assert ranking.twins(table({"one": spread(0.2), "twin": spread(0.2), "third": spread(0.3)})) == {"twin": "one"}


def test_a_name_says_the_layer_only_where_it_is_not_the_last_block():
    rows = pd.concat([table({"Grad-CAM": [0.1]}), table({"Grad-CAM": [0.2]}, layer="layer2[-1]")])
    rows = pd.concat([rows, table({"loudness": [0.3]}, layer=np.nan)])
    assert ranking.named(rows).tolist() == ["Grad-CAM", "Grad-CAM, layer2[-1]", "loudness"]


def test_the_ranking_has_means_leads_and_places():
    rows = table({"Grad-CAM": spread(0.2), "LayerCAM": spread(0.4, seed=1)})
    found = ranking.ranking(rows, draws=50)
    inside = found[found["where"] == "inside the sound"].set_index("map")
    assert inside.index.tolist() == ["LayerCAM", "Grad-CAM"]
    own = inside.loc["Grad-CAM"]
    assert (own["score"], own["lead"], own["about"]) == (pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.3))
    assert own["normalised"] == pytest.approx(0.25, abs=0.02)  # (0.2 - 0) / (0.8 - 0)
    assert own["low"] < 0.2 < own["high"]
    assert (own["of"], own["group"], own["seconds"], own["clips"], own["NaN"]) == ("a layer", "b", 0.5, 40, 0)


def test_a_clip_without_a_score_is_counted_and_left_out():
    rows = table({"Grad-CAM": [0.1, 0.3, np.nan], "LayerCAM": [0.1, 0.1, 0.1]})
    found = ranking.ranking(rows, draws=50).set_index(["where", "map"]).loc["inside the sound", "Grad-CAM"]
    assert (found["NaN"], found["score"]) == (1, pytest.approx(0.2))


def test_orders_that_agree_have_a_correlation_of_1_and_reversed_ones_of_minus_1():
    rows = table({"a": spread(0.1), "b": spread(0.2, seed=1), "c": spread(0.3, seed=2)})
    rows["SRG"] = -rows["score"]
    found = ranking.stability(rows, draws=20).set_index(["first", "second"])["correlation"]
    assert found["U[0, 1), inside", "zero, inside"] == 1
    assert found["U[0, 1), inside", "SRG, all frames"] == -1


def test_the_sentence_names_the_best_who_cannot_be_told_apart_and_where_gradcam_stands():
    rows = table({"Grad-CAM": spread(-0.2), "LayerCAM": spread(0.4, seed=1), "RISE": spread(0.4, seed=2)})
    text = ranking.said(ranking.ranking(rows, draws=50))
    assert "RISE cannot be told apart from it" in text or "LayerCAM cannot be told apart from it" in text
    assert "2 of 3 kinds of map score above maps that know nothing, 1 below them, and for 0 that is undecided" in text
    assert text.endswith("Grad-CAM of the last block scores -0.20 and is number 3.")
