"""Doors to the book elsewhere: container, Binder, conda, Colab; nothing is dead while the repository has no address."""

import json
import re
import subprocess
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers import InputError, study
from helpers.book import contents, doors
from helpers.book import sphinx as extension
from tests.unit.book.test_site import paragraph

URL = "https://github.com/someone/study"
CONTAINER = json.loads((study.ROOT / ".devcontainer" / "devcontainer.json").read_text())
DOCKERFILE = (study.ROOT / "binder" / "Dockerfile").read_text()
CONDA = yaml.safe_load((study.ROOT / "environment.yml").read_text())
PYTHONS = SpecifierSet(
    re.search(r'requires-python = "(.*)"', (study.ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
)
# of the specification of development containers, as far as an image is used
KNOWN = {
    *("name", "image", "hostRequirements", "postCreateCommand", "forwardPorts", "portsAttributes", "customizations"),
    *("features", "containerEnv", "remoteEnv", "remoteUser", "mounts", "waitFor", "runArgs", "shutdownAction"),
}


def targets() -> set[str]:
    listed = subprocess.run(
        ["make", "-C", str(study.ROOT), "-pnq", "help"], capture_output=True, text=True, check=False
    ).stdout
    return set(re.findall(r"^([\w./-]+):(?!=)", listed, re.MULTILINE))


def test_every_link_of_a_chapter_leads_to_a_notebook_that_git_has():
    tracked = set(subprocess.check_output(["git", "-C", str(study.ROOT), "ls-files"], text=True).splitlines())
    executed = [file for file in contents.files(contents.contents(["resnet18"])) if contents.executed(file)]
    assert len(executed) > 50
    for file in executed:
        found = doors.html(URL, "main", file)
        (opened,) = re.findall(r"colab\.research\.google\.com/github/someone/study/blob/main/([^\"]+)\"", found)
        (begun,) = re.findall(r"mybinder\.org/v2/gh/someone/study/main\?urlpath=lab/tree/([^\"]+)\"", found)
        assert {opened, f"notebooks/{begun}"} <= tracked, file


def test_services_get_an_address_branch_and_file_in_their_own_form():
    assert doors.links(f"{URL}.git", "new/look", "notebooks/09_results.ipynb") == {
        "Binder": "https://mybinder.org/v2/gh/someone/study/new%2Flook?urlpath=lab/tree/09_results.ipynb",
        "Codespaces": "https://codespaces.new/someone/study/tree/new/look",
        "Colab": "https://colab.research.google.com/github/someone/study/blob/new/look/notebooks/09_results.ipynb",
    }
    # of the three only Binder opens what lies elsewhere
    assert doors.links("https://example.org/a/b", "main", "notebooks/x.ipynb") == {
        "Binder": "https://mybinder.org/v2/git/https%3A%2F%2Fexample.org%2Fa%2Fb/main?urlpath=lab/tree/x.ipynb"
    }


def shown(url: str, page: str = "book/executed/recorded/09_results") -> list[str]:
    document = paragraph(nodes.Text("text"))
    document += [nodes.note("", classes=["provenance"]), nodes.paragraph("", "the chapter")]
    app = SimpleNamespace(
        config=SimpleNamespace(html_theme_options={"repository_url": url}), env=SimpleNamespace(docname=page)
    )
    extension.open_doors(app, document)
    kinds = [type(one) for one in document.children]
    assert extension.Said not in kinds or kinds.index(extension.Said) == kinds.index(nodes.note) + 1
    return [one["said"] for one in document.findall(extension.Said)]


def test_a_chapter_has_doors_only_where_the_repository_has_an_address():
    (said,) = shown(URL)
    assert said.count("<a href=") == 3
    assert doors.first_cell(URL).replace("&", "&amp;") in said
    assert shown("") == []
    assert shown(URL, page="book/how_to_use") == []
    assert yaml.safe_load((study.ROOT / "_config.yml").read_text())["repository"]["url"] == ""


@pytest.mark.parametrize("url", ["github.com/a/b", "https://github.com", "ftp://x/y", "nothing"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match=r"in _config\.yml is no address; write https://host/owner/name"):
        doors.check(url)


def test_what_colab_runs_first_installs_the_lock_by_its_digests_and_this_code():
    lines = doors.first_cell(f"{URL}/").splitlines()
    assert lines == [
        f"!git clone --quiet --depth 1 {URL}/",
        "!pip install --quiet --require-hashes --requirement study/requirements.lock",
        "!pip install --quiet --no-deps --editable study",
    ]
    assert (study.ROOT / "requirements.lock").is_file()


def test_the_container_is_set_up_by_targets_that_make_has():
    assert set(CONTAINER) <= KNOWN
    assert re.fullmatch(r"\d+gb", CONTAINER["hostRequirements"]["storage"])
    program, *asked = CONTAINER["postCreateCommand"].split()
    assert program == "make"
    assert set(asked) <= targets()
    interpreter = CONTAINER["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter.removeprefix("${containerWorkspaceFolder}/") == f"{asked[0].rpartition('/')[0]}/bin/python"


def test_binder_installs_the_lock_as_make_does_and_begins_with_the_settings_of_make_lab():
    named = re.findall(r"\$\{HOME\}/study/(\S+)", DOCKERFILE)
    there = [name for name in named if not name.startswith(".venv")]
    assert there == ["config/lab/server.py"]
    assert all((study.ROOT / name).is_file() for name in there)
    (asked,) = re.findall(r"^RUN make (.*)$", DOCKERFILE, re.MULTILINE)
    assert asked in targets()
    # the book's own folder is where Lab begins, so a link names a notebook without it
    assert 'root_dir = str(ROOT / "notebooks")' in (study.ROOT / "config/lab/server.py").read_text()
    # it is not root who runs what a stranger types
    assert DOCKERFILE.index("\nUSER ${NB_USER}\n") < DOCKERFILE.index("\nRUN make ") < DOCKERFILE.index("\nCMD ")


def test_every_door_has_a_python_that_the_study_runs_on_and_the_lock():
    images = [CONTAINER["image"], *re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)]
    versions = [re.fullmatch(r"python:(3\.\d+)-\w+", image)[1] for image in images]
    (conda,) = [one.partition("=")[2] for one in CONDA["dependencies"] if str(one).startswith("python=")]
    assert all(f"{version}.9" in PYTHONS for version in [*versions, conda])
    assert CONDA["dependencies"][-1] == {"pip": ["-r requirements.lock"]}


def test_the_lock_has_a_digest_for_every_package_that_the_study_names():
    entries = (study.ROOT / "requirements.lock").read_text().replace("\\\n", "").splitlines()
    locked = {
        Requirement(entry.partition("--hash")[0].strip()).name: entry.count("--hash=sha256:") for entry in entries
    }
    assert min(locked.values()) >= 1
    listed = re.findall(r'^    "([\w-]+)', (study.ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.lower() for name in listed if not name.startswith("helpers")} <= set(locked)
