"""Downloads over real HTTP from a server on this machine, and archives that mean harm."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from distilmos_plugin.corpora import download as module
from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.download import download, extract, fetch
from distilmos_plugin.corpora.importing import Clip, import_corpus
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError

CONTENT = bytes(range(256)) * 4096  # 1 MiB


class Server(BaseHTTPRequestHandler):
    """Serves ``files``; knows ranges unless told otherwise; hangs up after ``hang_up`` bytes of a reply, once."""

    def __init__(self, state: dict, *arguments: object) -> None:
        self.state = state
        super().__init__(*arguments)

    def do_GET(self) -> None:
        content = self.state["files"].get(self.path)
        wanted = self.headers.get("Range")
        self.state["requests"].append((self.path, wanted))
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted and self.state["ranges"]:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = self.state.pop("hang_up", None)
        self.wfile.write(content[start : None if stop is None else start + stop])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[dict]:
    """What the server has and does; ``address`` is where it is."""
    state: dict = {"files": {"/corpus.bin": CONTENT}, "requests": [], "ranges": True}
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, state))
    thread = threading.Thread(target=http.serve_forever, args=[0.02], daemon=True)  # seconds between looks for shutdown
    thread.start()
    state["address"] = f"http://127.0.0.1:{http.server_address[1]}"
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def archive(server: dict, name: str = "corpus.bin", content: bytes = CONTENT) -> Archive:
    return Archive(name, url=f"{server['address']}/{name}", digest=f"md5:{hashlib.md5(content).hexdigest()}")


# Downloads


def test_a_file_is_downloaded_and_checked(server, tmp_path):
    download(archive(server), tmp_path / "corpus.bin")
    assert (tmp_path / "corpus.bin").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["corpus.bin"]


def test_a_download_that_was_cut_off_goes_on_where_it_was(server, tmp_path):
    server["hang_up"] = 300_000
    with pytest.raises(DataError, match="the same command goes on from here"):
        download(archive(server), tmp_path / "corpus.bin")
    assert not (tmp_path / "corpus.bin").exists()
    have = (tmp_path / "corpus.bin.part").stat().st_size
    assert 0 < have <= 300_000
    download(archive(server), tmp_path / "corpus.bin")
    assert server["requests"][-1] == ("/corpus.bin", f"bytes={have}-")
    assert (tmp_path / "corpus.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    server["ranges"] = False
    (tmp_path / "corpus.bin.part").write_bytes(CONTENT[:1000])
    download(archive(server), tmp_path / "corpus.bin")
    assert (tmp_path / "corpus.bin").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    (tmp_path / "corpus.bin.part").write_bytes(CONTENT)
    download(archive(server), tmp_path / "corpus.bin")
    assert (tmp_path / "corpus.bin").read_bytes() == CONTENT


def test_a_file_with_another_digest_is_not_kept(server, tmp_path):
    server["files"]["/corpus.bin"] = CONTENT[::-1]
    with pytest.raises(DataError, match=r"md5 is \w{32}, \w{32} was published"):
        download(archive(server), tmp_path / "corpus.bin")
    assert os.listdir(tmp_path) == []


def test_address_and_digest_of_a_zenodo_file_are_in_its_record(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ZENODO", f"{server['address']}/records/{{record}}")
    entry = {
        "key": "corpus.bin",
        "checksum": f"md5:{hashlib.md5(CONTENT).hexdigest()}",
        "links": {"self": f"{server['address']}/corpus.bin"},
    }
    server["files"]["/records/123"] = json.dumps({"files": [entry]}).encode()
    download(Archive("corpus.bin", zenodo="123"), tmp_path / "corpus.bin")
    assert (tmp_path / "corpus.bin").read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"does not list other\.zip"):
        download(Archive("other.zip", zenodo="123"), tmp_path / "other.zip")


def test_a_server_that_says_no_is_one_sentence(server, tmp_path):
    with pytest.raises(DataError, match=r"nothing\.zip: the server answers 404"):
        download(Archive("nothing.zip", url=f"{server['address']}/nothing.zip"), tmp_path / "nothing.zip")


def test_a_server_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="cannot be downloaded"):
        download(Archive("a.zip", url="http://127.0.0.1:9/a.zip"), tmp_path / "a.zip")  # the discard port: nobody listens


def card(*archives: Archive) -> Card:
    return Card("corpus", "a corpus", "somewhere", "free", {}, ("mos",), archives=archives)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


def test_nested_archives_are_extracted_once(server, tmp_path):
    content = zipped({"SOMOS/readme.txt": b"read me", "SOMOS/audios.zip": zipped({"audios/a.wav": b"RIFF"})})
    server["files"]["/somos.zip"] = content
    known = card(Archive("somos.zip", f"{server['address']}/somos.zip", None, inside=("SOMOS/audios.zip",)))
    fetch(known, tmp_path)
    assert (tmp_path / "SOMOS/audios/a.wav").read_bytes() == b"RIFF"
    count = len(server["requests"])
    fetch(known, tmp_path)
    assert len(server["requests"]) == count


def test_a_corpus_is_downloaded_and_imported_when_asked_for_and_only_then(server, tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(1600) / 10), 16000, format="WAV")
    server["files"]["/corpus.zip"] = zipped({"corpus/wav/a.wav": buffer.getvalue()})
    known = Card("corpus", "a corpus", "somewhere", "free", {"test": 1}, ("mos",), marks=("wav",), folders=("corpus",))
    known = dataclasses.replace(known, archives=(Archive("corpus.zip", f"{server['address']}/corpus.zip"),))

    def run(**options: object) -> None:
        import_corpus(
            known,
            lambda root: {"test": [Clip("a", "wav/a.wav", {"mos": 3.0})]},
            tmp_path / "data",
            data_root=tmp_path / "root",
            **options,
        )

    with pytest.raises(DataError, match="no such folder"):
        run()
    assert server["requests"] == []
    run(download=True)
    assert DataDirectory.read(tmp_path / "data" / "test").targets["mos"] == {"corpus/a": 3.0}
    run(download=True)
    assert len(server["requests"]) == 1


def test_what_the_licence_does_not_allow_is_not_downloaded(tmp_path):
    with pytest.raises(DataError, match="not downloaded by this program"):
        fetch(card(), tmp_path / "data")
    assert not (tmp_path / "data").exists()


# Archives


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for member, content in members:
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(info, "/etc/passwd")
    return buffer.getvalue()


GOOD = (member("good.txt"), b"good")
MALICIOUS = {
    "zip_parent": zipped({"good.txt": b"good", "../evil.txt": b"evil"}),
    "zip_deep_parent": zipped({"good.txt": b"good", "a/b/../../../evil.txt": b"evil"}),
    "zip_absolute": zipped({"good.txt": b"good", "/tmp/evil.txt": b"evil"}),
    "zip_backslash": zipped({"good.txt": b"good", "..\\evil.txt": b"evil"}),
    "zip_drive": zipped({"good.txt": b"good", "C:/evil.txt": b"evil"}),
    "zip_link": zip_link(),
    "tar_parent": tarred(GOOD, (member("../evil.txt"), b"evil")),
    "tar_absolute": tarred(GOOD, (member("/tmp/evil.txt"), b"evil")),
    "tar_link": tarred(GOOD, (member("link", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "tar_link_then_through_it": tarred((member("way", tarfile.SYMTYPE, ".."), b""), (member("way/evil.txt"), b"evil")),
    "tar_hard_link": tarred(GOOD, (member("link", tarfile.LNKTYPE, "../secret"), b"")),
    "tar_device": tarred(GOOD, (member("null", tarfile.CHRTYPE), b"")),
    "tar_pipe": tarred(GOOD, (member("pipe", tarfile.FIFOTYPE), b"")),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_an_archive_that_would_write_elsewhere_is_refused_whole(name, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "inside"
    folder.mkdir()
    path = folder / f"{name}.archive"
    path.write_bytes(MALICIOUS[name])
    with pytest.raises(DataError, match="refused"):
        extract(path, folder)
    assert sorted(os.listdir(tmp_path)) == ["inside", "secret"]
    assert os.listdir(folder) == [path.name]


def test_files_get_plain_permissions(tmp_path):
    info = member("tool.sh")
    info.mode = 0o4777  # set-user-id and writable by everybody
    (tmp_path / "a.tar.gz").write_bytes(tarred((info, b"#!/bin/sh")))
    extract(tmp_path / "a.tar.gz", tmp_path)
    mode = (tmp_path / "tool.sh").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_IXUSR | stat.S_IWOTH)


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_leaves_nothing_behind(kind, keep, tmp_path):
    noise = hashlib.sha256(b"noise").digest() * 2000
    content = zipped({"a.bin": noise}) if kind == "zip" else tarred((member("a.bin"), noise))
    (tmp_path / f"a.{kind}").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match="download it again"):
        extract(tmp_path / f"a.{kind}", tmp_path)
    assert os.listdir(tmp_path) == [f"a.{kind}"]


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(zipped({"a.bin": b"0" * 1000}))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(DataError, match="are free in"):
        extract(tmp_path / "a.zip", tmp_path)


def test_extraction_adds_to_what_is_there(tmp_path):
    (tmp_path / "DATA" / "sets").mkdir(parents=True)
    (tmp_path / "DATA" / "sets" / "mine.txt").write_text("mine")
    (tmp_path / "a.zip").write_bytes(zipped({"DATA/sets/train.txt": b"a", "DATA/wav/": b""}))
    extract(tmp_path / "a.zip", tmp_path)
    assert sorted(path.name for path in Path(tmp_path / "DATA" / "sets").iterdir()) == ["mine.txt", "train.txt"]
    assert (tmp_path / "DATA" / "wav").is_dir()
