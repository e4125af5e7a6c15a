"""What several kinds of tests share: a copy of the working tree in which the study can run."""

import gc
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = next(
    line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("SETTINGS := ")
).split()[2:]
RECORDINGS = ROOT.parent / "shared" / "urbansound8k"


@dataclass(frozen=True)
class Tree:
    """A copy of the repository; `make` runs there with this environment's packages and the copy's code."""

    root: Path

    def make(self, *words: str, **options) -> subprocess.CompletedProcess:
        return self.run("make", *words, f"VENV={sys.prefix}", "--old-file", f"{sys.prefix}/.installed", **options)

    def run(self, *call: str, **options) -> subprocess.CompletedProcess:
        # as in a user's own shell: nothing of the make that may have started the tests, no setting of its call
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS")) and k not in SETTINGS
        }
        environment["PYTHONPATH"] = str(self.root / "src")
        return subprocess.run(
            call, cwd=self.root, env=environment, capture_output=True, text=True, timeout=1200, **options
        )

    def build(self, *words: str) -> None:
        """`make book`, which must come to its end and say where the site is."""
        result = self.make("book", *words)
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
        assert result.stdout.rstrip().endswith(str(self.site / "index.html"))

    @property
    def site(self) -> Path:
        return self.root / "_build" / "html"

    @property
    def executed(self) -> dict[str, bytes]:
        """The executed pages, by their place."""
        return notebooks(self.root / "book" / "executed")


@dataclass(frozen=True)
class Recorded:
    """What stood in a tree when only the recorded part of the book had been built there."""

    tree: Tree
    executed: dict[str, bytes]
    site: frozenset[str]
    data: frozenset[str]


def notebooks(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.ipynb")}


def copy_tree(target: Path) -> Tree:
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return Tree(target)


@pytest.fixture(autouse=True, scope="session")
def frozen():
    """What was imported is never looked through for lost objects: statsmodels asks for that at each correction of p."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all workers of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def recorded(shared) -> Recorded:
    """The recorded part of the book alone, built in a tree without sounds; one for all workers."""
    # a folder such as people have
    tree, kept = Tree(shared / "Our book, 2nd"), shared / "recorded"
    with FileLock(shared / "recorded.lock"):
        if not kept.exists():
            copy_tree(tree.root).build("PARTS=recorded")
            shutil.copytree(tree.root / "book" / "executed", kept / "executed")
            pages = [p.relative_to(tree.site).as_posix() for p in tree.site.rglob("*.html")]
            (kept / "names.json").write_text(json.dumps([pages, [p.name for p in (tree.root / "data").iterdir()]]))
    pages, data = json.loads((kept / "names.json").read_text())
    return Recorded(tree=tree, executed=notebooks(kept / "executed"), site=frozenset(pages), data=frozenset(data))


@pytest.fixture(scope="session")
def book(recorded, shared) -> Tree:
    """The whole book: beside the recorded part the smoke study of both architectures on the stand-in."""
    with FileLock(shared / "book.lock"):
        if not (shared / "site").exists():
            recorded.tree.build("PROFILE=smoke")
            shutil.copytree(recorded.tree.site, shared / "site")
    return recorded.tree


@pytest.fixture(scope="session")
def site(book, shared) -> Path:
    """The site of the whole book, which stays as it is while other tests change and build the book again."""
    return shared / "site"
