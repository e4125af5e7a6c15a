"""A small world for the tests: few clips, a short profile, and no path into the real data folder."""

import os
import re

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from helpers import artifacts, study
from helpers.audio import representations, standin
from helpers.findings import statistics
from helpers.networks import models

SCORED = {
    "stock_clips": 2,
    "stock_clips_deep": 1,
    "drawn_clips": 3,
    "draws": 1,
    "control_clips": 4,
    "null_maps": 20,
}
SMALL = {
    "smoke": {"clips": 1, "epochs": 2, "epochs_deep": 2, "explanations": 4, **SCORED},
    "quick": {"clips": 1, "epochs": 1, "epochs_deep": 1, "explanations": 500, **SCORED},
    "thesis": {"clips": "all", "epochs": 1, "epochs_deep": 1, "explanations": 3, **SCORED},
}


class Tiny(nn.Module):
    """A network with the stages that the helpers name, small enough to train in a moment."""

    def __init__(self) -> None:
        super().__init__()
        for i, width in enumerate((2, 4, 6, 8)):
            block = nn.Sequential()
            block.conv2 = nn.Conv2d((1, 2, 4, 6)[i], width, 3, stride=2, padding=1, bias=False)
            block.bn2 = nn.BatchNorm2d(width)
            block.relu = nn.ReLU()
            setattr(self, f"layer{i + 1}", nn.Sequential(block))
        self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


def build_tiny(architecture: str, *, seed: int, pretrained: bool = False) -> Tiny:
    """Stands for `models.build`; another architecture gets other weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 * int(re.sub(r"\D", "", architecture)) + seed)
        return Tiny()


@pytest.fixture
def tiny():
    """Makes a tiny network from an architecture's name and a seed."""
    return build_tiny


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """The generated stand-in with one clip per class and fold; read only, one for all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sounds" / "stand-in"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_name("lock")):
        if not folder.exists():
            standin.generate(folder, clips=1, seed=0)
    return folder


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """A folder for results that the tests of a session share."""
    return tmp_path_factory.mktemp("data")


def _settle(monkeypatch, folder) -> None:
    monkeypatch.setattr(study, "DATA", folder)
    monkeypatch.setattr(study, "RUNS", folder / "runs")
    monkeypatch.setattr(study, "profiles", lambda: SMALL)
    monkeypatch.setattr(models, "build", build_tiny)
    artifacts.rates.cache_clear()


@pytest.fixture
def settings(monkeypatch, results):
    """Small profiles, tiny networks and results in a folder of the tests."""
    _settle(monkeypatch, results)
    return results


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As `settings`, with an empty folder for the results."""
    _settle(monkeypatch, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def run(settings, stand_in):
    """A run of the smallest profile over the stand-in."""
    return study.open(profile="smoke", data=str(stand_in))


def random_features(*, clips: int, fold: int, seed: int) -> representations.Features:
    """Features of noise, with two classes that differ in level."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % 2
    values = rng.standard_normal((clips, 1, 13, 400)) + 2 * labels[:, None, None, None]
    return representations.Features(
        inputs=values.astype(np.float32),
        labels=labels.astype(np.int64),
        folds=np.full(clips, fold, dtype=np.int64),
        recordings=np.arange(clips, dtype=np.int64),
        frames=np.full(clips, 173, dtype=np.int64),
        clips=np.array([f"{i}-{label}-0-0.wav" for i, label in enumerate(labels)]),
    )


@pytest.fixture
def clips():
    """Makes `Features` of noise: clips(clips=20, fold=1, seed=0)."""
    return random_features


@pytest.fixture
def few(monkeypatch):
    """Few bootstrap draws, where an interval's ends are not what is tested."""
    own = statistics.interval
    monkeypatch.setattr(statistics, "interval", lambda *given, **options: own(*given, **options | {"draws": 20}))
