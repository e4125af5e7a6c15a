"""What each claim of the thesis comes to, and the answer in plain words."""

import numpy as np
import pandas as pd
import pytest

from helpers.experiments import specifications
from helpers.findings import answer, confirmation, curve, folds, plan
from tests.unit.findings.made import LOUD, NOTHING

pytestmark = pytest.mark.usefixtures("few")


# Claims


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
        signs_of("resnet18", [BELOW] * 20, effect="loss before - after"),
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
def test_depth_survives_where_deeper_is_lower_at_every_hop(claimed, lead, end):
    found = claimed({"depth": [NO]}, lead=lead)["depth"]
    assert found["end"] == end
    if lead:
        assert "x: mean difference " + f"{lead[0][1]:+.2f}" in found["why"]


def test_shares_of_two_networks_are_the_ledgers_to_say_not_a_test_of_means(claimed):
    lead = [("x", -0.1, -0.2, -0.05, 0.01)]
    assert claimed({"depth-share": [NO, NO]}, lead=lead)["depth-share"]["end"] == "does not survive"
    assert claimed({"depth-share": [YES, MAYBE]}, lead=lead)["depth-share"]["end"] == "undecided"


@pytest.mark.parametrize(
    ("signs", "end"),
    [
        ({"R18-sign": [NO, NO], "R101-sign": [NO, NO]}, "does not survive"),
        ({"R18-sign": [YES, YES], "R101-sign": [YES]}, "survives"),
        ({"R18-sign": [NO, NO], "R101-sign": [YES]}, "undecided"),
        ({"R18-sign": [MAYBE], "R101-sign": [MAYBE]}, "undecided"),
    ],
)
def test_the_thesiss_verdict_stands_with_its_reason(claimed, signs, end):
    found = claimed(signs | {"verdict": [NO]}, kinds=(LOUD, NOTHING))["verdict"]
    assert found["end"] == end
    assert f"ResNet18: {LOUD}; ResNet101: {NOTHING}" in found["why"]


@pytest.mark.parametrize(("signs", "end"), [(["negative", "either"], "does not survive"), (["either"], "undecided")])
def test_a_negative_score_shows_no_failure_where_ignorance_is_negative_too(claimed, monkeypatch, signs, end):
    rows = [{"run": f"r{i}", "below 0": 0.7, "sign": sign} for i, sign in enumerate(signs)]
    monkeypatch.setattr(curve, "ignorance", lambda table: pd.DataFrame(rows))
    found = claimed({"failure-mode": ["not testable here"]}, table=signs_of("resnet18", [BELOW]))["failure-mode"]
    assert found["end"] == end
    negative = signs.count("negative")
    said = (
        f"70% to 70% of maps that know nothing score below 0, surely more than half in {negative} of {len(signs)} runs."
    )
    assert said in found["why"]


# In three sentences


