"""The specification curve, and the sign that ignorance gets."""

import itertools

import numpy as np
import pandas as pd
import pytest

from helpers import study, tables
from helpers.experiments import specifications
from helpers.findings import curve, statistics
from tests.unit.findings.made import NAN

pytestmark = pytest.mark.usefixtures("few")


# One specification


def specified(scores: list[float], null: list[list[float]], *, ceiling: float = NAN, **choices) -> pd.DataFrame:
    """The rows of one specification, a clip of its own recording each."""
    own = dict.fromkeys(specifications.CHOICES, "x") | choices
    blind = pd.DataFrame(null).rename(columns=lambda k: f"null {k}")
    rows = pd.DataFrame({"score": scores}).assign(**own, recording=range(len(scores)), ceiling=ceiling)
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


def test_the_curve_of_a_run_is_kept_as_its_table_is_declared(monkeypatch, tmp_path):
    rows = pd.concat([specified([0.3, NAN, 0.1], [[0.0, 0.2]] * 3), specified([NAN] * 3, [[NAN]] * 3, layer="y")])
    monkeypatch.setattr(type(specifications.SPECIFICATIONS), "read", lambda self, run: rows)
    curve._make("a run", tmp_path / "curve.csv")
    kept = tables.CURVE.validate(pd.read_csv(tmp_path / "curve.csv"), "curve.csv")
    pd.testing.assert_frame_equal(kept, curve.curve(rows))
    assert curve.CURVE.inputs == (specifications.SPECIFICATIONS,)


def test_the_share_of_random_maps_below_zero_can_be_counted_from_their_raw_scores(many, monkeypatch, tmp_path):
    own = {"layer": "layer4[-1]", "explained": "predicted", "scored": "explained", "baseline": "uniform"}
    own["effect"] = next(iter(specifications.EFFECTS))
    scores = [[-0.1, 0.2, NAN], [-0.3, -0.4, NAN], [0.1, 0.2, NAN]]  # half of six lie below 0
    rows = pd.concat(
        [
            specified([0.1] * 3, scores, **own, blocks="rank"),
            specified([0.1] * 3, [[0.5] * 3] * 3, **own, blocks="frame"),
            specified([0.1] * 3, [[-0.5] * 3] * 3, **own | {"layer": "layer3[-1]"}, blocks="rank"),
        ]
    ).assign(clip="a.wav")
    monkeypatch.setattr(type(specifications.SPECIFICATIONS), "read", lambda self, run: rows)
    curve._rank_nulls("a run", tmp_path / "kept.csv")
    kept = tables.RANK_NULLS.validate(pd.read_csv(tmp_path / "kept.csv"), "rank-nulls.csv")
    assert (len(kept), set(kept["blocks"])) == (6, {"rank"})
    monkeypatch.setattr(type(curve.RANK_NULLS), "read", lambda self, run: kept)
    found = curve.counted(study.Run()).iloc[0]
    assert (found["maps"], found["below 0"]) == (6, 0.5)
    whole = curve.curve(rows)
    said = curve.ignorance(whole.assign(run="x")).iloc[0]
    assert found[["below 0", "low", "high"]].tolist() == pytest.approx(said[["below 0", "low", "high"]].tolist())


# The thesis's own specification


def factorial() -> pd.DataFrame:
    """Every combination of the choices of a network and of a score."""
    values = {"hop_length": (1024, 512, 441), "padding": ("zero", "minimum", "repeat_frames")}
    values |= {"scaling": ("raw", "standardised"), "layer": ("layer4[-1]", "layer4[-1].conv", "layer3[-1]")}
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


def test_choices_may_be_left_open():
    found = factorial()[curve.thesis_own(factorial(), but=["padding", "blocks"])]
    kept = found[["padding", "blocks"]].drop_duplicates()
    assert len(found) == len(kept) == 6
    assert set(found["hop_length"]) == {1024}


def test_paddings_differ_in_nothing_but_the_padding():
    table = pd.concat([factorial(), factorial().assign(architecture="resnet101")], ignore_index=True)
    table["run"] = table["architecture"] + " " + table["padding"]
    table = table.assign(estimate=0.5, low=0.4, high=0.6, null_low=-0.1, null_high=0.2)
    repeated = table["padding"] == "repeat_frames"
    table.loc[repeated & curve.thesis_own(table.assign(padding="zero")), "estimate"] = -0.3
    guesses = {"run": ["resnet18 zero"] * 2 + ["resnet18 repeat_frames"], "label": [1, 2, 3]}
    predictions = pd.DataFrame(guesses | {"predicted": [1, 0, 3]})
    found = curve.paddings(table, predictions)
    assert found["blocks"].tolist() == ["frame"] * 3 + ["rank"] * 3
    assert found["padding"].tolist() == ["minimum", "repeat_frames", "zero"] * 2
    assert found["accuracy"].fillna(-1).tolist() == [-1, 1, 0.5] * 2
    assert found["median score"].tolist() == ["+0.50 (+0.40 to +0.60)"] * 4 + [
        "-0.30 (+0.40 to +0.60)",
        "+0.50 (+0.40 to +0.60)",
    ]
    assert set(found["maps that know nothing"]) == {"-0.10 to +0.20"}
    deep = curve.paddings(table, predictions, architecture="resnet101")
    assert deep["accuracy"].isna().all()


# Of many specifications


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


def signs_at(*rows: tuple[str, int, float, float, float], **choices: object) -> pd.DataFrame:
    """Recorded specifications as the thesis has them: (architecture, hop, share below 0, low, high) each."""
    heads = ("architecture", "hop_length", "null_below_0", "null_below_0_low", "null_below_0_high")
    own = {"layer": "layer4[-1]", "explained": "predicted", "scored": "explained", "blocks": "rank"}
    own |= {"baseline": "uniform", "seed": 0, "padding": "zero", "scaling": "raw"}
    own["effect"] = next(iter(specifications.EFFECTS))
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
    other = signs_at(("resnet18", 1024, 0.9, 0.8, 1.0), padding="repeat_frames")
    text = curve.reading(pd.concat([signs_at(*rows), other]))
    assert text.endswith(end)
    if rows:
        assert f"{rows[0][2]:.0%} ({rows[0][3]:.0%} to {rows[0][4]:.0%}) for ResNet18 at hop 1024" in text
    assert "90%" not in text
