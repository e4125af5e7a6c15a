"""The reference runs: computed, recorded as tables, and read back; then the tables that are committed."""

import contextlib
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import InputError, artifacts, study
from helpers.experiments import controls, frame_effects, peers, scores, specifications
from helpers.findings import answer, checks, curve, ledger, plan, reference
from helpers.maps import explainers
from helpers.networks import models
from tests.unit.conftest import SMALL, build_tiny

RUNS = """
- {architecture: resnet18}
- {architecture: resnet101}
- {architecture: resnet18, explained: "true", engine: true}
"""
ONE, DEEP, TRUE = (
    "resnet18 seed=0 hop_length=1024",
    "resnet101 seed=0 hop_length=1024",
    "resnet18 seed=0 hop_length=1024 explained=true",
)
FILES = (
    "scores.csv",
    "histories.csv",
    "predictions.csv",
    "nodes.npz",
    "provenance.json",
    "verdicts.csv",
    "answer.md",
)
COLUMNS = [
    *("run", "data", "architecture", "seed", "specification", "clip", "recording"),
    *("label", "predicted", "score", "explained", "status"),
]


def small(patch: pytest.MonkeyPatch, root, data) -> None:
    """Small profiles, tiny networks, runs of our own below `root` and results below `data`."""
    patch.setattr(study, "profiles", lambda: SMALL)
    patch.setattr(models, "build", build_tiny)
    patch.setattr(study, "ROOT", root)
    patch.setattr(study, "DATA", data)
    patch.setattr(study, "RECORDED", data / "recorded")


@pytest.fixture(scope="module")
def recordings(stand_in, tmp_path_factory):
    """The stand-in without the table that says it is one."""
    folder = tmp_path_factory.mktemp("real") / "sounds"
    shutil.copytree(stand_in, folder)
    (folder / "metadata" / "events.csv").unlink()
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A repository with three reference runs."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "config").mkdir()
    (folder / "config" / "reference.yaml").write_text(RUNS)
    (folder / "data").mkdir()
    shutil.copy(study.ROOT / "data" / "claims.yaml", folder / "data")
    return folder


@pytest.fixture(scope="module")
def computed(recordings, root, tmp_path_factory):
    """The results of `make`, read only."""
    folder = tmp_path_factory.mktemp("computed") / "data"
    (folder / "recorded").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        small(patch, root, folder)
        reference.make(str(recordings))
    return folder


@pytest.fixture
def world(monkeypatch, computed, root, tmp_path, few):
    """The computed runs in a folder of this test's own."""
    data = tmp_path / "data"
    shutil.copytree(computed, data)
    small(monkeypatch, root, data)
    return data


@pytest.fixture
def kept(world, recordings):
    """As `world`, and recorded."""
    reference.record(str(recordings))
    return world / "recorded"


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names_a_folder(path: Path) -> bool:
    """Whether a text, or the keys of arrays, have a path from the root of some machine."""
    text = " ".join(np.load(path).files) if path.suffix == ".npz" else path.read_text()
    return re.search(r"(^|[\s\",=])(/\w|~/|[A-Z]:\\)", text) is not None


def run_of(key: str, recordings) -> study.Run:
    return next(run for run in reference.runs(str(recordings)) if run.key == key)


def remove(run: study.Run, *artefacts: str) -> None:
    for name in artefacts:
        path = run.path(name)
        artifacts.record_path(path).unlink()
        shutil.rmtree(path) if path.is_dir() else path.unlink()


# The list


def test_the_runs_are_those_of_the_configuration(world, recordings):
    runs = reference.runs(str(recordings))
    assert [run.key for run in runs] == [ONE, DEEP, TRUE]
    assert {run.profile.name for run in runs} == {"thesis"}
    assert {run.source.label for run in runs} == {"UrbanSound8K"}


def test_what_a_run_leaves_out(world, recordings, root, monkeypatch, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "reference.yaml").write_text(
        "- {seed: 1}\n- {seed: 2, stock: false}\n- {seed: 3, engine: true}\n- {seed: 4, stock: true}\n"
    )
    monkeypatch.setattr(study, "ROOT", tmp_path)
    profiles = [run.profile for run in reference.runs(str(recordings))]
    assert [(p.stock_clips, p.stock_clips_deep, p.drawn_clips) for p in profiles] == [
        (2, 1, 3),
        (0, 0, 3),
        (0, 0, 0),
        (2, 1, 3),
    ]
    assert {p.explanations for p in profiles} == {3}


def test_a_stand_in_is_no_reference(world, stand_in, recordings):
    before = contents(world / "recorded")
    for call in (reference.runs, reference.make, reference.record):
        with pytest.raises(InputError, match="need real recordings; name them with DATA=folder"):
            call(str(stand_in))
        with pytest.raises(InputError, match="need real recordings"):
            call("")
    assert contents(world / "recorded") == before


def test_a_run_with_an_unknown_choice_is_refused(world, recordings, monkeypatch, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "reference.yaml").write_text("- {hop: 512}\n")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    with pytest.raises(InputError, match='parameter "hop" is not known'):
        reference.runs(str(recordings))


