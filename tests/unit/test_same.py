"""The same again: each random step by its seed, whoever makes a thing, and however many threads it has."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import artifacts, study
from helpers.experiments import co12, comparison, controls, scores
from helpers.findings import agreement
from helpers.maps import explainers
from helpers.metric import baselines, perturbation
from helpers.networks import models, training

# Where chance has a say: every module that draws. What is not tried below has tests beside its module: first weights
# (test_models), order, masks and dropout (test_training), the stand-in, which clips (test_sounds), stock Quantus,
# ceilings, intervals and tests (test_statistics), planted events, and the maps that each table draws for itself.
DRAWS = {
    *("audio.sounds", "audio.standin", "networks.models", "networks.training", "maps.attributions", "maps.explainers"),
    "maps.playground",
    *("metric.baselines", "metric.ceiling", "experiments.co12", "experiments.comparison", "experiments.controls"),
    *(
        "experiments.blocks",
        "experiments.known_truth",
        "experiments.metrics",
        "experiments.planted",
        "experiments.sanity",
    ),
    *("experiments.slips", "experiments.specifications", "findings.agreement", "findings.curve"),
    *("book.first", "findings.folds", "findings.views"),
    *("findings.predictors", "findings.ranking", "findings.statistics"),
}


def test_every_module_that_draws_is_known():
    root = Path(artifacts.__file__).parent
    found = {path for path in root.rglob("*.py") if re.search(r"default_rng\(|manual_seed\(", path.read_text())}
    names = {".".join(path.relative_to(root).with_suffix("").parts) for path in found}
    assert names <= DRAWS


# One seed


def noise(clips: int = 3) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((clips, 1, 13, 400)).astype(np.float32)


def marginal(seed: int) -> np.ndarray:
    x = noise()
    baseline = baselines.named("marginal", training=lambda: x, draws=2, seed=seed)
    return baseline.values(0, x[0, 0], np.zeros((13, 400), dtype=int))


def drawn(seed: int) -> np.ndarray:
    baseline = baselines.Baseline.draws(2, seed=(seed, 0), perturb_baseline="uniform")
    return baseline.values(0, noise()[0, 0], np.tile(np.arange(400), (13, 1)))


def by_samples(name: str, seed: int) -> np.ndarray:
    from tests.unit.conftest import build_tiny

    network = build_tiny("resnet18", seed=0).eval()
    layer = models.layer(network, "layer4[-1]")
    ask = {"layer": layer, "classes": np.array([1, 2]), "explainer": name, "samples": 4}
    return explainers.nodes(network, noise(2), **ask, seed=seed)


STEPS = {
    "values from the training clips": marginal,
    "noise on inputs": lambda seed: co12.noisy(noise(), np.array([400, 200, 9]), draws=2, seed=seed),
    "SmoothGrad": lambda seed: by_samples("SmoothGrad", seed),
    "KernelSHAP": lambda seed: by_samples("KernelSHAP", seed),
    "maps that know nothing": lambda seed: agreement._blind((1, 13), (13, 400), maps=5, seed=seed),
    "Quantus' own draws": drawn,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_seed_gives_the_same_and_another_one_something_else(step):
    one = STEPS[step](3)
    agreement._blind.cache_clear()
    torch.manual_seed(99)  # the global generators have no say
    np.random.seed(99)  # noqa: NPY002
    assert np.array_equal(STEPS[step](3), one)
    assert not np.array_equal(STEPS[step](4), one)


def test_a_seed_decides_which_clips_are_compared(run):
    one, again, other = (comparison.clips(run.with_(sample_seed=seed)).clips.tolist() for seed in (3, 3, 4))
    assert one == again != other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "artefact"),
    [("metric_seed", scores.SCORES), ("null_seed", controls.CONTROLS)],
)
def test_the_seed_of_a_table_decides_it(run, field, artefact):
    one = artefact.get(run.with_(**{field: 31})).read_bytes()
    assert artefact.get(run.with_(**{field: 32})).read_bytes() != one
    artifacts.record_path(artefact.path(run.with_(**{field: 31}))).unlink()
    assert artefact.get(run.with_(**{field: 31})).read_bytes() == one


# Threads and workers


@pytest.mark.slow
def test_threads_change_nothing_but_the_last_digits(tiny, clips, tmp_path):
    """Sums are added up in another order: what is allowed is a hundred thousandth of the largest."""
    run, found = study.Run(epochs=1), {}
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            network = models.build("resnet18", seed=0).eval()
            x, classes = noise(2), np.array([1, 2])
            nodes = explainers.nodes(network, x, layer=network.layer4[-1], classes=classes)
            effects = perturbation.effects(network, x[:1, :, :, :40], classes[:1])
            folder = tmp_path / f"{threads}"
            data = clips(clips=37, fold=1, seed=1)
            given = {"run": run, "checkpoint": tmp_path / f"{threads}.pt", "folder": folder}
            training.train(tiny("resnet18", seed=0), data, {}, **given)
            loss = np.array(float((folder / "history.csv").read_text().splitlines()[1].split(",")[2]))
            found[threads] = nodes, effects, loss
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found.values(), strict=True):
        assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()


WORK = """
import sys
import pytest
from pathlib import Path
from helpers import study
from helpers.maps import explainers
from helpers.networks import training
from tests.unit import conftest

folder, sounds, *seeds = sys.argv[1:]
conftest._settle(pytest.MonkeyPatch(), Path(folder))
for seed in seeds:
    run = study.open(profile="smoke", data=sounds, training_folds="1 2", seed=int(seed))
    training.PREDICTIONS.get(run)
    explainers.EXPLANATIONS.get(run)
"""


@pytest.mark.slow
def test_two_workers_make_what_one_makes_byte_for_byte(tmp_path, stand_in):
    def work(folder: str, *workers: tuple[str, ...]) -> dict[str, bytes]:
        environment = {**os.environ, "PYTHONPATH": f"{study.ROOT / 'src'}:{study.ROOT}", "OMP_NUM_THREADS": "1"}
        call = [sys.executable, "-c", WORK, str(tmp_path / folder), str(stand_in)]
        running = [subprocess.Popen([*call, *seeds], env=environment, stderr=subprocess.DEVNULL) for seeds in workers]
        assert [process.wait(300) for process in running] == [0] * len(workers)
        files = (path for path in (tmp_path / folder / "runs").rglob("*") if path.suffix not in (".json", ".lock"))
        return {path.relative_to(tmp_path / folder).as_posix(): path.read_bytes() for path in files if path.is_file()}

    one = work("one", ("0", "1"))
    assert {Path(name).name for name in one} >= {"predictions-training_folds=1+2.csv", "weights.safetensors"}
    assert work("two", ("0",), ("1",)) == one
