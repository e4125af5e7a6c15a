"""Models of scores whose causes are known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from helpers.findings import predictors

pytestmark = pytest.mark.usefixtures("few")

DRAWS = 30


def clips(score=None, *, recordings: int = 40, seed: int = 0, kind: str = "one") -> pd.DataFrame:
    """Three clips of each recording with properties by chance; the score is a function of them."""
    random, many = np.random.default_rng(seed), 3 * recordings
    table = pd.DataFrame({name: random.normal(size=many) for name in predictors.PROPERTIES})
    table["class"] = np.resize(["siren", "drilling", "dog bark"], many)
    table["salience"] = random.choice(["foreground", "background"], many)
    table["agreement"], table["kind"] = 1.0, kind
    table["recording"] = np.repeat(np.arange(recordings), 3)
    return table.assign(score=random.normal(size=many) if score is None else score(table))


def told(what: Callable, table: pd.DataFrame, **more) -> pd.DataFrame:
    return what(table, predictors.learned(table), **more)


def flat(table: pd.DataFrame) -> pd.Series:
    return 0.3 * table["flatness"] - 0.1 * table["centroid"]


def test_properties_that_never_differ_are_no_properties():
    assert predictors.varied(clips()) == [name for name in predictors.PROPERTIES if name != "agreement"]


def test_kinds_with_too_few_clips_or_recordings_are_not_asked():
    many = clips(recordings=20)
    assert [kind for kind, _ in predictors.asked(many)] == ["one"]
    assert list(predictors.asked(many[many["recording"] < 19])) == []
    few = pd.concat([clips(kind="two", recordings=16), many])
    assert [kind for kind, _ in predictors.asked(few)] == ["one"]
    assert list(predictors.asked(many.assign(score=np.nan))) == []


def test_no_model_has_seen_a_recording_that_it_is_asked_about():
    part = clips(flat)
    models = predictors.fits(part, ["flatness"], model="linear")
    assert sorted(np.concatenate([new for _, new, _ in models])) == list(range(len(part)))
    for _, new, mean in models:
        own = part["recording"].isin(part.iloc[new]["recording"])
        assert own.sum() == len(new)
        assert mean == pytest.approx(part.loc[~own, "score"].mean())


@pytest.mark.parametrize(("errors", "expected"), [([[0, 1], [0, 3]], 1), ([[1, 1], [3, 3]], 0), ([[6, 1], [2, 3]], -1)])
def test_r2_by_hand(errors, expected):
    assert predictors.r2(np.array(errors)) == expected


def test_r2_of_scores_that_are_all_the_same_is_unknown():
    assert np.isnan(predictors.r2(np.zeros((3, 2))))


def test_a_linear_score_is_found_and_length_alone_does_not_find_it():
    found = told(predictors.compare, clips(flat), draws=DRAWS).set_index("model")
    assert found.loc["linear", "R2"] > 0.98
    assert found.loc["linear", "low"] <= found.loc["linear", "R2"] <= found.loc["linear", "high"]
    assert abs(found.loc["linear", "length alone"]) < 0.1
    assert (found["more"] - found["R2"] + found["length alone"]).abs().max() < 1e-12
    assert 0.3 < found.loc["tree", "R2"] < 0.9
    assert found[["clips", "recordings"]].to_numpy().tolist() == [[120, 40]] * 2


def test_length_alone_is_enough_where_length_is_all():
    found = told(predictors.compare, clips(lambda table: table["length"]), draws=DRAWS).set_index("model")
    assert found.loc["linear", "length alone"] > 0.99
    assert found.loc["linear", "more"] < 0.01


def test_a_tree_asks_a_question_that_a_line_cannot():
    part = clips(lambda table: (table["loudness"].abs() > 0.7) * 1.0)
    found = told(predictors.compare, part, draws=DRAWS).set_index("model")["R2"]
    assert found["tree"] > 0.5
    assert found["linear"] < 0.2


def test_the_property_that_carries_falls_most_and_the_others_not_at_all():
    found = told(predictors.importance, clips(flat), draws=DRAWS)
    assert found["property"].tolist()[:2] == ["flatness", "centroid"]
    assert found["fall"][0] == pytest.approx(2 * 0.9, abs=0.4)  # shuffled, its part of the variance counts twice
    assert found["fall"][2:].abs().max() < 0.05
    assert predictors.carry(found).startswith("- Surely worse without, one: flatness, centroid")


def test_classes_carry_as_one_property():
    found = told(predictors.importance, clips(lambda table: (table["class"] == "siren") * 1.0), draws=DRAWS)
    assert found["property"][0] == "class"


def test_coefficients_are_in_standard_deviations():
    part = clips(lambda table: 5 * table["flatness"])
    found = told(predictors.coefficients, part.assign(flatness=100 * part["flatness"])).set_index("property")
    assert found.index[0] == "flatness"
    assert found.loc["flatness", "coefficient"] == pytest.approx(1, abs=0.02)
    assert {"class: siren", "salience: foreground", "onsets per second"} <= set(found.index)
    assert (found["low"] <= found["high"]).all()


def test_dependence_of_a_linear_model_is_its_line():
    part = clips(flat)
    found = predictors.dependence(part, told(predictors.importance, part, draws=DRAWS), strongest=1, points=5)
    line = found[found["model"] == "linear"]
    assert found["property"].unique().tolist() == ["flatness"]
    assert set(found["model"]) == {"linear", "tree"}
    rise = np.diff(line["expected"]) / np.diff(line["value"])
    assert rise == pytest.approx(np.full(4, 0.3), rel=0.05)


def compared(**kinds) -> pd.DataFrame:
    rows = [(kind, "linear", 0.2, low, more) for kind, (low, more) in kinds.items()]
    return pd.DataFrame(rows, columns=["kind", "model", "R2", "low", "more low"])


def test_what_is_said_counts_the_kinds_whose_interval_lies_above_0():
    found = compared(a=(0.1, 0.05), b=(0.1, -0.1), c=(-0.1, -0.2))
    assert predictors.said(found) == (
        "- The linear model of all properties is surely better than the mean in 2 of 3 kinds of network (a; b), and "
        "surely better than length alone in 1 of 3 kinds of network (a); R² is +0.20 to +0.20."
    )
    assert predictors.agreed(found, compared(a=(0.1, -0.1), b=(0, 0.1), c=(0, 0))).endswith(
        "in 0 of 3 kinds of network."
    )
    assert predictors.agreed(found, found).endswith("in 1 of 3 kinds of network (a).")


def test_too_few_clips_are_one_sentence():
    few = clips(recordings=3)
    found, important = told(predictors.compare, few), told(predictors.importance, few)
    assert predictors.said(found) == predictors.FEW
    assert predictors.agreed(found, found) == predictors.carry(important) == ""
    assert told(predictors.coefficients, few).empty
    assert predictors.dependence(few, important).empty


def test_properties_that_carry_in_several_kinds_are_named():
    table = pd.DataFrame(
        [("a", "length", 0.1), ("a", "class", -0.1), ("b", "length", 0.2), ("c", "class", -0.1)],
        columns=["kind", "property", "low"],
    )
    assert predictors.carry(table).splitlines() == [
        "- Surely worse without, a: length.",
        "- Surely worse without, b: length.",
        "- Surely worse without, c: none.",
        "- In more than one kind of network: length (2 kinds).",
    ]
