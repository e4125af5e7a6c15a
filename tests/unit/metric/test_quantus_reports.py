"""Each program on the page about Quantus prints what the page says it prints."""

import contextlib
import io
import re
import traceback

import numpy as np
import pytest
import torch
from numpy._core._multiarray_umath import __cpu_features__ as features

from helpers import study

PAGE = (study.ROOT / "book" / "quantus.md").read_text()
START, *PROGRAMS = re.findall(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", PAGE, re.DOTALL | re.MULTILINE)
# one order of ties per width of vectors that numpy sorts with
ORDERS = 1 + features["AVX2"] + features["AVX512_SKX"]


@pytest.fixture
def printed():
    """Runs a program after the page's first lines; returns what it prints and how it ends."""
    state = np.random.get_state()  # noqa: NPY002

    def run(program: str) -> str:
        out, names = io.StringIO(), {}
        with contextlib.redirect_stdout(out), torch.random.fork_rng(devices=[]):
            exec(START[0], names)
            try:
                exec(program, names)
            except Exception as error:
                out.write(traceback.format_exception_only(error)[-1])
        return out.getvalue()

    yield run
    np.random.set_state(state)  # noqa: NPY002


def test_only_the_first_program_prints_nothing():
    assert START[1] == ""
    assert len(PROGRAMS) == 13
    assert all(expected for _, expected in PROGRAMS)


def test_every_finding_but_the_thesis_has_its_report():
    findings = len(re.findall(r"^###? .*", PAGE, re.MULTILINE)) - 4  # three groups and the thesis
    assert PAGE.count("{dropdown} Ready to report") == findings == 12
    for part in ("*What happens.*", "*Expected.*", "*Suggestion.*"):
        assert PAGE.count(part) == findings


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("program", "expected"), PROGRAMS, ids=[e.split(":")[0][:30] for _, e in PROGRAMS])
def test_a_program_prints_what_the_page_says(printed, program, expected):
    found = printed(program)
    if expected.startswith("different orders"):
        expected = f"different orders: {ORDERS}\n"
    # a time is the machine's own
    assert re.sub(r"\d+\.\d s", "… s", found) == re.sub(r"\d+\.\d s", "… s", expected)
