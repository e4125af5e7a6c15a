"""Networks whose answer can be written down, and clips with maps of many exact zeros."""

import copy

import numpy as np
import torch
from torch import nn

from helpers.metric.perturbation import effects

ROWS, COLUMNS = 13, 26


class Probe(nn.Module):
    """Two classes whose log-odds are a weighted sum of the input: ln(p / (1 - p)) = sum(weight * x)."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float64))

    def forward(self, x):
        odds = (x.to(self.weight.dtype) * self.weight).sum((1, 2, 3))
        return torch.stack([odds, torch.zeros_like(odds)], 1)


class Slope(nn.Module):
    """p = 0.5 + slope * (sum of the input): a probability that is linear in each cell."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, x):
        p = 0.5 + self.slope * x.sum((1, 2, 3))
        return torch.stack([p, 1 - p], 1).log()


class Precise(nn.Module):
    """A float32 network computed in float64: what is left of a difference is not rounding."""

    def __init__(self, network):
        super().__init__()
        self.network = copy.deepcopy(network).double()

    def forward(self, x):
        return self.network(x.double())


def tiny(seed=0):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 4)), nn.Flatten(), nn.Linear(32, 3))
    return Precise(network).eval()


def example(clips=2, rows=ROWS, columns=COLUMNS, seed=0):
    """Inputs, classes and maps with many exact zeros, as Grad-CAM's."""
    random = np.random.default_rng(seed)
    inputs = random.normal(0, 3, (clips, 1, rows, columns)).astype(np.float32)
    maps = np.maximum(random.normal(size=(clips, rows, columns)), 0).astype(np.float32)
    return inputs, random.integers(3, size=clips), maps


WEIGHT = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
X = np.array([[0.5, 1.0, -1.0], [2.0, 0.5, 0.0]])


def linear(blocks, baseline, readout="log-odds", category=0):
    return effects(Probe(WEIGHT).eval(), X[None, None], [category], blocks=blocks, baseline=baseline, readout=readout)[
        0
    ]
