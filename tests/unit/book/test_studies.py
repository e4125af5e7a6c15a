"""Studies: lists of runs, made, planned, recorded and pruned; with small artefacts in place of ours."""

import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import safetensors.torch
import torch

from helpers import InputError, artifacts, study
from helpers.book import jobs, studies, verify
from tests.unit.book.conftest import ENTRIES, spoil, tree


def record(name: str, data: str) -> list[str]:
    with studies.staged():
        return studies.record(name, data)


# What a study asks for


def test_jobs_are_what_every_run_has_and_what_an_entry_asks_for_beside_it(world):
    found = [(run.seed, run.draws, artefact.name) for _, run, artefact in studies.jobs("mine", world.data)]
    assert found == [
        (0, 10, "network"),
        (0, 10, "scores.csv"),
        (0, 10, "curve.csv"),
        (0, 3, "network"),
        (0, 3, "scores.csv"),
        (1, 10, "network"),
        (1, 10, "scores.csv"),
    ]


def test_an_artefact_that_is_not_known_is_refused_with_those_that_are(world):
    with pytest.raises(InputError) as caught:
        studies.named("curves")
    assert str(caught.value) == (
        'artefact "curves" is not known; choose from features, network, scores, curve (config/studies)'
    )


def test_what_a_chapter_can_ask_for_comes_with_what_it_is_made_from():
    found = [artefact.name for artefact in studies.reads("05_training")]
    assert {"network", "predictions.csv", "features.npz"} <= set(found)
    assert found.index("features.npz") < found.index("network") < found.index("predictions.csv")
    assert len(found) == len(set(found))
    assert "scores.csv" not in found


def test_the_reference_study_asks_for_artefacts_that_are_there():
    names = {artefact.name for _, _, artefact in studies.jobs("reference", "recorded")}
    assert {"network", "scores.csv", "curve.csv", "mixture.npz"} <= names


@pytest.mark.parametrize("work", [jobs.graph, jobs.plan, record])
def test_a_study_needs_recordings(world, library, work):
    before = tree(library)
    with pytest.raises(InputError, match="needs real recordings; name them with DATA=folder, or get them"):
        work("mine", "")
    assert tree(library) == before


# Lists of values


def test_a_list_of_values_stands_for_a_run_of_each_and_two_for_every_pair(monkeypatch, tmp_path):
    (tmp_path / "config" / "studies").mkdir(parents=True)
    (tmp_path / "config" / "studies" / "some.yaml").write_text(
        "- {architecture: [resnet18, resnet34], seed: [0, 1], also: [curve, controls]}\n- {seed: 7}\n"
    )
    monkeypatch.setattr(study, "ROOT", tmp_path)
    study.study.cache_clear()
    found = study.study("some")
    study.study.cache_clear()
    assert [(one.get("architecture"), one["seed"]) for one in found] == [
        ("resnet18", 0),
        ("resnet18", 1),
        ("resnet34", 0),
        ("resnet34", 1),
        (None, 7),
    ]
    assert found[3]["also"] == ["curve", "controls"]


def test_the_full_study_is_every_depth_on_every_fold_with_five_seeds(tmp_path):
    found = study.study("full")
    depths = {
        (one["architecture"], one["test_fold"], one["seed"]) for one in found if "comparison" in one.get("also", ())
    }
    assert len(depths) == 5 * 10 * 5
    for fold in range(1, 11):
        (tmp_path / "audio" / f"fold{fold}").mkdir(parents=True)
        (tmp_path / "audio" / f"fold{fold}" / "1-0-0-0.wav").touch()
    runs = study.entries("full", data=str(tmp_path))  # every value is legal
    assert all(set(run.training_folds) == set(range(1, 11)) - {run.test_fold} for run in runs)


# Merge


@pytest.fixture
def theirs(world, monkeypatch, tmp_path):
    """A folder of runs that somebody else made of the same study."""
    folder = tmp_path / "theirs"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(study, "RUNS", folder)
        world.make()
    world.made.clear()
    return folder


def merged(theirs, world) -> dict[str, str]:
    table = studies.merge(str(theirs), world.data)
    return dict(zip(table["artefact"].str.rpartition("/")[2], table["outcome"], strict=True))


