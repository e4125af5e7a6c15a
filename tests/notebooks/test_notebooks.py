"""Every chapter keeps the house's rules; nothing is executed here."""

import ast
import copy
import functools
import importlib
import inspect
import json
import re
from collections import Counter
from types import ModuleType

import jupytext
import pytest

from helpers import artifacts, show, study
from helpers.book import contents, execute, studies

SOURCES = sorted((study.ROOT / "notebooks").glob("*.md"))
NETWORKS = ("resnet18", "resnet34")  # of a copy: one that is recorded, one that is not
FILES = list(contents.files(contents.contents(NETWORKS)))
EXECUTED = {file: page for file in FILES if (page := contents.executed(file))}
PAGES = [study.ROOT / f"{file}.md" for file in FILES if file not in EXECUTED]
HELPERS = sorted((study.ROOT / "src" / "helpers").rglob("*.py"))
EVERY = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
COPIED = {page.chapter for page in EXECUTED.values() if page.part == "copy"}
RECORDED_ONLY = {page.chapter for page in EXECUTED.values() if page.part == "recorded"} - COPIED
PER_NETWORK = {page.chapter for page in EXECUTED.values() if page.architecture}
# What a chapter about one step of the study lets a reader change, by its number.
OWN = {
    "03": ["n_mfcc", "n_fft", "hop_length", "frames", "padding"],
    "05": ["epochs", "batch_size", "learning_rate"],
    "06": ["explainer", "layer", "explained", "explanations"],
    "08": ["draws", "features_in_step", "perturb_baseline"],
}
# Fields whose default depends on the profile, the network, the data or another field.
SETTLED = {"training_folds", "layer", "features_in_step", "layers", "readings", "baselines"} | {
    name for name in study.FIELDS if study.comment(name).startswith("the profile's")
}

_REFERENCE = re.compile(r"\{(?:ref|numref|eq)\}`(?:[^`<]*<)?([\w:-]+)>?`")
_CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
_FORMULA = re.compile(r"\$\$.*?\$\$|```\{math\}.*?```|\$[^$\n]+\$", re.DOTALL)


@functools.cache
def read(source):
    return jupytext.read(source)


def cells(source, kind: str) -> list:
    return [cell for cell in read(source).cells if cell.cell_type == kind]


def tagged(source, tag: str) -> list:
    return [cell for cell in read(source).cells if tag in cell.metadata.get("tags", [])]


def markdown(source) -> str:
    return "\n\n".join(cell.source for cell in cells(source, "markdown"))


@functools.cache
def code(source) -> str:
    return "\n".join(cell.source for cell in cells(source, "code"))


def prose(text: str) -> str:
    """Markdown without formulas, code and targets of roles."""
    text = re.sub(r"```\w*\n.*?```", "", _FORMULA.sub("", text), flags=re.DOTALL)
    text = re.sub(r"^%.*$", "", text, flags=re.MULTILINE)  # MyST's comments
    return re.sub(r"`[^`\n]*`", "", text)


def test_there_are_chapters():
    assert {"three_bars", "history", "nulls"} <= FIGURES
    assert len(SOURCES) >= 11
    assert [source.stem[:2] for source in SOURCES] == [f"{i:02d}" for i in range(1, len(SOURCES) + 1)]


# Twins


# parameters that are no choice of the study
OF_A_CHAPTER = {"32_playground": ("sound", "second")}
# chapters about one network, or about one fold
OWN_DEFAULT = {"20_known_truth": {"architecture": "framenet"}, "21_confirmation": {"test_fold": 3}}


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


def lines_of_parameters(source) -> dict[str, str]:
    """What stands beside each parameter, by its name, in the cell's order."""
    (cell,) = tagged(source, "parameters")
    found = {}
    for line in cell.source.splitlines():
        assert re.fullmatch(r"\w+ = (?:\"[^\"]*\"|[\d.e-]+|None|True|False|\{\})  # \S.*", line), line
        found[line.split(" = ")[0]] = line.partition("  # ")[2]
    return found


@EVERY
def test_there_is_one_cell_of_parameters_and_each_line_says_what_its_field_is(source):
    for name, comment in lines_of_parameters(source).items():
        if name in study.FIELDS:
            assert comment == study.comment(name), name
        else:
            assert name in ("architectures", "others", *OF_A_CHAPTER.get(source.stem, ()))


