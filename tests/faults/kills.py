"""The study, killed at random moments: all its processes at once, as when the machine fails, and then run again.

What comes out in the end is held against what comes out undisturbed, by content: dates and seconds aside.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MAKE = "from helpers.book import studies; from helpers import artifacts, study\n"
MAKE += "(run,) = study.entries('faults', data={data!r})\nfor name in {names!r}: artifacts.ALL[name].get(run)"
VOLATILE = re.compile(
    r"executed in [\d.]+ s|revision <?[^ ]*[0-9a-f]{12}\+?[^,. ]*|\b[\d.]+ (?:s|min|minutes|MB)\b"
    r"|minutes(?:'|&#39;): [\d.]+|\d{4}-\d\d-\d\d[T ][\d:]+"
)
NUMBER = re.compile(r'"\d+": (?:\d+|\[[\d, ]*\]),? ?')  # as a word of the search, such as one of seconds
NOT_KEPT = re.compile(r"\.lock$|^_build/(?!html/)|^\.snakemake/|__pycache__|^data/digests\.json$|^\.git/|^settings")


@dataclass(frozen=True)
class Stage:
    """One command of the study: what it is called and what follows `python`."""

    name: str
    words: tuple[str, ...]


def making(name: str, *artefacts: str, data: str = "") -> Stage:
    """The stage that makes these artefacts of the one run of the study `faults`."""
    return Stage(name, ("-c", MAKE.format(names=artefacts, data=data)))


def processes(mark: str) -> list[int]:
    """Every process that was started, by whomever, below the one with this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found


def kill(mark: str) -> None:
    """End all of them at once; none has time for a last word."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        before: list[int] = []
        while (now := processes(mark)) and (number == signal.SIGKILL or now != before):
            before = now
            for pid in now:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            time.sleep(0.01)


def until_done(stage: Stage, root: Path, moments: Iterable[float]) -> tuple[int, float]:
    """Run a stage, killed after each of these seconds unless it is done before, until it has come to its end.

    Returns
    -------
    How often it was killed, and how many seconds the last call took.
    """
    kills = 0
    for moment in [*moments, None]:
        mark = f"FAULTS_MARK={uuid.uuid4().hex}"
        given = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "RUNS", "PYTEST"))}
        given |= {"PYTHONPATH": str(root / "src"), "FAULTS_MARK": mark.partition("=")[2], "PYTHONUTF8": "1"}
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as said:
            running = subprocess.Popen(
                [sys.executable, *stage.words], cwd=root, env=given, stdout=said, stderr=said, start_new_session=True
            )
            try:
                running.wait(moment)
            except subprocess.TimeoutExpired:
                kill(mark)
                running.wait()
                kills += 1
                continue
            said.seek(0)
            assert running.returncode == 0, f"{stage.name}:\n{said.read()[-5000:]}"
        assert processes(mark) == [], f"{stage.name} left processes"
        return kills, time.monotonic() - started
    raise AssertionError("unreachable")


def killed(
    stages: list[Stage], root: Path, *, durations: dict[str, float], each: int, draw: random.Random, share: float = 1
) -> int:
    """Run the stages one after the other, each killed at `each` random moments unless it is done before; how often.

    Parameters
    ----------
    durations : of the stages when nothing kills them, seconds. share : of these in which the moments lie.
    """
    kills = 0
    for stage in stages:
        moments = [draw.uniform(0, share * durations[stage.name]) for _ in range(each)]
        kills += until_done(stage, root, moments)[0]
    return kills


def undisturbed(stages: list[Stage], root: Path) -> dict[str, float]:
    """Run the stages; how many seconds each takes."""
    durations = {}
    for stage in stages:
        _, durations[stage.name] = until_done(stage, root, [])
        print(f"{stage.name}: {durations[stage.name]:.0f} s undisturbed", flush=True)
    return durations


def content(root: Path, folders: Iterable[str]) -> dict[str, str]:
    """A digest of every file below some folders, without what is another each time: dates, seconds, revisions."""
    files = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    found = {}
    for path in files:
        name = path.relative_to(root).as_posix()
        if not NOT_KEPT.search(name):
            found[name] = hashlib.sha256(_said(path)).hexdigest()
    return found


def _said(path: Path) -> bytes:
    said = path.read_bytes()
    if path.suffix == ".json" and b'"recipe_digest"' in said:
        known = json.loads(said)
        return json.dumps({name: known.get(name) for name in ("artefact", "recipe", "content")}).encode()
    if path.suffix == ".ipynb":
        page = json.loads(said)
        page["metadata"].pop("made_from", None)  # of records, which hold dates
        for cell in page["cells"]:
            cell.pop("id", None)
        said = json.dumps(page, sort_keys=True).encode()
    if path.name == "searchindex.js":
        said = NUMBER.sub("", said.decode()).encode()
    if path.suffix in (".ipynb", ".html", ".js", ".md"):
        said = VOLATILE.sub("", said.decode()).encode()
    return said


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names of files that are not the same, or only in one of the two."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
