"""The command line: every mistake is one sentence and exit code 2, and nothing is written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from snakemake.common.configfile import load_configfile

from helpers import InputError, study
from helpers.audio import overlaps, sounds
from helpers.book import cli, contents, graph, jobs, outcomes, picture, site, studies
from helpers.findings import answer
from tests.conftest import Tree
from tests.unit.audio import corpus


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text.strip()


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


# Mistakes

MISTAKES = [
    (
        ["--profile", "fast"],
        'profile "fast" is not known; choose from quick, smoke, thesis (PROFILE in the call)',
    ),
    (["--archs", "resnet8"], 'architecture "resnet8" is not known; choose from resnet18, '),
    (["--archs", ""], "is not a list of networks"),
    (["--archs", "resnet18 resnet18"], "each named once (ARCHS in the call)"),
    (["--cores", "0"], "CORES=0 is not a number of cores; give 1 or more"),
    (["--data", "nowhere"], 'data folder "nowhere" does not exist'),
    (
        ["--data", "recorded"],
        'DATA="recorded" is what the recorded part shows; name a folder, or PARTS=recorded',
    ),
    (["--parts", "mine"], 'PARTS="mine" is not known; choose from recorded, copy, or both'),
    (["--parts", ""], 'PARTS="" is not known'),
    (["--parts", "recorded", "--others", "n_mfc=20"], 'parameter "n_mfc" is not known (OTHERS in the call)'),
    # any other field of the run
    (
        ["--others", "n_mfc=20"],
        'parameter "n_mfc" is not known (OTHERS in the call); choose from profile, data, ',
    ),
    (
        ["--others", "n_mfcc=1"],
        'n_mfcc "1" is not possible; give a whole number from 2 to 512 (OTHERS in the call)',
    ),
    (["--others", "n_mfcc=many"], 'n_mfcc "many" is not possible; give a whole number'),
    (["--others", "learning_rate=0"], 'learning_rate "0" is not possible; give a number above 0 to 10'),
    (["--others", "padding=loud"], 'padding "loud" is not known; choose from zero, minimum'),
    (["--others", "n_mfcc"], '"n_mfcc" is not a parameter; write name=value'),
    (["--others", "n_mfcc=200"], "n_mfcc=200 is more than n_mels=128"),
    (["--others", "architectures=resnet18"], '"architectures" is a list'),
    (["--others", "explainer='input"], "has a quotation mark without its partner; close it"),
    (["--others", "profile=smoke"], "profile has a setting of its own (PROFILE); take it out of OTHERS"),
    (["--others", "data=/x"], "data has a setting of its own (DATA); take it out of OTHERS"),
    (
        ["--others", "architecture=resnet18"],
        "architecture has a setting of its own (ARCHS); take it out of OTHERS",
    ),
]


@pytest.mark.parametrize(("options", "said"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_a_mistake_in_the_main_call_is_one_line_and_nothing_is_written(library, monkeypatch, capfd, options, said):
    monkeypatch.setattr(cli, "_snakemake", None)  # must not be reached
    before = files(library)
    assert cli.main(["build", *options]) == 2
    out, err = capfd.readouterr()
    assert said in one_line(err)
    assert out == ""
    assert files(library) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-p", "seed=-1"], 'seed "-1" is not possible; give a whole number from 0'),
        (["-p", "sed=1"], 'parameter "sed" is not known to notebooks/05_training.md'),
        (["-p", "seed"], '"seed" is not a parameter; write name=value'),
        (["-p", "profile=quick", "-p", "architecture=resnet8"], 'architecture "resnet8" is not known'),
        (["-p", "n_mfcc=0"], 'n_mfcc "0" is not possible'),
    ],
)
def test_a_mistake_in_a_chapters_call_is_one_line_where_progress_is_shown(library, capfd, options, said):
    paths = [str(library / "notebooks" / "05_training.md"), str(library / "book" / "executed" / "x.ipynb")]
    before = files(library)
    assert cli.main(["execute", *paths, *options]) == 2
    out, err = capfd.readouterr()
    assert said in one_line(out)
    assert err == ""
    assert files(library) == before


@pytest.mark.parametrize("command", ["study", "plan", "record"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--study", "mine"], 'study "mine" is not known; choose from reference (STUDY in the call)'),
        (["--data", "nowhere"], 'data folder "nowhere" does not exist'),
        ([], "name"),  # no recordings are at hand: say where they come from
    ],
)
def test_a_mistake_in_a_studys_call_is_one_line_and_nothing_is_written(
    library, monkeypatch, capfd, tmp_path, command, options, said
):
    folder = library / "config" / "studies"
    folder.mkdir(parents=True)
    (folder / "reference.yaml").write_text("- {architecture: resnet18}\n")
    (library / "config" / "engines" / "local").mkdir(parents=True)
    (library / "config" / "engines" / "local" / "config.yaml").write_text("executor: local\n")
    monkeypatch.setattr(study, "study", study.study.__wrapped__)  # what is read here is not kept
    if "--study" in options:
        options = [*options, "--data", str(recordings(tmp_path))]
    before = files(library)
    assert cli.main([command, *options]) == 2
    assert said in one_line(capfd.readouterr().err)
    assert files(library) - {"_build/.lock"} == before


def recordings(folder: Path) -> Path:
    for fold in (1, 2, 10):
        (folder / "sounds" / "audio" / f"fold{fold}").mkdir(parents=True)
        (folder / "sounds" / "audio" / f"fold{fold}" / "1-0-0-0.wav").touch()
    (folder / "sounds" / "metadata").mkdir()
    (folder / "sounds" / "metadata" / "UrbanSound8K.csv").write_text("slice_file_name\n")
    return folder / "sounds"


# Values


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("seed=3", {"seed": 3}),
        ("profile=quick", {"profile": "quick"}),
        ("data=", {"data": ""}),
        ("architecture=resnet34", {"architecture": "resnet34"}),
        ("n_mfcc=20", {"n_mfcc": 20}),
        ("learning_rate=3e-4", {"learning_rate": 3e-4}),
        ("epochs=None", {"epochs": None}),
        ("training_folds=2+1", {"training_folds": "1+2"}),
    ],
)
def test_values_on_the_command_line_are_read_as_their_fields_mean_them(library, engine, text, given):
    paths = [str(library / "notebooks" / "05_training.md"), str(library / "book" / "executed" / "x.ipynb")]
    assert cli.main(["execute", *paths, "-p", text]) == 0
    assert engine.calls[0]["given"] == given
    assert type(*engine.calls[0]["given"].values()) is type(*given.values())


@pytest.mark.parametrize("name", ["2024", "[a]", "a=b", "a folder"])
def test_a_folder_whose_name_looks_like_a_value_is_still_a_folder(library, engine, capfd, name):
    folder = recordings(library / name)
    paths = [str(library / "notebooks" / "05_training.md"), str(library / "book" / "executed" / "x.ipynb")]
    code = cli.main(["execute", *paths, "-p", f"data={folder.relative_to(library)}"])
    assert capfd.readouterr().out == ""
    assert code == 0
    assert engine.calls[0]["given"] == {"data": f"{name}/sounds"}


def test_a_chapter_is_executed_with_its_inputs_and_records(library, engine):
    paths = [library / "notebooks" / "05_training.md", library / "book" / "executed" / "x.ipynb"]
    record = library / "network.json"
    record.touch()
    call = ["execute", *map(str, paths), str(record), "--inputs", str(paths[0]), "-p", "seed=1"]
    assert cli.main(call) == cli.main(call) == 0
    assert len(engine.calls) == 1  # the second time all is as before
    record.unlink()
    assert cli.main(call) == 0
    assert len(engine.calls) == 2


# Failures


def test_a_failure_is_said_without_a_traceback_of_ours(library, monkeypatch, capfd):
    def fail(**options):
        raise RuntimeError("stopped; the whole log is _build/study.log")

    monkeypatch.setattr(cli, "build", fail)
    assert cli.main(["build"]) == 1
    assert one_line(capfd.readouterr().err) == "stopped; the whole log is _build/study.log"


def test_an_interruption_says_how_to_go_on(library, monkeypatch, capfd):
    def stop(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build", stop)
    assert cli.main(["build"]) == 130
    assert one_line(capfd.readouterr().err) == "stopped; the same command goes on from here"

    monkeypatch.setenv("HELPERS_WARM", "/where")  # a step of that command, which says so itself
    assert cli.main(["build"]) == 130
    assert not capfd.readouterr().err


def test_an_unknown_command_is_refused(capfd):
    with pytest.raises(SystemExit) as caught:
        cli.main(["bok"])
    assert caught.value.code == 2
    assert "invalid choice: 'bok'" in capfd.readouterr().err


def test_the_module_is_a_command():
    call = [sys.executable, "-m", "helpers.book", "build", "--archs", "resnet8"]
    result = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert 'architecture "resnet8" is not known' in one_line(result.stderr)


# The commands


def test_twins_on_the_command_line(library, capfd):
    assert cli.main(["pairs", "--check"]) == 2
    assert "run `make pairs`" in one_line(capfd.readouterr().err)
    assert cli.main(["pairs"]) == 0
    assert cli.main(["pairs", "--check"]) == 0
    assert capfd.readouterr() == ("", "")


def build(**changed) -> None:
    given = {"profile": "smoke", "architectures": "resnet34 resnet18", "data": "", "others": "", "cores": 3}
    cli.build(**given | {"parts": " ".join(contents.PARTS)} | changed)


@pytest.fixture
def asked(library, monkeypatch):
    """What Snakemake would have been asked for."""
    asked = {}
    monkeypatch.setattr(cli, "_snakemake", lambda **options: asked.update(options))
    monkeypatch.setattr(graph, "forget", lambda call: asked.update(looked_at=call))
    return asked


def test_the_main_job_says_data_and_profile_and_runs_the_graph(asked, stand_in, capfd):
    build(data=str(stand_in))
    out = capfd.readouterr().out
    assert f"Data: synthetic stand-in, {stand_in}, because it was named." in out
    assert "100 clips from" in out
    assert "Profile smoke, architectures resnet34 resnet18, 3 cores." in out
    assert asked["cores"] == 3
    settings = asked["settings"]
    assert asked["looked_at"] == graph.Call.of(settings)  # what is gone or changed is made again
    assert (settings["profile"], settings["archs"], settings["data"]) == (
        "smoke",
        "resnet34 resnet18",
        str(stand_in),
    )
    assert settings["parts"] == "recorded copy"
    # a digest per fold: a changed sound is a changed parameter
    assert [len(digest) for digest in settings["digest"].split()] == [64] * 10


def test_the_main_job_passes_other_fields_on_and_says_them(asked, capfd):
    build(others="n_mfcc=20  learning_rate=3e-4")
    assert "architectures resnet34 resnet18; n_mfcc 20; learning_rate 0.0003, 3 cores." in capfd.readouterr().out
    run = study.open(**asked["settings"]["others"])
    assert (run.n_mfcc, run.learning_rate) == (20, 3e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"others": {"n_mfcc": "20", "learning_rate": "3e-4", "layer": "layer4[-1].conv"}, "data": "/a b=c"},
        {"others": {}, "archs": "resnet18 resnet101", "data": "2024", "parts": "recorded"},
        {"others": {}, "data": "/données: {x}", "digest": ""},
    ],
)
def test_snakemake_reads_what_it_is_told(library, monkeypatch, settings):
    calls = []
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "a/profile/of/the/user")

    class Engine:
        stderr = ("2 of 3 steps (67%) done\n",)

        def __init__(self, call, **options):
            calls.append(call)
            assert "PATH" in options["env"]
            assert "SNAKEMAKE_PROFILE" not in options["env"]

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Engine)
    (library / "_build").mkdir()
    cli._snakemake(cores=2, settings=settings)
    (call,) = calls
    assert call[call.index("--cores") + 1] == "2"
    assert load_configfile(call[call.index("--configfile") + 1]) == settings


# Data that cannot be used, of every kind: a clip, a row, a column, the table, a folder, a file in its place
BROKEN = ["samples cut", "not a number", "listed and absent", "fold 11", "a column is missing", "header only"]
BROKEN += ["audio is named", ".zip", "an empty folder", "a way out of the folder"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_end_the_main_job_with_one_sentence_and_nothing_is_written(
    library, monkeypatch, capfd, tmp_path, name
):
    monkeypatch.setattr(cli, "_snakemake", None)  # must not be reached
    (case,) = [case for case in corpus.CASES if case.name == name]
    folder = corpus.plain(tmp_path / "mine")
    data = case.make(folder) or folder
    before = files(tmp_path)
    assert cli.main(["build", "--profile", "smoke", "--data", str(data), "--others", "test_fold=2"]) == 2
    said = one_line(capfd.readouterr().err)
    for part in case.said:
        assert part.format(folder=folder) in said
    assert files(tmp_path) == before


def test_data_of_a_part_of_the_classes_end_the_main_job_before_it_begins(library, monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(cli, "_snakemake", None)
    folder = corpus.plain(tmp_path / "mine")
    assert cli.main(["build", "--profile", "smoke", "--data", str(folder), "--others", "test_fold=2"]) == 2
    said = one_line(capfd.readouterr().err)
    assert "has clips of 1 of the ten classes in fold 1 (dog_bark); the book needs air_conditioner, car_horn, " in said


def test_clips_that_are_left_out_are_counted_and_listed(asked, stand_in, capfd, tmp_path):
    folder = shutil.copytree(stand_in, tmp_path / "mine")
    first, second = sorted((folder / "audio" / "fold3").iterdir())[:2]
    first.write_bytes(b"")
    second.unlink()
    # another clip of their classes is in another fold
    build(data=str(folder), others="left_out=2")
    out = capfd.readouterr().out
    assert "98 clips from" in out
    assert f"Left out: audio/fold3/{first.name} cannot be read (Format not recognised)\n" in out
    assert f"Left out: audio/fold3/{second.name} is not there\n" in out
    assert "; left_out 2" in out  # among what differs from the profile
    assert asked["settings"]["others"] == {"left_out": "2"}
    run = study.open(profile="smoke", data=str(folder), left_out=2)
    assert "left_out 2" in run.label
    assert "left_out=2" in run.key


@pytest.fixture
def stopped(library, monkeypatch):
    """Let Snakemake stop after it has said some lines."""

    def says(*lines: str) -> None:
        engine = SimpleNamespace(stderr=lines, wait=lambda: 1)
        monkeypatch.setattr(subprocess, "Popen", lambda call, **options: engine)

    (library / "_build").mkdir()
    return says


def test_a_mistake_that_snakemake_meets_is_said_without_its_stack(stopped):
    stopped('InputError in file "/a/Snakefile", line 7:\n', "x.md: a slip; mend it\n", '  File "/a/Snakefile"\n')
    with pytest.raises(InputError, match=r"^x\.md: a slip; mend it$"):
        cli._snakemake(cores=2, settings={})


def test_a_graph_that_stops_names_its_log(library, stopped, capfd):
    stopped("MissingInputException: no file\n")
    with pytest.raises(RuntimeError, match=r"the whole log is _build/study\.log"):
        cli._snakemake(cores=2, settings={})
    assert capfd.readouterr().err == "MissingInputException: no file\n"
    assert (library / "_build" / "study.log").read_text() == "MissingInputException: no file\n"


def test_times_that_lie_ahead_are_taken_back_and_no_others(library):
    page, old = library / "book" / "executed" / "ahead.ipynb", library / "book" / "executed" / "old.ipynb"
    page.parent.mkdir(parents=True, exist_ok=True)
    source = library / "notebooks" / "ahead.md"
    for path, moved in ((page, 86_400), (source, 86_400), (old, -86_400)):
        path.touch()
        os.utime(path, (time.time() + moved,) * 2)
    before = old.stat().st_mtime_ns
    cli._put_right()
    assert page.stat().st_mtime <= time.time()
    assert source.stat().st_mtime <= time.time()
    assert old.stat().st_mtime_ns == before


def test_the_recorded_part_alone_asks_for_no_data(asked, capfd):
    build(parts="recorded", others="n_mfcc=20")
    out = capfd.readouterr().out
    assert "\nThe book: " in out
    assert "Data: " not in out
    assert asked["settings"]["digest"] == ""
    assert asked["settings"]["parts"] == "recorded"


def test_the_main_job_says_how_long_it_took_before_and_what_each_part_took(asked, library, monkeypatch, capfd):
    call = ["build", "--parts", "recorded"]
    monkeypatch.setattr(cli, "_clock", iter([0.0, 200.0, 0.0, 3.0]).__next__)

    def run(**options) -> None:
        for what, seconds in (("recorded", 70.0), ("recorded", 50.0), ("site", 45.0)):
            site.took(what, seconds)

    monkeypatch.setattr(cli, "_snakemake", run)
    assert cli.main(call) == 0
    first = capfd.readouterr().out
    assert "Nothing was built here before: pages and site take some minutes." in first
    assert "Took 3 min: recorded 2 min (2 pages), site 45 s." in first
    monkeypatch.setattr(cli, "_snakemake", lambda **options: None)
    assert cli.main(call) == 0
    second = capfd.readouterr().out
    assert "All of it took 3 min here; what has not changed takes no time." in second
    assert "Took 3 s: nothing had changed." in second
    assert json.loads((site.BUILD / "times.json").read_text()) == {"recorded": 200.0}  # the longest is kept


@pytest.mark.parametrize("home", ["", "/tmp"])
def test_a_checkout_that_cannot_be_written_to_is_said_with_the_way_out(library, monkeypatch, capfd, home):
    (library / "_build").write_text("")  # no folder can be made there
    monkeypatch.setenv("HOME", home)
    assert cli.main(["build", "--parts=recorded"]) == 2
    said = one_line(capfd.readouterr().err)
    assert said.startswith(f'"{library}" cannot be written to (')
    assert said.endswith("name a folder that can, with BUILD=folder")


def test_two_main_jobs_do_not_run_at_once(library):
    started = time.monotonic()
    said = "another `make book` is running"
    with cli._only_run(), pytest.raises(InputError, match=said), cli._only_run():
        pass
    assert time.monotonic() - started < 5
    with cli._only_run():
        pass


def test_a_main_job_in_another_process_is_noticed_and_its_end_frees_the_lock(library):
    code = (
        "import sys, time; from filelock import FileLock\n"
        f"with FileLock({str(library / '_build' / '.lock')!r}): print('held', flush=True); time.sleep(60)"
    )
    (library / "_build").mkdir()
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="wait for it or stop it"), cli._only_run():
            pass
    finally:
        other.kill()  # as a crash would end it
        other.wait()
    with cli._only_run():
        pass


@pytest.mark.slow
@pytest.mark.parametrize("heard", [signal.SIG_DFL, signal.SIG_IGN], ids=["in front", "in the background"])
def test_the_engine_holds_the_lock_and_ends_with_the_process_that_started_it(library, heard):
    (library / "Snakefile").write_text('rule all:\n    output: "a"\n    shell: "touch began; sleep 60; touch a"\n')
    engine = "from helpers.book import cli, site; from pathlib import Path; site.BUILD = Path('_build'); "
    engine += "cli.engine(['--cores', '1', '--nolock', '--quiet', 'all'])"
    code = "import subprocess, sys; from helpers.book import cli, site; from pathlib import Path\n"
    code += "site.BUILD = Path('_build')\nwith cli._only_run() as held:\n"
    code += f"    subprocess.run([sys.executable, '-c', {engine!r}], start_new_session=True, pass_fds=[held])"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    before = signal.signal(signal.SIGINT, heard)  # what a process that is started inherits
    try:
        front = subprocess.Popen([sys.executable, "-c", code], cwd=library, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    until((library / "began").exists)
    with pytest.raises(InputError, match="wait for it or stop it"), cli._only_run():
        pass
    front.kill()
    front.wait()
    until(is_free)
    assert not (library / "a").exists()


def is_free() -> bool:
    try:
        with cli._only_run():
            return True
    except InputError:
        return False


def until(true) -> None:
    ends = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_plan_says_what_is_missing_and_how_long_it_takes(library, monkeypatch, capfd):
    table = pd.DataFrame(
        {
            "run": ["resnet18 seed=0"] * 3,
            "network": ["ResNet18"] * 3,
            "artefact": ["network", "scores.csv", "metrics.csv"],
            "there": ["yes", "no", "no"],
            "minutes": [float("nan"), 90.0, float("nan")],
            "MB": [float("nan"), 0.5, float("nan")],
        }
    )
    asked = []
    monkeypatch.setattr(jobs, "plan", lambda *given: asked.append(given) or table)
    assert cli.main(["plan", "--study", "folds", "--data", "a", "--profile", "quick"]) == 0
    assert asked == [("folds", "a", "quick")]
    out = capfd.readouterr().out
    assert out.splitlines()[2].split() == ["resnet18", "seed=0", "ResNet18", "scores.csv", "no", "90.0", "0.5"]
    assert out.splitlines()[-1].split() == ["all", "3", "1", "2", "1", "1.5", "0.0"]


@pytest.fixture
def engines(library, monkeypatch):
    """Profiles of three engines, the third for a plugin that nobody has; the graph has as many jobs as it holds."""
    for name, executor in (("local", "local"), ("slurm", "slurm"), ("moon", "moon")):
        folder = library / "config" / "engines" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"executor: {executor}\n")
    waiting = []

    def write(name, data, profile, kept):
        with pytest.raises(InputError, match="another `make book`"), cli._only_run():
            pass
        return len(waiting)

    monkeypatch.setattr(jobs, "write", write)
    return waiting


def test_a_study_is_one_graph_that_goes_on_where_a_branch_fails(asked, engines, stand_in, capfd):
    engines.append("network")
    monkey = {"HELPERS_WARM": os.environ.get("HELPERS_WARM")}
    assert cli.main(["study", "--profile", "smoke", "--data", str(stand_in), "--cores", "3"]) == 0
    assert asked["cores"] == 3
    assert asked["settings"] == {"jobs": str(study.ROOT / "_build" / "jobs.json"), "runs": str(study.RUNS)}
    words = asked["words"]
    assert words[words.index("--snakefile") + 1] == "study.smk"
    assert words[words.index("--workflow-profile") + 1] == str(study.ROOT / "config" / "engines" / "local")
    assert {"--keep-going", "--forceall"} <= set(words)
    assert f"Study reference on synthetic stand-in, {stand_in}: 1 artefacts to make.\n" in capfd.readouterr().out
    assert os.environ.get("HELPERS_WARM") == monkey["HELPERS_WARM"]


def test_jobs_of_a_cluster_are_not_counted_in_cores_of_this_machine(asked, engines, stand_in, monkeypatch):
    engines.append("network")
    monkeypatch.setattr(cli.shutil, "which", lambda name: name)
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: name)
    assert cli.main(["study", "--profile", "smoke", "--data", str(stand_in), "--engine", "slurm"]) == 0
    assert asked["cores"] == 0


@pytest.mark.parametrize(
    ("name", "engine", "bad"), [("a{b}", "local", True), ("a, b", "slurm", True), ("a, b", "local", False)]
)
def test_a_folder_whose_name_snakemake_would_misread_is_refused(
    asked, engines, stand_in, monkeypatch, tmp_path, capfd, name, engine, bad
):
    monkeypatch.setattr(cli.shutil, "which", lambda name: name)
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(study, "RUNS", tmp_path / name)
    assert cli.main(["study", "--profile", "smoke", "--data", str(stand_in), "--engine", engine]) == (2 if bad else 0)
    if bad:
        assert "which Snakemake reads as its own; name RUNS or DATA otherwise" in one_line(capfd.readouterr().err)


def test_a_study_whose_artefacts_are_all_there_starts_nothing(asked, engines, stand_in, capfd):
    assert cli.main(["study", "--profile", "smoke", "--data", str(stand_in)]) == 0
    assert asked == {}
    assert "All artefacts of study reference are there: " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "cloud"], 'engine "cloud" is not known; choose from local, moon, slurm (ENGINE in the call)'),
        (["--engine", "../studies"], 'engine "../studies" is not known'),
        (["--engine", ""], 'engine "" is not known'),
        (["--engine", "moon"], "ENGINE=moon needs the package snakemake-executor-plugin-moon, which is not installed"),
        (["--engine", "slurm"], "ENGINE=slurm needs Slurm's sbatch, which is not on this machine"),
        (["--profile", "fast"], 'profile "fast" is not known; choose from quick, smoke, thesis (PROFILE in the call)'),
        (["--cores", "0"], "CORES=0 is not a number of cores"),
    ],
)
def test_an_engine_that_is_not_there_is_refused_before_anything_is_done(
    asked, engines, monkeypatch, capfd, options, said
):
    monkeypatch.setattr(cli.shutil, "which", lambda name: None)
    monkeypatch.setattr(jobs, "write", None)  # must not be reached
    if "moon" not in options:
        monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: name)
    assert cli.main(["study", *options]) == 2
    assert said in one_line(capfd.readouterr().err)
    assert asked == {}


FAILED = """rule network:
    log: logs/a, b.json.log
    jobid: 3