def test_the_committed_list_is_of_different_runs(settings, recordings):
    runs = reference.runs(str(recordings))
    keys = [run.key for run in runs]
    assert len(set(keys)) == len(keys)
    assert {ONE, DEEP} <= set(keys)
    assert len({run.path("scores.csv") for run in runs}) == len(runs)
    # runs that differ in what is explained share a network, whose history goes by the default's key
    for run in runs:
        default = {name: study.CHOICES[name][0] for name in ("layer", "explained", "scored")}
        assert dataclasses.replace(run, **default).key in keys


def test_what_is_there_is_not_computed_again(world, recordings, capsys):
    before = {path: path.read_bytes() for path in world.rglob("scores*.csv")}
    made = {path: path.read_bytes() for path in world.rglob("scores*.json")}
    reference.make(str(recordings))
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.read_bytes() for path in made} == made
    assert len(before) == len(made) == 3
    assert capsys.readouterr().out.splitlines() == [ONE, DEEP, TRUE]


# Recording


def test_recording_writes_every_file(world, recordings):
    assert reference.record(str(recordings)) == [ONE, DEEP, TRUE]
    assert set(contents(world / "recorded")) == set(FILES)


def test_the_scores_are_those_of_the_runs(kept, recordings):
    table = pd.read_csv(kept / "scores.csv")
    assert list(table) == COLUMNS
    assert table["run"].unique().tolist() == [ONE, DEEP, TRUE]
    for key, stock, drawn in ((ONE, 2, 3), (DEEP, 1, 3), (TRUE, 0, 0)):
        part = table[table["run"] == key]
        assert part["specification"].tolist() == (
            ["quantus"] * stock + ["draws"] * drawn + ["rank"] * 3 + ["text"] * drawn + ["frame"] * 3
        )
        own = [pd.read_csv(run_of(key, recordings).path(name)) for name in ("quantus.csv", "scores.csv")]
        own = pd.concat([rows for rows in own if len(rows)])
        for name, source in (
            ("clip", "name"),
            ("recording", "fs_id"),
            ("score", "score"),
            ("status", "status"),
        ):
            assert part[name].tolist() == own[source].tolist()
        for name in ("label", "predicted", "explained"):
            assert part[name].tolist() == own[name].tolist()
    deep = table[table["run"] == DEEP]
    assert (set(deep["architecture"]), set(deep["seed"]), set(deep["data"])) == (
        {"resnet101"},
        {0},
        {"UrbanSound8K"},
    )


def test_histories_and_predictions_are_kept_once_per_network(kept, recordings):
    for name, file in (("histories.csv", "history.csv"), ("predictions.csv", "predictions.csv")):
        table = pd.read_csv(kept / name)
        assert table["run"].unique().tolist() == [ONE, DEEP]
        assert list(table)[:4] == ["run", "data", "architecture", "seed"]
        for key in (ONE, DEEP):
            own = pd.read_csv(run_of(key, recordings).path("network") / file)
            part = table[table["run"] == key].reset_index(drop=True)
            own = own.rename(columns={"name": "clip", "fs_id": "recording"})
            assert list(part)[4:] == list(own)
            pd.testing.assert_frame_equal(part[list(own)], own)


def test_the_nodes_make_the_maps(kept, recordings):
    table = reference.recorded("scores.csv")
    with np.load(kept / "nodes.npz", allow_pickle=False) as arrays:
        assert arrays.files == [ONE, DEEP, TRUE]
    for key in (ONE, DEEP, TRUE):
        maps = explainers.explanations(run_of(key, recordings))
        found = reference.nodes(key)
        assert (found.shape, found.dtype) == ((3, 1, 25), np.float32)
        assert np.array_equal(explainers.stretch(found, (13, 400)), maps.maps)
        own = table[(table["run"] == key) & (table["specification"] == "rank")]
        assert own["clip"].tolist() == maps.names.tolist()
    assert not np.array_equal(reference.nodes(ONE), reference.nodes(DEEP))


def test_the_provenance_has_the_records_of_every_artefact(kept, recordings):
    known = reference.recorded("provenance.json")
    assert list(known) == [ONE, DEEP, TRUE]
    for key in (ONE, DEEP, TRUE):
        run = run_of(key, recordings)
        own = known[key]
        assert list(own["artefacts"]) == [*reference.ARTEFACTS, "quantus.csv"]
        for name, record in own["artefacts"].items():
            assert record == artifacts.record(run.path(name))
            assert record["content"] == artifacts.content_digest(run.path(name))
        assert own["data"] == "UrbanSound8K"
        assert (own["training_folds"], own["test_fold"]) == (list(range(1, 10)), 10)
        assert own["parameters"]["architecture"] == run.architecture
        assert own["parameters"]["explained"] == run.explained
        assert own["parameters"]["profile"] == vars(run.profile)
        assert "source" not in own["parameters"]


def test_the_verdicts_can_be_computed_again(kept):
    table = pd.read_csv(kept / "verdicts.csv")
    assert list(table) == ledger.COLUMNS
    pd.testing.assert_frame_equal(table, reference.recorded("verdicts.csv"))
    assert reference.verdicts().to_csv(index=False) == (kept / "verdicts.csv").read_text()
    # the ledger reads "draws", which the engine's run has not
    assert set(table["specification"]) == {"draws"}
    assert set(table["run"]) == {ONE, DEEP, f"{ONE} and {DEEP}"}
    assert table["claim"].tolist() == ledger.claims()["id"].tolist()
    assert set(table["source"]) == {"data/recorded/scores.csv, data/recorded/predictions.csv"}


