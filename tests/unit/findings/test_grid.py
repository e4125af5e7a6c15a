"""A grid that is the same for all clips, and maps that know it or the clip, made by hand."""

import numpy as np
import pytest

from helpers.findings import grid

PERIOD, FRAMES, CLIPS = 4, 40, 12
PLACES = np.tile([3.0, 4.0, 0.0, 2.0], FRAMES // PERIOD)  # every fourth frame, from the third on, matters least
OWN = np.random.default_rng(0).random((CLIPS, FRAMES))  # what matters in this clip alone


class Run:
    """Stands for a run: only its layer is asked for."""

    layer = "layer4[-1]"


@pytest.fixture
def compared(monkeypatch):
    """Puts maps and effects in the place of the artefact's."""

    def put(effects, *maps):
        names = [f"map {k}" for k in range(len(maps) - 1)] + ["Grad-CAM"]
        found = {
            "effects": np.array(effects),
            "curves": np.stack(maps, axis=1),
            "frames": np.full(CLIPS, FRAMES),
            "recordings": np.arange(CLIPS),
            "explainers": np.array(names),
            "layers": np.full(len(maps), Run.layer),
        }
        monkeypatch.setattr(grid, "_read", lambda run: found)
        return Run()

    return put


def test_ranks_show_the_grid_and_are_level_where_there_is_none(compared):
    effects = PLACES + 1e-6 * OWN
    run = compared(effects, OWN)
    found = grid.phases(run, "Grad-CAM", period=PERIOD).set_index(["of", "phase"])["rank"]
    # the quarters of the ranks, from the lowest: phases 2, 3, 0, 1
    assert found["effects"].tolist() == pytest.approx([5 / 8, 7 / 8, 1 / 8, 3 / 8])
    assert np.allclose(found["Grad-CAM"], 0.5, atol=0.1)


def test_the_curve_that_knows_no_clip_is_the_mean_of_other_recordings_ranks(compared):
    run = compared(np.arange(CLIPS * FRAMES, dtype=float).reshape(CLIPS, FRAMES), OWN)
    assert np.allclose(grid.curves(run), np.arange(1, FRAMES + 1) / FRAMES)


def test_among_frames_at_one_place_a_map_of_the_grid_is_worth_nothing_and_one_of_the_clip_all():
    effects = PLACES + OWN[0]
    assert np.isnan(grid.within(PLACES, effects, period=PERIOD))  # the same at every frame of a place
    assert grid.within(effects, effects, period=PERIOD) == pytest.approx(1)
    assert grid.within(OWN[0], effects, period=PERIOD) == pytest.approx(1)
    assert grid.within(-OWN[0], effects, period=PERIOD) == pytest.approx(-1)
    assert np.isnan(grid.within(effects[:8], effects[:8], period=PERIOD))  # two frames at each place


def test_places_with_more_frames_count_more():
    profile, effects = np.array([1.0, 1, 2, 3, 3, 2, 4]), np.array([1.0, 1, 2, 2, 3, 3, 4])
    # places 0 and 1 of 2: 1 2 3 4 with 1 2 3 4, and 1 3 2 with 1 2 3, whose correlation is one half
    assert grid.within(profile, effects, period=2) == pytest.approx((4 * 1 + 3 * 0.5) / 7)


def test_the_grid_comes_first_and_the_sentence_names_what_is_left(compared, monkeypatch):
    monkeypatch.setattr(grid.within, "__kwdefaults__", {"period": PERIOD})
    effects = PLACES + OWN
    found = grid.removed(compared(effects, np.tile(PLACES + 1e-9, (CLIPS, 1)), effects, OWN)).set_index("map")
    first = found.iloc[0]
    assert first.name.startswith("the grid")
    assert first["score"] > 0.8
    assert found.loc["map 0", "score"] > 0.8
    assert np.isnan(found.loc["map 0", "left"])
    assert (found.loc["map 1", "left"], found.loc["Grad-CAM", "left"]) == (pytest.approx(1), pytest.approx(1))
    assert found["long enough"].tolist() == [CLIPS, CLIPS, CLIPS, 0]
    assert "Grad-CAM +1.00 (in all +0." in grid.said(found.reset_index())


def test_where_no_other_recording_is_as_long_nothing_is_said(compared, monkeypatch):
    run = compared(OWN, OWN)
    alone = grid._read(run) | {"recordings": np.zeros(CLIPS, dtype=int)}
    monkeypatch.setattr(grid, "_read", lambda run: alone)
    found = grid.removed(run)
    assert np.isnan(found["score"]).all()
    assert grid.said(found).startswith("No two recordings")
