"""Every combination of the open choices: each score is the one that its choices say."""

import dataclasses
import functools
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from torchvision.models.resnet import BasicBlock, ResNet

from helpers import artifacts, study
from helpers.audio import representations
from helpers.experiments import specifications
from helpers.maps import explainers, nulls
from helpers.metric import blocking, correlation, forward, perturbation
from helpers.networks import models, training
from tests.unit.conftest import build_tiny

NAN = float("nan")
LOSSES = ["loss after - before", "loss before - after"]
NETWORK, EXPLANATIONS = functools.cache(training.network), functools.cache(explainers.explanations)
DATASET = functools.cache(representations.dataset)


# Which specifications


def test_all_values_of_each_choice_for_resnet18_and_few_for_deeper_networks(settings, stand_in):
    given = {"profile": "smoke", "data": str(stand_in)}
    whole = specifications.axes(study.open(architecture="resnet18", **given))
    assert whole.layers == study.CHOICES["layer"]
    assert whole.pairs == (("predicted", "explained"), ("predicted", "true"), ("true", "explained"))
    assert whole.baselines == ("uniform", "zero", "mean", "neighbours", "marginal")
    assert set(whole.baselines) == set(specifications._baselines(np.zeros((1, 1, 13, 400)), 0))
    for architecture in study.ARCHITECTURES[1:]:
        few = specifications.axes(study.open(architecture=architecture, **given))
        assert few.layers == ("layer4[-1]", "layer3[-1]")
        assert (few.pairs, few.baselines) == ((("predicted", "explained"),), ("uniform",))


def test_every_read_out_of_the_engine_makes_an_effect():
    readouts = [readout for readout, _ in specifications.EFFECTS.values()]
    assert set(readouts) == set(perturbation.READOUTS)
    signs = {name: sign for name, (_, sign) in specifications.EFFECTS.items()}
    assert signs.pop("loss before - after") == -1
    assert set(signs.values()) == {1}


# Answers that are kept


class Counted:
    """A prepared network that counts what it is asked."""

    def __init__(self, network) -> None:
        self.network, self.shape, self.narrow = network, network.shape, network.narrow
        self.remembered, self.asked = 0, 0

    def remember(self, clip):
        self.remembered += 1
        return self.network.remember(clip)

    def logits(self, values, start):
        self.asked += len(values)
        return self.network.logits(values, start)


def tiny_network(shape: tuple[int, int, int]):
    return forward.prepare(build_tiny("resnet18", seed=0).eval(), shape=shape)


def windowed_network(shape: tuple[int, int, int]):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
        network.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    found = forward.prepare(network.eval(), shape=shape)
    assert found.narrow
    return found


@pytest.mark.parametrize("prepared", [tiny_network, windowed_network])
@pytest.mark.parametrize("blocks", ["frame", "rank"])
def test_kept_answers_give_the_same_effects_and_ask_once(prepared, blocks):
    shape = (1, 13, 48)
    x = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    network = prepared(shape)
    if blocks == "rank":
        blocks = blocking.rank_blocks(np.random.default_rng(1).random((13, 48)))
    counted = Counted(network)
    heard = specifications.Heard(counted)
    for number, (c, readout) in enumerate(itertools.product((3, 8), perturbation.READOUTS)):
        given = {"blocks": blocks, "readout": readout}
        expected = perturbation.effects(network, x, np.array([c]), **given)
        found = perturbation.effects(heard, x, np.array([c]), **given)
        assert np.array_equal(found, expected), (c, readout)
        if not number:
            first = counted.asked
    assert first == 2 * 48  # two nodes of each frame
    assert (counted.asked, counted.remembered) == (first, 1)


def test_answers_come_in_the_order_of_the_questions():
    class Numbers:
        shape, narrow = (1, 1, 1), False

        def __init__(self) -> None:
            self.last = 0

        def remember(self, clip):
            return clip[0]

        def logits(self, values, start):
            self.last += 1
            return self.last

    heard = specifications.Heard(Numbers())
    for asked, expected in ((2, [1, 2]), (1, [1]), (4, [1, 2, 3, 4]), (3, [1, 2, 3])):
        heard.remember(torch.zeros(1))
        assert [heard.logits(None, None) for _ in range(asked)] == expected


# The scores of one clip

AXES = specifications.Axes(
    layers=("layer4[-1]", "layer3[-1]"),
    pairs=(("predicted", "explained"), ("predicted", "true"), ("true", "explained")),
    baselines=("uniform", "zero"),
)
CLASSES = {"predicted": 3, "true": 7}
COUNT = 5


