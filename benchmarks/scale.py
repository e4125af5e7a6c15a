"""Time and memory of each step against clips, frames, rows, depth and workers; each in a process of its own.

Prints a line per measurement and writes all of them, with the machine, to _build/scale.json. Every process uses one
thread, so that workers can be compared.

    python benchmarks/scale.py                      # about 8 minutes on two quiet cores
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

import numpy as np
import torch
from torch import nn

from benchmarks import bench
from helpers import artifacts, study
from helpers.audio import representations
from helpers.metric import perturbation
from helpers.networks import models

USUAL = {"clips": 5, "frames": 400, "rows": 13, "architecture": "resnet18", "workers": 1}
VARIED = {
    "clips": (5, 10, 25, 50),
    "frames": (100, 200, 400, 800),
    "rows": (13, 32, 64, 128),
    "architecture": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    "workers": (1, 2),
}


def features(run: study.Run, inputs: np.ndarray) -> None:
    """Sounds of four seconds become pictures."""
    sound = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4 * run.sampling_rate)).astype(np.float32))
    for _ in inputs:
        representations.picture(sound, run.sampling_rate, run)


def training(run: study.Run, inputs: np.ndarray) -> None:
    """One epoch, in batches of 16."""
    network = models.build(run.architecture, seed=0).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    for part in torch.from_numpy(inputs).split(run.batch_size):
        optimizer.zero_grad()
        logits = network(part.to(memory_format=torch.channels_last))
        nn.functional.cross_entropy(logits, torch.arange(len(part)) % 10).backward()
        optimizer.step()


def effects(run: study.Run, inputs: np.ndarray) -> None:
    """What each frame means to the network."""
    perturbation.effects(models.build(run.architecture, seed=0).eval(), inputs, np.zeros(len(inputs), int))


STEPS: dict[str, Callable[[study.Run, np.ndarray], None]] = {
    "features": features,
    "training": training,
    "effects": effects,
}


def one(step: str, choice: dict) -> None:
    """Do a step once in this process, and print its seconds and the process's peak memory."""
    torch.set_num_threads(1)
    run = study.Run(
        architecture=choice["architecture"], frames=choice["frames"], representation="log-mel", n_mels=choice["rows"]
    )
    inputs = np.random.default_rng(0).normal(size=(choice["clips"], 1, *run.shape)).astype(np.float32)
    STEPS[step](run, inputs[:1].repeat(2, axis=0))  # the first call loads and allocates
    start = time.perf_counter()
    STEPS[step](run, inputs)
    print(time.perf_counter() - start, bench.peak_mib())


def measured(step: str, choice: dict) -> dict:
    """One row: the slowest of the workers, and the largest of their memories."""
    call = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--choice", json.dumps(choice)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{bench.ROOT}/src"}
    running = [
        subprocess.Popen(
            call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=bench.ROOT, env=environment
        )
        for _ in range(choice["workers"])
    ]
    found = [[float(word) for word in process.communicate()[0].split()] for process in running]
    seconds, memory = np.max(found, axis=0)
    return {"step": step, **choice, "seconds": round(seconds, 4), "MiB": round(memory, 1)}


def choices() -> Iterator[tuple[str, str, dict]]:
    """Every step with every value of what is varied; features know no network."""
    for step in STEPS:
        for name, values in VARIED.items():
            if (step, name) != ("features", "architecture"):
                yield from ((step, name, USUAL | {name: value}) for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", choices=STEPS, help="only this step, in this process, with --choice")
    parser.add_argument("--choice", type=json.loads)
    arguments = parser.parse_args()
    if arguments.step:
        return one(arguments.step, arguments.choice)
    known: dict[str, dict] = {}
    rows = []
    for step, varied, choice in choices():
        key = json.dumps([step, choice], sort_keys=True)
        known.setdefault(key, measured(step, choice))
        rows.append({"varied": varied, **known[key]})
        print(" ".join(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": artifacts.revision(),
        "processor": bench.processor(),
        "cores": os.cpu_count(),
        "torch": version("torch"),
    }
    bench.BUILD.mkdir(exist_ok=True)
    artifacts.write_text(bench.BUILD / "scale.json", json.dumps(facts | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
