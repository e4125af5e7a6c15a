"""What the study costs: by hand, from made-up seconds."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers import study
from helpers.findings import scale
from helpers.networks import models

USUAL = {"clips": 5, "frames": 400, "rows": 13, "architecture": "resnet18", "workers": 1}


def row(step: str, varied: str, seconds: float, mib: float = 1000.0, **choice) -> dict:
    return {"varied": varied, "step": step, **USUAL, **choice, "seconds": seconds, "MiB": mib}


def test_growth_is_said_for_tenfold_whatever_was_measured():
    rows = pd.DataFrame(
        [
            row("effects", "frames", 1.0, frames=100),
            row("effects", "frames", 4.0, 1200.0, frames=200),
            row("effects", "architecture", 9.0),
        ]
    )
    (found,) = scale.growth(rows).to_dict("records")
    assert (found["least"], found["most"], found["times as much"], found["times as long"]) == (100, 200, 2, 4)
    assert found["for tenfold"] == pytest.approx(100)  # the square
    assert found["MiB more"] == 200


def test_hours_of_a_training_are_those_of_its_clips_at_the_measured_speed():
    rows = pd.DataFrame([row("training", "architecture", 0.5), row("effects", "architecture", 3.0)])
    (found,) = scale.depths(rows, epochs=2).to_dict("records")
    assert found["clips a second"] == 10
    assert found["1 core"] == pytest.approx(scale.CLIPS * 2 / 10 / 3600)
    forward = models.operations("resnet18", (13, 400))
    assert found["GFLOP a second"] == pytest.approx(3 * forward * 10 / 1e9)
    assert found["one GPU"] == pytest.approx(3 * forward * scale.CLIPS * 2 / (67e12 / 3) / 3600)


def test_cores_divide_the_hours_down_to_the_longest_training():
    table = pd.DataFrame({"1 core": [1.0, 9.0], "one GPU": [0.01, 0.02]})
    found = scale.on_paper(table, runs=50).set_index("machine")["hours"]
    assert found["1 core"] == 500
    assert found["16 cores"] == pytest.approx(31.25)
    assert found["100 nodes of 16 cores"] == 9
    assert found["one GPU"] == pytest.approx(1.5)


def test_what_was_measured_says_when_and_where(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "RECORDED", tmp_path)
    (tmp_path / "scale.json").write_text(json.dumps({"date": "2026-11-27", "rows": [row("training", "clips", 1.0)]}))
    facts, rows = scale.measured()
    assert facts == {"date": "2026-11-27"}
    assert np.isclose(rows["seconds"], 1).all()
