"""From a notebook and parameters to an executed, checked page.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

from helpers import InputError, artifacts, study
from helpers.book import contents, site

_EACH = re.compile(r"^% each architecture\n(.*?)^% end\n?", re.MULTILINE | re.DOTALL)


_AUDIO = re.compile(r'src="data:audio/mpeg;base64,([A-Za-z0-9+/=]+)"')


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
    output : the executed copy, book/executed/[architecture/]NN_title.ipynb; appears only when every
        cell has run.
    given : parameters that differ from the chapter's own.
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
    notebook = jupytext.read(source)
    defaults = contents.parameters_of(notebook, name=source.name)
    for name, value in given.items():
        if name not in defaults:
            raise InputError(
                f'parameter "{name}" is not known to notebooks/{source.name}; '
                f"choose from {', '.join(defaults)}"
            )
        if isinstance(value, str) and not isinstance(defaults[name], str):  # from the command line
            with contextlib.suppress(ValueError, SyntaxError):
                given = given | {name: ast.literal_eval(value)}
        study.check(name, given[name], where=f"notebooks/{source.name}")
    values = defaults | given
    made_from = _made_from(inputs, given)
    if inputs and _says(output, made_from) and all(path.exists() for path in records):
        for path in (output, *records):
            path.touch()  # the workflow engine reads times: checked now, not older than its inputs
        return
    architectures = values.get("architectures", values.get("architecture", contents.TEMPLATE)).split()
    per_architecture = output.parent != contents.EXECUTED and "architecture" in values
    for cell in notebook.cells:
        cell.source = _EACH.sub(
            lambda block: "".join(contents.for_architecture(block[1], name) for name in architectures),
            cell.source,
        )
    if per_architecture:
        contents.make_labels_unique(notebook, values["architecture"])
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".part-{output.name}")
    sockets = tempfile.TemporaryDirectory()
    started = time.monotonic()
    try:
        executed = papermill.execute_notebook(
            notebook,
            part,
            given,
            cwd=contents.NOTEBOOKS,
            kernel_name="python3",
            progress_bar=False,
            stderr_file=sys.stdout,
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
            f"notebooks/{source.name} stopped with {error.ename}: {error.evalue}\n"
            f"{_COLOUR.sub('', chr(10).join(error.traceback))}\n"
            f"(the notebook up to there: {failed.relative_to(study.ROOT)})"
        ) from None
    except BaseException:  # Ctrl-C, for one
        part.unlink(missing_ok=True)
        raise
    finally:
        sockets.cleanup()
    if dict(executed.metadata.papermill.parameters) != given:
        raise RuntimeError(f"papermill did not pass {given} to notebooks/{source.name}")
    root = "/".join(".." for _ in output.parent.relative_to(study.ROOT).parts)
    _make_page(executed, source=source, root=root, values=values, seconds=time.monotonic() - started)
    executed.metadata["made_from"] = made_from
    nbformat.write(executed, part)
    os.replace(part, output)


def _made_from(inputs: Sequence[Path], given: dict) -> str:
    contents = {str(path): artifacts.content_digest(path) for path in inputs}
    return hashlib.sha256(json.dumps([contents, given], sort_keys=True).encode()).hexdigest()


def _says(page: Path, made_from: str) -> bool:
    try:
        return json.loads(page.read_text())["metadata"]["made_from"] == made_from
    except (OSError, ValueError, KeyError):  # not there, not whole, or not ours: to be made
        return False


def _make_page(notebook: NotebookNode, *, source: Path, root: str, values: dict, seconds: float) -> None:
    """Make an executed notebook a page: say its data, keep sound in files, drop what only machines read."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags and len(values):
            injected = any("injected-parameters" in c.metadata.get("tags", []) for c in notebook.cells)
            cell.metadata["tags"] = [*tags, "remove-cell"] if injected else tags
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for shown in cell.outputs:
            if shown.output_type == "stream" and shown.name == "stderr":
                shown.text = _PROGRESS.sub("", shown.text.replace("\r", "\n")).strip()
                if not shown.text:
                    continue  # a progress bar; anything else stays, and makes the site's build fail
            if "application/vnd.jupyter.widget-view+json" in shown.get("data", {}):
                continue  # a library's progress bar for JupyterLab; dead in a page
            if "text/html" in shown.get("data", {}):
                shown.data["text/html"] = _AUDIO.sub(
                    lambda match: f'src="{root}/_static/audio/{_lift_sound(match[1])}"',
                    shown.data["text/html"],
                )
            kept.append(shown)
        cell.outputs = kept
    notebook.metadata.pop("papermill", None)
    notebook.cells[0].source += f"\n\n{banner(source=source, values=values, seconds=seconds)}"


def banner(*, source: Path, values: dict, seconds: float) -> str:
    """What the numbers on a page were computed from, as MyST; synthetic data is called so first."""
    made = f"`notebooks/{source.name}` at revision `{artifacts.revision()}`, executed in {seconds:.0f} s"
    if "data" not in values:
        return f"```{{div}} provenance\n{made}.\n```"
    shown = {k: v for k, v in values.items() if k not in ("data", "profile")}
    run = study.open(profile=values["profile"], data=values["data"])
    settings = ", ".join(f"{name} {value}" for name, value in shown.items())
    if run.source.synthetic:
        text = "Sounds made by a program, **not recordings**: a **synthetic stand-in** for UrbanSound8K."
    else:
        text = "Real recordings from UrbanSound8K."
    kind = "warning" if run.source.synthetic else "note"
    return (
        f":::{{admonition}} Data on this page: {run.source.label}\n:class: {kind} provenance\n"
        f"{text} Profile `{run.profile.name}`; {settings}. Made by {made}; {{ref}}`all runs <sec:runs>`.\n:::"
    )


def _lift_sound(encoded: str) -> str:
    """Write an inline sound to the site's static files and return the file's name."""
    sound = base64.b64decode(encoded)
    path = contents.EXECUTED / "_static" / "audio" / f"{hashlib.sha256(sound).hexdigest()[:16]}.mp3"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sound)
    return path.name
