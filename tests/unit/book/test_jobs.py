"""A study as a graph: which artefacts are to be made, from which, and what that takes; with small artefacts."""

import functools
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from helpers import InputError, artifacts, study
from helpers.artifacts import Artefact
from helpers.book import cli, jobs
from tests.conftest import ROOT, copy_tree
from tests.unit.book.conftest import ENTRIES, spoil


def graph(world, **options) -> list[dict]:
    artifacts.rates.cache_clear()
    jobs._known.cache_clear()
    return jobs.graph("mine", world.data, **options)


def name(record: str) -> str:
    return record.rpartition("/")[2].replace("-training_folds=1+2", "").removesuffix(".json")


def waiting(world) -> list[str]:
    return [name(job["record"]) for job in graph(world)]


# The graph

EVERY = [
    *("features-fold=1", "features-fold=2", "network", "scores", "curve", "scores-draws=3"),
    *("network-seed=1", "scores-seed=1"),
]


def test_each_artefact_is_one_job_after_those_that_it_is_made_from(world):
    found = {name(job["record"]): [name(one) for one in job["inputs"]] for job in graph(world)}
    assert list(found) == EVERY
    assert found["features-fold=2"] == []
    assert found["network"] == found["network-seed=1"] == ["features-fold=1", "features-fold=2"]
    assert found["scores-draws=3"] == ["network"]
    assert found["curve"] == ["scores"]
    assert world.made == []


def test_a_jobs_command_makes_exactly_its_artefact_and_what_is_there_is_no_job(world, capfd):
    for job in graph(world):
        before = list(world.made)
        assert cli.main(["make", *shlex.split(job["words"])]) == 0
        assert (study.ROOT / job["record"]).is_file()
        assert len(world.made) - len(before) == (job["kind"] != "features")
    assert world.made == ["network 0", "scores 0 10", "curve 0", "scores 0 3", "network 1", "scores 1 10"]
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "resnet18 seed=0 hop_length=1024 training_folds=1+2: features.npz of fold 1"
    assert said[-1] == "resnet18 seed=1 hop_length=1024 training_folds=1+2: scores.csv"
    assert graph(world) == []


def test_an_interrupted_study_goes_on_where_it_was(world):
    world.stopped = True
    with pytest.raises(KeyboardInterrupt):
        world.make()
    assert waiting(world) == EVERY[3:]


def test_what_was_changed_or_removed_is_a_job_again_with_all_that_is_made_from_it(world):
    world.make()
    runs = world.runs()
    world.curve.path(runs[0]).write_text("estimate\n0.9\n")
    assert waiting(world) == ["curve"]
    shutil.rmtree(world.network.path(runs[2]))
    assert waiting(world) == ["curve", "network-seed=1", "scores-seed=1"]
    artifacts.record_path(world.scores.path(runs[1])).write_text("{broken")
    assert waiting(world) == ["curve", "scores-draws=3", "network-seed=1", "scores-seed=1"]
    world.make()
    assert graph(world) == []


def test_what_other_code_made_is_a_job_again(world, monkeypatch):
    world.make()
    path = world.scores.path(world.runs()[0])
    recipe = artifacts.record(path)["recipe"] | {"code": {"experiments.scores": "another"}}
    spoil(path, recipe=recipe, recipe_digest=artifacts._recipe_digest(recipe))
    assert waiting(world) == ["scores", "curve"]
    assert json.loads(artifacts.record_path(path).read_text())["recipe"] == recipe  # looking changes nothing


def test_what_is_wrong_with_the_data_is_said_and_not_taken_for_work(world, monkeypatch):
    def outside(run, fold) -> dict:
        raise InputError("a clip cannot be read")

    Artefact("others.npz", make=world._features, folds=True, outside=outside)
    Artefact("checks.csv", make=world._curve, inputs=(artifacts.ALL["others.npz"].each("test_fold"),))
    monkeypatch.setattr(study, "study", lambda name: ({**ENTRIES[0], "also": ["checks"]},))
    with pytest.raises(InputError, match="a clip cannot be read"):
        graph(world)


def test_smaller_profiles_take_generated_sounds_and_the_place_of_every_entrys_profile(world):
    (world.folder / "metadata").mkdir()
    (world.folder / "metadata" / "events.csv").touch()
    for profile in ("", "thesis"):
        with pytest.raises(InputError, match="needs real recordings"):
            graph(world, profile=profile)
        with pytest.raises(InputError, match="needs real recordings"):
            jobs.plan("mine", world.data, profile)
    assert len(jobs.plan("mine", world.data, "smoke")) == 6
    assert len(graph(world, profile="quick")) == len(EVERY)
    found = graph(world, profile="smoke")
    assert [name(job["record"]) for job in found] == EVERY
    assert {Path(job["record"]).parts[-3] for job in found if "resnet18" in job["record"]} == {"smoke"}
    assert {job["threads"] for job in found} == {1}


# A job's words


def test_every_run_of_every_study_comes_back_from_the_words_of_a_command(stand_in):
    for path in (ROOT / "config" / "studies").glob("*.yaml"):
        for run in study.entries(path.stem, data=str(stand_in))[::7]:
            assert opened(run) == run


