"""The main job, end to end, in a copy of the repository: what a user types and what comes out."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import numpy as np
import pandas as pd
import pytest

from tests.conftest import RECORDINGS, copy_tree


def records(tree):
    folder = tree.root / "data" / "runs" / "synthetic" / "smoke"
    return {p.relative_to(folder).as_posix(): json.loads(p.read_text()) for p in folder.rglob("*.json")}


def test_every_artefact_has_its_record(book):
    known = records(book)
    for architecture in ("resnet18", "resnet101"):
        for name in ("explanations.json", "network.json", "predictions.json", "scores.json", "quantus.json"):
            made = known[f"{architecture}/{name}"]["made"]
            assert made["data"] == "synthetic stand-in"
            assert {"date", "seconds", "revision", "versions", "machine"} <= set(made)
    training = known["resnet18/network.json"]
    assert training["recipe"]["fields"]["epochs"] == 1
    assert training["made"]["training_folds"] == list(range(1, 10))


def test_both_networks_explain_the_same_clips(book):
    folder = book.root / "data" / "runs" / "synthetic" / "smoke"
    with (
        np.load(folder / "sample.npz", allow_pickle=False) as sample,
        np.load(folder / "resnet18/explanations.npz", allow_pickle=False) as one,
        np.load(folder / "resnet101/explanations.npz", allow_pickle=False) as two,
    ):
        clips = list(sample["clips"])
        assert one["nodes"].shape == two["nodes"].shape == (len(clips), 1, 13)
        assert not np.array_equal(one["nodes"], two["nodes"])
    for name in ("resnet18", "resnet101"):
        scores = pd.read_csv(folder / name / "scores.csv")
        for _, part in scores.groupby("specification"):
            assert list(part["clip"]) == clips[: len(part)]
        assert set(scores["specification"]) == {"draws", "rank", "text", "frame"}
        assert scores["score"].dropna().between(-1, 1).all()
        assert set(pd.read_csv(folder / name / "quantus.csv")["specification"]) == {"quantus"}


def test_executed_chapters_got_their_parameters(book):
    for architecture in ("resnet18", "resnet101"):
        for part, given in (("recorded", 'data = "recorded"'), ("copy", 'profile = "smoke"')):
            path = book.root / "book" / "executed" / part / architecture / "05_training.ipynb"
            notebook = nbformat.read(path, as_version=4)
            injected = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
            assert f'architecture = "{architecture}"' in injected[0].source
            assert given in injected[0].source
            assert ("synthetic stand-in" in notebook.cells[0].source) == (part == "copy")


def test_the_recorded_part_needs_neither_sounds_nor_computing(recorded):
    # nothing was generated, trained or downloaded
    assert recorded.data == {"README.md", "claims.yaml", "recorded"}
    pages = {page for page in recorded.executed if page.startswith("recorded/")}
    assert len(pages) >= 20
    assert set(recorded.executed) - pages == {"07_metric.ipynb", "29_scale.ipynb", "32_playground.ipynb"}
    assert not [page for page in recorded.site if "executed/copy/" in page]
    assert {
        "book/index.html",
        "book/your_copy.html",
        "book/executed/recorded/19_answer.html",
    } <= recorded.site


def test_recorded_pages_stay_as_they_are_when_the_copy_is_made(book, recorded):
    now = book.executed
    assert {page: now[page] for page in recorded.executed} == recorded.executed
    assert len([page for page in now if page.startswith("copy/")]) >= 15


def test_the_first_page_and_the_sheet_say_the_recorded_answer(book):
    for page, name in (("book/index.html", "answer.md"), ("book/sheet.html", "sheet.md")):
        html = (book.site / page).read_text()
        found = re.findall(r"\d+% \(\d+% to \d+%\)", (book.root / "data" / "recorded" / name).read_text())
        assert found
        assert [share for share in found if share not in html] == []


def test_old_addresses_lead_to_the_pages(book):
    executed = book.site / "book" / "executed"
    for old, new in {
        "13_reference.html": "recorded/13_reference.html",
        "resnet18/05_training.html": "recorded/resnet18/05_training.html",
        "11_runs.html": "copy/11_runs.html",
    }.items():
        (target,) = re.findall(r"url=([^\"]+)", (executed / old).read_text())
        assert ((executed / old).parent / target).resolve() == (executed / new).resolve()
        assert (executed / new).is_file()


def test_cells_to_change_that_only_the_copy_has_say_something_else_with_each_value(book):
    # those of all other chapters: tests/unit/book/test_outcomes.py
    code = "from helpers.book import outcomes\nfor name in ('11_runs', '31_blind'):\n"
    code += "    found = outcomes.tried(name, {'profile': 'smoke'})\n"
    code += "    print(name, len(found), len({one['said'] for one in found}))"
    assert book.run(sys.executable, "-c", code).stdout.splitlines() == ["11_runs 2 2", "31_blind 2 2"]


def test_nothing_changed_nothing_done(book):
    before = {p: p.stat().st_mtime_ns for p in (book.root / "book" / "executed").rglob("*.ipynb")}
    before |= {p: p.stat().st_mtime_ns for p in book.site.rglob("*.html")}
    result = book.make("book", "PROFILE=smoke")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_two_at_once(book):
    """One does its work, the other says so and leaves it alone."""
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(book.make, "book", "PROFILE=smoke") for _ in range(2)]
        ended = sorted((call.result() for call in calls), key=lambda result: result.returncode)
    assert [result.returncode for result in ended] == [0, 2]
    said = "another `make book` is running in this folder; wait for it or stop it\n"
    assert ended[1].stderr.startswith(said)
    assert "Traceback" not in ended[1].stderr + ended[1].stdout


def test_what_was_deleted_is_asked_for_also_while_the_site_is_there(book):
    folder, pages = book.root / "data/runs/synthetic/smoke", book.root / "book/executed"
    settings = {"profile": "smoke", "archs": "resnet18 resnet101", "data": "", "digest": "generated", "others": {}}
    config = book.root / "settings.json"
    config.write_text(json.dumps(settings | {"parts": "recorded copy"}))
    forget = "import json; from helpers.book import graph; "
    forget += "graph.forget(graph.Call.of(json.load(open('settings.json'))))"
    call = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--nolock", "--configfile", str(config)]

    def asked(*deleted) -> set[str]:
        kept = {path: path.read_bytes() for path in deleted}
        kept |= {p.with_suffix(".json"): p.with_suffix(".json").read_bytes() for p in deleted if p.suffix == ".csv"}
        try:
            for path in deleted:
                path.unlink()
            book.run(sys.executable, "-c", forget)
            return set(re.findall(r"^rule (\w+):", book.run(*call).stdout, re.MULTILINE))
        finally:
            for path, content in kept.items():
                path.write_bytes(content)

    deleted = (pages / "recorded/resnet101/08_scores.ipynb", folder / "resnet18/scores.csv")
    found = asked(*deleted)
    assert {"recorded_resnet101_08_scores", "copy_resnet18_08_scores", "book"} <= found
    assert not {"recorded_resnet18_08_scores", "copy_resnet18_05_training", "copy_resnet18_06_explanations"} & found
    config.unlink()


def test_changed_sentence_retrains_nothing(book):
    weights = book.root / "data/runs/synthetic/smoke/resnet18/network/weights.safetensors"
    before = weights.stat().st_mtime_ns
    pages = book.executed
    chapter = book.root / "notebooks" / "05_training.md"
    text = chapter.read_text()
    # the clock was a day ahead when these were made, and has been put right since
    made = [*(book.root / "book" / "executed").rglob("*.ipynb"), book.site / ".complete"]
    for path in made:
        os.utime(path, (time.time() + 86400,) * 2)
    deleted = book.root / "book" / "executed" / "recorded" / "resnet18" / "06_explanations.ipynb"
    deleted.unlink()  # while the site is there
    try:
        chapter.write_text(text.replace("## How it learned", "A new sentence.\n\n## How it learned"))
        result = book.make("book", "PROFILE=smoke")
        assert result.returncode == 0, result.stdout + result.stderr
        assert weights.stat().st_mtime_ns == before
        for part in ("recorded", "copy"):
            page = book.site / "book/executed" / part / "resnet18/05_training.html"
            assert "A new sentence." in page.read_text()
        assert deleted.is_file()
        changed = {name for name, content in book.executed.items() if pages[name] != content}
        assert changed - {"recorded/resnet18/06_explanations.ipynb"} == {
            f"{part}/{name}/05_training.ipynb" for part in ("recorded", "copy") for name in ("resnet18", "resnet101")
        }
    finally:
        chapter.write_text(text)


def test_a_changed_profile_concerns_every_chapter(book):
    profiles = book.root / "config" / "profiles.yaml"
    text = profiles.read_text()
    settings = ["profile=smoke", "archs=resnet18 resnet101", "data=", "digest=generated"]
    call = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--nolock", "--config", *settings]
    try:
        profiles.write_text(text.replace("epochs: 1,", "epochs: 2,"))
        asked = book.run(*call)
    finally:
        profiles.write_text(text)
    outputs = " ".join(re.findall(r"output: (.*)", asked.stdout))
    assert [page for page in book.executed if f"book/executed/{page}" not in outputs] == []


def test_each_step_keeps_what_it_says(book):
    logs = {path.stem for path in (book.root / "_build" / "logs").glob("*.log")}
    pages = {page.removesuffix(".ipynb").replace("/", "_") for page in book.executed}
    assert pages | {"site"} <= logs


def test_a_folder_of_any_name_reaches_the_command_of_a_chapter_as_it_is(book, tmp_path):
    folder = tmp_path / """it's $(touch ran) `touch ran` "é" & ; {x} -p"""
    for fold in (1, 10):
        (folder / "audio" / f"fold{fold}").mkdir(parents=True)
        (folder / "audio" / f"fold{fold}" / "1-0-0-0.wav").touch()
    settings = {"profile": "smoke", "archs": "resnet18", "data": str(folder), "parts": "copy"}
    (tmp_path / "call.json").write_text(json.dumps(settings))
    call = [sys.executable, "-m", "snakemake", "book/executed/copy/03_features.ipynb", "-f", "-n", "-p", "--cores=1"]
    asked = book.run(*call, "--nolock", "--configfile", str(tmp_path / "call.json"))
    (command,) = re.findall(r"^ *(\S.*ask\.py execute notebooks/03_features\.md.*)$", asked.stdout, re.MULTILINE)
    assert f"data={folder}" in shlex.split(command)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ARCHS=resnet8"], 'architecture "resnet8" is not known; choose from resnet18, resnet34, resnet50'),
        (["PROFILE=quik"], 'profile "quik" is not known; choose from quick, smoke, thesis'),
        (["DATA=no/such/folder"], 'data folder "no/such/folder" does not exist'),
        (["CORES=0"], "CORES=0 is not a number of cores"),
        (["PARTS=mine"], 'PARTS="mine" is not known; choose from recorded, copy, or both'),
        (
            ["OTHERS=n_mfc=20"],
            'parameter "n_mfc" is not known (OTHERS in the call); choose from profile, data',
        ),
        (
            ["OTHERS=n_mfcc=20 learning_rate=20"],
            'learning_rate "20" is not possible; give a number above 0 to',
        ),
    ],
)
def test_a_wrong_word_gets_one_sentence(book, words, said):
    result = book.make("book", "PROFILE=smoke", *words)
    assert result.returncode != 0
    assert said in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert len(result.stderr.strip().splitlines()) == 2  # the sentence, and make's own line


