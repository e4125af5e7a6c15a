"""The small book in a folder of its own, executed without a kernel."""

import copy
import json
from pathlib import Path

import nbformat
import papermill
import pytest
import safetensors.torch
import torch
import yaml
from nbformat.v4 import new_code_cell, new_output

from helpers import artifacts, study
from helpers.artifacts import Artefact
from helpers.book import contents, elsewhere, execute, jobs, site, studies
from tests.unit.book import made


def _forget() -> None:
    for cached in (contents.parameters, contents._code, contents._labels_of):
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
    for name in (*elsewhere.NEEDED, *(f"{file}.md" for file in contents.files(made.TOC) if "/executed/" not in file)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
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


ENTRIES = (
    {"architecture": "resnet18", "training_folds": "1 2", "also": ["curve"]},
    {"architecture": "resnet18", "training_folds": "1 2", "draws": 3},  # the same network, scored otherwise
    {"architecture": "resnet18", "training_folds": "1 2", "seed": 1, "weights": True},
)


class World:
    """Artefacts that count how often they are made; recordings in a folder."""

    def __init__(self, folder: Path) -> None:
        self.made: list[str] = []
        self.stopped = False
        self.folder = folder
        for fold in (1, 2, 10):
            (folder / "audio" / f"fold{fold}").mkdir(parents=True)
            (folder / "audio" / f"fold{fold}" / "1-0-0-0.wav").touch()
        features = Artefact("features.npz", make=self._features, fields=("frames",), folds=True, record=False)
        self.network = Artefact(
            "network",
            make=self._network,
            fields=("architecture", "seed"),
            inputs=(features.each("training_folds"),),
            work=lambda run: 2.0 + run.seed,
        )
        self.scores = Artefact(
            "scores.csv", make=self._scores, fields=("draws",), inputs=(self.network,), work=lambda run: 1.0
        )
        self.curve = Artefact("curve.csv", make=self._curve, inputs=(self.scores,))

    def _features(self, run, target, fold) -> None:
        target.write_text(f"{fold}")

    def _network(self, run, target) -> None:
        self.made.append(f"network {run.seed}")
        target.mkdir()
        weights = {"w": torch.tensor([run.seed + 0.1, 1e-3]), "steps": torch.tensor(7)}
        safetensors.torch.save_file(weights, target / "weights.safetensors")
        (target / "history.csv").write_text("epoch,loss\n1,0.5\n")

    def _scores(self, run, target) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.made.append(f"scores {run.seed} {run.draws}")
        target.write_text(f"clip,score\na.wav,0.{run.seed}\n")

    def _curve(self, run, target) -> None:
        self.made.append(f"curve {run.seed}")
        target.write_text("estimate\n0.5\n")

    def make(self) -> None:
        """What the study asks for, one after the other, as the jobs of its graph would."""
        for _, run, artefact in studies.jobs("mine", self.data):
            artefact.get(run)

    @property
    def data(self) -> str:
        return str(self.folder)

    def runs(self, data: str = "") -> list[study.Run]:
        return study.entries("mine", data=data or self.data)


@pytest.fixture
def world(library, monkeypatch, tmp_path):
    monkeypatch.setattr(artifacts, "ALL", {})
    monkeypatch.setattr(study, "study", lambda name: ENTRIES)
    monkeypatch.setattr(studies, "ALWAYS", ("network", "scores.csv"))
    study.RECORDED.mkdir(parents=True)
    (study.RECORDED / "answer.md").write_text("yes")
    artifacts.rates.cache_clear()
    jobs._known.cache_clear()
    yield World(tmp_path / "recordings")
    artifacts.rates.cache_clear()
    jobs._known.cache_clear()


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def spoil(path: Path, **changed) -> None:
    known = artifacts.record(path)
    artifacts.record_path(path).write_text(json.dumps(known | changed))
