"""Artefacts: what a thing is made of, declared once; make or load, the study's only cache.

An artefact is one file or folder with `<name>.json` beside it: the recipe it was made from (the fields of
`study.Run` that key it, digests of input artefacts and of the code without comments and docstrings, versions of
the packages that shape it) and how it was made (date, seconds, versions, revision, device). Equal recipe and
intact content: it is loaded. Else it is made again, in a work folder that survives an interruption, and moved
into place in one step. A recorded artefact is loaded and never made.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import datetime
import errno
import functools
import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from filelock import FileLock
from tqdm import tqdm

from helpers import InputError, study, tables
from helpers.study import Run

_PACKAGES = ["torch", "torchvision", "torchaudio", "numpy", "scipy", "pandas"]
_PACKAGES += ["soundfile", "grad-cam", "quantus", "captum"]
ASKED = "HELPERS_ASKED"  # in the environment: a file for the paths of the artefacts that are asked for
# Settings, bookkeeping and presentation do not change what a recipe makes.
_PLUMBING = {"study", "artifacts", "tables", "book", "show"}
# What these write are sound files, whose digests every recipe holds.
_SOUNDS = {"audio.standin", "audio.download"}
_ALWAYS = {"data", "profile"}  # fields that any artefact may read: they say where it lies and how it is called
LONG = 20  # seconds of work that are announced
LEAST = 1 << 20  # bytes of a disk that is full
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOLCK)
_UNWRITABLE_IF_OWN = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)  # else of a file that is only read
ALL: dict[str, Artefact] = {}


@dataclass(frozen=True, eq=False)
class Artefact:
    """One kind of file or folder that the study makes, declared beside the function that makes it.

    Parameters
    ----------
    name : of the file or folder; a suffix says what it is.
    make : called with the run and the path to write; may keep what it needs to resume beside that path, and may
        return extra facts for the record. It sees only the fields that are declared here and by the inputs.
    chapter : the notebook whose page makes it, NN_title.
    fields : of `study.Run` that it reads itself.
    inputs : artefacts that it is made from.
    packages : whose versions shape it.
    table : what its columns hold (`helpers.tables`).
    folds : it is made for one fold at a time; `make` and `outside` get the fold as a further argument.
    outside : digests, by name, of what it depends on and no artefact holds, such as sound files.
    work : units of work, to estimate seconds from records.
    smaller : the fields that make it less.
    record : whether `make record` keeps it.
    """

    name: str
    make: Callable[..., dict | None]
    chapter: str = ""
    fields: tuple[str, ...] = ()
    inputs: tuple[Artefact | Each | Changed, ...] = ()
    packages: tuple[str, ...] = ()
    table: tables.Schema | None = None
    folds: bool = False
    outside: Callable[..., Mapping[str, str]] | None = None
    work: Callable[[Run], float] | None = None
    smaller: tuple[str, ...] = ()
    record: bool = True
    closure: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Gather the fields that key the artefact, its own and its inputs', in the order of `Run`."""
        known = set(self.fields)
        for one in self.inputs:
            known |= set(one.closure)
        object.__setattr__(self, "closure", tuple(name for name in study.FIELDS if name in known))
        ALL[self.name] = self

    def each(self, field: str) -> Each:
        """This artefact once for each fold that a field of the run names: an input of another."""
        return Each(self, field)

    def of(self, **changes: Any) -> Changed:
        """This artefact of the same run with some fields changed: an input of another."""
        return Changed(self, changes)

    def named(self, run: Run) -> dict[str, Piece]:
        """As an input of another: what it is, by the name that a recipe calls it."""
        return {self.name: (self, run, None)}

    def made_from(self, run: Run) -> dict[str, Piece]:
        """What it is made from, by the names that its recipe calls them."""
        return {name: piece for one in self.inputs for name, piece in one.named(run).items()}

    def path(self, run: Run, fold: int | None = None) -> Path:
        """Where it lies: fields that differ from their defaults are part of the name."""
        run = whole(run)
        stem, dot, suffix = self.name.partition(".")
        keys = [name for name in self.closure if name not in ("architecture", *_ALWAYS)]
        changed = [f"{n}={study.said(v)}" for n in keys if (v := getattr(run, n)) != run.default(n)]
        name = "-".join([stem, *([f"fold={fold}"] if self.folds else []), *changed])
        if len(name) > 160:  # file systems take 255 bytes, and work folders have longer names
            name = f"{stem}-{_sha256(name.encode())[:16]}"
        name = name.replace(" ", "_")  # "explainer=input x gradient": a shell takes words apart
        folder = run.source.results / run.profile
        return (folder / run.architecture if "architecture" in self.closure else folder) / f"{name}{dot}{suffix}"

    def get(self, run: Run, fold: int | None = None) -> Path:
        """The artefact's path, made anew only if what it would be made from has changed.

        Raises
        ------
        InputError
            The run is recorded and this artefact is not, or has been changed since.
        """
        if not isinstance(run, _Seen):  # by a reader, not by what is made from it
            _told(self.path(run, fold))
        return self._get(run, fold)

    def _get(self, run: Run, fold: int | None = None) -> Path:
        run, path = whole(run), self.path(run, fold)
        with _one_call() as fresh:
            if path not in fresh:
                self._fresh(run, path, fold)
                fresh.add(path)
        return path

    def _fresh(self, run: Run, path: Path, fold: int | None) -> Path:
        if run.source.kind == "recorded":
            return self._recorded(run, path)
        recipe = self.recipe(run, fold)
        seen = _Seen(run, {*self.closure, *_ALWAYS}, self.name)
        given = (fold,) if self.folds else ()

        def make(target: Path) -> dict | None:
            facts = self.make(seen, target, *given)
            if self.outside and any(recipe["inputs"][n] != now for n, now in self.outside(run, *given).items()):
                raise InputError(f"a sound that {path.name} is made from changed meanwhile; run again when it is whole")
            return facts

        return produce(
            path,
            recipe=recipe,
            make=make,
            facts={"data": run.source.label, **({"work": self.work(run)} if self.work else {})},
            before=lambda: self._announce(run),
        )

    def read(self, run: Run) -> pd.DataFrame:
        """The table of a run, checked against what its columns are declared to hold."""
        frame = pd.read_csv(self.get(run))
        return self.table.validate(frame, self.name) if self.table else frame

    def there(self, run: Run) -> bool:
        """Whether it can be had: always, but of a recorded run only what is recorded."""
        return whole(run).source.kind != "recorded" or record_path(self.path(run)).exists()

    def is_fresh(self, run: Run, fold: int | None = None) -> bool:
        """Whether it is as it would be made now from what lies there; makes nothing."""
        try:
            recipe = self.recipe(run, fold, making=False)
        except (OSError, ValueError, KeyError, TypeError) as wrong:  # something that it is made from is not there
            if isinstance(wrong, InputError):
                raise
            return False
        return _is_fresh(self.path(run, fold), _recipe_digest(recipe))

    def recipe(self, run: Run, fold: int | None = None, *, making: bool = True) -> dict[str, Any]:
        """What it would be made from; makes the inputs if it must, or takes them as they lie there."""
        run = whole(run)
        inputs: dict[str, str] = dict(self.outside(run, *([fold] if self.folds else []))) if self.outside else {}
        for name, (one, own, of) in self.made_from(run).items():
            inputs[name] = digest_of(one._get(own, of) if making else one.path(own, of))
        return {
            "fields": {name: getattr(run, name) for name in self.fields} | ({"fold": fold} if self.folds else {}),
            "inputs": inputs,
            "code": code_digests(self.make.__module__.partition(".")[2]),
            "packages": {name: importlib.metadata.version(name) for name in self.packages},
        }

    def seconds(self, run: Run) -> float | None:
        """How long it will take, from what the same work took before; None where nothing is known."""
        if not self.work:
            return None
        known = rates(self.name)
        rate = known.get(run.architecture if "architecture" in self.closure else "") or next(iter(known.values()), None)
        return rate and rate * self.work(run)

    def _announce(self, run: Run) -> None:
        seconds = self.seconds(run)
        if seconds and seconds > LONG:
            less = f"; smaller: {', '.join(self.smaller)}" if self.smaller else ""
            # like a progress bar, so that pages leave it out as they leave bars out
            minutes, rest = divmod(int(seconds), 60)
            print(f"{self.name}: about {seconds / 60:.0f} min{less} [00:00<{minutes:02d}:{rest:02d}]", file=sys.stderr)

    def _recorded(self, run: Run, path: Path) -> Path:
        if not record_path(path).exists():
            there = dict.fromkeys(p.key for p in study.entries() if not self.folds and self.there(p))
            known = f"; it is recorded of {'; '.join(there)}" if there else "; no recorded run has it"
            raise InputError(
                f"{self.name} of {run.key} is not recorded{known}; name a folder of recordings (data) to make it"
            )
        if not path.exists() or content_digest(path) != record(path)["content"]:
            raise InputError(f"{path} has changed since it was recorded; git checkout with this path brings it back")
        return path


