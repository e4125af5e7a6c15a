"""From executed pages to the site."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from helpers import artifacts, study
from helpers.book import contents, doors, pages

BUILD = study.ROOT / "_build"
SITE = BUILD / "html"
TOOK = "took.txt"  # in BUILD, a line per step of the last build: seconds and what
_SHARED = re.compile(r"#|\(|.*caption|.*\{(?:figure|table|math)")


def site(architectures: Sequence[str], *, parts: Sequence[str] = contents.PARTS) -> Path:
    """Build the site with warnings as errors; the old one stays until the new one is complete.

    Sphinx goes on from what it kept of the last build (_build/following): where only sentences have changed, it writes
    the changed pages alone; where the contents, a heading or a caption has, it reads the changed ones and writes all.
    """
    following, started = BUILD / "following", time.monotonic()
    listed = yaml.safe_dump(contents.contents(architectures, parts=parts), sort_keys=False)
    kept, now = following / "made_from.json", {"all": _every(), "pages": _shown(listed)}
    before = json.loads(kept.read_text()) if kept.exists() else {}
    if before.get("all") != now["all"]:
        shutil.rmtree(following, ignore_errors=True)
    elif before != now:
        shutil.rmtree(following / "_build" / "html", ignore_errors=True)
    following.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)  # a build that does not come to its end is no beginning for the next
    toc = following / "toc.yml"
    toc.write_text(listed)
    for name in ("book/_static", "book/executed/_static"):
        (study.ROOT / name).mkdir(parents=True, exist_ok=True)
    config, log = _config(following, parts), BUILD / "site.log"
    words = ["--path-output", str(following), "--toc", str(toc), "--config", str(config)]
    code = jupyter_book(["build", str(study.ROOT), *words, "-n", "-W", "--keep-going", "-q"], log=log)
    built = following / "_build" / "html"
    if code or not (built / "index.html").exists():
        tail = "\n".join(log.read_text().splitlines()[-30:])
        raise RuntimeError(f"{tail}\nthe site could not be built; the whole log is _build/site.log")
    new = BUILD / "new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(built, new)
    files = list(contents.files(contents.contents(architectures, parts=parts)))
    _redirect(new, files)
    _map(new, files)
    pages.lighten(new)
    pages.protect(new)
    if found := pages.faults(new, files):
        with log.open("a") as file:
            file.write("\n".join(found) + "\n")
        first = "\n".join(found[:20])
        raise RuntimeError(f"{first}\n{len(found)} faults on the pages; the whole log is _build/site.log")
    artifacts.take_place(new, SITE)
    kept.write_text(json.dumps(now))
    took("site", time.monotonic() - started)
    return SITE / "index.html"


def jupyter_book(words: Sequence[str], *, log: Path) -> int:
    """Run jupyter-book in a process that is forked from this one, so that nothing is imported twice; its exit code."""
    with log.open("w") as file:
        running = multiprocessing.get_context("fork").Process(target=_be_jupyter_book, args=(words, file.fileno()))
        running.start()
        try:
            running.join()
        finally:
            running.kill()
    return running.exitcode or 0


def _be_jupyter_book(words: Sequence[str], log: int) -> None:
    from jupyter_book.cli.main import main

    os.dup2(log, 1)
    os.dup2(log, 2)
    # Of millions of small objects, looking for lost ones as often as Python does took a third of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    main(words)


def took(what: str, seconds: float) -> None:
    """Note how long a step of a build took, for what `make book` says at its end."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / TOOK).open("a", encoding="utf-8") as file:
        file.write(f"{seconds:.1f} {what}\n")


def _every() -> str:
    """A digest of what every page is made with: settings, code, styles, references, packages."""
    files = [
        study.ROOT / name for name in ("_config.yml", "requirements.lock", "book/references.bib", "book/glossary.md")
    ]
    files += sorted([*study.ROOT.glob("src/helpers/**/*.py"), *study.ROOT.glob("book/_static/*")])
    said = hashlib.sha256(sys.version.encode())
    for path in filter(Path.is_file, files):
        said.update(path.read_bytes())
    return said.hexdigest()


def _shown(toc: str) -> str:
    """A digest of what pages show of each other: the contents, and all headings, labels and captions."""
    said = hashlib.sha256(toc.encode())
    for path in sorted([*contents.NOTEBOOKS.glob("*.md"), *study.ROOT.glob("book/**/*.md")]):
        lines = (line for line in path.read_text().splitlines() if _SHARED.match(line))
        said.update("\n".join([path.name, *lines]).encode())
    return said.hexdigest()


def _config(following: Path, parts: Sequence[str]) -> Path:
    """_config.yml for these parts, with the buttons of a repository where the setting names one."""
    config = yaml.safe_load((study.ROOT / "_config.yml").read_text())
    config["sphinx"]["config"]["helpers_parts"] = list(parts)
    url = config.get("repository", {}).get("url") or ""
    doors.check(url)
    for name in ("use_repository_button", "use_issues_button"):
        config["html"][name] = bool(url)
    path = following / "config.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def address() -> str:
    """Where the site can be read by everybody (`baseurl` in _config.yml), without a slash at its end; "" if nowhere."""
    return yaml.safe_load((study.ROOT / "_config.yml").read_text())["html"].get("baseurl", "").rstrip("/")


def _map(built: Path, files: Iterable[str]) -> None:
    """List the pages for search engines, where the site has a public address."""
    if root := address():
        said = "".join(f"<url><loc>{root}/{file}.html</loc></url>\n" for file in files)
        (built / "sitemap.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{said}</urlset>\n'
        )


def _redirect(built: Path, files: Iterable[str]) -> None:
    """Let the addresses that executed chapters had before the book had parts lead to where they are now."""
    for file in files:
        page = contents.executed(file)
        if not page or not page.part:
            continue
        rest = file.partition(f"/executed/{page.part}/")[2]
        old = built / "book" / "executed" / f"{rest}.html"
        if old.exists():  # the recorded page comes first in the contents
            continue
        old.parent.mkdir(parents=True, exist_ok=True)
        new = f"{'../' * rest.count('/')}{page.part}/{rest}.html"
        old.write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>This page has moved</title>'
            f'<meta http-equiv="refresh" content="0; url={new}"><link rel="canonical" href="{new}"></head>'
            f'<body><p>This page is now <a href="{new}">here</a>.</p></body></html>\n'
        )
