"""From executed pages to the site."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from helpers import study
from helpers.book import contents

BUILD = study.ROOT / "_build"
SITE = BUILD / "html"


def site(architectures: Sequence[str], *, parts: Sequence[str] = contents.PARTS) -> Path:
    """Build the site with warnings as errors; the old one stays until the new one is complete."""
    following = BUILD / "following"
    shutil.rmtree(following, ignore_errors=True)
    following.mkdir(parents=True)
    toc = following / "toc.yml"
    toc.write_text(yaml.safe_dump(contents.contents(architectures, parts=parts), sort_keys=False))
    for name in ("book/_static", "book/executed/_static"):
        (study.ROOT / name).mkdir(parents=True, exist_ok=True)
    call = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(study.ROOT),
        "--path-output",
        str(following),
    ]
    call += ["--toc", str(toc), "--config", str(_config(following, parts)), "-n", "-W", "--keep-going", "-q"]
    with (BUILD / "site.log").open("w") as log:
        result = subprocess.run(call, stdout=log, stderr=subprocess.STDOUT, check=False)
    built = following / "_build" / "html"
    if result.returncode or not (built / "index.html").exists():
        tail = "\n".join((BUILD / "site.log").read_text().splitlines()[-30:])
        raise RuntimeError(f"{tail}\nthe site could not be built; the whole log is _build/site.log")
    _redirect(built, contents.files(contents.contents(architectures, parts=parts)))
    shutil.rmtree(SITE, ignore_errors=True)
    os.replace(built, SITE)
    shutil.rmtree(following)
    return SITE / "index.html"


def _config(following: Path, parts: Sequence[str]) -> Path:
    """_config.yml for these parts, with the buttons of a repository where the setting names one."""
    config = yaml.safe_load((study.ROOT / "_config.yml").read_text())
    config["sphinx"]["config"]["helpers_parts"] = list(parts)
    buttons = bool(config.get("repository", {}).get("url"))
    for name in ("use_repository_button", "use_issues_button"):
        config["html"][name] = buttons
    path = following / "config.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


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