@pytest.mark.parametrize(
    "given",
    [
        {"explainer": "input x gradient", "explainers": ("Grad-CAM", "input x gradient")},
        {"layer": "layer4[-1].conv", "layers": ("layer3[-1]", "layer2[-1]"), "pretrained": True},
        {"clips": 3, "learning_rate": 1 / 3, "training_folds": (1, 3), "compared_clips": "all", "draws": 7},
    ],
)
@pytest.mark.parametrize("folder", ["plain", "a 'folder' with $(spaces); {braces}, \"quotes\" & more=less"])
def test_fields_pass_through_a_shell_as_they_are(stand_in, tmp_path, given, folder):
    data = shutil.copytree(stand_in, tmp_path / folder)
    run = study.settle({"data": str(data), "profile": "smoke"} | given)
    assert opened(run) == run


def opened(run: study.Run) -> study.Run:
    words = shlex.split(shlex.join(jobs.words(artifacts.ALL["network"], run, 3)))
    assert words[:3] == ["network", "--fold", "3"]
    return study.open(**dict(word.split("=", 1) for word in words[3:] if word != "-p"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["networks"], 'artefact "networks" is not known; choose from features, network'),
        (["features.npz"], "features.npz is made fold by fold; name one with --fold"),
        (["network", "--fold", "1"], "network is not made fold by fold"),
        (["network", "-p", "seed=-1"], 'seed "-1" is not possible'),
    ],
)
def test_a_mistake_in_a_jobs_call_is_one_line(world, capfd, words, said):
    assert cli.main(["make", *words, "-p", f"data={world.data}"]) == 2
    out, err = capfd.readouterr()
    assert said in out
    assert (out.count("\n"), err) == (1, "")
    assert world.made == []


# What it takes


def costs(world) -> dict[str, tuple]:
    return {name(job["record"]): (job["mem_mb"], job["runtime"], job["threads"]) for job in graph(world)}


def test_a_job_asks_for_what_such_work_took_with_a_margin_and_else_for_a_stated_default(world):
    before = costs(world)
    assert before["network"] == (jobs.MEMORY, jobs.LONG, jobs.THREADS)
    assert before["features-fold=1"] == before["curve"] == (jobs.MEMORY, jobs.SHORT, 1)
    network = world.network.get(world.runs()[0])
    known = artifacts.record(network)["made"]
    spoil(network, made=known | {"seconds": 600, "peak_mb": 3100})  # for two units of work; seed 1 is three, 900 s
    assert costs(world)["network-seed=1"] == (5000, 2 * 15 + 5, jobs.THREADS)  # 1.5 x 3100 MB, the next 500
    spoil(network, made=known | {"seconds": 4, "peak_mb": 10})
    assert costs(world)["network-seed=1"] == (jobs.LEAST, 6, 1)


def planned(world) -> list[tuple]:
    artifacts.rates.cache_clear()
    table = jobs.plan("mine", world.data)
    assert list(table) == ["run", "network", "artefact", "there", "minutes", "MB"]
    words = table["run"].str.removeprefix("resnet18 ").str.removesuffix(" training_folds=1+2")
    assert table["run"].str.endswith(" training_folds=1+2").sum() >= 4
    minutes = table["minutes"].astype(object).where(table["minutes"].notna(), "unknown")
    return list(zip(words.str.split().str[0], table["artefact"], table["there"], minutes, strict=True))


def test_plan_lists_each_artefact_once_with_minutes_from_records(world):
    assert planned(world) == [
        ("seed=0", "network", "no", "unknown"),
        ("seed=0", "scores.csv", "no", "unknown"),
        ("seed=0", "curve.csv", "no", "unknown"),
        ("seed=0", "scores.csv", "no", "unknown"),
        ("seed=1", "network", "no", "unknown"),
        ("seed=1", "scores.csv", "no", "unknown"),
    ]
    assert world.made == []
    network = world.network.get(world.runs()[0])
    known = artifacts.record(network)["made"]
    spoil(network, made=known | {"seconds": 600})  # for two units of work; seed 1 is three
    assert planned(world)[0] == ("seed=0", "network", "yes", "unknown")
    assert planned(world)[4] == ("seed=1", "network", "no", 15.0)
    assert world.made == ["network 0"]


def test_plan_knows_the_minutes_of_what_came_along(world):
    folder = study.RECORDED / "urbansound8k" / "thesis" / "resnet18"
    folder.mkdir(parents=True)
    made = {"seconds": 90, "work": 1.0}
    (folder / "scores-seed=7.json").write_text(json.dumps({"artefact": "scores-seed=7.csv", "made": made}))
    assert [row[3] for row in planned(world) if row[1] == "scores.csv"] == [1.5] * 3


