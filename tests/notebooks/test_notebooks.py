"""Every chapter keeps the house's rules; nothing is executed here."""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import jupytext
import pytest

from helpers import study
from helpers.book import contents, execute

SOURCES = sorted((study.ROOT / "notebooks").glob("*.md"))
PAGES = [
    study.ROOT / f"{f}.md"
    for f in contents.files(contents.contents([contents.TEMPLATE]))
    if "/executed/" not in f
]
PER_NETWORK = {
    Path(f).name
    for f in contents.files(contents.contents([contents.TEMPLATE]))
    if f"/{contents.TEMPLATE}/" in f
}
HELPERS = sorted((study.ROOT / "src" / "helpers").glob("*.py"))
EVERY = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

_REFERENCE = re.compile(r"\{(?:ref|numref|eq)\}`(?:[^`<]*<)?([\w:-]+)>?`")
_CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
_FORMULA = re.compile(r"\$\$.*?\$\$|```\{math\}.*?```|\$[^$\n]+\$", re.DOTALL)


def read(source: Path):
    return jupytext.read(source)


def cells(source: Path, kind: str) -> list:
    return [cell for cell in read(source).cells if cell.cell_type == kind]


def tagged(source: Path, tag: str) -> list:
    return [cell for cell in read(source).cells if tag in cell.metadata.get("tags", [])]


def markdown(source: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(source, "markdown"))


def prose(text: str) -> str:
    """Markdown without formulas, code and targets of roles."""
    text = re.sub(r"```\w*\n.*?```", "", _FORMULA.sub("", text), flags=re.DOTALL)
    text = re.sub(r"^%.*$", "", text, flags=re.MULTILINE)  # MyST's comments
    return re.sub(r"`[^`\n]*`", "", text)


def test_there_are_chapters():
    assert len(SOURCES) >= 11
    assert [source.stem[:2] for source in SOURCES] == [f"{i:02d}" for i in range(1, len(SOURCES) + 1)]


# Twins


@EVERY
def test_the_twin_is_in_step_and_has_no_outputs(source):
    twin = source.with_suffix(".ipynb")
    assert twin.read_text() == contents.pair(source), "run `make pairs`"
    for cell in json.loads(twin.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_no_notebook_is_without_a_source():
    assert {p.stem for p in (study.ROOT / "notebooks").glob("*.ipynb")} == {p.stem for p in SOURCES}


@EVERY
def test_the_kernel_is_named(source):
    assert read(source).metadata["kernelspec"]["name"] == "python3"


# Parameters


@EVERY
def test_there_is_one_cell_of_parameters_and_each_line_says_its_legal_values(source):
    (cell,) = tagged(source, "parameters")
    for line in cell.source.splitlines():
        assert re.fullmatch(r'\w+ = (?:"[^"]*"|\d+)  # \S.*', line), line


@EVERY
def test_every_parameter_is_known_and_has_a_legal_default(source):
    parameters = contents.parameters_of(read(source), name=source.name)
    assert parameters
    for name, value in parameters.items():
        study.check(name, value, where=source.name)
        if name in study.CHOICES:
            assert value == study.CHOICES[name][0]


@EVERY
def test_the_comments_name_the_legal_values_and_no_others(source):
    (cell,) = tagged(source, "parameters")
    for line in cell.source.splitlines():
        name, comment = line.split(" = ")[0], line.partition("  # ")[2]
        if name in study.CHOICES:
            named = re.findall(r'"([^"]+)"', comment) or [int(n) for n in re.findall(r"\d+", comment)]
            assert set(named) == set(study.CHOICES[name]), line


@EVERY
def test_the_imports_come_first_and_once(source):
    code = [c.source for c in cells(source, "code") if "parameters" not in c.metadata.get("tags", [])]
    later = [line for text in code[1:] for line in text.splitlines() if re.match(r"(import|from) ", line)]
    assert later == []


@EVERY
def test_chapters_build_no_path_and_open_no_file(source):
    tree = ast.parse("\n".join(c.source for c in cells(source, "code")))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"open", "Path", "os", "pathlib", "requests", "urllib", "subprocess"}


# Cells


@EVERY
def test_code_cells_are_short(source):
    lines = [[line for line in c.source.splitlines() if line.strip()] for c in cells(source, "code")]
    assert {own[0]: len(own) for own in lines if len(own) > 20} == {}


