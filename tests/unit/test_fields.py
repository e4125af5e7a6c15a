"""Each choice keys exactly the artefacts that depend on it: changed, these are stale, and no other."""

import importlib.metadata
import json

import pandas as pd
import pytest

from helpers import InputError, artifacts, study
from helpers.artifacts import Artefact
from helpers.audio import representations, standin
from helpers.book import studies
from helpers.experiments import scores
from helpers.maps import explainers
from helpers.networks import training

# Another legal value of each field, and the first artefacts that it keys; what is made from these follows.
FEATURES, NETWORK, SAMPLE, MAPS = "features.npz", "network", "sample.npz", "explanations.npz"
METRICS, CURVE, TRUTH = "metrics.csv", "specifications.csv", "known-truth.csv"
PLANTED, SLIPS, COMPARED, SOUNDS = "planted.csv", "slips.csv", "compared.npz", "properties.csv"
BLOCKS, PICTURES = "block-effects.npz", "pictures.npz"
FIELDS = {
    "clips": (1, [FEATURES, SOUNDS]),
    "left_out": (1, []),  # which clips these are is in the digest of the sounds
    "data_seed": (1, [FEATURES, SOUNDS]),
    "test_fold": (9, ["predictions.csv", SAMPLE, PLANTED, COMPARED, BLOCKS, PICTURES, SOUNDS, "mixture.npz"]),
    "training_folds": ((1, 2), [NETWORK, METRICS, CURVE]),
    "representation": ("log-mel", [FEATURES]),
    "sampling_rate": (22_050, [FEATURES, SOUNDS]),
    "n_fft": (1024, [FEATURES, SOUNDS]),
    "hop_length": (512, [FEATURES, SOUNDS]),
    "n_mels": (64, [FEATURES]),
    "n_mfcc": (20, [FEATURES]),
    "frames": (200, [FEATURES]),
    "padding": ("minimum", [FEATURES]),
    "scaling": ("standardised", [NETWORK]),
    "architecture": ("resnet34", [NETWORK]),
    "pretrained": (True, [NETWORK]),
    "labels": ("shuffled", [NETWORK]),
    "seed": (1, [NETWORK]),
    "epochs": (3, [NETWORK]),
    "batch_size": (8, [NETWORK]),
    "learning_rate": (3e-4, [NETWORK]),
    "optimizer": ("SGD", [NETWORK]),
    "schedule": ("cosine", [NETWORK]),
    "augmentation": ("mask", [NETWORK]),
    "explainer": ("HiResCAM", [MAPS, PLANTED, BLOCKS]),
    "layer": ("layer3[-1]", [MAPS, PLANTED, COMPARED, BLOCKS]),
    "explained": ("true", [MAPS, COMPARED, BLOCKS]),
    "explanations": (7, [SAMPLE, PLANTED]),
    "sample_seed": (1, [SAMPLE, PLANTED, COMPARED, BLOCKS, PICTURES]),
    "explainer_samples": (7, [MAPS, COMPARED, BLOCKS]),
    "explainer_seed": (1, [MAPS, COMPARED, BLOCKS]),
    "scored": ("true", ["scores.csv", "quantus.csv"]),
    "draws": (3, ["scores.csv", "quantus.csv", "quantus-older.csv"]),
    "features_in_step": (26, ["scores.csv", "quantus.csv", "quantus-older.csv", METRICS, TRUTH, CURVE, SLIPS]),
    "perturb_baseline": ("black", ["scores.csv", "quantus.csv", "quantus-older.csv"]),
    "baseline": ("zero", ["scores.csv"]),
    "metric_seed": (1, ["scores.csv", "quantus.csv", "quantus-older.csv", METRICS, TRUTH, SLIPS]),
    "stock_clips": (7, ["quantus.csv"]),
    "drawn_clips": (7, ["scores.csv"]),
    "control_clips": (7, ["effects.npz", "sanity.csv", METRICS, TRUTH, CURVE]),
    "null_maps": (7, ["controls.csv", "comparison.csv", "blocks.csv"]),
    "null_seed": (1, ["controls.csv", "comparison.csv", "blocks.csv", PLANTED]),
    "efficient_seed": (1, ["sanity.csv"]),
    "removal_step": (20, [METRICS, TRUTH, COMPARED]),
    "compared_clips": (7, [COMPARED, BLOCKS, PICTURES]),
    "explainers": (("saliency",), [COMPARED]),
    "compared_layers": (("layer2[-1]",), [COMPARED]),
    "layers": (("layer4[-1]",), [CURVE]),
    "readings": (("true/explained",), [CURVE]),
    "baselines": (("zero",), [CURVE]),
    "curve_nulls": (7, [CURVE]),
    "curve_null_seed": (2, [CURVE]),
    "rank_nulls": (2, [CURVE]),
    "ceiling_clips": (2, [CURVE]),
}
EVERY = [one for one in artifacts.ALL.values() if one.make.__module__ in {m.__name__ for m in studies.EVERY}]
EVERY += [representations.FEATURES]


