"""The planned tests, what a network's maps are called by their rule, and the same by group."""

import numpy as np
import pandas as pd
import pytest

from helpers.experiments import controls
from helpers.findings import plan, statistics
from helpers.maps import nulls
from tests.unit.findings.made import (
    CHANCE,
    DOWN,
    INFORMED,
    LOUD,
    NAN,
    NOTHING,
    UP,
    deep_rows,
    outcomes,
    planned,
    within,
)

pytestmark = pytest.mark.usefixtures("few")


# The planned tests


RUNS = (
    ("resnet18", 0, "hop_length=1024"),
    ("resnet18", 0, "hop_length=512"),
    ("resnet101", 0, "hop_length=1024"),
    ("resnet18", 1, "hop_length=1024"),
)


def test_each_run_is_held_against_both_rivals():
    rows = planned(*RUNS)
    table = plan.primary(rows)
    assert list(table) == [
        *("run", "architecture", "seed", "setting", "comparison", "minus"),
        *("clips", "recordings", "nan", "mean", "low", "high", "superiority", "p", "needed", "p_holm"),
    ]
    assert table["run"].tolist() == [run for run in rows["run"].unique() for _ in "AB"]
    assert table["comparison"].tolist() == ["A", "B"] * 4
    assert table["minus"].tolist() == ["random nodes", "loudness"] * 4
    for _, row in table.iterrows():
        own = rows[rows["run"] == row["run"]]
        expected = statistics.difference(own["Grad-CAM"] - own[row["minus"]], own["recording"])
        assert row[list(expected)].to_dict() == expected
        assert (row["architecture"], row["seed"], row["setting"]) == tuple(
            own[["architecture", "seed", "setting"]].iloc[0]
        )


def test_a_lead_of_grad_cam_is_above_zero():
    (first, _) = plan.primary(planned(RUNS[0])).to_dict("records")
    assert first["mean"] == pytest.approx(0.2, abs=0.05)
    assert first["p"] < 0.05


def test_runs_that_differ_in_one_thing_only_are_kept_apart():
    rows = planned(("a", 0, "x"), ("a", 0, "y"), ("a", 1, "x"), ("b", 0, "x")).assign(run="same")
    assert len(plan.primary(rows)) == 8


def test_holms_correction_by_hand(monkeypatch):
    p = iter([0.004, 0.03, 0.01, 0.01, 0.6, 0.02, 0.0001, 0.0001])
    own = {"mean": 1.0, "low": 0.0, "high": 2.0}
    monkeypatch.setattr(statistics, "difference", lambda *given: own | {"p": next(p)})
    table = plan.primary(planned(*RUNS))
    # six tests of the first seed, from the smallest up: 0.004 x 6, 0.01 x 5, 0.01 x 4 (but not below the one
    # before), 0.02 x 3, 0.03 x 2, 0.6 x 1
    expected = [0.024, 0.06, 0.05, 0.05, 0.6, 0.06]
    assert table["p_holm"][:6].tolist() == pytest.approx(expected)
    assert table["p_holm"][6:].isna().all()


def test_a_corrected_p_is_at_most_one_and_a_missing_one_does_not_count(monkeypatch):
    p = iter([0.7, NAN, 0.6, 0.01])
    monkeypatch.setattr(statistics, "difference", lambda *given: {"mean": 1.0, "p": next(p)})
    table = plan.primary(planned(*RUNS[:2]))
    assert table["p_holm"].tolist() == pytest.approx([1, NAN, 1, 0.03], nan_ok=True)


def test_without_the_first_seed_nothing_is_corrected():
    table = plan.primary(planned(RUNS[3]))
    assert table["p"].notna().all()
    assert table["p_holm"].isna().all()


def test_a_clip_without_a_score_counts_as_no_difference():
    rows = planned(RUNS[0])
    rows.loc[0, "Grad-CAM"] = NAN
    first, second = plan.primary(rows).to_dict("records")
    assert (first["clips"], first["nan"], second["nan"]) == (8, 1, 1)
    known = (rows["Grad-CAM"] - rows["random nodes"]).sum() / 8
    assert first["mean"] == pytest.approx(known)


def test_scores_within_the_sound_take_the_place_of_all():
    rows = within(("resnet18", "x", 0.2))
    found = plan.inside(rows)
    for name in ("Grad-CAM", "random nodes", "loudness"):
        assert found[name].tolist() == rows[f"{name} inside"].tolist()
    assert plan.primary(found)["mean"][0] == pytest.approx(0.2, abs=0.05)
    assert plan.primary(rows)["mean"][0] != pytest.approx(0.2, abs=0.05)


def test_a_run_has_a_short_name():
    rows = pd.DataFrame({"architecture": ["resnet18"], "setting": ["seed=1 hop_length=512"], "seed": [1]})
    assert plan.names(rows).tolist() == ["ResNet18, 512, 1"]


