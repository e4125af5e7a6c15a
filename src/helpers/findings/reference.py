"""The runs behind the book's answer: recorded and joined.

Chapter: notebooks/13_reference.md, notebooks/19_answer.md
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from helpers import artifacts, study
from helpers.artifacts import Artefact
from helpers.experiments import controls, scores
from helpers.findings import confirmation, ledger
from helpers.networks import training
from helpers.study import Run

SOURCE = "data/recorded: scores.csv and predictions.csv of each run"


def runs(*having: Artefact, like: Run | None = None) -> list[Run]:
    """The recorded runs that share the folds of one, else of the study's first, and have these artefacts.

    Runs that share all of these, because they differ in what these do not depend on, count once.

    Parameters
    ----------
    having : artefacts that are recorded. like : the run whose training folds and test fold are asked for.

    Chapter: notebooks/13_reference.md
    """
    every = study.entries()
    folds = _folds(like or every[0])
    found: dict[tuple, Run] = {}
    for run in every:
        if _folds(run) == folds and all(a.there(run) for a in having or (scores.SCORES,)):
            found.setdefault(tuple(one.path(run) for one in having or (scores.SCORES,)), run)
    return list(found.values())


def _folds(run: Run) -> tuple[tuple[int, ...], int]:
    return run.training_folds, run.test_fold


def missing(run: Run, artefact: Artefact) -> list[Run]:
    """The recorded study's runs of the same folds that are to have an artefact and do not have it yet.

    Chapter: notebooks/21_confirmation.md
    """
    asked = [artefact.name.partition(".")[0] in entry.get("also", []) for entry in study.study("reference")]
    every = [one for one, there in zip(study.entries(), asked, strict=True) if there]
    return [one for one in every if _folds(one) == _folds(run) and not artefact.there(one)]


def beside(run: Run, *having: Artefact) -> list[Run]:
    """The runs that a chapter sets side by side: of a recorded run all recorded ones of the same folds, else itself.

    Chapter: notebooks/15_controls.md
    """
    return runs(*having, like=run) if run.source.kind == "recorded" else [run]


def anywhere(run: Run, artefact: Artefact) -> list[Run]:
    """The runs that a chapter sets side by side whatever their folds: of a recorded run all that have an artefact.

    Chapter: notebooks/24_explainers.md
    """
    if run.source.kind != "recorded":
        return [run]
    found: dict[Path, Run] = {}
    for one in filter(artefact.there, study.entries()):
        found.setdefault(artefact.path(one), one)
    return list(found.values())


def confirmed() -> list[Run]:
    """The recorded runs of the second plan: on its fold, by the networks that learned from more folds.

    Chapter: notebooks/21_confirmation.md, notebooks/19_answer.md
    """
    return runs(controls.CONTROLS, like=study.traveller().with_(test_fold=confirmation.FOLD))


def verdicts() -> pd.DataFrame:
    """The ledger of the recorded runs, computed from their scores and predictions.

    Chapter: notebooks/14_ledger.md
    """
    every = runs()
    tables = (artifacts.across(every, read) for read in (scores.table, training.predictions))
    return ledger.verdicts(*tables, data=every[0].source.label, source=SOURCE)


def kept() -> pd.DataFrame:
    """The ledger as it is recorded (`verdicts`), with the column setting: the run without network and folds.

    Chapter: notebooks/14_ledger.md
    """
    table = pd.read_csv(study.RECORDED / "verdicts.csv")
    last = table["run"].str.rsplit(" and ", n=1).str[-1].str.split(" ", n=1).str[1]
    return table.assign(setting=last.str.replace(r" training_folds=\S+", "", regex=True))
