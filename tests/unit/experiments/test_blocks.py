"""Frames, bands and patches, on a network that is trained in a moment."""

import numpy as np
import pytest

from helpers import study
from helpers.experiments import blocks, comparison
from helpers.findings import representing
from helpers.maps import explainers
from helpers.metric import blocking, correlation, perturbation
from helpers.networks import models, training


@pytest.fixture
def few(run):
    """Two clips as pictures of 20 bands, which a map of the third stage can tell apart."""
    return run.with_(representation="log-mel", n_mels=20, frames=64, layer="layer3[-1]", compared_clips=2, null_maps=20)


@pytest.mark.parametrize(
    ("rows", "frames", "band", "patch"),
    [(13, 400, (1, 400), (1, 25)), (40, 173, (3, 173), (3, 11)), (128, 64, (8, 64), (8, 4))],
)
def test_a_band_is_a_sixteenth_of_the_rows_and_a_patch_a_sixteenth_of_a_band(rows, frames, band, patch):
    run = study.Run(n_mfcc=rows, frames=frames)
    assert (blocks.size(run, "frame"), blocks.size(run, "band"), blocks.size(run, "patch")) == ((rows, 1), band, patch)


def test_a_waveform_has_frames_only():
    assert blocks.kinds(study.Run(representation="waveform", architecture="resnet1d")) == ("frame",)
    assert blocks.kinds(study.Run()) == ("frame", "band", "patch")


@pytest.mark.slow
def test_effects_and_scores_are_those_of_the_network(few):
    found, rows, test = blocks.arrays(few), blocks.table(few), comparison.clips(few)
    network = training.network(few)
    answer = training.predict(network, test.inputs).argmax(1).numpy()
    assert found["predicted"].tolist() == answer.tolist()
    assert {name: found[f"{name} uniform"].shape for name in blocks.ASKED} == {
        "frame": (2, 64),
        "band": (2, 10),  # of two rows
        "patch": (2, 160),
    }
    effects = perturbation.effects(network, test.inputs[[1]], answer[[1]], blocks=(2, 4))[0]
    assert np.allclose(found["patch uniform"][1], effects, rtol=1e-3, atol=1e-10)
    maps = explainers.maps(network, test.inputs, layer=models.layer(network, few.layer), classes=answer)
    assert np.allclose(blocks.maps(few), maps, atol=1e-5)
    own = rows[(rows["blocks"] == "patch") & (rows["baseline"] == "uniform")]["score"]
    expected = correlation.score(maps, found["patch uniform"], blocks=(2, 4))
    assert own.notna().any()
    assert own.tolist() == pytest.approx(expected.tolist(), abs=0.02, nan_ok=True)
    known = rows[rows["score"].notna()]
    assert (known["ceiling"] >= known["score"] - 1e-5).all()
    # silence where there is none already changes something, and every baseline its own way
    assert (found["frame silence"] > 0).any()
    assert len({found[f"frame {name}"].tobytes() for name in blocks.ASKED["frame"]}) == len(blocks.ASKED["frame"])


@pytest.mark.slow
def test_a_map_with_one_row_of_nodes_has_no_score_for_bands(run):
    flat = run.with_(compared_clips=2, null_maps=20, frames=64)
    rows = blocks.table(flat)
    assert rows.loc[rows["blocks"] == "band", "score"].isna().all()
    assert rows.loc[rows["blocks"] == "frame", "score"].notna().all()
    found = representing.table([flat], draws=20)
    assert found.loc[found["blocks"] == "band", "NaN"].tolist() == [2, 2]
    assert "of 0 inputs" in representing.said(found)
    assert representing.accuracies([flat])["input"].tolist() == ["MFCC 13, raw"]


def test_what_only_the_resize_tells_apart_is_equal():
    maps = np.ones((1, 4, 6), dtype=np.float32)
    maps[0, 2] += 1e-7
    assert len(np.unique(blocks._given(maps, (2, 6)))) == 1
    assert blocking.sums(maps, (2, 6)).shape == (1, 2)
