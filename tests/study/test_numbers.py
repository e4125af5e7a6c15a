"""The recorded numbers: what is written follows from the recorded runs, and says what it said before."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import artifacts, study
from helpers.book import picture
from helpers.experiments import comparison, controls, slips
from helpers.findings import answer, confirmation, curve, grid, ladder, plan, ranking, reference
from helpers.maps.explainers import explanations

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def computed() -> dict[str, str]:
    """What `make record` would write now, by file."""
    written = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "write_text", lambda path, text: written.update({path.name: text}))
        answer.show(answer.write())
    return written


@pytest.mark.parametrize("name", ["verdicts.csv", "answer.md", "sheet.md", "README.md"])
def test_what_is_written_is_what_the_recorded_runs_say_now(computed, name):
    folder = study.ROOT if name == "README.md" else study.RECORDED
    assert (folder / name).read_text() == computed[name]


def test_the_picture_of_the_answer_is_drawn_from_the_recorded_runs(tmp_path):
    now, kept = (path.read_text() for path in (picture.write(tmp_path / "ladder.svg"), study.RECORDED / "ladder.svg"))
    one, two = (re.findall(r"-?\d+\.\d+", text) for text in (now, kept))
    assert len(one) > 1000
    assert np.allclose(np.array(one, float), np.array(two, float), atol=0.01)


def test_the_first_page_shows_what_the_recorded_runs_say_now(tmp_path):
    now, kept = picture.first(tmp_path).read_text(), (study.RECORDED / "first.md").read_text()
    assert now == kept
    knows = answer.one(artifacts.across(reference.confirmed(), controls.CONTROLS.read))
    assert knows in now
    # the clip that is shown is none that was chosen: as many explained clips score less as score more
    run = reference.confirmed()[0]
    scores = controls.CONTROLS.read(run).set_index("clip")["Grad-CAM inside"].reindex(explanations(run).clips).dropna()
    (said,) = re.findall(r"agree by ([+-]\d\.\d\d)", now)
    assert abs((scores.round(2) < float(said)).sum() - (scores.round(2) > float(said)).sum()) <= 3
    assert ":::{include} ../data/recorded/first.md\n" in (study.ROOT / "book" / "index.md").read_text()


def test_the_page_of_changes_says_what_the_controls_say_now():
    changes = pd.read_csv(study.RECORDED / "changes.csv", dtype=str)
    assert len(changes) > 30
    assert not (changes["before"] == changes["after"]).any()
    # the page names runs as they were called when they learned from folds 1 and 2 alone
    there = [run for run in study.entries() if controls.CONTROLS.there(run) and "training_folds=" in run.key]
    known = {run.key.replace(" training_folds=1+2", ""): controls.CONTROLS.read(run) for run in there}
    for row in changes[changes["number"].str.contains(", (?:median|clips without)$")].to_dict("records"):
        name, _, statistic = row["number"].rpartition(", ")
        values = known[row["run"]][name]
        now = f"{values.median():+.2f}" if statistic == "median" else f"{values.isna().sum()}"
        assert now == row["after"], row


def test_the_page_of_changes_says_what_came_out_of_the_second_plan():
    changes = pd.read_csv(study.RECORDED / "changes.csv", dtype=str)
    p, name = changes[changes["run"].str.contains("fold 3")]["after"]
    rows = artifacts.across(reference.confirmed(), controls.CONTROLS.read)
    tests = confirmation.primary(confirmation.leads(rows))
    tests, ends = (t[confirmation.names(t) == confirmation.FAMILY[0]] for t in (tests, confirmation.ends(tests)))
    assert f"{tests.set_index('comparison').loc['C', 'p_holm']:.3f}" == p
    assert ends["end"].tolist() == [name]


def test_the_page_of_changes_says_how_many_effects_are_rounding_and_how_many_specifications_there_are():
    page = (study.ROOT / "book" / "changed.md").read_text()
    shares = [100 * controls.CONTROLS.read(run)["no effect"].mean() for run in reference.runs(controls.CONTROLS)]
    assert f"{min(shares):.1f} to {max(shares):.1f} of 100 effects lie below it" in page
    own = [curve.CURVE.read(run) for run in reference.runs(curve.CURVE) if run.architecture == "resnet18"]
    assert f"{sum(map(len, own))} specifications where {2 * sum(map(len, own))} stood" in page


def test_what_is_said_of_the_picture_and_of_the_slips_is_so():
    rungs = ladder.ladder(controls.CONTROLS.read(reference.confirmed()[0])).set_index(["where", "rung"])["score"]
    everywhere, inside = (rungs[where] for where in rungs.index.unique("where"))
    assert (everywhere[["sound or padding", "loudness", "mean map", "Grad-CAM"]] > 0.5).all()
    assert (inside.drop(["ceiling", "ceiling in nodes"]).dropna().abs() < 0.1).all()
    assert (inside[["ceiling", "ceiling in nodes"]] > 3 * inside["Grad-CAM"]).all()
    below = (
        slips.table(study.traveller()).dropna(subset="score").groupby("slip")["score"].apply(lambda s: (s < 0).mean())
    )
    assert below[below == 1].index.tolist() == ["scaled to [0, 1]", "standardised late"]
    assert (below[["maps out of step", "classes out of step", "map of ResNet101"]] < 0.5).all()
    assert 0.25 < below["the text's effect"] < 0.75


def test_the_rule_of_the_sign_follows_from_the_raw_scores_of_random_maps():
    run = study.traveller()
    found, said = curve.counted(run).iloc[0], curve.ignorance(curve.CURVE.read(run).assign(run=run.key)).iloc[0]
    assert found["maps"] == 150
    for name in ("below 0", "low", "high"):
        assert found[name] == pytest.approx(said[name], abs=1e-9)


def test_the_ledger_has_the_numbers_that_it_had_before():
    before = pd.read_csv(HERE / "verdicts_before.csv")
    now = pd.read_csv(study.RECORDED / "verdicts.csv")
    pd.testing.assert_frame_equal(now[before.columns], before, check_exact=True)


def test_the_readme_the_first_page_and_the_sheet_say_the_answer():
    said = (study.RECORDED / "answer.md").read_text()
    assert said in (study.ROOT / "README.md").read_text()
    assert ":::{include} ../data/recorded/answer.md\n" in (study.ROOT / "book" / "index.md").read_text()
    assert ":::{include} ../data/recorded/sheet.md\n" in (study.ROOT / "book" / "sheet.md").read_text()


def test_what_is_recorded_is_whole():
    """No file has changed since it was recorded, and none lies there without its provenance."""
    folder = study.RECORDED / "urbansound8k"
    records = list(folder.rglob("*.json"))
    kept = [path.with_name(json.loads(path.read_text())["artefact"]) for path in records]
    assert [path for path in kept if artifacts.content_digest(path) != artifacts.record(path)["content"]] == []
    files = {path for path in folder.rglob("*") if path.is_file()} - set(records)
    assert {path for path in files if path not in kept and path.parent not in kept} == set()
    assert not list(folder.rglob("*.wav"))
    marked = {study.traveller().architecture}
    assert {path.parents[1].name for path in folder.rglob("*.safetensors")} == marked


def test_the_second_plan_says_what_the_recorded_runs_say():
    page = (study.ROOT / "book" / "plan_again.md").read_text()
    rows = artifacts.across(reference.runs(controls.CONTROLS), controls.CONTROLS.read)
    leads = confirmation.leads(rows)
    tests = confirmation.primary(leads)
    tests = tests.assign(kind=confirmation.names(tests), said=plan.said(tests))
    for kind, part in tests.groupby("kind"):
        a, c = part.set_index("comparison").loc[["A", "C"], "said"]
        assert f"| {kind} | {part['seeds'].max()} | {a} | {c} |" in page
    known = confirmation.power(leads, recordings=80)
    for kind, part in known.groupby(confirmation.names(known)):
        a, c = part.set_index("comparison").loc[["A", "C"], "power"]
        assert f"| {kind} | {a:.2f} | {c:.2f} |" in page
    # the bound is the smallest that gives every test a power of four in five
    assert known["power"].min() > 0.8
    assert confirmation.power(leads, recordings=80, bound=0.06)["power"].min() < 0.8
    strata = confirmation.strata(leads)
    fine = strata[strata["setting"].str.contains("512") & (strata["comparison"] == "A")]
    shorter = fine[fine["clips that are"] == "shorter"]["lead"]
    assert " and ".join(f"{lead:+.2f}" for lead in shorter) in page
    assert (fine[fine["clips that are"] == "longest"]["lead"] < 0).all()
    inside = rows.groupby("run", sort=False)[[f"{name} inside" for name in ("bump", "mean map", "random nodes")]].mean()
    lag = (inside["random nodes inside"] - inside["mean map inside"]).sort_values(ascending=False)
    assert f"(by {lag.iloc[0]:.2f} and {lag.iloc[1]:.2f})" in page
    assert lag.iloc[2:].abs().max() < 0.05
    assert (inside["bump inside"] < inside["random nodes inside"]).all()


def test_what_is_said_of_other_explainers_and_of_the_grid_is_so():
    run = reference.anywhere(study.open(data="recorded"), comparison.COMPARISON)[0]
    rows = ranking.ranking(comparison.table(run), draws=200)
    inside = rows[rows["where"] == ranking.INSIDE].set_index("map")
    for name in ("saliency", "input x gradient", "SmoothGrad", "integrated gradients"):
        assert inside["low"][name] > inside["high"]["Grad-CAM"], name
    assert inside["lead_low"]["Grad-CAM"] > 0
    ranks = grid.phases(run, period=4)
    ranks = ranks[ranks["of"] == grid.EFFECTS].set_index("phase")
    assert ranks["rank"].idxmin() == 2
    assert ranks["high"][2] < ranks.drop(2)["low"].min()
    table = grid.removed(run)
    assert table["low"][0] > 0.2