def test_what_others_made_is_taken_and_not_made_again(world, theirs):
    assert set(merged(theirs, world).values()) == {"taken"}
    world.make()
    assert world.made == []
    assert set(merged(theirs, world).values()) == {"there already"}


def test_a_conflict_is_named_and_nothing_is_overwritten(world, theirs):
    world.make()
    path = world.scores.path(world.runs()[0])
    path.write_text("clip,score\na.wav,0.9\n")
    spoil(path, content=artifacts.content_digest(path))
    before = tree(study.RUNS)
    found = merged(theirs, world)
    assert found[path.name] == "conflict: another one of that name is there, and was kept"
    assert sorted(set(found.values())) == [found[path.name], "there already"]
    assert tree(study.RUNS) == before


def test_what_is_not_whole_or_of_other_sounds_is_left(world, theirs):
    (network,) = theirs.rglob("network-training_folds=1+2")
    (network / "history.csv").write_text("epoch,loss\n1,0.1\n")
    (scores,) = theirs.rglob("scores-training_folds=1+2.csv")
    known = artifacts.record(scores)
    spoil(scores, made=known["made"] | {"data": "synthetic stand-in"})
    (curve,) = theirs.rglob("curve-training_folds=1+2.csv")
    spoil(curve, recipe=artifacts.record(curve)["recipe"] | {"fields": {"draws": 7}})
    found = merged(theirs, world)
    assert found["network-training_folds=1+2"] == found["curve-training_folds=1+2.csv"] == "changed since it was made"
    assert found["scores-training_folds=1+2.csv"] == "of other sounds (synthetic stand-in, not UrbanSound8K)"
    assert not world.network.path(world.runs()[0]).exists()


def test_a_record_that_names_another_place_is_left(world, theirs):
    (scores,) = theirs.rglob("scores-training_folds=1+2.csv")
    spoil(scores, artefact="../../outside.csv")
    assert merged(theirs, world)["outside.csv"] == "not where an artefact of that name lies"
    assert not list(study.RUNS.rglob("outside.csv"))


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_artefacts_is_refused(world, tmp_path, there):
    empty = tmp_path / "empty"
    if there:
        empty.mkdir()
        (empty / "some.json").write_text("[1]")
    with pytest.raises(InputError, match="no artefact lies in"):
        studies.merge(str(empty), world.data)


# Record


def folder() -> Path:
    return study.RECORDED / "urbansound8k" / "thesis" / "resnet18"


def test_record_copies_what_was_made_and_recorded_runs_read_it(world, library):
    world.make()
    copied = record("mine", world.data)
    assert sorted(copied) == [
        f"urbansound8k/thesis/resnet18/{name}"
        for name in (
            "curve-training_folds=1+2.csv",
            "network-training_folds=1+2",
            "network-training_folds=1+2-seed=1",
            "scores-training_folds=1+2-draws=3.csv",
            "scores-training_folds=1+2-seed=1.csv",
            "scores-training_folds=1+2.csv",
        )
    ]
    before = list(world.made)
    for own, kept in zip(world.runs(), world.runs("recorded"), strict=True):
        assert world.scores.get(kept).read_bytes() == world.scores.get(own).read_bytes()
        known, recorded = (artifacts.record(world.scores.path(run)) for run in (own, kept))
        assert recorded == known  # a table's provenance stays as it was
        assert (world.network.get(kept) / "history.csv").is_file()
    assert world.made == before
    assert (study.RECORDED / "answer.md").read_text() == "yes"
    assert "features" not in " ".join(tree(study.RECORDED))  # what is made from the sounds stays at home
    assert [path.name for path in study.DATA.iterdir() if "recorded" in path.name] == ["recorded"]


def test_weights_travel_only_where_the_study_says_so_and_in_half_precision(world):
    world.make()
    record("mine", world.data)
    assert not list(folder().glob("network-training_folds=1+2/*.safetensors"))
    assert artifacts.record(folder() / "network-training_folds=1+2")["made"]["recorded"] == "without weights"
    kept = folder() / "network-training_folds=1+2-seed=1"
    weights = safetensors.torch.load_file(kept / "weights.safetensors")
    assert weights["w"].dtype == torch.float16
    assert weights["steps"].dtype == torch.int64
    torch.testing.assert_close(weights["w"].float(), torch.tensor([1.1, 1e-3]), rtol=2**-10, atol=0)
    known = artifacts.record(kept)
    assert known["made"]["recorded"] == "weights in half precision"
    assert known["content"] == artifacts.content_digest(kept)
    own = artifacts.record(world.network.path(world.runs()[2]))
    assert {n: v for n, v in known.items() if n not in ("content", "made")} == {
        n: v for n, v in own.items() if n not in ("content", "made")
    }


