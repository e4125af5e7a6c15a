"""The thesis's claims and the rule that a run is held against."""

import re

import numpy as np
import pandas as pd
import pytest

from helpers import InputError, study
from helpers.findings import ledger, statistics

NAN = float("nan")
SETTING = "seed=0 hop_length=1024"
KEYS = {"id", "section", "network", "claim", "thesis", "statistic", "between", "holds", "why", "figure"}


@pytest.fixture
def interval(monkeypatch):
    """Sets the interval's ends: interval(0.1, 0.2)."""

    def fix(low: float, high: float) -> None:
        monkeypatch.setattr(statistics, "interval", lambda *given, **options: (low, high))

    return fix


@pytest.fixture
def claim(monkeypatch):
    """Makes one claim the only one: claim(statistic="accuracy")."""

    def only(**changed: object) -> dict:
        entry = {
            "id": "X",
            "section": "9",
            "claim": "A claim.",
            "network": "resnet18",
            "thesis": "a half",
            "statistic": "share below 0",
            "between": None,
            "holds": [0.5, None],
            "why": None,
            "figure": "fig:x",
        } | changed
        monkeypatch.setattr(ledger, "claims", lambda: pd.DataFrame([entry]))
        return entry

    return only


def scores_of(
    values: list[float],
    *,
    architecture: str = "resnet18",
    setting: str = SETTING,
    specification: str = "draws",
    clips: list[int] | None = None,
) -> pd.DataFrame:
    """Scores of a run; two clips are cut from each recording."""
    numbers = list(range(len(values))) if clips is None else clips
    return pd.DataFrame(
        {
            "run": f"{architecture} {setting}",
            "architecture": architecture,
            "specification": specification,
            "clip": [f"{100 + n // 2}-0-0-{n}.wav" for n in numbers],
            "recording": [100 + n // 2 for n in numbers],
            "score": values,
        }
    )


NOBODY = pd.DataFrame(columns=["run", "recording", "label", "predicted"])


def held(rows: pd.DataFrame, *, predictions: pd.DataFrame = NOBODY) -> pd.DataFrame:
    return ledger.verdicts(rows, predictions, data="UrbanSound8K", source="two tables")


def row_of(rows: pd.DataFrame, **options: pd.DataFrame) -> dict:
    (row,) = held(rows, **options).to_dict("records")
    return row


# The rule


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.501, 0.999, "reproduced"),
        (0.6, 0.9, "reproduced"),
        (0.5, 1.0, "undecided"),  # the ends of the range do not belong to it
        (0.5, 0.5, "contradicted"),
        (0.499, 1.0, "undecided"),
        (0.5, 1.001, "undecided"),
        (0.4, 1.1, "undecided"),
        (0.2, 0.5, "contradicted"),
        (1.0, 1.2, "contradicted"),
        (0.2, 0.499, "contradicted"),
        (1.001, 1.2, "contradicted"),
    ],
)
def test_the_rule_at_every_border(low, high, expected):
    assert ledger.verdict((low + high) / 2, low, high, [0.5, 1.0]) == expected


def test_a_range_may_be_open():
    assert ledger.verdict(0.0, 0.6, 1.0, [0.5, None]) == "reproduced"
    assert ledger.verdict(0.0, 0.0, 0.4, [0.5, None]) == "contradicted"
    assert ledger.verdict(0.0, -3.0, -0.1, [None, 0]) == "reproduced"
    assert ledger.verdict(0.0, -3.0, 0.1, [None, 0]) == "undecided"


def test_the_rule_looks_at_the_interval_and_not_at_the_value():
    assert ledger.verdict(0.1, 0.6, 0.9, [0.5, 1.0]) == "reproduced"
    assert ledger.verdict(0.7, 0.1, 0.2, [0.5, 1.0]) == "contradicted"


@pytest.mark.parametrize("numbers", [(NAN, 0.6, 0.7), (0.6, NAN, 0.7), (0.6, 0.6, NAN), (0.6, 0.6, np.inf)])
def test_without_a_number_nothing_can_be_tested(numbers):
    assert ledger.verdict(*numbers, [0.5, 1.0]) == "not testable here"