def test_no_file_names_a_folder_of_this_machine(kept, recordings, root, tmp_path):
    for name, text in contents(kept).items():
        assert not names_a_folder(kept / name)
        for folder in (recordings, recordings.parent, root, tmp_path):
            assert str(folder).encode() not in text, name


def test_recording_again_leaves_the_same_bytes(kept, recordings):
    before = contents(kept)
    assert reference.record(str(recordings)) == [ONE, DEEP, TRUE]
    assert contents(kept) == before


def test_a_run_whose_results_are_gone_stays_recorded(kept, recordings):
    before = contents(kept)
    remove(run_of(TRUE, recordings), "scores.csv", "quantus.csv", "explanations.npz")
    remove(run_of(ONE, recordings), "scores.csv", "quantus.csv", "explanations.npz", "network")
    assert reference.record(str(recordings)) == [DEEP]
    assert contents(kept) == before


def test_runs_may_be_recorded_one_after_the_other(world, recordings, tmp_path):
    reference.record(str(recordings))
    together = contents(world / "recorded")
    for path in (world / "recorded").iterdir():
        path.unlink()
    shutil.copytree(world / "runs", tmp_path / "runs")
    one, deep, true = (run_of(key, recordings) for key in (ONE, DEEP, TRUE))
    # the last of the list first
    for run in (one, true):
        remove(run, "scores.csv", "quantus.csv")
    assert reference.record(str(recordings)) == [DEEP]
    assert set(reference.recorded("verdicts.csv")["network"]) == {"resnet101"}
    shutil.rmtree(world / "runs")
    shutil.copytree(tmp_path / "runs", world / "runs")
    remove(deep, "scores.csv", "quantus.csv", "explanations.npz", "network")
    assert reference.record(str(recordings)) == [ONE, TRUE]
    assert contents(world / "recorded") == together


def test_a_run_that_left_the_list_is_forgotten(kept, recordings, monkeypatch, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "reference.yaml").write_text("- {architecture: resnet101}\n")
    (tmp_path / "data" / "claims.yaml").write_text((study.ROOT / "data" / "claims.yaml").read_text())
    monkeypatch.setattr(study, "ROOT", tmp_path)
    reference.record(str(recordings))
    for name in ("scores.csv", "histories.csv", "predictions.csv"):
        assert set(reference.recorded(name)["run"]) == {DEEP}
    assert list(reference.recorded("provenance.json")) == [DEEP]
    with np.load(kept / "nodes.npz", allow_pickle=False) as arrays:
        assert arrays.files == [DEEP]


def test_a_run_without_stock_scores_yet_is_recorded_without_them(world, recordings):
    remove(run_of(DEEP, recordings), "quantus.csv")
    reference.record(str(recordings))
    table = reference.recorded("scores.csv")
    own = table[table["run"] == DEEP]
    assert own["specification"].unique().tolist() == ["draws", "rank", "text", "frame"]
    assert "quantus.csv" not in reference.recorded("provenance.json")[DEEP]["artefacts"]


def test_without_any_run_there_is_nothing_to_record(world, recordings):
    shutil.rmtree(world / "runs")
    with pytest.raises(InputError, match=r"no reference run on .* is there; `make reference` computes"):
        reference.record(str(recordings))
    assert not contents(world / "recorded")


@pytest.mark.parametrize("artefact", reference.ARTEFACTS)
def test_an_artefact_that_was_changed_by_hand_is_not_recorded(kept, recordings, artefact):
    before = contents(kept)
    path = run_of(DEEP, recordings).path(artefact)
    with (path / "history.csv" if path.is_dir() else path).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputError, match=r"has changed since it was made; `make reference` makes it again"):
        reference.record(str(recordings))
    assert contents(kept) == before


def test_results_of_another_network_are_not_recorded(kept, recordings):
    before = contents(kept)
    one, deep = (run_of(key, recordings).path("network") for key in (ONE, DEEP))
    shutil.rmtree(deep)
    shutil.copytree(one, deep)
    shutil.copy(artifacts.record_path(one), artifacts.record_path(deep))
    with pytest.raises(InputError, match=r"was made from another network; `make reference` makes it again"):
        reference.record(str(recordings))
    assert contents(kept) == before


def test_stock_scores_of_another_network_are_not_recorded(kept, recordings):
    # the network and the engine's scores were made anew, stock Quantus not yet
    before = contents(kept)
    path = artifacts.record_path(run_of(ONE, recordings).path("quantus.csv"))
    known = json.loads(path.read_text())
    known["recipe"]["inputs"]["network"] = "0" * 64
    path.write_text(json.dumps(known))
    with pytest.raises(InputError, match=r"quantus\.csv was made from another network"):
        reference.record(str(recordings))
    assert contents(kept) == before


# Reading


