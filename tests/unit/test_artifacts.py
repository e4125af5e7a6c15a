"""Make or load: when an artefact is made, when it is loaded, and what an interruption leaves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import InputError, artifacts, study
from helpers.artifacts import Artefact
from helpers.maps import explainers

MODULES = {
    "recipe": '"""A module."""\nfrom helpers import deep\n\n\ndef f():\n    """Says."""\n    return 1  # one\n',
    "deep": "from helpers import study\nx = 1\n",
    "alone": "x = 1\n",
    "study": "y = 1\n",
}


class Maker:
    """A recipe that writes a text and counts how often it is asked to."""

    def __init__(self, name: str = "table.csv") -> None:
        self.name, self.text, self.calls, self.facts = name, "made", 0, None

    def __call__(self, work: Path) -> dict | None:
        self.calls += 1
        (work / self.name).write_text(self.text)
        return self.facts


@pytest.fixture
def make():
    return Maker()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "table.csv"


@pytest.fixture
def produce(path):
    """`artifacts.produce` with a recipe of our own; what is not given stays the same."""

    def call(make, *, target=path, parameters=None, inputs=None):
        recipe = {"fields": parameters or {"a": 1}, "inputs": inputs or {"clips": "abc"}}
        module = getattr(make, "__module__", "").partition(".")[2]
        recipe["code"] = artifacts.code_digests(module) if module else {}
        return artifacts.produce(target, recipe=recipe, make=lambda target: make(target.parent))

    return call


@pytest.fixture
def modules(monkeypatch, tmp_path):
    """Helper modules of our own; returns a function that rewrites one."""
    folder = tmp_path / "modules"
    folder.mkdir()

    def write(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)

    for name, text in MODULES.items():
        write(name, text)
    monkeypatch.setattr(artifacts, "source_of", lambda module: folder / f"{module}.py")
    monkeypatch.setattr(Maker, "__module__", "helpers.recipe")
    # a process reads its modules once; here they change under it
    monkeypatch.setattr(artifacts, "code_digests", artifacts.code_digests.__wrapped__)
    monkeypatch.setattr(artifacts, "_imported", artifacts._imported.__wrapped__)
    return write


# Made once, remade when the recipe changes


def test_an_artefact_is_made_once_and_loaded_afterwards(produce, make, path):
    assert produce(make) == path
    make.text = "other"
    assert produce(make) == path
    assert make.calls == 1
    assert path.read_text() == "made"


def test_folders_above_an_artefact_are_made(produce, make, tmp_path):
    target = tmp_path / "a" / "b" / "table.csv"
    assert produce(make, target=target).read_text() == "made"


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"a": 2}},
        {"parameters": {"a": 1, "b": 1}},
        {"parameters": {"a": "1"}},
        {"inputs": {"clips": "abd"}},
        {"inputs": {"sounds": "abc"}},
    ],
)
def test_another_parameter_or_input_makes_it_anew(produce, make, path, change):
    produce(make)
    make.text = "anew"
    produce(make, **change)
    assert make.calls == 2
    assert path.read_text() == "anew"
    produce(make)  # and back: the file belongs to one recipe only
    assert make.calls == 3


def test_the_order_of_parameters_does_not_matter(produce, make):
    produce(make, parameters={"a": 1, "b": 2})
    produce(make, parameters={"b": 2, "a": 1})
    assert make.calls == 1


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [("recipe", "return 1", "return 2"), ("deep", "x = 1", "x = 2"), ("recipe", "def f()", "def g()")],
)
def test_changed_code_makes_it_anew(modules, produce, make, module, old, new):
    produce(make)
    modules(module, MODULES[module].replace(old, new))
    produce(make)
    assert make.calls == 2


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("recipe", "# one", "# the number one"),
        ("recipe", "  # one", ""),
        ("recipe", "Says.", "Says one,\n    in two lines."),
        ("recipe", '    """Says."""\n', ""),
        ("recipe", '"""A module."""', '"""Another sentence."""'),
        ("recipe", "\n\n\n", "\n\n# --- part ---\n\n"),
        ("alone", "x = 1", "x = 2"),
        ("study", "y = 1", "y = 2"),
    ],
)
def test_words_and_modules_that_are_not_used_leave_it(modules, produce, make, module, old, new):
    produce(make)
    modules(module, MODULES[module].replace(old, new))
    produce(make)
    assert make.calls == 1


def test_a_text_that_is_not_a_docstring_is_code(modules, produce, make):
    modules("alone", MODULES["alone"])
    modules("recipe", 'def f():\n    return """Says."""\n')
    produce(make)
    modules("recipe", 'def f():\n    return """Says!"""\n')
    produce(make)
    assert make.calls == 2


def test_digests_of_code_name_the_module_and_all_it_imports(modules):
    assert set(artifacts.code_digests("recipe")) == {"recipe", "deep"}
    assert set(artifacts.code_digests("alone")) == {"alone"}


def test_modules_that_import_each_other_are_followed_once(modules):
    modules("deep", "from helpers import recipe")
    assert set(artifacts.code_digests("recipe")) == {"recipe", "deep"}


def test_names_that_are_no_module_are_left_out(modules):
    assert artifacts.modules_of("from helpers import InputError, alone") == {"alone"}
    assert artifacts.modules_of("import numpy\nfrom numpy import alone\n") == set()


def test_an_import_within_a_function_counts(modules):
    assert artifacts.modules_of("def f():\n    from helpers import deep\n") == {"deep", "study"}


HELPERS = sorted(Path(artifacts.__file__).parent.rglob("*.py"))


def test_nothing_is_made_by_code_that_was_changed_after_it_was_imported(monkeypatch):
    assert artifacts.changed_code() == []
    monkeypatch.setattr(artifacts, "_CODE", artifacts._CODE | {"audio/sounds.py": "as it was imported"})
    assert artifacts.changed_code() == ["audio/sounds.py"]
    with pytest.raises(InputError, match=r"^src/helpers/audio/sounds\.py changed after it was imported, .*Restart$"):
        artifacts.code_digests.__wrapped__("networks.training")


@pytest.mark.parametrize("source", HELPERS, ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_no_helper_imports_another_in_a_way_that_the_digests_miss(source):
    assert not re.findall(r"^\s*import helpers", source.read_text(), re.MULTILINE)
    assert not re.findall(r"^\s*from \.", source.read_text(), re.MULTILINE)


def test_digests_of_the_real_modules_cover_the_way_of_the_data():
    names = set(artifacts.code_digests("maps.explainers"))
    assert {"maps.explainers", "networks.training", "audio.representations", "audio.urbansound"} <= names
    assert "audio.standin" not in names  # its sounds have digests of their own
    assert "audio.standin" in artifacts.code_digests("audio.standin")
    assert not {name.partition(".")[0] for name in names} & {"study", "artifacts", "tables", "book", "show"}


# Broken artefacts and records


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", "{}", '{"recipe_digest": 1}', "\udcff"])
def test_a_broken_record_makes_it_anew(produce, make, path, text):
    produce(make)
    path.with_suffix(".json").write_bytes(text.encode(errors="surrogateescape"))
    produce(make)
    assert make.calls == 2
    produce(make)
    assert make.calls == 2


def test_a_missing_record_makes_it_anew(produce, make, path):
    produce(make)
    path.with_suffix(".json").unlink()
    produce(make)
    assert make.calls == 2


@pytest.mark.parametrize("text", ["", "mad", "made "])
def test_a_changed_or_half_written_artefact_is_made_anew(produce, make, path, text):
    produce(make)
    path.write_text(text)
    produce(make)
    assert make.calls == 2
    assert path.read_text() == "made"


def test_a_removed_artefact_is_made_anew(produce, make, path):
    produce(make)
    path.unlink()
    produce(make)
    assert make.calls == 2


# Interruptions


def breaking(error: type[BaseException]):
    """A recipe that notes how far it came and then breaks; `seen` is what it found on each call."""

    def make(work):
        make.seen.append((work / "progress").exists())
        (work / "progress").write_text("half")
        (work / "table.csv").write_text("ha")
        raise error

    make.seen = []
    return make


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_first_make_that_breaks_leaves_nothing(produce, make, path, error):
    with pytest.raises(error):
        produce(breaking(error))
    assert not path.exists()
    assert not path.with_suffix(".json").exists()
    assert produce(make).read_text() == "made"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_later_make_that_breaks_leaves_the_old_artefact(produce, make, path, error):
    produce(make)
    with pytest.raises(error):
        produce(breaking(error), parameters={"a": 2})
    assert path.read_text() == "made"
    produce(make)
    assert make.calls == 1  # still fresh for its own recipe


def test_the_work_folder_is_offered_again_to_the_same_recipe_only(produce):
    make = breaking(KeyboardInterrupt)
    for parameters in ({"a": 1}, {"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}):
        with pytest.raises(KeyboardInterrupt):
            produce(make, parameters=parameters)
    assert make.seen == [False, True, False, True, True]


@pytest.mark.parametrize("name", ["table.csv", "table-layer=layer3[-1].csv", "table"])
def test_a_make_that_succeeds_leaves_no_work_folder(produce, tmp_path, name):
    # a name with [-1] in it must not be read as a pattern
    target = tmp_path / "results" / name
    with pytest.raises(ValueError, match=r"^$"):
        produce(breaking(ValueError), target=target, parameters={"a": 2})
    produce(Maker(name), target=target)
    assert [p.name for p in target.parent.iterdir() if p.name.endswith(".work")] == []


def test_a_work_folder_of_another_artefact_is_left(produce, make, path):
    other = path.with_name("table.csv.bak")
    with pytest.raises(KeyboardInterrupt):
        produce(breaking(KeyboardInterrupt), target=path.with_name("other.csv"))
    produce(make)
    assert [p.name for p in path.parent.iterdir() if p.name.endswith(".work")] != []
    assert not other.exists()


def test_a_recipe_that_writes_nothing_leaves_the_old_artefact(produce, make, path):
    # the old content goes only when the new one is known to be there
    produce(make)
    with pytest.raises(OSError, match=r"table\.csv"):
        produce(lambda work: None, parameters={"a": 2})
    assert path.read_text() == "made"
    produce(make)
    assert make.calls == 1


# Folders


def folder_of(**texts: str):
    """A recipe for a folder of files."""

    def make(work):
        make.calls += 1
        (work / "network").mkdir(exist_ok=True)
        for name, text in texts.items():
            (work / "network" / name).write_text(text)

    make.calls = 0
    return make


def test_a_folder_is_an_artefact_too(produce, path):
    target, make = path.with_name("network"), folder_of(weights="1", history="2")
    produce(make, target=target)
    produce(make, target=target)
    assert make.calls == 1
    assert sorted(p.name for p in target.iterdir()) == ["history", "weights"]


@pytest.mark.parametrize("harm", ["change", "remove", "add", "rename"])
def test_a_folder_that_changed_inside_is_made_anew(produce, path, harm):
    target, make = path.with_name("network"), folder_of(weights="1", history="2")
    produce(make, target=target)
    if harm == "change":
        (target / "weights").write_text("2")
    elif harm == "remove":
        (target / "weights").unlink()
    elif harm == "add":
        (target / "more").write_text("")
    else:
        (target / "weights").rename(target / "weight")
    produce(make, target=target)
    assert make.calls == 2
    assert sorted(p.name for p in target.iterdir()) == ["history", "weights"]


def test_a_new_folder_replaces_the_old_one_whole(produce, path):
    target = path.with_name("network")
    produce(folder_of(weights="1", history="2"), target=target)
    produce(folder_of(weights="3"), target=target, parameters={"a": 2})
    assert [p.name for p in target.iterdir()] == ["weights"]


@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), st.binary(max_size=3), max_size=4))
def test_the_digest_of_a_folder_depends_on_names_and_contents_alone(tmp_path_factory, files):
    digests = set()
    for names in (sorted(files), sorted(files, reverse=True)):
        folder = tmp_path_factory.mktemp("folder")
        for name in names:
            (folder / name).write_bytes(files[name])
        digests.add(artifacts.content_digest(folder))
        (folder / "zz").write_bytes(b"")
        assert artifacts.content_digest(folder) not in digests
    assert len(digests) == 1


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert artifacts.content_digest(tmp_path / "empty") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


# Records


def test_a_record_says_what_it_was_made_from_and_how(produce, make, path):
    make.facts = {"data": "synthetic stand-in", "clips": 4}
    produce(make)
    known = json.loads(path.with_suffix(".json").read_text())
    assert known["artefact"] == "table.csv"
    assert known["recipe"] == {"fields": {"a": 1}, "inputs": {"clips": "abc"}, "code": {}}
    assert known["content"] == artifacts.content_digest(path) == artifacts.digest_of(path)
    made = known["made"]
    assert {"seconds", "date", "revision", "versions", "machine", "cores", "data", "clips"} <= set(made)
    assert (made["data"], made["clips"]) == ("synthetic stand-in", 4)
    assert {"python", "torch", "torchaudio", "numpy", "quantus", "grad-cam"} <= set(made["versions"])
    assert made["date"].endswith("+00:00")
    assert artifacts.record(path) == known


def test_a_record_names_no_folder_of_this_machine(produce, make, path):
    produce(make)
    text = path.with_suffix(".json").read_text()
    assert str(path.parent) not in text
    assert str(Path.home()) not in text


def test_a_record_lies_beside_its_artefact():
    assert artifacts.record_path(Path("a/scores.csv")) == Path("a/scores.json")
    assert artifacts.record_path(Path("a/network-seed=1")) == Path("a/network-seed=1.json")
    # a number with a point in a folder's name is no suffix
    assert artifacts.record_path(Path("a/network-learning_rate=0.01")) == Path("a/network-learning_rate=0.01.json")


def test_a_fresh_artefact_is_marked_as_checked_now(produce, make, path):
    # the workflow engine takes an output older than its inputs for stale
    produce(make)
    record = path.with_suffix(".json")
    text = record.read_text()
    os.utime(record, (1, 1))
    produce(make)
    assert record.stat().st_mtime > 1e9
    assert record.read_text() == text


def test_overview_has_one_row_per_artefact(monkeypatch, produce, make, path, tmp_path):
    monkeypatch.setattr(study, "RUNS", tmp_path)
    make.facts = {"data": "synthetic stand-in"}
    produce(make)
    produce(folder_of(weights="1"), target=path.with_name("network"))
    table = artifacts.overview([path.parent, path.parent])
    assert table["artefact"].tolist() == ["results/network", "results/table.csv"]
    assert table["data"].tolist() == ["", "synthetic stand-in"]
    shown = table["content"].tolist()[1]
    assert len(shown) >= 8
    assert artifacts.digest_of(path).startswith(shown)


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{}", '{"artefact": "../../a.csv", "made": {"date": ""}}', '{"artefact": 1, "made": {"date": ""}}'],
)
def test_json_that_is_no_record_of_what_lies_beside_it_is_none(produce, make, path, text):
    produce(make)
    path.with_name("notes.json").write_text(text)
    path.with_name("a.json").write_text(text)
    assert list(artifacts.records(path.parent)) == [path.with_suffix(".json")]


def test_overview_marks_what_was_made_from_changed_files(monkeypatch, produce, make, path, tmp_path):
    # a shortened revision keeps the + of a changed working tree
    monkeypatch.setattr(study, "RUNS", tmp_path)
    monkeypatch.setattr(artifacts, "revision", lambda: "0123456789ab+")
    produce(make)
    (shown,) = artifacts.overview([path.parent])["revision"]
    assert shown.startswith("01234567")
    assert shown.endswith("+")


def test_the_revision_is_no_tag_whose_name_could_be_markup(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"], ["tag", "-a", "v<b>", "-m", "x"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    assert re.fullmatch("[0-9a-f]{12}", artifacts.revision())


def test_the_revision_is_unknown_outside_git(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    assert artifacts.revision() == "unknown"


def test_a_small_text_is_written_in_one_step(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    artifacts.write_text(target, "new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


# Two at once

RACE = """
import sys, time
from pathlib import Path
from helpers import artifacts

