"""A machine that fails: a full disk, a folder that may only be read, a wrong clock, a lock that was left."""

import ctypes
import errno
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import InputError, artifacts

CLIPS = ["a.wav", "b.wav", "c.wav"]
MOMENTS = 11  # at which something is written: three folders, two for each clip, the table and its record


class Maker:
    """An artefact that is made clip by clip, and counts the clips that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def one(self, i: int) -> pd.DataFrame:
        self.asked.append(i)
        return pd.DataFrame({"clip": [CLIPS[i]], "score": [i / 3]})

    def __call__(self, target: Path) -> None:
        pd.concat(artifacts.clip_by_clip(target, CLIPS, self.one, what="scores")).to_csv(target, index=False)


def produce(path: Path, make, recipe=()) -> Path:
    return artifacts.produce(path, recipe=dict(recipe), make=make)


@pytest.fixture
def whole(tmp_path) -> bytes:
    return produce(tmp_path / "whole" / "scores.csv", Maker()).read_bytes()


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


# Full


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_write_that_fails_at_any_moment_is_one_sentence_and_what_is_done_is_kept(monkeypatch, tmp_path, whole, code):
    """Every call that writes fails once, each in a folder of its own; then there is room again."""
    reason = os.strerror(code)
    for moment in range(MOMENTS):
        path, make, calls = tmp_path / f"{moment}" / "scores.csv", Maker(), []

        def failing(own, calls=calls, moment=moment):
            def call(*given, **named):
                calls.append(own)
                if len(calls) == moment + 1:
                    raise OSError(code, reason, str(given[0]))
                return own(*given, **named)

            return call

        with monkeypatch.context() as patch:
            for owner, name in ((os, "replace"), (os, "fsync"), (Path, "mkdir"), (Path, "write_bytes")):
                patch.setattr(owner, name, failing(getattr(owner, name)))
            with pytest.raises(InputError) as caught:
                produce(path, make)
        assert str(caught.value) == (
            f"scores.csv cannot be written to {path.parent} ({reason}); make room there or name another folder "
            "(RUNS in the call), and run again: it goes on from where it was"
        )
        assert not artifacts.unchanged(artifacts.record_path(path))
        assert produce(path, make).read_bytes() == whole
        assert len(make.asked) <= len(CLIPS) + 1  # the clip in whose middle it failed is asked for again
        assert not list(path.parent.glob(".*.work"))


def test_a_full_disk_is_one_sentence_and_with_room_again_it_goes_on(disk):
    def make(target: Path) -> None:
        for size in (100_000, 2_000_000):  # torch has an error of its own
            torch.save(torch.zeros(size // 4), target.with_name(f"{size}.pt"))
        target.write_text("made")

    with pytest.raises(InputError, match=r"network cannot be written to .* \(No space left on device\); make room"):
        produce(disk / "runs" / "network", make)
    subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
    assert produce(disk / "runs" / "network", make).read_text() == "made"


def test_another_error_is_said_as_it_is(tmp_path):
    def make(target: Path) -> None:
        raise OSError(errno.ENOENT, "No such file", "clip.wav")

    with pytest.raises(OSError, match="No such file"):
        produce(tmp_path / "a.csv", make)
    assert artifacts.unwritable(RuntimeError("a mistake of ours"), tmp_path / "not" / "there") == ""
    assert artifacts.unwritable(PermissionError(errno.EACCES, "", str(tmp_path / "a")), tmp_path)
    assert not artifacts.unwritable(PermissionError(errno.EACCES, "", "/elsewhere/clip.wav"), tmp_path)


def test_a_small_file_that_cannot_be_written_leaves_the_old_one(monkeypatch, tmp_path):
    (tmp_path / "a.json").write_text("old")
    monkeypatch.setattr(os, "replace", lambda *given: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        artifacts.write_text(tmp_path / "a.json", "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


# Read only


def test_from_a_folder_that_may_only_be_read_results_are_loaded_and_none_is_made(disk):
    make = Maker()
    path = produce(disk / "scores.csv", make)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert produce(path, make) == path
    assert len(make.asked) == len(CLIPS)
    with pytest.raises(InputError, match=r"^scores\.csv cannot be written to .* \(Read-only file system\); make room"):
        produce(path, make, {"fields": {"a": 2}})
    assert path.is_file()


# Times


def test_a_change_is_seen_whatever_the_clock_says(tmp_path):
    """A file of the same size and with the same time, as a clock that jumps back can give it."""
    make, path = Maker(), tmp_path / "scores.csv"
    produce(path, make)
    produce(path, make)  # its digest is known now
    text, times = path.read_text(), path.stat()
    time.sleep(0.02)  # file systems count time in steps of some milliseconds
    path.write_text(text.replace("a.wav", "x.wav"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    produce(path, make)
    assert path.read_text() == text


@pytest.mark.parametrize("hours", [-10_000, 10_000])
def test_a_result_from_another_time_is_fresh_and_its_record_says_when_it_was_checked(tmp_path, hours):
    make, path = Maker(), tmp_path / "scores.csv"
    produce(path, make)
    for file in (path, artifacts.record_path(path)):
        os.utime(file, (file.stat().st_mtime + 3600 * hours,) * 2)
    produce(path, make)
    assert len(make.asked) == len(CLIPS)


# Left behind


def test_a_lock_that_was_left_is_no_obstacle(tmp_path, whole):
    (tmp_path / ".scores.csv.lock").write_text("12345\n")
    assert produce(tmp_path / "scores.csv", Maker()).read_bytes() == whole


def test_a_checkpoint_of_which_half_reached_the_disk_is_no_beginning(tmp_path):
    found = []

    def make(target: Path) -> None:
        kept = target.with_name("checkpoint.pt")
        found.append(kept.exists())
        torch.save({"epoch": 1}, kept)
        if len(found) < 3:
            raise KeyboardInterrupt
        target.write_text("made")

    def stop() -> Path:
        with pytest.raises(KeyboardInterrupt):
            produce(tmp_path / "network", make)
        (kept,) = tmp_path.glob(".network.*.work/checkpoint.pt")
        return kept

    kept = stop()
    kept.write_bytes(kept.read_bytes()[:-100])
    stop()
    produce(tmp_path / "network", make)
    assert found == [False, False, True]


def test_a_call_that_was_killed_before_it_cleaned_up_leaves_nothing_in_the_end(monkeypatch, tmp_path):
    make, path = Maker(), tmp_path / "scores.csv"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *given, **named: None)
        produce(path, make)
    assert list(tmp_path.glob(".*.work"))
    produce(path, make)
    assert not list(tmp_path.glob(".*.work"))
    assert len(make.asked) == len(CLIPS)


# In one step


def folder(path: Path, text: str) -> Path:
    (path / "inside").mkdir(parents=True)
    (path / "inside" / "file").write_text(text)
    return path


@pytest.mark.parametrize("linux", [True, False])
def test_a_folder_takes_the_place_of_another_whole(monkeypatch, tmp_path, linux):
    if not linux:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    new, old = folder(tmp_path / "new", "new"), folder(tmp_path / "old", "old")
    (old / "more").write_text("")
    artifacts.take_place(new, old)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == ["old/inside/file"]
    assert (old / "inside" / "file").read_text() == "new"


def test_there_is_no_moment_without_a_folder(monkeypatch, tmp_path):
    if not hasattr(ctypes.CDLL(None), "renameat2"):
        pytest.skip("two folders cannot change places in one step on this system")
    new, old = folder(tmp_path / "new", "new"), folder(tmp_path / "old", "old")

    def stop(*given, **named):
        raise KeyboardInterrupt

    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, stop)
    monkeypatch.setattr(shutil, "rmtree", stop)  # killed before the old one is removed
    with pytest.raises(KeyboardInterrupt):
        artifacts.take_place(new, old)
    assert (old / "inside" / "file").read_text() == "new"


def test_an_array_of_a_clip_is_kept_as_it_is(tmp_path):
    arrays = [np.arange(3.0), np.zeros((2, 2))]
    found = artifacts.clip_by_clip(tmp_path / "a.npz", ["a", "b"], lambda i: arrays[i], what="arrays")
    assert all(np.array_equal(one, two) for one, two in zip(found, arrays, strict=True))
