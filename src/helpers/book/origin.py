"""Where each figure and table of a page comes from: script, helper, parameters, data, seed, revision, files.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from nbformat import NotebookNode

from helpers import artifacts, study
from helpers.study import Run

LISTED = 6  # files that are named below a figure; of more it is said how many
_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_SHOWN = re.compile(r"<table|class=\"(?:curve|player)")


def note(
    notebook: NotebookNode, *, source: Path, values: Mapping[str, object], run: Run | None, asked: Iterable[Path]
) -> None:
    """Let each cell that shows a figure, table or player say where it comes from: HTML in its metadata, as `origin`.

    `helpers.book.sphinx` puts it below what the cell shows; {root} in it stands for the way to the site's root.

    Parameters
    ----------
    notebook : an executed chapter. source : its .md. values : its parameters. run : the first run it speaks of.
    asked : paths of the artefacts that its cells asked for.

    Chapter: notebooks/11_runs.md
    """
    text, at = source.read_text(encoding="utf-8"), 0
    facts = _facts(values, run, list(dict.fromkeys(asked)))
    for cell in notebook.cells:
        found = text.find(cell.source, at) if cell.source else -1
        at = max(at, found)
        if cell.cell_type == "code" and any(map(_is_shown, cell.outputs)):
            line = f", line {text.count(chr(10), 0, found) + 1}" if found >= 0 else ""
            script = f"<code>notebooks/{source.name}</code>{line}{''.join(map(_helper, _calls(cell.source)))}"
            cell.metadata["origin"] = _said({"Script": script, **facts})


def _is_shown(output: NotebookNode) -> bool:
    data = output.get("data", {})
    written = _ROW.search(data.get("text/markdown", ""))
    return "image/png" in data or bool(written or _SHOWN.search(data.get("text/html", "")))


def _calls(code: str) -> list[str]:
    """The functions of `show` that a cell calls, in its order."""
    try:
        nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    except SyntaxError:  # a magic of IPython
        return []
    from helpers import show  # here, because a kernel that is forked shall choose matplotlib's backend itself

    named = (node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "show")
    return [name for name in dict.fromkeys(named) if inspect.isfunction(getattr(show, name, None))]


def _helper(name: str) -> str:
    from helpers import show

    function = getattr(show, name)
    module, line = function.__module__, inspect.getsourcelines(function)[1]
    link = f'<a href="{{root}}book/code/show.html#{module}.{name}">show.{name}</a>'
    return f"; drawn by {link}, <code>src/{module.replace('.', '/')}.py</code>, line {line}"


def _facts(values: Mapping[str, object], run: Run | None, asked: list[Path]) -> dict[str, str]:
    """What is the same for every figure of a page, by its heading, as HTML."""
    settled = {n: getattr(run, n) if run and n in study.FIELDS else v for n, v in values.items()}
    given = {n: v for n, v in settled.items() if n not in ("data", "others", "seed") and v not in (None, "", ())}
    facts = {"Parameters": ", ".join(f"{escape(n)} {escape(study.said(v))}" for n, v in given.items())}
    if run:
        recorded = ", recorded" if run.source.kind == "recorded" else ""
        facts["Data"] = f"{run.source.label}{recorded}; {escape(run.key)}"
    if "seed" in values:
        facts["Seed"] = str(settled["seed"])
    facts["Revision"] = f"<code>{artifacts.revision()}</code>"
    rest = f"<li>and {len(asked) - LISTED} more</li>" if len(asked) > LISTED else ""
    if asked:
        facts["Files read by this page"] = f"<ul>{''.join(map(_file, asked[:LISTED]))}{rest}</ul>"
    return {heading: said for heading, said in facts.items() if said}


def _file(path: Path) -> str:
    root = study.ROOT if path.is_relative_to(study.ROOT) else study.RUNS
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    try:
        made = artifacts.record(path)["made"]
        when = f", made {made['date'][:10]} at <code>{escape(made['revision'])}</code>"
    except (OSError, KeyError, json.JSONDecodeError):  # not made by the study, or before it kept records
        when = ""
    return f"<li><code>{escape(name)}</code>{when}</li>"


def _said(facts: Mapping[str, str]) -> str:
    listed = "".join(f"<dt>{heading}</dt><dd>{said}</dd>" for heading, said in facts.items())
    return f'<details class="origin"><summary>Where this comes from</summary><dl>{listed}</dl></details>'


def seconds(chapter: str, run: Run) -> dict[str, float]:
    """How long what a chapter makes took to make, s, by profile, of those whose records lie here.

    Parameters
    ----------
    chapter : NN_title. run : of which it is asked; under other profiles its other fields are the same.

    Chapter: notebooks/11_runs.md
    """
    from helpers.book import studies  # here, because it takes seconds to import; all artefacts are declared with it

    made = [one for one in studies.artifacts.ALL.values() if one.chapter == chapter]
    found: dict[str, float] = {}
    for profile in study.profiles():
        other = run if profile == run.profile else run.with_(profile=profile)
        folds = (*other.training_folds, other.test_fold)
        paths = {one.path(other, fold) for one in made for fold in (folds if one.folds else (None,))}
        records = [artifacts.record(path)["made"] for path in paths if artifacts.record_path(path).exists()]
        if records:
            found[profile] = sum(max(one["seconds"], one.get("training_seconds", 0)) for one in records)
    return found