@EVERY
def test_every_parameter_has_its_fields_default(source):
    for name, value in contents.parameters_of(read(source), name=source.name).items():
        if name in OF_A_CHAPTER.get(source.stem, ()):
            assert not value
        elif name == "others":
            assert value == {}
        elif name == "architectures":
            study.check(name, value, where=source.name)
        elif name in OWN_DEFAULT.get(source.stem, {}):
            assert value == OWN_DEFAULT[source.stem][name]
        elif name == "data":  # what needs several recorded runs begins with them
            assert value == "" or (value == "recorded" and source.stem in RECORDED_ONLY)
        else:
            assert value == (None if name in SETTLED else study.FIELDS[name].default), name


@EVERY
def test_parameters_stand_in_one_order(source):
    names = list(lines_of_parameters(source))
    if source.stem in COPIED | RECORDED_ONLY:
        assert names[-1] == "others"
        assert "data" in names
    else:
        assert not {"data", "others"} & set(names)
    if source.stem in COPIED:
        assert names[0] in ("architecture", "architectures")
        assert names[1:4] == ["profile", "seed", "data"]
        assert names[4:-1] == OWN.get(source.stem[:2], names[4:-1])


@EVERY
def test_every_parameter_is_used(source):
    later = "\n".join(c.source for c in cells(source, "code") if "parameters" not in c.metadata.get("tags", []))
    used = {n.id for n in ast.walk(ast.parse(later)) if isinstance(n, ast.Name)}
    assert set(lines_of_parameters(source)) <= used


def test_what_is_no_field_is_said_the_same_everywhere():
    said = {(name, comment) for source in SOURCES for name, comment in lines_of_parameters(source).items()}
    assert len({comment for name, comment in said if name == "architectures"}) == 1
    for comment in {comment for name, comment in said if name == "others"}:
        start, example = "any further choice of the study, such as ", comment[41:]
        assert comment.startswith(start)
        study.check("others", ast.literal_eval(example))


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

FIGURES = {  # the functions of `show` that draw
    name
    for name, f in inspect.getmembers(show, inspect.isfunction)
    if "Figure" in str(inspect.signature(f).return_annotation)
}


@EVERY
def test_code_cells_are_short(source):
    found = {}
    for cell in cells(source, "code"):
        imports = [n for n in ast.parse(cell.source).body if isinstance(n, ast.Import | ast.ImportFrom)]
        lines = [line for line in cell.source.splitlines() if line.strip()]
        found[lines[0]] = len(lines) - sum(n.end_lineno - n.lineno + 1 for n in imports)
    assert {first: length for first, length in found.items() if length > 20} == {}


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
        called = re.findall(r"\bshow\.(\w+)\(", ast.unparse(statement)) if statement else []
        drawn = isinstance(statement, ast.Expr) and not FIGURES.isdisjoint(called)
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
def test_tables_are_formatted_by_one_call(source):
    # `show.table(frame, caption)` asks for a caption
    assert re.findall(r".*\.style\b.*", code(source)) == []


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
def test_tables_have_one_vocabulary(source):
    # the official table, which chapter 2 opens, has its own words
    official = {"fsID", "slice_file_name"} if source.stem == "02_dataset" else set()
    nodes = list(ast.walk(ast.parse(code(source))))
    words = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    words |= {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    old = {"fsID", "fs_id", "fsIDs", "fs_ids", "slice_file_name"}
    assert words & (old - official) == set()
    columns = {ast.unparse(n.slice) for n in nodes if isinstance(n, ast.Subscript)}
    assert "'name'" not in columns
    assert re.findall(r"\bfs_?ids?\b", markdown(source), re.IGNORECASE if not official else 0) == []


@EVERY
def test_it_says_who_learns_what_from_what_and_asks_at_the_end(source):
    text = markdown(source)
    first = text.partition(":::{admonition} In this chapter\n")[2].partition("\n:::")[0]
    assert re.search(r"\b[Yy]ou\b", first)  # what is learned
    assert re.search(r"\bNeeds\b", first)
    exercises = re.findall(r"^:::::\{admonition\} Exercise.*?^:::::$", text, re.MULTILINE | re.DOTALL)
    assert exercises
    assert [one for one in exercises if "::::{dropdown} Solution\n" not in one] == []


@EVERY
def test_every_figure_is_named_by_its_number_in_the_text(source):
    named = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in cells(source, "code")]
    referred = set(re.findall(r"\{numref\}`(?:[^`<]*<)?([\w:-]+)", markdown(source)))
    assert set(filter(None, named)) - referred == set()


