"""Lists of recordings as people write them: read, or refused in one clear line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from project import GOLDEN, ROOT

from daisy.errors import DaisyError
from daisy.library import lists

CASES = ROOT / "tests/cases/lists"
FIRST, SECOND = GOLDEN / "agent-pass.wav", GOLDEN / "conf-full.wav"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder: one recording, of which a list must not speak, and the cases with their names made true."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIRST, tmp_path / "not-asked-for.wav")
    for case in CASES.iterdir():
        content = case.read_bytes().replace(b"GOLDEN", os.fsencode(GOLDEN)).replace(b"CASES", os.fsencode(tmp_path))
        (tmp_path / case.name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("list_blank", [FIRST]),
        ("list_bom", [FIRST]),
        ("list_comment", [FIRST]),
        ("list_crlf", [FIRST, SECOND]),
        ("list_tsv", [FIRST]),
        ("list_dash", [Path("-dash.wav")]),
        ("list_space", [Path("with space é.wav")]),
    ],
)
def test_a_list_is_read(folder, case, expected):
    for path in expected:
        if not path.is_absolute():
            shutil.copy(FIRST, folder / path)
    assert lists.recordings([f"@{case}.txt"]) == expected


def test_latin_bytes_name_the_file_that_is_there(folder):
    shutil.copy(FIRST, folder / "résumé.wav")
    assert lists.recordings(["@list_latin.txt"]) == [folder / "résumé.wav"]
    (folder / "résumé.wav").unlink()
    with pytest.raises(DaisyError, match=r"list_latin.txt: line 1: there is no .*résumé.wav"):
        lists.recordings(["@list_latin.txt"])
    # Where the file's own name is in Latin-1, no table could hold it.
    shutil.copy(FIRST, os.fsencode(folder) + "/résumé.wav".encode("latin-1"))
    with pytest.raises(DaisyError, match="its name is no text in UTF-8. Rename the file") as caught:
        lists.recordings(["@list_latin.txt"])
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{FIRST}\r{SECOND}\n".replace("\r", "\n\n \n\t\n"), [FIRST, SECOND]),
        (f"{GOLDEN}\nagent-pass.wav\t16000\nconf-full.wav\t9\n", [FIRST, SECOND]),
        (f"  {FIRST}  \n'{SECOND}'", [FIRST, SECOND]),
        (f"{FIRST}\n".encode("utf-16"), [FIRST]),
        ("#1.wav\n# not a file\n", [Path("#1.wav")]),
    ],
    ids=["empty lines", "fairseq's manifest", "spaces and quotes", "UTF-16", "a name like a comment"],
)
def test_other_lists(folder, content, expected):
    shutil.copy(FIRST, folder / "#1.wav")
    Path("list.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert lists.recordings(["@list.txt"]) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n\n", "list.txt: the list names no recording"),
        (b"a.wav\n", "list.txt: line 1: there is no a.wav"),
        (b"id,path\nx,a.wav\n", "line 1: there is no id,path"),
        (b"RIFF\0\0\0\0", "this is no list"),
    ],
)
def test_a_list_that_cannot_be_read(folder, content, message):
    Path("list.txt").write_bytes(content)
    with pytest.raises(DaisyError, match=message):
        lists.recordings(["@list.txt"])


def test_names_on_the_command_line(folder):
    with pytest.raises(DaisyError, match="the name of a recording is empty"):
        lists.recordings([""])
    with pytest.raises(DaisyError, match="no-list.txt: the list cannot be read"):
        lists.recordings(["@no-list.txt"])
    with pytest.raises(DaisyError, match="named twice"):
        lists.recordings([str(FIRST), "@list_bom.txt"])
    (folder / "._not-asked-for.wav").write_bytes(b"\0\5\26\7")
    (folder / "folder.wav").mkdir()
    assert lists.recordings([str(folder)]) == [folder / "not-asked-for.wav"]


def test_links_to_folders_are_followed(tmp_path):
    for place in ("elsewhere", "here/inside"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / f"{Path(place).name}.wav").touch()
    (tmp_path / "here/link").symlink_to("../elsewhere")
    (tmp_path / "here/inside/round").symlink_to("..")
    found = lists.recordings([str(tmp_path / "here")])
    assert [path.relative_to(tmp_path / "here").as_posix() for path in found] == [
        "inside/inside.wav",
        "link/elsewhere.wav",
    ]
