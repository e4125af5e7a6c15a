"""The download, from a server of our own."""

import hashlib
import http.server
import io
import shutil
import tarfile
import threading

import pytest

from helpers import InputError
from helpers.audio import download, urbansound
from tests.unit.audio.made import ROWS, cut


def md5(content):
    return hashlib.md5(content).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`, honours Range, and may break off after `breaks_after` bytes."""

    files: dict[str, bytes]
    breaks_after: int | None
    ranged: bool
    asked: list[tuple[str, str | None]]

    def do_GET(self):
        self.asked.append((self.path, self.headers["Range"]))
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if self.ranged and self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = None if self.breaks_after is None else start + self.breaks_after
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def site(tree, tmp_path, monkeypatch):
    """soundata pointed at a server on this machine that holds the small tree as an archive."""
    from soundata import core
    from soundata.datasets import urbansound8k

    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.add(tree, arcname="UrbanSound8K")
    packed = memory.getvalue()
    clips = [row.split(",") for row in ROWS]
    paths = {row[0][:-4]: f"audio/fold{row[5]}/{row[0]}" for row in clips}
    table = "metadata/UrbanSound8K.csv"
    index = {
        "version": "1.0",
        "clips": {name: {"audio": [path, md5((tree / path).read_bytes())]} for name, path in paths.items()},
        "metadata": {"UrbanSound8K.csv": [table, md5((tree / table).read_bytes())]},
    }
    listed = repr(index).replace("'", '"').encode()
    handler = type("Handler", (Server,), {"breaks_after": None, "ranged": True, "asked": []})
    handler.files = {"/set.tar.gz": packed, "/index.json": listed}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    remote = urbansound8k.REMOTES["all"]
    monkeypatch.setattr(remote, "url", f"{url}/set.tar.gz")
    monkeypatch.setattr(remote, "checksum", md5(packed))
    ours = core.Index(filename="index.json", url=f"{url}/index.json", checksum=md5(listed))
    ours.indexes_dir = ours.remote.destination_dir = str(tmp_path / "indexes")
    monkeypatch.setitem(urbansound8k.INDEXES, "1.0", ours)
    monkeypatch.setattr(urbansound8k, "REMOTES", {"all": remote})
    yield handler
    server.shutdown()
    server.server_close()


def test_download_gives_the_checked_data_set(site, tree, tmp_path, capfd):
    folder = tmp_path / "down" / "UrbanSound8K"
    download.download(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["audio", "metadata"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["UrbanSound8K"]
    assert urbansound.read_clips(folder, complete=True).equals(urbansound.read_clips(tree))
    assert capfd.readouterr() == ("", "")

    site.asked.clear()
    download.download(folder)  # there already: checked only
    assert [path for path, _ in site.asked] == ["/index.json"]
    cut(folder / "audio" / "fold1" / "7-3-0-0.wav")
    (folder / "audio" / "fold1" / "7-3-0-1.wav").unlink()
    with pytest.raises(InputError, match="is not the official UrbanSound8K: 2 files are missing"):
        download.download(folder)


def test_a_broken_download_goes_on_where_it_stopped(site, tmp_path):
    folder = tmp_path / "UrbanSound8K"
    site.breaks_after = size = len(site.files["/index.json"])  # the index passes, the archive not
    total = len(site.files["/set.tar.gz"])
    assert size < total
    with pytest.raises(InputError, match=f"the connection broke after {size} of {total} bytes"):
        download.download(folder)
    assert not folder.exists()
    site.breaks_after = None
    download.download(folder)
    assert ("/set.tar.gz", f"bytes={size}-") in site.asked
    assert len(urbansound.read_clips(folder, complete=True)) == 4


def test_a_server_without_ranges_starts_over(site, tmp_path):
    folder = tmp_path / "UrbanSound8K"
    part = tmp_path / "UrbanSound8K.partial" / "UrbanSound8K.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(b"something else")
    site.ranged = False
    download.download(folder)
    assert len(urbansound.read_clips(folder)) == 4


def test_a_complete_archive_is_not_asked_for_again(site, tmp_path):
    partial = tmp_path / "UrbanSound8K.partial"
    partial.mkdir()
    part = partial / "UrbanSound8K.tar.gz.part"
    part.write_bytes(site.files["/set.tar.gz"])  # complete, killed before its renaming: 416
    download.download(tmp_path / "UrbanSound8K")
    shutil.rmtree(tmp_path / "UrbanSound8K")

    partial.mkdir()
    (partial / "UrbanSound8K.tar.gz").write_bytes(site.files["/set.tar.gz"])
    (partial / "audio").mkdir()  # killed while soundata moved what it had unpacked
    shutil.copytree(partial / "audio", partial / "UrbanSound8K" / "audio")
    (partial / "audio").rmdir()
    site.asked.clear()
    download.download(tmp_path / "UrbanSound8K")
    assert [path for path, _ in site.asked] == ["/index.json"]


def test_a_damaged_archive_is_removed_and_fetched_again(site, tmp_path):
    partial = tmp_path / "UrbanSound8K.partial"
    partial.mkdir()
    part = partial / "UrbanSound8K.tar.gz.part"
    part.write_bytes(b"damaged")
    with pytest.raises(InputError, match="the archive came damaged and was removed"):
        download.download(tmp_path / "UrbanSound8K")
    assert list(partial.iterdir()) == []
    download.download(tmp_path / "UrbanSound8K")
    assert len(urbansound.read_clips(tmp_path / "UrbanSound8K")) == 4


@pytest.mark.parametrize("kind", ["above", "absolute", "link"])
def test_an_archive_writes_nowhere_but_in_its_folder(site, tree, tmp_path, monkeypatch, kind):
    from soundata.datasets import urbansound8k

    memory, outside = io.BytesIO(), tmp_path / "outside"
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.add(tree, arcname="UrbanSound8K")
        if kind == "link":
            member = tarfile.TarInfo("UrbanSound8K/link")
            member.type, member.linkname = tarfile.SYMTYPE, str(outside)
            archive.addfile(member)
        member = tarfile.TarInfo({"above": "../outside", "absolute": str(outside), "link": "UrbanSound8K/link"}[kind])
        member.size = 4
        archive.addfile(member, io.BytesIO(b"here"))
    site.files["/set.tar.gz"] = memory.getvalue()
    monkeypatch.setattr(urbansound8k.REMOTES["all"], "checksum", md5(memory.getvalue()))
    if kind == "absolute":  # taken as a path below the folder
        download.download(tmp_path / "down" / "UrbanSound8K")
    else:
        with pytest.raises(InputError, match="the archive cannot be unpacked"):
            download.download(tmp_path / "down" / "UrbanSound8K")
        assert not (tmp_path / "down" / "UrbanSound8K").exists()
    assert not outside.exists()


def test_no_server_is_one_sentence(site, tmp_path, capfd):
    site.files = {}
    with pytest.raises(InputError) as caught:
        download.download(tmp_path / "UrbanSound8K")
    assert "cannot be downloaded" in str(caught.value)
    assert "404" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        download.download(tmp_path / "file")
