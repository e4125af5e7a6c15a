"""The table of scores and what is said of it."""

import copy
import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from torch import nn

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import scores
from helpers.maps import explainers
from helpers.metric import baselines, blocking, correlation, perturbation, stock
from helpers.networks import training

pytestmark = pytest.mark.slow

NAN = float("nan")
SEEDS = itertools.count(1000)


@pytest.fixture
def run(run):
    """A run whose scores no other test has computed; network and maps are shared."""
    return run.with_(metric_seed=next(SEEDS))


def rows_of(*, specification: str = "quantus", **values: list[float]) -> pd.DataFrame:
    """A table of scores per network: rows_of(ResNet18=[0.1, -0.2])."""
    rows = [(network, f"{i}.wav", score) for network, own in values.items() for i, score in enumerate(own)]
    table = pd.DataFrame(rows, columns=["architecture", "clip", "score"])
    return table.assign(specification=specification)


# Summary


def summary_of(**values: list[float]) -> pd.DataFrame:
    return scores.summary(rows_of(**values)).set_index("architecture").drop(columns="specification")


def test_summary_by_hand():
    table = scores.summary(rows_of(ResNet18=[-0.4, 0.0, 0.2, NAN, -0.2]))
    # of -0.4, -0.2, 0, 0.2: quartiles lie a quarter of the way between neighbours
    (row,) = table.to_dict("records")
    assert (row.pop("architecture"), row.pop("specification")) == ("ResNet18", "quantus")
    expected = {
        "clips": 5,
        "NaN": 1,
        "lower quartile": -0.25,
        "median": -0.1,
        "upper quartile": 0.05,
        "share below 0": 0.5,
    }
    assert row == pytest.approx(expected, abs=1e-12)


def test_summary_keeps_the_order_of_networks_and_specifications():
    parts = [
        rows_of(ResNet50=[0.1], ResNet101=[0.2], ResNet18=[0.3], specification=name) for name in ("quantus", "frame")
    ]
    table = scores.summary(pd.concat(parts).sort_index(kind="stable"))
    assert len(table) == 6
    own = table[table["specification"] == "quantus"]
    assert own["architecture"].tolist() == ["ResNet50", "ResNet101", "ResNet18"]
    assert own["median"].tolist() == [0.1, 0.2, 0.3]
    assert table["specification"].unique().tolist() == ["quantus", "frame"]


def test_summary_keeps_specifications_apart():
    rows = pd.concat([rows_of(a=[-1.0]), rows_of(a=[1.0, 1.0], specification="rank")])
    table = scores.summary(rows).set_index("specification")
    assert table["median"].to_dict() == {"quantus": -1.0, "rank": 1.0}
    assert table["clips"].to_dict() == {"quantus": 1, "rank": 2}


def test_summary_of_a_network_without_any_score_has_no_numbers():
    table = summary_of(ResNet18=[NAN, NAN], ResNet34=[0.5])
    assert table.loc["ResNet18", ["clips", "NaN"]].tolist() == [2, 2]
    assert table.loc["ResNet18"].drop(["clips", "NaN"]).isna().all()
    assert table.loc["ResNet34"].tolist() == [1, 0, 0.5, 0.5, 0.5, 0.0]


def test_zero_is_not_below_zero():
    assert summary_of(a=[0.0, -0.0]).loc["a", "share below 0"] == 0


@given(st.lists(st.floats(-1, 1) | st.just(NAN), min_size=1, max_size=30), st.randoms())
@options(deadline=None)
def test_summary_does_not_depend_on_the_order_of_clips(values, random):
    shuffled = random.sample(values, len(values))
    first, second = (summary_of(a=v).loc["a"].to_numpy(float) for v in (values, shuffled))
    assert np.allclose(first, second, equal_nan=True)
    assert first[1] == sum(np.isnan(values))


def test_summary_by_another_column():
    rows = rows_of(a=[-1.0, 1.0], b=[0.5]).assign(run=["x", "y", "y"])
    table = scores.summary(rows, by="run")
    assert table.columns[0] == "run"
    assert table.set_index("run")["median"].to_dict() == {"x": -1.0, "y": 0.75}
    assert table["clips"].tolist() == [1, 2]


# Agreement of specifications


