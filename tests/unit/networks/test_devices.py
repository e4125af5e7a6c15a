"""What fits into a memory, and what precision does to the order of effects; the GPU itself where there is one."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from helpers import study
from helpers.metric import forward, perturbation
from helpers.networks import devices, models, training
from tests.unit.metric.probes import example


def test_a_sample_takes_its_own_bytes_and_those_of_what_each_layer_makes():
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.Sequential(nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = nn.Sequential(*layers)
    # float32: 4 x 5 cells; 2 channels of them; the same after the ReLU; 2 means; the same, flat
    assert devices.footprint(network.eval(), (1, 4, 5)) == 4 * (20 + 40 + 40 + 2 + 2)
    assert devices.footprint(network.double(), (1, 4, 5)) == 8 * (20 + 40 + 40 + 2 + 2)
    assert not any(layer._forward_hooks for layer in network.modules())


@pytest.mark.parametrize(
    ("free", "each", "batch"),
    [(4000, 10, 100), (4039, 10, 100), (4040, 10, 101), (39, 10, 1), (0, 10, 1), (10**12, 10, devices.MOST)],
)
def test_a_batch_takes_a_quarter_of_the_free_memory_and_at_least_one_sample(free, each, batch):
    assert devices.fitting(free, each) == batch


def test_on_a_cpu_a_batch_is_the_usual_one_whatever_is_free():
    network = models.build("resnet18", seed=0).eval()
    assert devices.batch(network, (1, 13, 400), usual=7) == 7
    assert forward.prepare(network, shape=(1, 13, 64)).batch == forward.BATCH


def test_what_is_ranked_is_exact_also_where_half_precision_is_set():
    network = models.build("resnet18", seed=0).eval()
    inputs, classes, _ = example(1)
    whole = perturbation.effects(network, inputs, classes)
    with torch.autocast("cpu", torch.bfloat16):
        assert (perturbation.effects(network, inputs, classes) == whole).all()
        assert training.predict(network, inputs).dtype == torch.float32
    # and for a reason: with the weights in half precision every effect of a frame lies below rounding
    assert (whole > 0).all()
    assert (perturbation.effects(network.bfloat16(), inputs, classes) == 0).all()


@pytest.fixture
def learned(tiny, clips, tmp_path):
    """Trains a tiny network on sounds that are loud in the middle, or not; gives effects, (clips, frames)."""

    def call(name: str, *, seed: int = 0) -> np.ndarray:
        data, network = clips(clips=40, fold=1, seed=0), tiny("resnet18", seed=seed)
        data.inputs[data.labels == 1, :, :, 100:200] += 2
        files = {"checkpoint": tmp_path / f"{name}.pt", "folder": tmp_path / name}
        training.train(network, data, {}, run=study.Run(profile="smoke", epochs=4), **files)
        assert {values.dtype for values in network.parameters()} == {torch.float32}
        return perturbation.effects(network.eval(), data.inputs[:4], data.labels[:4])

    return call


def orders(first: np.ndarray, second: np.ndarray) -> float:
    """The lowest rank correlation of two networks' effects on the same clip."""
    return min(spearmanr(a, b).statistic for a, b in zip(first, second, strict=True))


def test_training_in_half_precision_leaves_the_order_of_the_frames(learned, monkeypatch):
    # as on a GPU, on a CPU that has the same numbers
    whole, other = learned("whole"), learned("other", seed=1)
    monkeypatch.setattr(devices, "mixed", lambda where: torch.autocast(where.type, torch.bfloat16))
    half = learned("half")
    assert not np.array_equal(half, whole)
    assert orders(half, whole) > 0.99
    assert orders(other, whole) < 0.5  # what another seed does


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


@GPU
@pytest.mark.parametrize("forward_", ["full", "windowed"])
def test_a_gpu_ranks_the_frames_as_the_cpu_does(forward_):
    network = models.build("resnet18", seed=0).eval()
    inputs, classes, _ = example(1)
    whole = perturbation.effects(network, inputs, classes, forward=forward_)
    found = perturbation.effects(network.to("cuda"), inputs, classes, forward=forward_)
    assert orders(found, whole) > 0.999
    np.testing.assert_allclose(found, whole, rtol=1e-2, atol=1e-9)


@GPU
def test_training_on_a_gpu_leaves_the_order_of_the_frames(learned, monkeypatch):
    there = learned("gpu")
    monkeypatch.setattr(training, "device", lambda: torch.device("cpu"))
    assert orders(there, learned("cpu")) > 0.95


@GPU
def test_a_batch_that_fills_its_share_fits_into_the_memory():
    network = models.build("resnet18", seed=0).eval().to("cuda")
    count = devices.batch(network, (1, 13, 400), usual=1)
    with torch.inference_mode():
        assert network(torch.zeros(count, 1, 13, 400, device="cuda")).shape == (count, 10)