def test_recorded_tables_know_the_setting_of_a_run(kept):
    for name in ("scores.csv", "histories.csv", "predictions.csv"):
        table = reference.recorded(name)
        settings = dict(zip(table["run"], table["setting"], strict=True))
        assert settings[ONE] == settings[DEEP] == "seed=0 hop_length=1024"
    assert settings.get(TRUE) is None
    assert "setting" not in reference.recorded("verdicts.csv")


def test_one_setting_is_selected(kept):
    table = reference.select("scores.csv", "seed=0 hop_length=1024")
    assert table["run"].unique().tolist() == [ONE, DEEP]
    assert set(reference.select("scores.csv", "seed=0 hop_length=1024 explained=true")["run"]) == {TRUE}
    with pytest.raises(InputError, match='no run with "seed=9" is recorded; choose one of: seed=0 hop'):
        reference.select("scores.csv", "seed=9")


def test_the_overview_has_a_row_per_network(kept, recordings):
    table = reference.overview().set_index("run")
    assert table.index.tolist() == [ONE, DEEP]
    made = artifacts.record(run_of(DEEP, recordings).path("network"))["made"]
    row = table.loc[DEEP]
    assert row["training folds"] == "1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert (row["training clips"], row["test clips"], row["epochs"]) == (90, 10, 1)
    assert row["minutes"] == f"{made['training_seconds'] / 60:.1f}"
    assert made["date"].startswith(row["date"])
    assert row["torch"] == made["versions"]["torch"]
    assert row["revision"] == made["revision"]


def test_accuracy_is_the_share_of_test_clips_recognised(kept):
    table = reference.accuracy().set_index("run")
    assert table.index.tolist() == [ONE, DEEP]
    predictions = reference.recorded("predictions.csv")
    for key, row in table.iterrows():
        own = predictions[predictions["run"] == key]
        assert row["accuracy"] == (own["label"] == own["predicted"]).mean()
        assert (row["clips"], row["recordings"]) == (10, own["recording"].nunique())
        assert row["low"] <= row["accuracy"] <= row["high"]


def test_readings_are_the_default_and_those_that_differ_once(monkeypatch):
    settings = [
        "seed=0 hop_length=1024",
        "seed=0 hop_length=512",
        "seed=1 hop_length=1024",
        "seed=0 hop_length=1024 explained=true",
        "seed=0 hop_length=512 explained=true",
        "seed=10 hop_length=512",
    ]
    names = ("draws", "rank", "text", "frame", "quantus 0.5.3")
    rows = [
        (architecture, setting, specification, 7, i + j / 10 + k / 100)
        for k, architecture in enumerate(("resnet18", "resnet101"))
        for i, setting in enumerate(settings)
        for j, specification in enumerate(names)
    ]
    table = pd.DataFrame(rows, columns=["architecture", "setting", "specification", "recording", "score"])
    monkeypatch.setattr(reference, "recorded", lambda name: table)
    found = reference.readings("resnet101")
    assert set(found) == {"recording", "score", "reading"}
    assert list(zip(found["reading"], found["score"], strict=True)) == [
        ("default reading", pytest.approx(0.11)),
        ("hop_length=512", pytest.approx(1.11)),
        ("seed=1", pytest.approx(2.11)),
        ("explained=true", pytest.approx(3.11)),
        ("Quantus 0.5.3", pytest.approx(0.41)),
        ("effect as in the text", pytest.approx(0.21)),
    ]


# What is committed

RECORDED = study.RECORDED


@pytest.fixture(scope="module")
def all_scores():
    return pd.read_csv(RECORDED / "scores.csv")


def test_the_committed_verdicts_are_those_of_the_committed_tables():
    table = pd.read_csv(RECORDED / "verdicts.csv")
    again = reference.verdicts()
    assert list(table) == list(again)
    numbers = ["value", "low", "high"]
    # the last digits of an exponential are the processor's
    assert np.allclose(table[numbers], again[numbers].astype(float), rtol=0, atol=1e-9, equal_nan=True)
    others = [name for name in table if name not in numbers]
    assert table[others].fillna("").to_dict("records") == again[others].fillna("").to_dict("records")


def test_every_committed_run_has_its_provenance_and_fifty_clips(all_scores):
    known = json.loads((RECORDED / "provenance.json").read_text())
    assert list(known) == all_scores["run"].unique().tolist()
    for key, part in all_scores.groupby("run"):
        assert (part["specification"] == "rank").sum() >= 50
        assert set(part["data"]) == {known[key]["data"]} == {"UrbanSound8K"}
        assert set(part["architecture"]) == {known[key]["parameters"]["architecture"]}
        assert set(part["seed"]) == {known[key]["parameters"]["seed"]}
        assert {"features.npz", "network", "explanations.npz", "scores.csv"} <= set(known[key]["artefacts"])
        assert known[key]["test_fold"] == 10
        assert 10 not in known[key]["training_folds"]
        for _, own in part.groupby("specification"):
            assert own["clip"].is_unique