@EVERY
def test_each_symbol_of_a_numbered_formula_is_explained_beside_it(source):
    # a letter of its own in the sentences around it, such as $p$ or $A^k$; \\commands and digits are no symbols
    text = re.sub(r"```.*?```", "", markdown(source), flags=re.DOTALL)
    said = " ".join(re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text))
    for formula in re.findall(r"^\$\$\n(.*?)^\$\$", text, re.MULTILINE | re.DOTALL):
        plain = re.sub(r"\\(?:text|operatorname|mathrm)\s?\{[^}]*\}|\\[a-zA-Z]+", " ", formula)
        missing = {letter for letter in re.findall(r"[A-Za-z]", plain) if letter not in said} - {"d"}
        assert missing == set(), formula


THESIS = [source for source in SOURCES if source.stem[:2] <= "10"]
# as an admonition of that class: JupyterLab, which has no margin, draws a directive for one over the text
MARGIN = ":::{admonition} Other than in the thesis\n:class: margin\n"


@pytest.mark.parametrize("source", THESIS, ids=lambda path: path.stem)
def test_what_differs_from_the_thesis_stands_in_the_margin(source):
    notes = [note.partition("\n:::")[0] for note in markdown(source).split(MARGIN)[1:]]
    assert notes
    for note in notes:
        words, sentences = note.split(), re.findall(r"[.;:](?:\s|$)", note)
        assert len(words) <= 55, note
        assert len(sentences) <= 4, note
        assert not re.search(r"\d", re.sub(r"section 2.7|ResNet\d+", "", note))


@EVERY
def test_what_comes_out_with_other_values_stands_below_the_cells_to_change(source):
    code = cells(source, "code")
    last = max(i for i, cell in enumerate(code) if "student" in cell.metadata.get("tags", []))
    page = next((one for one in EXECUTED.values() if one.chapter == source.stem and one.part != "copy"), None)
    if page:
        own = f'"{source.stem}", architecture' if page.architecture else f'"{source.stem}"'
        assert code[last + 1].source == f"show.outcomes(outcomes.of({own}))"
    else:  # only your copy has it
        assert "outcomes" not in code[last + 1].source if last + 1 < len(code) else True


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


@functools.cache
def pages() -> dict[str, tuple[list[str], list[str]]]:
    """Labels and references of every page of the book as it is built, by its file."""
    found = {}
    for file, page in EXECUTED.items():
        notebook = copy.deepcopy(read(study.ROOT / "notebooks" / f"{page.chapter}.md"))
        names = contents.recorded_architectures() if page.part == "recorded" else NETWORKS
        for cell in notebook.cells:
            cell.source = execute._EACH.sub(
                lambda block, names=names: "".join(contents.for_architecture(block[1], n) for n in names),
                cell.source,
            )
        contents.make_labels_unique(notebook, page)
        words = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        figures = [c.metadata.get("mystnb", {}).get("figure", {}) for c in notebook.cells]
        labels = [*defined(words), *(figure["name"] for figure in figures if figure)]
        found[file] = labels, _REFERENCE.findall(words + json.dumps(figures))
    for path in PAGES:
        text = path.read_text()
        found[path.relative_to(study.ROOT).with_suffix("").as_posix()] = (
            defined(text),
            _REFERENCE.findall(text),
        )
    return found


def defined(text: str) -> list[str]:
    return [next(filter(None, groups)) for groups in contents._LABEL.findall(text)]


def test_no_two_pages_share_a_label_and_no_page_has_one_twice():
    counted = Counter(label for labels, _ in pages().values() for label in labels)
    assert [label for label, n in counted.items() if n > 1] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.removeprefix("book/").removeprefix("executed/"))
def test_every_reference_finds_its_label(file):
    every = {label for labels, _ in pages().values() for label in labels}
    _, references = pages()[file]
    assert [label for label in references if label not in every] == []


@pytest.mark.parametrize("file", [f for f, page in EXECUTED.items() if page.part == "copy"])
def test_references_of_a_copy_page_stay_in_the_copy_where_it_has_the_page(file):
    every = {label for labels, _ in pages().values() for label in labels}
    assert [label for label in pages()[file][1] if f"{label}-copy" in every] == []


@EVERY
def test_a_network_is_named_by_hand_only_where_it_stands_for_each(source):
    if source.stem in COPIED - PER_NETWORK:  # a copy may have been built without it
        outside = execute._EACH.sub("", markdown(source))
        assert [label for label in _REFERENCE.findall(outside) if label.endswith(contents.TEMPLATE)] == []


