"""Pictures of one byte a cell: what they keep, and of which clips they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import study
from helpers.experiments import comparison, pictures
from helpers.maps import explainers


def test_the_largest_size_has_the_last_level_and_the_steps_follow_from_the_median():
    levels, knees, limits = pictures.packed(np.array([[[0.0, 1.0, -1.0, 3.0]]]))
    # arcsinh(1) / arcsinh(3) of 127 levels: 0.8814 / 1.8184 * 127 = 61.55
    np.testing.assert_array_equal(levels, [[[0, 62, -62, 127]]])
    assert (levels.dtype, knees.tolist(), limits.tolist()) == (np.int8, [1.0], [3.0])


def test_silence_is_silence():
    packed = pictures.packed(np.zeros((1, 2, 3)))
    np.testing.assert_array_equal(packed[0], 0)
    np.testing.assert_array_equal(pictures.unpacked(*packed), 0)


@given(arrays(np.float32, (2, 3, 4), elements=st.floats(-600, 100, width=32).map(lambda v: v if abs(v) > 1e-3 else 0)))
def test_no_cell_is_more_than_half_a_level_off(values):
    levels, knees, limits = pictures.packed(values)
    found = pictures.unpacked(levels, knees, limits)
    for own, back, knee, limit in zip(values, found, knees, limits, strict=True):
        np.testing.assert_array_equal(back[own == 0], 0)
        step = np.arcsinh(limit / knee) / pictures.LEVELS
        assert np.abs(np.arcsinh(own / knee) - np.arcsinh(back / knee)).max() <= 0.51 * step


def test_they_are_of_the_clips_that_are_compared(run):
    compared = comparison.clips(run)
    found = pictures.pictures(run)
    assert list(found) == list(compared.clips)
    for own, picture in zip(compared.inputs[:, 0], found.values(), strict=True):
        assert np.abs(own - picture).max() <= 0.03 * np.abs(own).max()


def test_every_recorded_comparison_has_its_pictures_and_they_are_what_the_networks_were_given():
    run = study.traveller().with_(test_fold=3)
    found = pictures.pictures(run)
    assert set(found) == set(comparison.arrays(run)["clips"])
    sample = explainers.sampled(run)  # in full; some of these clips are compared too
    both = [i for i, clip in enumerate(sample["clips"]) if clip in found]
    assert len(both) > 5
    for i in both:
        own = sample["inputs"][i, 0]
        assert np.abs(own - found[sample["clips"][i]]).max() <= 0.03 * np.abs(own).max()
