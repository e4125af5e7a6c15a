"""What an exercise says of an answer: right, or what is wrong with it."""

import numpy as np
import pytest

from helpers import show


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "Nothing is filled in yet: write your answer into the cell, and run it again."),
        (3, "**Right.**"),
        (np.float32(3.0002), "**Right.**"),
        (3.01, "**Not yet.** 3.01 is too large."),
        (-7, "**Not yet.** -7 is too small."),
        (-3, "**Not yet.** Its size is right, its sign is not."),
        (2, "**Not yet.** You left the last frame out."),
        (float("nan"), "**Not yet.** It is not finite: somewhere 0 is divided by 0, or the logarithm of 0 is taken."),
        ("three", "**Not yet.** One number is asked for, and this is str."),
        ([3], "**Not yet.** One number is asked for, and this is an array of the shape (1,)."),
    ],
)
def test_a_number(answer, said):
    assert show.check(answer, 3, slips={"You left the last frame out": 2}).data == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2, 4], "**Right.**"),
        ([10, 20, 40], "**Not yet.** It is 10 times what it should be, everywhere alike."),
        ([4, 2, 1], "**Not yet.** Its order is turned round."),
        ([-1, -2, -4], "**Not yet.** Its size is right, its sign is not."),
        ([1, 3, 5], "**Not yet.** 2 of 3 values are wrong; the first, at 1, is too large."),
        ([0, 0, 0], "**Not yet.** 3 of 3 values are wrong; the first, at 0, is too small."),
        ([1, 2], "**Not yet.** An array of the shape (3,) is asked for, and this is an array of the shape (2,)."),
    ],
)
def test_an_array(answer, said):
    assert show.check(answer, np.array([1, 2, 4])).data == said


def test_a_cell_of_a_matrix_is_named_by_row_and_column():
    said = show.check([[1, 2], [5, 4]], [[1, 2], [3, 4]]).data
    assert said == "**Not yet.** 1 of 4 values are wrong; the first, at (1, 0), is too large."


def test_where_0_is_right_nothing_else_is():
    assert show.check(0, 0).data == "**Right.**"
    assert show.check(1e-6, 0).data == "**Not yet.** 1e-06 is too large."
