"""From a notebook and parameters to an executed, checked page.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

from helpers import InputError, artifacts, study
from helpers.book import contents, origin, progress, site, warm

_EACH = re.compile(r"^% each architecture\n(.*?)^% end\n?", re.MULTILINE | re.DOTALL)
# what a figure holds until it stands on a page: sounds, and what is shown when a reader asks for it
_HELD = re.compile(r"data:(audio/mpeg|application/json);base64,([A-Za-z0-9+/=]+)")
_CAPTION = re.compile(r"<caption[^>]*>")
_NUMBER = '<span class="caption-number" id="table-{0}">Table {0}. </span>'
_CLASSES = re.compile(rb"class=([a-z0-9 -]+);")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object in memory: another each time
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
WORDS_A_MINUTE = 200  # read slowly, with figures and tables between them
# What tqdm leaves behind: "training ResNet18:  40%|####   | 4/10 [00:01<00:02,  2.50batch/s]"
_PROGRESS = re.compile(r"^.*\[(?:\d+:)?\d+:\d\d[<,].*\]\s*$|^\s*$", re.MULTILINE)


def execute(
    source: Path, output: Path, given: dict, *, inputs: Sequence[Path] = (), records: Sequence[Path] = ()
) -> None:
    """Execute a chapter with papermill and write the page the book shows.

    A page that was made from the same contents of `inputs` with the same parameters is left as it is.

    Parameters
    ----------
    source : the chapter, notebooks/NN_title.md.
    output : the executed copy, below book/executed; its folders say which page of the book it is
        (`contents.Page`). It appears only when every cell has run.
    given : parameters by name, the chapter's own or any other field of `study.Run`; text is read as its
        field's type.
    inputs : all files that the page depends on; without them the chapter is always executed.
    records : provenance records that the chapter brings about; if one is missing, it is executed too.

    Raises
    ------
    InputError
        A parameter is not the chapter's or has no such value, or a cell met a user's mistake.

    Source: papermill. Chapter: notebooks/11_runs.md
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    if not source.exists():
        raise InputError(f"notebooks/{source.name} does not exist; name one of notebooks/*.md")
    before = [artifacts.content_digest(path) for path in inputs]  # of what may be edited while it is executed
    notebook = contents.read(source)
    defaults = contents.parameters_of(notebook, name=source.name)
    given = checked(given, defaults, where=f"notebooks/{source.name}")
    values = defaults | given
    made_from = _made_from(inputs, before, given)
    if inputs and _says(output, made_from) and all(path.exists() for path in records):
        for path in (output, *records):
            path.touch()  # the workflow engine reads times: checked now, not older than its inputs
        return
    architectures = values.get("architectures", values.get("architecture", contents.TEMPLATE)).split()
    for cell in notebook.cells:
        cell.source = _EACH.sub(
            lambda block: "".join(contents.for_architecture(block[1], name) for name in architectures), cell.source
        )
    page = contents.Page.of(output.as_posix()) if output.is_relative_to(contents.EXECUTED) else None
    if page:
        contents.make_labels_unique(notebook, page)
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".part-{output.name}")
    sockets = warm.sockets()
    asked = Path(sockets.name) / "asked"
    asked.touch()
    os.environ[artifacts.ASKED] = str(asked)
    logging.getLogger("papermill").setLevel(logging.ERROR)  # a field that the cell does not list is no mistake
    started = time.monotonic()
    try:
        with warm.forked():
            executed = papermill.execute_notebook(
                notebook,
                part,
                given,
                cwd=contents.NOTEBOOKS,
                kernel_name="python3",
                engine_name=_engine(),
                progress_bar=False,
                stderr_file=progress.Lines(sys.stdout),
                # sockets of its own: kernels that start at the same time cannot take each other's ports
                config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets.name}/kernel"}}),
            )
    except PapermillExecutionError as error:
        if error.ename == "InputError":
            part.unlink(missing_ok=True)
            raise InputError(error.evalue) from None
        failed = site.BUILD / "failed" / output.name
        failed.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, failed)
        raise RuntimeError(
            f"notebooks/{source.name} stopped in cell {error.exec_count} with {error.ename}: {error.evalue}\n"
            f"{_COLOUR.sub('', chr(10).join(error.traceback))}\n"
            f"(the notebook up to there: {failed.relative_to(study.ROOT)})"
        ) from None
    except BaseException:  # Ctrl-C, for one
        part.unlink(missing_ok=True)
        raise
    finally:
        del os.environ[artifacts.ASKED]
        paths = [Path(line) for line in asked.read_text(encoding="utf-8").splitlines()]
        sockets.cleanup()
    if dict(executed.metadata.papermill.parameters) != given:  # papermill itself would only warn
        raise RuntimeError(f"papermill did not pass {given} to notebooks/{source.name}")
    # a notebook outside the book keeps its sounds
    root = "/".join(".." for _ in output.parent.relative_to(study.ROOT).parts) if page else ""
    try:
        taken = time.monotonic() - started
        _make_page(executed, source=source, root=root, values=values, seconds=taken, asked=paths)
        executed.metadata["made_from"] = made_from
        nbformat.write(executed, part)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if page:
        site.took(page.part or "pages without data", time.monotonic() - started)
    os.replace(part, output)


