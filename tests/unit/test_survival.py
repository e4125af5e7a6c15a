"""The planned tests, what a network's maps are called by their rule, and the specification curve."""

import itertools

import numpy as np
import pandas as pd
import pytest

from helpers import study
from helpers.experiments import controls, specifications
from helpers.findings import answer, curve, plan, statistics
from helpers.maps import nulls

NAN = float("nan")
pytestmark = pytest.mark.usefixtures("few")


# The planned tests


def planned(*runs: tuple[str, int, str], lead: float = 0.2, clips: int = 8) -> pd.DataFrame:
    """Scores of the clips of some runs, (architecture, seed, setting) each; the lead falls run by run."""
    parts = []
    for number, (architecture, seed, setting) in enumerate(runs):
        random = np.random.default_rng(number)
        own = random.uniform(-0.5, 0.5, clips)
        parts.append(
            pd.DataFrame(
                {
                    "run": f"{architecture} seed={seed} {setting}",
                    "architecture": architecture,
                    "seed": seed,
                    "setting": setting,
                    "fsID": np.arange(clips),
                    "Grad-CAM": own,
                    "random nodes": own - lead / (1 + number) + random.normal(0, 0.05, clips),
                    "loudness": own + random.normal(0, 0.2, clips),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


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
        expected = statistics.difference(own["Grad-CAM"] - own[row["minus"]], own["fsID"])
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


# What maps are called


def outcomes(*runs: tuple) -> pd.DataFrame:
    """Planned tests: (architecture, seed, setting, (mean, p, p_holm) of A, the same of B) each."""
    rows = [
        (f"{a} {seed} {setting}", a, seed, setting, comparison, *numbers)
        for a, seed, setting, *both in runs
        for comparison, numbers in zip("AB", both, strict=True)
    ]
    names = ["run", "architecture", "seed", "setting", "comparison", "mean", "p", "p_holm"]
    return pd.DataFrame(rows, columns=names)


UP, DOWN = (0.1, 0.001, 0.01), (-0.1, 0.001, 0.01)
CHANCE = (0.1, 0.04, 0.06)  # above 0 before the correction only


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


INFORMED, LOUD, NOTHING = plan.FAMILIES[:3]


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
    rows = pd.DataFrame({"Grad-CAM": [0.4, 0.0, -0.2, NAN], "fsID": [1, 2, 3, 4]})
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
            "fsID": [1, 1, 2, 3],
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
    whole = statistics.interval(np.mean, np.array([0.3, 0.1, 0, -0.2]), rows["fsID"], draws=1000)
    assert tuple(table.loc[0, ["low random nodes", "high random nodes"]]) == pytest.approx(whole)


# The specification curve


def specified(
    scores: list[float], null: list[list[float]], *, ceiling: float = NAN, **choices
) -> pd.DataFrame:
    """The rows of one specification, a clip of its own recording each."""
    own = dict.fromkeys(specifications.CHOICES, "x") | choices
    blind = pd.DataFrame(null).rename(columns=lambda k: f"null {k}")
    rows = pd.DataFrame({"score": scores}).assign(**own, fs_id=range(len(scores)), ceiling=ceiling)
    return pd.concat([rows, blind], axis=1)


def one(scores: list[float], null: list[list[float]], **options) -> dict:
    (row,) = curve.curve(specified(scores, null), draws=300, **options).to_dict("records")
    return row


@pytest.fixture
def many(monkeypatch):
    """As many bootstrap draws as the curve asks for."""
    monkeypatch.undo()


SPREAD = [[-0.1, 0.0, 0.1, 0.2]] * 9


@pytest.mark.parametrize(
    ("scores", "sign"),
    [
        ([-0.5, -0.4, -0.6] * 3, "negative"),
        ([0.5, 0.4, 0.6] * 3, "positive"),
        ([-0.5, 0.4, 0.6] * 3, "around 0"),
        ([-0.5, NAN, -0.6] * 3, "negative"),
        ([0.0] * 9, "around 0"),
        ([NAN] * 9, "around 0"),
    ],
)
def test_the_sign_is_that_of_the_whole_interval(many, scores, sign):
    row = one(scores, SPREAD)
    assert row["sign"] == sign
    if sign != "around 0":
        assert row["low"] <= row["estimate"] <= row["high"]


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (-0.3, "below null"),
        (-0.05, "below null"),
        (0.0, "within null"),
        (0.1, "within null"),
        (0.15, "above null"),
        (NAN, "within null"),
    ],
)
def test_the_null_is_the_median_of_clips_whose_maps_know_nothing(many, score, verdict):
    # each clip's null map scores 0 or 0.1: of nine clips the median is 0 or 0.1
    row = one([score] * 9, [[0.0, 0.1]] * 9)
    assert (row["null_low"], row["null_high"]) == (0, 0.1)
    assert row["null"] in (0, 0.1)
    assert row["null_verdict"] == verdict


def test_a_null_map_is_drawn_for_every_clip_alone(many):
    # each clip has one map of four at -1, and two of three must draw theirs: 3 x 3 / 64 + 1 / 64 = 16 %, more
    # than 2.5 %; were one number drawn for all clips, it would never be
    null = [[-1, 1, 1, 1], [1, -1, 1, 1], [1, 1, -1, 1]]
    row = one([0, 0, 0], null)
    assert (row["null_low"], row["null"], row["null_high"]) == (-1, 1, 1)
    # 13 of 25 clips draw theirs in 3 samples of 1000; were one number drawn for all, in 250
    row = one([0] * 25, [[-1, 1, 1, 1]] * 25)
    assert (row["null_low"], row["null"], row["null_high"]) == (1, 1, 1)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_an_estimate_by_hand(many):
    null = [[-0.1, 0.1, NAN], [-0.1, -0.2, NAN], [0.0, 0.1, 0.2], [NAN, NAN, NAN]]
    rows = specified([0.4, -0.2, NAN, 0.1], null, ceiling=0.9, layer="layer4[-1]", blocks="rank")
    rows.loc[0, "ceiling"] = 0.3
    (row,) = curve.curve(rows, draws=50).to_dict("records")
    assert {name: row[name] for name in specifications.CHOICES} == {
        **dict.fromkeys(specifications.CHOICES, "x"),
        "layer": "layer4[-1]",
        "blocks": "rank",
    }
    assert (row["clips"], row["nan"], row["estimate"]) == (4, 1, 0.1)
    assert row["below_0"] == pytest.approx(1 / 3)
    # shares of maps below 0: 1/2, 1, 0, none known
    assert row["null_below_0"] == pytest.approx(0.5)
    low, high = statistics.interval(np.mean, np.array([0.5, 1, 0]), [0, 1, 2], draws=50)
    assert (row["null_below_0_low"], row["null_below_0_high"]) == (low, high)
    assert row["ceiling"] == 0.9
    low, high = statistics.interval(np.median, np.array([0.4, -0.2, 0.1]), [0, 1, 3], draws=50)
    assert (row["low"], row["high"]) == (low, high)
    assert set(row) == {
        *specifications.CHOICES,
        *("clips", "nan", "estimate", "low", "high", "below_0", "null_low", "null", "null_high"),
        *("null_below_0", "null_below_0_low", "null_below_0_high", "ceiling", "sign", "null_verdict"),
    }


def test_the_curve_rises_and_keeps_specifications_apart():
    parts = [specified([m - 0.1, m, m + 0.1], [[0.0]] * 3, blocks=b) for b, m in (("a", 0.3), ("b", -0.5))]
    parts.append(specified([0.1, 0.1, 0.1], [[0.0]] * 3, blocks="a", layer="y"))
    table = curve.curve(pd.concat(parts).sample(frac=1, random_state=0), draws=30)
    assert table["estimate"].tolist() == [-0.5, 0.1, 0.3]
    assert table["blocks"].tolist() == ["b", "a", "a"]
    assert table["layer"].tolist() == ["x", "y", "x"]
    assert table.index.tolist() == [0, 1, 2]


def test_few_null_maps_of_one_specification_are_enough(many):
    # blocks by rank have three, one block per frame twenty: the others are empty
    table = curve.curve(
        pd.concat(
            [
                specified([0.1] * 5, [[0.0] * 20] * 5, blocks="frame"),
                specified([-0.1] * 5, [[0.2, 0.2, 0.2]] * 5, blocks="rank"),
            ]
        ),
        draws=30,
    )
    assert table["null"].tolist() == [0.2, 0.0]
    assert table["null_low"].tolist() == [0.2, 0.0]


# The thesis's own specification


def factorial() -> pd.DataFrame:
    """Every combination of the choices of a network and of a score."""
    values = {name: study.CHOICES[name] for name in ("hop_length", "padding", "scaling", "layer")}
    values |= {"explained": ("predicted", "true"), "scored": ("explained", "true"), "seed": (0, 1)}
    values |= {"effect": list(specifications.EFFECTS), "blocks": ("rank", "frame")}
    values |= {"baseline": ("uniform", "zero"), "architecture": ("resnet18",)}
    return pd.DataFrame(itertools.product(*values.values()), columns=list(values))


def test_one_row_of_all_is_the_thesiss_own():
    table = factorial()
    own = curve.thesis_own(table)
    assert own.dtype == bool
    assert own.index.equals(table.index)
    assert own.sum() == 1
    assert table[own].iloc[0].to_dict() == {
        **{"hop_length": 1024, "padding": "zero", "scaling": "raw", "layer": "layer4[-1]"},
        **{"explained": "predicted", "scored": "explained", "seed": 0, "effect": "squared change of p"},
        **{"blocks": "rank", "baseline": "uniform", "architecture": "resnet18"},
    }


def test_the_architecture_is_not_among_the_choices_and_columns_may_be_missing():
    table = pd.concat([factorial(), factorial().assign(architecture="resnet101")])
    assert curve.thesis_own(table).sum() == 2
    few = factorial()[specifications.CHOICES].drop_duplicates()
    assert curve.thesis_own(few).sum() == 1


def test_paddings_differ_in_nothing_but_the_padding():
    table = pd.concat([factorial(), factorial().assign(architecture="resnet101")], ignore_index=True)
    table["run"] = table["architecture"] + " " + table["padding"]
    table = table.assign(estimate=0.5, low=0.4, high=0.6, null_low=-0.1, null_high=0.2)
    repeated = table["padding"] == "repeat"
    table.loc[repeated & curve.thesis_own(table.assign(padding="zero")), "estimate"] = -0.3
    guesses = {"run": ["resnet18 zero"] * 2 + ["resnet18 repeat"], "label": [1, 2, 3], "predicted": [1, 0, 3]}
    found = curve.paddings(table, pd.DataFrame(guesses))
    assert found["blocks"].tolist() == ["frame"] * 3 + ["rank"] * 3
    assert found["padding"].tolist() == ["minimum", "repeat", "zero"] * 2
    assert found["accuracy"].fillna(-1).tolist() == [-1, 1, 0.5] * 2
    assert found["median score"].tolist() == ["+0.50 (+0.40 to +0.60)"] * 4 + [
        "-0.30 (+0.40 to +0.60)",
        "+0.50 (+0.40 to +0.60)",
    ]
    assert set(found["maps that know nothing"]) == {"-0.10 to +0.20"}


# Of many specifications


def test_a_number_is_said_with_its_interval():
    rows = pd.DataFrame({"mean": [0.124, -1.0], "low": [-0.03, -1.0], "high": [0.27, 0.0], "b": [0.5, NAN]})
    assert plan.said(rows) == ["+0.12 (-0.03 to +0.27)", "-1.00 (-1.00 to +0.00)"]
    assert plan.said(rows, of="b", high="b")[0] == "+0.50 (-0.03 to +0.50)"


def test_shares_are_read_in_three_columns():
    table = pd.DataFrame(
        [("a", "negative", "below null"), ("a", "positive", "within null"), ("b", "around 0", "above null")],
        columns=["layer", "sign", "null_verdict"],
    )
    found = curve.percentages(curve.shares(table, by=["layer"]))
    assert list(found)[:2] == ["layer", "specifications"]
    assert found.iloc[:, 2:].to_numpy().tolist() == [
        ["50% / 0% / 50%", "50% / 50% / 0%", "50%"],
        ["0% / 100% / 0%", "0% / 0% / 100%", "0%"],
    ]
    assert curve.percentages(curve.shares(table[:0], by=["layer"])).empty


def test_shares_by_hand():
    rows = [
        ("b", "rank", "negative", "below null"),
        ("b", "rank", "negative", "within null"),
        ("b", "rank", "around 0", "below null"),
        ("b", "rank", "positive", "above null"),
        ("a", "rank", "positive", "above null"),
        ("a", "frame", "negative", "below null"),
    ]
    table = pd.DataFrame(rows, columns=["layer", "blocks", "sign", "null_verdict"])
    found = curve.shares(table, by=["layer"])
    first, second = found.to_dict("records")
    assert first == {
        **{"layer": "b", "specifications": 4, "negative": 0.5, "around 0": 0.25, "positive": 0.25},
        **{"below null": 0.5, "within null": 0.25, "above null": 0.25, "negative and below null": 0.25},
    }
    assert (second["layer"], second["specifications"], second["negative and below null"]) == ("a", 2, 0.5)
    assert found["specifications"].dtype == int
    assert list(curve.shares(table[:0], by=["layer"])) == list(found)  # a network without specifications
    both = curve.shares(table, by=["blocks", "layer"])
    assert both[["blocks", "layer", "specifications"]].to_numpy().tolist() == [
        ["rank", "b", 4],
        ["rank", "a", 1],
        ["frame", "a", 1],
    ]


@pytest.mark.parametrize(
    ("low", "high", "sign"),
    [
        (0.51, 0.8, "negative"),
        (0.2, 0.49, "positive"),
        (0.4, 0.6, "either"),
        (0.5, 0.7, "either"),
        (0.3, 0.5, "either"),
        (NAN, NAN, "either"),
    ],
)
def test_what_maps_that_know_nothing_say_with_the_thesiss_blocks(low, high, sign):
    table = factorial().assign(run=lambda t: "hop " + t["hop_length"].astype(str))
    table = table[(table["padding"] == "zero") & (table["scaling"] == "raw") & (table["seed"] == 0)]
    own = curve.thesis_own(table.assign(hop_length=1024))
    table["null_below_0"] = np.where(own, 0.6, 0.1)
    table["null_below_0_low"] = np.where(own, low, 0.9)
    table["null_below_0_high"] = np.where(own, high, 0.95)
    found = curve.ignorance(table)
    assert list(found) == ["run", "below 0", "low", "high", "sign"]
    assert found["run"].tolist() == ["hop 1024", "hop 512", "hop 441"]
    assert found["below 0"].tolist() == [0.6] * 3
    assert found["sign"].tolist() == [sign] * 3


# What each claim comes to


def deep_rows(**scores: dict[str, list[float]]) -> pd.DataFrame:
    """deep_rows(setting={"resnet18": scores, "resnet101": scores}): a clip of its own recording each."""
    rows = [
        (setting, architecture, f"{i}.wav", i, score)
        for setting, own in scores.items()
        for architecture, values in own.items()
        for i, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["setting", "architecture", "clip", "fsID", "Grad-CAM"])


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


@pytest.fixture
def claimed(monkeypatch):
    """What claims come to: claimed({claim: verdicts}, kinds=..., lead=..., table=...)."""

    def claims(of: dict[str, list[str]], *, kinds=("undecided", "undecided"), lead=(), table=None) -> dict:
        lead = pd.DataFrame(lead, columns=["setting", "mean", "low", "high", "p"])
        named = dict(zip(("resnet18", "resnet101"), kinds, strict=True))
        monkeypatch.setattr(plan, "primary", lambda rows: rows)
        monkeypatch.setattr(plan, "kinds", lambda tests: tests)
        monkeypatch.setattr(plan, "verdict", lambda kinds, name: named[name])
        monkeypatch.setattr(plan, "depth", lambda rows: lead)
        rows = [
            (claim, f"says {claim}", "resnet101" if claim.startswith("R101") else "resnet18", verdict)
            for claim, verdicts in of.items()
            for verdict in verdicts
        ]
        verdicts = pd.DataFrame(rows, columns=["claim", "statement", "network", "verdict"])
        if table is None:
            table = signs_of("resnet18", [])
        found = answer.claims(verdicts, pd.DataFrame(), table)
        assert list(found) == ["claim", "statement", "before controls", "end", "why"]
        assert found["claim"].tolist() == list(of)
        assert set(found["end"]) <= set(answer.ENDS)
        return found.set_index("claim").to_dict("index")

    return claims


THESIS_EFFECT = next(iter(specifications.EFFECTS))


def signs_of(architecture: str, own: list[tuple[str, str]], *, effect=THESIS_EFFECT, blocks="rank"):
    """A curve of one network: sign and null verdict of each specification."""
    table = pd.DataFrame(own, columns=["sign", "null_verdict"])
    return table.assign(architecture=architecture, effect=effect, blocks=blocks)


YES, NO, MAYBE = "reproduced", "contradicted", "undecided"


@pytest.mark.parametrize(
    ("verdicts", "end", "why"),
    [
        ([YES, YES], "survives", "Reproduced in all 2 settings."),
        ([NO, NO, MAYBE], "does not survive", "Contradicted in 2 of 3 settings, never reproduced."),
        ([YES, NO], "undecided", "The settings disagree"),
        ([NO, MAYBE], "undecided", "The settings disagree"),  # half is no majority
        ([YES, MAYBE], "undecided", "The settings disagree"),
        ([MAYBE], "undecided", "The settings disagree"),
        (["not testable here", YES], "not testable here", "No recorded run can say it."),
    ],
)
def test_where_scores_lie_is_the_ledgers_to_say(claimed, verdicts, end, why):
    found = claimed({"R18-mode": verdicts})["R18-mode"]
    assert found["end"] == end
    assert found["why"].startswith(why)
    assert found["statement"] == "says R18-mode"


def test_what_was_said_before_is_counted(claimed):
    found = claimed({"R18-mode": [NO, YES, NO], "R18-median": [MAYBE]})
    assert found["R18-mode"]["before controls"] == "contradicted in 2, reproduced in 1"
    assert found["R18-median"]["before controls"] == "undecided in 1"


BELOW, WITHIN = ("negative", "below null"), ("negative", "within null")
ABOVE = ("positive", "above null")


@pytest.mark.parametrize(
    ("verdicts", "own", "end"),
    [
        ([YES, YES], [BELOW, BELOW, ABOVE], "survives"),
        ([YES, YES], [BELOW, WITHIN, WITHIN], "undecided"),  # negative, but as maps that know nothing
        ([YES, YES], [BELOW, ABOVE], "undecided"),  # half is no majority
        ([YES, NO], [BELOW, BELOW], "undecided"),
        ([NO, NO], [BELOW, ABOVE, ABOVE], "does not survive"),
        ([NO, MAYBE], [ABOVE], "does not survive"),
        ([NO, NO], [BELOW, ABOVE], "undecided"),
        ([NO, YES], [ABOVE, ABOVE], "undecided"),
        ([NO, NO], [], "does not survive"),  # without specifications the ledger alone
        ([YES, YES], [], "survives"),
    ],
)
def test_most_are_below_zero_needs_specifications_below_their_null(claimed, verdicts, own, end):
    others = [
        signs_of("resnet18", [ABOVE] * 20 if end == "survives" else [BELOW] * 20, blocks="frame"),
        signs_of("resnet18", [BELOW] * 20, effect="loss after - before"),
        signs_of("resnet101", [BELOW] * 20),
    ]
    found = claimed({"R18-sign": verdicts}, table=pd.concat([signs_of("resnet18", own), *others]))["R18-sign"]
    assert found["end"] == end
    if own:
        below = sum(pair == BELOW for pair in own) / len(own)
        assert f"of {len(own)} specifications" in found["why"]
        assert f"{below:.0%} negative and below their null" in found["why"]


@pytest.mark.parametrize(
    ("lead", "end"),
    [
        ([("x", -0.1, -0.2, -0.05, 0.01), ("y", -0.2, -0.3, -0.1, 0.04)], "survives"),
        ([("x", -0.1, -0.2, -0.05, 0.01), ("y", -0.2, -0.5, 0.1, 0.05)], "undecided"),
        ([("x", -0.1, -0.2, -0.05, 0.01), ("y", 0.2, 0.1, 0.3, 0.001)], "undecided"),
        ([("x", 0.1, 0.05, 0.2, 0.001), ("y", -0.2, -0.5, 0.1, 0.2)], "does not survive"),
        ([], "not testable here"),
    ],
)
@pytest.mark.parametrize("claim", ["depth", "depth-share"])
def test_depth_survives_where_deeper_is_lower_at_every_hop(claimed, claim, lead, end):
    found = claimed({claim: [NO]}, lead=lead)[claim]
    assert found["end"] == end
    if lead:
        assert "x: mean difference " + f"{lead[0][1]:+.2f}" in found["why"]


@pytest.mark.parametrize(
    ("kinds", "end"),
    [
        ((NOTHING, NOTHING), "survives"),
        ((LOUD, LOUD), "survives in part"),
        ((INFORMED, INFORMED), "does not survive"),
        ((INFORMED, NOTHING), "undecided"),
        ((LOUD, "undecided"), "undecided"),
        (("undecided", "undecided"), "undecided"),
    ],
)
def test_the_thesiss_verdict_is_what_both_networks_maps_are_called(claimed, kinds, end):
    found = claimed({"verdict": [NO]}, kinds=kinds)["verdict"]
    assert found["end"] == end
    assert found["why"] == f"Maps by the planned rule: ResNet18: {kinds[0]}; ResNet101: {kinds[1]}."


def test_every_family_has_an_end_and_a_sentence():
    assert set(answer.PLAIN) == set(plan.FAMILIES)


def within(*runs: tuple[str, str, float]) -> pd.DataFrame:
    """Rows of the first seed: (architecture, setting, lead over random maps within the sound) each."""
    parts = []
    for architecture, setting, lead in runs:
        rows = planned((architecture, 0, setting), lead=lead, clips=20)
        names = {f"{name} inside": rows[name] for name in ("Grad-CAM", "random nodes", "loudness")}
        # scores of all frames do not matter here
        parts.append(rows.assign(**names, **{"Grad-CAM": -1.0}))
    return pd.concat(parts, ignore_index=True)


def test_scores_within_the_sound_take_the_place_of_all():
    rows = within(("resnet18", "x", 0.2))
    found = plan.inside(rows)
    for name in ("Grad-CAM", "random nodes", "loudness"):
        assert found[name].tolist() == rows[f"{name} inside"].tolist()
    assert plan.primary(found)["mean"][0] == pytest.approx(0.2, abs=0.05)
    assert plan.primary(rows)["mean"][0] != pytest.approx(0.2, abs=0.05)


def test_the_answer_in_plain_words_has_an_entry_per_network(monkeypatch):
    one, two = ("resnet101", 0, "x", UP, UP), ("resnet18", 0, "x", DOWN, UP)
    again = [(*row[:2], "y", *row[3:]) for row in (one, two)]
    kinds = plan.kinds(outcomes(one, two, *again, ("resnet101", 1, "x", UP, UP)))
    monkeypatch.setattr(plan, "kinds", lambda tests: kinds)
    rows = within(*[(name, hop, 0.3) for name in ("resnet101", "resnet18") for hop in "xy"])
    other = within(("resnet18", "z", 0.3)).assign(seed=1, **{"Grad-CAM inside": -2.0})
    first, second = answer.plain(pd.concat([rows, other])).splitlines()
    assert first == f"- **ResNet101**: Grad-CAM {answer.PLAIN['informed']}. {answer.WITHIN['all']}"
    assert second == f"- **ResNet18**: Grad-CAM {answer.PLAIN['uninformed']}. {answer.WITHIN['all']}"


@pytest.mark.parametrize(
    ("leads", "where"), [((0.3, 0.3), "all"), ((0.3, -0.3), "some"), ((-0.3, 0.0), "none"), ((0.3,), "all")]
)
def test_where_the_lead_is_within_the_sound_is_said_in_plain_words(leads, where):
    rows = within(*[("resnet18", hop, lead) for hop, lead in zip("xyz", leads, strict=False)])
    assert answer.plain(rows).endswith(answer.WITHIN[where])


def test_the_sheet_has_the_tests_of_the_first_seed_and_the_ends(monkeypatch):
    row = {"seed": 0, "setting": "seed=0 hop_length=512", "architecture": "resnet18", "comparison": "B"}
    row |= {"mean": -0.126, "low": -0.2, "high": 0.0, "superiority": 0.25, "clips": 40}
    first = row | {"comparison": "A", "mean": 0.5, "low": 0.4, "high": 0.6, "superiority": 0.9}
    rows = [row, first, row | {"seed": 1, "mean": 7}]
    monkeypatch.setattr(plan, "primary", lambda rows_: pd.DataFrame(rows))
    monkeypatch.setattr(answer, "plain", lambda rows: "- plain")
    monkeypatch.setattr(curve, "reading", lambda table: "the sign")
    ends = pd.DataFrame({"statement": ["A.", "B.", "C."], "end": ["survives", "undecided", "survives"]})
    monkeypatch.setattr(answer, "claims", lambda *given: ends)
    lines = answer.sheet(pd.DataFrame(), pd.DataFrame(), pd.DataFrame()).splitlines()
    assert "| ResNet18 | 512 | +0.50 (+0.40 to +0.60) | 90% | -0.13 (-0.20 to +0.00) | 25% |" in lines
    assert not [line for line in lines if "+7.00" in line]
    assert lines[-2:] == ["- *survives*: A. C.", "- *undecided*: B."]
    assert {"- plain", "the sign"} <= set(lines)


def signs_at(*rows: tuple[str, int, float, float, float], **choices: object) -> pd.DataFrame:
    """Recorded specifications as the thesis has them: (architecture, hop, share below 0, low, high) each."""
    heads = ("architecture", "hop_length", "null_below_0", "null_below_0_low", "null_below_0_high")
    own = {"layer": "layer4[-1]", "explained": "predicted", "scored": "explained", "blocks": "rank"}
    own |= {"baseline": "uniform", "effect": THESIS_EFFECT, "seed": 0, "padding": "zero", "scaling": "raw"}
    table = pd.DataFrame(rows, columns=heads)
    return table.assign(run=table["architecture"], **(own | choices))


@pytest.mark.parametrize(
    ("rows", "end"),
    [
        ([("resnet18", 1024, 0.5, 0.4, 0.6), ("resnet18", 512, 0.5, 0.4, 0.6)], "map survives."),
        ([("resnet18", 1024, 0.5, 0.4, 0.6), ("resnet18", 512, 0.7, 0.6, 0.8)], "map does not survive."),
        ([("resnet18", 1024, 0.7, 0.6, 0.8)], "map is undecided: not both hops are recorded."),
        ([], "map is undecided: not both hops are recorded."),
    ],
)
def test_the_reading_of_the_sign_follows_the_plan(rows, end):
    other = signs_at(("resnet18", 1024, 0.9, 0.8, 1.0), padding="repeat")
    text = curve.reading(pd.concat([signs_at(*rows), other]))
    assert text.endswith(end)
    if rows:
        assert f"{rows[0][2]:.0%} ({rows[0][3]:.0%} to {rows[0][4]:.0%}) for ResNet18 at hop 1024" in text
    assert "90%" not in text


def test_a_run_has_a_short_name():
    rows = pd.DataFrame({"architecture": ["resnet18"], "setting": ["seed=1 hop_length=512"], "seed": [1]})
    assert plan.names(rows).tolist() == ["ResNet18, 512, 1"]