def test_weights_that_travelled_before_do_not_stay_beside_another_training(world, monkeypatch):
    world.make()
    record("mine", world.data)
    monkeypatch.setattr(study, "study", lambda name: tuple(e | {"weights": False} for e in ENTRIES))
    record("mine", world.data)
    assert not list(study.RECORDED.rglob("*.safetensors"))
    assert world.network.get(world.runs("recorded")[2]).is_dir()


def test_runs_that_are_not_there_stay_as_they_are_recorded(world):
    world.make()
    record("mine", world.data)
    before = tree(study.RECORDED)
    shutil.rmtree(study.RUNS)
    world.scores.get(world.runs()[1])
    copied = record("mine", world.data)
    assert [Path(name).name for name in copied] == [
        "network-training_folds=1+2",
        "scores-training_folds=1+2-draws=3.csv",
    ]
    after = tree(study.RECORDED)
    assert set(after) == set(before)
    same = {name for name in before if after[name] == before[name]}
    assert {name for name in before if "seed=1" in name or "curve" in name} <= same


def test_nothing_to_record_is_said(world):
    with pytest.raises(InputError) as caught:
        record("mine", world.data)
    said = f"no run of study mine is there; `make study STUDY=mine DATA={world.data}` computes them"
    assert str(caught.value) == said
    assert tree(study.RECORDED) == {"answer.md": b"yes"}


def harm_content(world) -> None:
    world.scores.path(world.runs()[2]).write_text("clip,score\na.wav,0.9\n")


