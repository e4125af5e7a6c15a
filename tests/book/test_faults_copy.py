"""What is broken on the pages of your copy, and what hinders a reader.

A file for each part of the book, so that several browsers look at the same time; the tests are the same.
"""

import pytest

from tests.book import browse

pytestmark = pytest.mark.skipif(browse.CHROMIUM is None, reason="no Chromium or Chrome is installed")
PART = "copy"


def test_every_page_loads_whole(faults):
    assert {path: found for path, found in faults["broken"].items() if found} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(faults, theme):
    assert {path: found for path, found in faults[theme].items() if found} == {}
