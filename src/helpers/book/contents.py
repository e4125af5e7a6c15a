"""The contents of the book, its chapters, their parameters, labels and twins.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from helpers import InputError, artifacts, study

NOTEBOOKS = study.ROOT / "notebooks"


EXECUTED = study.ROOT / "book" / "executed"


# The architecture that hand-written sources name where each architecture of a run is meant.
TEMPLATE = "resnet18"


_LABEL = re.compile(r"^\(([\w:-]+)\)=|^:(?:label|name): *([\w:-]+)|^\$\$ *\(([\w:-]+)\)", re.MULTILINE)


def contents(architectures: Sequence[str]) -> dict:
    """The table of contents of _toc.yml with the chapters of each architecture of a run.

    Neighbouring entries whose files lie in a folder `resnet18` are repeated for each architecture.
    """

    def expand(entries: list) -> list:
        expanded = []
        for per_network, group in itertools.groupby(entries, lambda e: f"/{TEMPLATE}/" in e.get("file", "")):
            group = [
                {key: expand(value) if isinstance(value, list) else value for key, value in entry.items()}
                for entry in group
            ]
            text = yaml.safe_dump(group)
            copies = [for_architecture(text, name) for name in architectures] if per_network else [text]
            expanded += itertools.chain.from_iterable(map(yaml.safe_load, copies))
        return expanded

    return {
        key: expand(value) if isinstance(value, list) else value
        for key, value in yaml.safe_load((study.ROOT / "_toc.yml").read_text()).items()
    }


def files(contents: dict | list) -> Iterator[str]:
    """Every `file` (and the `root`) of a table of contents, in reading order."""
    if isinstance(contents, list):
        for entry in contents:
            yield from files(entry)
        return
    for key, value in contents.items():
        if key in ("root", "file"):
            yield value
        elif isinstance(value, list):
            yield from files(value)


def parameters_of(notebook: NotebookNode, *, name: str) -> dict:
    """Names and default values in the cell tagged `parameters`."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise InputError(f'{name} has {len(cells)} cells tagged "parameters"; give it exactly one')
    return {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(cells[0].source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def sources_of(chapter: str) -> list[str]:
    """Files of the helper modules that a chapter's cells use, from the repository's root."""
    notebook = jupytext.read(NOTEBOOKS / f"{chapter}.md")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    modules = sorted(artifacts.modules_of(code))
    return [artifacts.source_of(name).relative_to(study.ROOT).as_posix() for name in modules]


def for_architecture(text: str, architecture: str) -> str:
    """A text about the template network, said of another."""
    return text.replace(TEMPLATE, architecture).replace(
        TEMPLATE.replace("resnet", "ResNet"), architecture.replace("resnet", "ResNet")
    )


def labels_of(notebook: NotebookNode) -> set[str]:
    """Labels a chapter defines: sections, equations, directives with a name, figures of code cells."""
    found = set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found |= {next(filter(None, groups)) for groups in _LABEL.findall(cell.source)}
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        found |= {name} if name else set()
    return found


def make_labels_unique(notebook: NotebookNode, architecture: str) -> None:
    """Give the labels of all per-architecture chapters, and references to them, the run's suffix."""
    chapters = {Path(f).name for f in files(contents([TEMPLATE])) if f"/{TEMPLATE}/" in f}
    labels = set().union(*(labels_of(jupytext.read(NOTEBOOKS / f"{name}.md")) for name in chapters))
    pattern = re.compile(r"(?<![\w:-])(" + "|".join(map(re.escape, sorted(labels))) + r")(?![\w:-])")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = pattern.sub(rf"\1-{architecture}", cell.source)
            cell.source = re.sub(
                r"\A((?:\(.*\)=\n)?# .*)",
                lambda title: f"{title[1]} ({architecture.replace('resnet', 'ResNet')})",
                cell.source,
            )
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        for key in figure:
            figure[key] = pattern.sub(rf"\1-{architecture}", figure[key])


def pair(source: Path) -> str:
    """The .ipynb twin of a chapter as text: no outputs, cell ids that depend on the position alone."""
    notebook = jupytext.read(source)
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    notebook.metadata["jupytext"] = {"formats": "ipynb,md:myst"}
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook) + "\n"


def pairs(*, check: bool) -> None:
    """Write the .ipynb twins of all chapters, or refuse those that differ from their .md."""
    stale = []
    for source in sorted(NOTEBOOKS.glob("*.md")):
        twin, text = source.with_suffix(".ipynb"), pair(source)
        if twin.exists() and twin.read_text() == text:
            continue
        stale.append(twin.name)
        if not check:
            artifacts.write_text(twin, text)
    lonely = [p.name for p in NOTEBOOKS.glob("*.ipynb") if not p.with_suffix(".md").exists()]
    if lonely:
        raise InputError(f"notebooks without a .md twin: {', '.join(lonely)}; remove or pair them")
    if check and stale:
        raise InputError(f"notebooks differ from their .md twins: {', '.join(stale)}; run `make pairs`")
