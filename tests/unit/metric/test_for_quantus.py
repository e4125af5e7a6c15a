"""What a user of Quantus gets by changing one import: the same numbers, without the faults."""

import copy
import gc
import itertools
import warnings
import weakref

import numpy as np
import pytest
import quantus
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from quantus.functions.similarity_func import correlation_kendall_tau, correlation_pearson, distance_euclidean
from torch import nn

from benchmarks import bench
from helpers import InputError
from helpers.metric import blocking, correlation, forward, perturbation
from helpers.metric.for_quantus import MonotonicityCorrelation
from helpers.networks import models
from tests.unit.metric.probes import Precise, example

STOCK = quantus.MonotonicityCorrelation
DRAWN = {"points": None}
pytestmark = [
    # Quantus warns of draws near the old value, of softmax layers, and divides 0 by 0
    pytest.mark.filterwarnings("ignore:The settings for perturbing:UserWarning"),
    pytest.mark.filterwarnings("ignore:The combination of the value:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*invalid value encountered:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:An input array is constant"),
]


def network_of(*layers, seed=0):
    """Seeded float32 weights, computed in float64, so that the order of additions does not show."""
    torch.manual_seed(seed)
    return Precise(nn.Sequential(*(layer() for layer in layers))).eval()


KINDS = {  # layers, shape of an input, a step that divides its cells
    "image": ((lambda: nn.Conv2d(1, 4, 3, 3), nn.ReLU, nn.Flatten, lambda: nn.Linear(324, 5)), (1, 28, 28), 28),
    "colour": ((lambda: nn.Conv2d(3, 4, 3, 2), nn.ReLU, nn.Flatten, lambda: nn.Linear(100, 5)), (3, 12, 12), 12),
    "signal": (
        (lambda: nn.Conv1d(3, 4, 5), nn.ReLU, lambda: nn.AdaptiveAvgPool1d(6), nn.Flatten, lambda: nn.Linear(24, 5)),
        (3, 48),
        6,
    ),
    "table": ((lambda: nn.Linear(24, 5),), (24,), 1),
}


def case(kind, *, clips=3, seed=0, whole=True):
    """Network, inputs, classes, maps without ties, and a step; not `whole`: a map for one channel."""
    layers, shape, step = KINDS[kind]
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(clips, *shape)).astype(np.float32)
    maps = random.permuted(np.tile(np.arange(1.0, np.prod(shape) + 1), (clips, 1)), axis=1).reshape(inputs.shape)
    return network_of(*layers), inputs, random.integers(5, size=clips), maps if whole else maps[:, :1], step


def scores(metric, network, x, y, maps, *, seed=0, call=None, **options):
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        made = metric(**{"nr_samples": 3, "disable_warnings": True} | options)
        return made(model=network, x_batch=x, y_batch=y, a_batch=maps, **{"channel_first": True} | (call or {}))
    finally:
        np.random.set_state(state)  # noqa: NPY002


def both(*given, ours=None, **options):
    found = scores(MonotonicityCorrelation, *given, **options, **(DRAWN if ours is None else ours))
    return found, scores(STOCK, *given, **options)


# By hand


