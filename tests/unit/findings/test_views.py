"""What a reader of the explorer can choose, against the recorded tables it comes from."""

import numpy as np
import pytest

from helpers import study
from helpers.experiments import comparison, controls, frame_effects, scores
from helpers.findings import views
from helpers.findings.views import Rung, View
from helpers.maps import explainers, nulls
from tests.unit.findings.made import NAN


def view(**facts) -> View:
    own = {
        "clip": "7-1-0-0.wav",
        "category": "siren",
        "fold": 10,
        "heard": dict,
        "credit": "",
        "choices": {"network": "ResNet18", "explainer": "Grad-CAM", "layer": "layer4[-1]", "class": "predicted"},
        "answer": "siren",
        "explained": "siren",
        "representation": "mfcc",
        "picture": None,
        "map": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.9]]),
        "effects": np.array([0.0, 0.0, 2.0]),
        "frames": 3,
        "seconds_per_frame": 0.5,
        "rungs": (Rung("loudness", "the sound", 0.9, 0.9), Rung("Grad-CAM", "all", 0.25, -0.5, own=True)),
    }
    return View(**(own | facts))


def test_a_view_says_the_answer_the_peaks_and_the_score():
    assert view().said == (
        "ResNet18 hears siren, and is right. The map is strongest at 0.5 s; the answer changes most when the "
        "moment at 1.0 s is replaced. Its score is +0.25 over all frames and -0.50 inside the sound."
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"answer": "dog bark"}, "ResNet18 hears dog bark, but it is siren."),
        ({"map": np.zeros((2, 3))}, "The map is 0 everywhere: nothing speaks for the class. The answer changes most"),
        ({"effects": np.zeros(3)}, "strongest at 0.5 s; no replaced moment changes the answer."),
        ({"effects": None}, "strongest at 0.5 s; what each moment does to this answer is not recorded."),
        ({"rungs": (Rung("Grad-CAM", "all", NAN, NAN, own=True),)}, "It has no score."),
        ({"rungs": (Rung("Grad-CAM", "all", 0.25, NAN, own=True),)}, "Its score is +0.25 over all frames."),
        (
            {"map": np.zeros((2, 3)), "effects": None},
            "the class. What each moment does to this answer is not recorded.",
        ),
    ],
)
def test_what_is_missing_is_said(facts, said):
    assert said in view(**facts).said


@pytest.fixture(scope="module")
def recorded() -> dict[tuple, View]:
    every = views.views(study.traveller())
    assert len({one.key for one in every}) == len(every) > 1000
    return {one.key: one for one in every}


@pytest.mark.slow
def test_explained_clips_show_what_is_recorded_of_them(recorded):
    run = study.traveller()
    maps, table = explainers.explanations(run), controls.CONTROLS.read(run).set_index("clip")
    effects = frame_effects.frames(run)
    for i in (0, 7, 49):
        clip = str(maps.clips[i])
        one = recorded[clip, views.named(run), "Grad-CAM", "layer4[-1]", "predicted"]
        np.testing.assert_array_equal(one.map, maps.maps[i])
        np.testing.assert_array_equal(one.picture, maps.inputs[i, 0])
        np.testing.assert_array_equal(one.effects, effects.effects[list(effects.clips).index(clip)])
        assert [rung.rung for rung in one.rungs] == list(controls.RUNGS)
        for rung in one.rungs:
            # the recorded score of the map itself, though it is counted anew here
            known = (table.loc[clip, rung.rung], table.loc[clip].get(f"{rung.rung} inside", NAN))
            assert (rung.score, rung.inside) == pytest.approx(known, abs=1e-4, nan_ok=True)


@pytest.mark.slow
def test_another_layer_keeps_the_effects_and_the_rungs_that_know_no_layer(recorded):
    run = study.traveller().with_(layer="layer3[-1]", drawn_clips=0)
    table = scores.SCORES.read(run)
    frame = table[table["specification"] == "frame"].set_index("clip")["score"]
    clip = frame.index[3]
    first, other = (
        recorded[clip, views.named(run), "Grad-CAM", layer, "predicted"] for layer in ("layer4[-1]", run.layer)
    )
    np.testing.assert_array_equal(first.effects, other.effects)
    assert {rung.rung for rung in other.rungs} == {*views.FREE, "Grad-CAM"}
    (own,) = [rung for rung in other.rungs if rung.own]
    assert own.score == pytest.approx(frame[clip], abs=1e-4)


@pytest.mark.slow
def test_effects_of_another_class_are_not_shown(recorded):
    own = [one for one in recorded.values() if one.choices["class"] == "true"]
    assert {one.effects is None for one in own} == {True, False}
    for one in own:
        assert (one.effects is not None) == (one.answer == one.category)
        assert one.explained == one.category


@pytest.mark.slow
def test_compared_explainers_show_their_curves_and_scores(recorded):
    run = study.traveller().with_(test_fold=3)
    found = comparison.arrays(run)
    table = comparison.table(run).fillna({"layer": ""}).set_index(["clip", "explainer", "layer"])
    k = list(found["explainers"]).index("saliency")
    clip = str(found["clips"][5])
    one = recorded[clip, views.named(run), "saliency", "layer4[-1]", "predicted"]
    np.testing.assert_allclose(
        nulls.profile(one.map[None])[0] * found["curves"][5, k].max(), found["curves"][5, k], rtol=1e-5
    )
    row = table.loc[(clip, "saliency", "layer4[-1]")]
    held = {rung.rung: (rung.score, rung.inside) for rung in one.rungs}
    assert held["saliency"] == (row["score"], row["score inside"])
    assert held["loudness"][0] == table.loc[(clip, "loudness", ""), "score"]
    assert set(held) == {"independent frames", "mean map", "loudness", "saliency", "ceiling"}
    loud = recorded[clip, views.named(run), "loudness", "none", "predicted"]
    assert [rung.rung for rung in loud.rungs if rung.own] == ["loudness"]


@pytest.mark.slow
def test_a_recorded_clip_is_heard_where_it_comes_from(recorded):
    run = study.traveller()
    maps = explainers.explanations(run)
    one = recorded[str(maps.clips[3]), views.named(run), "Grad-CAM", "layer4[-1]", "predicted"]
    (heard,) = one.heard().values()
    assert (heard.samples, heard.recording, heard.second) == (None, maps.recordings[3], maps.seconds[3])
    assert one.credit == ""


@pytest.mark.slow
def test_every_recorded_view_shows_its_input(recorded):
    assert [one.key for one in recorded.values() if one.picture is None] == []


@pytest.mark.slow
def test_a_clip_at_hand_is_heard_with_what_its_map_keeps_and_drops(run):
    heard = views._heard(run, explainers.explanations(run), 0)
    assert list(heard) == ["The clip", "What Grad-CAM keeps", "What it drops", "What a guess keeps"]
    strengths = [np.sqrt(np.mean(one.samples**2)) for one in heard.values() if one.samples.any()]
    assert strengths == pytest.approx([strengths[0]] * len(strengths), rel=1e-4)
