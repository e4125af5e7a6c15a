"""The mean over test folds, on numbers that a hand can add up."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import study
from helpers.artifacts import Artefact
from helpers.experiments import controls
from helpers.findings import confirmation, folds, statistics


def test_each_fold_counts_the_same_however_many_clips_it_has():
    # fold 1: (0 + 0 + 0 + 1) / 4; fold 2: (1 + 1) / 2. The mean of all six clips would be one half.
    found = folds.over([0, 0, 0, 1, 1, 1], [1, 1, 2, 3, 4, 5], [1, 1, 1, 1, 2, 2], draws=200)
    assert list(found["test fold"]) == ["1", "2", folds.MEAN]
    assert list(found["mean"]) == [0.25, 1.0, 0.625]
    assert list(found["clips"]) == [4, 2, 6]
    assert list(found["recordings"]) == [3, 2, 5]
    assert list(found[folds.ALIKE]) == pytest.approx([1 / 3, 1, 2 / 3])  # of fold 1: 0, 0 and 1
    # fold 2 is 1 whatever is drawn, and fold 1 is 1 where recording 3 is drawn three times, once in 27
    assert found.iloc[1][["low", "high"]].tolist() == [1, 1]
    assert found.iloc[2]["low"] == 0.5
    assert found.iloc[2]["high"] == pytest.approx((found.iloc[0]["high"] + 1) / 2, abs=0.2)


def test_recordings_are_drawn_within_their_fold():
    # two recordings in each fold, all of fold 1 are 0 and all of fold 2 are 1: drawn from all four, the mean would vary
    found = folds.over([0, 0, 1, 1], [1, 2, 3, 4], [1, 1, 2, 2], draws=200)
    assert found.iloc[2][["mean", "low", "high"]].tolist() == [0.5, 0.5, 0.5]


def test_clips_of_a_recording_are_drawn_together():
    # ten clips of two recordings: the mean of a draw is 0, 1/2 or 1, so a quarter of the draws lie at each end
    found = folds.over([0] * 5 + [1] * 5, [1] * 5 + [2] * 5, [7] * 10, draws=400)
    assert found.iloc[1][["low", "high"]].tolist() == [0, 1]


def test_with_one_fold_the_mean_over_folds_is_that_of_the_fold():
    values, recordings = np.arange(12) / 12, np.arange(12) // 2
    found = folds.over(values, recordings, [3] * 12)
    assert found.iloc[0]["mean"] == found.iloc[1]["mean"] == pytest.approx(11 / 24)
    expected = statistics.interval(np.mean, values, recordings)
    assert found.iloc[1][["low", "high"]].tolist() == pytest.approx(list(expected), abs=0.03)


def test_clips_without_a_value_are_left_out_and_one_recording_says_nothing_of_others():
    found = folds.over([0.5, np.nan, 0.1], [1, 2, 3], [1, 1, 2], draws=20)
    assert list(found["clips"]) == [1, 1, 2]
    assert found.iloc[2]["mean"] == pytest.approx(0.3)
    assert np.isnan(found.iloc[2][["low", "high"]].astype(float)).all()
    assert folds.over([], [], [])["mean"].isna().all()


@settings(max_examples=20, deadline=None)
@given(st.floats(-1, 1), st.floats(0.1, 3))
def test_another_unit_changes_the_unit_of_all(shift, scale):
    values, recordings, of = np.sin(np.arange(20)), np.arange(20) // 2, np.arange(20) // 10
    first, other = (folds.over(v, recordings, of, draws=50) for v in (values, shift + scale * values))
    for name in ("mean", "low", "high"):
        np.testing.assert_allclose(other[name], shift + scale * first[name], atol=1e-9)


def run(**given) -> study.Run:
    return study.settle({"data": "recorded", "profile": "thesis", **given})


def test_a_family_differs_in_its_test_fold_only():
    tens = [run(test_fold=fold, training_folds=tuple({*range(1, 11)} - {fold})) for fold in (2, 1, 10)]
    fixed = [run(test_fold=fold, training_folds=(1, 2), seed=4) for fold in (3, 10)]
    alone = [run(test_fold=3, training_folds=(1, 2), seed=5), run(test_fold=3, training_folds=(1,), seed=4)]
    other = [run(test_fold=3, training_folds=(1, 2), seed=4, layer="layer3[-1]")]
    found = folds.families([*fixed, *tens, *alone, *other])
    assert [(name, [one.test_fold for one in runs]) for name, runs in found.items()] == [
        ("ResNet18, seed 0, trained on all other folds", [1, 2, 10]),  # of the most folds: first
        ("ResNet18, seed 4, trained on folds 1+2", [3, 10]),
    ]


def test_a_network_for_each_fold_learned_from_the_nine_others_and_nothing_is_made_for_them(stand_in, monkeypatch):
    recorded = folds.runs(study.open(data="recorded"))
    assert recorded[10:] == study.entries()
    live = folds.runs(study.open(profile="smoke", data=str(stand_in)))
    for ten in (recorded[:10], live):
        assert [(one.test_fold, len(one.training_folds)) for one in ten] == [(fold, 9) for fold in range(1, 11)]
        assert len(folds.families(ten)["ResNet18, seed 0, trained on all other folds"]) == 10
    assert {one.profile for one in live} == {"smoke"}
    monkeypatch.setattr(Artefact, "get", lambda *given: pytest.fail("asked for"))
    assert folds.families(live, controls.CONTROLS) == {}
    missing = folds.families(study.entries("folds"), controls.CONTROLS)
    assert all(controls.CONTROLS.there(one) for runs in missing.values() for one in runs)


def test_what_is_said_of_a_fold_comes_from_its_controls_and_its_scores(monkeypatch):
    clips = {"clip": ["a", "b"], "recording": [1, 2], "label": [0, 1], "predicted": [0, 2], "frames": [9, 9]}
    known = pd.DataFrame(clips | {"Grad-CAM": [0.5, np.nan], "Grad-CAM inside": [0.6, 0.1]})
    known = known.assign(**{"random nodes inside": [0.4, -0.1], "mean map inside": [0.7, np.nan]})
    thesis = pd.DataFrame({"recording": [1, 2, 2, 1], "score": [-0.1, 0.0, np.nan, -0.9]})
    thesis["specification"] = ["rank", "rank", "rank", "frame"]
    said = pd.DataFrame({"recording": [1, 2, 2, 3], "label": [0, 1, 1, 1], "predicted": [0, 1, 2, 1]})
    tables = {"controls.csv": known, "scores.csv": thesis, "predictions.csv": said}
    monkeypatch.setattr(Artefact, "read", lambda artefact, run: tables[artefact.name].copy())
    found = folds.summary({"it": [run()]}, folds.tested, ["accuracy", "score", "below 0"])
    assert found["mean"].tolist()[::2] == [0.75, 0.5, 0.5]
    assert found["clips"].tolist()[::2] == [4, 1, 2]
    leads = folds.leads(run())
    assert leads["recording"].tolist() == [1, 2]
    assert leads["random nodes"].tolist() == pytest.approx([0.2, 0.2])
    assert leads["mean map"].tolist() == pytest.approx([-0.1, 0])  # without a score: no lead, as the plan says


def test_a_summary_has_a_row_per_network_value_and_fold():
    runs = [run(test_fold=fold, training_folds=(1, 2)) for fold in (3, 10)]
    tables = {3: pd.DataFrame({"recording": [1, 2], "right": [True, False], "score": [0.2, 0.4]})}
    tables[10] = pd.DataFrame({"recording": [3, 4], "right": [True, True], "score": [0.6, 0.8]})
    found = folds.summary({"it": runs}, lambda one: tables[one.test_fold], ["right", "score"])
    assert found[["network", "of", "test fold"]].apply(" ".join, axis=1).tolist() == [
        *("it right 3", "it right 10", f"it right {folds.MEAN}"),
        *("it score 3", "it score 10", f"it score {folds.MEAN}"),
    ]
    assert found["mean"].tolist() == pytest.approx([0.5, 1, 0.75, 0.3, 0.7, 0.5])


def test_where_no_network_has_two_folds_there_is_nothing_to_show():
    assert folds.families([run()]) == {}
    assert folds.summary({}, lambda one: pd.DataFrame(), ["score"]).empty


def by_fold(of_random: list[float], of_mean: list[float]) -> pd.DataFrame:
    """Leads of the planned folds as `summary` gives them, with folds that no plan names and the mean over folds."""
    both = zip(confirmation.RIVALS.values(), (of_random, of_mean), strict=True)
    each = [(rival, str(f), v) for rival, own in both for f, v in zip(folds.PLANNED, own, strict=False)]
    beside = [(rival, name, 0.9) for rival in confirmation.RIVALS.values() for name in ("3", "10", folds.MEAN)]
    return pd.DataFrame([*each, *beside], columns=["of", "test fold", "mean"])


def test_the_third_plan_holds_the_mean_of_eight_folds_against_0():
    # leads .01 and .03 in turn: mean .02, standard deviation .01 sqrt(8 / 7), error .01 / sqrt(7), t = 2 sqrt(7) = 5.29
    found = folds.primary(by_fold([0.01, 0.03] * 4, [-0.01, 0.01] * 4)).set_index("comparison")
    assert found["folds"].tolist() == [8, 8]
    assert found["mean"].tolist() == pytest.approx([0.02, 0])
    # of Student's t with 7 degrees of freedom: 2.3646 at 95 of 100, 1.8946 at 90
    assert found.loc["A", "high"] == pytest.approx(0.02 + 2.3646 * 0.01 / 7**0.5, abs=1e-6)
    assert found.loc["C", "inner low"] == pytest.approx(-1.8946 * 0.01 / 7**0.5, abs=1e-6)
    assert found.loc["A", "p"] == pytest.approx(0.00113, abs=1e-5)
    assert found["p_holm"].tolist() == pytest.approx([2 * found.loc["A", "p"], 1])
    assert found["equal"].tolist() == [True, True]
    assert confirmation.end(found.reset_index()) == "like one curve for all clips"
    # read with another bound, the second is not equal to 0 any more
    assert confirmation.end(folds.primary(by_fold([0.01, 0.03] * 4, [-0.01, 0.01] * 4), bound=0.007)) == "undecided"


def test_nothing_is_tested_before_all_planned_folds_are_there():
    found = folds.primary(by_fold([0.2] * 7, [0.1] * 7))
    assert found["folds"].tolist() == [7, 7]
    assert found["mean"].tolist() == pytest.approx([0.2, 0.1])
    assert found[["low", "high", "p", "p_holm", "inner low", "inner high"]].isna().all(axis=None)
    assert not found["equal"].any()
    assert folds.primary(by_fold([], []))["mean"].isna().all()


def test_the_folds_that_the_third_plan_tests_are_those_that_it_names():
    text = (study.ROOT / "book" / "plan_folds.md").read_text()
    assert "**eight folds 1, 2 and 4 to 9**" in text
    assert set(folds.PLANNED) == {1, 2, *range(4, 10)}
    assert f"**±{confirmation.BOUND:.2f}**" in text


def test_clips_that_fill_four_seconds_are_the_longest_also_where_some_have_a_frame_more(monkeypatch):
    # 4 s at 44.1 kHz and hop 1024: 1 + 176400 // 1024 = 173 frames
    rows = pd.DataFrame({"clip": ["a", "b", "c"], "recording": [1, 2, 3], "frames": [172, 173, 174]})
    rows = rows.assign(architecture="resnet18", seed=0, setting="seed=0 hop_length=1024")
    for name in ("Grad-CAM", *confirmation.RIVALS.values()):
        rows[f"{name} inside"] = 0.5
    monkeypatch.setattr(folds.artifacts, "across", lambda runs, read: rows)
    parts = {part: folds.leads(run(), clips=part)["recording"].tolist() for part in ("", "longest", "shorter")}
    assert parts == {"": [1, 2, 3], "longest": [2, 3], "shorter": [1]}