def test_without_a_range_nothing_can_be_tested():
    assert ledger.verdict(0.6, 0.6, 0.6, None) == "not testable here"


# The claims of data/claims.yaml


def test_every_claim_names_what_the_ledger_needs():
    claims = ledger.claims()
    labels = re.findall(r"fig:[\w-]+", (study.ROOT / "notebooks" / "13_reference.md").read_text())
    assert set(claims) == KEYS
    assert claims["id"].is_unique
    for claim in claims.to_dict("records"):
        for key in ("id", "section", "network", "claim", "thesis", "figure"):
            assert isinstance(claim[key], str), claim["id"]
        assert claim["network"] in ("resnet18", "resnet101", "both")
        assert claim["claim"].endswith(".")
        assert claim["figure"] in labels, claim["id"]
        assert claim["statistic"] is None or claim["statistic"] in ledger.STATISTICS
        # a statistic of two networks where both are meant
        assert ("difference" in str(claim["statistic"]) or "both" in str(claim["statistic"])) == (
            claim["network"] == "both" and claim["statistic"] is not None
        )
        # a claim that is not tested says why, and only such a one
        assert (claim["holds"] is None) == (claim["why"] is not None)
        assert claim["why"] is None or claim["why"].endswith(".")
        assert claim["statistic"] is not None or claim["holds"] is None
        for key in ("between", "holds"):
            if claim[key] is not None:
                low, high = claim[key]
                assert None in (low, high) or low < high, claim["id"]
                assert (low, high) != (None, None)
        if claim["between"] is not None:
            assert np.abs(claim["between"]).max() <= 1
        if claim["statistic"] == "density":
            assert claim["between"] is not None


def test_every_checkable_claim_of_the_thesis_is_held():
    assert set(ledger.claims()["id"]) >= {
        *("R18-sign", "R18-mode", "R18-mode2", "R18-pos"),
        *("R101-sign", "R101-mode", "R101-mode2", "R101-pos-high", "R101-pos-low"),
        *("depth", "depth-trend", "verdict", "accuracy-R18", "accuracy-R101"),
    }


def test_the_thesiss_numbers():
    claims = ledger.claims().set_index("id")
    assert claims["between"].dropna().to_dict() == {
        "R18-mode": [-0.7, -0.5],
        "R18-mode2": [-0.3, -0.1],
        "R18-pos": [0.3, 0.5],
        "R101-mode": [-0.3, -0.1],
        "R101-mode2": [-0.1, 0],
        "R101-pos-high": [0.4, 0.6],
        "R101-pos-low": [0.07, 0.27],
    }
    # half to twice the density that the thesis gives
    for id_, density in (("R18-mode2", 1.28), ("R18-pos", 0.4), ("R101-mode2", 1.9)):
        assert f"{density:g}" in claims.loc[id_, "thesis"]
        assert claims.loc[id_, "holds"] == pytest.approx([density / 2, 2 * density])
    for id_ in ("R18-sign", "R101-sign", "verdict"):
        assert claims.loc[id_, "holds"] == [0.5, None]
    # the deeper network's score is lower, its share of negative ones higher
    assert claims.loc["depth", "holds"] == [None, 0]
    assert claims.loc["depth-share", "holds"] == [0, None]


def test_modes_are_those_of_the_networks_text():
    assert ledger.modes("resnet18") == [
        (-0.7, -0.5, "R18-mode"),
        (-0.3, -0.1, "R18-mode2"),
        (0.3, 0.5, "R18-pos"),
    ]
    assert ledger.modes("resnet101") == [
        (-0.3, -0.1, "R101-mode"),
        (-0.1, 0, "R101-mode2"),
        (0.4, 0.6, "R101-pos-high"),
        (0.07, 0.27, "R101-pos-low"),
    ]


def test_a_network_that_the_thesis_does_not_speak_of_has_no_modes():
    assert ledger.modes("resnet34") == []


