"""The short cuts compute what the network computes."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import resnet50, resnext50_32x4d, vgg11, vgg11_bn

from benchmarks import bench
from helpers import InputError, study
from helpers.metric import forward, perturbation
from helpers.networks import architectures, models

SHAPE = (1, 13, 75)


def lively(network: nn.Module) -> nn.Module:
    """Batch norms as after training: no factor 1, no offset 0. float64, so that exact means exact."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return network.double().eval()


def one_channel(network: nn.Module) -> nn.Module:
    network.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return network


NETWORKS = {
    "dilated": lambda: one_channel(resnet50(replace_stride_with_dilation=[False, True, True], num_classes=10)),
    "grouped": lambda: one_channel(resnext50_32x4d(num_classes=10)),
}


@functools.cache
def windowed(name: str) -> tuple[nn.Module, forward.Windowed, torch.Tensor]:
    """The network, its windowed forward that remembers one clip, and the clip."""
    network = lively(NETWORKS[name]() if name in NETWORKS else models.build(name, seed=0))
    clip = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 20
    fast = forward.Windowed(network, shape=SHAPE)
    fast.remember(clip)
    return network, fast, clip


SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in ("resnet34", "resnet101", "dilated", "grouped")]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", *SLOW])
@given(width=st.integers(1, 8), data=st.data())
@settings(max_examples=6, deadline=None)
def test_windowed_is_the_full_forward(name, width, data):
    network, fast, clip = windowed(name)
    columns = SHAPE[2]
    start = torch.tensor(data.draw(st.lists(st.integers(0, columns - width), min_size=1, max_size=4)))
    values = torch.randn(len(start), 1, SHAPE[1], width, dtype=torch.float64) * 20
    full = clip.repeat(len(start), 1, 1, 1)
    for changed, first, new in zip(full, start, values, strict=True):
        changed[..., first : first + width] = new
    with torch.inference_mode():
        expected = network(full)
    torch.testing.assert_close(fast.logits(values, start), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("width", "at"), [(1, 0), (3, 9), (2, 18)])
