"""Stock Quantus, torchxai-tools and helpers.metric on the same clips, in one run.

Prints `name: value unit` lines and writes them, with the machine and the settings, to _build/bench.json.
Each side runs at its own best thread count. Ratios depend on the processor: compare them within one file.

    python benchmarks/bench.py                      # all, 15 to 20 minutes on two quiet cores
    python benchmarks/bench.py --skip-stock-101     # without the slowest measurement, about 4 minutes less
"""

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import peers
from helpers.maps import explainers
from helpers.metric import baselines, blocking, correlation, forward, perturbation, stock
from helpers.networks import models

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
RUN = study.Run()  # its pictures have the thesis's shape
SHAPE = (1, *RUN.shape)
DRAWS = 10  # the thesis's
LISTENING = study.Run(
    architecture="resnet1d", representation="waveform", hop_length=512, sampling_rate=22_050, frames=173
)
# one row each, beside ResNet18 and ResNet101: other networks, and other representations for ResNet18
OTHERS = {
    **{
        name: study.Run(architecture=name)
        for name in study.NETWORKS
        if name not in ("resnet18", "resnet101", "resnet1d", "efficientnet-lite0")
    },
    "efficientnet-lite0": study.Run(architecture="efficientnet-lite0", representation="log-mel", frames=173),
    "resnet18_mfcc40": study.Run(n_mfcc=40, n_mels=128),
    "resnet18_log-mel64": study.Run(representation="log-mel", n_mels=64),
    "resnet18_log-mel128": study.Run(representation="log-mel", n_mels=128),
    "resnet1d_waveform": LISTENING,
}
results: dict[str, float | int | str | list | None] = {}


def say(name: str, value, unit: str) -> None:
    results[name] = value
    shown = f"{value:.4g}" if isinstance(value, float) else value
    print(f"{name}: {shown} {unit}".rstrip(), flush=True)


def seconds(work: Callable[[], object], *, repeat: int = 2) -> float:
    """The fastest of some calls."""
    return fastest({"work": work}, rounds=repeat)["work"]


def fastest(works: dict[str, Callable[[], object]], *, rounds: int = 3) -> dict[str, float]:
    """The fastest call of each work, in seconds; taken in turns, so that a busy moment meets all alike."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def best_threads(work: Callable[[], object]) -> int:
    """The thread count that ran `work` fastest, of 1, 2, 4 ... and all; on a busy machine often 1."""
    most = os.cpu_count() or 1
    seconds = {}
    for count in sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {most}):
        with threads(count):
            work()  # the first call allocates
            start = time.perf_counter()
            work()
            seconds[count] = time.perf_counter() - start
    return min(seconds, key=seconds.__getitem__)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_mib() -> float:
    """The largest memory this process has had. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def clips(count: int, *, seed: int, run: study.Run = RUN) -> np.ndarray:
    """Pictures of seeded noise bursts of 1 to 4 s: (count, 1, rows, frames); the thesis's if not said otherwise."""
    random, made = np.random.default_rng(seed), []
    for _ in range(count):
        length = int(random.uniform(1, 4) * 44_100)
        colour = np.cumsum(random.normal(size=length)) * random.uniform(0, 0.02)
        loudness = np.interp(np.arange(length), np.linspace(0, length, 9), random.uniform(0, 0.3, 9) ** 2)
        sound = np.tanh((random.normal(size=length) + colour) * loudness).astype(np.float32)
        made.append(representations.picture(torch.from_numpy(sound[None]), 44_100, run).numpy())
    return np.stack(made)


def network_of(architecture: str, inputs: np.ndarray) -> nn.Module:
    """Seeded weights, with batch norms that have seen the clips: logits of a sensible size."""
    network = models.build(architecture, seed=0).train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(inputs))
    return network.eval()