def test_a_number_is_said_with_its_interval():
    rows = pd.DataFrame({"mean": [0.124, -1.0], "low": [-0.03, -1.0], "high": [0.27, 0.0], "b": [0.5, NAN]})
    assert plan.said(rows) == ["+0.12 (-0.03 to +0.27)", "-1.00 (-1.00 to +0.00)"]
    assert plan.said(rows, of="b", high="b")[0] == "+0.50 (-0.03 to +0.50)"


# What maps are called


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        (UP, UP, "informed"),
        (UP, CHANCE, "no better than loudness"),
        (UP, DOWN, "no better than loudness"),
        (CHANCE, UP, "uninformed"),
        (DOWN, UP, "uninformed"),
        (DOWN, DOWN, "uninformed"),
        ((0.1, 0.04, 0.05), UP, "uninformed"),  # below the level, not at it
        ((0.1, 0.04, 0.0499), UP, "informed"),
        ((0.0, 0.001, 0.01), UP, "uninformed"),
        ((NAN, NAN, NAN), UP, "uninformed"),
        (UP, (NAN, NAN, NAN), "no better than loudness"),
    ],
)
def test_what_a_runs_maps_are_called(a, b, kind):
    (found,) = plan.kinds(outcomes(("resnet18", 0, "x", a, b))).to_dict("records")
    assert found == {
        "run": "resnet18 0 x",
        "architecture": "resnet18",
        "seed": 0,
        "setting": "x",
        "kind": kind,
    }


def test_a_seed_that_repeats_is_judged_without_correction():
    again = (0.1, 0.04, NAN)
    found = plan.kinds(outcomes(("a", 1, "x", again, again), ("a", 2, "x", again, (0.1, 0.06, NAN))))
    assert found["kind"].tolist() == ["informed", "no better than loudness"]


def test_kinds_keep_the_order_of_the_runs():
    runs = [("b", 0, "y", UP, UP), ("a", 1, "x", DOWN, UP), ("a", 0, "x", UP, DOWN), ("b", 0, "x", UP, UP)]
    found = plan.kinds(outcomes(*runs))
    assert found["run"].tolist() == ["b 0 y", "a 1 x", "a 0 x", "b 0 x"]
    assert found["kind"].tolist() == ["informed", "uninformed", "no better than loudness", "informed"]
    assert set(plan.FAMILIES) == {*found["kind"], "undecided"}


@pytest.mark.parametrize(
    ("first", "others", "expected"),
    [
        ([INFORMED, INFORMED], [], INFORMED),
        ([NOTHING, NOTHING], [], NOTHING),
        ([NOTHING], [], "undecided"),  # one hop of two
        ([INFORMED, LOUD], [INFORMED, INFORMED], "undecided"),  # the hops disagree
        ([LOUD, LOUD], [LOUD, NOTHING], LOUD),  # two seeds of three
        ([LOUD, LOUD], [NOTHING, INFORMED], "undecided"),
        ([LOUD, LOUD], [NOTHING], "undecided"),  # one seed of two is not most
        ([LOUD, LOUD], [LOUD], LOUD),
        ([], [LOUD, LOUD], "undecided"),
        ([], [], "undecided"),
    ],
)
def test_the_verdict_is_what_hops_and_most_seeds_agree_on(first, others, expected):
    rows = [("resnet18", 0, kind) for kind in first]
    rows += [("resnet18", 1 + seed, kind) for seed, kind in enumerate(others)]
    rows += [("resnet101", 0, INFORMED), ("resnet101", 0, NOTHING), ("resnet101", 1, NOTHING)]
    kinds = pd.DataFrame(rows, columns=["architecture", "seed", "kind"])
    assert plan.verdict(kinds, "resnet18") == expected
    assert plan.verdict(kinds, "resnet101") == "undecided"


# Grad-CAM among other maps


def standing_rows() -> pd.DataFrame:
    rows = pd.DataFrame({"Grad-CAM": [0.4, 0.0, -0.2, NAN], "recording": [1, 2, 3, 4]})
    for name in (*nulls.NULLS, *controls.RIVALS, *plan.CEILINGS):
        rows[name] = 0.1
    for kind in nulls.NULLS:
        rows[f"{kind} below 0"] = 0.25
    rows["random nodes"] = [0.2, -0.1, -0.1, 0.5]
    rows["random nodes below 0"] = [0.1, 0.3, 0.8, 0.4]
    rows["loudness"] = [-0.3, 0.0, NAN, -0.4]
    rows["ceiling"] = NAN
    return rows


