"""Maps of one clip across networks: alike about the clip, alike everywhere, alike by luck."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import InputError
from helpers.experiments import comparison
from helpers.findings import agreement
from helpers.maps import explainers, nulls
from helpers.networks import training

UP, DOWN, PEAK = np.arange(1.0, 6), np.arange(5.0, 0, -1), np.array([1.0, 3, 5, 4, 2])


def network(curves, *, predicted=(0, 0, 0), frames=(5, 5, 5), recordings=(1, 2, 3), kind="A", **changes):
    """Three clips of five frames; the map, the effects and the effects in nodes are the same curve."""
    curves = np.array(curves, dtype=float)
    facts = {"labels": (0, 0, 1), "predicted": predicted, "frames": frames, "recordings": recordings}
    return agreement.Answers(
        name=f"{kind}, seed {len(changes)}",
        kind=kind,
        clips=np.array(["a.wav", "b.wav", "c.wav"]),
        **{name: np.array(values) for name, values in facts.items()},
        **{"curves": curves, "coarse": curves, "effects": curves} | changes,
        nodes=(1, 3),
        shape=(2, 5),
        step=0.1,
    )


FIRST = network([UP, UP, PEAK])
SECOND = network([UP, DOWN, PEAK], predicted=(0, 0, 1), kind="B")


def test_two_curves_of_one_clip_agree_as_their_ranks_do():
    rows = agreement.pair(FIRST, SECOND)
    assert rows["maps"].tolist() == pytest.approx([1, -1, 1])
    assert rows["kinds"].unique().tolist() == ["A and B"]
    assert rows["answers"].tolist() == ["same, right", "same, right", "different"]
    assert rows["score"].tolist() == pytest.approx([1, 1, 1])  # a map that is its own effects


def test_elsewhere_is_the_same_curve_beside_the_others_of_other_recordings():
    rows = agreement.pair(FIRST, SECOND)
    with_peak = 1 - 6 * ((UP - PEAK) ** 2).sum() / (5 * 24)
    assert rows["maps, another recording"].tolist() == pytest.approx([(-1 + with_peak) / 2, (1 + with_peak) / 2, 0])
    # the second network gives the first one's answer to the first two clips only
    assert rows["maps, another recording, same answer"].tolist() == pytest.approx([-1, 1, 0])


def test_clips_of_one_recording_are_not_elsewhere():
    rows = agreement.pair(dataclasses.replace(FIRST, recordings=np.array([1, 1, 1])), FIRST)
    assert rows["maps, another recording"].notna().all()
    alone = [dataclasses.replace(one, recordings=np.array([1, 1, 1])) for one in (FIRST, SECOND)]
    assert agreement.pair(*alone)["maps, another recording"].isna().all()


def test_the_nearest_in_length_stand_for_elsewhere():
    frames = np.array([5, 4, 2])
    one, other = agreement._nearest(frames, ~np.eye(3, dtype=bool), others=1, random=np.random.default_rng(0))
    assert (one.tolist(), other.tolist()) == ([0, 1, 2], [1, 0, 1])


def test_only_frames_of_both_sounds_are_compared():
    flipped = np.concatenate([UP[:3], [9, 0]])
    short = network([flipped] * 3, frames=(3, 3, 3), kind="B")
    rows = agreement.pair(network([UP] * 3), short)
    assert rows["frames"].tolist() == [3, 3, 3]
    assert rows["maps"].tolist() == pytest.approx([1, 1, 1])


def test_a_curve_that_is_the_same_everywhere_has_no_value_and_is_counted():
    rows = agreement.pair(network([np.ones(5), UP, UP]), network([UP, UP, UP], kind="B"))
    assert np.isnan(rows[["maps", "above"]].iloc[0]).all()
    found = agreement.summary(rows, draws=20).set_index("of")
    assert (found.loc["maps", "clips"], found.loc["maps", "NaN"]) == (3, 1)
    assert found.loc["maps", "agreement"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"step": 0.2}, "compare networks with equal steps"), ({"clips": np.array(["a", "b", "d"])}, "different clips")],
)
def test_what_cannot_be_compared_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        agreement.pair(FIRST, dataclasses.replace(SECOND, **change))


def test_chance_is_what_luck_gives_five_of_a_hundred():
    wide = dataclasses.replace(FIRST, nodes=(1, 40), shape=(2, 40))
    few = agreement.chance(FIRST, FIRST, 5)
    many = agreement.chance(wide, wide, 40)
    assert 0 < many < few <= 1  # few nodes are often alike by luck
    # of 40 values without an order: 1.645 / sqrt(39)
    assert many == pytest.approx(0.263, abs=0.06)


def test_every_two_networks_are_compared_and_one_that_is_alone_with_itself():
    third = dataclasses.replace(FIRST, name="A, seed 9")
    rows = agreement.pairs([FIRST, SECOND, third])
    assert rows["kinds"].unique().tolist() == ["A: another seed", "A and B", "B and A"]
    alone = agreement.pairs([FIRST])
    assert alone["kinds"].unique().tolist() == ["A: itself"]
    assert alone["maps"].tolist() == pytest.approx([1, 1, 1])


def test_a_clip_counts_once_whatever_the_number_of_pairs():
    rows = pd.concat([agreement.pair(FIRST, SECOND)] * 2, ignore_index=True)
    rows.loc[0, "maps"] = 0.5  # of a.wav, once 0.5 and once 1
    found = agreement.summary(rows, draws=20).set_index("of")
    assert found.loc["maps", "clips"] == 2
    assert found.loc["maps", "agreement"] == pytest.approx((0.75 - 1) / 2)
    assert found.loc["maps", "lead"] == pytest.approx((0.75 + 1 - 1 - 1) / 2)


def test_answers_are_parted():
    found = agreement.by_answers(agreement.pair(FIRST, SECOND), draws=20)
    maps = found[found["of"] == "maps"].set_index("answers")
    assert maps["clips"].to_dict() == {"same, right": 2, "same, wrong": 0, "different": 1}
    assert maps.loc["different", "agreement"] == pytest.approx(1)
    assert np.isnan(maps.loc["same, wrong", "agreement"])


@given(st.permutations(range(6)))
def test_agreement_shows_in_the_score_when_both_rank_the_clips_alike(order):
    rows = pd.DataFrame(
        {
            "kinds": "A and B",
            "answers": "same, right",
            "clip": [f"{i}.wav" for i in range(6)],
            "recording": range(6),
            "frames": [5, 5, 5, 4, 4, 4],
            "maps": np.array(order) / 10,
            "score": np.array(order) / 20,
        }
    )
    found = agreement.scores(rows, draws=20).set_index("clips that are")
    assert found["clips"].to_dict() == {"of any length": 6, "longest": 3}
    assert found["correlation"].tolist() == pytest.approx([1, 1])


def test_the_typical_clip_is_the_median_of_the_longest_with_one_answer():
    rows = pd.DataFrame(
        {
            "clip": ["a", "b", "c", "d", "e"],
            "answers": ["same, right"] * 4 + ["different"],
            "frames": [5, 5, 5, 4, 5],
            "maps": [0.1, 0.9, 0.3, 0.35, 0.3],
        }
    )
    assert agreement.typical(rows) == "c"
    assert agreement.typical(rows.assign(answers="different", maps=np.nan)) == "a"


def test_the_sentence_names_what_is_shared_with_other_recordings():
    rows = agreement.pairs([FIRST, dataclasses.replace(FIRST, name="A, seed 9"), SECOND])
    text = agreement.said(agreement.summary(rows, draws=20))
    assert text.startswith("- A: another seed, same answer: on **")
    assert "of 3 clips" in text
    assert "Two kinds of network" in text
    nothing = agreement.summary(rows.assign(answers="different"), draws=20)
    assert agreement.said(nothing) == "No clip got the same answer from two networks: nothing can be said."


def test_what_a_run_says_is_read_from_its_effects(run):
    found = agreement.answers(run)
    assert found.curves.shape == found.effects.shape == found.coarse.shape == (len(found.clips), run.frames)
    assert found.shape == run.shape
    assert found.kind.endswith(", MFCC, padded")
    rows = agreement.pairs([found])
    assert rows["effects"].dropna().to_numpy() == pytest.approx(np.ones(rows["effects"].notna().sum()))


def test_the_recorded_networks_have_frames_of_one_length():
    runs = agreement.recorded()
    assert len(runs) > 2
    assert len({run.seconds_per_frame for run in runs}) == 1


@pytest.mark.slow
def test_layers_of_a_network_are_held_against_its_last_block_on_one_clip_of_each_recording(run):
    layers = ("layer4[-1]", "layer3[-1]", "layer2[-1]")
    small = run.with_(explainers=("Grad-CAM", "saliency"), compared_layers=layers, compared_clips=4)
    own = agreement.at(small)
    assert own.clips.tolist() == comparison.clips(small).clips.tolist()
    assert agreement.at(small, "layer2[-1]").nodes[1] > own.nodes[1]
    network = training.network(small)
    given = {"layer": network.layer4[-1], "classes": own.predicted}
    maps = explainers.maps(network, comparison.clips(small).inputs, **given)
    assert np.allclose(own.curves, nulls.profile(maps), atol=1e-4)
    rows = agreement.layers_and_depths([small, small.with_(seed=1)])
    assert rows["kinds"].unique().tolist() == [
        "ResNet18, layer4[-1] and ResNet18, layer3[-1]",
        "ResNet18, layer4[-1] and ResNet18, layer2[-1]",
        "ResNet18, layer4[-1]: another seed",
    ]
