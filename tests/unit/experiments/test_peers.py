"""Another version of a library in an environment of its own: made once, and what its scores become."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from helpers import InputError, artifacts, study
from helpers.experiments import peers, scores
from helpers.maps import explainers
from helpers.metric import stock
from helpers.networks import training

NAN = float("nan")
SEEDS = itertools.count(1000)


# The environment


class Shell:
    """Stands for `subprocess`: notes what is run, and makes what a new environment has."""

    CalledProcessError = subprocess.CalledProcessError

    def __init__(self) -> None:
        self.calls, self.fails = [], False

    def run(self, command, *, check, **options):
        assert check
        self.calls.append([str(part) for part in command])
        if "venv" in self.calls[-1]:
            (Path(command[-1]) / "lib" / "python3.11" / "site-packages").mkdir(parents=True, exist_ok=True)
        elif self.fails:
            raise subprocess.CalledProcessError(1, command)


@pytest.fixture
def shell(monkeypatch):
    stand_in = Shell()
    monkeypatch.setattr(peers, "subprocess", stand_in)
    return stand_in


def test_an_environment_is_made_once(shell, tmp_path):
    folder = tmp_path / "older"
    found = peers.python(folder, "quantus==0.5.3", "numpy==1.26.4")
    assert found == folder / "bin" / "python"
    made, installed = shell.calls
    assert made == [sys.executable, "-m", "venv", str(folder)]
    assert installed == [
        *(str(found), "-m", "pip", "install", "--quiet", "--no-deps"),
        *("quantus==0.5.3", "numpy==1.26.4"),
    ]
    assert peers.python(folder, "quantus==0.5.3", "numpy==1.26.4") == found
    assert len(shell.calls) == 2


def test_an_environment_has_this_ones_packages_beneath_its_own(shell, tmp_path):
    peers.python(tmp_path / "older", "quantus==0.5.3")
    (linked,) = (tmp_path / "older").glob("lib/*/site-packages/*.pth")
    assert linked.read_text().splitlines() == [str(Path(torch.__file__).parents[1])]


def test_an_environment_that_could_not_be_filled_is_tried_again(shell, tmp_path):
    shell.fails = True
    with pytest.raises(InputError, match=r"quantus==0\.5\.3 cannot be installed into .*; check the connection"):
        peers.python(tmp_path / "older", "quantus==0.5.3")
    shell.fails = False
    peers.python(tmp_path / "older", "quantus==0.5.3")
    assert len(shell.calls) == 4
    peers.python(tmp_path / "older", "quantus==0.5.3")
    assert len(shell.calls) == 4


# The scores


@pytest.fixture
def older(run, monkeypatch, tmp_path):
    """A run whose older scores are ours: clip i scores i / 10, the last clip none; returns what was run."""
    run = run.with_(metric_seed=next(SEEDS))
    monkeypatch.setattr(
        peers, "python", lambda folder, *packages: asked.update(folder=folder, packages=packages) or "python"
    )

    def score(command, *, env, check):
        asked["calls"] += 1
        asked["command"], asked["env"] = command, env
        work = command[3].parent
        with np.load(command[3]) as arrays:
            asked["given"] = {name: arrays[name] for name in arrays.files}
        for i in range(len(asked["given"]["maps"])):
            (work / f"older-{i}.txt").write_text("nan\nconstant map\n" if i == 3 else f"{i / 10!r}\nok\n")

    asked = {"calls": 0}
    monkeypatch.setattr(peers, "subprocess", SimpleNamespace(run=score))
    return run, asked


def test_the_table_has_the_scores_that_were_written(older):
    run, _ = older
    assert peers.PEERS.get(run) == peers.PEERS.path(run)
    table, maps = pd.read_csv(peers.PEERS.path(run)), explainers.explanations(run)
    assert list(table) == scores.COLUMNS
    assert table["clip"].tolist() == maps.clips.tolist()
    assert table["recording"].tolist() == maps.recordings.tolist()
    assert table["label"].tolist() == maps.labels.tolist()
    assert table["predicted"].tolist() == maps.predicted.tolist()
    assert table["explained"].tolist() == maps.explained.tolist()
    assert set(table["specification"]) == {"quantus 0.5.3"}
    assert table["score"].tolist() == pytest.approx([0, 0.1, 0.2, NAN], nan_ok=True)
    assert table["status"].tolist() == ["ok", "ok", "ok", "constant map"]


def test_the_older_version_is_asked_about_the_same_clips_maps_and_weights(older):
    run, asked = older
    peers.PEERS.get(run)
    maps = explainers.explanations(run)
    for name, expected in (("inputs", maps.inputs), ("classes", maps.explained), ("maps", maps.maps)):
        assert np.array_equal(asked["given"][name], expected)
    python, option, code, _, architecture, weights, *numbers = asked["command"]
    assert (python, option, code) == ("python", "-c", peers._SCORE)
    assert architecture == "resnet18"
    assert weights == training.NETWORK.path(run) / "weights.safetensors"
    assert load_file(weights).keys() == training.network(run).state_dict().keys()
    assert numbers == ["1", str(run.metric_seed), "13", "uniform"]
    # with these helpers, in the environment of the older version
    assert asked["env"] == os.environ | {"PYTHONPATH": str(Path(peers.__file__).parents[2])}
    assert asked["folder"] == study.ROOT / "_build" / "quantus-0.5.3"
    assert asked["packages"][0] == "quantus==0.5.3"
    assert all("==" in package for package in asked["packages"])


def test_only_the_first_clips_are_scored(older, monkeypatch):
    run, asked = older
    monkeypatch.setattr(peers, "CLIPS", 2)
    table, maps = pd.read_csv(peers.PEERS.get(run)), explainers.explanations(run)
    assert table["clip"].tolist() == maps.clips[:2].tolist()
    assert len(asked["given"]["maps"]) == len(asked["given"]["inputs"]) == len(asked["given"]["classes"]) == 2
    known = artifacts.record(peers.PEERS.path(run))
    assert known["made"]["clips"] == {"quantus 0.5.3": 2}


def test_what_is_there_is_not_scored_again_and_the_record_names_the_packages(older):
    run, asked = older
    before = peers.PEERS.get(run).read_bytes()
    assert peers.PEERS.get(run).read_bytes() == before
    assert asked["calls"] == 1
    known = artifacts.record(peers.PEERS.path(run))
    given = {"draws": 1, "features_in_step": 13, "perturb_baseline": "uniform"}
    assert known["recipe"]["fields"] == given | {"metric_seed": run.metric_seed}
    assert set(known["recipe"]["inputs"]) == {"explanations.npz", "network"}
    assert known["made"]["packages"][0] == "quantus==0.5.3"
    assert known["made"]["data"] == "synthetic stand-in"


def test_what_runs_over_there_asks_quantus_clip_by_clip_and_goes_on(older, monkeypatch):
    """The code of the other environment, run in this one."""
    run, asked = older
    maps, calls = explainers.explanations(run), []

    def quantus_scores(network, inputs, classes, given, *, draws, seed, features_in_step, perturb_baseline):
        calls.append(seed)
        assert (features_in_step, perturb_baseline) == (13, "uniform")
        i = seed[1]
        assert draws == 1
        assert not network.training
        own = training.network(run).state_dict()
        assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())
        assert np.array_equal(inputs, maps.inputs[i : i + 1])
        assert np.array_equal(classes, maps.explained[i : i + 1])
        assert np.array_equal(given, maps.maps[i : i + 1])
        return np.array([1 / 3]), ["ok"]

    def score(command, *, env, check):
        work = command[3].parent
        (work / "older-1.txt").write_text("-0.5\np below 1e-5\n")  # of an interrupted call
        monkeypatch.setattr(sys, "argv", [str(part) for part in command[1:2] + command[3:]])
        exec(command[2], {})
        asked["parts"] = sorted(path.name for path in work.glob("older*"))

    monkeypatch.setattr(stock, "quantus_scores", quantus_scores)
    monkeypatch.setattr(peers, "subprocess", SimpleNamespace(run=score))
    table = pd.read_csv(peers.PEERS.get(run))
    # the seeds of the specification "quantus"
    assert calls == [(run.metric_seed, i) for i in (0, 2, 3)]
    assert table["score"].tolist() == [1 / 3, -0.5, 1 / 3, 1 / 3]
    assert table["status"].tolist() == ["ok", "p below 1e-5", "ok", "ok"]
    assert asked["parts"] == [f"older-{i}.txt" for i in range(4)]


def test_the_older_scores_stand_beside_the_others_where_they_are_there(older, monkeypatch):
    run, _ = older
    other = pd.DataFrame([["a.wav", 1, 0, 0, 0, "rank", 0.5, "ok"]], columns=scores.COLUMNS)
    monkeypatch.setattr(scores, "table", lambda run: other)
    assert peers.table(run)["specification"].tolist() == ["rank"]
    peers.PEERS.get(run)
    assert peers.table(run)["specification"].tolist() == ["quantus 0.5.3"] * 4 + ["rank"]
