"""Downloads: taken up again where they broke off, checked before they are unpacked, and unpacked nowhere else."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from daisy.corpora.published import download
from daisy.corpora.published.archives import ARCHIVES, Archive
from daisy.errors import DaisyError

DATA = bytes(range(256)) * 4000


class Server(http.server.ThreadingHTTPServer):
    """Serves files from memory, and breaks off as often as it is told."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks = 0
        self.asked: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path.strip("/"))
        self.server.asked.append(self.headers.get("Range"))
        if content is None:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        content = content[start:]
        if self.server.breaks:
            self.server.breaks -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda _: None)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tar(members: dict[str, bytes], *, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
        if link:
            item = tarfile.TarInfo("LibriSpeech/link")
            item.type, item.linkname = tarfile.SYMTYPE, link
            archive.addfile(item)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.files["x"], server.breaks = DATA, 2
    download.fetch(server.url("x"), sha256(DATA), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert server.asked == [None, f"bytes={len(DATA) // 2}-", f"bytes={len(DATA) * 3 // 4}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_later_run_goes_on_too(server, tmp_path):
    server.files["x"], server.breaks = DATA, 100
    with pytest.raises(DaisyError, match=r"connection broke .*4 times.*what was downloaded is kept"):
        download.fetch(server.url("x"), "", tmp_path / "x")
    assert (tmp_path / "x.part").stat().st_size > len(DATA) // 2 and not (tmp_path / "x").exists()
    server.breaks = 0
    download.fetch(server.url("x"), hashlib.md5(DATA).hexdigest(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_whole_part_needs_its_check_alone(server, tmp_path):
    server.files["x"] = DATA
    (tmp_path / "x.part").write_bytes(DATA)
    download.fetch(server.url("x"), sha256(DATA), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_wrong_checksum(server, tmp_path):
    server.files["x"] = DATA + b"!"
    with pytest.raises(DaisyError, match=rf"/x: its checksum is {sha256(DATA + b'!')}, not {sha256(DATA)}"):
        download.fetch(server.url("x"), sha256(DATA), tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_an_address_that_is_gone(server, tmp_path):
    with pytest.raises(DaisyError, match="answers 404"):
        download.fetch(server.url("nothing"), "", tmp_path / "x")
    assert len(server.asked) == 1


def test_no_server_at_all(tmp_path):
    with pytest.raises(DaisyError, match="connection broke"):
        download.fetch("http://127.0.0.1:9/x", "", tmp_path / "x")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\..\\x"])
def test_a_path_out_of_the_folder(name, tmp_path):
    target = tmp_path / "in/side"
    for pack in (tar, zipped):
        (tmp_path / "archive").write_bytes(pack({"LibriSpeech/good": b"1", name: b"2"}))
        with pytest.raises(DaisyError, match="no file inside it"):
            download.unpack(tmp_path / "archive", target)
    assert not list(target.iterdir()) and not (tmp_path / "x").exists() and not (tmp_path / "in/x").exists()


def test_a_link_in_an_archive(tmp_path):
    (tmp_path / "archive").write_bytes(tar({"LibriSpeech/good": b"1"}, link="/etc"))
    with pytest.raises(DaisyError, match="'LibriSpeech/link', which is no file"):
        download.unpack(tmp_path / "archive", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("content", [b"", b"no archive", tar({"a": DATA})[:300], zipped({"a": DATA})[:300]])
def test_a_damaged_archive(content, tmp_path):
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(DaisyError, match="cannot be unpacked"):
        download.unpack(tmp_path / "archive", tmp_path / "out")


def test_archives_share_a_folder(tmp_path):
    for subset in ("dev-clean", "test-clean"):
        (tmp_path / subset).write_bytes(tar({f"LibriSpeech/{subset}/1/a.flac": b"1", "LibriSpeech/README.TXT": b"x"}))
        download.unpack(tmp_path / subset, tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    wanted = {f"LibriSpeech/{subset}/1/a.flac" for subset in ("dev-clean", "test-clean")}
    assert names == wanted | {"LibriSpeech/README.TXT"}


def run(corpus: str, archive: str, root: Path, out: Path) -> dict:
    settings = json.dumps({"corpus": corpus, "archive": archive})
    download.main(["--settings", settings, "--root", str(root), "--out", str(out)])
    return json.loads(out.read_text())


def test_an_archive_in_parts(server, tmp_path, monkeypatch):
    whole = zipped({"wav/id10001/x/00001.wav": DATA})
    parts = [whole[:1000], whole[1000:2000], whole[2000:]]
    server.files |= {f"part{number}": part for number, part in enumerate(parts)}
    urls = tuple(server.url(f"part{number}") for number in range(3))
    item = Archive(urls, tuple(map(sha256, parts)), "dev/wav", "dev")
    monkeypatch.setitem(ARCHIVES["voxceleb1"], "vox1_dev_wav", item)
    root = tmp_path / "VoxCeleb1"
    assert run("voxceleb1", "vox1_dev_wav", root, tmp_path / "done.json")["downloaded"]
    assert (root / "dev/wav/id10001/x/00001.wav").read_bytes() == DATA
    assert not list((root / ".downloads").iterdir())
    asked = len(server.asked)
    assert not run("voxceleb1", "vox1_dev_wav", root, tmp_path / "done.json")["downloaded"]
    assert len(server.asked) == asked


def test_a_plain_file(server, tmp_path, monkeypatch):
    server.files["list.txt"] = b"1 a/b/c.wav\n"
    item = Archive((server.url("list.txt"),), (sha256(b"1 a/b/c.wav\n"),), "list.txt")
    monkeypatch.setitem(ARCHIVES["voxceleb1"], "mini_veri_test_class.txt", item)
    run("voxceleb1", "mini_veri_test_class.txt", tmp_path / "root", tmp_path / "done.json")
    assert (tmp_path / "root/list.txt").read_bytes() == b"1 a/b/c.wav\n"


def test_what_is_there_is_not_downloaded(tmp_path):
    for root, made in (("LibriSpeech", "LibriSpeech/dev-clean"), ("data", "data/LibriSpeech/dev-clean")):
        (tmp_path / made).mkdir(parents=True)
        assert not run("librispeech", "dev-clean", tmp_path / root, tmp_path / "done.json")["downloaded"]


def test_another_archive_than_promised(server, tmp_path, monkeypatch):
    content = tar({"something/else": b"1"})
    server.files["dev-clean.tar.gz"] = content
    item = Archive((server.url("dev-clean.tar.gz"),), (sha256(content),), "LibriSpeech/dev-clean")
    monkeypatch.setitem(ARCHIVES["librispeech"], "dev-clean", item)
    with pytest.raises(DaisyError, match=r"LibriSpeech, dev-clean: it does not hold .*openslr"):
        run("librispeech", "dev-clean", tmp_path / "root", tmp_path / "done.json")
    assert not (tmp_path / "done.json").exists()
