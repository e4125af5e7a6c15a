"""Training: the same from the same seed, the same after an interruption, and what it writes."""

import shutil

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from helpers import InputError, artifacts, study
from helpers.audio import representations
from helpers.audio.representations import Features
from helpers.networks import models, training

FILES = {"weights.safetensors", "history.csv", "predictions.csv"}


@pytest.fixture
def train(tiny, clips, tmp_path):
    """Trains a tiny network on noise into a folder; returns the folder."""

    def call(name: str, *, epochs: int = 2, seed: int = 0, checkpoint: str | None = None, weights: int = 0):
        folder = tmp_path / name
        training.train(
            tiny("resnet18", seed=weights),
            clips(clips=37, fold=1, seed=1),
            clips(clips=6, fold=10, seed=2),
            epochs=epochs,
            seed=seed,
            checkpoint=tmp_path / f"{checkpoint or name}.pt",
            folder=folder,
        )
        return folder

    return call


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What it writes


def test_training_writes_weights_history_and_predictions(train, tiny, clips):
    folder = train("a", epochs=3)
    assert {path.name for path in folder.iterdir()} == FILES
    history = pd.read_csv(folder / "history.csv")
    assert list(history) == ["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert history["epoch"].tolist() == [1, 2, 3]
    table = pd.read_csv(folder / "predictions.csv")
    assert list(table) == ["name", "fs_id", "label", "predicted", *(f"logit_{k}" for k in range(10))]
    test = clips(clips=6, fold=10, seed=2)
    assert table["name"].tolist() == test.names.tolist()
    assert table["label"].tolist() == test.labels.tolist()
    logits = table.filter(like="logit_").to_numpy()
    assert table["predicted"].tolist() == logits.argmax(1).tolist()
    network = tiny("resnet18", seed=5)
    network.load_state_dict(safetensors.torch.load_file(folder / "weights.safetensors"))
    assert np.allclose(training.predict(network, test.mfcc).numpy(), logits, rtol=1e-5, atol=1e-6)


def test_predictions_and_the_last_epoch_of_the_history_agree(train):
    folder = train("a")
    table, history = (pd.read_csv(folder / f"{name}.csv") for name in ("predictions", "history"))
    assert (table["label"] == table["predicted"]).mean() == history["test_accuracy"].iloc[-1]
    logits = torch.tensor(table.filter(like="logit_").to_numpy())
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(table["label"].to_numpy())).item()
    assert history["test_loss"].iloc[-1] == pytest.approx(loss, rel=1e-5)


def test_training_learns_two_levels(train):
    history = pd.read_csv(train("a", epochs=30) / "history.csv")
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0] - 0.5
    assert history["test_accuracy"].iloc[-1] == 1.0