def test_what_an_entry_does_not_name_is_none(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.yaml").write_text("- {id: only, network: both, holds: [0, 1]}\n- {id: b}\n")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    claims = ledger.claims()
    assert claims["id"].tolist() == ["only", "b"]
    assert claims["holds"].tolist() == [[0, 1], None]


# Values


@pytest.mark.parametrize(
    ("statistic", "between", "expected"),
    [
        ("share below 0", None, 0.4),  # 0 is not below 0
        ("density", [-0.3, -0.1], 2 / 5 / 0.2),  # both ends belong to it
        ("density", [0.5, 0.9], 0.0),
        ("densest score", [-0.7, -0.5], statistics.densest([-0.3, -0.1, 0.0, 0.2, 0.4])),
    ],
)
def test_statistics_of_one_network_by_hand(few, claim, statistic, between, expected):
    claim(statistic=statistic, between=between)
    row = row_of(scores_of([-0.3, -0.1, 0.0, 0.2, 0.4]))
    assert row["value"] == pytest.approx(expected, abs=1e-12)
    assert row["statistic"] == statistic
    assert (row["clips"], row["recordings"], row["nan"]) == (5, 3, 0)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("median difference", -0.3),  # of -0.5, -0.3, 0.2
        ("difference of shares below 0", 2 / 3 - 1 / 3),
        ("share below 0 of both", 3 / 6),
    ],
)
def test_statistics_of_two_networks_by_hand(few, claim, statistic, expected):
    claim(network="both", statistic=statistic)
    deep = scores_of([-0.2, -0.1, 0.1], architecture="resnet101")
    row = row_of(pd.concat([deep, scores_of([0.3, 0.2, -0.1])]))
    assert row["value"] == pytest.approx(expected, abs=1e-12)
    assert (row["clips"], row["recordings"]) == (3, 2)
    assert row["run"] == f"resnet18 {SETTING} and resnet101 {SETTING}"


def test_accuracy_is_over_the_runs_test_clips(few, claim):
    claim(statistic="accuracy", holds=None, why="The thesis gives no number; {folds} of its nine folds.")
    predictions = pd.DataFrame(
        {
            "run": [f"resnet18 {SETTING}"] * 4 + [f"resnet101 {SETTING}"],
            "recording": [1, 1, 2, 3, 4],
            "label": [0, 1, 2, 3, 4],
            "predicted": [0, 1, 2, 0, 0],
        }
    )
    row = row_of(scores_of([NAN, 0.1]), predictions=predictions)
    assert (row["value"], row["clips"], row["recordings"], row["nan"]) == (0.75, 4, 3, 0)
    assert row["verdict"] == "not testable here"
    assert re.fullmatch(
        r"75% of the test clips are recognised \(95% interval \d+% to 100%; 4 clips of 3 recordings\)\. "
        r"The thesis gives no number; 9 of its nine folds\.",
        row["why"],
    )


def test_the_interval_is_over_recordings(claim):
    # recordings of (-, -), (+, +): shares 0, 1/2 and 1, both ends a quarter of the time
    claim()
    row = row_of(scores_of([-0.1, -0.2, 0.1, 0.2]))
    assert (row["value"], row["low"], row["high"]) == (0.5, 0.0, 1.0)
    row = row_of(scores_of([-0.1, 0.1, -0.2, 0.2]))
    assert (row["value"], row["low"], row["high"]) == (0.5, 0.5, 0.5)


def test_clips_without_a_score_are_counted_and_left_out(few, claim):
    claim()
    row = row_of(scores_of([-0.1, NAN, NAN, NAN, 0.1]))
    assert (row["value"], row["clips"], row["recordings"], row["nan"]) == (0.5, 2, 2, 3)


def test_a_pair_with_one_score_missing_is_no_pair(few, claim):
    claim(network="both", statistic="median difference")
    both = [scores_of([0.1, NAN, 0.3, NAN]), scores_of([0.2, 0.2, NAN, NAN], architecture="resnet101")]
    row = row_of(pd.concat(both))
    assert (row["clips"], row["nan"]) == (1, 3)
    assert row["value"] == pytest.approx(0.1)


