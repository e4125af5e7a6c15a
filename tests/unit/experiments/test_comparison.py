"""Explainers and layers side by side, on a network that is trained in a moment."""

import numpy as np
import pytest

from helpers import study
from helpers.audio import representations
from helpers.experiments import comparison, controls
from helpers.maps import explainers, nulls
from helpers.metric import correlation, perturbation
from helpers.networks import models, training

pytestmark = pytest.mark.slow


@pytest.fixture
def few(run):
    """Three explainers and two layers, on the few clips of the smallest profile."""
    layers = ("layer4[-1]", "layer3[-1]")  # finer ones take long to find a ceiling for
    return run.with_(explainers=("Grad-CAM", "LayerCAM", "saliency"), compared_layers=layers, compared_clips=3)


def arrays(run) -> dict[str, np.ndarray]:
    with np.load(comparison.COMPARED.get(run), allow_pickle=False) as found:
        return dict(found)


def test_one_clip_of_each_recording_is_compared_and_fewer_are_the_first_of_them(few):
    every, test = comparison.clips(few.with_(compared_clips="all")), representations.test(few)
    assert sorted(every.recordings) == sorted(set(test.recordings))
    first = comparison.clips(few)
    assert first.clips.tolist() == every.clips[:3].tolist()
    assert comparison.clips(few.with_(sample_seed=1)).clips.tolist() != first.clips.tolist()


def test_every_explainer_is_compared_at_the_runs_layer_gradcam_at_others_and_loudness(few):
    last = few.layer
    assert comparison.variants(few) == [
        ("Grad-CAM", last),
        ("LayerCAM", last),
        ("saliency", last),
        ("Grad-CAM", "layer3[-1]"),
        ("loudness", ""),
    ]


def test_a_deep_network_leaves_out_what_asks_again_and_again(run):
    deep = run.with_(architecture="resnet101", profile="thesis")
    assert set(study.EXPLAINERS) - set(deep.explainers) == set(study.SLOW)
    assert run.with_(profile="thesis").explainers == study.EXPLAINERS


def test_the_curves_and_effects_are_those_of_the_network(few):
    found, test = arrays(few), comparison.clips(few)
    network = training.network(few)
    predicted = training.predict(network, test.inputs).argmax(1).numpy()
    assert found["predicted"].tolist() == predicted.tolist()
    assert found["clips"].tolist() == test.clips.tolist()
    effects = perturbation.effects(network, test.inputs[[1]], predicted[[1]])[0]
    assert np.allclose(found["effects"][1, 0], effects, rtol=1e-4, atol=1e-12)
    for k, (name, layer) in enumerate(comparison.variants(few)[:-1]):
        given = {"layer": models.layer(network, layer), "classes": predicted[[1]], "explainer": name}
        own = nulls.profile(explainers.maps(network, test.inputs[[1]], **given))[0]
        assert np.allclose(found["curves"][1, k], own, atol=1e-4)
    loud = controls.loudness(few, test.clips)[1]
    scaled = (loud - loud.min()) / (loud.max() - loud.min())
    assert np.allclose(found["curves"][1, -1], few.rows * scaled, atol=1e-3)


def test_the_table_has_a_row_per_clip_and_map_and_its_scores_can_be_made_again(few):
    rows, found = comparison.table(few), arrays(few)
    assert len(rows) == 3 * 5
    for i, clip in enumerate(found["clips"]):
        for k, part in enumerate(rows[rows["clip"] == clip].itertuples()):
            again = correlation.frame_scores(found["curves"][i, [k]], found["effects"][i, 0])[0]
            assert part.score == pytest.approx(again, abs=1e-4, nan_ok=True)
    inside = rows[rows["explainer"] == "saliency"].iloc[0]
    part = slice(0, inside["frames"])
    again = correlation.frame_scores(found["curves"][0, 2, None, part], found["effects"][0, 0, part])[0]
    assert inside["score inside"] == pytest.approx(again, abs=1e-4)
    assert np.allclose(rows["SRG"], rows["insertion"] - rows["deletion"], atol=2e-5)


def test_no_map_of_a_layer_exceeds_its_ceiling_and_a_map_of_the_input_has_none(few):
    rows = comparison.table(few)
    layers = rows[rows["explainer"].isin(["Grad-CAM", "LayerCAM"])]
    known = layers.dropna(subset=["score inside"])
    assert (known["ceiling inside"] >= known["score inside"] - 1e-5).all()
    assert (known["ceiling"] >= known["score"] - 1e-5).all()
    # a finer layer can say at least as much
    by = known.groupby(["clip", "layer"])["ceiling"].first().unstack()
    assert (by["layer3[-1]"] >= by["layer4[-1]"] - 0.02).all()
    assert rows[~rows["explainer"].isin(["Grad-CAM", "LayerCAM"])]["ceiling"].isna().all()


def test_maps_that_know_nothing_score_about_0_inside_the_sound_where_frames_know_no_neighbour(few):
    rows = comparison.table(few.with_(null_maps=400, explainers=("saliency",), compared_layers=("layer4[-1]",)))
    assert rows[rows["explainer"] == "saliency"]["random"].abs().max() < 0.02