def test_the_committed_scores_are_scores(all_scores):
    assert list(all_scores) == COLUMNS
    assert all_scores["score"].dropna().between(-1, 1).all()
    assert all_scores["status"].notna().all()
    known = all_scores["status"].isin(["ok", "p below 1e-5"])
    assert (all_scores["score"].notna() == known).all()
    assert all_scores["clip"].str.split("-").str[0].astype(int).tolist() == all_scores["recording"].tolist()
    assert all_scores["clip"].str.split("-").str[1].astype(int).tolist() == all_scores["label"].tolist()


def test_the_committed_runs_of_one_fold_explain_the_same_clips(all_scores):
    own = all_scores[all_scores["specification"] == "rank"]
    assert len({tuple(part["clip"]) for _, part in own.groupby("run")}) == 1


def test_the_committed_networks_have_histories_and_predictions(all_scores):
    histories, predictions = (pd.read_csv(RECORDED / f"{n}.csv") for n in ("histories", "predictions"))
    assert set(histories["run"]) == set(predictions["run"]) <= set(all_scores["run"])
    for key, part in predictions.groupby("run"):
        history = histories[histories["run"] == key]
        assert history["epoch"].tolist() == list(range(1, 31))
        accuracy = (part["label"] == part["predicted"]).mean()
        assert accuracy == pytest.approx(history["test_accuracy"].iloc[-1], abs=1e-9)
        # what is explained as predicted is what the network said of the clip
        own = all_scores[all_scores["run"] == key].drop_duplicates("clip").set_index("clip")
        assert own["predicted"].to_dict() == part.set_index("clip")["predicted"][own.index].to_dict()


def test_every_committed_verdict_has_a_reason_and_a_source():
    table = pd.read_csv(RECORDED / "verdicts.csv")
    assert set(table["verdict"]) <= set(ledger.VERDICTS)
    assert set(table["claim"]) == set(ledger.claims()["id"])
    assert not table.duplicated(["claim", "run"]).any()
    for name in ("why", "source", "figure", "data"):
        assert table[name].str.len().min() > 0
    assert not table["why"].str.contains("nan").any()
    for file in table["source"].str.split(", ").explode().unique():
        assert (study.ROOT / file).exists()


def test_the_committed_nodes_are_those_of_the_explained_clips(all_scores):
    with np.load(RECORDED / "nodes.npz", allow_pickle=False) as arrays:
        assert arrays.files == all_scores["run"].unique().tolist()
        for key in arrays.files:
            own = all_scores[(all_scores["run"] == key) & (all_scores["specification"] == "rank")]
            assert arrays[key].dtype == np.float32
            assert arrays[key].ndim == 3
            assert len(arrays[key]) == len(own)
            assert np.isfinite(arrays[key]).all()
            # a map that is zero everywhere has no score
            empty = (arrays[key] <= 0).all(axis=(1, 2))
            assert own["score"].isna().to_numpy()[empty].all()


@pytest.mark.parametrize("name", FILES)
def test_no_committed_file_names_a_folder_of_a_machine(name):
    assert not names_a_folder(RECORDED / name)


def test_the_answer_is_shown_as_recorded_and_says_what_the_ledger_says():
    answer = (RECORDED / "answer.md").read_text()
    assert answer == reference.answer()
    readme, page = ((study.ROOT / name).read_text() for name in ("README.md", "book/index.md"))
    assert f"-->\n{answer}<!-- /answer -->" in readme
    assert "../data/recorded/answer.md" in page
    # both say in words that the verdict does not come out, because most scores are positive
    table = pd.read_csv(RECORDED / "verdicts.csv")
    signs = table[table["claim"].isin(["R18-sign", "R101-sign", "verdict"])]
    assert len(signs) >= 3
    assert set(signs["verdict"]) == {"contradicted"}
    assert (signs["high"] < 0.5).all()


# too few clips, another effect, or honestly between
OPEN = ["Quantus 0.5.3", "effect as in the text", "padding=minimum"]


def test_what_the_chapter_says_of_the_readings_is_so():
    for architecture in ("resnet18", "resnet101"):
        scores = reference.readings(architecture)
        found = reference.signs(scores).set_index("reading")["verdict"]
        assert "reproduced" not in set(found.drop("effect as in the text"))
        assert set(found.drop(OPEN, errors="ignore")) == {"contradicted"}
        text = "reproduced" if architecture == "resnet101" else "undecided"
        assert found["effect as in the text"] == text
        if architecture == "resnet18":
            assert found["padding=minimum"] == "undecided"
            repeated = scores[scores["reading"] == "padding=repeat"]["score"].quantile([0.25, 0.75])
            assert repeated[0.25] < 0 < repeated[0.75]
    depth = pd.read_csv(RECORDED / "verdicts.csv").set_index(["claim", "run"])["verdict"]["depth"]
    for hop, verdict in ((1024, "undecided"), (512, "contradicted")):
        (run,) = (key for key in depth.index if key.endswith(f"hop_length={hop}"))
        assert depth[run] == verdict


def test_signs_by_hand():
    scores = [-0.1, -0.2, 0.3, np.nan, 0.5, 0.6]
    table = pd.DataFrame({"reading": ["a"] * 4 + ["b"] * 2, "recording": [1, 1, 2, 3, 4, 5], "score": scores})
    first, second = reference.signs(table).to_dict("records")
    assert (first["clips"], first["NaN"], first["median"]) == (3, 1, -0.1)
    assert first["share below 0"] == pytest.approx(2 / 3)
    assert (first["low"], first["high"], first["verdict"]) == (0, 1, "undecided")
    # none of two clips from two recordings: (1 - high)^2 = 0.025
    assert (second["share below 0"], second["low"]) == (0, 0)
    assert second["high"] == pytest.approx(1 - 0.025**0.5)
    assert second["verdict"] == "undecided"


