"""From features to a trained network (thesis 2.3): AdamW, cross-entropy, batches of 16.

Chapter: notebooks/05_training.md
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import nn
from tqdm import tqdm

from helpers import InputError, artifacts, study
from helpers.audio import representations
from helpers.audio.representations import Features
from helpers.networks import models
from helpers.study import Run

BATCH = 16


LEARNING_RATE = 1e-3


def network(run: Run) -> nn.Module:
    """The trained network of a run in evaluation mode; trained first if it must be.

    Chapter: notebooks/05_training.md
    """
    trained = models.build(run.architecture, seed=run.seed)
    trained.load_state_dict(safetensors.torch.load_file(make(run) / "weights.safetensors"))
    return trained.eval()


def history(run: Run) -> pd.DataFrame:
    """Loss and accuracy after each epoch: epoch, train_loss, train_accuracy, test_loss, test_accuracy.

    Chapter: notebooks/05_training.md
    """
    return pd.read_csv(make(run) / "history.csv")


def predictions(run: Run) -> pd.DataFrame:
    """What the network says of each test clip: name, fs_id, label, predicted, logit_0 ... logit_9.

    Chapter: notebooks/05_training.md
    """
    return pd.read_csv(make(run) / "predictions.csv")


def make(run: Run) -> Path:
    """The folder network/ of a run (weights, history, predictions); trains it if it must.

    Chapter: notebooks/05_training.md
    """
    data = representations.dataset(run)
    path = run.path("network")

    def compute(work: Path) -> dict:
        seconds = train(
            models.build(run.architecture, seed=run.seed),
            data.training(),
            data.test(),
            epochs=run.profile.epochs,
            seed=run.seed,
            checkpoint=work / "checkpoint.pt",
            folder=work / path.name,
            progress=f"training {run.name}",
        )
        return {
            "data": run.source.label,
            "training_folds": sorted(set(map(int, data.training().folds))),
            "test_fold": study.TEST_FOLD,
            "training_clips": len(data.training().labels),
            "test_clips": len(data.test().labels),
            "training_seconds": round(seconds, 1),
            "threads": torch.get_num_threads(),
            "device": str(device()),
        }

    return artifacts.produce(
        path,
        parameters=run.parameters("architecture", "seed", "scaling")
        | {"epochs": run.profile.epochs, "batch": BATCH, "learning_rate": LEARNING_RATE},
        inputs={"features.npz": artifacts.digest_of(run.path("features.npz"))},
        make=compute,
    )


def device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    model: nn.Module,
    training: Features,
    test: Features,
    *,
    epochs: int,
    seed: int,
    checkpoint: Path,
    folder: Path,
    progress: str = "training",
) -> float:
    """Train a network as thesis 2.3 does and write weights, history and predictions into `folder`.

    After each epoch the state goes to `checkpoint`. When that file is there already, training goes on
    from it and ends with the same weights: the order of the clips depends on (seed, epoch) alone.

    Returns
    -------
    Seconds spent, those before an interruption included.

    Raises
    ------
    InputError
        The loss is not finite any more.

    Source: thesis 2.3. Chapter: notebooks/05_training.md
    """
    model = model.to(device(), memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    loss_function = nn.CrossEntropyLoss()
    inputs, labels = torch.from_numpy(training.mfcc), torch.from_numpy(training.labels)
    rows, spent = _resume(checkpoint, model, optimizer)
    started = time.monotonic()
    batches = -(-len(labels) // BATCH)
    with tqdm(total=epochs * batches, initial=len(rows) * batches, desc=progress, unit="batch") as bar:
        for epoch in range(len(rows), epochs):
            order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(labels)))
            model.train()
            total_loss, correct = 0.0, 0
            for chosen in order.split(BATCH):
                x = inputs[chosen].to(device(), memory_format=torch.channels_last)
                y = labels[chosen].to(device())
                optimizer.zero_grad()
                logits = model(x)
                loss = loss_function(logits, y)
                loss.backward()
                optimizer.step()
                total_loss += loss.item() * len(y)
                correct += int((logits.argmax(1) == y).sum())
                bar.update()
            if not np.isfinite(total_loss):
                raise InputError(
                    f"training diverged in epoch {epoch + 1}: the loss is not finite; look for clips with "
                    "extreme values, or take another seed"
                )
            logits = predict(model, test.mfcc)
            truth = torch.from_numpy(test.labels)
            rows.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": total_loss / len(labels),
                    "train_accuracy": correct / len(labels),
                    "test_loss": loss_function(logits, truth).item(),
                    "test_accuracy": (logits.argmax(1) == truth).double().mean().item(),
                }
            )
            seconds = spent + time.monotonic() - started
            _save(checkpoint, model, optimizer, rows, seconds)
    folder.mkdir(exist_ok=True)
    weights = {k: v.contiguous().cpu() for k, v in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "weights.safetensors")
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    _predictions(test, predict(model, test.mfcc)).to_csv(folder / "predictions.csv", index=False)
    return spent + time.monotonic() - started


def predict(model: nn.Module, mfcc: np.ndarray, *, batch: int = 64) -> torch.Tensor:
    """Logits of many clips in evaluation mode.

    Parameters
    ----------
    mfcc : (clips, 1, 13, 400), float32.

    Returns
    -------
    (clips, 10), float32, on the CPU.

    Chapter: notebooks/05_training.md
    """
    where = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(x.to(where)).cpu() for x in torch.from_numpy(mfcc).split(batch)])


def _predictions(test: Features, logits: torch.Tensor) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "name": test.names,
            "fs_id": test.fs_ids,
            "label": test.labels,
            "predicted": logits.argmax(1).numpy(),
        }
    )
    return table.join(pd.DataFrame(logits.numpy()).add_prefix("logit_"))


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, rows: list, seconds: float) -> None:
    part = path.with_suffix(".part")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state | {"rows": rows, "seconds": seconds}, part)
    part.replace(path)


def _resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list, float]:
    if not path.exists():
        return [], 0.0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["rows"], state["seconds"]
