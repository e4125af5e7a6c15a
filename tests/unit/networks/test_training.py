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
from helpers.networks import devices, models, training

FILES = {"weights.safetensors", "history.csv"}


@pytest.fixture
def train(tiny, clips, tmp_path):
    """Trains a tiny network on noise into a folder; returns the folder."""

    def call(name: str, *, checkpoint: str | None = None, weights: int = 0, **choices):
        folder = tmp_path / name
        training.train(
            tiny("resnet18", seed=weights),
            clips(clips=37, fold=1, seed=1),
            {10: clips(clips=6, fold=10, seed=2)},
            run=study.Run(**{"epochs": 2} | choices),
            checkpoint=tmp_path / f"{checkpoint or name}.pt",
            folder=folder,
        )
        return folder

    return call


@pytest.fixture
def on_noise(tiny, clips, tmp_path):
    """Trains a given network on 20 clips of noise, or on given ones, without a fold to watch."""

    def call(model=None, data=None, **choices):
        model = model or tiny("resnet18", seed=0)
        run = study.Run(**{"epochs": 1} | choices)
        data = data or clips(clips=20, fold=1, seed=1)
        return training.train(model, data, {}, run=run, checkpoint=tmp_path / "a.pt", folder=tmp_path / "a")

    return call


def learned(folder, fold=0) -> pd.DataFrame:
    """The history of one fold; 0 is what was trained on."""
    table = pd.read_csv(folder / "history.csv")
    return table[table["fold"] == fold].reset_index(drop=True)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What it writes


