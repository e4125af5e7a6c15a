"""Depth and field taken apart, on scores that are made by hand."""

import numpy as np
import pandas as pd
import pytest

from helpers import study
from helpers.experiments import comparison
from helpers.findings import depth
from helpers.networks import training


def rows(values: dict[tuple[str, int], float], *, clips: int = 20, spread: float = 0.05) -> pd.DataFrame:
    """Scores of (network, stage) around a mean; the field doubles from stage to stage."""
    parts = []
    for number, ((architecture, stage), mean) in enumerate(values.items()):
        noise = np.random.default_rng(number).normal(0, spread, clips)
        facts = {"run": architecture, "architecture": architecture, "depth": depth.layers_of(architecture), "seed": 0}
        scores = mean + noise - noise.mean()
        columns = {"clip": [f"{i}.wav" for i in range(clips)], "recording": range(clips)}
        parts.append(
            pd.DataFrame(columns).assign(
                **facts, stage=stage, field=50 * 2**stage, score=scores, normalised=scores, lead=scores
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_a_name_says_its_layers():
    assert [depth.layers_of(name) for name in ("resnet18", "resnet101", "resnet18-narrow")] == [18, 101, 18]


def test_scores_that_fall_from_network_to_network_fall_with_depth_and_not_with_the_field():
    falling = {("resnet18", 4): 0.5, ("resnet34", 4): 0.3, ("resnet50", 4): 0.1, ("resnet18", 3): 0.5}
    found = depth.trends(rows(falling)).set_index(["along", "fixed"])
    row = found.loc["depth", "stage 4"]
    assert (row["steps"], row["clips"]) == ("18, 34, 50", 20)
    assert row["change"] == pytest.approx(-0.4, abs=0.05)
    assert row["falls"] < 0.001
    assert row["rises"] > 0.99
    same = found.loc["field", "resnet18".replace("resnet", "ResNet")]
    assert same["falls"] > 0.05
    assert same["rises"] > 0.05


def test_three_steps_of_one_network_are_a_trend_along_the_field():
    rising = {("resnet18", stage): 0.1 * stage for stage in (1, 2, 3, 4)}
    (row,) = depth.trends(rows(rising)).to_dict("records")
    assert (row["along"], row["steps"]) == ("field", "100, 200, 400, 800")
    assert row["rises"] < 0.001


def test_where_the_field_stays_the_same_the_stages_are_a_question_of_their_own():
    narrow = rows({("resnet18-narrow", stage): 0.1 * stage for stage in (1, 2, 3, 4)})
    narrow["field"] = narrow["stage"].map({1: 43, 2: 99, 3: 99, 4: 99})
    found = depth.trends(narrow).set_index("along")
    assert found.loc["stage", "steps"] == "2, 3, 4"
    assert found.loc["stage", "rises"] < 0.001
    assert found.loc["field", "steps"] == "43, 99"


def test_one_step_is_no_trend():
    assert depth.trends(rows({("resnet18", 4): 0.1})).empty


def test_the_narrow_network_is_held_against_its_twin_at_the_last_stage_and_left_out_of_depth():
    two = rows({("resnet18", 4): 0.1, ("resnet18-narrow", 4): 0.4, ("resnet18", 3): 0.9})
    assert depth.narrowed(two)["mean"] == pytest.approx(0.3, abs=0.01)
    assert depth.narrowed(two)["p"] < 0.001
    assert depth.narrowed(rows({("resnet18", 4): 0.1})) == {}
    assert "depth" not in set(depth.trends(two)["along"])


def test_a_clip_without_a_score_at_one_step_is_left_out_of_the_trend_and_counted():
    two = rows({("resnet18", 4): 0.1, ("resnet34", 4): 0.2})
    two.loc[0, "normalised"] = np.nan
    assert depth.trends(two)["clips"].tolist() == [19]


def test_seeds_of_one_network_count_once():
    two = rows({("resnet18", 4): 0.1, ("resnet34", 4): 0.2})
    again = two[two["architecture"] == "resnet18"].assign(run="resnet18 seed=1", seed=1)
    both = depth.trends(pd.concat([two, again]))
    assert both[["steps", "clips"]].to_numpy().tolist() == [["18, 34", 20]]


def test_what_is_said_names_the_direction_and_that_two_depths_are_no_trend():
    two = rows({("resnet18", 4): 0.5, ("resnet34", 4): 0.1})
    trend = depth.trends(two)
    found = two.drop_duplicates("run")
    text = depth.said(found, trend, {"mean": 0.03, "p": 0.4})
    assert (
        "When the network gets deeper (stage 4, 18, 34), the normalised score **falls**: last minus first -0." in text
    )
    assert "changes by +0.03; this is not sure, which does not make it equal to 0" in text
    assert "2 depths are compared. That is no trend yet." in text


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ((0.5, 0.3, 0.1), "reproduced"),
        ((0.1, 0.3, 0.5), "contradicted"),
        ((0.3, 0.3, 0.3), "undecided"),
        ((0.3, 0.1), "not testable here"),
    ],
)
def test_the_claim_of_a_trend_gets_its_verdict_from_three_depths(means, expected):
    names = ("resnet18", "resnet34", "resnet101")
    made = rows({(name, 4): mean for name, mean in zip(names, means, strict=False)})
    assert depth.verdict(depth.trends(made))[0] == expected
    assert depth.verdict(pd.DataFrame())[0] == "not testable here"


def test_a_network_of_which_only_the_controls_are_recorded_speaks_for_its_last_block():
    found = depth.networks(study.open(data="recorded"))
    assert len({run.key for run in found}) == len(found)
    scores = depth.scores(found)
    alone = [run.key for run in found if not comparison.COMPARISON.there(run)]
    assert alone
    for key, part in scores.groupby("run"):
        assert set(part["stage"]) == ({4} if key in alone else {1, 2, 3, 4})
        assert set(part["clip"]) == set(scores["clip"])


@pytest.mark.slow
def test_the_scores_and_the_table_of_a_run(run, monkeypatch):
    monkeypatch.setattr(depth.models, "receptive_field", lambda network, stage: {"layer4": 435, "layer3": 211}[stage])
    layers = ("layer4[-1]", "layer3[-1]")
    small = run.with_(explainers=("Grad-CAM", "saliency"), compared_layers=layers, compared_clips=2)
    found, table = depth.scores([small]), comparison.table(small)
    assert len(found) == 2 * 2  # neither saliency nor loudness
    own = table[(table["explainer"] == "Grad-CAM") & (table["layer"] == "layer3[-1]")].set_index("clip")
    part = found[found["stage"] == 3].set_index("clip")
    assert part["field"].unique().tolist() == [211]
    assert np.allclose(part["lead"], own["score inside"] - own["random inside"], equal_nan=True)
    scaled = (own["score inside"] - own["random inside"]) / (own["ceiling inside"] - own["random inside"])
    assert np.allclose(part["normalised"], scaled, equal_nan=True)
    rows = depth.table(found, [small], draws=20)
    answers = training.predictions(small)
    assert rows["accuracy"].iloc[0] == pytest.approx((answers["label"] == answers["predicted"]).mean())
    assert 0.1 <= rows["confidence"].iloc[0] <= 1
    assert rows[["stage", "depth"]].to_numpy().tolist() == [[3, 18], [4, 18]]