def rows_to_agree() -> pd.DataFrame:
    return pd.concat(
        [
            rows_of(a=[0.1, NAN, 0.3, 0.4, 0.6], b=[0.5]),
            rows_of(a=[0.11, 0.2, NAN, 0.41, 0.61], b=[0.51], specification="draws"),
            rows_of(a=[-0.1, -0.2, -0.3, -0.4, NAN], b=[-0.5], specification="rank"),
            rows_of(a=[1, 1, 1, 1, 1], b=[1], specification="frame"),
        ]
    )


def test_agreement_is_clip_by_clip_where_all_have_a_score():
    table = scores.agreement(rows_to_agree().sample(frac=1, random_state=0))
    assert list(table) == ["architecture", "clip", "quantus", "draws", "rank"]
    assert sorted(map(tuple, table.to_numpy())) == [
        ("a", "0.wav", 0.1, 0.11, -0.1),
        ("a", "3.wav", 0.4, 0.41, -0.4),
        ("b", "0.wav", 0.5, 0.51, -0.5),
    ]


def test_agreement_by_another_column():
    rows = rows_to_agree().rename(columns={"architecture": "run"})
    table = scores.agreement(rows, by="run")
    assert list(table) == ["run", "clip", "quantus", "draws", "rank"]
    assert table["run"].tolist() == ["a", "a", "b"]


@pytest.mark.parametrize("missing", ["quantus", "draws", "rank"])
def test_agreement_without_a_common_clip_is_empty(missing):
    rows = rows_to_agree()
    table = scores.agreement(rows[rows["specification"] != missing])
    assert len(table) == 0
    assert list(table) == ["architecture", "clip", "quantus", "draws", "rank"]


# The table of a run


class Effects:
    """Stands for `perturbation.effects`: notes what it is asked, and may stop before a clip."""

    def __init__(self) -> None:
        self.asked, self.before = [], None

    def __call__(self, network, inputs, classes, *, blocks, baseline, readout):
        clip = int(1000 * np.abs(inputs).sum())  # a clip's own number
        if clip == self.before:
            raise KeyboardInterrupt
        asked = {"clip": clip, "class": int(classes[0]), "network": network}
        self.asked.append(asked | {"baseline": baseline, "readout": readout, "blocks": blocks})
        return np.random.default_rng((clip, len(str(blocks)))).random((1, 400))


def number_of(maps: explainers.Explanations, i: int) -> int:
    return int(1000 * np.abs(maps.inputs[i : i + 1]).sum())


@pytest.fixture
def given_effects(monkeypatch):
    """Effects of our own instead of the engine's; returns what was asked for."""
    effects = Effects()
    monkeypatch.setattr(perturbation, "effects", effects)
    return effects


@pytest.fixture
def given_scores(monkeypatch, given_effects):
    """Scores of our own instead of Quantus', too; returns what was asked for, call by call."""
    asked = []

    def quantus_scores(network, inputs, classes, maps, **options):
        assert len(inputs) == len(classes) == len(maps) == 1
        asked.append({"input": inputs[0], "map": maps[0], "class": classes[0], **options})
        return (np.array([0.25]), ["ok"]) if len(asked) == 1 else (np.array([NAN]), ["constant map"])

    monkeypatch.setattr(stock, "quantus_scores", quantus_scores)
    return asked


def part_of(table: pd.DataFrame, specification: str) -> pd.DataFrame:
    return table[table["specification"] == specification]


def test_the_table_has_one_row_per_clip_and_specification(run, given_scores):
    table, maps = scores.table(run), explainers.explanations(run)
    assert list(table) == [
        *("clip", "recording", "label", "predicted", "explained", "specification", "score", "status")
    ]
    counts = {"quantus": 2, "draws": 3, "rank": 4, "text": 3, "frame": 4}
    assert table["specification"].tolist() == [name for name, n in counts.items() for _ in range(n)]
    for name, count in counts.items():
        part = part_of(table, name)
        assert part["clip"].tolist() == maps.clips[:count].tolist()
        assert part["recording"].tolist() == maps.recordings[:count].tolist()
        assert part["label"].tolist() == maps.labels[:count].tolist()
        assert part["predicted"].tolist() == maps.predicted[:count].tolist()
        assert part["explained"].tolist() == maps.explained[:count].tolist()
    assert (table["score"].isna() == (table["status"] != "ok")).all()
    assert table["score"].dropna().between(-1, 1).all()