def test_plan_lists_what_is_made_of_a_changed_run_too(world, monkeypatch):
    Artefact("checks.csv", make=world._curve, inputs=(world.network, world.network.of(seed=5)))
    monkeypatch.setattr(study, "study", lambda name: ({**ENTRIES[0], "also": ["checks"]},))
    table = jobs.plan("mine", world.data)
    assert list(table["artefact"]) == ["network", "scores.csv", "network", "checks.csv"]
    assert [words.split()[1] for words in table["run"]] == ["seed=0", "seed=0", "seed=5", "seed=0"]


def test_a_plan_adds_up_by_network(world):
    world.make()
    shutil.rmtree(world.network.path(world.runs()[2]))
    artifacts.record_path(world.network.path(world.runs()[2])).unlink()
    artifacts.rates.cache_clear()
    found = jobs.totals(jobs.plan("mine", world.data)).set_index("network")
    assert found.loc["ResNet18", ["artefacts", "there", "to make"]].tolist() == [6, 5, 1]
    assert found.loc["all"].tolist() == found.loc["ResNet18"].tolist()


def test_a_network_that_nobody_timed_takes_as_much_longer_as_it_computes_more(world, monkeypatch):
    monkeypatch.setattr(artifacts, "rates", functools.cache(lambda name: {"resnet18": 2.0}))
    run = world.runs()[0]
    shallow, deep = (jobs.seconds_of(world.network, run.with_(architecture=one)) for one in ("resnet18", "resnet152"))
    assert shallow == 4.0
    assert 4 < deep / shallow < 8  # He et al. 2016, table 1, for pictures of 224 x 224: 1.8 and 11.3 billion operations


@pytest.mark.parametrize(
    "changed",
    [
        {"architecture": "efficientnet-lite0", "representation": "log-mel", "frames": 173},
        {"architecture": "resnet1d", "representation": "waveform", "scaling": "together"},
    ],
)
def test_a_network_is_counted_with_an_input_that_it_takes(world, monkeypatch, changed):
    """EfficientNet-Lite0 cannot take thirteen rows, the network of the waveform takes no rows at all."""
    monkeypatch.setattr(artifacts, "rates", functools.cache(lambda name: {"resnet34": 1.0}))
    assert jobs.seconds_of(world.network, world.runs()[0].with_(**changed)) > 0


# What Snakemake makes of it

RUNS = "/the runs' folder"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """What Snakemake would do with a graph of two jobs under an engine's profile: nothing is run."""
    tree = copy_tree(tmp_path_factory.mktemp("graph"))

    def call(engine: str, root: str = "data/runs/", *more: str) -> str:
        places = [f"{root}a 'b', c/network-seed=1.json", f"{root}a 'b', c/quantus-older.json"]
        each = {"mem_mb": 2500, "runtime": 7, "threads": 2}
        words = "network -p 'data=/a b; {c}'", "quantus-older.csv -p layer='layer4[-1]'"
        every = [
            {"kind": "network", "record": places[0], "inputs": [], "words": words[0]} | each,
            {"kind": "quantus-older", "record": places[1], "inputs": places[:1], "words": words[1]} | each,
        ]
        (tree.root / "jobs.json").write_text(json.dumps(every))
        settings = {"jobs": "jobs.json", "runs": RUNS}
        (tree.root / "study.json").write_text(json.dumps(settings))
        words = [
            *("-n", "-p", "--nolock", "--forceall", "--configfile", "study.json", "--snakefile", "study.smk"),
            *more,
        ]
        profile = ["--workflow-profile", f"config/engines/{engine}"]
        ran = tree.run(sys.executable, "-m", "snakemake", *words, *profile)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        return ran.stdout

    return call


@pytest.mark.slow
def test_each_job_is_a_rule_by_its_kind_with_its_command_and_costs(engine, tmp_path):
    for root in ("data/runs/", f"{tmp_path}/"):
        said = engine("local", root, "--cores", "2")
        assert said.count(f"RUNS={shlex.quote(RUNS)} ") == 2
        made = [shlex.split(line)[1:] for line in re.findall(r"ask\.py (make .*) 2>&1", said)]
        assert made == [
            ["network", "-p", "data=/a b; {c}", "--threads", "2"],
            ["quantus-older.csv", "-p", "layer=layer4[-1]", "--threads", "2"],
        ]
        assert re.findall(r"rule (\w+):", said) == ["network", "quantus_older", "study"]
        assert said.count("mem_mb=2500") == 2
        assert said.count("runtime=7") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("config/engines/*/config.yaml")))
def test_snakemake_takes_every_engines_profile_where_its_plugin_is_installed(engine, name):
    executor = yaml.safe_load((ROOT / "config" / "engines" / name / "config.yaml").read_text())["executor"]
    if executor == "local":
        return  # above
    pytest.importorskip(f"snakemake_executor_plugin_{executor}", reason=f"the plugin of {executor} is not installed")
    said = engine(name)
    assert "ask.py make network" in said
    # where others copy what is declared to a storage of theirs, artefacts stay in the folder that all share
    assert re.findall(r"^ +(?:in|out)put: (.*)", said, re.MULTILINE)[:2] == [
        "data/runs/a 'b', c/network-seed=1.json (update)",
        "data/runs/a 'b', c/network-seed=1.json",
    ]
