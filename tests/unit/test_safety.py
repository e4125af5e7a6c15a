"""Nothing that is loaded or named can run: weights, arrays, archives, settings of make, pages."""

import ast
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.networks import training
from tests.conftest import ROOT, SETTINGS

PYTHON = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("benchmarks/*.py"), ROOT / "Snakefile"])
RUNS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}  # what these read can run
NEEDS = {  # a call by these names, with what makes it safe
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "extractall": ("filter", "data"),
}
# of the chapters themselves, as a kernel would run them; never of a call, a table or a file of data
CELLS = {"src/helpers/book/outcomes.py": ["exec", "exec", "eval"]}
NEVER = {"eval", "exec", "os.system", "os.popen", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "tempfile.mktemp"}


def unsafe(code: str) -> list[str]:
    """Calls and imports in some code that could run what they read, with their lines."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"{node.lineno}: {name}" for name in names if name.partition(".")[0] in RUNS]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {one.arg: getattr(one.value, "value", ...) for one in node.keywords}
            option, value = NEEDS.get(name) or NEEDS.get(name.rpartition(".")[2]) or ("", None)
            wrong = name in NEVER or options.get("shell", False) is not False
            wrong = wrong or (option and options.get(option) != value)
            found += [f"{node.lineno}: {name}"] if wrong else []
    return found


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_code_runs_what_it_reads(path):
    text = path.read_text()
    if path.name == "Snakefile":  # Python with rules: its head alone is Python
        text = text.partition("\nrule ")[0]
    found = [one.partition(": ")[2] for one in unsafe(text)]
    assert found == CELLS.get(path.relative_to(ROOT).as_posix(), []), unsafe(text)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "archive.extractall(folder)",
        "archive.extractall(folder, filter='tar')",
        "yaml.load(text)",
        "eval(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=asked)",
    ],
)
def test_what_could_run_is_seen(code):
    assert len(unsafe(code)) == 1


def test_what_is_safe_is_let_be():
    code = "network.eval(); torch.load(p, weights_only=True); np.load(p, allow_pickle=False); yaml.safe_load(t)"
    assert unsafe(f"{code}; archive.extractall(p, filter='data'); subprocess.run([p])") == []


def test_numpy_reads_no_pickles_unless_asked():
    assert inspect.signature(np.load).parameters["allow_pickle"].default is False


class Runs:
    """Unpickled, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(pickle.dumps(Runs(tmp_path / "ran"), protocol=2))
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        training._resume(tmp_path / "checkpoint.pt", None, None, None)
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "checkpoint.pt").read_bytes())  # which it would have done
    assert (tmp_path / "ran").exists()


# Packages and workflows


def test_every_locked_package_has_digests_and_none_names_an_index():
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 200
    form = r"\S+==\S+( ; .*?)?( \\\n    --hash=sha256:\w{64})+"
    assert [entry for entry in entries if not re.fullmatch(form, entry)] == []
    assert "://" not in text
    assert "--require-hashes --requirement requirements.lock" in (ROOT / "Makefile").read_text()


WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_what_it_needs_and_runs_only_pinned_actions(path):
    text, workflow = path.read_text(), yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in text
    for job in workflow["jobs"].values():
        assert set(job["permissions"].items()) <= {("contents", "read"), ("pages", "write"), ("id-token", "write")}
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", "")  # a value of the event would be read by a shell
    used = re.findall(r"uses: (.*)", text)
    assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one)] == []


def test_an_action_is_the_same_in_every_workflow():
    used = {one for path in WORKFLOWS for one in re.findall(r"uses: (.*)", path.read_text())}
    names = [one.partition("@")[0] for one in used]
    assert len(names) == len(set(names))


def test_an_accepted_finding_has_a_day_and_a_reason():
    lines = (ROOT / ".ci" / "accepted").read_text().splitlines()
    known = [line.removeprefix("# ") for line in lines if not line.startswith("#") or "GHSA" in line]
    form = r"[A-Z]+-[\w-]+ 20\d\d-\d\d-\d\d [\w.-]+==\S+ \w.{15,}"
    assert [line for line in known if not re.fullmatch(form, line)] == []
    assert known  # the example shows the form


def test_nothing_marks_a_notebook_as_trusted():
    files = [ROOT / "Makefile", *ROOT.glob("src/**/*.py"), *ROOT.glob(".ci/*"), *WORKFLOWS]
    words = r"jupyter.trust|NotebookNotary|mark_trusted"
    assert [path.name for path in files if re.search(words, path.read_text())] == []
    for path in ROOT.glob("notebooks/*.ipynb"):
        assert "trusted" not in json.dumps(json.loads(path.read_text())["metadata"])


# What is named in a call of make

HOSTILE = {
    "quotes": """it's "here\"""",
    "command": "$(touch ran)",
    "make": "$(shell touch ran)",
    "backticks": "`touch ran`",
    "end": "'; touch ran; '",
    "dashes": "--profile=thesis",
    "lines": "a\nPROFILE=b",
    "tab": "a\tFOO=b",
    "backslash": "a\\ b\\",
    "spaces": "two  spaces ",  # make drops spaces that stand first
    "letters": "Geräusche/音/é",
    "dollars": "$HOME $$ ${HOME} #%",
    "brackets": "{a} [b] *",
}
SHOW = (
    'show:\n\t@"$$VENV"/bin/python -c '
    "'import os, sys; print(ascii([os.environ[n] for n in sys.argv[1:]]))' $(SETTINGS)\n"
)
BOOK = ["DATA", "OTHERS", "ARCHS", "PARTS", "PROFILE", "STUDY", "NAMES", "FROM", "RUNS", "BUILD"]


def make(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS")) and k not in SETTINGS}
    call = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), *words, f"VENV={sys.prefix}"]
    call += ["--old-file", f"{sys.prefix}/.installed"]
    return subprocess.run(
        call, cwd=folder, env=environment | settings, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_setting_of_make_is_text_wherever_it_goes(tmp_path, value):
    (tmp_path / "show.mk").write_text(SHOW)
    given = [f"{name}={value}" for name in BOOK]
    result = make(tmp_path, "-f", "show.mk", "show", *given)
    assert result.returncode == 0, result.stderr
    known = dict(zip(SETTINGS, ast.literal_eval(result.stdout), strict=True))
    assert {name: known[name] for name in BOOK} == dict.fromkeys(BOOK, value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["show.mk"]


def test_no_recipe_puts_a_setting_into_a_command():
    for line in (ROOT / "Makefile").read_text().splitlines():
        if line.startswith("\t"):
            used = re.findall(r"(?<!\$)\$[({](\w+)", line)
            assert set(used) & set(SETTINGS) == set(), line


@pytest.mark.slow
@pytest.mark.parametrize("value", [HOSTILE["quotes"] + HOSTILE["command"] + HOSTILE["letters"], HOSTILE["lines"]])
def test_a_book_of_a_folder_that_is_not_there_ends_with_one_sentence(tmp_path, value):
    result = make(tmp_path, "book", f"DATA=/nowhere/{value}", PYTHONPATH=str(ROOT / "src"))
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr
    sentence = result.stderr.splitlines()[0]
    assert re.search("does not exist; name a folder|holds a line break", sentence), sentence
    assert list(tmp_path.iterdir()) == []