def rows_of(axes: specifications.Axes, classes: dict[str, int], *, again: bool) -> pd.DataFrame:
    network, x = clip()
    return specifications.clip_scores(
        network,
        forward.prepare(network, shape=x.shape),
        x,
        classes,
        axes=axes,
        baselines=specifications._baselines(known(), 0),
        count=COUNT,
        again=again,
        random=np.random.default_rng(4),
    )


@functools.cache
def clip():
    """A network and what it hears."""
    network = build_tiny("resnet18", seed=0).eval()
    return network, np.random.default_rng(2).normal(0, 3, size=(1, 13, 400)).astype(np.float32)


def known() -> np.ndarray:
    """Inputs that a network was trained on."""
    return np.random.default_rng(3).standard_normal((5, 1, 13, 400)).astype(np.float32)


@pytest.fixture(scope="module")
def rows():
    return rows_of(AXES, CLASSES, again=True)


@functools.cache
def map_of(layer: str, c: int) -> np.ndarray:
    network, x = clip()
    (found,) = explainers.maps(network, x[None], layer=models.layer(network, layer), classes=np.array([c]))
    return found


def direct_effects(row: dict, *, nodes: int = 2, blocks=None, c: int | None = None) -> np.ndarray:
    """What the network does when blocks change, as a row's choices say; (1, blocks)."""
    network, x = clip()
    explained = CLASSES[row["explained"]]
    scored = explained if row["scored"] == "explained" else CLASSES[row["scored"]]
    if blocks is None and row["blocks"] == "rank":
        blocks = blocking.rank_blocks(map_of(row["layer"], explained))
    readout = {
        "squared change of p": "probability",
        "squared change of the log-odds": "log-odds",
        "loss after - before": "cross-entropy",
        "loss before - after": "cross-entropy",
    }[row["effect"]]
    found = perturbation.effects(
        network,
        x[None],
        np.array([scored]),
        blocks="frame" if blocks is None else blocks,
        baseline=row["baseline"],
        nodes=nodes,
        readout=readout,
    )
    return -found if row["effect"] == "loss before - after" else found


def test_there_is_one_row_per_combination(rows):
    # layers x pairs x effects x (baselines with a block per frame, and blocks by rank)
    assert len(rows) == 2 * 3 * 4 * (2 + 1)
    assert list(rows) == [*specifications.CHOICES, "score", "ceiling", *(f"null {k}" for k in range(COUNT))]
    assert not rows.duplicated(specifications.CHOICES).any()
    frame = itertools.product(AXES.layers, AXES.pairs, specifications.EFFECTS, ("frame",), AXES.baselines)
    rank = itertools.product(AXES.layers, AXES.pairs, specifications.EFFECTS, ("rank",), ("uniform",))
    expected = {(layer, *pair, *others) for layer, pair, *others in (*frame, *rank)}
    assert set(map(tuple, rows[specifications.CHOICES].to_numpy())) == expected
    assert rows["score"].between(-1, 1).all()


def row_of(rows: pd.DataFrame, *choices: str) -> dict:
    wanted = dict(zip(specifications.CHOICES, choices, strict=True))
    (found,) = rows[(rows[specifications.CHOICES] == pd.Series(wanted)).all(axis=1)].to_dict("records")
    return found


@pytest.mark.parametrize(
    "choices",
    [
        ("layer4[-1]", "predicted", "explained", "squared change of p", "frame", "uniform"),
        ("layer3[-1]", "predicted", "true", "squared change of the log-odds", "frame", "zero"),
        ("layer4[-1]", "true", "explained", "loss before - after", "frame", "uniform"),
        ("layer4[-1]", "predicted", "explained", "squared change of p", "rank", "uniform"),
        ("layer3[-1]", "predicted", "true", "loss before - after", "rank", "uniform"),
        ("layer4[-1]", "true", "explained", "squared change of the log-odds", "rank", "uniform"),
    ],
)
def test_a_score_is_the_engines_for_its_choices(rows, choices):
    row = row_of(rows, *choices)
    own = map_of(row["layer"], CLASSES[row["explained"]])
    blocks = blocking.rank_blocks(own) if row["blocks"] == "rank" else "frame"
    (expected,) = correlation.score(own[None], direct_effects(row), blocks=blocks)
    assert row["score"] == pytest.approx(expected, abs=1e-3)
    # other choices would give another number: else this test says little
    scores = rows.loc[(rows["blocks"] == row["blocks"]) & (rows["effect"] == row["effect"]), "score"]
    assert (np.abs(scores - row["score"]) > 5e-3).sum() >= 2