@dataclass(frozen=True)
class Each:
    """An artefact that is made fold by fold, as an input: once for each fold that a field names."""

    artefact: Artefact
    field: str

    @property
    def closure(self) -> tuple[str, ...]:
        """Fields that key it."""
        return (*self.artefact.closure, self.field)

    def named(self, run: Run) -> dict[str, Piece]:
        """What they are, by name and fold."""
        value = getattr(run, self.field)
        folds = value if isinstance(value, tuple) else (value,)
        return {f"{self.artefact.name} {fold}": (self.artefact, run, fold) for fold in folds}


@dataclass(frozen=True)
class Changed:
    """An artefact of another run, which differs from this one in some fields, as an input."""

    artefact: Artefact
    changes: Mapping[str, Any]

    @property
    def closure(self) -> tuple[str, ...]:
        """Fields that key it."""
        return tuple(name for name in self.artefact.closure if name not in self.changes)

    def named(self, run: Run) -> dict[str, Piece]:
        """What it is, by name and what is changed."""
        said = " ".join(f"{n}={v}" for n, v in self.changes.items())
        return {f"{self.artefact.name} {said}": (self.artefact, run.with_(**self.changes), None)}


Piece = tuple[Artefact, Run, int | None]  # one artefact: its kind, the run, and the fold where it is made fold by fold


