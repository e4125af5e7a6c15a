"""The ladder: scores by what a map may know."""

import numpy as np
import pandas as pd
import pytest

from helpers.experiments.controls import RUNGS
from helpers.findings import ladder
from helpers.metric import correlation

pytestmark = pytest.mark.usefixtures("few")


def controls(clips: int = 6) -> pd.DataFrame:
    """Random nodes score 0.1, the ceiling in nodes 0.9, Grad-CAM 0.5; inside 0, 0.4 and 0.1."""
    rows = pd.DataFrame({"recording": np.arange(clips) // 2, "frames": [400, 100] * (clips // 2)})
    for rung in RUNGS:
        rows[rung], rows[f"{rung} inside"] = 0.3, 0.2
    rows["random nodes"], rows["ceiling in nodes"], rows["Grad-CAM"] = 0.1, 0.9, 0.5
    rows["random nodes inside"], rows["ceiling in nodes inside"], rows["Grad-CAM inside"] = 0.0, 0.4, 0.1
    return rows.drop(columns="sound or padding inside")


def test_every_rung_has_its_mean_and_its_place_between_ignorance_and_the_ceiling():
    rows = controls()
    rows.loc[0, "Grad-CAM"] = np.nan
    found = ladder.ladder(rows).set_index(["where", "rung"])
    assert list(found.loc["all frames"].index) == list(RUNGS)
    assert list(found.loc["inside the sound"].index) == [rung for rung in RUNGS if rung != "sound or padding"]
    own = found.loc["all frames", "Grad-CAM"]
    assert (own["clips"], own["NaN"]) == (5, 1)
    assert own[["score", "low", "high", "normalised"]].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert found.loc[("inside the sound", "Grad-CAM"), "normalised"] == pytest.approx(0.25)
    assert found.loc[("all frames", "random nodes"), "normalised"] == pytest.approx(0)
    assert found.loc[("all frames", "ceiling in nodes"), "normalised"] == pytest.approx(1)


def test_strata_that_disagree_stand_side_by_side():
    rows = controls()
    rows["mean map"] = np.where(rows["frames"] == 400, 0.7, 0.2)
    rows.loc[1, "mean map"] = np.nan  # counts as no lead
    found = ladder.strata(rows, "mean map").set_index(["where", "clips that are"])
    assert found.loc[("all frames", "longest"), "lead"] == pytest.approx(-0.2)
    assert found.loc[("all frames", "shorter"), "lead"] == pytest.approx(0.2)
    assert found.loc[("all frames", "shorter"), ["clips", "recordings"]].tolist() == [3, 3]
    assert found.loc[("inside the sound", "longest"), "lead"] == pytest.approx(-0.1)


def test_one_curve_for_all_clips_scores_as_on_each_clip_alone():
    random = np.random.default_rng(3)
    curves, effects = random.uniform(size=(4, 12)), random.exponential(size=(6, 12))
    frames = np.array([12, 5, 5, 12, 7, 3])
    effects[2] = 1.0  # a clip without a score
    curves = np.vstack([curves, [*[0.0] * 11, 1]])  # dark wherever the short clips have sound
    frames[[0, 3]] = 11
    found = ladder.one_curve(curves, effects, frames)
    for where, ends in {"all frames": np.full(6, 12), "inside the sound": frames}.items():
        one_by_one = [correlation.frame_scores(curves[:, :end], v[:end]) for v, end in zip(effects, ends, strict=True)]
        assert found[where] == pytest.approx(pd.DataFrame(one_by_one).mean().to_numpy(), nan_ok=True)
    assert np.isnan(found["inside the sound"]).tolist() == [False] * 4 + [True]


def test_one_curve_for_all_clips_is_a_rung_of_its_own():
    curves = {"all frames": np.linspace(-0.4, 0.6, 101), "inside the sound": np.zeros(101)}
    found = ladder.ladder(controls(), curves=curves).set_index(["where", "rung"])
    assert list(found.loc["all frames"].index)[:4] == ["random nodes", "sound or padding", ladder.ONE_CURVE, "bump"]
    own = found.loc[("all frames", ladder.ONE_CURVE)]
    assert own["knows"] == "no clip"
    assert own[["score", "low", "high"]].tolist() == pytest.approx([0.1, -0.375, 0.575])
    assert np.isnan(own["normalised"])
    assert ladder.ONE_CURVE in found.loc["inside the sound"].index