def test_grad_cams_standing_by_hand():
    table = plan.standing(standing_rows()).set_index("map")
    maps = ["Grad-CAM", *nulls.NULLS, *controls.RIVALS, "ceiling in nodes", "ceiling"]
    assert table.index.tolist() == maps
    names = ["clips", "NaN", "median", "below 0", "Grad-CAM higher"]
    expected = {
        "Grad-CAM": [3, 1, 0.0, 1 / 3, NAN],
        # a null's share is over all its maps; higher, higher, lower, no score
        "random nodes": [4, 0, 0.05, 0.4, 2 / 3],
        # a rival's share is over its scores; higher and tied
        "loudness": [3, 1, -0.3, 2 / 3, 0.75],
        "ceiling": [0, 4, NAN, NAN, NAN],
        "shifted": [4, 0, 0.1, 0.25, 1 / 3],
    }
    for name, numbers in expected.items():
        assert table.loc[name, names].tolist() == pytest.approx(numbers, nan_ok=True), name
    assert table.loc["Grad-CAM", ["low", "high"]].isna().all()
    assert table.loc["ceiling", ["low", "high"]].isna().all()
    own = table.loc["loudness", ["low", "high"]].tolist()
    assert own == pytest.approx(statistics.share([1, 0.5], [1, 2]))
    # all lower: the exact interval of three recordings
    rows = standing_rows().assign(shifted=0.9)
    low, high = plan.standing(rows).set_index("map").loc["shifted", ["low", "high"]]
    assert (low, high) == pytest.approx((0, 1 - 0.025 ** (1 / 3)))


def test_strata_by_hand():
    rows = pd.DataFrame(
        {
            "recording": [1, 1, 2, 3],
            "label": [0, 0, 1, 1],
            "predicted": [0, 1, 1, 0],
            "frames": [173, 80, 173, 90],
            "salience": ["foreground", "background", "foreground", "foreground"],
            "Grad-CAM": [0.4, 0.2, NAN, -0.1],
            "random nodes": [0.1, 0.1, 0.1, 0.1],
            "loudness": [0.5, 0.1, 0.2, NAN],
        }
    )
    table = plan.strata(rows, ["siren", "drill"])
    facts = ["group", "value", "clips", "recordings"]
    assert table[facts].to_numpy().tolist() == [
        ["all", "all clips", 4, 3],
        ["prediction", "right", 2, 2],
        ["prediction", "wrong", 2, 2],
        ["length", "longest", 2, 2],
        ["length", "padded more", 2, 2],
        ["salience", "background", 1, 1],
        ["salience", "foreground", 3, 3],
        ["class", "drill", 2, 2],
        ["class", "siren", 2, 1],
    ]
    assert list(table)[4:] == [
        *("median", "minus random nodes", "low random nodes", "high random nodes"),
        *("minus loudness", "low loudness", "high loudness"),
    ]
    assert table["median"].tolist() == pytest.approx([0.2, 0.4, 0.05, 0.4, 0.05, 0.2, 0.15, -0.1, 0.3])
    # a clip without a score on either side counts 0
    blind = [(0.3 + 0.1 - 0.2) / 4, 0.15, -0.05, 0.15, -0.05, 0.1, 0.1 / 3, -0.1, 0.2]
    assert table["minus random nodes"].tolist() == pytest.approx(blind)
    loud = [(-0.1 + 0.1) / 4, -0.05, 0.05, -0.05, 0.05, 0.1, -0.1 / 3, 0, 0]
    assert table["minus loudness"].tolist() == pytest.approx(loud, abs=1e-12)
    # of one recording: the estimate at both ends
    siren = table.iloc[-1]
    assert (siren["low random nodes"], siren["high random nodes"]) == pytest.approx((0.2, 0.2))
    whole = statistics.interval(np.mean, np.array([0.3, 0.1, 0, -0.2]), rows["recording"], draws=1000)
    assert tuple(table.loc[0, ["low random nodes", "high random nodes"]]) == pytest.approx(whole)


# Depth


def test_depth_is_the_deep_networks_score_minus_the_shallow_ones():
    rows = deep_rows(
        a={"resnet18": [0.5, 0.1, 0.3], "resnet101": [0.1, 0.2, NAN]},
        b={"resnet18": [0.5, 0.1, 0.3]},
        c={"resnet101": [0.4, 0.4], "resnet18": [0.1, 0.2]},
    )
    found = plan.depth(rows.sample(frac=1, random_state=0).sort_values("setting", kind="stable"))
    assert found["setting"].tolist() == ["a", "c"]
    first, second = found.to_dict("records")
    # a clip without a score counts as no difference
    assert first["mean"] == pytest.approx((-0.4 + 0.1 + 0) / 3)
    assert (first["clips"], first["nan"], second["clips"]) == (3, 1, 2)
    assert second["mean"] == pytest.approx(0.25)
    expected = statistics.difference([-0.4, 0.1, NAN], [0, 1, 2])
    assert first == {"setting": "a"} | {name: pytest.approx(value) for name, value in expected.items()}


def test_without_both_networks_there_is_no_depth():
    assert plan.depth(deep_rows(a={"resnet18": [0.5, 0.1]}, b={"resnet101": [0.5]})).empty
