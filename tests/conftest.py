"""What several kinds of tests share: a copy of the working tree in which the study can run."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT.parent / "shared" / "urbansound8k"


@dataclass(frozen=True)
class Tree:
    """A copy of the repository; `make` runs there with this environment's packages and the copy's code."""

    root: Path

    def make(self, *words: str, **options) -> subprocess.CompletedProcess:
        return self.run(
            "make", *words, f"VENV={sys.prefix}", "--old-file", f"{sys.prefix}/.installed", **options
        )

    def run(self, *call: str, **options) -> subprocess.CompletedProcess:
        # as in a user's own shell: nothing of the make that may have started the tests
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        environment["PYTHONPATH"] = str(self.root / "src")
        return subprocess.run(
            call, cwd=self.root, env=environment, capture_output=True, text=True, timeout=1200, **options
        )

    @property
    def site(self) -> Path:
        return self.root / "_build" / "html"


def copy_tree(target: Path) -> Tree:
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return Tree(target)


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Tree:
    """The smoke study of both architectures on the stand-in, built as a user would."""
    tree = copy_tree(tmp_path_factory.mktemp("book"))
    tree_result = tree.make("book", "PROFILE=smoke")
    assert tree_result.returncode == 0, tree_result.stdout[-5000:] + tree_result.stderr[-5000:]
    assert tree_result.stdout.rstrip().endswith(str(tree.site / "index.html"))
    return tree
