"""The study as a graph: which page is executed with what, from the contents and from what the artefacts declare.

The Snakefile makes a rule of each step. A page of your copy has as further outputs the provenance records of the
artefacts that its chapter makes: small, so that Snakemake compares their content, and touched when the artefact is
found fresh.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import artifacts, study
from helpers.artifacts import Artefact
from helpers.book import contents, site
from helpers.book.contents import Page
from helpers.findings import outcomes
from helpers.study import Run

# the longest way through the graph first, then the pages that take longest by themselves: none is left over at the end
FIRST = (
    *("30_explorer", "25_agreement", "26_commonalities", "12_engine"),
    *("27_depth", "18_specifications", "16_sanity", "15_controls"),
    *("08_scores", "06_explanations", "05_training"),
)
RECORDED = "_build/recorded.json"  # the content digests of all that is recorded, by file
_CELL = re.compile(r"^(?P<fence>`{3,})\{code-cell\}.*?^(?P=fence)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Call:
    """What `make book` was asked for; `others` are further fields of a run."""

    archs: list[str]
    parts: list[str]
    profile: str
    data: str
    others: dict[str, Any]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Call:
        """The call that Snakemake's configuration holds."""
        others = settings.get("others", {})
        return cls(
            archs=settings.get("archs", "resnet18 resnet101").split(),
            parts=settings.get("parts", " ".join(contents.PARTS)).split(),
            profile=settings.get("profile", "quick"),
            data=str(settings.get("data") or ""),
            others=json.loads(others) if isinstance(others, str) else others,
        )

    @property
    def files(self) -> list[str]:
        """The entries of the contents, in reading order."""
        return list(contents.files(contents.contents(self.archs, parts=self.parts)))

    def run(self, architecture: str) -> Run:
        """The run of a network."""
        return study.open(architecture=architecture, profile=self.profile, data=self.data, **self.others)


def given(call: Call, page: Page) -> dict[str, object]:
    """The parameters that a page is executed with.

    Chapter: notebooks/11_runs.md
    """
    if not page.part:
        return {}
    values: dict[str, object] = {"data": "recorded"}
    names = contents.recorded_architectures()
    if page.part == "copy":
        values, names = {"profile": call.profile, "data": call.data, **call.others}, call.archs
    values |= contents.passed(page)
    own = contents.parameters(page.chapter)
    values |= {"architectures": " ".join(names)} if "architectures" in own else {}
    if page.architecture or own.get("architecture") == contents.TEMPLATE:
        values["architecture"] = page.architecture or names[0]
    return values


def steps(call: Call) -> list[dict[str, Any]]:
    """One step per executed page, kept in _build/graph.json until something that it follows from is changed.

    Returns
    -------
    Of each step: name, page (the file), inputs, records (further outputs), given (parameters as the command line
    takes them), part and priority.
    """
    kept = site.BUILD / "graph.json"
    key = _key(call)
    _list_recorded()
    with contextlib.suppress(OSError, ValueError, KeyError):  # not there, or not whole
        if (known := json.loads(kept.read_text()))["key"] == key:
            return known["steps"]
    made = list(_steps(call))
    kept.parent.mkdir(exist_ok=True)
    artifacts.write_text(kept, json.dumps({"key": key, "steps": made}))
    return made


def digest(files: Iterable[str]) -> str:
    """One digest of the contents of some files: Snakemake itself only looks at times, and a clock can be wrong."""
    said = {file: artifacts.content_digest(study.ROOT / file) for file in files}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def forget(call: Call) -> None:
    """Remove the records of artefacts that are gone or were changed: the chapters that make them do so again."""
    for record in {study.ROOT / record for step in steps(call) for record in step["records"]}:
        if record.exists() and not artifacts.unchanged(record):
            record.unlink()


