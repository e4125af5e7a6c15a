"""Make or load: the study's only cache.

An artefact is one file or folder with `<name>.json` beside it: the recipe it was made from (parameters,
digests of input artefacts and of the code without comments and docstrings) and how it was made (date,
seconds, versions, revision, device). Equal recipe and intact content: it is loaded. Else it is made
again, in a work folder that survives an interruption, and moved into place in one step.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import ast
import datetime
import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd
from filelock import FileLock

from helpers import study

_PACKAGES = ["torch", "torchvision", "torchaudio", "numpy", "scipy", "pandas"]
_PACKAGES += ["soundfile", "grad-cam", "quantus", "captum"]
# Settings, bookkeeping and presentation do not change what a recipe makes.
_PLUMBING = {"study", "artifacts", "book", "show"}


def produce(
    path: Path,
    *,
    parameters: Mapping,
    inputs: Mapping[str, str],
    make: Callable[[Path], dict | None],
) -> Path:
    """Return `path`, made anew only if what it would be made from has changed.

    Parameters
    ----------
    path : the artefact, a file or a folder.
    parameters : plain values it depends on.
    inputs : digest of each input artefact by name (see `digest_of`).
    make : called with a work folder; writes `work / path.name` there, may keep what it needs to
        resume, and may return extra facts for the record. The digest of its module's code, and of
        the helper modules that one imports, is part of the recipe.

    Chapter: notebooks/11_runs.md
    """
    recipe = {
        "parameters": dict(parameters),
        "inputs": dict(inputs),
        "code": code_digests(make.__module__.partition(".")[2]),
    }
    recipe_digest = _sha256(json.dumps(recipe, sort_keys=True).encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / f".{path.name}.lock"):
        record = record_path(path)
        if _is_fresh(path, recipe_digest):
            record.touch()  # the workflow engine reads times: checked now, not older than its inputs
            return path
        work = path.parent / f".{path.name}.{recipe_digest[:12]}.work"
        work.mkdir(exist_ok=True)
        started = time.monotonic()
        facts = make(work) or {}
        made = {"seconds": round(time.monotonic() - started, 2), **_circumstances(), **facts}
        if not (work / path.name).exists():
            raise FileNotFoundError(f"the recipe of {path.name} wrote no {path.name}")
        content = content_digest(work / path.name)
        record.unlink(missing_ok=True)  # a record always belongs to the content beside it
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(work / path.name, path)
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*.work"):
            shutil.rmtree(stale)
        write_text(
            record,
            json.dumps(
                {
                    "artefact": path.name,
                    "recipe": recipe,
                    "recipe_digest": recipe_digest,
                    "content": content,
                    "made": made,
                },
                indent=1,
            ),
        )
    return path


def overview(folders: Iterable[Path]) -> pd.DataFrame:
    """One row per artefact below some folders: where, data, when, seconds, revision, digest.

    Chapter: notebooks/11_runs.md
    """
    rows = []
    for path in sorted({p for folder in folders for p in folder.glob("*.json")}):
        known = json.loads(path.read_text())
        made = known["made"]
        rows.append(
            {
                "artefact": (path.parent / known["artefact"]).relative_to(study.DATA).as_posix(),
                "data": made.get("data", ""),
                "made (UTC)": made["date"].replace("T", " ").removesuffix("+00:00"),
                "seconds": f"{made['seconds']:.1f}",
                "revision": made["revision"],
                "content": known["content"][:8],
            }
        )
    return pd.DataFrame(rows)


def record_path(path: Path) -> Path:
    """Where the provenance of an artefact lies: `scores.json` beside `scores.csv`."""
    return path.with_suffix(".json")


def record(path: Path) -> dict:
    """The provenance of an artefact as `produce` wrote it.

    Chapter: notebooks/11_runs.md
    """
    return json.loads(record_path(path).read_text())


def digest_of(path: Path) -> str:
    """The recorded content digest of an artefact, to be named as another one's input."""
    return record(path)["content"]


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [
        f"{p.relative_to(path).as_posix()} {content_digest(p)}"
        for p in sorted(path.rglob("*"))
        if p.is_file()
    ]
    return _sha256("\n".join(lines).encode())


def code_digests(module: str) -> dict[str, str]:
    """Digest of a helper module and of every helper module it imports, without comments and docstrings."""
    room, _, name = f"helpers.{module}".rpartition(".")
    names = {n for n in modules_of(f"from {room} import {name}") if n.partition(".")[0] not in _PLUMBING}
    return {
        name: _sha256(ast.unparse(_without_docstrings(ast.parse(source_of(name).read_text()))).encode())
        for name in sorted(names)
    }


def modules_of(code: str) -> set[str]:
    """Names of the helper modules that a piece of code imports, with those that these import."""
    found: set[str] = set()
    waiting = [code]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] != "helpers":
                continue
            room = node.module.partition(".")[2]  # "" in `from helpers import study`
            names = {room, *(f"{room}.{a.name}".strip(".") for a in node.names)} - {""}
            fresh = {name for name in names if source_of(name).exists()} - found
            found |= fresh
            waiting += [source_of(name).read_text() for name in fresh]
    return found


def source_of(module: str) -> Path:
    """The file of a helper module."""
    path = Path(__file__).parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def write_text(path: Path, text: str) -> None:
    """Write a small file in one step: a reader sees the old text or the new, never half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text)
    os.replace(part, path)


def _is_fresh(path: Path, recipe_digest: str) -> bool:
    try:
        known = record(path)
        return (
            known["recipe_digest"] == recipe_digest
            and path.exists()
            and known["content"] == content_digest(path)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no record, or a broken one: made again


def _circumstances() -> dict:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "cores": os.cpu_count(),
    }


def revision() -> str:
    """The git revision of the study, with `+` when files differ from it; `unknown` outside git."""
    try:
        call = ["git", "-C", str(study.ROOT), "describe", "--always", "--abbrev=12", "--dirty=+"]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "processor not named"


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
