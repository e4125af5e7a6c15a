"""The environment of a checkout: made whole where it is not, and a copy of the checkout runs its own code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SETTINGS

PYTHON = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
case "$*" in
    "-m pip --version" | "-m ensurepip") exit 1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout whose lock holds no package."""
    root = tmp_path / "checkout"
    (root / "src" / "helpers").mkdir(parents=True)
    (root / "src" / "helpers" / "__init__.py").touch()
    for name in ("requirements.lock", "pyproject.toml"):
        (root / name).write_text("# nothing\n")
    shutil.copy(ROOT / "Makefile", root)
    return root


def make(root: Path) -> subprocess.CompletedProcess:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTHON")) and k not in SETTINGS}
    call = ["make", ".venv/.installed"]
    return subprocess.run(call, cwd=root, env=own, capture_output=True, text=True, timeout=120, check=False)


def test_an_environment_without_pip_of_which_none_can_be_made_is_one_sentence(checkout):
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    made = make(checkout)
    assert made.returncode != 0
    assert (
        ".venv has no pip, and none could be made: remove .venv; on Debian or Ubuntu install python3-venv"
        in made.stdout
    )
    assert (python.parent / "asked").read_text().splitlines() == ["-m pip --version", "-m ensurepip"]
    assert not (checkout / ".venv" / ".installed").exists()


@pytest.mark.slow
def test_an_environment_without_pip_gets_one_and_a_copy_of_the_checkout_runs_its_own_code(checkout):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    made = make(checkout)
    assert made.returncode == 0, made.stdout + made.stderr
    copy = shutil.copytree(checkout, checkout.with_name("a copy"), symlinks=True)
    for root in (checkout, copy):
        call = [root / ".venv" / "bin" / "python", "-c", "import helpers; print(helpers.__file__)"]
        own = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        ran = subprocess.run(call, cwd=root.parent, env=own, capture_output=True, text=True, check=True)
        assert Path(ran.stdout.strip()).resolve() == (root / "src" / "helpers" / "__init__.py").resolve()
