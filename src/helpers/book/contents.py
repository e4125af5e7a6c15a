"""The contents of the book, its chapters, their parameters, labels and twins.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from helpers import InputError, artifacts, study

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = study.ROOT / "notebooks"
EXECUTED = study.ROOT / "book" / "executed"
PARTS = ("recorded", "copy")
# The architecture that hand-written sources name where each architecture of a run is meant.
TEMPLATE = "resnet18"
_LABEL = re.compile(r"^\(([\w:-]+)\)=|^:(?:label|name): *([\w:-]+)|^\$\$ *\(([\w:-]+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """An executed chapter of the book, as its place in the contents says.

    chapter : NN_title. part : "recorded", "copy" or "" for a chapter that asks for no data.
    architecture : of a chapter that is executed once per network, else "".
    """

    chapter: str
    part: str
    architecture: str

    @classmethod
    def of(cls, file: str) -> Page:
        """The page of an entry of the contents, or of an output of `execute`, below book/executed."""
        *folders, chapter = file.rpartition("book/executed/")[2].removesuffix(".ipynb").split("/")
        part = folders[0] if folders and folders[0] in PARTS else ""
        rest = folders[bool(part) :]
        return cls(chapter=chapter, part=part, architecture=rest[0] if rest else "")

    @property
    def suffix(self) -> str:
        """What its labels get, so that no two pages share one."""
        return "".join(f"-{end}" for end in (self.architecture, self.part if self.part == "copy" else "") if end)


def recorded_architectures() -> list[str]:
    """Networks that the reference study has of the folds of its first run, in its order."""
    every = study.entries()
    return list(dict.fromkeys(run.architecture for run in every if run.training_folds == every[0].training_folds))


def contents(architectures: Sequence[str], *, parts: Sequence[str] = PARTS) -> dict:
    """The table of contents of _toc.yml with the chapters of each architecture of a run.

    Neighbouring entries whose files lie in a folder `resnet18` are repeated for each architecture: the
    recorded ones, or those of the call. Executed chapters of parts that are not built are left out, and captions
    with no chapter below them; so are the parameters (`passed`), which the site does not know.
    """

    def expand(entries: list) -> list:
        expanded: list = []
        entries = [e for e in entries if not (page := executed(e.get("file", ""))) or page.part in ("", *parts)]
        for part, group in itertools.groupby(entries, _per_network):
            texts = [
                yaml.safe_dump({k: expand(v) if isinstance(v, list) else v for k, v in entry.items() if k != "with"})
                for entry in group
            ]
            names = {"recorded": recorded_architectures(), "copy": architectures}.get(part, [TEMPLATE])
            expanded += [yaml.safe_load(for_architecture(text, name)) for name in names for text in texts]
        return [entry for entry in expanded if entry.get("chapters") != []]

    return {
        key: expand(value) if isinstance(value, list) else value
        for key, value in yaml.safe_load((study.ROOT / "_toc.yml").read_text()).items()
    }


def passed(page: Page) -> dict[str, object]:
    """Parameters that the contents pass to a page beside its part's: `with` of its entry in _toc.yml."""
    return next((entry.get("with", {}) for entry in _entries() if _is(entry, page)), {})


def _is(entry: dict, page: Page) -> bool:
    other = executed(entry.get("file", ""))
    return other is not None and (other.chapter, other.part) == (page.chapter, page.part)


def _entries() -> Iterator[dict]:
    """Every entry of _toc.yml, as it stands there."""
    waiting = [yaml.safe_load((study.ROOT / "_toc.yml").read_text())]
    while waiting:
        entry = waiting.pop()
        yield entry
        waiting += [one for value in entry.values() if isinstance(value, list) for one in value]


def executed(file: str) -> Page | None:
    """The page of an entry, None for a hand-written one."""
    return Page.of(file) if "/executed/" in file else None


def _per_network(entry: dict) -> str:
    page = executed(entry.get("file", ""))
    return page.part if page and page.architecture else ""


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