def told(monkeypatch, *, signs=(NO, NO), leads=(0.3, -0.1), rival=0.1, seeds=(0, 1), of_folds=()) -> list[str]:
    """The sentences: two networks of the first plan; of the second one kind, with leads A and C."""
    values = np.linspace(0.02, 0.18, len(signs))
    verdicts = pd.DataFrame(
        {"claim": "R18-sign", "run": "one", "value": values, "low": 0, "high": 0.3, "clips": 50, "verdict": signs}
    )
    # of a run that the ledger does not judge, nothing is said
    shares = pd.DataFrame({"run": ["one", "one", "other"], "below 0": [0.62, 0.77, 0.01]})
    monkeypatch.setattr(curve, "ignorance", lambda table: shares[shares["run"].isin(table["run"])])
    clips = np.arange(40)
    parts = []
    for run in ("one", "two"):
        part = pd.DataFrame({"run": run, "recording": clips // 2, "Grad-CAM": 0.5 if run == "one" else 0.7})
        parts.append(part.assign(**{"mean map": 0.5 + rival, "loudness": 0.9}))
    confirmed = []
    for seed in seeds:
        part = pd.DataFrame({"clip": clips.astype(str), "recording": clips // 2, "seed": seed, "Grad-CAM inside": 0.4})
        part["architecture"], part["setting"] = "resnet18", f"seed={seed} hop_length=1024 test_fold=3"
        part["frames"], part["padding"] = np.where(clips % 2, 100, 173), "zero"
        part["Grad-CAM"] = part["random nodes"] = part["mean map"] = 0.9  # over all frames, which are not asked
        wobble = np.where(clips // 2 % 2, 0.01, -0.01)
        for name, lead in zip(("random nodes", "mean map"), leads, strict=True):
            part[f"{name} inside"] = 0.4 - lead + wobble
        confirmed.append(part)
    curves = pd.DataFrame({"run": ["one", "other"]})
    return answer.three(verdicts, pd.concat(parts), curves, pd.concat(confirmed), by_fold(of_folds)).splitlines()


def by_fold(leads: tuple[float, ...]) -> pd.DataFrame:
    """Leads of folds, the same over both rivals, with ten clips of two recordings in each fold."""
    each = zip(folds.PLANNED, leads, strict=False)
    rivals = confirmation.RIVALS.values()
    rows = [(rival, str(fold), lead, lead / 2, 0.01, 0.9, 10, 2) for fold, lead in each for rival in rivals]
    rows += [(rival, "3", 0.9, 0.9, 0.8, 1, 444, 80) for rival in rivals]
    named = ["of", "test fold", "mean", folds.ALIKE, "low", "high", "clips", "recordings"]
    return pd.DataFrame(rows, columns=named)


def test_the_first_sentence_counts_networks_whose_scores_are_mostly_negative(monkeypatch):
    first = told(monkeypatch)[0]
    assert "**0 of 2 networks**: with its own metric 2% (0% to 30%) to 18% (0% to 30%) of 50 clips" in first
    assert "62% to 77% below 0" in first
    assert "**1 of 2 networks**" in told(monkeypatch, signs=(YES, MAYBE))[0]


def test_the_second_sentence_counts_networks_that_one_curve_beats(monkeypatch):
    second = told(monkeypatch)[1]
    assert "score +0.50 to +0.70 on average" in second
    assert "higher in 1 of 2 networks**, and how loud the sound is in 2" in second
    assert "higher in 0 of 2 networks**" in told(monkeypatch, rival=-0.1)[1]


@pytest.mark.parametrize(
    ("leads", "end"),
    [
        ((0.3, 0.2), "about this clip"),
        ((0.3, 0.0), "like one curve for all clips"),
        ((0.3, -0.2), "below one curve for all clips"),
        ((0.0, 0.2), "uninformed"),
    ],
)
def test_the_third_sentence_has_a_row_per_kind_its_leads_and_its_end(monkeypatch, leads, end):
    lines = told(monkeypatch, leads=leads)
    assert lines[2].startswith("3. On new sounds (40 clips of 20 recordings)")
    assert f"**in {int(end == 'about this clip')} of 1 kinds of network do the maps score higher than both" in lines[2]
    assert "1 of 3 planned kinds are computed" in lines[4]
    cells = lines[-1].strip("| ").split(" | ")
    assert cells[0] == "ResNet18, MFCC, hop 1024, padded (2)"
    assert [cell.replace("-0.00", "+0.00")[:7] for cell in cells[1:3]] == [f"{lead:+.2f} (" for lead in leads]
    assert cells[-1] == f"**{end}**"
    assert lines[-3].count("|") == lines[-2].count("|") == lines[-1].count("|") == 7


def test_the_third_plan_is_said_once_all_its_folds_are_there(monkeypatch):
    # leads .1 and .3 in turn: mean .2, its interval 2.3646 * .1 / sqrt(7) = .089 either way
    *before, again = told(monkeypatch, of_folds=(0.1, 0.3) * 4)
    assert "on 8 other folds, by a third plan: 8 networks" in again
    assert "(80 clips of 16 recordings)" in again
    assert again.count("+0.20 (+0.11 to +0.29)") == 2
    assert "By the rule: **about this clip**. This does not replace the second plan's end" in again
    # every fold's interval lies above 0; half of each lead where each recording counts the same
    assert "from +0.10 (fold 1) to +0.30 (fold 9); intervals from recordings lie above 0 on 8 and below 0 on 0" in again
    assert again.endswith("their mean is +0.10 (+0.06 to +0.14), and maps would be **about this clip**.")
    assert told(monkeypatch, of_folds=(0.1, 0.3) * 3) == before[:-1] == told(monkeypatch)


def test_what_other_ways_to_count_say_stands_below_the_third_sentence(monkeypatch):
    # two seeds with the same leads; with 20 recordings of two clips each way to count agrees
    said = told(monkeypatch, leads=(0.3, 0.2))[6]
    assert "**1 of 1** kinds (ResNet18, MFCC, hop 1024, padded)." in said
    assert said.endswith("each alone: ResNet18, MFCC, hop 1024, padded: +0.20, +0.20.")
    alone = told(monkeypatch, leads=(0.3, -0.2), seeds=(0,))[6]
    assert alone.endswith("**0 of 1** kinds.")


def test_longest_and_shorter_clips_stand_apart(monkeypatch):
    rows = pd.DataFrame({"low": [-0.2, 0.0], "high": [-0.1, 0.1], "lead": [-0.15, 0.05]})
    rows = rows.assign(**{"clips that are": ["longest", "shorter"], "comparison": "C"})
    kind = {"architecture": "resnet18", "setting": "hop_length=1024 test_fold=3"}
    monkeypatch.setattr(confirmation, "strata", lambda leads: rows.assign(**kind))
    assert "| -0.15 (-0.20 to -0.10) | +0.05 (+0.00 to +0.10) | **" in told(monkeypatch)[-1].replace("\xa0", " ")


def test_a_lead_that_is_sure_and_small_is_called_both(monkeypatch):
    cells = told(monkeypatch, leads=(0.05, 0.0))[-1].split(" | ")
    assert ["sure and small" in cell for cell in cells[1:3]] == [True, False]
    assert "sure" not in told(monkeypatch, leads=(0.3, 0.0))[-1]


def test_the_sheet_has_the_sentences_and_the_ends(monkeypatch):
    monkeypatch.setattr(answer, "three", lambda *given: "1. three")
    ends = pd.DataFrame({"statement": ["A.", "B.", "C."], "end": ["survives", "undecided", "survives"]})
    trend = ("undecided", "Three depths.")
    monkeypatch.setattr(answer, "claims", lambda *given, trend: ends.assign(end=[*ends["end"][:2], trend[0]]))
    lines = answer.sheet(*[pd.DataFrame()] * 5, trend=trend).splitlines()
    assert lines[-2:] == ["- *survives*: A.", "- *undecided*: B. C."]
    assert lines[0] == "1. three"


# The table of the first page


def runs_to_sum_up() -> dict[str, pd.DataFrame]:
    """Two runs: their scores, what they said of test clips, and what the ledger says of their signs."""
    shallow, deep = "resnet18 seed=1 hop_length=512", "resnet101 seed=0 hop_length=1024"
    columns = ["run", "architecture", "seed", "hop_length", "specification", "score"]
    scores = [(deep, "resnet101", 0, 1024, "draws", score) for score in (-0.5, 0.25, 0.126)]
    scores += [(shallow, "resnet18", 1, 512, "draws", -0.25), (shallow, "resnet18", 1, 512, "rank", 1.0)]
    said = {"run": [shallow, deep, deep], "recording": [1, 1, 2], "label": 3, "predicted": [3, 3, 4]}
    ledgers = {"claim": ["R101-sign", "R18-sign", "R18-mode"], "run": [deep, shallow, shallow]}
    ledgers |= {"value": [1 / 3, 1, 9], "low": [0, 0.5, 9], "high": [0.75, 1, 9], "clips": [3, 1, 9]}
    ledgers["verdict"] = ["undecided", "reproduced", "contradicted"]
    return {
        "scores": pd.DataFrame(scores, columns=columns),
        "predictions": pd.DataFrame(said),
        "verdicts": pd.DataFrame(ledgers),
    }


def test_the_summary_has_a_line_per_run_with_the_thesiss_metric():
    head, rule, first, second, _, where = answer.summary(**runs_to_sum_up(), training_folds=[1, 2, 4]).splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == 8
    assert first == "| ResNet101 | 1024 | 0 | 50% | 33% of 3 (0%\xa0to\xa075%) | +0.13 | undecided |"
    assert second == "| ResNet18 | 512 | 1 | 100% | 100% of 1 (50%\xa0to\xa0100%) | -0.25 | reproduced |"
    assert where.startswith("UrbanSound8K, training on folds 1 and 2 and 4 (the thesis: nine), test on fold 10;")