# What only some runs have

WITH_MORE = """
- {architecture: resnet18, also: [peers, controls, specifications]}
- {architecture: resnet101, stock: false, also: [controls]}
- {architecture: resnet18, explained: "true", engine: true}
- {architecture: resnet18, scored: "true", engine: true}
"""
SCORED = f"{ONE} scored=true"  # shares its maps with ONE, and all that is made of them
FEW = specifications.Axes(layers=("layer4[-1]",), pairs=(("predicted", "explained"),), baselines=("uniform",))


def repository(folder: Path, runs: str) -> Path:
    """A repository with other runs."""
    for name in ("config", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "config" / "reference.yaml").write_text(runs)
    shutil.copy(Path(reference.__file__).parents[2] / "data" / "claims.yaml", folder / "data")
    return folder


def older_scores(command, **options) -> None:
    """Stands for the older Quantus: clip i scores i / 10."""
    with np.load(command[3]) as arrays:
        for i in range(len(arrays["maps"])):
            (command[3].parent / f"clip-{i}.txt").write_text(f"{i / 10!r}\nok\n")


@pytest.fixture(scope="module")
def more_computed(computed, recordings, tmp_path_factory):
    """The results of `make` with what only some runs have, read only; the repository; what was printed."""
    root = repository(tmp_path_factory.mktemp("more"), WITH_MORE)
    data = tmp_path_factory.mktemp("more-computed") / "data"
    shutil.copytree(computed, data)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        small(patch, root, data)
        patch.setattr(specifications, "axes", lambda run: FEW)
        patch.setattr(specifications, "RANK_NULLS", 1)
        patch.setattr(scores, "make_stock", lambda run: None)  # they are there, or nothing is asked for
        patch.setattr(peers, "python", lambda folder, *packages: "python")
        patch.setattr(peers, "subprocess", SimpleNamespace(run=older_scores))
        reference.make(str(recordings))
    return data, root, said.getvalue().splitlines()


@pytest.fixture
def more(more_computed, monkeypatch, tmp_path, few):
    """As `world`, with what only some runs have."""
    folder, root, _ = more_computed
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    small(monkeypatch, root, data)
    return data


@pytest.fixture
def more_kept(more, recordings):
    reference.record(str(recordings))
    return more / "recorded"


def test_what_else_is_computed_follows_the_scores_of_all_runs(monkeypatch, world, recordings, tmp_path):
    monkeypatch.setattr(study, "ROOT", repository(tmp_path / "other", WITH_MORE))
    asked = []
    for name, module, function in (
        ("scores", scores, "make"),
        ("stock", scores, "make_stock"),
        ("controls", controls, "make"),
        ("specifications", specifications, "make"),
        ("peers", peers, "make"),
    ):
        monkeypatch.setattr(module, function, lambda run, name=name: asked.append((name, run.key)))
    reference.make(str(recordings))
    assert asked == [
        *(("scores", key) for key in (ONE, DEEP, TRUE, SCORED)),
        *((name, ONE) for name in ("peers", "controls", "specifications")),
        ("controls", DEEP),
        *(("stock", key) for key in (ONE, DEEP, TRUE, SCORED)),
    ]


def test_every_step_is_said(more_computed):
    _, _, said = more_computed
    also = [f"{ONE}: peers", f"{ONE}: controls", f"{ONE}: specifications", f"{DEEP}: controls"]
    assert said == [ONE, DEEP, TRUE, SCORED, *also]


def test_the_controls_are_those_of_the_runs(more_kept, recordings):
    table = pd.read_csv(more_kept / "controls.csv")
    assert table["run"].unique().tolist() == [ONE, DEEP]
    assert set(table["data"]) == {"UrbanSound8K"}
    for key in (ONE, DEEP):
        run = run_of(key, recordings)
        own = pd.read_csv(run.path("controls.csv"))
        part = table[table["run"] == key].reset_index(drop=True)
        assert list(part) == [*reference.KEYS, *own]
        pd.testing.assert_frame_equal(part[list(own)], own)
        assert set(part["architecture"]) == {run.architecture}
    assert set(reference.recorded("controls.csv")["setting"]) == {"seed=0 hop_length=1024"}


def test_the_specifications_are_recorded_as_a_curve(more_kept, recordings):
    table, run = pd.read_csv(more_kept / "specifications.csv"), run_of(ONE, recordings)
    own = curve.curve(pd.read_csv(run.path("specifications.csv")))
    assert len(own) == 8  # four effects, each by frame and by rank
    assert list(table) == [*reference.KEYS, "hop_length", "padding", "scaling", *own]
    pd.testing.assert_frame_equal(table[list(own)], own)
    facts = table[["run", "hop_length", "padding", "scaling"]].drop_duplicates().to_numpy().tolist()
    assert facts == [[ONE, 1024, "zero", "raw"]]
    assert curve.thesis_own(table).sum() == 1


