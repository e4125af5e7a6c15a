"""Nothing is lost when the machine fails: every step of the study, killed at random moments (`make test-faults`).

KILLS says how often, SEED when: it is printed, and the same one kills at the same shares of the steps' time.
"""

import hashlib
import http.server
import io
import json
import os
import random
import re
import shutil
import tarfile
import threading
import time
from pathlib import Path

import pytest
import yaml

from helpers.audio import standin
from tests.conftest import copy_tree
from tests.faults import kills
from tests.faults.kills import Stage

KILLS, SEED = int(os.environ.get("KILLS") or 50), int(os.environ.get("SEED") or time.time())
EACH = 3  # kills of a stage before it may come to its end
RUN = {"architecture": "resnet18", "profile": "smoke", "epochs": 3}
OTHERS = "epochs=3"
CHAPTERS = ("resnet18/05_training", "resnet18/06_explanations", "resnet18/08_scores")
BESIDE = ("code/show", "glossary", "references")  # to which pages lead from below their figures
FIRST = "Four chapters on one network; every step is killed at random and run again until it ends {cite}`ansari2024`.\n"
MADE = ("data/runs", "data/recorded", "data/UrbanSound8K", "book/executed", "_build/html")
FETCH = """
import sys
from soundata import core
from soundata.datasets import urbansound8k
from helpers import study
from helpers.audio import download

url, packed, listed, indexes = sys.argv[1:]
remote = urbansound8k.REMOTES["all"]
remote.url, remote.checksum = url + "/set.tar.gz", packed
index = core.Index(filename="index.json", url=url + "/index.json", checksum=listed)
index.indexes_dir = index.remote.destination_dir = indexes
urbansound8k.INDEXES["1.0"], urbansound8k.REMOTES = index, {"all": remote}
download.download(study.DATA / "UrbanSound8K")
"""


class Slow(http.server.BaseHTTPRequestHandler):
    """Serves files a little at a time, so that a download can be killed; honours Range."""

    files: dict[str, bytes]

    def do_GET(self):
        content, start = self.files[self.path], 0
        if self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if self.headers["Range"] else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        step = len(self.files["/set.tar.gz"]) // 40
        try:
            for at in range(start, len(content), step):
                self.wfile.write(content[at : min(at + step, len(content))])
                time.sleep(0.05)
        except OSError:  # whoever asked was killed
            return

    def log_message(self, *_):
        pass


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two clips a class as an archive, called recordings: the words for the script that fetches them."""
    folder = tmp_path_factory.mktemp("sounds") / "UrbanSound8K"
    standin.generate(folder, clips=2, seed=1)
    (folder / "metadata" / "events.csv").unlink()  # by which a stand-in is known
    (folder / "README.txt").unlink()
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.add(folder, arcname="UrbanSound8K")
    sounds = sorted(folder.glob("audio/*/*.wav"))
    table = "metadata/UrbanSound8K.csv"
    clips = {p.stem: {"audio": [p.relative_to(folder).as_posix(), md5(p.read_bytes())]} for p in sounds}
    index = {"version": "1.0", "clips": clips}
    index |= {"metadata": {"UrbanSound8K.csv": [table, md5((folder / table).read_bytes())]}}
    listed = json.dumps(index).encode()
    handler = type("Handler", (Slow,), {"files": {"/set.tar.gz": memory.getvalue(), "/index.json": listed}})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    indexes = tmp_path_factory.mktemp("indexes")
    yield f"http://127.0.0.1:{running.server_port}", md5(memory.getvalue()), md5(listed), str(indexes)
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the repository whose book is four chapters on one network."""
    root = copy_tree(tmp_path_factory.mktemp("tree")).root
    (root / "config" / "studies" / "faults.yaml").write_text(yaml.safe_dump([RUN]))
    pages = [{"file": f"book/executed/copy/{name}"} for name in ("03_features", *CHAPTERS)]
    parts = [{"caption": "Your copy", "chapters": [*pages, *({"file": f"book/{name}"} for name in BESIDE)]}]
    (root / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", "root": "book/index", "parts": parts}))
    (root / "book" / "index.md").write_text(f"# A short book\n\n{FIRST}")
    for chapter in (root / "notebooks").glob("*.md"):  # nothing refers to pages that are left out
        text = re.sub(r"\{(?:ref|numref|eq|doc)\}`(?:[^`<]*<)?([^`>]*)>?`", r"*\1*", chapter.read_text())
        chapter.write_text(text)
    return root


@pytest.fixture(scope="module")
def stages(server) -> list[Stage]:
    book = ("--profile", "smoke", "--archs", "resnet18", "--others", OTHERS, "--parts", "copy", "--cores", "1")
    return [
        Stage("download", ("-c", FETCH, *server)),
        kills.making("training", "network"),
        kills.making("explaining", "explanations.npz"),
        kills.making("scoring", "scores.csv", "quantus.csv", "predictions.csv"),
        Stage("recording", ("-m", "helpers.book", "record", "--study", "faults")),
        Stage("chapters", ("-m", "helpers.book", "build", *book)),
        Stage("site", ("-m", "helpers.book", "site", "--archs", "resnet18", "--parts", "copy")),
    ]


def test_what_was_killed_ends_as_what_was_not(tree, stages, tmp_path):
    print(f"\nKILLS={KILLS} SEED={SEED}", flush=True)
    draw = random.Random(SEED)
    shutil.copytree(tree / "data" / "recorded", tmp_path / "recorded")

    def fresh() -> None:
        for name in (*MADE, "_build", ".snakemake"):
            shutil.rmtree(tree / name, ignore_errors=True)
        shutil.copytree(tmp_path / "recorded", tree / "data" / "recorded")

    def made() -> dict[str, str]:
        # a site that goes on from the last one has other search files than one that is built from the beginning
        shutil.rmtree(tree / "_build" / "following")
        kills.until_done(stages[-1], tree, [])
        return kills.content(tree, MADE)

    fresh()
    durations = kills.undisturbed(stages, tree)
    whole = made()
    count, rounds = 0, 0
    while count < KILLS:
        fresh()
        for stage in stages:
            if count < KILLS:
                each = min(EACH, KILLS - count)
                times = kills.killed([stage], tree, durations=durations, each=each, draw=draw)
                count += times
                print(f"{stage.name}: killed {times} times, {count} in all", flush=True)
            else:
                kills.until_done(stage, tree, [])
        rounds += 1
        others = kills.differing(made(), whole)
        assert not others, "not as undisturbed:\n" + "\n".join(others)
    print(f"{count} kills in {rounds} rounds: {len(whole)} files are the same", flush=True)