def read(source: Path) -> NotebookNode:
    """A chapter, or its twin, as a notebook.

    Raises
    ------
    InputError
        It holds a merge conflict, or cannot be read.
    """
    import jupytext  # here, because it takes seconds to import

    try:
        lines = source.read_text(encoding="utf-8").splitlines()
        if marked := [i for i, line in enumerate(lines, start=1) if line.startswith(("<<<<<<< ", ">>>>>>> "))]:
            raise InputError(
                f"notebooks/{source.name}, line {marked[0]}: a merge conflict is not settled; keep one side and remove "
                "the marks around both"
            )
        return jupytext.read(source)
    except (OSError, ValueError, yaml.YAMLError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(
            f"notebooks/{source.name} cannot be read ({reason:.200}); mend it, or take it from git"
        ) from None


def parameters_of(notebook: NotebookNode, *, name: str) -> dict:
    """Names and default values in the cell tagged `parameters`."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise InputError(f'{name} has {len(cells)} cells tagged "parameters"; give it exactly one')
    assigned = [node for node in _parsed(cells[0].source, name=name).body if isinstance(node, ast.Assign)]
    try:
        return {
            target.id: ast.literal_eval(node.value)
            for node in assigned
            for target in node.targets
            if isinstance(target, ast.Name)
        }
    except ValueError:
        raise InputError(
            f'{name}: the cell tagged "parameters" holds more than plain values; give numbers or texts'
        ) from None


def _parsed(code: str, *, name: str) -> ast.Module:
    """The code of a cell; a slip in it is one sentence."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError) as error:
        where = f": {error.text.strip()}" if isinstance(error, SyntaxError) and error.text else ""
        raise InputError(f"{name} has a cell that is no Python ({error.args[0]}{where}); mend it") from None


@functools.cache
def parameters(chapter: str) -> dict:
    """Names and default values of a chapter's parameters."""
    return parameters_of(read(NOTEBOOKS / f"{chapter}.md"), name=f"{chapter}.md")


@functools.cache
def _code(chapter: str) -> str:
    cells = [cell.source for cell in read(NOTEBOOKS / f"{chapter}.md").cells if cell.cell_type == "code"]
    for cell in cells:
        _parsed(cell, name=f"{chapter}.md")
    return "\n".join(cells)


def imports_of(chapter: str) -> set[str]:
    """Names of the helper modules that a chapter's cells import themselves, such as "maps.explainers"."""
    nodes = [node for node in ast.walk(ast.parse(_code(chapter))) if isinstance(node, ast.ImportFrom)]
    return {f"{n.module}.{a.name}".partition(".")[2] for n in nodes if n.module for a in n.names}


def sources_of(chapter: str) -> list[str]:
    """Files of the helper modules that a chapter's cells use, from the repository's root."""
    modules = sorted(artifacts.modules_of(_code(chapter)))
    return [artifacts.source_of(name).relative_to(study.ROOT).as_posix() for name in modules]


def for_architecture(text: str, architecture: str) -> str:
    """A text about the template network, said of another."""
    return text.replace(TEMPLATE, architecture).replace(study.named(TEMPLATE), study.named(architecture))


def labels_of(notebook: NotebookNode) -> set[str]:
    """Labels a chapter defines: sections, equations, directives with a name, figures of code cells."""
    found = set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found |= {next(filter(None, groups)) for groups in _LABEL.findall(cell.source)}
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        found |= {name} if name else set()
    return found


def _labels(part: str, *, per_network: bool) -> frozenset[str]:
    """Labels of the chapters of a part that are executed once per network, or of the others."""
    read_from = [study.ROOT / "_toc.yml", *sorted(NOTEBOOKS.glob("*.md"))]
    return _labels_of(part, per_network, tuple((path.name, path.stat().st_mtime_ns) for path in read_from))


@functools.cache
def _labels_of(part: str, per_network: bool, state: tuple) -> frozenset[str]:
    pages = [page for f in files(contents([TEMPLATE])) if (page := executed(f)) and page.part == part]
    chapters = [page.chapter for page in pages if bool(page.architecture) == per_network]
    return frozenset().union(*(labels_of(read(NOTEBOOKS / f"{name}.md")) for name in chapters))


def prepare() -> None:
    """Read the labels of all chapters once, for all that is forked from this process."""
    for part, per_network in itertools.product(PARTS, (True, False)):
        _labels(part, per_network=per_network)


def make_labels_unique(notebook: NotebookNode, page: Page) -> None:
    """Give labels, and references to them, the suffixes of the page: its network's, and "-copy" in that part.

    So a page of *your copy* refers to pages of *your copy*, and a network's chapter to the same network's.
    """
    if page.architecture:
        _suffix(notebook, _labels(page.part, per_network=True), f"-{page.architecture}")
    own = _labels("copy", per_network=False)
    if page.part == "copy":
        own |= {f"{label}-{name}" for label in _labels("copy", per_network=True) for name in study.NETWORKS}
    else:  # a chapter that only your copy has
        own -= _labels("recorded", per_network=False)
    _suffix(notebook, own, "-copy")
    said = [study.named(page.architecture)] * bool(page.architecture) + ["your copy"] * (page.part == "copy")
    if said:
        first = notebook.cells[0]
        title = re.compile(r"\A((?:\(.*\)=\n)?# .*)")
        first.source = title.sub(lambda found: f"{found[1]} ({', '.join(said)})", first.source)


def _suffix(notebook: NotebookNode, labels: Iterable[str], suffix: str) -> None:
    labels = sorted(labels, key=len, reverse=True)
    if not labels:
        return
    pattern = re.compile(r"(?<![\w:-])(" + "|".join(map(re.escape, labels)) + r")(?![\w:-])")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = pattern.sub(rf"\1{suffix}", cell.source)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        for key in figure:
            figure[key] = pattern.sub(rf"\1{suffix}", figure[key])


def pair(source: Path) -> str:
    """The .ipynb twin of a chapter as text: no outputs, cell ids that depend on the position alone."""
    import nbformat

    notebook = read(source)
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    notebook.metadata["jupytext"] = {"formats": "ipynb,md:myst"}
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook) + "\n"


