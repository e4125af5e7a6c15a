"""What `make lab` starts with: the parts that can be looked at without starting it."""

import json
import re
import sys
from pathlib import Path

import pytest
from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp
from traitlets.config import PyFileConfigLoader

from helpers import study
from helpers.book import contents

LAB = study.ROOT / "config" / "lab"


@pytest.fixture
def settings():
    return PyFileConfigLoader("server.py", path=str(LAB)).load_config()


def test_every_setting_is_one_that_the_libraries_have(settings):
    assert {name: set(settings[name]) - set(kind.class_trait_names(config=True)) for name, kind in KINDS.items()} == {
        name: set() for name in KINDS
    }
    assert set(settings) == {*KINDS, "ContentsManager"}


KINDS = {"ServerApp": ServerApp, "LabApp": LabApp}


def test_each_chapter_is_listed_once(settings):
    manager = ServerApp.contents_manager_class.default_value(hide_globs=settings.ContentsManager.hide_globs)
    names = [path.name for path in (study.ROOT / "notebooks").iterdir() if manager.should_list(path.name)]
    chapters = {path.stem for path in contents.NOTEBOOKS.glob("*.md")}
    assert {name for name in names if name.removesuffix(".ipynb") in chapters} == {f"{name}.ipynb" for name in chapters}
    assert not [name for name in names if name.endswith(".md")]
    assert manager.should_list("reading_order.md")


def test_the_first_page_is_there_and_its_links_lead_to_every_chapter(settings):
    first = settings.LabApp.default_url.removeprefix("/lab/tree/")
    page = study.ROOT / "notebooks" / first
    assert page.read_text() == contents.reading_order(), "run `make pairs`"
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert all((page.parent / link).is_file() for link in links)
    assert {(page.parent / link).resolve().stem for link in links} == {p.stem for p in contents.NOTEBOOKS.glob("*.md")}


def test_only_root_may_be_root(monkeypatch):
    for user, allowed in ((0, True), (1000, False)):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        assert PyFileConfigLoader("server.py", path=str(LAB)).load_config().ServerApp.allow_root is allowed


def test_what_is_overridden_is_a_setting_of_an_extension():
    folder = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
    for name, values in json.loads((LAB / "overrides.json").read_text()).items():
        extension, plugin = name.rsplit(":", 1)
        schema = json.loads((folder / extension / f"{plugin}.json").read_text())
        assert set(values) <= set(schema["properties"])