def test_pairs_are_of_one_clip_whatever_the_order(few, claim):
    claim(network="both", statistic="median difference")
    deep = scores_of([0.3, 0.2, 0.1], architecture="resnet101", clips=[2, 1, 0])
    row = row_of(pd.concat([scores_of([0.0, 0.1, 0.2, 0.9]), deep]))
    assert (row["clips"], row["value"]) == (3, pytest.approx(0.1))


def test_another_specification_is_not_looked_at(few, claim):
    claim()
    both = pd.concat([scores_of([-0.1, -0.2]), scores_of([0.1, 0.2], specification="rank")])
    row = row_of(both)
    assert (row["value"], row["clips"], row["specification"]) == (1.0, 2, "draws")
    assert len(held(scores_of([0.1], specification="rank"))) == 0
    (other,) = ledger.verdicts(both, NOBODY, data="x", source="y", specification="rank").to_dict("records")
    assert (other["value"], other["data"], other["source"], other["specification"]) == (0.0, "x", "y", "rank")


def test_each_setting_is_a_row_and_a_pair_needs_both_networks_in_it(few):
    other = "seed=0 hop_length=512"
    table = held(
        pd.concat(
            [
                scores_of([0.1, -0.2]),
                scores_of([0.3, -0.4], architecture="resnet101"),
                scores_of([0.1, -0.3], setting=other),
            ]
        )
    )
    assert list(table) == ledger.COLUMNS
    networks = table.groupby("run", sort=False)["network"].unique().map(list).to_dict()
    assert networks == {
        f"resnet18 {SETTING}": ["resnet18"],
        f"resnet18 {other}": ["resnet18"],
        f"resnet101 {SETTING}": ["resnet101"],
        f"resnet18 {SETTING} and resnet101 {SETTING}": ["both"],
    }
    # claims in their order, below each the settings in theirs
    assert table["claim"].unique().tolist() == ledger.claims()["id"].tolist()
    assert table["run"].tolist()[:2] == [f"resnet18 {SETTING}", f"resnet18 {other}"]
    assert set(table["verdict"]) <= set(ledger.VERDICTS)
    assert (table["why"].str.len() > 0).all()
    assert set(table["data"]) == {"UrbanSound8K"}
    assert set(table["source"]) == {"two tables"}


def test_a_network_that_no_claim_speaks_of_has_no_row(few):
    table = held(scores_of([0.1], architecture="resnet34"))
    assert (len(table), list(table)) == (0, ledger.COLUMNS)


def test_a_row_repeats_the_claim(few, claim):
    entry = claim()
    row = row_of(scores_of([-0.1, 0.2]))
    assert (row["claim"], row["statement"]) == (entry["id"], entry["claim"])
    assert [row[k] for k in ("section", "network", "thesis", "statistic", "figure")] == [
        entry[k] for k in ("section", "network", "thesis", "statistic", "figure")
    ]


# The verdict and its sentence


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.51, 0.8, "reproduced"),
        (0.5, 0.8, "undecided"),
        (0.4, 0.8, "undecided"),
        (0.1, 0.5, "contradicted"),
        (0.1, 0.4, "contradicted"),
    ],
)
def test_the_verdict_is_the_rules(interval, claim, low, high, expected):
    claim()
    interval(low, high)
    row = row_of(scores_of([-0.1, -0.2, 0.1]))
    assert (row["low"], row["high"], row["verdict"]) == (low, high, expected)


def test_why_of_a_share(interval, claim):
    claim()
    interval(0.4, 0.925)
    row = row_of(scores_of([-0.1, -0.2, 0.1, NAN]))
    assert row["why"] == (
        "67% of the scores are below 0 (95% interval 40% to 92%; 3 clips of 2 recordings, "
        "1 without a score); the claim needs it above 50%."
    )


def test_why_of_a_density(interval, claim):
    claim(statistic="density", between=[-0.1, 0], holds=[0.95, 3.8])
    interval(0.05, 0.725)
    row = row_of(scores_of([-0.1, -0.2, 0.0, 0.5]))
    assert row["why"] == (
        "The mean density of scores between -0.1 and 0 is 5.00 per unit of score "
        "(95% interval 0.50 to 7.25; 4 clips of 2 recordings); the claim needs it between 0.95 and 3.80."
    )


