"""The ladder: scores by what a map may know."""

import numpy as np
import pandas as pd
import pytest

from helpers.experiments.controls import RUNGS
from helpers.findings import ladder

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