@EVERY
def test_functions_in_chapters_are_shorter_than_their_idea(source):
    for cell in cells(source, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno + 1 <= 13, f"{node.name} in {source.name}"
            assert not isinstance(node, ast.ClassDef), f"a class in {source.name}"


@EVERY
def test_every_code_cell_says_something_before_it(source):
    # a figure or table without a sentence anywhere before it since the last heading is not explained
    kinds = [c.cell_type for c in read(source).cells]
    assert kinds[0] == "markdown"
    assert not re.search(r"(code,){6}", ",".join(kinds) + ",")


@EVERY
def test_every_drawing_cell_has_a_name_a_caption_and_a_text_for_those_who_cannot_see_it(source):
    for cell in cells(source, "code"):
        figure = cell.metadata.get("mystnb", {}).get("figure")
        last = cell.source.strip().splitlines()[-1] if cell.source.strip() else ""
        statement = ast.parse(cell.source).body[-1] if cell.source.strip() else None
        drawn = isinstance(statement, ast.Expr) and "plots." in ast.unparse(statement)
        drawn = drawn and "glue(" not in ast.unparse(statement)
        if drawn and "student" not in cell.metadata.get("tags", []):
            assert figure, f"no figure metadata: {last}"
        if not figure:
            continue
        assert re.fullmatch(r"fig:[\w-]+", figure["name"])
        assert len(figure["caption"]) > 20
        assert figure["caption"].rstrip().endswith(".")
        assert len(cell.metadata["mystnb"]["image"]["alt"]) > 20


@EVERY
def test_glued_figures_have_a_text_for_those_who_cannot_see_them(source):
    for block in re.findall(r":::\{glue:figure\}.*?^:::", markdown(source), re.DOTALL | re.MULTILINE):
        assert re.search(r"^:alt: \S.{20,}", block, re.MULTILINE), block


@EVERY
def test_tables_of_a_run_have_a_caption(source):
    for cell in cells(source, "code"):
        if ".style" in cell.source and "student" not in cell.metadata.get("tags", []):
            assert "set_caption(" in cell.source, cell.source


# Words


@EVERY
def test_every_chapter_has_its_parts(source):
    text = markdown(source)
    assert re.match(r"\(sec:[\w-]+\)=\n# \S", text)
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)) == 1
    assert ":::{admonition} In this chapter\n" in text
    assert re.search(r"^## Change this$", text, re.MULTILINE)
    assert re.search(r"^## Summary$", text, re.MULTILINE)
    assert tagged(source, "student")


@EVERY
def test_what_to_change_follows_its_heading_and_says_what_to_expect(source):
    notebook = read(source)
    heading = next(
        i for i, c in enumerate(notebook.cells) if c.cell_type == "markdown" and "## Change this" in c.source
    )
    assert "student" in notebook.cells[heading + 1].metadata.get("tags", [])
    after = notebook.cells[heading].source.partition("## Change this")[2]
    assert re.search(r"\b[Ee]xpect", after)