def _key(call: Call) -> str:
    """A digest of all that the steps follow from: files, chapters' cells, names of recorded ones, the call's runs."""
    files = [study.ROOT / "_toc.yml", *study.ROOT.glob("config/**/*.yaml")]
    files += (Path(__file__).parents[1]).rglob("*.py")
    runs = [call.run(name) for name in call.archs] if "copy" in call.parts else []
    facts = [repr(call), repr(runs), repr([(run.source, run.source.results) for run in runs]), _recorded()]
    for chapter in sorted(contents.NOTEBOOKS.glob("*.md")):
        cells = _CELL.finditer(chapter.read_text(encoding="utf-8", errors="replace"))
        facts.append([chapter.name, *(cell[0] for cell in cells)])
    said = json.dumps([facts, {str(path): artifacts.content_digest(path) for path in sorted(files)}])
    return hashlib.sha256(said.encode()).hexdigest()


def _recorded() -> list[str]:
    """Every recorded table, its provenance, and what the recorded pages read beside them."""
    files = (path for path in study.RECORDED.rglob("[!.]*.*") if path.is_file())
    found = sorted(path.relative_to(study.ROOT).as_posix() for path in files)
    return [*found, "data/claims.yaml", *(f"config/studies/{name}.yaml" for name in ("reference", "folds"))]


def _list_recorded() -> None:
    """Write down what is recorded, file by file, where something has changed.

    Pages are made from this list: of each step's inputs Snakemake asks again and again, and it was five hundred files.
    """
    said = json.dumps({file: artifacts.content_digest(study.ROOT / file) for file in _recorded()}, indent=1)
    path = study.ROOT / RECORDED
    if not path.exists() or path.read_text() != said:
        path.parent.mkdir(exist_ok=True)
        artifacts.write_text(path, said)


def _steps(call: Call) -> Iterable[dict[str, Any]]:
    from helpers.book import studies  # here, because it takes seconds to import

    def of(page: Page) -> list[str]:
        """The architectures that a page of your copy speaks of."""
        if page.architecture:
            return [page.architecture]
        own = contents.parameters(page.chapter)
        if own.get("architecture", contents.TEMPLATE) != contents.TEMPLATE:  # a chapter about one network
            return [own["architecture"]]
        return call.archs if "architectures" in own else call.archs[:1]

    def records(artefact: Artefact, page: Page) -> list[str]:
        """The provenance records of an artefact of your copy; of one that is made fold by fold, one for each."""
        paths = []
        for run in map(call.run, of(page)):
            folds = (*run.training_folds, run.test_fold) if artefact.folds else (None,)
            paths += [artifacts.record_path(artefact.path(run, fold)) for fold in folds]
        root = study.ROOT
        return [str(p.relative_to(root) if p.is_relative_to(root) else p) for p in dict.fromkeys(paths)]

    def outputs(page: Page) -> list[str]:
        made = [one for one in artifacts.ALL.values() if one.chapter == page.chapter and page.part == "copy"]
        if page.architecture:  # what several networks share is made by the first that asks
            made = [one for one in made if "architecture" in one.closure]
        return [record for one in made for record in records(one, page)]

    def inputs(page: Page) -> list[str]:
        """The chapter, profiles, packages, the helper modules its cells import, and the records of what it reads."""
        chapter = [f"notebooks/{page.chapter}.md", "config/profiles.yaml", "requirements.lock"]
        chapter += contents.sources_of(page.chapter)
        if "findings.outcomes" in contents.imports_of(page.chapter):
            chapter.append(outcomes.path().relative_to(study.ROOT).as_posix())
        if page.part != "copy":  # a chapter that asks for no data may ask the network that is recorded
            return chapter + ([RECORDED] if page.part or studies.reads(page.chapter) else [])
        if page.chapter == "11_runs":  # it lists what made every file, so it comes last of all
            return chapter + sorted(made)
        others = [one for one in studies.reads(page.chapter) if one.chapter != page.chapter]
        return chapter + [record for one in others for record in records(one, page) if record in made]

    pages = {file: page for file in call.files if (page := contents.executed(file))}
    made = {record for page in pages.values() for record in outputs(page)}
    for file, page in pages.items():
        yield {
            "name": file.partition("executed/")[2].replace("/", "_"),
            "page": f"{file}.ipynb",
            "inputs": inputs(page),
            "records": outputs(page),
            "given": " ".join(f"-p {shlex.quote(f'{name}={value}')}" for name, value in given(call, page).items()),
            "part": page.part,
            "priority": 10 * (FIRST.index(page.chapter) + 1) if page.chapter in FIRST else 0,
        }