def test_stock_quantus_gets_the_first_clips_each_with_a_seed_of_its_own(run, given_scores):
    table, maps = scores.table(run), explainers.explanations(run)
    own = part_of(table, "quantus")
    assert own["score"].tolist()[0] == 0.25
    assert np.isnan(own["score"].tolist()[1])
    assert own["status"].tolist() == ["ok", "constant map"]
    assert len(given_scores) == 2
    for i, asked in enumerate(given_scores):
        assert np.array_equal(asked["map"], maps.maps[i])
        assert np.array_equal(asked["input"], maps.inputs[i])
        assert (asked["draws"], asked["seed"]) == (1, (run.metric_seed, i))
        assert (asked["features_in_step"], asked["perturb_baseline"]) == (13, "uniform")


def test_the_other_specifications_are_the_engines_scores(run):
    table, maps, network = scores.table(run), explainers.explanations(run), training.network(run)
    for name in ("draws", "rank", "text", "frame"):
        own = part_of(table, name)["score"].to_numpy()[:2]
        order = "stock" if name == "draws" else "stable"
        for i in range(2):
            clip = slice(i, i + 1)
            blocks = "frame" if name == "frame" else blocking.rank_blocks(maps.maps[clip], order=order)
            draws = baselines.Baseline.draws(1, seed=(run.metric_seed, i))
            given = {"blocks": blocks, "baseline": draws if name == "draws" else "uniform"}
            if name == "text":
                given["readout"] = "cross-entropy"
            effects = perturbation.effects(network, maps.inputs[clip], maps.explained[clip], **given)
            (expected,) = correlation.score(maps.maps[clip], effects, blocks=blocks, order=order)
            # the text takes the changed loss from the unchanged one: the rise, turned
            sign = -1 if name == "text" else 1
            assert own[i] == pytest.approx(sign * expected, abs=1e-6), name


def test_a_map_that_is_empty_has_no_score_and_says_so(run, given_scores, monkeypatch):
    maps = explainers.explanations(run)
    empty = dataclasses.replace(maps, maps=np.where(np.arange(4)[:, None, None] == 3, 0, maps.maps))
    monkeypatch.setattr(explainers, "explanations", lambda run: empty)
    table = scores.table(run)
    last = table[table["clip"] == maps.clips[3]]
    assert last["specification"].tolist() == ["rank", "frame"]
    assert last["score"].isna().all()
    assert last["status"].tolist() == ["constant map or effects"] * 2


def test_the_record_counts_scores_that_are_missing(run, given_scores):
    made = artifacts.record(scores.STOCK.get(run))["made"]
    assert (made["clips"], made["nan"]) == ({"quantus": 2}, {"quantus": 1})
    made = artifacts.record(scores.SCORES.get(run))["made"]
    assert made["clips"] == {"draws": 3, "rank": 4, "text": 3, "frame": 4}
    assert set(made["nan"]) == {"draws", "rank", "text", "frame"}


@pytest.mark.parametrize(("architecture", "stock"), [("resnet18", 2), ("resnet34", 1), ("resnet101", 1)])
def test_deeper_networks_have_a_number_of_stock_clips_of_their_own(
    settings, stand_in, given_scores, architecture, stock
):
    seed = next(SEEDS)
    run = study.open(profile="smoke", data=str(stand_in), architecture=architecture, metric_seed=seed)
    given = {"draws": 1, "metric_seed": seed, "scored": "explained"}
    given |= {"features_in_step": 13, "perturb_baseline": "uniform"}
    recipe = artifacts.record(scores.STOCK.get(run))["recipe"]
    assert recipe["fields"] == given | {"stock_clips": stock}
    assert set(recipe["inputs"]) == {"explanations.npz", "network"}
    assert len(given_scores) == stock
    recipe = artifacts.record(scores.SCORES.get(run))["recipe"]
    assert recipe["fields"] == given | {"baseline": "uniform", "drawn_clips": 3}


def test_no_more_clips_are_scored_than_explained(settings, stand_in, given_scores):
    more = {"explanations": 500, "stock_clips": 50, "drawn_clips": 400, "metric_seed": next(SEEDS)}
    run = study.open(profile="quick", data=str(stand_in), **more)
    assert artifacts.record(scores.STOCK.get(run))["made"]["clips"] == {"quantus": 10}
    clips = artifacts.record(scores.SCORES.get(run))["made"]["clips"]
    assert clips == {"draws": 10, "rank": 10, "text": 10, "frame": 10}