@EVERY
def test_no_number_in_the_prose_looks_like_a_result(source):
    # results come from result files: a share or a decimal in a sentence was typed
    text = prose(markdown(source))
    assert re.findall(r".*\d ?%.*|.* per ?cent\b.*", text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_number_on_a_page_by_hand_looks_like_a_result(page):
    assert re.findall(r".*\d ?%.*|.* per ?cent\b.*", prose(page.read_text())) == []


@EVERY
def test_no_waiting_time_is_typed(source):
    text = prose(markdown(source))
    assert re.findall(r"[Tt]akes (?:about )?\d+ (?:s|min)\b.*", text) == []


@EVERY
def test_admonitions_are_closed(source):
    for cell in cells(source, "markdown"):
        fences = Counter(re.findall(r"^(:{3,}|`{3,})\{?", cell.source, re.MULTILINE))
        assert all(n % 2 == 0 for n in fences.values()), cell.source


# Labels and citations


def labels() -> dict[str, set[str]]:
    found = {source.stem: contents.labels_of(read(source)) for source in SOURCES}
    for page in PAGES:
        text = page.read_text()
        groups = re.findall(r"^\(([\w:-]+)\)=|^:(?:name|label): *([\w:-]+)", text, re.MULTILINE)
        found[page.stem] = {target or name for target, name in groups}
    return found


def test_labels_are_unique_across_chapters():
    counted = Counter(label for found in labels().values() for label in found)
    assert [label for label, n in counted.items() if n > 1] == []


@EVERY
def test_labels_are_unique_within_a_chapter(source):
    notebook = read(source)
    text = markdown(source)
    found = [next(filter(None, groups)) for groups in contents._LABEL.findall(text)]
    found += [
        c.metadata["mystnb"]["figure"]["name"]
        for c in notebook.cells
        if "figure" in c.metadata.get("mystnb", {})
    ]
    assert [label for label, n in Counter(found).items() if n > 1] == []


@pytest.mark.parametrize("source", [*SOURCES, *PAGES], ids=lambda path: path.stem)
def test_every_reference_finds_its_label(source):
    # a page outside a network's folder names a network's label with its suffix: sec:training-resnet18
    known = labels()
    own = set().union(*(known[name] for name in PER_NETWORK))
    common = set().union(*known.values()) - own
    if source in SOURCES:
        notebook = read(source)
        text = markdown(source) + json.dumps([c.metadata.get("mystnb", {}) for c in notebook.cells])
    else:
        text = source.read_text()
    for label in _REFERENCE.findall(text):
        if source.stem in PER_NETWORK:
            assert label in own | common, label
        else:
            assert label in common or label.removesuffix(f"-{contents.TEMPLATE}") in own, label
            assert label not in own, f"{label} exists only with a network's suffix"


@pytest.mark.parametrize("source", [*SOURCES, *PAGES], ids=lambda path: path.stem)
def test_a_network_is_named_by_hand_only_where_it_stands_for_each(source):
    if source in SOURCES and source.stem not in PER_NETWORK:
        outside = execute._EACH.sub("", markdown(source))
        assert [label for label in _REFERENCE.findall(outside) if label.endswith(contents.TEMPLATE)] == []


@pytest.mark.parametrize("source", [*SOURCES, *PAGES], ids=lambda path: path.stem)
def test_every_citation_is_in_the_bibliography(source):
    keys = set(re.findall(r"@\w+\{([^,\s]+),", (study.ROOT / "book" / "references.bib").read_text()))
    text = source.read_text()
    cited = {key.strip() for group in _CITATION.findall(text) for key in group.split(",")}
    assert cited <= keys


# Helpers and chapters


@pytest.mark.parametrize("module", HELPERS, ids=lambda path: path.stem)
def test_helpers_name_chapters_that_exist(module):
    named = {}
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        said = ast.get_docstring(node) or ""
        if "Chapter:" in said:
            named[getattr(node, "name", module.stem)] = said.partition("Chapter:")[2]
    wrong = {}
    for name, said in named.items():
        chapters = re.findall(r"notebooks/([\w]+)\.md", said)
        missing = [c for c in chapters if not (study.ROOT / "notebooks" / f"{c}.md").is_file()]
        if missing or not (chapters or "every notebook" in said):
            wrong[name] = said.strip()
    assert wrong == {}


@pytest.mark.parametrize("module", HELPERS, ids=lambda path: path.stem)
def test_public_functions_that_chapters_call_name_their_chapter(module):
    called = {
        name
        for source in SOURCES
        for cell in cells(source, "code")
        for name in re.findall(rf"\b{module.stem}\.(\w+)\(", cell.source)
    }
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name in called:
            assert "Chapter:" in (ast.get_docstring(node) or ""), f"{module.stem}.{node.name}"


@EVERY
def test_chapters_call_helpers_that_exist(source):
    code = "\n".join(c.source for c in cells(source, "code"))
    modules = {
        alias.name
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module == "helpers"
        for alias in node.names
    }
    for module in modules:
        path = study.ROOT / "src" / "helpers" / f"{module}.py"
        assert path.is_file(), f"{source.name} imports {module}"
        tree = ast.parse(path.read_text())
        names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
        names |= {
            target.id
            for n in tree.body
            if isinstance(n, ast.Assign | ast.AnnAssign)
            for target in (n.targets if isinstance(n, ast.Assign) else [n.target])
            if isinstance(target, ast.Name)
        }
        nodes = list(ast.walk(ast.parse(code)))
        stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        assert module not in stored, f"{source.name} gives the name of module {module} to something else"
        used = {
            n.attr
            for n in nodes
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == module
        }
        assert used <= names, f"{source.name}: {module}.{sorted(used - names)}"


@EVERY
def test_chapters_use_every_module_they_import(source):
    tree = ast.parse("\n".join(c.source for c in cells(source, "code")))
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported <= used