@functools.cache
def _engine() -> str:
    """The name of papermill's own engine, but that it writes a notebook after its last cell, not before and after each.

    With the figures in it, writing took a tenth of the time.
    """
    from papermill.engines import NBClientEngine, papermill_engines

    class Once(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, manager: Any, *words: Any, **named: Any) -> None:
            path, manager.output_path = manager.output_path, None
            try:
                super().execute_managed_notebook(manager, *words, **named)
            finally:
                manager.output_path = path

    papermill_engines.register("once", Once)
    return "once"


def checked(given: Mapping[str, object], defaults: Mapping[str, object], *, where: str) -> dict:
    """The parameters as their fields hold them; refused before anything is executed.

    Chapter: notebooks/11_runs.md
    """
    values = {}
    for name, value in given.items():
        if name not in defaults and name not in study.FIELDS:
            known = ", ".join(dict.fromkeys([*defaults, *study.FIELDS]))
            raise InputError(f'parameter "{name}" is not known to {where}; choose from {known}')
        if name in study.FIELDS or name in ("architectures", "others"):  # else a parameter of this chapter alone
            study.check(name, value, where=where)
        values[name] = study.parse(name, value, where=where) if name in study.FIELDS else value
        if isinstance(values[name], tuple):  # papermill writes text
            values[name] = study.written(name, values[name])
    every = {**defaults, **values}
    fields = {name: value for name, value in every.items() if name in study.FIELDS}
    for name in str(every.get("architectures", every.get("architecture", contents.TEMPLATE))).split():
        study.open(**fields | {"architecture": name}, where=where)
    return values


def _made_from(inputs: Sequence[Path], digests: Sequence[str], given: dict) -> str:
    contents = dict(zip(map(str, inputs), digests, strict=True))
    return hashlib.sha256(json.dumps([contents, given], sort_keys=True).encode()).hexdigest()


def _says(page: Path, made_from: str) -> bool:
    try:
        return json.loads(page.read_text())["metadata"]["made_from"] == made_from
    except (OSError, ValueError, KeyError):  # not there, not whole, or not ours: to be made
        return False


def _make_page(
    notebook: NotebookNode, *, source: Path, root: str, values: dict, seconds: float, asked: Sequence[Path]
) -> None:
    """Make an executed notebook a page: say its data, number tables, keep sound in files, drop what machines read."""
    tables = itertools.count(1)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            _into_place(notebook, cell)
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for shown in cell.outputs:
            if shown.output_type == "stream" and shown.name == "stderr":
                shown.text = _PROGRESS.sub("", shown.text.replace("\r", "\n").replace(progress.UP, "")).strip()
                if not shown.text:
                    continue  # a progress bar
                if root:  # no page of the book: it would count as made, and no site would take it
                    raise RuntimeError(f"a cell of notebooks/{source.name} wrote to its error stream:\n{shown.text}")
            if "application/vnd.jupyter.widget-view+json" in shown.get("data", {}):
                continue  # a library's progress bar for JupyterLab; dead in a page
            if root and "text/html" in shown.get("data", {}):
                shown.data["text/html"] = lifted(_numbered(shown.data["text/html"], tables), root=root)
            if "text/plain" in shown.get("data", {}):
                shown.data["text/plain"] = _ADDRESS.sub("", shown.data["text/plain"])
            _mark_figure(cell, shown)
            kept.append(shown)
        cell.outputs = kept
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if root and figure and not any(_is_picture(shown) for shown in kept):
            raise RuntimeError(
                f"a cell of notebooks/{source.name} shows no figure, and its caption is {figure.get('name')}'s"
            )
    notebook.metadata.pop("papermill", None)
    runs = _runs(values)
    if root:
        origin.note(notebook, source=source, values=values, run=runs[0] if runs else None, asked=asked)
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    notebook.cells[0].source += f"\n\n{banner(source=source, values=values, seconds=seconds, words=words)}"


def _numbered(shown: str, tables: Iterator[int]) -> str:
    """Tables with their numbers on the page, which a link can lead to; those that other values give have none."""
    if 'class="outcomes"' in shown:
        return shown
    return _CAPTION.sub(lambda found: f"{found[0]}{_NUMBER.format(next(tables))}", shown)


def _mark_figure(cell: NotebookNode, shown: NotebookNode) -> None:
    """Give a figure the classes by which the dark theme knows it (`style.classes`), which stand in its file."""
    picture = base64.b64decode(shown.get("data", {}).get("image/png", ""))
    if found := _CLASSES.search(picture[:1000]):
        cell.metadata.setdefault("mystnb", {}).setdefault("image", {})["classes"] = found[1].decode()


