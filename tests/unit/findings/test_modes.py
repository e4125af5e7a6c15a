"""How far a spread of scores lies from what the thesis states."""

import numpy as np
import pandas as pd
import pytest

from helpers.findings import modes


def test_the_stated_densities_are_those_of_the_thesis():
    eight, nine = modes.stated("resnet18"), modes.stated("resnet101")
    assert eight[["low", "high", "density"]].to_numpy().tolist() == [
        [-0.7, -0.5, 1.38],
        [-0.3, -0.1, 1.28],
        [0.3, 0.5, 0.4],
    ]
    # "0.2 to 0.3" is taken for its middle
    assert nine["density"].tolist() == [2.7, 1.9, 0.25, 0.25]
    assert eight["share"].tolist() == pytest.approx([0.276, 0.256, 0.08])
    assert nine["share"].sum() == pytest.approx(0.54 + 0.19 + 0.05 + 0.05)


def test_shares_and_distance_by_hand():
    ranges = pd.DataFrame({"low": [-0.5, 0.1], "high": [0.1, 0.4]})
    # a lower end belongs to its range, an upper end does not
    own = modes.places([-0.5, 0.1, 0.2, 0.4], ranges).mean(axis=0)
    assert own.tolist() == [0.25, 0.5, 0.25]
    assert modes.apart(own, np.array([0.5, 0.5, 0])) == pytest.approx(0.25)
    assert modes.apart(np.array([1, 0]), np.array([0, 1])) == 1


def rows(**spreads) -> pd.DataFrame:
    made = []
    for slip, scores in spreads.items():
        made += [(slip, f"{i}.wav", i, score) for i, score in enumerate(scores)]
    return pd.DataFrame(made, columns=["slip", "clip", "recording", "score"])


def test_scores_that_are_spread_as_the_thesis_has_them_could_be_its_own_and_others_not():
    # of 50 scores, 14, 13 and 4 lie where figure 8 has its modes
    like = [-0.6] * 14 + [-0.2] * 13 + [0.4] * 4 + [0.0] * 19
    found = modes.distances(rows(far=[0.7] * 50, like=like), draws=200)
    eight = found[found["figure"] == "figure 8"]
    assert eight["slip"].tolist() == ["like", "far"]  # nearest first
    assert eight["could be"].tolist() == [True, False]
    assert eight["distance"].tolist() == pytest.approx([(0.004 + 0.004 + 0 + 0.008) / 2, 0.612])
    assert eight["below 0"].tolist() == [27 / 50, 0]
    nine = found[found["figure"] == "figure 9"]
    assert not nine["could be"].any()


def test_a_slip_without_scores_is_counted_and_last():
    found = modes.distances(rows(empty=[np.nan] * 5, some=[-0.1, 0.2, 0.3, -0.4, 0.1]), draws=50)
    eight = found[found["figure"] == "figure 8"].set_index("slip")
    assert eight.index.tolist() == ["some", "empty"]
    assert eight["NaN"].tolist() == [0, 5]
    assert not eight.loc["empty", "could be"]
