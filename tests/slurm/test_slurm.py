"""A smoke study through a real Slurm of one machine: a job is killed, the machine fails, all comes out as it does here.

`make test-slurm` runs it; it is no part of `make test`. Most of its minutes it waits until Slurm is asked again.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import copy_tree

HERE = Path(__file__).parent
DAEMONS = ("slurmd", "slurmctld", "munged")
LONGEST = 1800  # seconds that anything may take; the test waits for what happens, it times nothing


def pids(name: str) -> set[int]:
    found = subprocess.run(["pgrep", "-x", name], capture_output=True, text=True, check=False)
    return set(map(int, found.stdout.split()))


@pytest.fixture(scope="module")
def slurm():
    """Slurm on this machine; what was started for it is stopped at the end."""
    before = {name: pids(name) for name in DAEMONS}
    started = subprocess.run(["sh", HERE / "start.sh"], stdout=subprocess.PIPE, text=True, check=False)
    if started.returncode == 77:
        pytest.skip(started.stdout.strip())
    assert started.returncode == 0, started.stdout
    yield
    for name in DAEMONS:
        for pid in pids(name) - before[name]:
            os.kill(pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def tree(slurm, tmp_path_factory):
    """A copy of the working tree with the small study, and a profile for a machine of two cores."""
    tree = copy_tree(tmp_path_factory.mktemp("slurm") / "our study")
    shutil.copy2(HERE / "two.yaml", tree.root / "config" / "studies" / "two.yaml")
    profile = tree.root / "config" / "engines" / "slurm" / "config.yaml"
    changed = {"cores": os.cpu_count(), "latency-wait": 10, "slurm-init-seconds-before-status-checks": 5}
    profile.write_text(yaml.safe_dump(yaml.safe_load(profile.read_text()) | changed))
    return tree


def call(runs: Path, *words: str) -> list[str]:
    environment = [f"VENV={sys.prefix}", "--old-file", f"{sys.prefix}/.installed"]
    return ["make", "study", "STUDY=two", "PROFILE=smoke", f"RUNS={runs}", *words, *environment]


def running(kind: str) -> list[str]:
    """The numbers of Slurm's jobs that make a kind of artefact just now."""
    listed = subprocess.run(["squeue", "-h", "-o", "%i %T %k"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(" ", 2) for line in listed.splitlines()]
    return [number for number, state, comment in rows if state == "RUNNING" and f"rule_{kind}_" in comment]


def until(true, process: subprocess.Popen) -> None:
    ends = time.monotonic() + LONGEST
    while not true():
        assert process.poll() is None, "the study ended before"
        assert time.monotonic() < ends
        time.sleep(0.2)


def contents(runs: Path) -> dict[str, str]:
    """The digest of each artefact, by its place."""
    records = [path for path in runs.rglob("*.json") if not path.name.startswith(".")]
    return {path.relative_to(runs).as_posix(): json.loads(path.read_text())["content"] for path in records}


def test_a_study_through_slurm_survives_a_killed_job_and_a_failed_machine(tree, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    made = tree.run(*call(here, "CORES=2"))
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    expected = contents(here)
    assert len(expected) >= 10

    environment = {**os.environ, "PYTHONPATH": str(tree.root / "src")}
    with (tmp_path / "said").open("w") as said:
        study = subprocess.Popen(
            call(there, "ENGINE=slurm"),
            cwd=tree.root,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until(lambda: list(there.rglob(".network*.work")) and running("network"), study)
            subprocess.run(["scancel", *running("network")], check=True)
            until(lambda: list(there.rglob(".scores*.work")) and running("scores"), study)
            node = ["scontrol", "update", "nodename=" + os.uname().nodename.partition(".")[0]]
            subprocess.run([*node, "state=down", "reason=test"], check=True)  # its jobs are ended
            until(lambda: not running("scores"), study)
            subprocess.run([*node, "state=resume"], check=False)  # where it has not come back by itself
            code = study.wait(LONGEST)
        finally:
            if study.poll() is None:  # as Ctrl-C: its jobs are cancelled
                os.killpg(study.pid, signal.SIGINT)
                study.wait(60)
    assert code == 0, (tmp_path / "said").read_text()[-3000:]
    assert contents(there) == expected
    again = tree.run(*call(there, "ENGINE=slurm"))
    assert "0 artefacts to make" in again.stdout
    log = next(tree.root.glob("_build/study.log")).read_text()
    assert "Trying to restart job" in log  # what was killed was tried again
