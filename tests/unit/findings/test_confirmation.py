"""The tests of the second plan, on tables whose leads are known."""

import numpy as np
import pandas as pd
import pytest

from helpers.findings import confirmation

pytestmark = pytest.mark.usefixtures("few")

RESAMPLED = 0.5  # relative spread of a bootstrap of a few samples


def controls(lead: dict, *, seeds=(0, 1), recordings: int = 40, architecture: str = "resnet18") -> pd.DataFrame:
    """Two clips of each recording; Grad-CAM scores 0.3 inside, its rivals as much less as `lead` says, per clip."""
    clips = np.arange(2 * recordings)
    parts = []
    for seed in seeds:
        part = pd.DataFrame({"clip": [f"{i}.wav" for i in clips], "recording": clips // 2, "seed": seed})
        part["architecture"], part["setting"] = architecture, f"seed={seed} hop_length=1024 test_fold=3"
        part["frames"] = np.where(clips % 2, 100, 173)
        part["padding"], part["Grad-CAM inside"], part["Grad-CAM"] = "zero", 0.3, 0.9
        for name, rival in confirmation.RIVALS.items():
            part[f"{rival} inside"] = 0.3 - np.broadcast_to(lead[name], len(clips))
            part[rival] = 0.7  # over all frames
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def wobble(recordings: int = 40, size: float = 0.02) -> np.ndarray:
    """Differences with mean 0, the same for both clips of a recording."""
    return np.repeat(np.resize([size, -size], recordings), 2)


def test_a_lead_is_the_mean_over_seeds_and_a_run_without_a_score_counts_as_none():
    rows = controls({"A": 0.2, "C": 0.1})
    rows.loc[rows.index[0], "mean map inside"] = np.nan  # first clip, first seed
    found = confirmation.leads(rows)
    assert len(found) == 80
    assert found["seeds"].unique() == [2]
    assert set(found["setting"]) == {"hop_length=1024 test_fold=3"}
    assert found.loc[0, ["A", "C", "nan"]].tolist() == pytest.approx([0.2, 0.05, 1])
    assert found.loc[1, ["A", "C", "nan"]].tolist() == pytest.approx([0.2, 0.1, 0])


def test_the_lead_over_all_frames():
    rows = controls({"A": 0.1, "C": 0.1})
    assert confirmation.leads(rows)["A"].unique() == pytest.approx([0.1])
    assert confirmation.leads(rows, where="")["A"].unique() == pytest.approx([0.2])


def test_seeds_are_one_kind_and_networks_are_two():
    one, other = controls({"A": 0, "C": 0}), controls({"A": 0, "C": 0}, seeds=(0,), architecture="vgg13")
    found = confirmation.leads(pd.concat([one, other], ignore_index=True))
    assert found.groupby("architecture")["seeds"].max().to_dict() == {"resnet18": 2, "vgg13": 1}


@pytest.mark.parametrize(
    ("a", "c", "end"),
    [
        (0.2, 0.1, "about this clip"),
        (0.2, 0.0, "like one curve for all clips"),
        (0.2, -0.1, "below one curve for all clips"),
        (0.0, 0.0, "uninformed"),
        (-0.2, 0.1, "uninformed"),
    ],
)
def test_each_end_follows_from_the_two_leads(a, c, end):
    tests = confirmation.primary(confirmation.leads(controls({"A": a + wobble(), "C": c + wobble()})))
    assert tests["p_holm"].notna().all()
    assert confirmation.ends(tests)["end"].tolist() == [end]


def test_not_significant_is_not_equal():
    wide = wobble(size=0.5)  # the interval reaches far beyond the bound
    tests = confirmation.primary(confirmation.leads(controls({"A": 0.9 + wobble(), "C": wide})))
    c = tests.set_index("comparison").loc["C"]
    assert (c["p_holm"] > 0.05, c["equal"]) == (True, False)
    assert confirmation.ends(tests)["end"].tolist() == ["undecided"]


def test_a_small_lead_can_be_sure_and_within_the_bound_at_once():
    tests = confirmation.primary(confirmation.leads(controls({"A": 0.9 + wobble(), "C": 0.03 + wobble()})))
    c = tests.set_index("comparison").loc["C"]
    assert c["mean"] == pytest.approx(0.03)
    assert (c["p_holm"] < 0.05, c["equal"]) == (True, True)
    # named by its sign: the rule of the plan
    assert confirmation.ends(tests)["end"].tolist() == ["about this clip"]
    tests = confirmation.primary(confirmation.leads(controls({"A": 0.9 + wobble(), "C": -0.03 + wobble()})))
    assert tests.set_index("comparison").loc["C", "equal"]
    assert confirmation.ends(tests)["end"].tolist() == ["below one curve for all clips"]


def test_a_small_sure_lead_over_nothing_is_not_called_uninformed():
    # C is neither sure nor equal
    tests = confirmation.primary(confirmation.leads(controls({"A": 0.03 + wobble(), "C": wobble(size=0.5)})))
    assert tests.set_index("comparison").loc["A", "equal"]
    assert confirmation.ends(tests)["end"].tolist() == ["undecided"]


def test_the_planned_tests_are_one_family_of_six_whether_they_are_computed_or_not():
    one = controls({"A": 0.2 + wobble(), "C": wobble()})
    repeated = one.assign(setting=one["setting"] + " padding=repeat_waveform")
    other = controls({"A": 0.2 + wobble(), "C": wobble()}, architecture="vgg13")
    alone = confirmation.primary(confirmation.leads(one))
    assert alone["p_holm"].min() == pytest.approx(6 * alone["p"].min())
    three = confirmation.primary(confirmation.leads(pd.concat([one, repeated, other], ignore_index=True)))
    assert confirmation.names(three).unique().tolist() == [
        "ResNet18, MFCC, hop 1024, padded",
        "ResNet18, MFCC, hop 1024, repeated",
        "VGG13, MFCC, hop 1024, padded",
    ]
    assert three["p_holm"].isna().tolist() == [False] * 4 + [True] * 2
    # two tests with the least p: the second is multiplied by five, and never falls below the first
    assert three["p_holm"].nsmallest(2).tolist() == pytest.approx([6 * three["p"].min()] * 2)
    assert confirmation.ends(three)["end"].tolist() == ["like one curve for all clips"] * 3


def test_strata_stand_apart():
    lead = np.tile([0.1, -0.2], 40)  # long clips, short clips
    found = confirmation.strata(confirmation.leads(controls({"A": lead, "C": 0.0})), draws=50)
    a = found[found["comparison"] == "A"].set_index("clips that are")
    assert a["lead"].to_dict() == pytest.approx({"longest": 0.1, "shorter": -0.2})
    assert a["clips"].tolist() == a["recordings"].tolist() == [40, 40]
    # a kind with more frames has its own longest clips
    fine = controls({"A": lead, "C": 0.0}, architecture="vgg13").assign(frames=lambda rows: 2 * rows["frames"])
    both = pd.concat([controls({"A": lead, "C": 0.0}), fine], ignore_index=True)
    assert confirmation.strata(confirmation.leads(both), draws=50)["clips"].tolist() == [40] * 8


def test_at_most_three_clips_of_a_recording_the_same_in_every_run():
    rows = controls({"A": 0, "C": 0})
    rows["recording"] = rows["recording"] // 4  # eight clips of each of ten recordings
    found = confirmation.few(rows, random=np.random.default_rng(1))
    assert (found.groupby(["seed", "recording"])["clip"].nunique() == 3).all()
    first, second = (set(found.loc[found["seed"] == seed, "clip"]) for seed in (0, 1))
    assert first == second
    again = confirmation.few(rows.sample(frac=1, random_state=0), random=np.random.default_rng(1))
    assert set(again["clip"]) == first
    assert set(confirmation.few(rows, random=np.random.default_rng(2))["clip"]) != first


def test_power_grows_with_the_bound_and_with_recordings():
    found = confirmation.leads(controls({"A": wobble(size=0.2), "C": wobble(size=0.2)}))
    few, many = (confirmation.power(found, recordings=n).loc[0] for n in (40, 160))
    assert few["spread"] == pytest.approx(0.2 / np.sqrt(40), rel=RESAMPLED)
    assert many["spread"] == pytest.approx(few["spread"] / 2)
    assert few["power"] < many["power"] < 1
    assert confirmation.power(found, recordings=40, bound=0.001).loc[0, "power"] == 0
    # 2 Phi(bound / spread - 1.645) - 1, by hand for bound = 3 spreads: 2 * 0.9123 - 1
    by_hand = confirmation.power(found, recordings=40, bound=3 * few["spread"]).loc[0, "power"]
    assert by_hand == pytest.approx(0.8246, abs=1e-3)


def test_a_recording_of_many_clips_counts_more_unless_each_recording_counts_once():
    # one recording of 40 clips whose leads are -0.1, and twenty of one clip whose leads are about +0.2
    lead = np.append(np.full(40, -0.1), np.resize([0.19, 0.21], 20))
    rows = controls({"A": np.full(60, 0.2), "C": lead}, seeds=(0,), recordings=30)
    rows["recording"] = np.append(np.zeros(40, int), np.arange(1, 21))
    found = confirmation.otherwise(rows).set_index("counted")
    assert found.loc["as planned", "C"] == pytest.approx(0.0)
    assert found.loc["each recording once", "C"] == pytest.approx((20 * 0.2 - 0.1) / 21)
    assert found["end"].to_dict() == {
        "as planned": "undecided",
        "each recording once": "about this clip",
        "only clips with a score": "undecided",
    }


def test_each_training_alone_and_only_clips_with_a_score():
    rows = pd.concat([controls({"A": 0.2, "C": c}, seeds=(s,)) for s, c in enumerate((0.1, -0.1))], ignore_index=True)
    rows.loc[0, "mean map inside"] = np.nan  # a lead of 0 instead of 0.1 for one seed of one clip of 80
    found = confirmation.otherwise(rows).set_index("counted")["C"]
    assert found["as planned"] == pytest.approx(-0.05 / 80)
    assert found["only clips with a score"] == pytest.approx(0)
    assert found["seed 0 alone"] == pytest.approx(0.1 * 79 / 80)
    assert found["seed 1 alone"] == pytest.approx(-0.1)


def test_kinds_outside_the_plan_are_not_counted_otherwise():
    assert confirmation.otherwise(controls({"A": 0.2, "C": 0.1}, architecture="vgg13")).empty