_FRESH: ContextVar[set[Path] | None] = ContextVar("fresh", default=None)


@contextlib.contextmanager
def _one_call() -> Iterator[set[Path]]:
    """Which artefacts the outermost call has found fresh, or made: each is looked at once, whatever leads there."""
    known = _FRESH.get()
    if known is not None:
        yield known
        return
    fresh: set[Path] = set()
    token = _FRESH.set(fresh)
    try:
        yield fresh
    finally:
        _FRESH.reset(token)


class _Seen:
    """A run as one artefact's `make` may see it: a field that it does not declare cannot be read."""

    def __init__(self, run: Run, fields: set[str], artefact: str) -> None:
        self._run, self._fields, self._artefact = run, fields, artefact

    def __getattr__(self, name: str) -> Any:
        if name in study.FIELDS:
            if name not in self._fields:
                raise AttributeError(f"{self._artefact} reads {name}, which it does not declare")
            return getattr(self._run, name)
        found = vars(Run).get(name)
        if isinstance(found, property) and found.fget and name not in ("source", "label", "data_label", "key"):
            return found.fget(self)
        return getattr(self._run, name)


def whole(run: Run) -> Run:
    """The run itself, where a `make` function passes on what it may see of it."""
    return run._run if isinstance(run, _Seen) else run


