"""The page of promises names tests, and each of them exists."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "book" / "promises.md").read_text()
ROWS = re.findall(r"^\| (?!\*\*|what is|-)(.+?) \| `(\w+)` \| `(\S+)` \|$", PAGE, re.MULTILINE)


def test_every_row_of_the_table_is_a_promise_with_its_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = [line for line in rows if line.startswith(("| **", "| what"))]
    assert len(ROWS) == len(rows) - len(heads)
    assert len({promise for promise, _, _ in ROWS}) == len({test for _, test, _ in ROWS}) == len(ROWS) >= 40


@pytest.mark.parametrize(("promise", "name", "file"), ROWS, ids=[name for _, name, _ in ROWS])
def test_the_test_of_a_promise_exists(promise, name, file):
    assert f"\ndef {name}(" in (ROOT / file).read_text()