class Softmax(nn.Module):
    """Two classes; the first has log-odds w x, a plain linear softmax classifier of four pixels."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float64))

    def forward(self, x):
        odds = x.flatten(1) @ self.weight
        return torch.stack([odds, torch.zeros_like(odds)], 1)


# All pixels are 0, so that p = 1/2, and pixel j becomes u: p' - p = tanh(w_j u / 2) / 2, whose square grows with |w_j|.
# |w| = 3, 1, 2, 4 is the order of the effects: ranks 3, 1, 2, 4.
PIXELS, WEIGHT = np.zeros((1, 1, 2, 2)), [3.0, -1.0, 2.0, -4.0]


@pytest.mark.parametrize(
    ("map_", "expected"),
    [
        ([3, 1, 2, 4], 1.0),
        ([-30, 10, 20, -40], 1.0),  # absolute values, whatever their size
        ([2, 4, 3, 1], -1.0),
        ([1, 2, 3, 4], 1 - 6 * (4 + 1 + 1 + 0) / 60),  # 1 - 6 sum d^2 / (n (n^2 - 1)), d = 2, 1, 1, 0
        ([4, 3, 2, 1], 1 - 6 * (1 + 4 + 0 + 9) / 60),
    ],
)
def test_four_pixels_on_paper(map_, expected):
    maps = np.array(map_, dtype=float).reshape(1, 2, 2)
    for points, softmax in itertools.product((1, 2, 5), (True, False)):
        found = scores(
            MonotonicityCorrelation, Softmax(WEIGHT).eval(), PIXELS, [0], maps, points=points, call={"softmax": softmax}
        )
        assert found == pytest.approx([expected])


def test_the_effect_is_the_mean_square_by_quadrature():
    # logits: the mean of (w u)^2 over [0, 1) is w^2 / 3, and of [1, 3) 13 w^2 / 3; the logit is 0, so nothing divides
    seen = []

    def similarity(a, b, batched):
        seen.append((a, b))
        return np.zeros(len(a))

    options = {"similarity_func": similarity, "call": {"softmax": False}}
    maps = np.array([4.0, 3, 2, 1]).reshape(1, 2, 2)
    for bounds, factor in ({}, 1 / 3), ({"uniform_low": 1.0, "uniform_high": 3.0}, 13 / 3):
        network = Softmax(WEIGHT).eval()
        scores(MonotonicityCorrelation, network, PIXELS, [0], maps, perturb_func_kwargs=bounds, **options)
        given_, effects = seen[-1]
        np.testing.assert_allclose(given_, [[0.25, 0.5, 0.75, 1]])  # weakest first, divided by the map's maximum
        np.testing.assert_allclose(effects, factor * np.array([[16.0, 4, 1, 9]]), rtol=1e-12)


def test_ties_follow_each_other_row_by_row():
    # blocks of two: {0, 1} and {2, 3}; the first has the larger effect, the map gives the second more
    maps, network = np.array([1.0, 1, 1, 2]).reshape(1, 2, 2), Softmax([3.0, 3, 1, 1]).eval()
    assert scores(MonotonicityCorrelation, network, PIXELS, [0], maps, features_in_step=2) == [-1.0]


# The same number as Quantus


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("softmax", [True, False])
def test_with_quantus_draws_the_score_is_quantus_score(kind, softmax):
    *given, step = case(kind)
    found, stock = both(*given, features_in_step=step, call={"softmax": softmax})
    np.testing.assert_allclose(found, stock, atol=1e-9)
    assert len(set(np.round(found, 6))) == 3


@pytest.mark.parametrize("channel", [slice(0, 1), 0])
def test_a_map_for_one_channel_counts_for_each(channel):
    network, x, y, maps, step = case("colour")  # 12 cells are the three channels of 4 places: no block cuts a tie
    found, stock = both(network, x, y, maps[:, channel], features_in_step=step)
    np.testing.assert_allclose(found, stock, atol=1e-9)
    # blocks that cut ties are Quantus' if numpy orders them
    found, stock = both(network, x, y, maps[:, channel], features_in_step=8, ours=DRAWN | {"order": "stock"})
    np.testing.assert_allclose(found, stock, atol=1e-9)


@pytest.mark.parametrize("perturb_baseline", ["black", "white", "mean", "Uniform", 0.25, 2])
def test_every_baseline_is_quantus_own(perturb_baseline):
    *given, step = case("signal")
    bounds = {"uniform_low": -2.0, "uniform_high": 3.0}
    options = {"features_in_step": step, "perturb_baseline": perturb_baseline, "perturb_func_kwargs": bounds}
    found, stock = both(*given, **options)
    np.testing.assert_allclose(found, stock, atol=1e-9)
    if perturb_baseline != "Uniform":  # nothing is random
        np.testing.assert_allclose(scores(MonotonicityCorrelation, *given, **options), stock, atol=1e-9)


def test_a_baseline_per_cell_of_a_block_is_quantus_own():
    network, x, y, maps, step = case("signal")
    values = np.random.default_rng(1).normal(size=(3, step))
    options = {"features_in_step": step, "perturb_baseline": values}
    np.testing.assert_allclose(*both(network, x, y, maps, **options, ours={}), atol=1e-9)


def noise(arr, indices, perturb_baseline, *, size):
    """Another change: noise on a block's cells."""
    arr = arr.copy()
    arr[np.arange(len(arr))[:, None], indices] += np.random.normal(0, size, size=indices.shape)  # noqa: NPY002
    return arr


