"""The cells "change this", executed with the other values that they name; what they say is kept for every reader.

Such a cell names one choice and what else to try: above the line `high = 10.0` stands `# try: 0.1, 50.0`. Of the cells
before it only those statements are executed that it needs, in this process: no kernel, no figure that nobody looks at.

Chapter: every notebook
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import html
import io
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.lib import pretty
from markdown_it import MarkdownIt
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbformat import NotebookNode
from tqdm import tqdm

from helpers import InputError, artifacts
from helpers.book import contents, execute, graph
from helpers.findings import outcomes

TRIED = re.compile(r"^# try: (.+)\n(\w+) = (.+)$", re.MULTILINE)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Change:
    """A chapter's cells "change this".

    before : code that they need of the cells before them, parameters first. cells : their code. name : what is changed.
    values : what else to try, as Python writes it.
    """

    before: str
    cells: tuple[str, ...]
    name: str
    values: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of all that is executed, comments left out, and of the values."""
        said = [self.before, [ast.unparse(ast.parse(cell)) for cell in self.cells], self.name, self.values]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def with_(self, value: str) -> Iterator[str]:
        """Each cell's code with another value."""
        for cell in self.cells:
            yield TRIED.sub(f"{self.name} = {value}".replace("\\", r"\\"), cell)


def change(chapter: str, given: Mapping[str, object]) -> Change:
    """What a chapter lets its reader change.

    Parameters
    ----------
    given : parameters that take the place of the chapter's own.

    Raises
    ------
    InputError
        Its cells do not name one choice and two other values or more.

    Chapter: every notebook
    """
    notebook = contents.read(contents.NOTEBOOKS / f"{chapter}.md")
    defaults = contents.parameters_of(notebook, name=f"{chapter}.md")
    settled = execute.checked(given, defaults, where=f"notebooks/{chapter}.md")
    own = {name: value for name, value in settled.items() if name in defaults}
    rest = {name: value for name, value in settled.items() if name not in defaults}
    own |= {"others": rest} if rest else {}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first = next((i for i, cell in enumerate(code) if _is(cell, "student")), len(code))
    cells = tuple(cell.source for cell in code[first:] if _is(cell, "student"))
    tried = [found.groups() for cell in cells for found in TRIED.finditer(cell)]
    values, name, own_value = tried[0] if len(tried) == 1 else ("", "", "")
    others = _listed(values)
    if len(others) < 2 or own_value in others:
        raise InputError(
            f"notebooks/{chapter}.md: its cells to change do not name one choice and two other values of it; write "
            "above a line such as `high = 10.0` one such as `# try: 0.1, 50.0`"
        )
    earlier = []
    for cell in code[:first]:
        earlier.append(cell.source)
        if _is(cell, "parameters"):
            earlier += [f"{parameter} = {value!r}" for parameter, value in own.items()]
    return Change(before=needed("\n".join(earlier), cells), cells=cells, name=name, values=others)