def behind(artefact: Artefact) -> set[str]:
    """The artefact and all that it is made from, by name."""
    return {one.name for one in studies._all(artefact)}


def test_every_field_has_a_row_here():
    assert set(FIELDS) == set(study.FIELDS) - {"data", "profile"}


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_makes_exactly_what_depends_on_it_stale(settings, stand_in, field):
    value, first = FIELDS[field]
    run = study.open(profile="thesis", data=str(stand_in), training_folds="1 2 3")
    other = run.with_(**{field: value})
    for artefact in EVERY:
        # labels of the network beside which a sanity check sets one of shuffled labels
        expected = bool(behind(artefact) & set(first))
        changed = artefact.path(run, 1) != artefact.path(other, 1)
        assert changed == expected, f"{artefact.name} and {field}"
        assert (field in artefact.closure) == expected, f"{artefact.name} and {field}"


@pytest.fixture
def made(fresh, stand_in, monkeypatch):
    """A tiny run whose artefacts count how often they are made; stock Quantus has a test of its own."""
    counts = dict.fromkeys((one.name for one in EVERY), 0)

    def counting(artefact):
        own = artefact.make

        def make(*given):
            counts[artefact.name] += 1
            return own(*given)

        make.__module__ = own.__module__
        return make

    for artefact in EVERY:
        monkeypatch.setitem(artefact.__dict__, "make", counting(artefact))
    run = study.open(profile="smoke", data=str(stand_in), training_folds="1 2", explanations=2, drawn_clips=1)

    def ask(**changes):
        before = dict(counts)
        other = run.with_(**changes)
        for artefact in (training.PREDICTIONS, scores.SCORES):
            artefact.get(other)
        return {name for name, count in counts.items() if count > before[name]}

    assert ask() == {
        "features.npz",
        "network",
        "predictions.csv",
        "sample.npz",
        "explanations.npz",
        "scores.csv",
    }
    return ask


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"test_fold": 9}, ("predictions.csv", "sample.npz", "explanations.npz", "scores.csv")),
        ({"learning_rate": 1e-2}, ("network", "predictions.csv", "explanations.npz", "scores.csv")),
        ({"layer": "layer3[-1]"}, ("explanations.npz", "scores.csv")),
        ({"draws": 2}, ("scores.csv",)),
        ({"null_maps": 5}, ()),
    ],
    ids=str,
)
def test_only_what_depends_on_a_change_is_made(made, changes, expected):
    assert made(**changes) == set(expected)


def test_one_network_is_tested_on_two_folds_and_never_on_its_own(fresh, stand_in):
    run = study.open(profile="smoke", data=str(stand_in), training_folds="1 2")
    other = run.with_(test_fold=3)
    assert training.NETWORK.path(run) == training.NETWORK.path(other)
    assert training.PREDICTIONS.path(run) != training.PREDICTIONS.path(other)
    with pytest.raises(InputError, match="never tested on what it learned from"):
        run.with_(test_fold=2)