def test_another_change_is_called_as_quantus_calls_it():
    *given, step = case("image")
    options = {"features_in_step": step, "perturb_func": noise, "perturb_func_kwargs": {"size": 0.5}}
    found, stock = both(*given, **options, ours={})
    np.testing.assert_allclose(found, stock, atol=1e-9)


@pytest.mark.parametrize("similarity", [correlation_pearson, correlation_kendall_tau, distance_euclidean])
def test_another_similarity_is_given_what_quantus_gives_it(similarity):
    *given, step = case("image")

    def measured(a, b, **options):
        if similarity is distance_euclidean:  # which sees the factor 1/p^2
            return np.array([similarity(*pair) for pair in zip(a, b, strict=True)])
        return similarity(a, b, **options)

    # every map has the same maximum, by which Quantus divides all
    for eps in (1e-5, 0.3):
        options = {"features_in_step": step, "similarity_func": measured, "eps": eps}
        expected = [scores(STOCK, given[0], *(v[[i]] for v in given[1:]), **options)[0] for i in range(3)]
        found = [
            scores(MonotonicityCorrelation, given[0], *(v[[i]] for v in given[1:]), **options, **DRAWN)[0]
            for i in range(3)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"abs": False},
        {"normalise": False},
        {"abs": False, "normalise_func": np.sinh, "normalise_func_kwargs": {"dtype": np.longdouble}},
        {"normalise_func_kwargs": {"normalise_axes": [1, 2, 3]}},
        {"return_aggregate": True},
        {"return_aggregate": True, "aggregate_func": np.max},
        {"nr_samples": 7},
        {"display_progressbar": True, "default_plot_func": print},
    ],
)
def test_every_other_option_is_quantus_own(options):
    network, x, y, maps, step = case("image")
    found, stock = both(network, x, y, maps - 300.25, features_in_step=step, **options)
    np.testing.assert_allclose(found, stock, atol=1e-9)
    assert len(found) == (1 if "return_aggregate" in options else 3)


@pytest.mark.parametrize(
    "call",
    [
        {"channel_first": None},
        {"batch_size": 2},
        {"custom_batch": [1, 2, 3], "s_batch": np.ones((3, 1, 28, 28))},
        {"model_predict_kwargs": {"factor": 3.0}, "softmax": False},
        {"device": "cpu"},
    ],
)
def test_every_option_of_the_call_is_quantus_own(call):
    class Scaled(Precise):
        def forward(self, x, factor=1.0):
            return factor * super().forward(x)

    network, *given, step = case("image")
    network = Scaled(network.network).eval()
    np.testing.assert_allclose(*both(network, *given, features_in_step=step, call=call), atol=1e-9)
    if "model_predict_kwargs" in call:  # with a softmax, before which Quantus loses them
        call = call | {"softmax": True}
        with pytest.raises(TypeError, match="unexpected keyword argument 'factor'"):
            scores(STOCK, network, *given, features_in_step=step, call=call)
        plain = scores(MonotonicityCorrelation, network, *given, features_in_step=step)
        assert plain != scores(MonotonicityCorrelation, network, *given, features_in_step=step, call=call)


def test_the_network_makes_the_maps_where_none_are_given():
    network, x, y, _, step = case("image")

    def gradient(model, inputs, targets, **_):
        values = torch.tensor(inputs, requires_grad=True)
        model(values)[np.arange(len(values)), targets].sum().backward()
        return values.grad.numpy().sum(axis=1)

    call, options = {"explain_func": gradient}, DRAWN | {"order": "stock"}  # what the network does not see is tied
    found, stock = both(network, x, y, None, features_in_step=step, call=call, ours=options)
    np.testing.assert_allclose(found, stock, atol=1e-9)
    given = scores(MonotonicityCorrelation, network, x, y, gradient(network, x, y), features_in_step=step, **options)
    np.testing.assert_allclose(found, given, atol=1e-9)


