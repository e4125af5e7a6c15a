"""The study as a graph: which page is executed with what. Nothing is executed here."""

import json
import os
import re
import shlex
import sys
from itertools import pairwise

import pytest

from helpers import artifacts, study
from helpers.book import contents
from helpers.book import graph as study_graph
from tests.conftest import copy_tree

DEFAULT = {"profile": "quick", "archs": "resnet18 resnet101", "data": "", "digest": "generated", "others": {}}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """What Snakemake would do: page -> its parameters, the files it writes."""
    tree = copy_tree(tmp_path_factory.mktemp("graph"))

    def call(**settings):
        settings = DEFAULT | {"parts": "recorded copy"} | settings
        config = tree.root / "study.json"
        config.write_text(json.dumps(settings))
        snakemake = [sys.executable, "-m", "snakemake", "-n", "-p", "--cores", "2", "--nolock"]
        ran = tree.run(*snakemake, "--configfile", str(config))
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        found = {}
        for line in re.findall(r"ask\.py execute .*", ran.stdout):
            words = shlex.split(line)[2:]  # after `execute`
            names, parameters = words[: words.index("--inputs")], words[words.index("--inputs") :]
            given = dict(b.split("=", 1) for a, b in pairwise(parameters) if a == "-p")
            # its chapter, the profiles and the packages are among what every page is made from
            assert {words[0], "config/profiles.yaml", "requirements.lock"} <= set(parameters)
            _, page, *records = names
            found[page.removeprefix("book/executed/").removesuffix(".ipynb")] = given, records
        return found

    return call


@pytest.fixture(scope="module")
def default(graph):
    return graph()


@pytest.fixture(scope="module")
def other(graph, stand_in):
    others = {"n_mfcc": "20", "learning_rate": "3e-4"}
    return graph(profile="smoke", archs="resnet34", data=str(stand_in), digest="a b", others=others)


def part(found: dict, name: str) -> dict:
    return {page: made for page, made in found.items() if page.startswith(f"{name}/")}


@pytest.mark.slow
def test_every_page_is_executed_once(default):
    files = contents.files(contents.contents(["resnet18", "resnet101"]))
    assert set(default) == {f.partition("executed/")[2] for f in files if contents.executed(f)}


@pytest.mark.slow
def test_recorded_pages_get_the_same_parameters_whatever_the_call_asks_for(default, other):
    recorded = part(default, "recorded")
    assert len(recorded) >= 15
    assert part(other, "recorded") == recorded
    for page, (given, records) in recorded.items():
        assert given["data"] == "recorded"
        passed = contents.passed(contents.Page.of(f"book/executed/{page}"))
        assert given.items() >= {name: str(value) for name, value in passed.items()}.items()
        assert set(given) - set(passed) <= {"data", "architecture", "architectures"}
        assert records == []
        own = contents.Page.of(f"book/executed/{page}").architecture
        assert given.get("architecture", "resnet18") == (own or "resnet18")
        assert given.get("architectures", "resnet18 resnet101") == "resnet18 resnet101"


@pytest.mark.slow
def test_pages_of_the_copy_get_what_the_call_asks_for(default, other, stand_in):
    asked = {"profile": "smoke", "data": str(stand_in), "n_mfcc": "20", "learning_rate": "3e-4"}
    for page, (given, _) in part(other, "copy").items():
        assert given.items() >= asked.items(), page
        assert given.get("architecture", "resnet34") == given.get("architectures", "resnet34") == "resnet34"
    for page, (given, _) in part(default, "copy").items():
        assert given["profile"] == "quick", page
        assert "n_mfcc" not in given
    assert default["copy/resnet101/05_training"][0]["architecture"] == "resnet101"
    assert default["copy/09_results"][0]["architectures"] == "resnet18 resnet101"


@pytest.mark.slow
def test_a_page_that_asks_for_no_data_gets_no_parameter(default, other):
    assert default["07_metric"] == other["07_metric"] == ({}, [])


@pytest.mark.slow
def test_a_page_of_the_copy_brings_about_the_records_of_its_artefacts(default):
    every = [record for _, records in default.values() for record in records]
    assert len(every) == len(set(every))
    folder = "data/runs/synthetic/quick"
    assert {f"{folder}/features-fold={fold}.json" for fold in range(1, 11)} <= set(default["copy/03_features"][1])
    for name in ("resnet18", "resnet101"):
        records = default[f"copy/{name}/05_training"][1]
        assert {f"{folder}/{name}/network.json", f"{folder}/{name}/predictions.json"} <= set(records)
        assert f"{folder}/{name}/scores.json" in default[f"copy/{name}/08_scores"][1]


@pytest.mark.slow
def test_another_choice_is_another_record(other):
    (network,) = (r for r in other["copy/resnet34/05_training"][1] if "/network" in r)
    assert "n_mfcc=20" in network
    assert "learning_rate=0.0003" in network


# What was deleted or changed


def test_the_record_of_what_is_gone_or_changed_is_forgotten(monkeypatch, tmp_path):
    monkeypatch.setattr(study_graph, "steps", lambda call: [{"records": [f"{name}.json" for name in names]}])
    monkeypatch.setattr(study, "ROOT", tmp_path)
    names = ("whole", "gone", "cut", "edited", "broken", "never")
    for name in names[:-1]:
        artifacts.produce(
            tmp_path / f"{name}.csv", recipe={}, make=lambda target: target.write_text("a,b\n1,2\n") and None
        )
    (tmp_path / "gone.csv").unlink()
    (tmp_path / "cut.csv").write_text("a,b\n")
    (tmp_path / "edited.csv").write_text("a,b\n1,3\n")
    (tmp_path / "broken.json").write_text("{")
    study_graph.forget(study_graph.Call.of({}))
    assert [name for name in names if (tmp_path / f"{name}.json").exists()] == ["whole"]


def test_a_digest_is_of_contents_and_not_of_times(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    first = study_graph.digest(["a", "b"])
    os.utime(tmp_path / "a", (1, 1))
    assert study_graph.digest(["b", "a"]) == first
    (tmp_path / "a").write_text("c")
    os.utime(tmp_path / "a", (1, 1))
    assert study_graph.digest(["a", "b"]) != first


def test_what_is_kept_of_the_steps_follows_from_the_cells_of_a_chapter_and_not_from_its_sentences(
    monkeypatch, tmp_path
):
    chapter = "# A title\n\n{}\n\n```{{code-cell}} ipython3\nx = {}\n```\n\n````{{code-cell}} ipython3\ny = {}\n````\n"
    monkeypatch.setattr(contents, "NOTEBOOKS", tmp_path)
    keys = []
    for values in (("A sentence.", 1, 2), ("Another.", 1, 2), ("A sentence.", 3, 2), ("A sentence.", 1, 3)):
        (tmp_path / "90_new.md").write_text(chapter.format(*values))
        keys.append(study_graph._key(study_graph.Call.of({"parts": "recorded"})))
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_what_is_recorded_is_listed_anew_only_where_something_has_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study_graph, "_recorded", lambda: ["a.csv"])
    (tmp_path / "a.csv").write_text("1")
    listed, said = tmp_path / study_graph.RECORDED, []
    for content in ("1", "2"):
        (tmp_path / "a.csv").write_text(content)
        study_graph._list_recorded()
        os.utime(listed, (1, 1))
        study_graph._list_recorded()
        assert listed.stat().st_mtime == 1
        said.append(json.loads(listed.read_text()))
    assert [list(one) for one in said] == [["a.csv"]] * 2
    assert said[0] != said[1]