def test_effects_are_kept_beside_the_nodes(more_kept, recordings):
    names = ("names", "nodes", "effects", "again")
    with np.load(more_kept / "effects.npz", allow_pickle=False) as arrays:
        assert arrays.files == [f"{key} {name}" for key in (ONE, DEEP) for name in names]
        for key in (ONE, DEEP):
            own = frame_effects.frames(run_of(key, recordings))
            for name in names:
                np.testing.assert_array_equal(arrays[f"{key} {name}"], getattr(own, name))


def test_what_runs_share_is_recorded_of_the_one_it_was_made_for(more_kept, recordings):
    one, true, scored = (run_of(key, recordings) for key in (ONE, TRUE, SCORED))
    assert one.path("specifications.csv") == true.path("specifications.csv")
    assert one.path("controls.csv") == scored.path("controls.csv") != true.path("controls.csv")
    for name, runs in (("controls.csv", [ONE, DEEP]), ("specifications.csv", [ONE])):
        assert pd.read_csv(more_kept / name)["run"].unique().tolist() == runs
    with np.load(more_kept / "nodes.npz") as arrays:
        assert arrays.files == [ONE, DEEP, TRUE, SCORED]


def test_scores_of_the_older_quantus_stand_beside_the_others(more_kept):
    table = pd.read_csv(more_kept / "scores.csv")
    older = table[table["specification"] == "quantus 0.5.3"]
    assert set(older["run"]) == {ONE}
    assert older["score"].tolist() == [0, 0.1, 0.2]
    rank = table[(table["specification"] == "rank") & (table["run"] == ONE)]
    assert older["clip"].tolist() == rank["clip"].tolist()
    assert list(table) == COLUMNS


def test_the_provenance_has_what_only_some_runs_have(more_kept, recordings):
    known = reference.recorded("provenance.json")
    more = {
        ONE: ["quantus.csv", "quantus-older.csv", "effects.npz", "controls.csv", "specifications.csv"],
        DEEP: ["quantus.csv", "effects.npz", "controls.csv"],
        # the specifications are those of ONE, whose network both have, and so are the controls of SCORED
        TRUE: ["quantus.csv"],
        SCORED: [],
    }
    for key, names in more.items():
        own = known[key]["artefacts"]
        assert list(own) == [*reference.ARTEFACTS, *names]
        for name in names:
            assert own[name] == artifacts.record(run_of(key, recordings).path(name))


def test_recording_more_again_leaves_the_same_bytes(more_kept, recordings):
    before = contents(more_kept)
    assert {"controls.csv", "specifications.csv", "effects.npz"} < set(before)
    for name in before:
        assert not names_a_folder(more_kept / name)
    assert reference.record(str(recordings)) == [ONE, DEEP, TRUE, SCORED]
    assert contents(more_kept) == before


def test_controls_of_a_run_whose_results_are_gone_stay_recorded(more_kept, recordings):
    before = contents(more_kept)
    remove(run_of(ONE, recordings), "controls.csv", "effects.npz", "specifications.csv")
    reference.record(str(recordings))
    after = contents(more_kept)
    for name in ("controls.csv", "effects.npz", "specifications.csv"):
        assert after[name] == before[name], name


def test_a_run_that_left_the_list_leaves_no_arrays(more_kept, recordings, monkeypatch, tmp_path):
    runs = "- {architecture: resnet18}\n"
    monkeypatch.setattr(study, "ROOT", repository(tmp_path / "other", runs))
    reference.record(str(recordings))
    for name in ("controls.csv", "specifications.csv", "scores.csv"):
        assert set(pd.read_csv(more_kept / name)["run"]) == {ONE}
    with np.load(more_kept / "effects.npz") as arrays:
        assert {key.rpartition(" ")[0] for key in arrays.files} == {ONE}
    # TRUE is the key of ONE and a word
    with np.load(more_kept / "nodes.npz") as arrays:
        assert arrays.files == [ONE]


def test_which_arrays_are_a_runs():
    assert reference._belongs(ONE, ONE)
    assert reference._belongs(f"{ONE} effects", ONE)
    assert reference._belongs(f"{TRUE} effects", TRUE)
    assert not reference._belongs(TRUE, ONE)
    assert not reference._belongs(f"{TRUE} effects", ONE)
    assert not reference._belongs(f"{DEEP} effects", ONE)
    assert not reference._belongs(ONE, TRUE)


@pytest.mark.parametrize(
    "artefact", ["quantus-older.csv", "effects.npz", "controls.csv", "specifications.csv"]
)
def test_more_that_was_changed_by_hand_is_not_recorded(more_kept, recordings, artefact):
    before = contents(more_kept)
    with run_of(ONE, recordings).path(artefact).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputError, match=rf"{artefact} has changed since it was made"):
        reference.record(str(recordings))
    assert contents(more_kept) == before


