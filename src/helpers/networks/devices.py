"""What a device allows: how many samples fit into a GPU's memory, and what is computed there in which precision.

On a CPU nothing here changes a number.

Chapter: notebooks/29_scale.md
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SHARE = 4  # of the free memory a batch takes one part in so many: layers need room to work in beside what they give
MOST = 2048  # samples in a batch: more make nothing faster


def batch(network: nn.Module, shape: tuple[int, ...], *, usual: int) -> int:
    """How many samples at a time a network is asked where it lies: on a CPU `usual`, on a GPU as many as fit.

    Parameters
    ----------
    network : in eval mode. shape : of one sample, (channels, rows, columns).

    Chapter: notebooks/29_scale.md
    """
    where = next(network.parameters()).device
    if where.type != "cuda":
        return usual
    free, _ = torch.cuda.mem_get_info(where)
    return fitting(free, footprint(network, shape))


def fitting(free: int, each: int) -> int:
    """How many samples fit: between 1 and `MOST`, in one part of `SHARE` of the free memory.

    Parameters
    ----------
    free : bytes of the memory that are free. each : bytes that one sample needs.

    Chapter: notebooks/29_scale.md
    """
    return max(1, min(MOST, free // SHARE // each))


def footprint(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes that one sample and what each layer makes of it take, were all of them kept.

    Parameters
    ----------
    shape : of one sample, (channels, rows, columns).

    Chapter: notebooks/29_scale.md
    """
    weight = next(network.parameters())
    sample = torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device)
    sizes = [sample.nbytes]
    layers = [layer for layer in network.modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(lambda _, given, made: sizes.append(made.nbytes)) for layer in layers]
    with torch.inference_mode():
        network(sample)
    for hook in hooks:
        hook.remove()
    return sum(sizes)


@contextmanager
def mixed(where: torch.device) -> Iterator[None]:
    """Training: on a GPU products in half precision (bfloat16), sums and weights in single; a CPU as ever.

    Chapter: notebooks/29_scale.md
    """
    with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
        yield


@contextmanager
def exact() -> Iterator[None]:
    """What is ranked: every number in the precision of the weights, whatever is set around it.

    Half precision changes the order of effects; so would TF32, 10 bits to which torch lets a GPU round convolutions.

    Chapter: notebooks/29_scale.md
    """
    whole = [torch.autocast(kind, enabled=False) for kind in ("cpu", "cuda")]
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False), whole[0], whole[1]:
        yield