@pytest.mark.parametrize("softmax", [True, False])
def test_a_softmax_of_the_networks_own_is_kept_or_removed(softmax):
    network, *given, step = case("image")
    ends = nn.Sequential(*copy.deepcopy(network.network), nn.Softmax(-1)).eval().float()
    found, stock = both(ends, *given, features_in_step=step, call={"softmax": softmax})
    np.testing.assert_allclose(found, stock, atol=5e-3)  # Quantus reads float32
    plain = scores(MonotonicityCorrelation, network, *given, features_in_step=step, call={"softmax": softmax}, **DRAWN)
    np.testing.assert_allclose(found, plain, atol=5e-3)
    nested = nn.Sequential(nn.Sequential(*ends)).eval()
    again = scores(MonotonicityCorrelation, nested, *given, features_in_step=step, call={"softmax": softmax}, **DRAWN)
    np.testing.assert_allclose(again, found, atol=1e-9)
    assert isinstance(ends[-1], nn.Softmax)


def test_many_draws_tend_to_the_quadrature():
    network, x, y, maps, step = case("image")
    expected = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step, points=20)
    options = [DRAWN | {"nr_samples": 1}, DRAWN | {"nr_samples": 300}, {"points": 2}]
    one, many, two_points = (
        np.abs(
            np.subtract(scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step, **given_), expected)
        ).max()
        for given_ in options
    )
    assert two_points < 0.02
    assert many < 0.03
    assert one > 0.05


def test_quantus_evaluate_takes_the_class():
    network, x, y, maps, step = case("image")
    metrics = {"ours": MonotonicityCorrelation(features_in_step=step, disable_warnings=True)}
    given = {"model": network, "x_batch": x, "y_batch": y, "agg_func": np.mean, "explain_func_kwargs": {}}
    found = quantus.evaluate(metrics, {"ranks": maps}, **given)
    expected = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
    assert found["ranks"]["ours"] == pytest.approx(np.mean(expected))
    assert isinstance(metrics["ours"], STOCK)
    assert metrics["ours"].all_evaluation_scores == pytest.approx(expected)
    assert metrics["ours"].get_params["points"] == 2


# The engine inside


def test_a_resnet_of_one_channel_takes_the_engine_and_its_windows(monkeypatch):
    network, (x, y, maps) = models.build("resnet18", seed=0).eval(), example(2, columns=40)
    windowed, asked = forward.Windowed.logits, []
    monkeypatch.setattr(forward.Windowed, "logits", lambda *given_: asked.append(1) or windowed(*given_))
    found = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=13)
    assert asked
    blocks = blocking.rank_blocks(maps)
    effects = perturbation.effects(network, x, y, blocks=blocks)
    np.testing.assert_allclose(found, correlation.score(maps, effects, blocks=blocks), atol=1e-6)
    # the network as it is, and all else from Quantus' own functions
    hidden = nn.Sequential(network).eval()
    plain = scores(MonotonicityCorrelation, hidden, x, y, maps, features_in_step=13)
    np.testing.assert_allclose(found, plain, atol=0.02)


def test_the_bench_times_both_classes_on_the_same_draws(monkeypatch, capsys):
    monkeypatch.setattr(bench, "results", {})
    monkeypatch.setattr(bench, "best_threads", lambda work: 1)
    bench.swap(count=2, draws=1, rounds=1)
    found = bench.results
    assert found["swap_speedup"] == pytest.approx(found["swap_stock_s"] / found["swap_s"])
    assert found["swap_drawn_speedup"] == pytest.approx(found["swap_stock_s"] / found["swap_drawn_s"])
    assert found["swap_difference"] < 1e-3
    assert len(capsys.readouterr().out.splitlines()) == len(found) == 6


# What a score does not depend on


@pytest.mark.parametrize("kind", KINDS)
def test_no_score_depends_on_order_batch_or_seed(kind):
    network, x, y, maps, step = case(kind, clips=5)
    maps[2] *= 1000
    expected = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
    order = np.array([3, 1, 4, 0, 2])
    found = scores(
        MonotonicityCorrelation, network, x[order], y[order], maps[order], features_in_step=step, seed=1,
        call={"batch_size": 2},
    )  # fmt: skip
    np.testing.assert_allclose(found, np.array(expected)[order], atol=1e-9)
    alone = scores(MonotonicityCorrelation, network, x[:1], y[:1], maps[:1], features_in_step=step)
    assert alone == pytest.approx(expected[:1])