class Case:
    """One network with its clips, classes, Grad-CAM maps and rank blocks, and both sides' thread counts."""

    def __init__(self, architecture: str, inputs: np.ndarray, *, name: str = "") -> None:
        self.name, self.inputs = name or architecture, inputs
        self.network = network_of(architecture, inputs)
        with torch.no_grad():
            self.classes = self.network(torch.from_numpy(inputs)).argmax(1).numpy()
        layer = models.layer(self.network, study.NETWORKS[architecture])
        self.maps = explainers.maps(self.network, inputs, layer=layer, classes=self.classes)
        self.blocks = blocking.rank_blocks(self.maps, order="stock")
        one, many = torch.from_numpy(inputs[:1]), torch.from_numpy(inputs[:1]).repeat(100, 1, 1, 1)
        start = time.perf_counter()
        self.fast = forward.prepare(self.network, shape=inputs.shape[1:])
        say(f"prepare_s_{self.name}", time.perf_counter() - start, "s: folding the network, once")
        self.full = forward.prepare(self.network, shape=inputs.shape[1:], forward="full")

        @torch.inference_mode()
        def single() -> None:
            for _ in range(10):
                self.network(one)

        @torch.inference_mode()
        def batched() -> None:
            self.full.network(many.contiguous(memory_format=torch.channels_last))

        self.stock_threads, self.threads = best_threads(single), best_threads(batched)
        say(f"threads_{self.name}", f"{self.stock_threads} {self.threads}", "stock, ours")

    def effects(self, part: slice = slice(None), *, windowed: bool = True, **options) -> np.ndarray:
        network = self.fast if windowed else self.full
        return perturbation.effects(network, self.inputs[part], self.classes[part], **options)

    def ours(self, **options) -> float:
        """Seconds per clip, over all clips."""
        with threads(self.threads):
            return seconds(lambda: self.effects(**options)) / len(self.inputs)

    def full_forward(self, batch: int) -> Callable[[], None]:
        """Two forwards per frame of the folded network on inputs ready made (800): what batching alone reaches."""
        many = torch.from_numpy(self.inputs[:1]).repeat(2 * self.inputs.shape[3], 1, 1, 1)
        many = many.contiguous(memory_format=torch.channels_last)

        @torch.inference_mode()
        def work() -> None:
            for _ in self.inputs:
                for part in many.split(batch):
                    self.full.network(part)

        return work

    def stock(self, draws: int = DRAWS) -> tuple[float, float]:
        """Seconds and score of stock Quantus on the first clip."""
        with threads(self.stock_threads):
            start = time.perf_counter()
            scores, _ = stock.quantus_scores(
                self.network,
                self.inputs[:1],
                self.classes[:1],
                self.maps[:1],
                draws=draws,
                seed=0,
                features_in_step=self.inputs.shape[2],
                perturb_baseline=RUN.perturb_baseline,
            )
            return time.perf_counter() - start, scores[0]


def compare(case: Case, *, stock: bool) -> None:
    """Both modes of one network against stock and against its own best full forward."""
    name, rank, first, n = case.name, case.blocks, slice(0, 1), len(case.inputs)
    works = {batch: case.full_forward(batch) for batch in (32, 64, 100)}
    works["rank"] = lambda: case.effects(blocks=rank)
    works["rank full"] = lambda: case.effects(blocks=rank, windowed=False)
    works["frame"] = case.effects
    with threads(case.threads):
        taken = fastest(works)
    batch = min((32, 64, 100), key=taken.get)
    full = taken[batch] / n
    say(f"best_full_batch_{name}", batch, "forwards at a time")
    rank_seconds, rank_full, frame_seconds = (taken[key] / n for key in ("rank", "rank full", "frame"))
    say(f"best_full_forward_s_{name}", full, "s per clip: 800 forwards of the folded network")
    say(f"rank_s_{name}", rank_seconds, "s per clip")
    say(f"frame_s_{name}", frame_seconds, "s per clip")
    say(f"windowed_speedup_{name}", full / frame_seconds, "x: frame mode, against the best full forward")
    say(
        f"forward_share_{name}",
        full / rank_full,
        "of rank mode's time, not windowed, is the best full forward",
    )
    say(f"rank_windowed_gain_{name}", rank_full / rank_seconds, "x: rank mode, windowed against not")
    if not stock:
        say(f"rank_speedup_{name}", None, "(stock not measured)")
        say(f"frame_speedup_{name}", None, "(stock not measured)")
        return
    stock_seconds, stock_score = case.stock()
    say(f"stock_s_{name}", stock_seconds, "s per clip: quantus, 10 draws")
    say(f"rank_speedup_{name}", stock_seconds / rank_seconds, "x stock")
    say(f"frame_speedup_{name}", stock_seconds / frame_seconds, "x stock")
    draws = baselines.Baseline.draws(DRAWS, seed=0)
    drawn = case.effects(first, blocks=rank[first], baseline=draws)
    same = correlation.score(case.maps[first], drawn, blocks=rank[first], order="stock")[0]
    say(
        f"same_draws_difference_{name}",
        float(abs(same - stock_score)),
        "score, our batching on Quantus's draws",
    )


