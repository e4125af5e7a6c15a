"""A checkout that is only read: all that is made lies in another folder."""

import os
import sys

import pytest

from helpers import InputError, study
from helpers.book import cli, elsewhere

SOURCES = {
    "_toc.yml": "toc",
    "src/helpers/study.py": "code",
    "notebooks/01_a.md": "a chapter",
    "book/index.md": "a page",
    "data/claims.yaml": "claims",
    "data/recorded/a b/scores.csv": "1",
}
MADE = ("book/executed/01_a.ipynb", "data/runs/x.csv", "data/digests.json", "src/helpers/__pycache__/a.pyc", "_build/a")


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    root = tmp_path / "a checkout"
    for name, text in (SOURCES | dict.fromkeys(MADE, "made")).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for folder in (root / "data", root / "book", root):
        folder.chmod(0o555)
    monkeypatch.setattr(study, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    yield root
    for folder in (root, root / "book", root / "data"):
        folder.chmod(0o755)


@pytest.fixture
def started(monkeypatch):
    """What would have been started in place of this process."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda *given: calls.append(given))
    return calls


def files(root):
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_the_sources_are_copied_and_what_was_made_is_not(checkout, tmp_path):
    target = tmp_path / "elsewhere"
    elsewhere.copy(target)
    assert files(target) == SOURCES
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.*")}
    (target / "book" / "executed").mkdir()  # can be written to, whatever the checkout's folders allow
    (target / "book" / "executed" / "01_a.ipynb").write_text("executed here")
    (target / "notebooks" / "00_old.md").write_text("gone from the checkout")
    (checkout / "notebooks" / "01_a.md").write_text("a changed chapter")
    elsewhere.copy(target)
    changed = {"notebooks/01_a.md": "a changed chapter", "book/executed/01_a.ipynb": "executed here"}
    assert files(target) == SOURCES | changed
    after = {path: path.stat().st_mtime_ns for path in times}
    assert [path.name for path in times if times[path] != after[path]] == ["01_a.md"]


def test_the_same_command_runs_there(checkout, started, tmp_path, monkeypatch):
    monkeypatch.setenv("BUILD", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("RUNS", "runs")
    monkeypatch.setenv("PYTHONPATH", "/packages")
    monkeypatch.setattr(cli, "_run", lambda options: None)
    monkeypatch.setattr(cli, "_at_home", lambda: None)
    cli.main(["build", "--data=some/sounds", "--others=n_mfcc=20 layer=x"])
    ((program, words, environment),) = started
    assert program == sys.executable
    data = f"--data={checkout}/some/sounds"
    assert words == [sys.executable, "-m", "helpers.book", "build", data, "--others=n_mfcc=20 layer=x"]
    assert os.getcwd() == str(tmp_path / "elsewhere")
    assert environment["PYTHONPATH"] == f"{tmp_path}/elsewhere/src:/packages"
    assert environment["RUNS"] == str(study.RUNS)
    assert "BUILD" not in environment


@pytest.mark.parametrize("data", ["", "recorded"])
def test_data_that_is_no_folder_is_passed_on(checkout, started, tmp_path, data):
    elsewhere.run(tmp_path / "elsewhere", ["build", f"--data={data}"])
    assert started[0][1][-1] == f"--data={data}"


def test_a_folder_of_others_is_named_from_where_the_call_was_made(checkout, started, tmp_path):
    elsewhere.run(tmp_path / "elsewhere", ["merge", "--data=", "--", "theirs"])
    assert started[0][1][-3:] == ["--data=", "--", str(tmp_path / "theirs")]


def test_recordings_of_the_checkout_are_found_there(checkout, tmp_path):
    (checkout / "data").chmod(0o755)
    (checkout / "data" / "UrbanSound8K").mkdir()
    elsewhere.copy(tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "data" / "UrbanSound8K").resolve() == checkout / "data" / "UrbanSound8K"


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("a checkout/_build", "lies in the checkout, which is only read; name a folder outside"),
        ("a checkout", "lies in the checkout"),
        ("mine", "holds other files; name a new or an empty folder"),
        ("mine/thesis.txt", "is a file; name a folder"),
        ("mine/thesis.txt/more", "cannot be written to (Not a directory); name another folder"),
        ("a:b", 'holds a ":", which ends a folder for Python; name another folder'),
    ],
)
def test_a_folder_that_cannot_be_is_refused_and_left_as_it_is(checkout, started, tmp_path, folder, said):
    (tmp_path / "mine" / "src").mkdir(parents=True)
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(InputError) as refused:
        elsewhere.run(tmp_path / folder, ["build"])
    assert str(refused.value).endswith(said) or said in str(refused.value)
    assert files(tmp_path) == before
    assert started == []


def test_a_folder_that_another_user_filled_is_refused(checkout, started, tmp_path, monkeypatch):
    """What lies there, code and Sphinx's pickles, would run as whoever names it."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "_toc.yml").write_text("theirs")
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "theirs").stat().st_uid + 1)
    with pytest.raises(InputError, match="was filled by another user; name a folder of your own"):
        elsewhere.run(tmp_path / "theirs", ["build"])
    assert files(tmp_path / "theirs") == {"_toc.yml": "theirs"}


@pytest.mark.parametrize("name", ["BUILD", "RUNS"])
@pytest.mark.parametrize(
    ("folder", "said"),
    [("~nobody at all/x", "is of a user whom this machine does not know"), ("a\nb", "holds a line break")],
)
def test_a_folder_of_nobody_is_one_sentence(monkeypatch, capsys, name, folder, said):
    monkeypatch.setenv(name, folder)
    assert cli.main(["pdf"]) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith(name)
    assert said in sentence
    assert sentence.count("\n") == 1


@pytest.mark.parametrize("name", [*elsewhere.NEEDED, "book/index.md"])
def test_a_checkout_of_which_a_part_is_missing_is_one_sentence(monkeypatch, tmp_path, name):
    """As after a `git checkout` that was interrupted."""
    monkeypatch.setattr(study, "ROOT", tmp_path)
    for file in (*elsewhere.NEEDED, "book/index.md"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    elsewhere.whole(["book/index", "book/executed/01_a"])
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"^{name} is not there, so this copy of the study is not whole; take it from"):
        elsewhere.whole(["book/index", "book/executed/01_a"])


def test_code_with_a_merge_conflict_is_one_sentence(monkeypatch, tmp_path):
    for file in (*elsewhere.NEEDED, "src/helpers/show/style.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("<<<<<<< HEAD\n")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    with pytest.raises(
        InputError, match=r"^src/helpers/show/style\.py: a merge conflict is not settled; keep one side"
    ):
        elsewhere.whole([])
