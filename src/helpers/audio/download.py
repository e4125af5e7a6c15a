"""From the archive on Zenodo to a verified folder; an interrupted download goes on.

Chapter: notebooks/02_dataset.md
"""

import contextlib
import hashlib
import http.client
import io
import logging
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from helpers import InputError
from helpers.audio import urbansound


def download(folder: str | Path) -> None:
    """Download UrbanSound8K (6 GB) from where soundata says and check every file's MD5.

    Works in `<folder>.partial` and renames it at the very end: an interrupted call leaves no
    `folder`, and the next call goes on where it stopped. Needs about 13 GB of disk on the way. A
    folder that is already there is checked, not changed.

    Parameters
    ----------
    folder : the data set's folder to be.

    Raises
    ------
    InputError
        No connection or a broken one, no room or no right to write, a damaged archive, or a folder
        there that is not the official data set.

    Chapter: notebooks/02_dataset.md
    """
    import soundata

    folder = Path(folder)
    if folder.is_file():
        raise InputError(f'data folder "{folder}" is a file; name a folder (DATA in the call)')
    if present := (folder.is_dir() and any(folder.iterdir())):
        home = folder
    else:
        home = folder.with_name(folder.name + ".partial")
    try:
        home.mkdir(parents=True, exist_ok=True)
        dataset = soundata.initialize("urbansound8k", data_home=str(home))
        with _quiet():
            dataset.download(["index"], force_overwrite=True)
        archive = home / dataset.remotes["all"].filename
        if not present:
            if not archive.exists():
                _fetch(dataset.remotes["all"].url, archive)
            _unpack(dataset.remotes["all"], archive)
        faults = [
            path
            for kind in dataset.validate(verbose=False)  # the missing, then the changed
            for group in kind.values()
            for paths in group.values()
            for path in paths
        ]
        if faults:
            raise InputError(
                f'data folder "{home}" is not the official UrbanSound8K: {len(faults)} files are '
                f"missing or differ ({urbansound.first(faults)}); move it away and run again"
            )
        if not present:
            archive.unlink()
            home.replace(folder)
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f'UrbanSound8K cannot be downloaded to "{home}" ({error}); check the connection and the '
            "disk and run again: it goes on where it stopped"
        ) from None


def _fetch(url: str, archive: Path) -> None:
    """Download a file, going on where an earlier call stopped (soundata starts over)."""
    part = archive.with_name(archive.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            if response.status != 206:  # the server sends the whole file
                start = 0
            total = None if response.length is None else start + response.length
            with (
                part.open("ab" if start else "wb") as file,
                tqdm.wrapattr(file, "write", total=total, initial=start, disable=None) as sink,
            ):
                shutil.copyfileobj(response, sink)
        size = part.stat().st_size
        if total is not None and size < total:
            raise OSError(f"the connection broke after {size} of {total} bytes")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: nothing is left to send
            raise
    part.replace(archive)


def _unpack(remote: Any, archive: Path) -> None:
    """Check the archive's MD5, then unpack it (soundata lets an archive write anywhere); a damaged one is removed."""
    with archive.open("rb") as file:
        came_whole = hashlib.file_digest(file, "md5").hexdigest() == remote.checksum
    if not came_whole:
        archive.unlink()
        raise OSError("the archive came damaged and was removed")
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(archive.parent, filter="data")
    except tarfile.TarError as error:
        raise OSError(f"the archive cannot be unpacked: {error}") from None
    for name in remote.unpack_directories:
        for inner in (archive.parent / name).iterdir():
            if not (outer := archive.parent / inner.name).exists():  # else an earlier call has moved it
                inner.rename(outer)
        shutil.rmtree(archive.parent / name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep soundata's own log lines and bars back: a failure is told in our one sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