def other(name: str, run: study.Run, count: int) -> None:
    """One row of another network or representation: frame mode against its own best full forward and against stock."""
    case = Case(run.architecture, clips(count, seed=0, run=run), name=name)
    # Quantus skips a map without contrast, and a network that learned nothing may have one; its time asks for none
    case.maps = np.random.default_rng(0).random(case.maps.shape, dtype=np.float32)
    works: dict[str, Callable[[], object]] = {f"{batch}": case.full_forward(batch) for batch in (32, 64)}
    with threads(case.threads):
        taken = fastest(works | {"frame": case.effects}, rounds=2)
    frame = taken.pop("frame") / count
    say(f"frame_s_{name}", frame, "s per clip")
    say(f"windowed_speedup_{name}", min(taken.values()) / count / frame, "x: frame mode, against the best full forward")
    # stock's time grows with its draws: one of them says what ten take
    stock_draw = case.stock(draws=1)[0]
    say(f"stock_s_{name}", stock_draw * DRAWS, f"s per clip: quantus, {DRAWS} draws, of which one was timed")
    say(f"frame_speedup_{name}", stock_draw * DRAWS / frame, "x stock")


def agree(case: Case, *, reference_draws: int, seeds: int) -> None:
    """The quadrature against many draws of the stock metric, beside the spread of the thesis's 10 draws."""
    differences, spreads, orders = [], [], []
    with threads(case.threads):
        for i in range(len(case.inputs)):
            part = slice(i, i + 1)

            def scored(baseline, *, order="stock", part=part) -> float:
                blocks = blocking.rank_blocks(case.maps[part], order=order)
                found = case.effects(part, blocks=blocks, baseline=baseline)
                return float(correlation.score(case.maps[part], found, blocks=blocks, order=order)[0])

            ours = scored("uniform")
            drawn = [scored(baselines.Baseline.draws(DRAWS, seed=seed)) for seed in range(seeds)]
            reference = scored(baselines.Baseline.draws(reference_draws, seed=seeds))
            differences.append(abs(ours - reference))
            spreads.append(float(np.ptp(drawn)))
            orders.append(abs(scored("uniform", order="stable") - ours))
    say("score_difference_max", max(differences), f"score: 2 nodes against {reference_draws} draws")
    say("stock_seed_spread", max(spreads), f"score: largest range over {seeds} seeds of 10 draws")
    say("tie_order_difference_max", max(orders), "score: our order of ties against numpy's unstable one")
    results.update(score_differences=differences, stock_seed_spreads=spreads, tie_order_differences=orders)


def grow(case: Case, inputs: np.ndarray) -> None:
    """Time over clips and blocks, memory over clips; frame mode."""
    classes = case.classes[np.zeros(len(inputs), int)]
    with threads(case.threads):
        taken = seconds(lambda: perturbation.effects(case.fast, inputs, classes), repeat=1)
    say("frame_s_per_clip_of_many", taken / len(inputs), f"s, {len(inputs)} clips, {case.name}")
    for width in (1, 2, 4, 8):
        taken = case.ours(blocks=(RUN.rows, width))
        blocks = RUN.frames // width
        say(f"blocks_{blocks}_s", taken, f"s per clip, {blocks} blocks of {width} frames")
    peaks = [
        float(subprocess.check_output([sys.executable, __file__, "--memory", str(count)], text=True))
        for count in (1, len(inputs))
    ]
    say("peak_memory_mib", peaks[0], "MiB: a process that computes the effects of one clip")
    say("memory_growth_mib", peaks[1] - peaks[0], f"MiB more for {len(inputs)} clips")


def memory(count: int) -> None:
    """Print the peak memory of a process that computes the effects of this many clips."""
    inputs = np.random.default_rng(0).normal(size=(count, *SHAPE)).astype(np.float32)
    perturbation.effects(models.build("resnet18", seed=0).eval(), inputs, np.zeros(count, int))
    print(peak_mib())


def second_map(case: Case) -> None:
    found = case.effects(slice(0, 1))
    many = np.random.default_rng(0).random((1000, *RUN.shape), dtype=np.float32)
    say("second_map_ms", seconds(lambda: correlation.score(case.maps[:1], found), repeat=50) * 1e3, "ms")
    taken = seconds(lambda: correlation.score(many, found))
    say("thousand_maps_ms_each", taken, "ms per map, 1000 maps of one clip")


