"""The small book in a folder of its own, executed without a kernel."""

import copy
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_output

from helpers import study
from helpers.book import contents, execute, site
from tests.unit.book import made


def _forget() -> None:
    for cached in (contents.parameters, contents._code, contents._labels):
        cached.cache_clear()


@pytest.fixture
def library(monkeypatch, tmp_path):
    """The small book; no path leads into the real one."""
    study.profiles()  # read from the real configuration before the root moves
    study.study("reference")
    root = tmp_path / "root"
    (root / "notebooks").mkdir(parents=True)
    (root / "book").mkdir()
    (root / "_toc.yml").write_text(yaml.safe_dump(made.TOC, sort_keys=False))
    monkeypatch.setattr(study, "ROOT", root)
    monkeypatch.setattr(study, "DATA", root / "data")
    monkeypatch.setattr(study, "RUNS", root / "data" / "runs")
    monkeypatch.setattr(study, "RECORDED", root / "data" / "recorded")
    monkeypatch.setattr(contents, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(contents, "EXECUTED", root / "book" / "executed")
    monkeypatch.setattr(site, "BUILD", root / "_build")
    monkeypatch.setattr(site, "SITE", root / "_build" / "html")
    for name, text in made.CHAPTERS.items():
        (root / "notebooks" / f"{name}.md").write_text(text)
    _forget()
    yield root
    _forget()


PICTURE = new_output("display_data", data={"image/png": "AAAA"})


class Papermill:
    """Stands for papermill: no kernel; passes the parameters on and gives each code cell `outputs`.

    A cell that promises a figure gets one too, unless it `draws` none.
    """

    def __init__(self) -> None:
        self.calls, self.outputs, self.draws = [], [], True

    def __call__(self, notebook, output, given, **options):
        self.calls.append({"output": Path(output), "given": given, **options})
        executed = copy.deepcopy(notebook)
        for cell in executed.cells:
            if cell.cell_type == "code":
                cell.outputs = copy.deepcopy(self.outputs)
                if self.draws and "mystnb" in cell.metadata:
                    cell.outputs.append(copy.deepcopy(PICTURE))
                cell.metadata["papermill"] = {"duration": 0.1}
                cell.metadata["execution"] = {"iopub.execute_input": "2026"}
        if given:
            i = next(i for i, c in enumerate(executed.cells) if "parameters" in c.metadata.get("tags", []))
            source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
            injected = new_code_cell(source, metadata={"tags": ["injected-parameters"]})
            executed.cells.insert(i + 1, injected)
        executed.metadata["papermill"] = nbformat.from_dict({"parameters": given})
        nbformat.write(executed, output)
        return executed


@pytest.fixture
def engine(monkeypatch):
    """The calls that papermill would have got."""
    fake = Papermill()
    monkeypatch.setattr(papermill, "execute_notebook", fake)
    return fake


@pytest.fixture
def executed(library, engine):
    """Executes a chapter of the small book without a kernel and reads the page."""

    def call(chapter: str, *, folder: str = "", outputs=(), inputs=(), records=(), **given):
        engine.outputs = list(outputs)
        output = library / "book" / "executed" / folder / f"{chapter}.ipynb"
        source = library / "notebooks" / f"{chapter}.md"
        execute.execute(source, output, given, inputs=inputs, records=records)
        return nbformat.read(output, as_version=4)

    return call


@pytest.fixture
def markdown():
    """All words of a page."""

    def call(notebook) -> str:
        return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")

    return call
