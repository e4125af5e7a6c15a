"""From features to a trained network (thesis 2.3): AdamW, cross-entropy, batches of 16.

Chapter: notebooks/05_training.md
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import torchaudio
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from tqdm import tqdm

from helpers import InputError, artifacts, study, tables
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds
from helpers.audio.representations import Features
from helpers.networks import devices, models
from helpers.study import Run

OPTIMIZERS = {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam, "SGD": torch.optim.SGD}
# how the learning rate changes from step to step: of an optimizer, the number of epochs and of batches in one
SCHEDULES: dict[str, Callable[[torch.optim.Optimizer, int, int], LRScheduler]] = {
    "constant": lambda optimizer, epochs, batches: LambdaLR(optimizer, lambda step: 1.0),
    "cosine": lambda optimizer, epochs, batches: LambdaLR(
        optimizer, lambda step: float(1 + np.cos(np.pi * (step // batches) / epochs)) / 2
    ),
    "one-cycle": lambda optimizer, epochs, batches: OneCycleLR(
        optimizer, max_lr=optimizer.param_groups[0]["lr"], total_steps=epochs * batches + 1
    ),
}
WIDEST = 0.2  # of the rows and of the frames, blanked by the augmentation "mask"


def network(run: Run) -> nn.Module:
    """The trained network of a run in evaluation mode; trained first if it must be.

    Raises
    ------
    InputError
        The run is recorded, and not the one whose weights travel with the repository.

    Chapter: notebooks/05_training.md
    """
    path = NETWORK.get(run) / "weights.safetensors"
    if not path.exists():
        raise InputError(
            f"the weights of {run.key} are not recorded, only what the network said; those of "
            f"{study.traveller().key} are"
        )
    trained = models.build(run.architecture, seed=run.seed)
    weights = safetensors.torch.load_file(path)
    trained.load_state_dict(
        {name: values.float() if values.is_floating_point() else values for name, values in weights.items()}
    )
    return trained.eval()


def history(run: Run) -> pd.DataFrame:
    """Loss and accuracy after each epoch: epoch, fold (0: the training folds together), loss, accuracy.

    One row per epoch and fold that was there and not trained on.

    Chapter: notebooks/05_training.md
    """
    return tables.HISTORY.validate(pd.read_csv(NETWORK.get(run) / "history.csv"), "history.csv")


def predictions(run: Run) -> pd.DataFrame:
    """What the network says of each test clip: clip, recording, label, predicted, logit_0 ... logit_9.

    Chapter: notebooks/05_training.md
    """
    return PREDICTIONS.read(run)


def device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    model: nn.Module,
    training: Features,
    watched: Mapping[int, Features],
    *,
    run: Run,
    checkpoint: Path,
    folder: Path,
) -> float:
    """Train a network as thesis 2.3 does and write its weights and history into `folder`.

    After each epoch the state goes to `checkpoint`. When that file is there already, training goes on
    from it and ends with the same weights: the order of the clips depends on (seed, epoch) alone.

    Parameters
    ----------
    watched : features of folds that are only looked at after each epoch; no epoch is chosen by them.

    Returns
    -------
    Seconds spent, those before an interruption included.

    Raises
    ------
    InputError
        The loss is not finite any more.

    Source: thesis 2.3. Chapter: notebooks/05_training.md
    """
    model = model.to(device()).to(memory_format=torch.channels_last)
    # fused: the same rule in one pass over the weights, a fifth less time a batch for a ResNet101
    optimizer = OPTIMIZERS[run.optimizer](model.parameters(), lr=run.learning_rate, fused=True)
    loss_function = nn.CrossEntropyLoss()
    inputs, labels = torch.from_numpy(training.inputs), torch.from_numpy(training.labels)
    batches = -(-len(labels) // run.batch_size)
    schedule = SCHEDULES[run.schedule](optimizer, run.epochs, batches)
    rows, spent = _resume(checkpoint, model, optimizer, schedule)
    done = max((row["epoch"] for row in rows), default=0)
    started = time.monotonic()
    with tqdm(total=run.epochs * batches, initial=done * batches, desc=f"training {run.name}", unit="batch") as bar:
        for epoch in range(done, run.epochs):
            random = np.random.default_rng([run.seed, epoch])
            order = torch.from_numpy(random.permutation(len(labels)))
            model.train()
            total_loss, correct = 0.0, 0
            # dropout draws from torch's global generator only
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(random.integers(2**32)))
                for chosen in order.split(run.batch_size):
                    x = _augmented(inputs[chosen], run, random).to(device(), memory_format=torch.channels_last)
                    y = labels[chosen].to(device())
                    optimizer.zero_grad()
                    with devices.mixed(x.device):
                        logits = model(x)
                        loss = loss_function(logits, y)
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    total_loss += loss.item() * len(y)
                    correct += int((logits.argmax(1) == y).sum())
                    bar.update()
            if not np.isfinite(total_loss):
                raise InputError(
                    f"training diverged in epoch {epoch + 1}: the loss is not finite; take a smaller "
                    "learning_rate or another seed, and look for clips with extreme values"
                )
            rows.append(_row(epoch, 0, total_loss / len(labels), correct / len(labels)))
            for fold, clips in watched.items():
                logits, truth = predict(model, clips.inputs), torch.from_numpy(clips.labels)
                right = (logits.argmax(1) == truth).double().mean().item()
                rows.append(_row(epoch, fold, loss_function(logits, truth).item(), right))
            _save(checkpoint, model, optimizer, schedule, rows, spent + time.monotonic() - started)
    folder.mkdir(exist_ok=True)
    weights = {k: v.contiguous().cpu() for k, v in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "weights.safetensors")
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    return spent + time.monotonic() - started


def predict(model: nn.Module, inputs: np.ndarray) -> Tensor:
    """Logits of many clips in evaluation mode.

    Parameters
    ----------
    inputs : (clips, 1, rows, frames), float32.

    Returns
    -------
    (clips, 10), float32, on the CPU.

    Chapter: notebooks/05_training.md
    """
    where = next(model.parameters()).device
    model.eval()
    batch = devices.batch(model, inputs.shape[1:], usual=64)
    with torch.inference_mode(), devices.exact():
        return torch.cat([model(x.to(where)).cpu() for x in torch.from_numpy(inputs).split(batch)])


def _augmented(x: Tensor, run: Run, random: np.random.Generator) -> Tensor:
    if run.augmentation == "none":
        return x
    if run.augmentation == "roll and mask":
        shifts = random.integers(run.frames, size=len(x))
        x = torch.stack([clip.roll(int(by), dims=-1) for clip, by in zip(x, shifts, strict=True)])
    masks: list[Callable[[Tensor], Tensor]] = [
        torchaudio.transforms.FrequencyMasking(max(1, int(WIDEST * run.rows)), iid_masks=True),
        torchaudio.transforms.TimeMasking(max(1, int(WIDEST * run.frames)), iid_masks=True),
    ]
    with torch.random.fork_rng(devices=[]):  # torchaudio draws from torch's global generator only
        torch.manual_seed(int(random.integers(2**32)))
        for mask in masks:
            x = mask(x)
    return x


def _row(epoch: int, fold: int, loss: float, accuracy: float) -> dict:
    return {"epoch": epoch + 1, "fold": fold, "loss": loss, "accuracy": accuracy}


def _save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler, rows: list, seconds: float
) -> None:
    part = path.with_suffix(".part")
    rate = {n: v for n, v in schedule.state_dict().items() if not callable(v) and n != "lr_lambdas"}
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": rate}
    torch.save(state | {"rows": rows, "seconds": seconds}, part)
    part.replace(path)


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler
) -> tuple[list, float]:
    if not path.exists():
        return [], 0.0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    vars(schedule).update(state["schedule"])
    return state["rows"], state["seconds"]


def _make(run: Run, target: Path) -> dict:
    clips = representations.training(run)
    labels = clips.labels
    if run.labels == "shuffled":  # each class keeps its number of clips
        labels = np.random.default_rng((run.seed, 1)).permutation(labels)
    there = artifacts.whole(run).source.folds
    watched = {fold: representations.features(run, (fold,)) for fold in there if fold not in run.training_folds}
    seconds = train(
        models.build(run.architecture, seed=run.seed, pretrained=run.pretrained),
        Features(**vars(clips) | {"labels": labels}),
        watched,
        run=run,
        checkpoint=target.parent / "checkpoint.pt",
        folder=target,
    )
    return {
        "training_folds": list(run.training_folds),
        "watched_folds": list(watched),
        "training_clips": len(labels),
        "training_seconds": round(seconds, 1),
    }


def _work(run: Run) -> float:
    trained = sounds.clips(run)["fold"].isin(run.training_folds).sum()
    return float(run.epochs * trained * run.rows * run.frames)


NETWORK = Artefact(
    "network",
    make=_make,
    chapter="05_training",
    fields=(
        *("scaling", "architecture", "pretrained", "labels", "seed", "epochs", "batch_size", "learning_rate"),
        *("optimizer", "schedule", "augmentation"),
    ),
    inputs=(representations.FEATURES.each("training_folds"),),
    packages=("torch", "torchvision"),
    work=_work,
    smaller=("epochs", "clips", "architecture"),
)


def _predict(run: Run, target: Path) -> dict:
    clips = representations.test(run)
    logits = predict(network(run), clips.inputs)
    facts = {"clip": clips.clips, "recording": clips.recordings, "label": clips.labels}
    table = pd.DataFrame(facts | {"predicted": logits.argmax(1).numpy()})
    table.join(pd.DataFrame(logits.numpy()).add_prefix("logit_")).to_csv(target, index=False)
    return {"test_fold": run.test_fold, "test_clips": len(table)}


PREDICTIONS = Artefact(
    "predictions.csv",
    make=_predict,
    chapter="05_training",
    inputs=(NETWORK, representations.FEATURES.each("test_fold")),
    packages=("torch",),
    table=tables.PREDICTIONS,
)