def test_the_first_steps_are_the_thesiss(tiny, clips, tmp_path):
    # by hand: 20 clips in batches of 16 and 4, AdamW at 1e-3, cross-entropy
    data, model = clips(clips=20, fold=1, seed=1), tiny("resnet18", seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    order = np.random.default_rng([7, 0]).permutation(20)
    losses, right = [], 0
    model.train()
    for part in (order[:16], order[16:]):
        optimizer.zero_grad()
        logits, labels = model(torch.from_numpy(data.mfcc[part])), torch.from_numpy(data.labels[part])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        losses += [loss.item()] * len(part)
        right += int((logits.argmax(1) == labels).sum())
    training.train(
        tiny("resnet18", seed=0),
        data,
        data,
        epochs=1,
        seed=7,
        checkpoint=tmp_path / "a.pt",
        folder=tmp_path / "a",
    )
    row = pd.read_csv(tmp_path / "a" / "history.csv").iloc[0]
    assert row["train_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert row["train_accuracy"] == right / 20
    weights = safetensors.torch.load_file(tmp_path / "a" / "weights.safetensors")
    for name, value in model.state_dict().items():
        assert torch.allclose(weights[name], value, atol=1e-4)


# Seeds


def test_the_same_seed_gives_the_same_bytes(train):
    first = train("a")
    torch.manual_seed(99)  # the global generators have no say
    np.random.seed(99)  # noqa: NPY002
    assert contents(train("b")) == contents(first)


@pytest.mark.parametrize("changed", ["seed", "weights"])
def test_another_order_or_another_start_gives_other_weights(train, changed):
    first, second = contents(train("a")), contents(train("b", **{changed: 1}))
    assert all(first[name] != second[name] for name in FILES)


def test_each_epoch_has_an_order_of_its_own(train, monkeypatch):
    orders = []
    generator = np.random.default_rng
    monkeypatch.setattr(
        training.np.random, "default_rng", lambda key: orders.append(tuple(np.ravel(key))) or generator(key)
    )
    train("a", epochs=3, seed=5)
    assert orders[-3:] == [(5, 0), (5, 1), (5, 2)]


# Interruptions


def test_a_training_that_goes_on_ends_with_the_same_bytes(train):
    whole = contents(train("whole", epochs=3))
    train("first", epochs=1, checkpoint="shared")
    torch.manual_seed(99)
    # a new network with other weights: everything has to come from the checkpoint
    assert contents(train("rest", epochs=3, checkpoint="shared", weights=5)) == whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_training_stopped_within_an_epoch_repeats_that_epoch(train, monkeypatch, error):
    whole = contents(train("whole", epochs=3))
    predict, calls = training.predict, []

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:  # at the end of the second epoch, before it is kept
            raise error
        return predict(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "predict", stop)
        with pytest.raises(error):
            train("rest", epochs=3)
    epochs = []
    generator = np.random.default_rng
    monkeypatch.setattr(
        training.np.random, "default_rng", lambda key: epochs.append(np.ravel(key)[-1]) or generator(key)
    )
    assert contents(train("rest", epochs=3)) == whole
    assert epochs[-2:] == [1, 2]  # the first epoch was not trained again


def test_a_finished_training_is_not_trained_again(train, monkeypatch):
    first = contents(train("a"))
    monkeypatch.setattr(torch.optim.AdamW, "step", None)
    assert contents(train("a", weights=5)) == first


def test_seconds_before_an_interruption_count(train, tiny, clips, tmp_path):
    train("a", epochs=1)
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save(state | {"seconds": 1000.0}, tmp_path / "a.pt")
    data = clips(clips=4, fold=1, seed=1)
    seconds = training.train(
        tiny("resnet18", seed=0),
        data,
        data,
        epochs=2,
        seed=0,
        checkpoint=tmp_path / "a.pt",
        folder=tmp_path / "a",
    )
    assert 1000 < seconds < 1100
    assert torch.load(tmp_path / "a.pt", weights_only=True)["seconds"] > 1000


def test_a_checkpoint_is_never_half_written(train, tmp_path):
    train("a", epochs=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.pt"]


# Mistakes


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_is_not_finite_is_said_in_one_sentence(tiny, clips, tmp_path, value):
    data = clips(clips=20, fold=1, seed=1)
    data.mfcc[3, 0, 0, 0] = value
    with pytest.raises(InputError) as caught:
        training.train(
            tiny("resnet18", seed=0),
            data,
            data,
            epochs=2,
            seed=0,
            checkpoint=tmp_path / "a.pt",
            folder=tmp_path / "a",
        )
    assert str(caught.value) == (
        "training diverged in epoch 1: the loss is not finite; look for clips with "
        "extreme values, or take another seed"
    )
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.pt").exists()


def test_a_folder_without_fold_10_is_refused(settings, stand_in, tmp_path):
    folder = tmp_path / "two-folds"
    for fold in (1, 2):
        shutil.copytree(stand_in / "audio" / f"fold{fold}", folder / "audio" / f"fold{fold}")
    shutil.copytree(stand_in / "metadata", folder / "metadata")
    with pytest.raises(InputError) as caught:
        training.make(study.open(profile="smoke", data=str(folder)))
    assert "has clips in folds 1, 2 only" in str(caught.value)
    assert "fold 10 for the test" in str(caught.value)
    assert "two-folds" in str(caught.value)


def test_a_folder_with_fold_10_alone_is_refused(settings, stand_in, tmp_path):
    folder = tmp_path / "one-fold"
    shutil.copytree(stand_in / "audio" / "fold10", folder / "audio" / "fold10")
    shutil.copytree(stand_in / "metadata", folder / "metadata")
    with pytest.raises(InputError, match="at least one other for training"):
        training.make(study.open(profile="smoke", data=str(folder)))


# Prediction


def test_predicting_does_not_depend_on_the_batch_and_leaves_the_network_as_it_is(tiny, clips):
    network, data = tiny("resnet18", seed=0).train(), clips(clips=7, fold=1, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    logits = training.predict(network, data.mfcc, batch=3)
    assert (logits.shape, logits.dtype) == ((7, 10), torch.float32)
    assert torch.allclose(logits, training.predict(network, data.mfcc), atol=1e-6)
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())


# A run


def test_a_run_has_a_network_a_history_and_predictions(run):
    network = training.network(run)
    assert not network.training
    assert len(training.history(run)) == run.profile.epochs == 2
    table = training.predictions(run)
    test = representations.dataset(run).test()
    assert table["name"].tolist() == test.names.tolist()
    logits = training.predict(network, test.mfcc).numpy()
    assert np.allclose(table.filter(like="logit_").to_numpy(), logits, rtol=1e-4, atol=1e-5)
    accuracy = (table["label"] == table["predicted"]).mean()
    assert accuracy == training.history(run)["test_accuracy"].iloc[-1]


def test_the_record_of_a_network_says_what_it_was_trained_on(run):
    known = artifacts.record(training.make(run))
    assert known["recipe"]["parameters"] == {
        "architecture": "resnet18",
        "seed": 0,
        "scaling": "raw",
        "epochs": 2,
        "batch": 16,
        "learning_rate": 1e-3,
    }
    assert known["recipe"]["inputs"] == {"features.npz": artifacts.digest_of(run.path("features.npz"))}
    assert {"training", "features", "models", "urbansound"} <= set(known["recipe"]["code"])
    made = known["made"]
    assert made["data"] == "synthetic stand-in"
    assert made["training_folds"] == list(range(1, 10))
    assert (made["test_fold"], made["training_clips"], made["test_clips"]) == (10, 90, 10)


def test_a_network_is_trained_once(run, monkeypatch):
    training.make(run)
    monkeypatch.setattr(training, "train", None)
    training.make(run)
    training.network(run)


def test_an_interrupted_run_goes_on_from_its_checkpoint(fresh, stand_in, monkeypatch):
    run = study.open(profile="smoke", data=str(stand_in))
    expected = contents(training.make(run))
    shutil.rmtree(run.path("network"))
    save = training._save

    def stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            training.make(run)
    steps, step = [], torch.optim.AdamW.step

    def count(self, *arguments, **options):
        steps.append(1)
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", count)
    assert contents(training.make(run)) == expected
    assert len(steps) == -(-90 // training.BATCH)  # one of the two epochs


def test_every_choice_that_changes_the_network_gives_another_one(run, stand_in):
    others = [{"seed": 1}, {"architecture": "resnet34"}, {"scaling": "standardised"}, {"hop_length": 512}]
    digests = [artifacts.digest_of(training.make(run))]
    for choice in others:
        other = study.open(profile="smoke", data=str(stand_in), **choice)
        digests.append(artifacts.digest_of(training.make(other)))
    assert len(set(digests)) == len(digests)
    assert artifacts.digest_of(training.make(run)) == digests[0]


def test_training_takes_the_training_folds_only(run, monkeypatch):
    seen = {}

    def note(model, training, test, *, folder, **options):
        seen.update(training=training, test=test)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", note)
    monkeypatch.setattr(training, "BATCH", 17)  # another recipe
    with pytest.raises(KeyboardInterrupt):
        training.make(run)
    assert isinstance(seen["test"], Features)
    assert set(seen["test"].folds) == {10}
    assert 10 not in set(seen["training"].folds)


def test_the_real_network_trains_and_goes_on(clips, tmp_path):
    # a few clips through ResNet18 itself: batch norms and shortcuts included
    data, network = clips(clips=4, fold=1, seed=1), {}
    for name, epochs in (("whole", (2,)), ("parts", (1, 2))):
        for i, count in enumerate(epochs):
            network[name] = models.build("resnet18", seed=i)
            training.train(
                network[name],
                data,
                data,
                epochs=count,
                seed=0,
                checkpoint=tmp_path / f"{name}.pt",
                folder=tmp_path / name,
            )
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