def test_windowed_is_the_full_forward_over_samples(width, at):
    network = lively(models.build("resnet1d", seed=0))
    clip = torch.randn((1, 512, 20), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fast = forward.prepare(network, shape=(1, 512, 20))
    assert isinstance(fast, forward.Windowed)
    assert torch.allclose(fast.remember(clip), network(clip[None])[0], rtol=1e-10, atol=0)
    values = torch.rand((1, 1, 512, width), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    changed = clip[None].clone()
    changed[..., at : at + width] = values
    assert torch.allclose(fast.logits(values, torch.tensor([at])), network(changed), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    "name", ["resnet18", *(pytest.param(f"resnet{n}", marks=pytest.mark.slow) for n in (34, 50, 101, 152))]
)
def test_windowed_is_the_full_forward_at_every_depth_and_height(name):
    network, columns = lively(models.build(name, seed=0)), 40
    for rows in (13, 40, 64, 128):
        shape = (1, rows, columns)
        clip, new = (torch.randn(shape, dtype=torch.float64) * 20 for _ in range(2))
        prepared = forward.prepare(network, shape=shape)
        assert isinstance(prepared, forward.Windowed)
        changed = clip.repeat(3, 1, 1, 1)
        starts = torch.tensor([0, 17, columns - 2])  # at both edges and between them
        for one, first in zip(changed, starts, strict=True):
            one[..., first : first + 2] = new[..., first : first + 2]
        with torch.inference_mode():
            before, after = network(clip[None])[0], network(changed)
        tolerance = {"rtol": 1e-9, "atol": 1e-9 * after.abs().max()}
        torch.testing.assert_close(prepared.remember(clip), before, **tolerance)
        values = torch.stack([new[..., first : first + 2] for first in starts])
        torch.testing.assert_close(prepared.logits(values, starts), after, **tolerance)
        assert (after - before).abs().amax(1).min() > 1e3 * tolerance["atol"]


def test_windows_are_as_narrow_as_the_reach(monkeypatch):
    # one input column of 75 reaches 4 of 38 after conv1 and 3 of 19 after the pool; then two more per 3 x 3
    fast, widths = windowed("resnet18")[1], []
    slide = forward.Window.slide

    def spy(self, *arguments):
        out = slide(self, *arguments)
        widths.append(out.values.shape[3])
        return out

    monkeypatch.setattr(forward.Window, "slide", spy)
    fast.logits(torch.zeros(1, 1, 13, 1), torch.tensor([31]))
    assert widths[:6] == [4, 3, 5, 7, 9, 11]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_folded_network_gives_the_same_logits_and_leaves_the_original(name):
    network, _, clip = windowed(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        folded = forward.fold(network, shape=SHAPE)(clip[None])
        torch.testing.assert_close(folded, network(clip[None]), rtol=1e-10, atol=1e-10)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_fold_removes_batch_norms_and_kernel_rows_that_meet_padding():
    folded = forward.fold(windowed("resnet18")[0], shape=SHAPE)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    # 13 rows become 7, 4, 4, 2, 1, 1: a one-row map reads one kernel row, a two-row one two
    assert folded.get_submodule("layer2.0.conv1").kernel_size == (3, 3)
    assert folded.get_submodule("layer3.0.conv1").kernel_size == (2, 3)
    assert folded.get_submodule("layer4.1.conv2").kernel_size == (1, 3)


@pytest.mark.parametrize("padding", [{"padding": 1}, {"padding": "same"}, {"padding": 1, "padding_mode": "circular"}])
def test_only_rows_of_a_kernel_that_meet_zeros_are_cut(padding):
    network = nn.Sequential(nn.Conv2d(1, 3, 3, **padding), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    clip = torch.randn(1, 1, 1, 20)
    folded = forward.fold(network.eval(), shape=(1, 1, 20))
    assert folded.get_submodule("0").kernel_size == ((1, 3) if padding == {"padding": 1} else (3, 3))
    with torch.inference_mode():
        torch.testing.assert_close(folded(clip), network(clip))


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.convolution(x)).mean((2, 3)) * (1 if x.sum() > 0 else 2)


def test_a_network_that_cannot_be_traced_is_used_as_it_is():
    network = Untraceable().eval()
    clip = torch.randn(SHAPE)
    full = forward.Full(network, shape=SHAPE)
    torch.testing.assert_close(full.remember(clip), network(clip[None])[0])


def test_only_plain_resnets_are_windowable():
    class Changed(architectures.ResNet18):
        def forward(self, x):
            return super().forward(x - x.mean())  # one changed column now changes all

    assert forward.windowable(architectures.ResNet18())
    assert forward.windowable(one_channel(resnext50_32x4d()))
    assert not forward.windowable(Changed())
    assert not forward.windowable(Untraceable())


def test_training_mode_is_refused():
    with pytest.raises(InputError, match=r"network is in training mode; call network\.eval\(\) first"):
        forward.fold(architectures.ResNet18(), shape=SHAPE)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with bench.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_best_threads_is_the_fastest(monkeypatch):
    now = iter([0, 5, 10, 12, 20, 29])  # 1 thread: 5 s, 2 threads: 2 s, 4 threads: 9 s
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 4)
    assert bench.best_threads(lambda: None) == 2


# Ready for many questions


def test_a_prepared_network_gives_the_same_effects():
    network = models.build("resnet18", seed=0).eval()
    inputs, classes = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32), np.array([1, 2])
    options = {"blocks": (13, 25), "nodes": 1}
    plain = perturbation.effects(network, inputs, classes, **options)
    for kind in ("full", "windowed"):
        prepared = forward.prepare(network, shape=SHAPE, forward=kind)
        assert np.allclose(perturbation.effects(prepared, inputs, classes, **options), plain, rtol=1e-3)


def test_preparing_takes_the_window_where_it_can():
    assert isinstance(forward.prepare(architectures.ResNet18().eval(), shape=SHAPE), forward.Windowed)
    assert isinstance(forward.prepare(architectures.ResNet18().eval(), shape=SHAPE, forward="full"), forward.Full)
    other = nn.Sequential(nn.Flatten(), nn.Linear(13 * 75, 10)).eval()
    assert isinstance(forward.prepare(other, shape=SHAPE), forward.Full)


@pytest.mark.parametrize("build", [vgg11, vgg11_bn])
def test_a_vgg_takes_the_full_forward_and_gives_its_own_answers(build):
    # five halvings leave nothing of fewer than 32 rows; the classifier is cut, for its 100 million weights
    network = build(num_classes=10, init_weights=False)
    network.features[0] = nn.Conv2d(1, 64, kernel_size=3, padding=1)
    network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)
    network = lively(network)
    shape = (1, 64, 173)
    clip = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 20
    prepared = forward.prepare(network, shape=shape)
    assert isinstance(prepared, forward.Full)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.network.modules())
    changed = clip.repeat(4, 1, 1, 1)  # blocks of 50 frames, the last of 23
    for number, part in enumerate(changed):
        part[..., 50 * number : 50 * (number + 1)] = 0
    with torch.inference_mode():
        before, after = network(clip[None]), network(changed)
    torch.testing.assert_close(prepared.remember(clip), before[0], rtol=1e-9, atol=1e-9)
    expected = (after.softmax(1)[:, 3] / before.softmax(1)[:, 3] - 1) ** 2
    found = perturbation.effects(prepared, clip[None], [3], blocks=(64, 50), baseline="zero")
    np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=1e-16)