Error in rule network:
    jobid: 3
    output: a, b.json (update)
    log: logs/a, b.json.log, .snakemake/slurm_logs/10.log (check log file(s) for error details)
Error in group features:
    jobs:
        rule features:
            jobid: 4
            log: logs/c.json.log (check log file(s) for error details)
Error in rule network:
    jobid: 3
    log: logs/a, b.json.log, .snakemake/slurm_logs/11.log (check log file(s) for error details)
Finished jobid: 4 (Rule: features)
"""


def test_what_a_step_said_on_another_machine_is_said_here_unless_another_try_came_out(library, monkeypatch, capfd):
    class Engine:
        stderr = tuple(FAILED.splitlines(keepends=True))

        def __init__(self, call, **options):
            assert "--cores" not in call

        def wait(self) -> int:
            return 1

    (library / "logs").mkdir()
    (library / "logs" / "a, b.json.log").write_text("resnet18: network\nthe clip is broken\n")
    (library / "logs" / "c.json.log").write_text("killed\n")
    monkeypatch.setattr(subprocess, "Popen", Engine)
    (library / "_build").mkdir()
    with pytest.raises(RuntimeError, match="stopped"):
        cli._snakemake(cores=0, settings={})
    assert capfd.readouterr().err == "the clip is broken\n"


def test_prune_shows_what_is_left(library, monkeypatch, capfd):
    table = pd.DataFrame({"artefact": ["a/network"], "MB": [1.5]})
    asked = []
    monkeypatch.setattr(studies, "prune", lambda names: asked.append(names) or table)
    assert cli.main(["prune", "--names='b c/network' c/scores.csv"]) == 0
    assert asked == [["b c/network", "c/scores.csv"]]
    assert capfd.readouterr().out.split() == ["artefact", "MB", "a/network", "1.5"]


def test_record_takes_times_of_a_bench_without_recordings(library, capfd):
    (library / "_build").mkdir()
    (library / "_build" / "bench.json").write_text('{"seconds": 1}')
    study.RECORDED.mkdir(parents=True)
    assert cli.main(["record"]) == 0
    assert (study.RECORDED / "bench.json").read_text() == '{"seconds": 1}'
    assert capfd.readouterr().out == f"{study.RECORDED / 'bench.json'}\n"


def test_record_copies_the_study_and_then_writes_what_follows(library, monkeypatch, capfd, tmp_path):
    done = []
    monkeypatch.setattr(studies, "record", lambda name, data: done.append(name) or ["a.csv", "b.npz"])
    monkeypatch.setattr(answer, "write", lambda: done.append("answer") or "yes")
    monkeypatch.setattr(answer, "show", lambda said: done.append(said))
    monkeypatch.setattr(picture, "write", lambda path: path)
    monkeypatch.setattr(picture, "first", lambda folder: folder / "first.md")
    monkeypatch.setattr(sounds, "record_slices", None)  # this table is not the official one
    monkeypatch.setattr(sounds, "clips", lambda run: "clips")
    monkeypatch.setattr(overlaps, "record", lambda folder, table: study.RECORDED / f"overlaps of {table}")
    monkeypatch.setattr(outcomes, "write", lambda: done.append("outcomes") or study.RECORDED / "outcomes.json")
    study.RECORDED.mkdir(parents=True)
    assert cli.main(["record", "--study", "reference", "--data", str(recordings(tmp_path))]) == 0
    assert done == ["reference", "answer", "outcomes", "yes"]
    said = capfd.readouterr().out
    names = ("a.csv", "b.npz", "overlaps of clips", "ladder.svg", "first.md", "outcomes.json")
    assert said.endswith("".join(f"{study.RECORDED / name}\n" for name in names))
    assert "has not the official table of all clips" in said


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (["PROFILE=smoke", "ARCHS=resnet18 resnet101", "DATA=/a b=c"], 0, "make TARGET"),
        (["OTHERS=n_mfcc=20 learning_rate=3e-4", "PARTS=recorded", "STUDY=reference"], 0, "make TARGET"),
        (["ARCH=resnet18"], 2, "ARCH is not a setting; choose from PROFILE ARCHS DATA OTHERS PARTS"),
    ],
)
def test_make_refuses_a_setting_that_it_does_not_know(settings, code, said):
    ran = Tree(study.ROOT).run("make", "--no-print-directory", "help", *settings)
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr


def test_what_the_shell_exports_under_the_name_of_a_setting_is_said_and_not_taken():
    show = '--eval=show: ; @echo "[$(DATA)] [$(PROFILE)] [$(CORES)]"'
    call = [
        "env",
        "DATA=/another/tool's",
        "PROFILE=thesis",
        "RUNS=",
        "make",
        "--no-print-directory",
        show,
        "show",
        "CORES=3",
    ]
    ran = Tree(study.ROOT).run(*call)
    assert ran.stdout == "[] [] [3]\n"
    said = ran.stderr.splitlines()
    assert len(said) == 2
    assert said[0].endswith("PROFILE of the environment is not taken; write it in the call: make show PROFILE=...")
    assert said[1].endswith("DATA of the environment is not taken; write it in the call: make show DATA=...")


@pytest.mark.slow
def test_other_code_called_helpers_is_not_taken_for_ours(tmp_path):
    (tmp_path / "helpers.py").write_text("raise SystemExit('the helpers of another project')\n")
    call = ["env", f"PYTHONPATH={tmp_path}", "make", "book", "PROFILE=fast", f"VENV={sys.prefix}"]
    ran = Tree(study.ROOT).run(*call, "--old-file", f"{sys.prefix}/.installed")
    assert 'profile "fast" is not known' in ran.stderr
    assert "another project" not in ran.stdout + ran.stderr


def test_a_checkout_on_any_system_has_lines_that_a_shell_can_run():
    (record,) = sorted((study.ROOT / "data" / "recorded").glob("answer.md"))
    paths = [".ci/run", "Makefile", "notebooks/05_training.md", str(record.relative_to(study.ROOT))]
    ran = Tree(study.ROOT).run("git", "check-attr", "eol", "text", "--", *paths)
    lines = ran.stdout.splitlines()
    for path in paths[:3]:
        assert f"{path}: eol: lf" in lines
    assert f"{paths[3]}: text: unset" in lines  # byte by byte
    assert b"\r" not in (study.ROOT / ".ci" / "run").read_bytes()


@pytest.mark.parametrize(("gigabytes", "cores"), [(1, 1), (4, 2), (6, 4), (1000, 8)])
def test_as_many_steps_run_side_by_side_as_cores_and_memory_allow(monkeypatch, gigabytes, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(cli, "memory", lambda: 1000 * gigabytes)
    assert cli._cores("") == cores
    assert cli._cores("3") == 3  # who names a number knows


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "two", "1 2", "٣", "100000"])
def test_what_is_no_number_of_cores_is_one_sentence(given):
    with pytest.raises(InputError, match=f"^CORES={given} is not a number of cores; give 1 or more$"):
        cli._cores(given)


def test_memory_is_the_machines_or_what_a_container_was_given(monkeypatch):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    assert 0 < cli.memory() <= machine
    own = Path.read_text
    files = {"/proc/self/cgroup": "5:memory:/job\n0::/job\n", "/sys/fs/cgroup/job/memory.max": "max\n"}
    for name in ("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
        given = files | {name: f"{300 * 2**20}\n"}
        monkeypatch.setattr(Path, "read_text", lambda path, given=given: given.get(str(path)) or own(path))
        assert cli.memory() == 300


def test_a_value_with_spaces_stands_in_quotes():
    assert cli._settings('explainer="input x gradient" n_mfcc=20') == {"explainer": "input x gradient", "n_mfcc": "20"}


# The machine's surroundings


@pytest.mark.parametrize("home", ["", "/no/such/home"])
def test_a_home_that_cannot_be_written_to_is_replaced(library, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    cli.main(["pairs"])
    assert os.environ["HOME"] == str(library / "_build" / "home")
    assert (library / "_build" / "home").is_dir()


def test_a_home_that_is_there_is_kept(library, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    cli.main(["pairs"])
    assert os.environ["HOME"] == str(tmp_path)


def test_text_is_utf8_whatever_the_locale_says():
    environment = {**os.environ, "PYTHONPATH": str(study.ROOT / "src"), "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"}
    environment |= {"PYTHONCOERCECLOCALE": "0"}
    probe = "import os, sys; from unittest import mock\n"
    probe += "with mock.patch('os.execv', side_effect=SystemExit) as call:\n"
    probe += "    try:\n        import helpers.book.__main__\n    except SystemExit:\n        pass\n"
    probe += "print(os.environ['PYTHONUTF8'], call.call_count)"
    ran = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout == "1 1\n", ran.stderr
