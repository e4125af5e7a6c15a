"""Every combination of the open choices: each score is the one that its choices say."""

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
from helpers.networks import models
from tests.unit.conftest import build_tiny

NAN = float("nan")
SEEDS = itertools.count(1000)


# Which specifications


def test_all_values_of_each_choice_for_resnet18_and_few_for_deeper_networks(settings, stand_in):
    given = {"profile": "smoke", "data": str(stand_in)}
    whole = study.open(architecture="resnet18", **given)
    assert whole.layers == ("layer4[-1]", "layer4[-1].conv", "layer3[-1]", "layer2[-1]")
    assert whole.readings == ("predicted/explained", "predicted/true", "true/explained")
    assert whole.baselines == ("uniform", "zero", "mean", "neighbours", "marginal")
    assert list(specifications._baselines(whole, np.zeros((1, 1, 13, 400)), 0)) == list(whole.baselines)
    for architecture in [name for name in study.NETWORKS if name not in ("resnet18", "resnet1d")]:
        few = study.open(architecture=architecture, n_mfcc=40, **given)
        two = ("layer4[-1]", "layer3[-1]")
        assert few.layers == (two if architecture.startswith("resnet") else (study.NETWORKS[architecture],))
        assert (few.readings, few.baselines) == (("predicted/explained",), ("uniform",))


def test_each_reading_of_the_effect_is_counted_once():
    """The loss the other way round mirrors every score, and log-odds and probability rank the blocks alike."""
    assert specifications.EFFECTS == {
        "squared change of p": ("probability", 1),
        "loss before - after": ("cross-entropy", -1),
    }


# Answers that are kept


class Counted:
    """A prepared network that counts what it is asked."""

    def __init__(self, network) -> None:
        self.network, self.shape, self.narrow, self.batch = network, network.shape, network.narrow, network.batch
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
        shape, narrow, batch = (1, 1, 1), False, 1

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

COUNT = 5
AXES = study.Run(
    layers=("layer4[-1]", "layer3[-1]"),
    readings=("predicted/explained", "predicted/true", "true/explained"),
    baselines=("uniform", "zero"),
    curve_nulls=COUNT,
    features_in_step=13,
)
PAIRS = [tuple(reading.split("/")) for reading in AXES.readings]
CLASSES = {"predicted": 3, "true": 7}