def test_why_of_a_claim_that_is_not_tested(claim):
    claim(network="both", statistic=None, holds=None, why="Two are no trend.")
    row = row_of(pd.concat([scores_of([0.1, NAN]), scores_of([0.1, 0.2], architecture="resnet101")]))
    assert (row["verdict"], row["why"], row["statistic"]) == ("not testable here", "Two are no trend.", None)
    assert np.isnan([row["value"], row["low"], row["high"]]).all()
    assert (row["clips"], row["nan"]) == (1, 1)


def test_a_run_without_any_score_is_not_testable(claim):
    claim()
    row = row_of(scores_of([NAN, NAN]))
    assert (row["verdict"], row["why"]) == ("not testable here", "No clip of this run has a score.")
    assert (row["clips"], row["recordings"], row["nan"]) == (0, 0, 2)


def test_a_statistic_that_is_not_known_is_refused(claim):
    claim(statistic="mean score")
    with pytest.raises(InputError, match=r'claims\.yaml: statistic "mean score" of claim X is not known'):
        held(scores_of([0.1]))


def test_runs_that_learned_from_other_folds_are_no_pair_and_are_not_mixed(few):
    other = f"{SETTING} training_folds=1+2"
    rows = [scores_of([0.1, -0.2]), scores_of([0.1, 0.3], setting=other)]
    rows.append(scores_of([-0.3, -0.4], architecture="resnet101", setting=other))
    table = held(pd.concat(rows)).set_index(["claim", "run"])
    assert table.loc[("R18-sign", f"resnet18 {SETTING}"), "value"] == 0.5
    assert table.loc[("R18-sign", f"resnet18 {other}"), "value"] == 0
    assert set(table.loc["depth"].index) == {f"resnet18 {other} and resnet101 {other}"}


# To read


def rows_to_read() -> pd.DataFrame:
    both, hop = f"resnet18 {SETTING} and resnet101 {SETTING}", "seed=0 hop_length=512"
    named = ["claim", "run", "setting", "verdict", "value", "low", "high", "figure"]
    rows = [
        ("sign", f"resnet18 {SETTING}", SETTING, "reproduced", 0.625, 0.5, 0.75, "fig:reference-resnet18"),
        ("sign", f"resnet18 {hop}", hop, "undecided", 0.5, 0.25, 0.875, "fig:reference-resnet18"),
        ("trend", both, SETTING, "not testable here", NAN, NAN, NAN, "fig:reference-pairs"),
    ]
    table = pd.DataFrame(rows, columns=named)
    return table.assign(statement="Most are.", section="3", thesis="a majority", why="So.")


def test_the_table_links_each_row_to_its_figure():
    assert ledger.table(rows_to_read())["where"].tolist() == [
        '<a href="13_reference.html#fig-reference-resnet18">figure</a>',
        '<a href="13_reference.html#fig-reference-resnet18">figure</a>',
        '<a href="13_reference.html#fig-reference-pairs">figure</a>',
    ]


def test_the_table_says_the_claim_the_verdict_and_why():
    shown = ledger.table(rows_to_read())
    assert list(shown) == ["claim", "the thesis (section: value)", "verdict", "why", "where"]
    assert shown["the thesis (section: value)"].tolist() == ["Most are. (3: a majority)"] * 3
    assert shown["verdict"].tolist() == ["reproduced", "undecided", "not testable here"]
    assert shown["why"].tolist() == ["So."] * 3


def test_the_table_takes_what_verdicts_returns(few):
    table = held(pd.concat([scores_of([0.1, -0.1]), scores_of([0.2, -0.3], architecture="resnet101")]))
    shown = ledger.table(table)
    assert len(shown) == len(table) == len(ledger.claims())
    assert shown.notna().all(axis=None)


def test_the_matrix_has_a_claim_per_row_and_a_setting_per_column():
    wide = ledger.matrix(rows_to_read())
    assert wide.index.tolist() == ["sign", "trend"]
    assert wide.columns.tolist() == [SETTING, "seed=0 hop_length=512"]
    assert wide.to_numpy().tolist() == [["reproduced", "undecided"], ["not testable here", ""]]
