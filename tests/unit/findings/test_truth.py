"""Which metric finds the truth."""

import itertools

import numpy as np
import pandas as pd
import pytest

from helpers.experiments import known_truth
from helpers.findings import truth

pytestmark = pytest.mark.usefixtures("few")


def rows(values: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """By metric and map the values of three clips; maps that are not named have 0."""
    made = []
    for metric, name in itertools.product(values, known_truth.MAPS):
        for clip, value in enumerate(values[metric].get(name, [0.0] * 3)):
            made.append({"metric": metric, "map": name, "clip": f"{clip}", "recording": clip // 2, "value": value})
    return pd.DataFrame(made)


def test_a_metric_is_held_against_the_truth_of_its_own_baseline():
    assert truth.truth_of("MC uniform inside") == truth.truth_of("MC rank") == "truth (uniform)"
    assert truth.truth_of("MC zero") == "truth (zero)"
    assert truth.truth_of("ROAD") == truth.truth_of("MC mean") == "truth (mean)"
    assert {*truth.OWN.values(), *truth.SPOILT, *truth.IMPOSTORS} <= set(known_truth.MAPS)


def test_the_truth_wins_where_it_has_more():
    given = {
        "MC uniform": {"truth (uniform)": [0.9, 0.8, 0.7], "loudness": [0.5, 0.8, 0.9], "truth shifted": [0.1] * 3},
        "ROAD": {"truth (mean)": [0.5, np.nan, 0.5], "truth (uniform)": [9, 9, 9], "sound or padding": [0.6] * 3},
    }
    found = truth.wins(rows(given)).set_index(["metric", "rival"])
    loud = found.loc[("MC uniform", "loudness")]
    assert (loud["share"], loud["true"], loud["gap"]) == pytest.approx((0.5, 0.8, 0.0))
    assert found.loc[("MC uniform", "truth shifted"), "share"] == 1
    assert found.loc[("ROAD", "sound or padding"), ["share", "clips", "NaN"]].tolist() == [0, 2, 1]
    least = truth.weakest(found.reset_index()).set_index("metric")
    assert list(least.index) == ["MC uniform", "ROAD"]
    assert least["rival"].tolist() == ["loudness", "sound or padding"]