def swap(*, count: int = 8, draws: int = DRAWS, rounds: int = 3) -> None:
    """What one changed import gives a user of Quantus: a small classifier, seeded 28 x 28 images, maps without ties."""
    import quantus

    from helpers.metric import for_quantus

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 6 * 6, 10),
    ).eval()  # fmt: skip
    random = np.random.default_rng(0)
    x, y = random.random((count, 1, 28, 28), dtype=np.float32), random.integers(10, size=count)
    maps = random.random((count, 1, 28, 28))
    given = {"model": network, "x_batch": x, "y_batch": y, "a_batch": maps, "channel_first": True}
    options = {"nr_samples": draws, "features_in_step": 28, "disable_warnings": True}
    ours = for_quantus.MonotonicityCorrelation
    works = {
        "stock": quantus.MonotonicityCorrelation(**options),
        "drawn": ours(**options, points=None),
        "swap": ours(**options),
    }
    scores: dict[str, np.ndarray] = {}

    def score(name: str) -> Callable[[], None]:
        def work() -> None:
            np.random.seed(0)  # noqa: NPY002  # the generator that Quantus draws from
            scores[name] = np.array(works[name](**given))

        return work

    with threads(best_threads(score("stock"))), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Quantus, about draws near the old value
        taken = fastest({name: score(name) for name in works}, rounds=rounds)
    say("swap_stock_s", taken["stock"] / count, f"s per clip of 28 x 28: quantus, {draws} draws, {count} clips at once")
    say("swap_drawn_s", taken["drawn"] / count, "s per clip: the class with Quantus' draws")
    say("swap_s", taken["swap"] / count, "s per clip: the class by quadrature")
    say("swap_drawn_speedup", taken["stock"] / taken["drawn"], "x stock, with its draws")
    say("swap_speedup", taken["stock"] / taken["swap"], "x stock, by quadrature")
    say("swap_difference", float(abs(scores["drawn"] - scores["stock"]).max()), "score: the class with Quantus' draws")


PEER = """
import sys, time
import numpy as np, torch
from torchxai.metrics import monotonicity_corr
from helpers.networks import models
case = np.load(sys.argv[1], allow_pickle=False)
torch.set_num_threads(int(sys.argv[3]))
torch.manual_seed(0)
network = models.build("resnet18", seed=0).eval()
network.load_state_dict(torch.load(sys.argv[2], weights_only=True))
def uniform(inputs, perturbation_masks):
    return torch.where(perturbation_masks, torch.rand(len(inputs), 1, 1, 1), inputs)
start = time.perf_counter()
score = monotonicity_corr(
    lambda x: network(x).softmax(1), torch.from_numpy(case["x"]), torch.from_numpy(case["map"]),
    feature_mask=torch.from_numpy(case["blocks"]), target=__import__("torchxai.data_types", fromlist=["x"])
    .SingleTargetAcrossBatch(index=int(case["y"])), perturb_func=uniform, n_perturbations_per_feature=10,
    max_features_processed_per_batch=10, show_progress=False,
)
print(time.perf_counter() - start, float(score))
"""