def test_training_writes_weights_and_history(train, tiny, clips):
    folder = train("a", epochs=3)
    assert {path.name for path in folder.iterdir()} == FILES
    history = pd.read_csv(folder / "history.csv")
    assert list(history) == ["epoch", "fold", "loss", "accuracy"]
    assert history["epoch"].tolist() == [1, 1, 2, 2, 3, 3]
    assert history["fold"].tolist() == [0, 10] * 3
    network = tiny("resnet18", seed=5)
    network.load_state_dict(safetensors.torch.load_file(folder / "weights.safetensors"))
    data = clips(clips=6, fold=10, seed=2)
    logits, labels = training.predict(network, data.inputs), torch.from_numpy(data.labels)
    last = learned(folder, fold=10).iloc[-1]
    assert last["accuracy"] == (logits.argmax(1) == labels).double().mean().item()
    assert last["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)


def test_folds_that_are_watched_change_no_weight(train, on_noise, tiny, clips, tmp_path):
    model = tiny("resnet18", seed=0)
    on_noise(model, clips(clips=37, fold=1, seed=1), epochs=2)
    ours, theirs = (tmp_path / "a" / "weights.safetensors", train("b") / "weights.safetensors")
    assert ours.read_bytes() == theirs.read_bytes()
    assert pd.read_csv(tmp_path / "a" / "history.csv")["fold"].tolist() == [0, 0]


def test_training_learns_two_levels(train):
    folder = train("a", epochs=30)
    assert learned(folder)["loss"].iloc[-1] < learned(folder)["loss"].iloc[0] - 0.5
    assert learned(folder, fold=10)["accuracy"].iloc[-1] == 1.0


def by_hand(model, data, *, choose, order, batch=16):
    """One epoch, written out: batches in order, cross-entropy, one step each; loss and accuracy."""
    optimizer, losses, right = choose(model.parameters()), [], 0
    model.train()
    for part in np.split(order, range(batch, len(order), batch)):
        optimizer.zero_grad()
        logits, labels = model(torch.from_numpy(data.inputs[part])), torch.from_numpy(data.labels[part])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        losses += [loss.item()] * len(part)
        right += int((logits.argmax(1) == labels).sum())
    return np.mean(losses), right / len(order)


@pytest.mark.parametrize(
    ("choices", "choose"),
    [
        ({}, lambda weights: torch.optim.AdamW(weights, lr=1e-3)),  # the thesis's
        ({"learning_rate": 0.01}, lambda weights: torch.optim.AdamW(weights, lr=0.01)),
        ({"batch_size": 7}, lambda weights: torch.optim.AdamW(weights, lr=1e-3)),
        ({"optimizer": "Adam"}, lambda weights: torch.optim.Adam(weights, lr=1e-3)),
        ({"optimizer": "SGD", "learning_rate": 0.1}, lambda weights: torch.optim.SGD(weights, lr=0.1)),
    ],
)
def test_the_first_steps_are_those_of_the_run(on_noise, tiny, clips, tmp_path, choices, choose):
    data, model = clips(clips=20, fold=1, seed=1), tiny("resnet18", seed=0)
    order = np.random.default_rng([7, 0]).permutation(20)
    batch = choices.get("batch_size", 16)
    loss, accuracy = by_hand(model, data, choose=choose, order=order, batch=batch)
    on_noise(seed=7, **choices)
    row = learned(tmp_path / "a").iloc[0]
    assert row["loss"] == pytest.approx(loss, rel=1e-4)
    assert row["accuracy"] == accuracy
    weights = safetensors.torch.load_file(tmp_path / "a" / "weights.safetensors")
    for name, value in model.state_dict().items():
        assert torch.allclose(weights[name], value, atol=1e-4)


def test_every_optimizer_that_may_be_chosen_exists():
    assert set(training.OPTIMIZERS) == set(study.legal("optimizer"))


@pytest.fixture
def rates(monkeypatch):
    """The learning rate of every step of AdamW, in order."""
    found, step = [], torch.optim.AdamW.step

    def note(self, *given, **options):
        found.append(self.param_groups[0]["lr"])
        return step(self, *given, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    return found


def test_a_cosine_falls_from_the_learning_rate_to_nearly_nothing(train, rates):
    train("a", epochs=4, schedule="cosine", batch_size=37)
    assert rates == pytest.approx([1e-3, 1e-3 * (1 + 0.5**0.5) / 2, 5e-4, 1e-3 * (1 - 0.5**0.5) / 2])
    rates.clear()
    train("b", epochs=3, batch_size=37)
    assert rates == [1e-3] * 3


def test_one_cycle_rises_to_the_learning_rate_and_falls_to_nearly_nothing(train, rates):
    train("a", epochs=10, schedule="one-cycle", batch_size=4)
    assert rates[0] == pytest.approx(1e-3 / 25)  # Smith & Topin 2018, as torch has it
    assert max(rates) == pytest.approx(1e-3, rel=1e-3)
    assert 0.25 < np.argmax(rates) / len(rates) < 0.35
    assert rates[-1] < 1e-6
    assert (np.sign(np.diff(rates)) == [1] * np.argmax(rates) + [-1] * (len(rates) - 1 - np.argmax(rates))).all()


def test_every_schedule_and_augmentation_that_may_be_chosen_exists():
    assert list(training.SCHEDULES) == study.legal("schedule")
    with pytest.raises(InputError, match="augmentation"):
        study.check("augmentation", "noise")


@pytest.mark.parametrize(
    "choices",
    [
        {"schedule": "cosine"},
        {"schedule": "one-cycle"},
        {"augmentation": "mask"},
        {"augmentation": "roll and mask"},
        {"optimizer": "Adam"},
    ],
)
def test_a_training_with_other_choices_goes_on_and_ends_with_the_same_bytes(train, choices):
    whole = contents(train("whole", epochs=3, **choices))
    assert whole != contents(train("plain", epochs=3))
    save = training._save
    with pytest.MonkeyPatch.context() as patch:

        def stop(*given):
            save(*given)
            raise KeyboardInterrupt

        patch.setattr(training, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            train("rest", epochs=3, **choices)
    torch.manual_seed(99)
    assert contents(train("rest", epochs=3, weights=5, **choices)) == whole


def test_a_mask_blanks_a_stretch_of_rows_and_of_frames_of_each_clip():
    run = study.Run(augmentation="mask")
    x = torch.ones(40, 1, 13, 400)
    state = torch.get_rng_state()
    found = training._augmented(x, run, np.random.default_rng(3))
    assert torch.equal(torch.get_rng_state(), state)  # the global generator was not asked
    assert torch.equal(found, training._augmented(x, run, np.random.default_rng(3)))
    assert not torch.equal(found, training._augmented(x, run, np.random.default_rng(4)))
    assert x.all()  # what came in is as it was
    gone = ~found[:, 0].bool()
    rows, frames = gone.all(2).sum(1), gone.all(1).sum(1)
    assert rows.max() <= 0.2 * 13
    assert frames.max() <= 0.2 * 400
    assert len(set(frames.tolist())) > 10  # each clip has its own
    for one in gone:  # nothing is blank but one stretch of rows and one of frames
        for blank in (one.all(1), one.all(0)):
            assert (blank[1:] != blank[:-1]).sum() <= 2
        assert torch.equal(one, one.all(1)[:, None] | one.all(0))


def test_a_roll_moves_the_frames_of_each_clip_and_loses_none(monkeypatch):
    monkeypatch.setattr(training, "WIDEST", 0)  # masks of nothing
    x = torch.arange(400.0).expand(20, 1, 13, 400)
    found = training._augmented(x, study.Run(augmentation="roll and mask"), np.random.default_rng(3))
    begins = found[:, 0, 0, 0]
    assert len(set(begins.tolist())) > 10
    assert torch.equal(found, (begins[:, None, None, None] + x) % 400)


def test_nothing_is_masked_unless_it_is_chosen():
    x = torch.ones(2, 1, 13, 400)
    assert training._augmented(x, study.Run(), np.random.default_rng(0)) is x


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


def test_seconds_before_an_interruption_count(train, on_noise, tmp_path):
    train("a", epochs=1)
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save(state | {"seconds": 1000.0}, tmp_path / "a.pt")
    assert 1000 < on_noise(epochs=2) < 1100
    assert torch.load(tmp_path / "a.pt", weights_only=True)["seconds"] > 1000


def test_a_checkpoint_is_never_half_written(train, tmp_path):
    train("a", epochs=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.pt"]


# Mistakes


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_is_not_finite_is_said_in_one_sentence(on_noise, clips, tmp_path, value):
    data = clips(clips=20, fold=1, seed=1)
    data.inputs[3, 0, 0, 0] = value
    with pytest.raises(InputError) as caught:
        on_noise(data=data)
    assert str(caught.value) == (
        "training diverged in epoch 1: the loss is not finite; take a smaller learning_rate or another seed, "
        "and look for clips with extreme values"
    )
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.pt").exists()


# Prediction


def test_predicting_does_not_depend_on_the_batch_and_leaves_the_network_as_it_is(tiny, clips, monkeypatch):
    network, data = tiny("resnet18", seed=0).train(), clips(clips=7, fold=1, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with monkeypatch.context() as small:
        small.setattr(devices, "batch", lambda *given, usual: 3)
        logits = training.predict(network, data.inputs)
    assert (logits.shape, logits.dtype) == ((7, 10), torch.float32)
    assert torch.allclose(logits, training.predict(network, data.inputs), atol=1e-6)
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())


# A run


def test_a_run_has_a_network_a_history_and_predictions(run):
    network = training.network(run)
    assert not network.training
    history = training.history(run)
    assert len(history) == 2 * run.epochs == 4
    table, test = training.predictions(run), representations.test(run)
    assert list(table) == ["clip", "recording", "label", "predicted", *(f"logit_{k}" for k in range(10))]
    assert table["clip"].tolist() == test.clips.tolist()
    assert table["recording"].tolist() == test.recordings.tolist()
    assert table["label"].tolist() == test.labels.tolist()
    logits = table.filter(like="logit_").to_numpy()
    assert np.allclose(logits, training.predict(network, test.inputs).numpy(), rtol=1e-4, atol=1e-5)
    assert table["predicted"].tolist() == logits.argmax(1).tolist()
    last = history[history["fold"] == 10].iloc[-1]
    assert last["accuracy"] == (table["label"] == table["predicted"]).mean()


def test_the_record_of_a_network_says_what_it_was_trained_on(run):
    known = artifacts.record(training.NETWORK.get(run))
    assert known["recipe"]["fields"] == {
        "scaling": "raw",
        "architecture": "resnet18",
        "pretrained": False,
        "labels": "true",
        "seed": 0,
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "optimizer": "AdamW",
        "schedule": "constant",
        "augmentation": "none",
    }
    digests = {f"features.npz {k}": artifacts.digest_of(representations.FEATURES.get(run, k)) for k in range(1, 10)}
    assert known["recipe"]["inputs"] == digests
    code = {
        "networks.training",
        "networks.architectures",
        "networks.models",
        "audio.representations",
        "audio.urbansound",
    }
    assert code <= set(known["recipe"]["code"])
    made = known["made"]
    assert made["data"] == "synthetic stand-in"
    assert made["training_folds"] == list(range(1, 10))
    assert (made["watched_folds"], made["training_clips"]) == ([10], 90)
    assert artifacts.record(training.PREDICTIONS.get(run))["made"]["test_clips"] == 10


def test_a_network_is_trained_once(run, monkeypatch):
    path = training.NETWORK.get(run)
    monkeypatch.setattr(training, "train", None)
    assert training.NETWORK.get(run) == path
    training.network(run)


def test_an_interrupted_run_goes_on_from_its_checkpoint(fresh, stand_in, monkeypatch):
    run = study.open(profile="smoke", data=str(stand_in))
    expected = contents(training.NETWORK.get(run))
    shutil.rmtree(training.NETWORK.path(run))
    save = training._save

    def stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            training.NETWORK.get(run)
    steps, step = [], torch.optim.AdamW.step

    def count(self, *arguments, **options):
        steps.append(1)
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", count)
    assert contents(training.NETWORK.get(run)) == expected
    assert len(steps) == -(-90 // run.batch_size)  # one of the two epochs


def test_a_run_on_log_mel_spectrograms_of_another_shape_trains_and_predicts(settings, stand_in):
    shape = {"representation": "log-mel", "n_mels": 64, "frames": 173}
    run = study.open(profile="smoke", data=str(stand_in), training_folds=(1, 2), **shape)
    assert run.features_in_step == run.rows == 64
    assert representations.training(run).inputs.shape == (20, 1, 64, 173)
    last = training.history(run).query("epoch == 2").set_index("fold")
    assert last.index.tolist() == [0, *range(3, 11)]
    table = training.predictions(run)
    assert last["accuracy"][10] == (table["label"] == table["predicted"]).mean()


@pytest.mark.parametrize(
    "choice",
    [
        {"seed": 1},
        {"architecture": "resnet34"},
        {"scaling": "standardised"},
        {"hop_length": 512},
        {"padding": "repeat_waveform"},
        {"labels": "shuffled"},
        {"augmentation": "mask"},
        {"training_folds": (1, 2)},
        {"test_fold": 1},
    ],
    ids=str,
)
def test_every_choice_that_changes_the_network_gives_another_one(run, choice):
    other = study.open(profile="smoke", data=run.data, **choice)
    first = artifacts.digest_of(training.NETWORK.get(run))
    assert artifacts.digest_of(training.NETWORK.get(other)) != first
    assert artifacts.digest_of(training.NETWORK.get(run)) == first


def seen_by_train(run, monkeypatch, tmp_path) -> dict:
    """What a run gives to `train`."""
    seen: dict = {}

    def note(model, training, watched, **options):
        seen.update(model=model, training=training, watched=watched, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", note)
    with pytest.raises(KeyboardInterrupt):
        training._make(run, tmp_path / "network")
    return seen


def test_training_takes_the_training_folds_only(run, monkeypatch, tmp_path):
    seen = seen_by_train(run.with_(training_folds=(1, 2, 4)), monkeypatch, tmp_path)
    assert isinstance(seen["training"], Features)
    assert set(seen["training"].folds) == {1, 2, 4}
    assert list(seen["watched"]) == [3, 5, 6, 7, 8, 9, 10]
    assert all(set(clips.folds) == {fold} for fold, clips in seen["watched"].items())


def test_shuffled_labels_keep_their_number_and_belong_to_nothing(run, monkeypatch, tmp_path):
    seen = seen_by_train(run.with_(labels="shuffled"), monkeypatch, tmp_path)
    true = representations.training(run)
    taught = seen["training"].labels
    assert np.bincount(taught).tolist() == np.bincount(true.labels).tolist()
    assert (taught == true.labels).mean() < 0.3  # ten classes of the same size: 0.1 by chance
    assert np.array_equal(seen["training"].inputs, true.inputs)
    assert np.array_equal(seen["watched"][10].labels, representations.test(run).labels)
    again = seen_by_train(run.with_(labels="shuffled"), monkeypatch, tmp_path)
    assert np.array_equal(again["training"].labels, taught)
    other = seen_by_train(run.with_(labels="shuffled", seed=1), monkeypatch, tmp_path)
    assert not np.array_equal(other["training"].labels, taught)


def test_the_network_that_travels_can_be_asked_and_others_say_so():
    with pytest.raises(InputError) as caught:
        training.network(study.entries()[0])
    assert str(caught.value) == (
        f"the weights of {study.entries()[0].key} are not recorded, only what the network said; those of "
        f"{study.traveller().key} are"
    )
    network = training.network(study.traveller())
    assert {values.dtype for values in network.parameters()} == {torch.float32}
    assert not network.training


def test_the_real_network_trains_and_goes_on(clips, tmp_path):
    # a few clips through ResNet18 itself: batch norms and shortcuts included
    data = clips(clips=4, fold=1, seed=1)
    for name, epochs in (("whole", (2,)), ("parts", (1, 2))):
        for i, count in enumerate(epochs):
            training.train(
                models.build("resnet18", seed=i),
                data,
                {},
                run=study.Run(epochs=count),
                checkpoint=tmp_path / f"{name}.pt",
                folder=tmp_path / name,
            )
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