def harm_input(world) -> None:
    path = world.network.path(world.runs()[2])
    (path / "history.csv").write_text("epoch,loss\n1,0.4\n")
    spoil(path, content=artifacts.content_digest(path))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (harm_content, "has changed since it was made; `make study` makes it again"),
        (harm_input, "was made from another network; `make study` makes it again"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_the_record_stays_whole(world, harm, said):
    world.make()
    record("mine", world.data)
    before = tree(study.DATA / "recorded")
    harm(world)
    with pytest.raises(InputError) as caught:
        record("mine", world.data)
    assert f"scores-training_folds=1+2-seed=1.csv {said}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(study.RECORDED) == before
    assert [path.name for path in study.DATA.iterdir() if "recorded" in path.name] == ["recorded"]


@pytest.mark.parametrize("after", [0, 3, 6])
def test_a_copy_that_breaks_leaves_no_half_written_record(world, monkeypatch, after):
    world.make()
    record("mine", world.data)
    before = tree(study.RECORDED)
    copies = []

    def breaks(path, target, **options):
        if len(copies) == after:
            raise OSError("no space left on device")
        copies.append(path)
        return own(path, target, **options)

    own = studies._copy
    monkeypatch.setattr(studies, "_copy", breaks)
    if after == 6:  # then all is copied, and the new folder takes the place of the old one
        record("mine", world.data)
    else:
        with pytest.raises(OSError, match="no space"):
            record("mine", world.data)
    assert tree(study.RECORDED) == before
    assert [path.name for path in study.DATA.iterdir() if "recorded" in path.name] == ["recorded"]


@pytest.mark.parametrize("moment", [0, 2, 11, "last", "after"])
def test_a_recording_that_is_killed_is_one_step_or_none(world, moment):
    world.make()
    before = tree(study.RECORDED)
    child = os.fork()
    if not child:  # killed at its write of that number, before or after the two folders change places
        calls, take = [], artifacts.take_place

        def stop(*given, **named):
            os.kill(os.getpid(), signal.SIGKILL)

        def counted(own):
            def call(*given, **named):
                calls.append(own)
                return stop() if len(calls) == moment else own(*given, **named)

            return call

        shutil.copy2, artifacts.write = counted(shutil.copy2), counted(artifacts.write)
        if moment == 0:
            shutil.copytree = stop
        elif moment == "last":
            artifacts.take_place = stop
        elif moment == "after":
            artifacts.take_place = lambda *given: stop(take(*given))
        record("mine", world.data)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    killed = tree(study.RECORDED)
    record("mine", world.data)
    after = tree(study.RECORDED)
    assert killed == (after if moment == "after" else before)
    assert [path.name for path in study.DATA.iterdir() if "recorded" in path.name] == ["recorded"]


# Verify


def test_a_study_that_is_made_again_is_held_against_what_was_made_and_against_what_is_recorded(world):
    world.make()
    record("mine", world.data)
    shutil.rmtree(study.RUNS)
    runs = world.runs()
    for run in runs[:2]:  # seed 1 is there only as it is recorded
        world.scores.get(run)
    table = verify.again("mine", world.data)
    assert set(table["equal"]) == {"yes"}
    assert len(table) == 6
    assert table["what"].str.endswith("data/runs").sum() == 3
    assert not study.RUNS.with_name("again").exists()  # and nothing else has changed
    assert artifacts.unchanged(artifacts.record_path(world.scores.path(runs[0])))

    path = world.scores.path(runs[0])
    path.write_text("clip,score\na.wav,0.25\n")
    known = artifacts.record(path)["made"]
    spoil(path, content=artifacts.content_digest(path))
    changed = verify.again("mine", world.data).set_index("what")
    (row,) = changed[changed["equal"] == "no"].to_dict("records")
    assert row["largest difference"] == 0.25
    spoil(path, made=known | {"machine": "another"})
    assert (verify.again("mine", world.data)["equal"] == "").sum() == 1


# Prune


def test_prune_lists_by_size_and_removes_only_what_is_named_with_its_record(world):
    world.make()
    runs = world.runs()
    big = world.network.path(runs[2])
    (big / "checkpoint.pt").write_bytes(bytes(3_000_000))
    table = studies.prune([])
    assert list(table) == ["artefact", "MB"]
    name = big.relative_to(study.RUNS).as_posix()
    assert tuple(table.iloc[0]) == (name, 3.0)
    assert table["MB"].is_monotonic_decreasing
    assert len(table) == 2 + 3 + 1 + 2  # networks, scores, the curve, features of two folds
    before = tree(study.RUNS)
    scores = world.scores.path(runs[1])
    named = [name, scores.relative_to(study.RUNS).as_posix()]
    left = studies.prune(named)
    assert list(left["artefact"]) == [n for n in table["artefact"] if n not in named]
    gone = {n for n in before if n not in tree(study.RUNS)}
    parent = big.parent.relative_to(study.RUNS).as_posix()
    assert gone == {
        *(f"{name}/{file}" for file in ("history.csv", "weights.safetensors", "checkpoint.pt")),
        f"{parent}/{big.name}.json",
        f"{parent}/{scores.name}",
        f"{parent}/{artifacts.record_path(scores).name}",
    }
    assert {n: c for n, c in before.items() if n not in gone} == tree(study.RUNS)


@pytest.mark.parametrize("name", ["network", "../recorded/answer.md", "", "recordings/thesis"])
def test_prune_refuses_a_name_that_it_does_not_list_and_removes_nothing(world, name):
    world.make()
    before = tree(study.DATA)
    listed = list(studies.prune([])["artefact"])
    with pytest.raises(InputError, match="is not there; name artefacts as `make prune` lists them"):
        studies.prune([listed[0], name])
    assert tree(study.DATA) == before


def test_what_was_removed_by_hand_can_be_pruned_and_nothing_at_all_is_an_empty_table(world):
    assert studies.prune([]).empty
    scores = world.scores.get(world.runs()[0])
    scores.unlink()
    studies.prune([scores.relative_to(study.RUNS).as_posix()])
    assert not artifacts.record_path(scores).exists()


def test_a_disk_without_room_for_the_copy_is_one_sentence_and_changes_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "RECORDED", tmp_path / "recorded")
    study.RECORDED.mkdir()
    for name in ("a.csv", "b.csv"):
        (study.RECORDED / name).write_bytes(bytes(100_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a full disk: a file cannot grow
    try:
        with pytest.raises(RuntimeError, match=r"recorded cannot be copied .*; make room, and run"), studies.staged():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["recorded"]
    assert tmp_path / "recorded" == study.RECORDED