def test_a_new_fold_in_the_folder_does_not_retrain(fresh, tmp_path):
    folder = tmp_path / "sounds"
    standin.generate(folder, clips=1, seed=0)
    aside = tmp_path / "fold3"
    (folder / "audio" / "fold3").rename(aside)
    given = {"profile": "smoke", "data": str(folder), "training_folds": "1 2"}
    path = training.NETWORK.get(study.open(**given))
    stamp = (path / "weights.safetensors").stat().st_mtime_ns
    assert set(training.history(study.open(**given))["fold"]) == {0, 4, 5, 6, 7, 8, 9, 10}
    aside.rename(folder / "audio" / "fold3")
    assert training.NETWORK.get(study.open(**given)) == path
    assert (path / "weights.safetensors").stat().st_mtime_ns == stamp


def test_history_has_a_row_per_epoch_and_fold_that_was_not_trained_on(run):
    table = training.history(run.with_(training_folds=(1, 2)))
    assert table.groupby("epoch")["fold"].apply(list).tolist() == [[0, 3, 4, 5, 6, 7, 8, 9, 10]] * run.epochs


def test_what_make_reads_without_declaring_it_is_refused(fresh, run):
    silly = Artefact("silly.csv", make=lambda run, target: {"lr": run.learning_rate})
    try:
        with pytest.raises(AttributeError, match=r"silly\.csv reads learning_rate, which it does not declare"):
            silly.get(run)
    finally:
        del artifacts.ALL["silly.csv"]


def test_sounds_that_change_while_something_is_made_of_them_make_nothing(fresh, run):
    """Else the record would speak of the sounds before, and the result be of those after."""
    said = iter(["before", "after", "after", "after"])
    silly = Artefact(
        "silly.csv", make=lambda run, target: {"ones": target.write_text("1")}, outside=lambda run: {"a": next(said)}
    )
    try:
        with pytest.raises(InputError, match=r"a sound that silly\.csv is made from changed meanwhile; run again"):
            silly.get(run)
        assert not silly.path(run).exists()
        assert silly.get(run).read_text() == "1"
    finally:
        del artifacts.ALL["silly.csv"]


def test_versions_of_packages_that_shape_an_artefact_are_part_of_its_recipe(run, monkeypatch):
    before = explainers.EXPLANATIONS.recipe(run)
    assert set(before["packages"]) == {"torch", "grad-cam", "captum"}
    own = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name == "grad-cam" else own(name))
    assert explainers.EXPLANATIONS.recipe(run) != before


def test_an_artefact_that_is_not_recorded_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "RECORDED", tmp_path)
    with pytest.raises(InputError, match=r"^scores\.csv of resnet18 .* is not recorded; no recorded run has it"):
        scores.table(study.open(data="recorded")) if scores.SCORES.there(study.open(data="recorded")) else (
            scores.SCORES.read(study.open(data="recorded"))
        )


def test_a_recorded_artefact_that_was_changed_is_refused(monkeypatch, tmp_path):
    run = study.open(data="recorded")
    path = tmp_path / scores.SCORES.path(run).relative_to(study.RECORDED)
    path.parent.mkdir(parents=True)
    path.write_bytes(scores.SCORES.path(run).read_bytes() + b"\n")
    record = artifacts.record_path(scores.SCORES.path(run))
    artifacts.record_path(path).write_text(record.read_text())
    monkeypatch.setattr(study, "RECORDED", tmp_path)
    with pytest.raises(InputError, match="has changed since it was recorded"):
        scores.SCORES.read(run)
    path.unlink()
    with pytest.raises(InputError, match="has changed since it was recorded"):
        scores.SCORES.read(run)


def test_every_recorded_artefact_has_the_content_that_its_record_says():
    records = sorted((study.RECORDED / "urbansound8k").rglob("*.json"))
    assert len(records) > 60
    for path in records:
        known = json.loads(path.read_text())
        assert artifacts.content_digest(path.parent / known["artefact"]) == known["content"], path
        assert {"date", "seconds", "revision", "versions"} <= set(known["made"])


def test_every_recorded_table_holds_what_is_declared():
    for run in study.entries() + study.entries("folds"):
        for artefact in (one for one in EVERY if one.table and one.record and one.there(run)):
            assert isinstance(artefact.read(run), pd.DataFrame)