def produce(
    path: Path,
    *,
    recipe: Mapping[str, Any],
    make: Callable[[Path], dict | None],
    facts: Mapping[str, Any] | None = None,
    before: Callable[[], None] = lambda: None,
) -> Path:
    """Return `path`, made anew only if its recipe has changed or its content was touched.

    Parameters
    ----------
    path : the artefact, a file or a folder.
    recipe : plain values and digests of all that it is made from.
    make : called with a path in a work folder; writes there, may keep beside it what it needs to resume,
        and may return extra facts for the record.
    facts : further facts for the record. before : called when there is something to make.

    Raises
    ------
    InputError
        There is no room or no right to write; what was done by then is kept.

    Chapter: notebooks/11_runs.md
    """
    recipe_digest = _recipe_digest(recipe)
    known, work = record_path(path), path.parent / f".{path.name}.{recipe_digest[:12]}.work"
    if _is_fresh(path, recipe_digest):
        with contextlib.suppress(OSError):  # a folder that may only be read is enough to load from
            known.touch()  # the workflow engine reads times: checked now, not older than its inputs
        shutil.rmtree(work, ignore_errors=True)  # of a call that was killed when all but this was done
        return path
    with _writing(path), locked(path):
        if _is_fresh(path, recipe_digest):
            return path  # another process has made it meanwhile
        work.mkdir(exist_ok=True)
        for kept in work.glob("*.pt"):
            if not zipfile.is_zipfile(kept):  # half of it reached the disk when the machine failed
                kept.unlink()
        before()
        started = time.monotonic()
        found = make(work / path.name) or {}
        made = {"seconds": round(time.monotonic() - started, 2), **circumstances(), **(facts or {}), **found}
        if not (work / path.name).exists():
            raise FileNotFoundError(f"the recipe of {path.name} wrote no {path.name}")
        content = content_digest(work / path.name)
        known.unlink(missing_ok=True)  # a record always belongs to the content beside it
        take_place(work / path.name, path)
        write_record(path, recipe=recipe, recipe_digest=recipe_digest, content=content, made=made)
        if made["seconds"] > LONG:
            os.sync()  # on the disk before that goes from which it could be made again
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*.work"):
            shutil.rmtree(stale, ignore_errors=True)
    return path


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not (reason := unwritable(error, path.parent)):
            raise
        raise InputError(
            f"{path.name} cannot be written to {path.parent} ({reason}); make room there or name another folder "
            "(RUNS in the call), and run again: it goes on from where it was"
        ) from error


def unwritable(error: Exception, folder: Path) -> str:
    """Why nothing could be written to a folder, if that is what an error comes from; else "".

    Libraries have errors of their own for a full disk: then the folder is asked.
    """
    if isinstance(error, OSError) and error.errno:
        own = str(error.filename or "").startswith(str(folder))
        known = _UNWRITABLE + (_UNWRITABLE_IF_OWN if own else ())
        return os.strerror(error.errno) if error.errno in known else ""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return os.strerror(errno.ENOSPC) if shutil.disk_usage(there).free < LEAST else ""


def take_place(new: Path, path: Path) -> None:
    """Let a new file or folder take the place of another in one step: at every moment one is there, whole."""
    if not path.is_dir():
        os.replace(new, path)
        return
    call = getattr(ctypes.CDLL(None), "renameat2", None)  # Linux: two names change places
    if not call or call(-100, os.fsencode(new), -100, os.fsencode(path), 2):  # AT_FDCWD, RENAME_EXCHANGE
        old = new.with_name(f".{new.name}.old")  # elsewhere neither is there for a moment
        os.replace(path, old)
        os.replace(new, path)
        new = old
    shutil.rmtree(new, ignore_errors=True)  # NFS keeps a file that somebody has open; the new one is in its place


def write_record(path: Path, **facts: Any) -> None:
    """Write the provenance of an artefact beside it."""
    write_text(record_path(path), json.dumps({"artefact": path.name, **facts}, indent=1) + "\n")


One = TypeVar("One", pd.DataFrame, np.ndarray)


def clip_by_clip(target: Path, clips: Sequence[str] | np.ndarray, one: Callable[[int], One], *, what: str) -> list[One]:
    """One result per clip, kept beside `target` as soon as it is whole: an interrupted call goes on there.

    Parameters
    ----------
    target : the path that `Artefact.make` was given. clips : names.
    one : called with a clip's number; returns a table or an array.
    what : for the progress bar.

    Chapter: notebooks/11_runs.md
    """
    found: list[One] = []
    for i in tqdm(range(len(clips)), desc=what, unit="clip"):
        kept = [target.parent / f"clip-{i}{suffix}" for suffix in (".csv", ".npy")]
        if not any(path.exists() for path in kept):
            made = one(i)
            part = target.parent / f".clip-{i}.part"
            with part.open("wb") as file:
                if isinstance(made, pd.DataFrame):
                    made.to_csv(file, index=False)
                else:
                    np.save(file, made)
                file.flush()
                os.fsync(file.fileno())  # half a table reads like a whole one
            part.replace(kept[0] if isinstance(made, pd.DataFrame) else kept[1])
        found.append(pd.read_csv(kept[0]) if kept[0].exists() else np.load(kept[1], allow_pickle=False))  # type: ignore[arg-type]
    return found