@given(
    maps=arrays(np.float64, (1, 6, 6), elements=st.integers(-9, 9).map(float)),
    scale=st.sampled_from([1e-3, 0.5, 7, 4e5]),
)
@settings(max_examples=25, deadline=None)
def test_the_scale_of_a_map_changes_no_score(maps, scale):
    x = np.random.default_rng(0).normal(size=(1, 1, 6, 6))
    network = Softmax(np.linspace(-1, 1, 36)).eval()
    for options in ({}, {"abs": False}, {"normalise": False}):
        found, again = (
            scores(MonotonicityCorrelation, network, x, [0], m, features_in_step=3, **options)
            for m in (maps, maps * scale)
        )
        np.testing.assert_allclose(found, again, atol=1e-12)


# The faults


def test_a_small_probability_stops_no_batch():
    network, x, y, maps, step = case("image")
    network.network[-1].bias.data[y[0]] = -40
    with pytest.raises(ValueError, match="NumPy boolean array indexing"):
        scores(STOCK, network, x, y, maps, features_in_step=step)
    found = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
    alone = [
        scores(MonotonicityCorrelation, network, x[[i]], y[[i]], maps[[i]], features_in_step=step)[0] for i in range(3)
    ]
    np.testing.assert_allclose(found, alone, atol=1e-9)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, "one cell"])
def test_a_map_without_order_has_no_score_wherever_it_stands(place, value):
    network, x, y, maps, step = case("image")
    expected = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
    if value == "one cell":
        maps[place, 0, 5, 5] = np.nan
    else:
        maps[place] = value
    found = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
    expected[place] = np.nan
    np.testing.assert_allclose(found, expected, atol=1e-9)
    alone = scores(MonotonicityCorrelation, network, x[[place]], y[[place]], maps[[place]], features_in_step=step)
    assert np.isnan(alone).all()


def test_quantus_itself_stops_at_such_maps_or_loses_all():
    network, x, y, maps, step = case("image")
    broken = maps.copy()
    broken[0, 0, 5, 5] = np.nan
    assert np.isnan(scores(STOCK, network, x, y, broken, features_in_step=step)).all()
    with pytest.raises(AssertionError, match="all equal to zero"):
        scores(STOCK, network, x[:1], y[:1], 0 * maps[:1], features_in_step=step)
    with pytest.raises(AssertionError, match="should not all be less than zero"):
        scores(STOCK, network, x, y, -maps, features_in_step=step)


def test_a_negative_map_is_scored_as_among_others():
    network, x, y, maps, step = case("image")
    found = scores(MonotonicityCorrelation, network, x, y, -maps, features_in_step=step)
    assert found == scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)


def test_an_input_that_is_not_finite_has_no_score_and_spoils_none():
    for kind, network in (("image", None), ("image", models.build("resnet18", seed=0).eval())):
        own, x, y, maps, step = case(kind, clips=2)
        network = network or own
        expected = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
        x[1, 0, 3, 3] = np.nan
        found = scores(MonotonicityCorrelation, network, x, y, maps, features_in_step=step)
        assert found[0] == pytest.approx(expected[0], abs=1e-6)
        assert np.isnan(found[1])


def test_a_clip_without_effects_has_no_score_and_a_sure_network_has_effects():
    maps = np.array([4.0, 3, 2, 1]).reshape(1, 2, 2)
    found = scores(MonotonicityCorrelation, Softmax([0.0] * 4).eval(), PIXELS, [0], maps)
    assert np.isnan(found).all()
    # p is 1 - e^-25, which float32 rounds to 1
    sure = Softmax([25.0, 1, 2, 3]).eval()
    x = np.array([1.0, 0, 0, 0]).reshape(1, 1, 2, 2)
    with pytest.raises(AttributeError, match="no attribute 'shape'"):
        scores(STOCK, sure.float(), x, np.array([0]), maps, perturb_baseline=0.9)
    found = scores(MonotonicityCorrelation, sure.double(), x, [0], maps, perturb_baseline=0.9)
    assert np.isfinite(found).all()


def test_ties_have_one_order_whatever_the_processor():
    network, x, y, _, step = case("image")
    few = np.repeat(np.random.default_rng(0).random((3, 1, 1, 28)), 28, axis=2)  # ties in each column
    rounded = few * (1 + 1e-7 * np.random.default_rng(1).random((3, 1, 28, 28)))
    found = scores(MonotonicityCorrelation, network, x, y, few, features_in_step=step - 8 + 1)
    assert found == scores(MonotonicityCorrelation, network, x, y, rounded, features_in_step=step - 8 + 1)
    stock = [scores(STOCK, network, x, y, m, features_in_step=14) for m in (few, rounded)]
    assert stock[0] != stock[1]