def test_a_network_of_one_row_signals_takes_the_full_forward():
    torch.manual_seed(0)
    pooled = nn.AdaptiveAvgPool1d(3), nn.Flatten(), nn.Linear(12, 3)
    network = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 4, 5), nn.BatchNorm1d(4), nn.ReLU(), *pooled).double().eval()
    signal = torch.randn(1, 1, 60, dtype=torch.float64)
    prepared = forward.prepare(network, shape=(1, 1, 60))
    assert isinstance(prepared, forward.Full)
    changed = signal.repeat(6, 1, 1, 1)  # blocks of ten places
    for number, one in enumerate(changed):
        one[..., 10 * number : 10 * (number + 1)] = 0
    with torch.inference_mode():
        expected = (network(changed).softmax(1)[:, 2] / network(signal[None]).softmax(1)[:, 2] - 1) ** 2
    found = perturbation.effects(prepared, signal[None], [2], blocks=(1, 10), baseline="zero")
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)


def test_a_network_prepared_for_another_shape_is_refused():
    prepared = forward.prepare(architectures.ResNet18().eval(), shape=(1, 13, 100))
    with pytest.raises(InputError, match=r"prepared for inputs of shape \(1, 13, 100\), not \(1, 13, 75\)"):
        perturbation.effects(prepared, np.zeros((1, *SHAPE), np.float32), np.array([0]))


@pytest.mark.slow
def test_the_benchmark_has_a_row_for_every_network_and_kind_of_input_and_measures_one(monkeypatch):
    asked = {run.architecture for run in bench.OTHERS.values()} | {"resnet18", "resnet101"}
    assert asked == set(study.NETWORKS)
    assert {run.representation for run in bench.OTHERS.values()} >= {"mfcc", "log-mel", "waveform"}
    monkeypatch.setattr(bench, "results", {})
    bench.other("small", study.Run(frames=64), count=1)
    found = bench.results
    assert found["frame_speedup_small"] == pytest.approx(found["stock_s_small"] / found["frame_s_small"])
    assert found["windowed_speedup_small"] > 0
