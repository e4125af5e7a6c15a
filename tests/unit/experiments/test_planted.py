"""Events at known times: where they lie, what a map that knows them scores, and what chance gives."""

import shutil

import numpy as np
import pytest

from helpers import study
from helpers.audio import standin
from helpers.experiments import planted


def test_an_event_stands_as_many_decibels_above_the_street_as_is_said():
    random = np.random.default_rng(0)
    street, event = random.normal(0, 0.01, 4000), random.normal(0, 3, 1000)
    for level in planted.LEVELS:
        wave = planted.plant(event, street.copy(), at=1500, level=level).astype(float)
        assert np.abs(wave).max() == pytest.approx(0.9)
        rest = np.concatenate([wave[:1500], wave[2500:]])
        scale = np.sqrt(np.mean(street**2)) / np.sqrt(np.mean(rest**2))
        alone = wave[1500:2500] * scale - street[1500:2500]
        ratio = 10 * np.log10(np.mean(alone**2) / np.mean(street**2))
        assert ratio == pytest.approx(level, abs=0.5)


def test_a_frame_is_in_the_event_when_its_middle_is(run):
    step = run.seconds_per_frame
    found = planted.within(((2.5 * step, 4 * step), (7 * step, 7 * step)), run)
    assert np.flatnonzero(found).tolist() == [3, 4, 7]


def test_quantus_agrees_with_what_is_counted_by_hand():
    event = np.array([False, True, True, False, False])
    curves = np.array([[0, 5, 1, 0, 0], [5, 4, 0, 1, 0], [1.0, 1, 1, 1, 6]])
    found = planted.localised(curves, event)
    assert found["pointing game"].tolist() == [1, 0, 0]
    assert found["mass"].tolist() == pytest.approx([1, 0.4, 0.2])
    assert found["rank"][:2].tolist() == [1, 0.5]


def test_the_stand_ins_own_events_are_taken_where_they_leave_room(run):
    known = standin.events(run.source.folder).groupby("slice_file_name")
    cases = list(planted.cases(run))
    assert 0 < len(cases) <= run.explanations
    for case in cases:
        own = known.get_group(case.clip)
        assert case.spans == tuple(zip(own["start_s"], own["end_s"], strict=True))
        filled = sum(end - start for start, end in case.spans)
        assert filled <= planted.WIDEST * len(case.wave) / case.rate + 1e-3
        assert np.isnan(case.level)


def test_recordings_are_planted_once_at_every_level(settings, stand_in, tmp_path, monkeypatch):
    folder = tmp_path / "recordings"  # without its list of events nothing says that the stand-in is one
    shutil.copytree(stand_in, folder, ignore=shutil.ignore_patterns("events.csv"))
    monkeypatch.setattr(planted, "LONGEST", 4.0)
    cases = list(planted.cases(study.open(profile="smoke", data=str(folder))))
    assert [case.level for case in cases[:3]] == list(planted.LEVELS)
    assert len({case.clip for case in cases[:3]}) == 1
    assert len(cases) % 3 == 0
    for case in cases:
        assert len(case.wave) == planted.SECONDS * standin.RATE
        ((start, end),) = case.spans
        assert 0 <= start < end <= planted.SECONDS


def test_the_effects_know_their_own_score_and_every_map_is_measured(run):
    found = planted.table(run)
    assert set(found["map"]) == set(planted.MAPS)
    assert set(found["metric"]) == {*planted.METRICS, "frame score"}
    own = found[(found["map"] == "effects") & (found["metric"] == "frame score")]["value"].dropna()
    assert own.to_numpy() == pytest.approx(np.ones(len(own)))
    shares = found[found["metric"] != "frame score"]["value"].dropna()
    assert shares.between(0, 1).all()
    assert found["filled"].between(0, planted.WIDEST + 0.1).all()