def test_the_loss_the_other_way_round_has_the_opposite_score(rows):
    columns = ["score", *(f"null {k}" for k in range(COUNT))]
    after, before = (rows[rows["effect"] == name][columns].to_numpy() for name in LOSSES)
    assert len(after) == 2 * 3 * 3
    np.testing.assert_allclose(after, -before, rtol=0, atol=1e-12)
    assert np.abs(after[:, 0]).max() > 1e-3
    ceilings = (rows[rows["effect"] == name]["ceiling"].to_numpy() for name in LOSSES)
    np.testing.assert_allclose(*ceilings, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "choices",
    [
        ("layer3[-1]", "predicted", "true", "squared change of the log-odds", "frame", "uniform"),
        ("layer4[-1]", "true", "explained", "squared change of p", "rank", "uniform"),
    ],
)
def test_the_ceiling_is_the_agreement_with_effects_at_three_nodes(rows, choices):
    row = row_of(rows, *choices)
    expected = spearmanr(direct_effects(row)[0], direct_effects(row, nodes=3)[0]).statistic
    assert row["ceiling"] == pytest.approx(expected, abs=1e-3)


def test_what_is_not_drawn_has_the_ceiling_one(rows):
    frame = rows[rows["baseline"] == "zero"]
    assert frame["ceiling"].to_numpy() == pytest.approx(1)
    assert (rows.loc[rows["baseline"] == "uniform", "ceiling"] < 1).any()


def test_random_maps_are_of_the_layers_shape_and_held_against_the_rows_effects(rows):
    random = np.random.default_rng(4)
    # the shapes in order, one row of 25 nodes and two of 50
    blind = {
        layer: nulls.random_nodes(shape, count=COUNT, random=random, size=(13, 400))
        for layer, shape in (("layer4[-1]", (1, 25)), ("layer3[-1]", (2, 50)))
    }
    row = row_of(rows, "layer3[-1]", "predicted", "true", "squared change of p", "frame", "zero")
    expected = correlation.score(blind["layer3[-1]"], direct_effects(row))
    assert [row[f"null {k}"] for k in range(COUNT)] == pytest.approx(expected, abs=1e-3)
    row = row_of(rows, "layer4[-1]", "true", "explained", "loss before - after", "rank", "uniform")
    for k, map_ in enumerate(blind["layer4[-1]"]):
        if k < specifications.RANK_NULLS:
            blocks = blocking.rank_blocks(map_)
            (expected,) = correlation.score(map_[None], direct_effects(row, blocks=blocks), blocks=blocks)
            assert row[f"null {k}"] == pytest.approx(expected, abs=1e-3)
        else:
            assert np.isnan(row[f"null {k}"])


def test_only_blocks_by_rank_have_few_random_maps(rows):
    null = rows.filter(like="null")
    assert null[rows["blocks"] == "frame"].notna().all(axis=None)
    assert (null[rows["blocks"] == "rank"].notna().sum(axis=1) == specifications.RANK_NULLS).all()


def test_a_clip_that_is_recognised_has_the_same_scores_for_either_class():
    axes = dataclasses.replace(AXES, layers=("layer4[-1]",), baselines=("zero",))
    rows = rows_of(axes, {"predicted": 3, "true": 3}, again=False)
    assert rows["ceiling"].isna().all()
    numbers = ["score", *(f"null {k}" for k in range(COUNT))]
    first, *others = (part[numbers].to_numpy() for _, part in rows.groupby(["explained", "scored"]))
    assert len(others) == 2
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_baselines_and_what_they_are_measured_with_again():
    values = specifications._baselines(known(), 3)
    own, other = values["marginal"], specifications._baselines(known(), 4)["marginal"]
    x, labels = np.zeros((13, 400)), np.zeros((13, 400), dtype=int)
    drawn = [b.values(0, x, labels) for b in (own[0], own[1]["baseline"], other[0], other[1]["baseline"])]
    assert all(len(d) == 2 for d in drawn)
    # each clip and each measurement of it draws for itself
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(drawn, 2))
    assert values["uniform"] == ("uniform", {"baseline": "uniform", "nodes": 3})
    assert (values["zero"], values["neighbours"]) == (("zero", None), ("neighbours", None))
    mean, again = values["mean"]
    assert again is None
    assert mean.values(0, x, labels).ravel() == pytest.approx(known().mean(axis=(0, 1, 3)), abs=1e-6)