def _is_picture(shown: NotebookNode) -> bool:
    return any(kind == "text/html" or kind.startswith("image/") for kind in shown.get("data", {}))


def _into_place(notebook: NotebookNode, injected: NotebookNode) -> None:
    """Show the parameters once: the chapter's own cell, with the values that were given in their places."""
    own = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    given = dict(line.split(" = ", 1) for line in injected.source.splitlines() if " = " in line)
    lines = []
    for line in own.source.splitlines():
        name, comment = line.partition(" = ")[0], line.partition("  # ")[2]
        lines.append(f"{name} = {given.pop(name)}  # {comment}" if name in given else line)
    own.source = "\n".join([*lines, *(f"{name} = {value}" for name, value in given.items())])
    injected.metadata["tags"] = [*injected.metadata["tags"], "remove-cell"]


def banner(*, source: Path, values: dict, seconds: float, words: int) -> str:
    """What the numbers on a page were computed from, as MyST; synthetic data is called so first.

    Parameters
    ----------
    seconds : that its cells took here. words : of the chapter, for the minutes that reading takes.
    """
    minutes = max(1, round(words / WORDS_A_MINUTE))
    made = f"`notebooks/{source.name}` at revision `{artifacts.revision()}`, executed in {seconds:.0f} s"
    made += f"; about {minutes} min to read"
    runs = _runs(values)
    if not runs:
        return f"```{{div}} provenance\n{made}.\n```"
    code = source.read_text(encoding="utf-8")
    if re.search(r"^run = study\.with_network\(", code, re.MULTILINE):  # all of the page is about it
        runs = [study.with_network(runs[0])]
    run = runs[0]
    took = origin.seconds(source.stem, run).items()
    made += "".join(f"; what it makes took {progress.spoken(taken)} at `{profile}`" for profile, taken in took)
    folds = ", ".join(map(str, run.training_folds))
    trained = f"Networks learned from folds {folds}; fold {run.test_fold} tests"
    if run.source.synthetic:
        text = "Sounds made by a program, **not recordings**: a **synthetic stand-in** for UrbanSound8K."
    else:
        text = "Real recordings from UrbanSound8K."
    if run.source.kind == "recorded":
        keys = "; ".join(f"`{one.key}`" for one in runs)
        text += f" Computed once and kept in `data/recorded`, so they are the same in every copy: {keys}."
        if "study.with_network(" in code and study.traveller() not in runs:
            text += f" Where a network is asked, it is the one that comes with the book: `{study.traveller().key}`."
        text += " The sounds were at hand as 22.05 kHz mono, so nothing above 11 kHz was heard."
    else:
        changed = ", ".join(f"{name} {study.said(value)}" for name, value in run.changed.items())
        text += f" Profile `{run.profile}`, seed {run.seed}."
        text += f" Differs from the thesis and the profile: **{changed}**." if changed else ""
    if run.left_out:
        from helpers.audio import sounds, urbansound  # here, because it takes seconds to import

        which = urbansound.first(sounds.left_out(run))
        text += f" **Clips that cannot be used and are left out: {run.left_out}** ({which})."
    kind = "warning" if run.source.synthetic else "note"
    recorded = ", recorded" if run.source.kind == "recorded" else ""
    return (
        f":::{{admonition}} Data on this page: {run.source.label}{recorded}\n:class: {kind} provenance\n"
        f"{text} {trained}. Made by {made}; its files: {{ref}}`sec:runs-copy`.\n:::"
    )


def _runs(values: Mapping[str, Any]) -> list[study.Run]:
    """The runs that a chapter with these parameters speaks of; none where it asks for no data."""
    if "data" not in values:
        return []
    names = str(values.get("architectures") or values.get("architecture") or "").split()
    fields = {name: value for name, value in values.items() if name in study.FIELDS and name != "architecture"}
    return [study.open(**fields, architecture=name) for name in names] or [study.open(**fields)]


def lifted(text: str, *, root: str) -> str:
    """HTML whose sounds and choices lie in files of the site, where they are loaded when a reader asks for them.

    Parameters
    ----------
    root : the way from the page to the site's root.

    Chapter: notebooks/11_runs.md
    """
    return _HELD.sub(lambda held: f"{root}/_static/{_lift(held[1], held[2], root)}", text)


def _lift(kind: str, encoded: str, root: str) -> str:
    """Write what a figure holds to the site's static files and return the file's place there."""
    content = base64.b64decode(encoded)
    if kind == "application/json":  # what is chosen may be heard
        content = lifted(content.decode(), root=root).encode()
    name = hashlib.sha256(content).hexdigest()[:16]
    if kind == "application/json":  # a script: a page that is opened as a file may load no other kind
        name, content = f"chosen/{name}.js", b'(window.given ??= {})["%s"] = %s;\n' % (name.encode(), content)
    else:
        name = f"audio/{name}.mp3"
    path = contents.EXECUTED / "_static" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write(path, content)  # another page may show the same
    return name
