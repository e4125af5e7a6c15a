"""What is broken on the pages of your copy, and what hinders a reader.

A file for these alone, so that several browsers look at the same time.
"""

import pytest

from tests.book import browse

pytestmark = pytest.mark.skipif(browse.CHROMIUM is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def faults(address, browser, pages) -> dict[str, dict[str, list]]:
    return browse.faults(address, browser, [page for page in pages if "/executed/copy/" in page])


def test_every_page_loads_whole(faults):
    assert {path: found for path, found in faults["broken"].items() if found} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(faults, theme):
    assert {path: found for path, found in faults[theme].items() if found} == {}