def _is(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def _listed(text: str) -> tuple[str, ...]:
    code = f"[{text}]"
    elements = getattr(ast.parse(code, mode="eval").body, "elts", ())
    return tuple(str(ast.get_source_segment(code, one)) for one in elements)


def needed(before: str, cells: Iterable[str]) -> str:
    """Those statements of `before` that give or change a name that the cells need.

    A bare expression is one only where it calls a method of such a name, which may change what it stands for.

    Chapter: every notebook
    """
    earlier, own = ast.parse(before).body, [node for cell in cells for node in ast.parse(cell).body]
    imported = set().union(*(_given(node) for node in earlier if isinstance(node, ast.Import | ast.ImportFrom)))
    kept: list[ast.stmt] = []
    called: set[str] = set()  # what functions ask for: looked up when they are called, so it may be given after them
    while True:
        before_that, wanted, kept = called, set(called), []
        for node in reversed(earlier + own):
            if node in own or _given(node) & wanted or _touched(node) & (wanted - imported):
                kept.append(node)
                wanted = (wanted - _settled(node)) | _asked(node) | called
        functions = [one for node in kept for one in ast.walk(node) if isinstance(one, ast.FunctionDef | ast.Lambda)]
        called = called.union(*map(_asked, functions))
        if called == before_that:
            return ast.unparse(ast.Module(body=[node for node in kept[::-1] if node not in own], type_ignores=[]))


def _given(node: ast.AST) -> set[str]:
    """Names that a statement may give a value, or change."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for n in ast.walk(node):
        if isinstance(n, ast.FunctionDef):
            found.add(n.name)
        elif isinstance(n, ast.alias):
            found.add((n.asname or n.name).partition(".")[0])
        elif isinstance(n, ast.Subscript | ast.Attribute) and isinstance(n.ctx, ast.Store):
            found |= _base(n)
    return found - _inner(node)


def _touched(node: ast.AST) -> set[str]:
    """Names whose methods are called and what they give is dropped, such as a list that grows."""
    calls = [n.value for n in ast.walk(node) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    return set().union(*(_base(call.func) for call in calls if isinstance(call.func, ast.Attribute)))


def _base(node: ast.expr) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _asked(node: ast.AST) -> set[str]:
    """Names that a statement needs."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if isinstance(node, ast.For):
        found -= _given(node.target)
    return found - _inner(node)


def _inner(node: ast.AST) -> set[str]:
    """Names that only live within a comprehension or as a function's argument."""
    found = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    for n in ast.walk(node):
        if isinstance(n, _COMPREHENSIONS):
            found |= {t.id for one in n.generators for t in ast.walk(one.target) if isinstance(t, ast.Name)}
    return found


def _settled(node: ast.stmt) -> set[str]:
    """Names that a statement gives a value in any case, whatever they held before."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {n.id for one in targets for n in ast.walk(one) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def tried(chapter: str, given: Mapping[str, object]) -> list[dict[str, Any]]:
    """What the cells say with each other value: the line of code, seconds, and HTML (figures are left out).

    Seconds are those of the processor, which other work on a busy machine does not stretch.

    Raises
    ------
    InputError
        A cell met a user's mistake.
    RuntimeError
        A cell failed, or said nothing.

    Chapter: every notebook
    """
    found = change(chapter, given)
    known: dict[str, Any] = {}
    exec(compile(found.before, f"<{chapter}, before>", "exec"), known)
    rows = []
    for value in found.values:
        line, names, started = f"{found.name} = {value}", dict(known), time.process_time()
        try:
            said = "".join(_said(cell, names) for cell in found.with_(value))
        except InputError as mistake:
            raise InputError(f"notebooks/{chapter}.md with {line}: {mistake}") from None
        except Exception as error:
            raise RuntimeError(f"notebooks/{chapter}.md with {line}: {type(error).__name__}: {error}") from error
        finally:
            plt.close("all")
        if not said:
            raise RuntimeError(f"notebooks/{chapter}.md with {line} says nothing in words or numbers; let it say some")
        rows.append({"code": line, "seconds": round(time.process_time() - started, 2), "said": said})
    return rows


def _said(code: str, names: dict[str, Any]) -> str:
    """Execute a cell and give what it prints and its last expression's value as HTML."""
    tree, printed, value = ast.parse(code), io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<change this>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<change this>", "eval"), names)
    text = printed.getvalue()
    return (f"<pre>{html.escape(text.rstrip())}</pre>" if text else "") + _html(value)


def _html(value: object) -> str:
    if value is None or isinstance(value, Figure):
        return ""
    if written := getattr(value, "_repr_markdown_", None):
        return MarkdownIt().render(written())
    if rich := getattr(value, "_repr_html_", None):
        return re.sub(r"\n\s*", "\n", re.sub(r"<style scoped>.*?</style>", "", rich(), flags=re.DOTALL))
    text = value if isinstance(value, str) else pretty.pretty(value)
    return f"<pre>{html.escape(text)}</pre>"


def pages() -> dict[str, tuple[str, dict[str, object]]]:
    """The pages that are the same in every copy, by their name in the file: the chapter and its parameters."""
    call = graph.Call.of({"parts": "recorded"})
    every = [page for file in call.files if (page := contents.executed(file))]
    return {
        "/".join(filter(None, (page.architecture, page.chapter))): (page.chapter, graph.given(call, page))
        for page in every
    }


def write() -> Path:
    """Execute the cells of every page that is the same in every copy, and write what they say in one step.

    Chapter: every notebook
    """
    found = {}
    for name, (chapter, given) in tqdm(pages().items(), desc="change this", unit="page"):
        found[name] = {"digest": change(chapter, given).digest, "values": tried(chapter, given)}
    said = json.dumps({"made": artifacts.circumstances(), "pages": found}, indent=1, ensure_ascii=False)
    artifacts.write_text(outcomes.path(), said + "\n")
    return outcomes.path()