def _is_edited(twin: Path) -> bool:
    """Whether a twin is newer than its chapter and says something else, not only in another form."""
    source = twin.with_suffix(".md")
    if not twin.exists() or twin.stat().st_mtime_ns <= source.stat().st_mtime_ns:
        return False
    return [cell.source for cell in read(twin).cells] != [cell.source for cell in read(source).cells]


def fields() -> str:
    """All choices of the study as a table in Markdown, from their declaration; book/choices.md shows it."""
    table = study.table()
    lines = [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
    for row in table.astype(str).to_numpy():
        cells = [cell.replace("|", "\\|") for cell in row]
        lines.append(f"| `{cells[0]}` | {' | '.join(cells[1:])} |")
    return "\n".join(lines) + "\n"


def reading_order() -> str:
    """The chapters as they are read, with links to their notebooks, in Markdown: JupyterLab's first page."""
    said = [
        "# Where to begin",
        "Open a chapter and run its cells from top to bottom (Shift and Enter). Each runs by itself: what an earlier "
        "one would have made is made or loaded.",
    ]
    seen: set[str] = set()
    for part in yaml.safe_load((study.ROOT / "_toc.yml").read_text())["parts"]:
        pages = [page.chapter for file in files(part["chapters"]) if (page := executed(file))]
        fresh = [name for name in dict.fromkeys(pages) if name not in seen]
        seen.update(fresh)
        links = "\n".join(f"- [{_title(name)}](../{name}.ipynb)" for name in fresh)
        said += [f"## {part['caption']}", links] if fresh else []
    return "\n\n".join(said) + "\n"


def _title(chapter: str) -> str:
    lines = (NOTEBOOKS / f"{chapter}.md").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("# ")).removeprefix("# ")


def _listed(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _commented(chapter: str) -> str:
    """A chapter's text in which each parameter says what its field is today."""

    def line(found: re.Match) -> str:
        return found[1] + (study.comment(found[2]) if found[2] in study.FIELDS else found[3])

    def cell(found: re.Match) -> str:
        return re.sub(r"^((\w+) = .*?  # )(.*)$", line, found[0], flags=re.MULTILINE)

    return re.sub(r"^:tags: \[parameters\]\n.*?^```$", cell, chapter, flags=re.MULTILINE | re.DOTALL)


def pairs(*, check: bool) -> None:
    """Write what follows from the chapters and the choices, or refuse what is out of step.

    What stands beside each parameter, the .ipynb twins of all chapters, the table of choices and the reading order.

    Raises
    ------
    InputError
        A twin has no chapter, is out of step (`check`), or was edited later than its chapter: it would be lost.
    """
    sources = sorted(NOTEBOOKS.glob("*.md"))
    commented = {source: _commented(source.read_text(encoding="utf-8")) for source in sources}
    outdated = [path for path, text in commented.items() if path.read_text(encoding="utf-8") != text]
    if check and outdated:
        raise InputError(f"{_listed(outdated)} differ from what they are made from; run `make pairs`")
    for path in outdated:
        artifacts.write_text(path, commented[path])
    written = {source.with_suffix(".ipynb"): pair(source) for source in sources}
    written[study.ROOT / "book" / "fields.md"] = fields()
    written[NOTEBOOKS / "start" / "reading_order.md"] = reading_order()
    stale = [path for path, text in written.items() if not path.exists() or path.read_text() != text]
    lonely = [p.name for p in NOTEBOOKS.glob("*.ipynb") if not p.with_suffix(".md").exists()]
    if lonely:
        raise InputError(f"notebooks without a .md twin: {', '.join(lonely)}; remove or pair them")
    edited = [path for path in stale if path.suffix == ".ipynb" and _is_edited(path)]
    if edited:
        names = ", ".join(f"{path.name} was edited later than {path.stem}.md" for path in edited)
        raise InputError(
            f"{names}; take its changes over with `jupytext --to md:myst FILE.ipynb`, or drop them with "
            "`git checkout FILE.ipynb`"
        )
    if check and stale:
        raise InputError(f"{_listed(stale)} differ from what they are made from; run `make pairs`")
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        artifacts.write_text(path, written[path])
