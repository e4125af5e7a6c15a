"""A process that has imported everything, and the commands and kernels that are forked from it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import pytest

from helpers import study
from helpers.book import ask, warm

pytestmark = pytest.mark.slow
CHAPTER = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
# A chapter

```{code-cell} ipython3
:tags: [parameters]

seed = 0
```

```{code-cell} ipython3
import os
import sys
import time

print([name for name in ("torch", "helpers") if name in sys.modules])
print(os.environ.get("SAID"), os.getppid() != 1, sys.stdin.read() == "")
time.sleep(seed)
```

```{code-cell} ipython3
import matplotlib.pyplot as plt
import torch

print(torch.get_num_threads())
plt.plot([1, 2]);
```
"""


@pytest.fixture
def chapter(tmp_path) -> Path:
    path = tmp_path / "chapter.md"
    path.write_text(CHAPTER)
    return path


def asked(*words: str | Path, **environment: str) -> subprocess.Popen:
    call = [sys.executable, "-IS", ask.__file__, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(study.ROOT / "src"), **environment}
    return subprocess.Popen(call, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def cells(page: Path) -> list[str]:
    found = jupytext.read(page).cells
    return ["".join(out.get("text", "figure" if "data" in out else "") for out in c.get("outputs", [])) for c in found]


def test_a_kernel_has_what_its_process_had_imported(chapter, tmp_path):
    page = tmp_path / "page.ipynb"
    with warm.server(("papermill", "torch")):
        command = asked("execute", chapter, page, SAID="hello", OMP_NUM_THREADS="1")
        said, errors = command.communicate(timeout=120)
    assert (command.returncode, errors) == (0, ""), said + errors
    *_, first, second = cells(page)
    assert first == "['torch', 'helpers']\nhello True True\n"
    # as many threads as the environment says, though torch was loaded before; a figure is drawn in the page
    assert second.startswith("1\n")
    assert second.endswith("figure")


def test_without_a_server_the_command_runs_by_itself(chapter, tmp_path):
    page = tmp_path / "page.ipynb"
    command = asked("execute", chapter, page, SAID="hello", HELPERS_WARM="")
    said, errors = command.communicate(timeout=120)
    assert (command.returncode, errors) == (0, ""), said + errors
    assert cells(page)[-2].startswith("['helpers']\nhello")


def test_where_the_server_cannot_import_something_the_command_runs_by_itself(chapter, tmp_path, capfd):
    page = tmp_path / "page.ipynb"
    with warm.server(("no_such_module",)):
        waiting = asked("execute", chapter, page, SAID="hello")  # perhaps before the server has ended, perhaps after
        said, errors = waiting.communicate(timeout=120)
    assert (waiting.returncode, errors) == (0, ""), said + errors
    assert cells(page)[-2].startswith("['helpers']\nhello")
    assert "No module named 'no_such_module'" in capfd.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_a_mistake_is_one_sentence_and_an_exit_code(there, chapter, tmp_path):
    words = ("execute", chapter, tmp_path / "page.ipynb", "-p", "seed=-1")
    with warm.server(("papermill", "torch")):
        command = asked(*words, **({} if there else {"HELPERS_WARM": ""}))
        said, errors = command.communicate(timeout=120)
    assert (command.returncode, errors) == (2, "")
    assert said.startswith('seed "-1" is not possible; give a whole number')
    assert said.count("\n") == 1


def test_a_command_whose_caller_is_killed_stops(chapter, tmp_path):
    page, part = tmp_path / "page.ipynb", tmp_path / ".part-page.ipynb"
    with warm.server(("papermill", "torch")):
        command = asked("execute", chapter, page, "-p", "seed=100")
        until(part.exists)
        command.send_signal(signal.SIGKILL)
        until(lambda: not part.exists())  # it cleans up as after a Ctrl-C
        _, errors = command.communicate(timeout=60)  # until the command has ended, too
    assert not page.exists()
    assert not errors


def until(true) -> None:
    ends = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_kernel_that_nobody_needs_goes():
    with warm.forked():
        kernel = warm.Forked.waiting
        assert kernel.poll() is None
    assert kernel.returncode == 0
    assert warm.Forked.waiting is None
    kernel.send_signal(signal.SIGTERM)  # of one that is gone: nothing


def test_the_server_ends_with_its_parent():
    code = "import os, sys, json\nfrom helpers.book import warm\n"
    code += "with warm.server():\n    print(json.dumps(os.getpid()), flush=True); sys.stdin.read()\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert json.loads(parent.stdout.readline()) == parent.pid
    members = [p for p in os.listdir("/proc") if p.isdigit() and group(p) == parent.pid]
    assert len(members) == 2
    parent.kill()
    parent.communicate(timeout=60)
    until(lambda: all(group(p) != parent.pid for p in members))


def group(pid: str) -> int | None:
    try:
        return os.getpgid(int(pid)) if "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[1][:1] else None
    except OSError:
        return None


def test_a_foreign_kernel_and_environment_and_a_long_folder_for_temporary_files_change_nothing(chapter, tmp_path):
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = ["/no/such/python", "-m", "other_launcher", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    long = tmp_path / ("a_folder_for_this_job_only" * 4)
    long.mkdir()
    page = tmp_path / "page.ipynb"
    given = {"JUPYTER_PATH": str(tmp_path / "jupyter"), "TMPDIR": str(long), "SAID": "hello", "HELPERS_WARM": ""}
    given |= {"HOME": "", "LC_ALL": "C", "MPLBACKEND": "TkAgg", "PAPERMILL_OUTPUT_PATH": "/no/such"}
    given |= dict.fromkeys(("VIRTUAL_ENV", "CONDA_PREFIX", "JUPYTER_CONFIG_DIR"), "/no/such")
    ran = tmp_path / "ran"
    for startup in ("ipython/profile_default/startup/first.py", "startup.py"):  # the user's own IPython's and Python's
        (tmp_path / startup).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / startup).write_text(f"open({str(ran)!r}, 'w')")
    given |= {"IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONSTARTUP": str(tmp_path / "startup.py")}
    command = asked("execute", chapter, page, **given)
    said, errors = command.communicate(timeout=120)
    assert (command.returncode, errors) == (0, ""), said + errors
    assert "hello" in cells(page)[-2]
    assert not ran.exists()


def test_a_command_runs_the_code_as_it_is_now(tmp_path, monkeypatch):
    """Not as it was when the process that waits for commands imported it."""
    shutil.copytree(study.ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(study.ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    code, said = tmp_path / "src" / "helpers" / "__init__.py", "there is no site to print"
    text = code.read_text()
    with warm.server(("helpers.artifacts",)):
        for before in ("", "NOW "):
            code.write_text(text.replace('return "".join(', f'return "{before}" + "".join('))
            command = asked("pdf", PYTHONPATH=str(tmp_path / "src"))
            _, errors = command.communicate(timeout=60)
            assert command.returncode == 2
            assert errors.startswith(before + said)


@pytest.mark.parametrize(("said", "threads"), [("2", 2), (" 4,2", 4), ("", 0), ("abc", 0), ("-1", 0), ("1.5", 0)])
def test_threads_are_taken_from_a_list_too_and_nothing_from_what_is_no_number(said, threads):
    assert warm.asked(said) == threads
