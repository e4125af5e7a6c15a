"""Which recorded runs the book's answer is about."""

import pandas as pd
import pytest

from helpers import study
from helpers.experiments import controls, sanity
from helpers.findings import curve, ledger, reference
from helpers.maps import explainers
from helpers.networks import training


def test_the_runs_of_the_answer_learned_from_the_same_folds_and_have_scores():
    runs = reference.runs()
    assert {run.training_folds for run in runs} == {(1, 2)}
    assert len({run.key for run in runs}) == len(runs)
    assert {run.key.partition(" training_folds")[0] for run in runs} >= {
        f"{name} seed=0 hop_length={hop}" for name in ("resnet18", "resnet101") for hop in (1024, 512)
    }
    assert study.traveller().key not in [run.key for run in runs]


def test_runs_are_those_that_have_an_artefact_once_each():
    for artefact in (controls.CONTROLS, curve.CURVE, sanity.SANITY):
        runs = reference.runs(artefact)
        assert all(artefact.there(run) for run in runs)
        assert len({artefact.path(run) for run in runs}) == len(runs)
    # the layer that is explained is no choice of the network
    assert len(reference.runs(training.NETWORK)) < len(reference.runs())


def test_a_run_of_your_copy_stands_alone_and_a_recorded_one_beside_all(settings, stand_in):
    own = study.open(profile="smoke", data=str(stand_in))
    assert reference.beside(own, controls.CONTROLS) == [own]
    recorded = study.open(data="recorded", architecture="resnet18")
    assert reference.beside(recorded, controls.CONTROLS) == reference.runs(controls.CONTROLS)


def test_the_runs_of_a_chapter_stand_in_the_order_of_the_study_once_each():
    runs = reference.anywhere(study.traveller(), explainers.EXPLANATIONS)
    paths = [explainers.EXPLANATIONS.path(run) for run in runs]
    every = [explainers.EXPLANATIONS.path(run) for run in study.entries() if explainers.EXPLANATIONS.there(run)]
    assert paths == list(dict.fromkeys(every))
    assert len(paths) < len(every)  # runs that differ in what a map does not depend on share one


def test_the_setting_of_a_verdict_is_the_run_without_network_and_folds(monkeypatch, tmp_path):
    runs = [
        "resnet18 seed=0 hop_length=512 training_folds=1+2 padding=minimum",
        "resnet18 seed=1 hop_length=1024 training_folds=1+2 and resnet101 seed=1 hop_length=1024 training_folds=1+2",
        "resnet101 seed=0 hop_length=441",
    ]
    pd.DataFrame({"run": runs}).to_csv(tmp_path / "verdicts.csv", index=False)
    monkeypatch.setattr(study, "RECORDED", tmp_path)
    settings = ["seed=0 hop_length=512 padding=minimum", "seed=1 hop_length=1024", "seed=0 hop_length=441"]
    assert reference.kept()["setting"].tolist() == settings


@pytest.mark.usefixtures("few")
def test_the_ledger_of_the_recorded_runs_has_the_claims_and_runs_of_the_recorded_one():
    now, kept = reference.verdicts(), reference.kept()
    assert list(now) == ledger.COLUMNS
    facts = ["claim", "run", "value", "clips", "recordings", "nan"]
    pd.testing.assert_frame_equal(now[facts], kept[facts], rtol=1e-9)