@pytest.mark.parametrize("source", [*SOURCES, *PAGES], ids=lambda path: path.stem)
def test_every_citation_is_in_the_bibliography(source):
    keys = set(re.findall(r"@\w+\{([^,\s]+),", (study.ROOT / "book" / "references.bib").read_text()))
    text = source.read_text()
    cited = {key.strip() for group in _CITATION.findall(text) for key in group.split(",")}
    assert cited <= keys


# Helpers and chapters


@pytest.mark.parametrize("module", HELPERS, ids=lambda path: path.relative_to(study.ROOT / "src").as_posix())
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
        chapters = re.findall(r"(?:notebooks|book)/\w+\.md", said)
        missing = [chapter for chapter in chapters if not (study.ROOT / chapter).is_file()]
        if missing or not (chapters or "very notebook" in said):
            wrong[name] = said.strip()
    assert wrong == {}


@EVERY
def test_chapters_import_helpers_from_their_rooms(source):
    for node in ast.walk(ast.parse(code(source))):
        assert not (isinstance(node, ast.Import) and any(a.name.startswith("helpers") for a in node.names))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert alias.asname is None
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")


def imported(source) -> dict[str, object]:
    """What a chapter's cells import from the helpers, by name."""
    found = {}
    for node in ast.walk(ast.parse(code(source))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers"):
            for alias in node.names:
                try:
                    found[alias.name] = importlib.import_module(f"{node.module}.{alias.name}")
                except ModuleNotFoundError:
                    found[alias.name] = getattr(importlib.import_module(node.module), alias.name)
    return found


def named(node: ast.expr, known: dict[str, object]) -> tuple[object, bool]:
    """What an expression such as `training.NETWORK.get` stands for, and whether that is known from here."""
    if isinstance(node, ast.Name):
        return known.get(node.id), node.id in known
    if isinstance(node, ast.Attribute):
        value, sure = named(node.value, known)
        if sure and isinstance(value, ModuleType | type | artifacts.Artefact):
            assert hasattr(value, node.attr), f"{ast.unparse(node)} does not exist"
            return getattr(value, node.attr), True
    return None, False


@EVERY
def test_chapters_call_helpers_that_exist_with_options_that_they_have(source):
    known = imported(source)
    nodes = list(ast.walk(ast.parse(code(source))))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    assert stored.isdisjoint(known), f"{source.name} gives the name of a helper to something else"
    for node in nodes:
        named(node, known) if isinstance(node, ast.Attribute) else None
        if not isinstance(node, ast.Call):
            continue
        called, sure = named(node.func, known)
        if not sure or not (inspect.isfunction(called) or inspect.ismethod(called)):
            continue
        starred = any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords)
        signature = inspect.signature(called)
        try:
            bind = signature.bind_partial if starred else signature.bind
            bind(
                *(a for a in node.args if not isinstance(a, ast.Starred)),
                **{k.arg: k.value for k in node.keywords if k.arg},
            )
        except TypeError as wrong:
            pytest.fail(f"{ast.unparse(node)}: {wrong}")


@EVERY
def test_functions_that_chapters_call_name_their_chapter(source):
    known = imported(source)
    for node in ast.walk(ast.parse(code(source))):
        called, _ = named(node.func, known) if isinstance(node, ast.Call) else (None, False)
        if inspect.isfunction(called) and called.__module__.startswith("helpers."):
            assert "Chapter:" in (called.__doc__ or ""), f"{called.__module__}.{called.__name__}"


@EVERY
def test_chapters_use_every_module_they_import(source):
    tree = ast.parse(code(source))
    names = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names <= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("artefact", studies.artifacts.ALL.values(), ids=lambda artefact: artefact.name)
def test_every_artefact_is_made_by_a_chapter_that_imports_it(artefact):
    # the graph reads from here which page brings an artefact's record about
    assert (study.ROOT / "notebooks" / f"{artefact.chapter}.md").is_file()
    assert artefact.make.__module__.removeprefix("helpers.") in contents.imports_of(artefact.chapter)


@pytest.mark.parametrize("room", sorted(p.parent.name for p in (study.ROOT / "src" / "helpers").glob("*/__init__.py")))
def test_every_module_of_a_room_is_on_its_page_in_the_book(room):
    page = (study.ROOT / "book" / "code" / f"{room}.md").read_text()
    modules = {f"helpers.{room}.{p.stem}" for p in (study.ROOT / "src" / "helpers" / room).glob("[!_]*.py")}
    assert set(re.findall(r"automodule:: (helpers\.\w+\.\w+)", page)) == modules