def across(runs: Iterable[Run], read: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
    """The tables of several runs, one below the other, with what says which run a row is of.

    Parameters
    ----------
    read : gives the table of one run, such as `CONTROLS.read` or `scores.table`.

    Returns
    -------
    First the columns run, architecture, seed, setting (the run's key without its architecture and folds),
    hop_length, padding and scaling, then the table's own.

    Chapter: notebooks/13_reference.md
    """
    parts = []
    for run in runs:
        table = read(run)
        words = [w for w in run.key.split(" ")[1:] if not w.startswith("training_folds=")]
        facts: dict[str, Any] = {
            "run": run.key,
            "architecture": run.architecture,
            "seed": run.seed,
            "setting": " ".join(words),
        }
        facts |= {"hop_length": run.hop_length, "padding": run.padding, "scaling": run.scaling}
        for at, (name, value) in enumerate(facts.items()):
            table.insert(at, name, value)
        parts.append(table)
    return tables.joined(parts)


def _told(path: Path) -> None:
    """Say in the file that the environment names, if it does, which artefact a reader asked for."""
    if where := os.environ.get(ASKED):
        with open(where, "a", encoding="utf-8") as file:
            file.write(f"{path}\n")


def overview(folders: Iterable[Path]) -> pd.DataFrame:
    """One row per artefact below some folders: where, data, when, seconds, revision, digest.

    Chapter: notebooks/11_runs.md
    """
    rows = []
    found = {path: known for folder in folders for path, known in records(folder).items()}
    for path, known in sorted(found.items(), key=lambda pair: pair[0]):
        made, artefact = known["made"], path.parent / known["artefact"]
        root = next((r for r in (study.RUNS, study.RECORDED) if artefact.is_relative_to(r)), artefact.parent)
        rows.append(
            {
                "artefact": artefact.relative_to(root).as_posix(),
                "data": made.get("data", ""),
                "made (UTC)": made["date"].replace("T", " ").removesuffix("+00:00"),
                "seconds": f"{made['seconds']:.1f}",
                "revision": made["revision"],
                "content": known["content"][:8],
            }
        )
    return pd.DataFrame(rows)


def records(folder: Path, pattern: str = "*.json") -> dict[Path, dict]:
    """The records in a folder, by their paths: those of an artefact beside them; other JSON is not the study's.

    Chapter: notebooks/11_runs.md
    """
    found = {}
    for path in sorted(folder.glob(pattern)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(path.read_text())
            named, _ = path.with_name(known["artefact"]), known["made"]["date"]
            if record_path(named) == path:  # no way out of the folder either
                found[path] = known
    return found


def record_path(path: Path) -> Path:
    """Where the provenance of an artefact lies: `scores.json` beside `scores.csv`."""
    # not `with_suffix`: a folder's name may hold a number with a point
    return path.with_name(f"{path.name.removesuffix('.csv').removesuffix('.npz')}.json")


def record(path: Path) -> dict:
    """The provenance of an artefact as `produce` wrote it.

    Chapter: notebooks/11_runs.md
    """
    return json.loads(record_path(path).read_text())


def digest_of(path: Path) -> str:
    """The recorded content digest of an artefact, to be named as another one's input."""
    return record(path)["content"]


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents.

    Raises
    ------
    FileNotFoundError
        There is neither: what is made from a misnamed input would never be stale.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist, so nothing can be made from it")
    if path.is_file():
        stat = path.stat()  # no program can set the time of the last change of the file's entry (ctime)
        return _file_digest(path, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
    lines = [f"{p.relative_to(path).as_posix()} {content_digest(p)}" for p in sorted(path.rglob("*")) if p.is_file()]
    return _sha256("\n".join(lines).encode())


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, stamp: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _code() -> dict[str, str]:
    folder = Path(__file__).parent
    return {path.relative_to(folder).as_posix(): content_digest(path) for path in folder.rglob("*.py")}


_CODE = _code()  # as it was imported


def changed_code() -> list[str]:
    """Files of the package that are others than when it was imported here: what runs is not what they say.

    Chapter: notebooks/11_runs.md
    """
    return sorted({name for name, _ in _code().items() ^ _CODE.items()})


@functools.cache  # the code that runs is the one that was imported
def code_digests(module: str) -> dict[str, str]:
    """Digest of a helper module and of every helper module it imports, without comments and docstrings.

    Raises
    ------
    InputError
        A module was changed after it was imported: what is made would be recorded as made by other code.
    """
    if changed := changed_code():
        raise InputError(
            f"src/helpers/{changed[0]} changed after it was imported, so the old code still runs; run again, in "
            "JupyterLab after Kernel, Restart"
        )
    room, _, name = f"helpers.{module}".rpartition(".")
    names = {
        n
        for n in modules_of(f"from {room} import {name}")
        if n.partition(".")[0] not in _PLUMBING and (n == module or n not in _SOUNDS)
    }
    return {
        name: _sha256(ast.unparse(_without_docstrings(ast.parse(source_of(name).read_text()))).encode())
        for name in sorted(names)
    }


def modules_of(code: str) -> set[str]:
    """Names of the helper modules that a piece of code imports, with those that these import."""
    found: set[str] = set()
    waiting = _imported(code)
    while waiting:
        fresh = waiting - found
        found |= fresh
        waiting = set().union(*(_imported(source_of(name).read_text()) for name in fresh))
    return found


@functools.lru_cache(maxsize=512)
def _imported(code: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "helpers":
            room = (node.module or "").partition(".")[2]  # "" in `from helpers import study`
            names |= {room, *(f"{room}.{a.name}".strip(".") for a in node.names)} - {""}
    return {name for name in names if source_of(name).exists()}


def source_of(module: str) -> Path:
    """The file of a helper module."""
    path = Path(__file__).parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def write_text(path: Path, text: str) -> None:
    """Write a small text in one step (`write`), as UTF-8."""
    write(path, text.encode())


def write(path: Path, content: bytes) -> None:
    """Write a small file in one step: a reader sees the old content or the new, never half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


@functools.cache
def rates(name: str) -> dict[str, float]:
    """Seconds per unit of work of an artefact by architecture, from records here and those that came along."""
    found: dict[str, float] = {}
    stem = name.partition(".")[0]
    for root in (study.RECORDED, study.RUNS):  # what was made here counts more
        for path in root.glob(f"**/{stem}*.json"):
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a broken record says nothing
                made = json.loads(path.read_text())["made"]
                architecture = path.parent.name if path.parent.name in study.NETWORKS else ""
                found[architecture] = made["seconds"] / made["work"]
    return found


def locked(path: Path) -> FileLock:
    """The lock under which an artefact is made or put into its place; the system lets go of it with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.parent / f".{path.name}.lock")


def is_whole(path: Path) -> bool:
    """Whether an artefact is as it was made, and its record speaks of the recipe that it names."""
    try:
        digest = _recipe_digest(record(path)["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return _is_fresh(path, digest)


def _recipe_digest(recipe: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(recipe, sort_keys=True).encode())


def _is_fresh(path: Path, recipe_digest: str) -> bool:
    try:
        return record(path)["recipe_digest"] == recipe_digest and unchanged(record_path(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no record, or a broken one: made again


def unchanged(record: Path) -> bool:
    """Whether a record lies beside the artefact that it speaks of, as that was when it was made.

    Chapter: notebooks/11_runs.md
    """
    try:
        known = json.loads(record.read_text())
        return known["content"] == content_digest(record.parent / known["artefact"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def circumstances() -> dict:
    """When, at which revision and with what something is made, to be read and not compared.

    Chapter: notebooks/11_runs.md
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "cores": os.cpu_count(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,  # of the process until now
    } | _torch()


def _torch() -> dict:
    torch = sys.modules.get("torch")  # its import takes seconds that not every artefact needs
    device = "cuda" if torch and torch.cuda.is_available() else "cpu"
    return {"threads": torch.get_num_threads(), "device": device} if torch else {}


def revision() -> str:
    """The git revision of the study, with `+` when files differ from it; `unknown` outside git."""
    try:
        # no tag: its name may hold what is no text on a page
        call = ["git", "-C", str(study.ROOT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
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