@pytest.mark.parametrize(
    ("artefact", "source"),
    [("controls.csv", "effects.npz"), ("effects.npz", "explanations.npz"), ("specifications.csv", "network")],
)
def test_more_that_was_made_from_something_else_is_not_recorded(more_kept, recordings, artefact, source):
    path = artifacts.record_path(run_of(ONE, recordings).path(artefact))
    known = json.loads(path.read_text())
    known["recipe"]["inputs"][source] = "0" * 64
    path.write_text(json.dumps(known))
    with pytest.raises(InputError, match=rf"{artefact} was made from another {source}"):
        reference.record(str(recordings))


def test_agreement_by_hand(monkeypatch):
    scored = {
        "a": {"quantus": [0.1, 0.2, np.nan], "draws": [0.1, 0.25, 0.3], "rank": [0.4, 0.2, 0.3]},
        "b": {"quantus": [0.5, -0.5], "draws": [0.5, -0.5], "quantus 0.5.3": [0.5, np.nan]},
        "c": {"draws": [0.1], "rank": [0.1]},
    }
    rows = [
        (run, f"{i}.wav", specification, score)
        for run, own in scored.items()
        for specification, values in own.items()
        for i, score in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=["run", "clip", "specification", "score"])
    monkeypatch.setattr(reference, "recorded", lambda name: table)
    found = reference.agreement()
    assert list(found) == ["run", "pair", "clips", "median difference", "largest difference"]
    assert found.to_numpy().tolist() == [
        ["a", "quantus 0.6.0 and draws", 2, pytest.approx(0.025), pytest.approx(0.05)],
        ["a", "quantus 0.6.0 and rank", 2, pytest.approx(0.15), pytest.approx(0.3)],
        ["b", "quantus 0.6.0 and draws", 2, 0, 0],
        ["b", "quantus 0.6.0 and quantus 0.5.3", 1, 0, 0],
    ]


# The recorded controls


@pytest.fixture(scope="module")
def recorded_effects():
    """The recorded effects by run: names, nodes and effects."""
    with np.load(RECORDED / "effects.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def test_recorded_controls_follow_from_the_recorded_effects(recorded_effects):
    rows = pd.read_csv(RECORDED / "controls.csv")
    random = np.random.default_rng(7)
    for key, part in rows.groupby("run", sort=False):
        names, nodes, v = (recorded_effects[f"{key} {name}"] for name in ("names", "nodes", "effects"))
        assert part["clip"].tolist() == names.tolist()
        for i in (0, len(part) // 2):
            own = np.maximum(nodes[i], 0)
            blind = np.maximum(random.normal(size=(300, *nodes.shape[1:])), 0)
            found = []
            for map_ in (own, *blind):
                profile = cv2.resize(map_.astype(np.float32), (400, 13)).sum(axis=0)
                found.append(stats.spearmanr(profile, v[i]).statistic)
            row = part.iloc[i]
            # scipy ties no frames that are almost the same
            assert row["Grad-CAM"] == pytest.approx(found[0], abs=0.01, nan_ok=True)
            spread = np.nanstd(found[1:]) / np.sqrt(300)
            assert row["random nodes"] == pytest.approx(np.nanmean(found[1:]), abs=5 * spread)
            assert row["random nodes below 0"] == pytest.approx(np.mean(np.array(found[1:]) < 0), abs=0.15)


def test_what_the_first_pages_say_of_the_controls_is_so():
    rows = reference.recorded("controls.csv")
    seeds = rows.groupby(["architecture", rows["setting"].str.partition(" ")[2]])["seed"].nunique()
    assert seeds.to_dict() == {
        ("resnet101", "hop_length=1024"): 1,
        ("resnet101", "hop_length=512"): 1,
        ("resnet18", "hop_length=1024"): 3,
        ("resnet18", "hop_length=512"): 1,
    }
    found = plan.kinds(plan.primary(rows))
    for architecture in ("resnet18", "resnet101"):
        assert plan.verdict(found, architecture) == "no better than loudness"
    within = plan.primary(plan.inside(rows)).query("comparison == 'A'")
    assert (within["low"] <= 0).all()  # no better than random maps
    lower = plan.primary(rows).query("comparison == 'B'")["high"] < 0
    assert lower.all()  # loudness scores higher
    for _, part in rows.groupby("run"):
        assert part["sound or padding"].median() > part["Grad-CAM"].median()
    table = reference.recorded("specifications.csv")
    repeated = table[curve.thesis_own(table.assign(padding="zero")) & (table["padding"] == "repeat")]
    assert repeated["low"].iloc[0] < 0 < repeated["high"].iloc[0] < 0.1
    paddings = curve.paddings(table, reference.recorded("predictions.csv")).set_index("padding")
    assert paddings["accuracy"]["repeat"].min() >= paddings["accuracy"]["zero"].max()
    kept = reference.recorded("metrics.csv").rename(columns={"clip": "name", "recording": "fs_id"})
    wins = checks.wins(kept[kept["run"] == ONE])
    over = wins[(wins["rival"] == "loudness") & (wins["low"] > 0.5)]
    assert over["metric"].tolist() == ["MC mean", "MC marginal"]


def test_the_recorded_sheet_is_made_of_the_recorded_tables():
    given = map(reference.recorded, ("verdicts.csv", "controls.csv", "specifications.csv"))
    assert (RECORDED / "sheet.md").read_text() == answer.sheet(*given)
