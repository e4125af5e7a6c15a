"""A checkout that is only read: with `BUILD=folder` all that is made lies there, beside a copy of the sources.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from helpers import InputError, study

SOURCES = ("src", "notebooks", "book", "config", "data", "benchmarks")
NEEDED = ("_config.yml", "Snakefile", "data/claims.yaml", "book/references.bib")
_MADE = {"book/executed", "data/runs", "data/synthetic", "data/digests.json"}
_MADE |= {"data/UrbanSound8K", "data/UrbanSound8K.partial"}


def run(folder: str | Path, words: Sequence[str]) -> None:
    """Bring a folder's copy of the sources up to date and run the same command there, in place of this process.

    Parameters
    ----------
    folder : empty, new, or of an earlier call. words : of the command, after `python -m helpers.book`.

    Raises
    ------
    InputError
        The folder is the checkout's or in it, holds something else, or cannot be written to.

    Chapter: notebooks/11_runs.md
    """
    target = study.place("BUILD", str(folder))
    if os.pathsep in str(target):
        raise InputError(
            f'BUILD="{folder}" holds a "{os.pathsep}", which ends a folder for Python; name another folder'
        )
    if target.is_relative_to(study.ROOT):
        raise InputError(f'BUILD="{folder}" lies in the checkout, which is only read; name a folder outside')
    try:
        if target.exists() and any(target.iterdir()):
            mark = target / "_toc.yml"
            if not mark.exists():
                raise InputError(f'BUILD="{folder}" holds other files; name a new or an empty folder')
            if mark.stat().st_uid != os.geteuid():  # what lies there would run as this user
                raise InputError(f'BUILD="{folder}" was filled by another user; name a folder of your own')
        copy(target)
    except OSError as error:
        raise InputError(f'BUILD="{folder}" cannot be written to ({error.strerror}); name another folder') from None
    environment = {name: value for name, value in os.environ.items() if name != "BUILD"}
    places = [str(target / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    if os.environ.get("RUNS"):
        environment["RUNS"] = str(study.RUNS)
    if (study.ROOT / ".git").exists():  # what is copied has the revision of the checkout
        environment |= {"GIT_DIR": str(study.ROOT / ".git"), "GIT_WORK_TREE": str(study.ROOT)}
    words = list(map(_absolute, words))
    if words[0] == "merge":
        words[-1] = str(study.place("FROM", words[-1]))
    os.chdir(target)
    os.execve(sys.executable, [sys.executable, "-m", "helpers.book", *words], environment)


def whole(files: Iterable[str]) -> None:
    """Refuse a checkout of which a part is missing, as after an interrupted one, or whose code holds a merge conflict.

    Parameters
    ----------
    files : the entries of the contents; a chapter that is executed says by itself what it lacks.

    Chapter: notebooks/11_runs.md
    """
    written = (f"{file}.md" for file in files if "/executed/" not in file)
    for name in (*NEEDED, *written):
        if not (study.ROOT / name).is_file():
            raise InputError(f"{name} is not there, so this copy of the study is not whole; take it from git again")
    for path in study.ROOT.glob("src/helpers/**/*.py"):
        if re.search("^(<<<<<<<|>>>>>>>) ", path.read_text(encoding="utf-8"), re.MULTILINE):
            raise InputError(
                f"{path.relative_to(study.ROOT)}: a merge conflict is not settled; keep one side and remove the marks "
                "around both"
            )


def copy(target: Path) -> None:
    """Make the sources in a folder those of the checkout: what differs is copied, what is gone there goes here.

    Chapter: notebooks/11_runs.md
    """
    wanted = {path.relative_to(study.ROOT): path for path in sources(study.ROOT)}
    _toc = study.ROOT / "_toc.yml"
    for place, path in sorted(wanted.items(), key=lambda pair: pair[1] == _toc):  # the mark of a whole copy comes last
        here, there = target / place, path.stat()
        if not here.exists() or (here.stat().st_size, here.stat().st_mtime_ns) != (there.st_size, there.st_mtime_ns):
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, here)
            os.utime(here, ns=(there.st_atime_ns, there.st_mtime_ns))
    for path in sources(target):
        if path.relative_to(target) not in wanted:
            path.unlink()
    own, sounds = target / "data" / "UrbanSound8K", study.ROOT / "data" / "UrbanSound8K"
    if sounds.is_dir() and not own.exists():
        own.symlink_to(sounds)


def sources(root: Path) -> Iterator[Path]:
    """The files of a tree that the study reads, and none that it makes.

    Chapter: notebooks/11_runs.md
    """
    yield from (path for path in root.glob("[!.]*") if path.is_file())
    waiting = [root / name for name in SOURCES]
    while waiting:
        for path in waiting.pop().glob("[!.]*"):
            if path.relative_to(root).as_posix() in _MADE or path.name == "__pycache__":
                continue
            if path.is_file():
                yield path
            else:
                waiting.append(path)


def _absolute(word: str) -> str:
    """A folder of recordings is named from the checkout on."""
    name, _, data = word.partition("=")
    if name != "--data" or data in ("", "recorded"):
        return word
    return f"--data={(study.ROOT / os.path.expanduser(data)).resolve()}"
