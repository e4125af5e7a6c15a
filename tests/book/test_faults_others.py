"""What is broken on the pages outside both parts, and what hinders a reader."""

from tests.book.test_faults_copy import pytestmark, test_axe_finds_nothing, test_every_page_loads_whole

__all__ = ["pytestmark", "test_axe_finds_nothing", "test_every_page_loads_whole"]
PART = ""