def without_stock(run: study.Run, *, drawn: int = 0) -> study.Run:
    return run.with_(stock_clips=0, drawn_clips=drawn)


def test_a_specification_that_scores_no_clip_has_no_row(run, given_scores):
    table = scores.table(without_stock(run))
    assert table["specification"].tolist() == ["rank"] * 4 + ["frame"] * 4
    assert given_scores == []


def test_a_table_without_stock_scores_holds_numbers(run, given_scores):
    table = artifacts.across([without_stock(run, drawn=1)], scores.table)
    assert table["score"].dtype == float
    assert all(table[name].dtype == int for name in ("recording", "label", "predicted", "explained"))
    assert scores.summary(table)["clips"].tolist() == [1, 4, 1, 4]


@pytest.mark.parametrize(
    ("explained", "scored", "expected"),
    [
        ("predicted", "explained", "predicted"),
        ("true", "explained", "labels"),
        ("predicted", "true", "labels"),
    ],
)
def test_the_class_that_is_scored(settings, stand_in, given_scores, given_effects, explained, scored, expected):
    classes = {"explained": explained, "scored": scored}
    run = study.open(profile="smoke", data=str(stand_in), metric_seed=next(SEEDS), **classes)
    maps = explainers.explanations(run)
    assert maps.labels[:2].tolist() != maps.predicted[:2].tolist()  # else this test says nothing
    table = scores.table(run)
    classes = getattr(maps, expected).tolist()
    assert [asked["class"] for asked in given_scores] == classes[:2]
    assert [asked["class"] for asked in given_effects.asked] == [
        classes[i] for i in (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3)
    ]
    assert part_of(table, "rank")["explained"].tolist() == maps.explained.tolist()


def test_stock_and_engine_are_computed_apart(run, given_scores, given_effects):
    assert scores.SCORES.get(run) == scores.SCORES.path(run)
    assert given_scores == []
    asked = len(given_effects.asked)
    assert scores.STOCK.get(run) == scores.STOCK.path(run)
    assert len(given_effects.asked) == asked == 14
    scores.table(run)
    assert (len(given_scores), len(given_effects.asked)) == (2, 14)


def test_the_network_is_made_ready_once_for_all_clips(run, given_scores, given_effects):
    scores.SCORES.get(run)
    assert len({id(asked["network"]) for asked in given_effects.asked}) == 1


def test_tables_of_several_runs_name_the_network(settings, stand_in, given_scores):
    names, given = ("resnet34", "resnet18"), {"data": str(stand_in), "metric_seed": next(SEEDS)}
    runs = [study.open(profile="smoke", architecture=name, **given) for name in names]
    table = artifacts.across(runs, scores.table)
    assert table["architecture"].tolist() == ["resnet34"] * 15 + ["resnet18"] * 16
    assert table["run"].unique().tolist() == [run.key for run in runs]
    assert table.index.tolist() == list(range(31))


# What comes in place of a block


def asked_for(effects: Effects, run: study.Run) -> dict[str, list]:
    """The baselines that were asked for, clip by clip, by specification, of clips with all four."""
    scores.SCORES.get(run)
    names = ("draws", "rank", "text", "frame")
    return {name: [asked["baseline"] for asked in effects.asked[k:12:4]] for k, name in enumerate(names)}


LABELS = np.arange(13 * 400).reshape(13, 400) // 13


def values_of(baseline: baselines.Baseline, x: np.ndarray) -> np.ndarray:
    return np.asarray(baseline.values(0, x, LABELS))


def test_the_engines_draws_are_those_of_quantus_baseline(run, given_effects):
    x = explainers.explanations(run).inputs[0, 0]
    black = run.with_(perturb_baseline="black")
    assert scores.SCORES.path(black) != scores.SCORES.path(run)
    found = asked_for(given_effects, black)
    assert [values_of(b, x).item() for b in found["draws"]] == [x.min()] * 3
    # of the engine's own specifications it is no part
    assert all(values_of(b, x).shape == (2, 1, 1) for name in ("rank", "text", "frame") for b in found[name])


def test_with_quantus_default_the_draws_are_the_clips_own(run, given_effects):
    x = explainers.explanations(run).inputs[0, 0]
    for i, baseline in enumerate(asked_for(given_effects, run)["draws"]):
        expected = baselines.Baseline.draws(1, seed=(run.metric_seed, i))
        np.testing.assert_array_equal(values_of(baseline, x), values_of(expected, x))