def test_a_step_may_leave_a_rest():
    maps = np.array([1.0, 2, 4, 3]).reshape(1, 2, 2)
    # blocks {0, 1, 3} and {2}: the map gives 6 and 4, the effects are those of 3 + 1 + 1 and 2
    network = Softmax([3.0, 1, 2, 1]).eval()
    assert scores(MonotonicityCorrelation, network, PIXELS, [0], maps, features_in_step=3) == [1.0]
    with pytest.raises(AssertionError, match="modulo remainder"):
        scores(STOCK, network, PIXELS, np.array([0]), maps, features_in_step=3)


def test_whole_numbers_become_floats():
    network, x, y, maps, step = case("image")
    whole = np.round(10 * x).astype(int)
    found, floats = (
        scores(MonotonicityCorrelation, network, v, y, maps, features_in_step=step)
        for v in (whole, whole.astype(float))
    )
    assert found == pytest.approx(floats)


def test_no_network_is_kept():
    network, *given, step = case("image")
    scores(MonotonicityCorrelation, network, *given, features_in_step=step)
    here = weakref.ref(network)
    del network
    gc.collect()
    assert here() is None


def test_one_warning_a_batch_and_none_if_not_wanted():
    network, x, y, maps, step = case("image")
    options = {"features_in_step": step, "perturb_baseline": 0.0, "call": {"batch_size": 2}}
    with warnings.catch_warnings(record=True) as wanted:
        warnings.simplefilter("always")
        scores(MonotonicityCorrelation, network, 0 * x, y, maps, **options, disable_warnings=False)
    assert [str(w.message).split(";")[0] for w in wanted if "changed nothing" in str(w.message)] == [
        "56 of 56 blocks changed nothing",
        "28 of 28 blocks changed nothing",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores(MonotonicityCorrelation, network, 0 * x, y, maps, **options)


# Mistakes


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"network": object()}, "model is a object; give a torch network, or take Quantus' own class for it"),
        ({"network": nn.Linear(3, 2)}, r"training mode; call network\.eval\(\)"),
        ({"network": Pair().eval()}, "answers with tuple; give one that answers with a number per class"),
        ({"network": nn.Identity().eval()}, r"answers with \(3, 1, 28, 28\); give one"),
        (
            {"y": np.array([0, 1, 5])},
            r"y_batch has shape \(3,\), from 0 to 5; give one class per clip, .* 0 to 4",
        ),
        ({"y": np.array([0, 1, -1])}, "from -1 to 1; give one class"),
        (
            {"maps": np.ones((3, 1, 28, 27))},
            r"a_batch has shape \(3, 1, 28, 27\); give \(3, 1, 28, 28\), or 1",
        ),
        ({"features_in_step": 0}, "features_in_step is 0; give 1 to 784, the cells of an input"),
        ({"features_in_step": 785}, "features_in_step is 785; give 1 to 784"),
        ({"points": 0}, "points is 0; give a whole number from 1, or None for Quantus' own draws"),
        ({"order": "numpy"}, 'order "numpy" is not known; choose from stable, stock'),
        ({"call": {"channel_first": False}}, "channels last; torch takes them first: give np.moveaxis"),
    ],
)
def test_a_mistake_is_one_sentence(changed, sentence):
    network, x, y, maps, step = case("image")
    given_ = {"network": network, "x": x, "y": y, "maps": maps, "features_in_step": step} | changed
    with pytest.raises(InputError, match=sentence):
        scores(MonotonicityCorrelation, *(given_.pop(n) for n in ("network", "x", "y", "maps")), **given_)


def test_what_quantus_refuses_it_refuses_in_its_own_words():
    *given, step = case("image")
    with pytest.raises(ValueError, match="'random' as a choice"):
        scores(MonotonicityCorrelation, *given, features_in_step=step, perturb_baseline="random")
    with pytest.raises(ValueError, match="Unexpected keyword arguments"):
        scores(MonotonicityCorrelation, *given, features_in_step=step, nr_sample=3)
