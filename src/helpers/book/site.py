"""From executed pages to the site."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
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
    call += ["--toc", str(toc), "-n", "-W", "--keep-going", "-q"]
    with (BUILD / "site.log").open("w") as log:
        result = subprocess.run(call, stdout=log, stderr=subprocess.STDOUT, check=False)
    built = following / "_build" / "html"
    if result.returncode or not (built / "index.html").exists():
        tail = "\n".join((BUILD / "site.log").read_text().splitlines()[-30:])
        raise RuntimeError(f"{tail}\nthe site could not be built; the whole log is _build/site.log")
    shutil.rmtree(SITE, ignore_errors=True)
    os.replace(built, SITE)
    shutil.rmtree(following)
    return SITE / "index.html"
