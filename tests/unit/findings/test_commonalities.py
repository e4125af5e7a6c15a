"""Clips beside their scores, counted and worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from helpers.experiments import frame_effects
from helpers.findings import commonalities
from helpers.maps import explainers, nulls

pytestmark = pytest.mark.usefixtures("few")

HEADS = ["clip", "recording", "label", "frames", "Grad-CAM inside", "random nodes inside", "ceiling in nodes inside"]
OWN = "hop_length=1024 test_fold=3"
KIND = "ResNet18, MFCC, hop 1024, padded"


def rows() -> pd.DataFrame:
    """Two seeds and three clips: half way to the ceiling, no room in one seed, and no score in either."""
    first = [
        ("a.wav", 1, 3, 100, 0.5, 0.1, 0.9),
        ("b.wav", 1, 8, 173, 0.3, 0.25, 0.3),
        ("c.wav", 2, 0, 1, np.nan, 0, 0.5),
    ]
    second = [
        ("a.wav", 1, 3, 100, 0.3, 0.1, 0.9),
        ("b.wav", 1, 8, 173, 0.1, 0.2, 0.7),
        ("c.wav", 2, 0, 1, np.nan, 0, 0.5),
    ]
    parts = [pd.DataFrame(part, columns=HEADS).assign(seed=seed) for seed, part in enumerate((first, second))]
    table = pd.concat(parts, ignore_index=True).assign(architecture="resnet18", salience="foreground")
    return table.assign(setting="seed=" + table["seed"].astype(str) + " " + OWN)


def predictions() -> pd.DataFrame:
    """Probabilities of the first three classes; the others have none."""
    chances = {"a.wav": [(0.5, 0.25, 0.25), (0.2, 0.8, 0)], "b.wav": [(1, 0, 0)] * 2, "c.wav": [(1, 0, 0)] * 2}
    made = [
        (clip, seed, int(np.argmax(one)), *np.log(np.maximum([*one, *[0] * 7], 1e-30)))
        for clip, both in chances.items()
        for seed, one in enumerate(both)
    ]
    table = pd.DataFrame(made, columns=["clip", "seed", "predicted", *(f"logit_{i}" for i in range(10))])
    table["label"], table["architecture"] = 0, "resnet18"
    return table.assign(setting="seed=" + table["seed"].astype(str) + " " + OWN)


SOUNDS = pd.DataFrame({"clip": ["a.wav", "b.wav", "c.wav"], "recording": [1, 1, 2], "second": 0.0, "flatness": -10.0})


def test_answers_are_means_over_seeds():
    found = commonalities.answers(predictions()).set_index("clip").loc["a.wav"]
    assert found["kind"] == KIND
    assert found["confidence"] == pytest.approx((0.5 + 0.8) / 2)
    assert found["margin"] == pytest.approx((0.25 + 0.6) / 2)
    halves = 0.5 * np.log(2) + 2 * 0.25 * np.log(4)
    assert found["entropy"] == pytest.approx((halves - 0.2 * np.log(0.2) - 0.8 * np.log(0.8)) / 2)
    assert (found["right"], found["agreement"], found["predicted"]) == (0.5, 0.5, 0)


def test_a_score_is_the_lead_over_what_the_ceiling_leads_by():
    found = commonalities.scores(rows())
    assert found["lead"].round(10).tolist()[:2] == [0.4, 0.05]
    assert found["score"].tolist()[:2] == pytest.approx([0.5, np.nan], nan_ok=True)  # 0.4 / 0.8; room of 0.05 only
    assert commonalities.scores(rows(), room=0.01)["score"][1] == pytest.approx(1)


def test_a_clip_has_the_mean_of_the_seeds_that_score_it():
    found = commonalities.clips(rows(), predictions(), SOUNDS).set_index("clip")
    assert found["score"].tolist() == pytest.approx([(0.5 + 0.25) / 2, -0.2, np.nan], nan_ok=True)
    assert found["lead"].tolist() == pytest.approx([0.3, -0.025, np.nan], nan_ok=True)
    assert found[["seeds", "led", "scored"]].to_numpy().tolist() == [[2, 2, 2], [2, 2, 1], [2, 0, 0]]
    assert found["class"].tolist() == ["dog bark", "siren", "air conditioner"]
    assert found["length"].tolist() == [100, 173, 1]


def test_what_is_left_out_is_counted():
    found = commonalities.counts(commonalities.clips(rows(), predictions(), SOUNDS)).iloc[0]
    assert found[["seeds", "clips", "recordings", "maps", "no score", "no room", "left out"]].tolist() == [
        2,
        3,
        2,
        6,
        2,
        1,
        1,
    ]
    assert found["score"] == pytest.approx((0.375 - 0.2) / 2)


def scored(**kinds) -> pd.DataFrame:
    """Scores of clips of as many recordings, by kind and seed."""
    parts = [
        pd.DataFrame(
            {"clip": [f"{i}.wav" for i in range(len(one))], "recording": range(len(one)), "score": one}
        ).assign(kind=kind, seed=seed)
        for kind, seeds in kinds.items()
        for seed, one in enumerate(seeds)
    ]
    return pd.concat(parts, ignore_index=True)


def test_networks_that_score_alike_correlate():
    up, down, bent = [1.0, 2, 3, 4], [4.0, 3, 2, 1], [1.0, 3, 2, 4]
    found = commonalities.repeated(scored(one=[up, bent], other=[down]), draws=20)
    assert found[["one", "other"]].to_numpy().tolist() == [["one", "one"], ["one", "other"]]
    assert found["correlation"].tolist() == pytest.approx([0.8, (-1 - 0.8) / 2])
    assert found["reach"].tolist() == pytest.approx([2 * 0.8 / 1.8, np.nan], nan_ok=True)
    assert commonalities.steady(found) == (
        "Over the same clips the scores of two networks of the same kind correlate by +0.80 to +0.80, those of two "
        "networks of two kinds correlate by -0.90 to -0.90."
    )


def test_a_clip_without_a_score_in_one_network_is_not_compared():
    found = commonalities.repeated(scored(one=[[1.0, 2, 3, np.nan], [1.0, 2, 3, -9]]), draws=20)
    assert (found["clips"].item(), found["correlation"].item()) == (3, pytest.approx(1))


def test_one_network_alone_is_compared_with_nothing():
    found = commonalities.repeated(scored(one=[[1.0, 2, 3]]), draws=20)
    assert found.empty
    assert "one network" in commonalities.steady(found)


@pytest.mark.parametrize(("count", "best", "worst"), [(1, ["2"], ["1"]), (5, ["2"], ["1"])])
def test_no_clip_is_among_the_best_and_the_worst(count, best, worst):
    table = pd.DataFrame({"clip": ["1", "2", "3", "4"], "score": [0.1, 0.9, 0.5, np.nan]})
    found = commonalities.extremes(table, count=count)
    assert found[found["end"] == "best"]["clip"].tolist() == best
    assert found[found["end"] == "worst"]["clip"].tolist() == worst


def test_curves_end_where_the_sound_ends(run):
    known = frame_effects.frames(run)
    clip, end = known.clips[0], known.frames[0]
    found = commonalities.curves(run, [clip])
    assert len(found) == end
    assert found["second"].iloc[1] == pytest.approx(1024 / 44_100)
    map_ = nulls.profile(explainers.stretch(known.nodes[[0]], run.shape))[0, :end]
    assert found["effects"].to_numpy() == pytest.approx(known.effects[0, :end] / known.effects[0, :end].max())
    assert found["map"].to_numpy() == pytest.approx(map_ / max(map_.max(), 1e-300))