def test_each_clip_draws_its_own_values_from_the_training_inputs(run, given_effects, monkeypatch):
    read, own = [], representations.training
    monkeypatch.setattr(representations, "training", lambda run: read.append(1) or own(run))
    run = run.with_(baseline="marginal", draws=3)
    x, known = explainers.explanations(run).inputs[0, 0], own(run).inputs
    found = asked_for(given_effects, run)
    assert len(read) == 1
    for name in ("rank", "text", "frame"):
        for i, baseline in enumerate(found[name]):
            given = {"training": lambda: known, "draws": 3, "seed": run.metric_seed + i}
            expected = baselines.named("marginal", **given)
            np.testing.assert_array_equal(values_of(baseline, x), values_of(expected, x))
        assert (values_of(found[name][0], x) != values_of(found[name][1], x)).any()


# An interruption


def test_an_interrupted_call_goes_on_after_the_last_whole_clip(run, given_effects):
    maps = explainers.explanations(run)
    clips = [number_of(maps, i) for i in range(4)]
    given_effects.before = clips[2]
    with pytest.raises(KeyboardInterrupt):
        scores.SCORES.get(run)
    assert [asked["clip"] for asked in given_effects.asked] == [clips[i] for i in (0, 0, 0, 0, 1, 1, 1, 1)]
    given_effects.before, given_effects.asked = None, []
    first = scores.SCORES.get(run).read_bytes()
    assert [asked["clip"] for asked in given_effects.asked] == [clips[i] for i in (2, 2, 2, 2, 3, 3)]
    # the same bytes as without it
    scores.SCORES.path(run).unlink()
    assert scores.SCORES.get(run).read_bytes() == first
    assert len(given_effects.asked) == 6 + 14


def test_stock_quantus_goes_on_after_the_last_whole_clip_too(run, given_scores, monkeypatch):
    given, run = stock.quantus_scores, run.with_(stock_clips=3)

    def stop(*arguments, **options):
        if len(given_scores) == 2:
            raise KeyboardInterrupt
        return given(*arguments, **options)

    monkeypatch.setattr(stock, "quantus_scores", stop)
    with pytest.raises(KeyboardInterrupt):
        scores.STOCK.get(run)
    monkeypatch.setattr(stock, "quantus_scores", given)
    scores.STOCK.get(run)
    assert [asked["seed"] for asked in given_scores] == [(run.metric_seed, i) for i in range(3)]


def test_each_clip_has_a_file_of_its_own_until_all_are_there(run, given_effects):
    maps = explainers.explanations(run)
    given_effects.before = number_of(maps, 3)
    with pytest.raises(KeyboardInterrupt):
        scores.SCORES.get(run)
    (work,) = scores.SCORES.path(run).parent.glob(".scores*.work")
    parts = {path.name: pd.read_csv(path) for path in work.iterdir()}
    assert set(parts) == {"clip-0.csv", "clip-1.csv", "clip-2.csv"}
    assert parts["clip-2.csv"]["specification"].tolist() == ["draws", "rank", "text", "frame"]
    assert set(parts["clip-1.csv"]["clip"]) == {maps.clips[1]}
    given_effects.before = None
    scores.SCORES.get(run)
    assert not work.exists()


# Stock Quantus beside the engine


def test_stock_quantus_scores_a_tiny_run(run):
    # the real call, on two clips with one draw: a number from -1 to 1, or NaN with its reason
    table = part_of(scores.table(run), "quantus")
    assert len(table) == 2
    assert table["score"].dropna().between(-1, 1).all()
    assert table["status"].notna().all()


class Precise(nn.Module):
    """A float32 network computed in float64: what is left of a difference is not rounding."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.double())


def test_the_engine_with_quantus_draws_gives_quantus_score(run, monkeypatch):
    own = training.network
    explainers.explanations(run)  # by the network as it is
    monkeypatch.setattr(training, "network", lambda run: Precise(own(run)).eval())
    table = scores.agreement(artifacts.across([run], scores.table))
    assert len(table) == 2
    assert np.abs(table["draws"] - table["quantus"]).max() < 1e-9
    # with one draw the integral is another number: else this test says nothing
    assert (np.abs(table["rank"] - table["quantus"]) > 1e-4).all()