folder, me = Path(sys.argv[1]), sys.argv[2]

def make(target):
    (folder / f"made-by-{me}").touch()
    time.sleep(0.5)
    target.write_text("made")

(folder / f"ready-{me}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.01)
print(artifacts.produce(folder / "table.csv", recipe={}, make=make).read_text())
"""


def test_two_processes_that_ask_at_once_make_it_once(tmp_path):
    calls = [
        subprocess.Popen([sys.executable, "-c", RACE, tmp_path, str(i)], stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    assert [call.communicate(timeout=60)[0] for call in calls] == ["made\n", "made\n"]
    assert len(list(tmp_path.glob("made-by-*"))) == 1


def test_what_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist, so nothing can be made from it"):
        artifacts.content_digest(tmp_path / "misnamed.csv")
    (tmp_path / "empty").mkdir()
    assert artifacts.content_digest(tmp_path / "empty")


def test_a_reader_that_asks_for_an_artefact_is_noted_where_the_environment_says(tmp_path, monkeypatch):
    run, asked = study.open(data="recorded", architecture="resnet18"), tmp_path / "asked"
    explainers.SAMPLE.get(run)
    monkeypatch.setenv(artifacts.ASKED, str(asked))
    path = explainers.EXPLANATIONS.get(run)
    explainers.EXPLANATIONS.recipe(run)  # asks for its inputs, which no reader did
    explainers.SAMPLE.get(artifacts._Seen(run, set(), "a make function"))
    assert asked.read_text() == f"{path}\n"


def test_in_one_call_each_artefact_is_looked_at_once_and_in_the_next_anew(fresh, stand_in, monkeypatch):
    monkeypatch.setattr(artifacts, "ALL", {})
    sounds, looked, made = ["some"], [], []

    def outside(run) -> dict:
        looked.append(sounds[0])
        return {"sounds": sounds[0]}

    def make(run, target) -> None:
        made.append(target.name)
        target.write_text(sounds[0])

    first = Artefact("first.csv", make=make, outside=outside)
    left, right = (Artefact(f"{name}.csv", make=make, inputs=(first,)) for name in ("left", "right"))
    last = Artefact("last.csv", make=make, inputs=(left, right))
    run = study.open(profile="smoke", data=str(stand_in))
    last.get(run)
    assert made == ["first.csv", "left.csv", "right.csv", "last.csv"]
    looked.clear()
    last.get(run)
    assert (looked, len(made)) == (["some"], 4)
    sounds[0] = "other"
    last.get(run)
    assert len(made) == 8
