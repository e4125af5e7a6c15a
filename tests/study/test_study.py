"""The main job, end to end, in a copy of the repository: what a user types and what comes out."""

import json
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest

from tests.conftest import RECORDINGS, copy_tree


def records(tree, data="synthetic"):
    folder = tree.root / "data" / "runs" / data / "smoke"
    return {p.relative_to(folder).as_posix(): json.loads(p.read_text()) for p in folder.rglob("*.json")}


def test_every_artefact_has_its_record(book):
    known = records(book)
    for architecture in ("resnet18", "resnet101"):
        for name in ("explanations.json", "network.json", "scores.json", "quantus.json"):
            made = known[f"{architecture}/{name}"]["made"]
            assert made["data"] == "synthetic stand-in"
            assert {"date", "seconds", "revision", "versions", "machine"} <= set(made)
    training = known["resnet18/network.json"]
    assert training["recipe"]["parameters"]["epochs"] == 1
    assert training["made"]["training_folds"] == list(range(1, 10))


def test_both_networks_explain_the_same_clips(book):
    folder = book.root / "data" / "runs" / "synthetic" / "smoke"
    with (
        np.load(folder / "resnet18/explanations.npz", allow_pickle=False) as one,
        np.load(folder / "resnet101/explanations.npz", allow_pickle=False) as two,
    ):
        assert list(one["names"]) == list(two["names"])
        assert one["maps"].shape == one["inputs"][:, 0].shape == (len(one["names"]), 13, 400)
        assert not np.array_equal(one["maps"], two["maps"])
        scores = pd.read_csv(folder / "resnet18/scores.csv")
        for _, part in scores.groupby("specification"):
            assert list(part["name"]) == list(one["names"][: len(part)])
    assert set(scores["specification"]) == {"draws", "rank", "text", "frame"}
    assert set(pd.read_csv(folder / "resnet18/quantus.csv")["specification"]) == {"quantus"}
    assert scores["score"].dropna().between(-1, 1).all()


def test_executed_chapters_got_their_parameters(book):
    for architecture in ("resnet18", "resnet101"):
        path = book.root / "book" / "executed" / architecture / "05_training.ipynb"
        notebook = nbformat.read(path, as_version=4)
        injected = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
        assert f'architecture = "{architecture}"' in injected[0].source
        assert 'profile = "smoke"' in injected[0].source
        assert "synthetic stand-in" in notebook.cells[0].source


def test_nothing_changed_nothing_done(book):
    before = {p: p.stat().st_mtime_ns for p in (book.root / "book" / "executed").rglob("*.ipynb")}
    result = book.make("book", "PROFILE=smoke")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_changed_sentence_retrains_nothing(book):
    weights = book.root / "data/runs/synthetic/smoke/resnet18/network/weights.safetensors"
    before = weights.stat().st_mtime_ns
    executed = book.root / "book" / "executed"
    pages = {p.relative_to(executed).as_posix(): p.read_bytes() for p in executed.rglob("*.ipynb")}
    chapter = book.root / "notebooks" / "05_training.md"
    text = chapter.read_text()
    try:
        chapter.write_text(text.replace("## How it learned", "A new sentence.\n\n## How it learned"))
        result = book.make("book", "PROFILE=smoke")
        assert result.returncode == 0, result.stdout + result.stderr
        assert weights.stat().st_mtime_ns == before
        page = book.site / "book/executed/resnet18/05_training.html"
        assert "A new sentence." in page.read_text()
        changed = {name for name, content in pages.items() if (executed / name).read_bytes() != content}
        assert changed == {f"{name}/05_training.ipynb" for name in ("resnet18", "resnet101")}
    finally:
        chapter.write_text(text)


def test_a_changed_profile_concerns_every_chapter_that_has_one(book):
    profiles = book.root / "config" / "profiles.yaml"
    text = profiles.read_text()
    settings = ["profile=smoke", "archs=resnet18 resnet101", "data=", "digest=generated"]
    call = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--nolock", "--config", *settings]
    try:
        profiles.write_text(text.replace("epochs: 1,", "epochs: 2,"))
        asked = book.run(*call)
    finally:
        profiles.write_text(text)
    for chapter in (book.root / "notebooks").glob("*.md"):
        if 'profile = "' in chapter.read_text():
            assert f"{chapter.stem}.ipynb" in asked.stdout, chapter


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ARCHS=resnet8"], 'architecture "resnet8" is not known; choose from resnet18, resnet34, resnet50'),
        (["PROFILE=quik"], 'profile "quik" is not known; choose from quick, smoke, thesis'),
        (["DATA=no/such/folder"], 'data folder "no/such/folder" does not exist'),
        (["CORES=0"], "CORES=0 is not a number of cores"),
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
    assert result.stdout == (
        'parameter "architcture" is not known to notebooks/05_training.md; '
        "choose from architecture, profile, seed, data\n"
    )


@pytest.mark.skipif(not RECORDINGS.exists(), reason="no recordings beside the repository")
def test_real_recordings(tmp_path_factory):
    tree = copy_tree(tmp_path_factory.mktemp("real"))
    folder = tree.root / "recordings"
    unpack = [sys.executable, str(RECORDINGS / "unpack.py"), str(folder)]
    subprocess.run(unpack, check=True, capture_output=True)

    result = tree.make("book", "PROFILE=smoke", "ARCHS=resnet18", f"DATA={folder}")
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
    assert "Data: UrbanSound8K" in result.stdout
    assert "folds 1, 2 train, fold 10 tests; folds 3, 4, 5, 6, 7, 8, 9 are not in the folder" in result.stdout
    page = (tree.site / "book/executed/resnet18/05_training.html").read_text()
    assert "Real recordings from UrbanSound8K" in page
    assert "synthetic" not in page.lower().replace("<title>", "")

    clip = next((folder / "audio" / "fold2").glob("*.wav"))
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    broken = tree.make("book", "PROFILE=smoke", "ARCHS=resnet18", f"DATA={folder}")
    assert broken.returncode != 0
    assert clip.name in broken.stderr
    assert "Traceback" not in broken.stdout + broken.stderr
    clip.write_bytes(whole)

    table = folder / "metadata" / "UrbanSound8K.csv"
    table.write_text(table.read_text().replace("salience", "loudness", 1))
    broken = tree.make("book", "PROFILE=smoke", "ARCHS=resnet18", f"DATA={folder}")
    assert broken.returncode != 0
    assert "salience" in broken.stderr
    assert "Traceback" not in broken.stdout + broken.stderr
    shutil.rmtree(folder)