def rows_of(run: study.Run, classes: dict[str, int], *, again: bool) -> pd.DataFrame:
    network, x = clip()
    return specifications.clip_scores(
        network,
        forward.prepare(network, shape=x.shape),
        x,
        classes,
        run=run,
        baselines=specifications._baselines(run, known(), 0),
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
    readout = {"squared change of p": "probability", "loss before - after": "cross-entropy"}[row["effect"]]
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
    assert len(rows) == 2 * 3 * 2 * (2 + 1)
    assert list(rows) == [*specifications.CHOICES, "score", "ceiling", *(f"null {k}" for k in range(COUNT))]
    assert not rows.duplicated(specifications.CHOICES).any()
    frame = itertools.product(AXES.layers, PAIRS, specifications.EFFECTS, ("frame",), AXES.baselines)
    rank = itertools.product(AXES.layers, PAIRS, specifications.EFFECTS, ("rank",), ("uniform",))
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
        ("layer3[-1]", "predicted", "true", "squared change of p", "frame", "zero"),
        ("layer4[-1]", "true", "explained", "loss before - after", "frame", "uniform"),
        ("layer4[-1]", "predicted", "explained", "squared change of p", "rank", "uniform"),
        ("layer3[-1]", "predicted", "true", "loss before - after", "rank", "uniform"),
        ("layer4[-1]", "true", "explained", "squared change of p", "rank", "uniform"),
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


@pytest.mark.parametrize(
    "choices",
    [
        ("layer3[-1]", "predicted", "true", "squared change of p", "frame", "uniform"),
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
        if k < AXES.rank_nulls:
            blocks = blocking.rank_blocks(map_)
            (expected,) = correlation.score(map_[None], direct_effects(row, blocks=blocks), blocks=blocks)
            assert row[f"null {k}"] == pytest.approx(expected, abs=1e-3)
        else:
            assert np.isnan(row[f"null {k}"])


def test_only_blocks_by_rank_have_few_random_maps(rows):
    null = rows.filter(like="null")
    assert null[rows["blocks"] == "frame"].notna().all(axis=None)
    assert (null[rows["blocks"] == "rank"].notna().sum(axis=1) == AXES.rank_nulls).all()


def test_a_clip_that_is_recognised_has_the_same_scores_for_either_class():
    run = AXES.model_copy(update={"layers": ("layer4[-1]",), "baselines": ("zero",)})
    rows = rows_of(run, {"predicted": 3, "true": 3}, again=False)
    assert rows["ceiling"].isna().all()
    numbers = ["score", *(f"null {k}" for k in range(COUNT))]
    first, *others = (part[numbers].to_numpy() for _, part in rows.groupby(["explained", "scored"]))
    assert len(others) == 2
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_baselines_and_what_they_are_measured_with_again():
    run = AXES.model_copy(update={"baselines": study.BASELINES})
    values, others = (specifications._baselines(run, known(), i) for i in (3, 4))
    own, other = values["marginal"], others["marginal"]
    x, labels = np.zeros((13, 400)), np.zeros((13, 400), dtype=int)
    drawn = [b.values(0, x, labels) for b in (own[0], own[1]["baseline"], other[0], other[1]["baseline"])]
    assert all(len(d) == 2 for d in drawn)
    # each clip and each measurement of it draws for itself
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(drawn, 2))
    assert len(values["uniform"][0].weights) == 2
    assert values["uniform"][1] == {"baseline": "uniform", "nodes": 3}
    assert [values[name][1] for name in ("zero", "neighbours", "mean")] == [None] * 3
    mean = values["mean"][0].values(0, x, labels).ravel()
    assert mean == pytest.approx(known().mean(axis=(0, 1, 3)), abs=1e-6)
    assert list(specifications._baselines(AXES, known(), 0)) == ["uniform", "zero"]


# The table of a run


@pytest.fixture
def run(run):
    """A run whose specifications no other test has computed."""
    return run.with_(curve_null_seed=next(SEEDS), ceiling_clips=3)


@pytest.fixture
def asked(monkeypatch):
    """Scores of our own; returns what was asked for, clip by clip."""
    calls = []

    def clip_scores(network, fast, x, classes, **options):
        if len(calls) == asked_until[0]:
            raise KeyboardInterrupt
        calls.append({"x": x, "classes": classes, "fast": fast, **options})
        first = float(options["random"].random())
        read = dict.fromkeys(specifications.CHOICES, "b") | {"layer": ["a", "b"], "ceiling": 1.0}
        return pd.DataFrame(read | {"score": [float(np.tanh(x.sum())), NAN], "null 0": first})

    asked_until = [None]
    monkeypatch.setattr(specifications, "clip_scores", clip_scores)
    return calls, asked_until


def test_the_table_has_the_rows_of_every_explained_clip(run, asked):
    table, maps = specifications.scores(run), explainers.explanations(run)
    calls, _ = asked
    assert list(table) == ["clip", "recording", *specifications.CHOICES, "ceiling", "score", "null 0"]
    assert table["clip"].tolist() == [name for name in maps.clips for _ in range(2)]
    assert table["recording"].tolist() == [number for number in maps.recordings for _ in range(2)]
    assert table["layer"].tolist() == ["a", "b"] * 4
    assert table["score"][::2].tolist() == pytest.approx(np.tanh(maps.inputs.sum(axis=(1, 2, 3))), abs=1e-4)
    for i, call in enumerate(calls):
        assert np.array_equal(call["x"], maps.inputs[i])
        assert call["classes"] == {"predicted": maps.predicted[i], "true": maps.labels[i]}
        assert call["again"] == (i < 3)
        assert (call["run"].layers, call["run"].readings) == (run.layers, run.readings)
        expected = np.random.default_rng((run.curve_null_seed, i)).random()
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
    read = ("explainer", "layers", "readings", "baselines", "control_clips", "features_in_step")
    read += ("curve_nulls", "curve_null_seed", "rank_nulls", "ceiling_clips")
    values = {name: getattr(run, name) for name in read}
    assert known["recipe"]["fields"] == {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}


def test_a_curve_of_other_layers_and_fewer_clips_is_another_table(run, asked):
    calls, _ = asked
    first = specifications.SPECIFICATIONS.get(run)
    fewer = run.with_(layers=("layer2[-1]",), control_clips=2)
    assert specifications.SPECIFICATIONS.get(fewer) != first
    assert [call["run"].layers for call in calls[4:]] == [("layer2[-1]",)] * 2
