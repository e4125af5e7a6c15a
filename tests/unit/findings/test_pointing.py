"""Maps beside events at known times."""

import numpy as np
import pandas as pd
import pytest

from helpers.findings import pointing

pytestmark = pytest.mark.usefixtures("few")


def rows(scores=(0.1, 0.2, 0.3, 0.4), masses=(0.2, 0.3, 0.6, 0.7), level=10.0) -> pd.DataFrame:
    """Four sounds; chance has half of its mass in the event."""
    made = []
    for i, (score, mass) in enumerate(zip(scores, masses, strict=True)):
        values = {"Grad-CAM": (mass, score), "random nodes": (0.5, 0.0)}
        for name, pair in values.items():
            for metric, value in zip(("mass", "frame score"), pair, strict=True):
                made.append((f"{i}.wav", i, level, name, metric, value))
    return pd.DataFrame(made, columns=["clip", "recording", "level", "map", "metric", "value"])


def test_a_map_is_held_against_chance_sound_by_sound():
    table = rows()
    table.loc[(table["clip"] == "0.wav") & (table["map"] == "Grad-CAM"), "value"] = np.nan
    found = pointing.summary(table, draws=20).set_index(["metric", "map"])
    own = found.loc[("mass", "Grad-CAM")]
    assert (own["level"], own["sounds"], own["NaN"]) == ("10 dB", 3, 1)
    assert own["value"] == pytest.approx(1.6 / 3)
    assert own["over chance"] == pytest.approx(2 / 3)
    assert np.isnan(found.loc[("mass", "random nodes"), "over chance"])


def test_generated_sounds_have_no_level():
    found = pointing.summary(rows(level=np.nan), draws=20)
    assert found["level"].unique().tolist() == ["as generated"]
    assert found["sounds"].unique().tolist() == [4]


@pytest.mark.parametrize(("masses", "rho"), [((0.2, 0.3, 0.6, 0.7), 1), ((0.7, 0.6, 0.3, 0.2), -1)])
def test_a_score_agrees_with_a_metric_when_both_rank_the_sounds_alike(masses, rho):
    found = pointing.agreement(rows(masses=masses), draws=20)
    assert found["metric"].tolist() == ["mass"]
    assert found["correlation"].item() == pytest.approx(rho)
    assert found["sounds"].item() == 4


def test_nothing_agrees_with_a_constant():
    assert np.isnan(pointing.agreement(rows(masses=(0.5,) * 4), draws=20)["correlation"].item())


def test_of_no_sound_there_is_a_table_without_rows():
    assert pointing.summary(rows()[:0]).columns.tolist() == pointing.summary(rows(), draws=20).columns.tolist()