def peer(case: Case) -> None:
    """torchxai-tools in its own environment: it pins an older numpy; torch is this environment's own."""
    try:
        python = peers.python(BUILD / "peers", "numpy==1.26.4", "torchxai-tools==0.1.3")
        np.savez(
            BUILD / "peer.npz", x=case.inputs[:1], map=case.maps[:1, None], y=case.classes[0],
            blocks=case.blocks[:1, None],
        )  # fmt: skip
        torch.save(case.network.state_dict(), BUILD / "peer.pt")
        command = [python, "-c", PEER, BUILD / "peer.npz", BUILD / "peer.pt", str(case.threads)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        taken, score = map(float, ran.stdout.split()[-2:])
    except (subprocess.CalledProcessError, OSError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        say("torchxai_speedup_resnet18", None, f"(torchxai-tools did not run: {why})")
        return
    say("torchxai_s_resnet18", taken, "s per clip: torchxai-tools 0.1.3, 10 draws")
    say("torchxai_score_resnet18", score, "score of the first clip, its own draws")
    say("torchxai_speedup_resnet18", taken / results["rank_s_resnet18"], "x: rank mode against torchxai-tools")


def step_seconds(
    architecture: str, inputs: np.ndarray, layout: torch.memory_format, *, bfloat16=False, compiled=False, device="cpu"
) -> float:
    """One step of the thesis's training, 16 clips."""
    batch, labels = torch.from_numpy(inputs[np.arange(16) % len(inputs)]), (torch.arange(16) % 10).to(device)
    network = models.build(architecture, seed=0).train().to(device, memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    ask = torch.compile(network) if compiled else network

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            loss = nn.functional.cross_entropy(ask(batch.to(device, memory_format=layout)), labels)
        loss.backward()
        optimizer.step()
        loss.item()  # a GPU answers when it is asked

    step()
    return seconds(step, repeat=8)


def gpu(inputs: np.ndarray) -> None:
    """What a GPU makes of training and of the engine, where there is one; on the CPU the same is measured above."""
    there = torch.cuda.is_available()
    say("gpu", torch.cuda.get_device_name() if there else None, "" if there else "(none on this machine)")
    if not there:
        return
    for architecture in ("resnet18", "resnet101"):
        ways = {"eager": {}, "bfloat16": {"bfloat16": True}, "compiled": {"bfloat16": True, "compiled": True}}
        for name, options in ways.items():
            taken = step_seconds(architecture, inputs, torch.channels_last, device="cuda", **options)
            say(f"gpu_step_{name}_ms_{architecture}", taken * 1e3, "ms per step of 16 clips, channels last")
        network = models.build(architecture, seed=0).eval().to("cuda")
        fast = forward.prepare(network, shape=SHAPE)
        say(f"gpu_batch_{architecture}", fast.batch, "whole forwards at a time, by the free memory")
        for size in (forward.BATCH, fast.batch):
            taken = seconds(partial(perturbation.effects, fast, inputs[:2], [0, 0], batch=size)) / 2
            say(f"gpu_frame_s_{architecture}_{size}", taken, f"s per clip, a block per frame, {size} at a time")


def training(inputs: np.ndarray, count: int) -> None:
    """One step of the thesis's training in three ways, and what a clip's features cost."""
    with threads(count):
        eager = step_seconds("resnet18", inputs, torch.contiguous_format)
        ours = step_seconds("resnet18", inputs, torch.channels_last)
        half = step_seconds("resnet18", inputs, torch.channels_last, bfloat16=True)
        sound = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 192_000)).astype(np.float32))
        prepare = seconds(lambda: representations.picture(sound, 48_000, RUN), repeat=5)
    say("training_step_ms", ours * 1e3, "ms per step of 16 clips, ResNet18, channels last")
    say("training_speedup", eager / ours, "x: channels last (as training.py) against plain eager float32")
    say("training_bfloat16_speedup", eager / half, "x: channels last and bfloat16 autocast; not used")
    say("features_ms", prepare * 1e3, "ms per clip of 4 s at 48 kHz: resampling and MFCC, without decoding")
    say(
        "features_once_speedup",
        (ours / 16 + prepare) / (ours / 16),
        "x: an epoch on stored features against one that makes them",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=3, help="clips whose scores are compared (3)")
    parser.add_argument("--many", type=int, default=12, help="clips for the growth of time and memory (12)")
    parser.add_argument("--reference-draws", type=int, default=100, help="draws of the reference score (100)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of 10 draws (5)")
    parser.add_argument("--skip-stock-101", action="store_true", help="no stock Quantus on ResNet101")
    parser.add_argument("--memory", type=int, metavar="N", help="only the peak memory of N clips, in MiB")
    arguments = parser.parse_args()
    if arguments.memory:
        return memory(arguments.memory)
    BUILD.mkdir(exist_ok=True)
    started = time.perf_counter()
    say("date", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "UTC")
    say("revision", artifacts.revision(), "")
    say("processor", processor(), f"({os.cpu_count()} cores)")
    for package in ("torch", "quantus", "numpy"):
        say(f"version_{package}", version(package), "")
    inputs = clips(max(arguments.clips, arguments.many), seed=0)
    few = inputs[: arguments.clips]
    case = Case("resnet18", few)
    grow(case, inputs)
    compare(case, stock=True)
    second_map(case)
    agree(case, reference_draws=arguments.reference_draws, seeds=arguments.seeds)
    peer(case)
    swap()
    training(inputs, case.threads)
    gpu(inputs)
    say("others", list(OTHERS), "")
    for name, run in OTHERS.items():
        other(name, run, count=1)
    compare(Case("resnet101", few), stock=not arguments.skip_stock_101)
    say("bench_s", time.perf_counter() - started, "s")
    part = BUILD / "bench.json.part"
    part.write_text(json.dumps({"settings": vars(arguments), **results}, indent=2) + "\n")
    part.replace(BUILD / "bench.json")


if __name__ == "__main__":
    main()