def test_papermill_parameters_are_checked(book):
    files = ["notebooks/05_training.md", "book/executed/x.ipynb"]
    call = [sys.executable, "-m", "helpers.book", "execute", *files]
    result = book.run(*call, "-p", "architcture=resnet18")
    assert result.returncode == 2
    said = 'parameter "architcture" is not known to notebooks/05_training.md; choose from architecture, '
    assert result.stdout.startswith(said)
    assert result.stdout.count("\n") == 1


@pytest.mark.skipif(not RECORDINGS.exists(), reason="no recordings beside the repository")
def test_real_recordings(tmp_path_factory):
    tree = copy_tree(tmp_path_factory.mktemp("real"))
    folder = tree.root / "recordings"
    unpack = [sys.executable, str(RECORDINGS / "unpack.py"), str(folder)]
    subprocess.run(unpack, check=True, capture_output=True)

    # another choice than the thesis's goes the whole way, from the call to the pages
    asked = ["PROFILE=smoke", "ARCHS=resnet18", f"DATA={folder}", "PARTS=copy", "OTHERS=n_mfcc=20"]
    given = [f"-p{value}" for value in ("profile=smoke", f"data={folder}", "n_mfcc=20")]
    for chapter in ("03_features", "05_training", "08_scores"):
        place = "" if chapter == "03_features" else "resnet18/"
        page = tree.root / "book" / "executed" / "copy" / f"{place}{chapter}.ipynb"
        call = [sys.executable, "-m", "helpers.book", "execute", f"notebooks/{chapter}.md", str(page)]
        result = tree.run(*call, *given)
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
        first = nbformat.read(page, as_version=4).cells[0].source
        assert "Data on this page: UrbanSound8K\n" in first
        assert "Real recordings from UrbanSound8K" in first
        assert "n_mfcc 20" in first
        assert "folds 1, 2; fold 10 tests" in first
        assert "synthetic" not in page.read_text().lower()

    clip = next((folder / "audio" / "fold2").glob("*.wav"))
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    broken = tree.make("book", *asked)
    assert "Data: UrbanSound8K" in broken.stdout
    assert broken.returncode != 0
    assert clip.name in broken.stderr
    assert "Traceback" not in broken.stdout + broken.stderr
    clip.write_bytes(whole)

    table = folder / "metadata" / "UrbanSound8K.csv"
    table.write_text(table.read_text().replace("salience", "loudness", 1))
    broken = tree.make("book", *asked)
    assert broken.returncode != 0
    assert "salience" in broken.stderr
    assert "Traceback" not in broken.stdout + broken.stderr
    shutil.rmtree(folder)