# The table of a run


@pytest.fixture
def loaded_once(monkeypatch):
    """Networks, maps and features are loaded once for all tests; made and checked they are in other files."""
    monkeypatch.setattr(training, "network", NETWORK)
    monkeypatch.setattr(explainers, "explanations", EXPLANATIONS)
    monkeypatch.setattr(representations, "dataset", DATASET)


@pytest.fixture
def asked(run, loaded_once, monkeypatch):
    """Scores of our own; returns what was asked for, clip by clip."""
    calls = []

    def clip_scores(network, fast, x, classes, **options):
        if len(calls) == asked_until[0]:
            raise KeyboardInterrupt
        calls.append({"x": x, "classes": classes, "fast": fast, **options})
        first = float(options["random"].random())
        return pd.DataFrame({"layer": ["a", "b"], "score": [float(x.sum()), NAN], "null 0": first})

    asked_until = [None]
    monkeypatch.setattr(specifications, "clip_scores", clip_scores)
    monkeypatch.setattr(specifications, "CEILING_CLIPS", 3)
    for path in (
        specifications.SPECIFICATIONS.path(run),
        artifacts.record_path(specifications.SPECIFICATIONS.path(run)),
    ):
        path.unlink(missing_ok=True)
    return calls, asked_until


def test_the_table_has_the_rows_of_every_explained_clip(run, asked):
    table, maps = specifications.scores(run), explainers.explanations(run)
    calls, _ = asked
    assert list(table) == ["clip", "recording", "layer", "score", "null 0"]
    assert table["clip"].tolist() == [name for name in maps.clips for _ in range(2)]
    assert table["recording"].tolist() == [number for number in maps.recordings for _ in range(2)]
    assert table["layer"].tolist() == ["a", "b"] * 4
    assert table["score"][::2].tolist() == pytest.approx(maps.inputs.sum(axis=(1, 2, 3)), rel=1e-4)
    for i, call in enumerate(calls):
        assert np.array_equal(call["x"], maps.inputs[i])
        assert call["classes"] == {"predicted": maps.predicted[i], "true": maps.labels[i]}
        assert (call["again"], call["count"]) == (i < 3, 20)
        assert call["axes"] == specifications.axes(run)
        expected = np.random.default_rng((specifications.NULL_SEED, i)).random()
        assert table["null 0"][2 * i] == pytest.approx(expected, abs=1e-5)
        mean, _ = call["baselines"]["mean"]
        training_mean = representations.training(run).inputs.mean(axis=(0, 1, 3))
        assert mean.values(0, None, None).ravel() == pytest.approx(training_mean, rel=1e-4)
    assert len({id(call["fast"]) for call in calls}) == 1


def test_a_table_is_made_once_and_goes_on_after_an_interruption(run, asked):
    calls, until = asked
    until[0] = 2
    with pytest.raises(KeyboardInterrupt):
        specifications.SPECIFICATIONS.get(run)
    assert len(calls) == 2
    until[0] = None
    calls.clear()
    first = specifications.scores(run)
    maps = explainers.explanations(run)
    assert [float(call["x"].sum()) for call in calls] == [float(x.sum()) for x in maps.inputs[2:]]
    pd.testing.assert_frame_equal(specifications.scores(run), first)
    assert len(calls) == 2
    # the same bytes as without the interruption
    path = specifications.SPECIFICATIONS.path(run)
    before = path.read_bytes()
    path.unlink()
    assert specifications.SPECIFICATIONS.get(run).read_bytes() == before
    assert len(calls) == 6


def test_the_record_says_which_choices_and_how_many_clips(run, asked):
    known = artifacts.record(specifications.SPECIFICATIONS.get(run))
    assert (known["made"]["clips"], known["made"]["data"]) == (4, "synthetic stand-in")
    axes = specifications.axes(run)
    assert known["recipe"]["fields"] == {
        "layers": list(axes.layers),
        "pairs": [list(pair) for pair in axes.pairs],
        "baselines": list(axes.baselines),
        "nulls": 20,
        "control_clips": 4,
    }


@pytest.mark.parametrize(("null_maps", "count"), [(1000, 20), (7, 7)])
def test_at_most_twenty_random_maps_are_scored(run, asked, null_maps, count):
    profile = dataclasses.replace(run.profile, null_maps=null_maps)
    specifications.make(dataclasses.replace(run, profile=profile))
    calls, _ = asked
    assert {call["count"] for call in calls} == {count}
