"""Corpora of the user's own: tables as people write them, audio as it is, and all faults at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from project import ROOT
from runners import arguments

from daisy.cli.main import main
from daisy.common.files import read_csv
from daisy.corpora import manifests, prepared
from daisy.corpora.headers import Unreadable, count_samples
from daisy.corpora.own import Own, check
from daisy.corpora.table import read_rows, read_table
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError

CASES = ROOT / "tests/cases/corpora"
IDS = [f"{who}_{number}" for who in ("ann", "bob", "cé") for number in range(8)]

READ = {
    "ok": "",
    "crlf": "",
    "blankend": "",
    "nosource": "",
    "bom": "",
    "float": "",
    "semi": "separated by ';'",
    "utf16": "read as UTF-16",
    "latin1": "not UTF-8, so read as Windows-1252: row 18 has 'cé_0,8000",
    "newline": "double spaces or split accents, and are read without: 24 (ann_0,",
    "valid": "splits are written 'valid' and read as dev: 6 (ann_0",
    "trail": "splits are written 'train ' and read as train: 24",
    "extracol": "rows have more cells than the header, which are not used: 24",
    "flacid": "ids end as their files do, and are taken without that: 24",
}
"""What can be read without a doubt, and what is told about it."""

REFUSED = {
    "dup": "row 26, column id: 'ann_0' is the id of row 2 too",
    "shortrow": "row 26, column speaker: '8000' is the last of 2 cells, but the header has 6",
    "tab_id": r"row 2, column id: 'ann_0\tx' holds a tab, a new line or the like (and 23 more: row 3, row 4, row 5 and",
}
"""What is one line with row, column and value."""


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 8000)
    for name in IDS:
        soundfile.write(folder / f"{name}.flac", noise, 16000)
    return folder


@pytest.fixture
def corpus(tmp_path, audio) -> Path:
    """A corpus of 24 recordings of three speakers."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    shutil.copytree(audio, folder / "audio")
    shutil.copy(CASES / "ok.csv", folder / "recordings.csv")
    return folder


def placed(tmp_path: Path, audio: Path, content: bytes) -> Own:
    """What a check says of a table beside the recordings."""
    (tmp_path / "audio").symlink_to(audio)
    (tmp_path / "recordings.csv").write_bytes(content)
    return check(tmp_path, decode=False)


def test_every_case_has_an_outcome():
    assert sorted(path.stem for path in CASES.iterdir()) == sorted({**READ, **REFUSED})


@pytest.mark.parametrize(("name", "told"), READ.items(), ids=READ)
def test_what_is_not_in_doubt_is_read(tmp_path, audio, name, told):
    found = placed(tmp_path, audio, (CASES / f"{name}.csv").read_bytes())
    assert not found.faults and sorted(item.id for item in found.recordings) == IDS
    assert {(item.samples, item.text in ("turn on the light", "turn on")) for item in found.recordings} == {
        (8000, True)
    }
    assert {item.speaker for item in found.recordings} == {"ann", "bob", "cé"}
    lines = found.notes.lines()
    assert (told in lines[0] and len(lines) == 1) if told else not lines


@pytest.mark.parametrize(("name", "told"), REFUSED.items(), ids=REFUSED)
def test_what_is_in_doubt_is_one_line(tmp_path, audio, capsys, name, told):
    found = placed(tmp_path, audio, (CASES / f"{name}.csv").read_bytes())
    with pytest.raises(DaisyError) as caught:
        found.answer()
    line = str(caught.value)
    assert told in line and str(tmp_path / "recordings.csv") in line and "\n" not in line
    assert "delete" not in line.lower()
    with pytest.raises(DaisyError, match="row"):
        read_table(CASES / f"{name}.csv")


ROWS = "\n".join(f"{name},8000,{name[:3]},hi,," for name in IDS)
HEADER = "id,samples,speaker,text,split,source\n"


def table(*rows: str) -> bytes:
    """A table whose last rows are these."""
    return (HEADER + ROWS + "\n" + "\n".join(rows) + "\n").encode()


MORE = {
    "tabs": ((HEADER + ROWS).replace(",", "\t").encode(), "separated by tabs"),
    "pipes": ((HEADER + ROWS).replace(",", "|").encode(), "separated by '|'"),
    "Excel's first line": (b"sep=;\r\n" + (HEADER + ROWS).replace(",", ";").encode(), "separated by ';'"),
    "old Mac": ((HEADER + ROWS).replace("\n", "\r").encode(), ""),
    "UTF-16 without a mark": ((HEADER + ROWS).encode("utf-16-le"), "read as UTF-16"),
    "UTF-16 the other way round": (b"\xfe\xff" + (HEADER + ROWS).encode("utf-16-be"), "read as UTF-16"),
    "capital header": ((HEADER.upper().replace("ID", " ID ") + ROWS).encode(), ""),
    "other names": ((HEADER.replace("text", "sentence").replace("speaker", "client_id") + ROWS).encode(), ""),
    "exponents": ((HEADER + ROWS.replace("8000", "8.0E+03")).encode(), ""),
    "German decimals": ((HEADER + ROWS).replace(",", ";").replace("8000", "8000,0").encode(), "by"),
    "no samples": (("id,speaker,text\n" + "\n".join(f"{name},{name[:3]},hi" for name in IDS)).encode(), ""),
    "no header but id": (("id\n" + "\n".join(IDS)).encode(), "no speaker in the table"),
    "empty cells behind": (table(",,,,,", ",,,,,,,,"), ""),
    "audio/ in ids": ((HEADER + ROWS.replace("ann", "audio/ann")).encode(), ""),
    "upper case": (
        (HEADER + ROWS.replace("hi", "HI")).encode(),
        "are taken in lower case: 24 (ann_0",
    ),
    "a column more": ((HEADER[:-1] + ",mood\n" + ROWS.replace("hi,,", "hi,,,gay")).encode(), "'mood' are not used"),
    "rows that end early": (
        (HEADER + ROWS.replace("hi,,", "hi")).encode(),
        "before the column split, which is taken",
    ),
    "split accents": ((HEADER + ROWS).replace("é", "e\u0301").encode(), ""),
}


@pytest.mark.parametrize(("content", "told"), MORE.values(), ids=MORE)
def test_other_programs_tables_are_read(tmp_path, audio, content, told):
    found = placed(tmp_path, audio, content)
    assert not found.faults and len(found.recordings) == 24, found.faults
    assert {item.samples for item in found.recordings} == {8000}
    assert any(told in line for line in found.notes.lines()) if told else not found.notes.kinds


DOUBTS = {
    "a split": (table("x,8000,x,hi,eval,"), "row 26, column split: 'eval' is none. Use train, dev or test"),
    "thousands": (table('x,"8,000",x,hi,,'), "row 26, column samples: '8,000' is no number of samples"),
    "more than there are numbers": (table("x,1e999,x,hi,,"), "row 26, column samples: '1e999'"),
    "half a sample": (table("x,8000.5,x,hi,,"), "row 26, column samples: '8000.5'"),
    "less than none": (table("x,-5,x,hi,,"), "row 26, column samples: '-5'"),
    "no id": (table(",8000,x,hi,,"), "row 26, column id: '' is no id"),
    "outside": (table("../x,8000,x,hi,,"), "row 26, column id: '../x' is outside"),
    "an open quotation mark": (table('x,8000,x,"hi,,'), "row 26 has a quotation mark too many or too few"),
    "a comma in a text": (b"id,samples,text\nann_0,8000,turn on, please\n", "row 2, column text: 'turn on'"),
    "Cyrillic": ("id,text\nann_0,привет\n".encode("cp1251"), "row 2 is not UTF-8"),
    "a workbook": (b"PK\x03\x04 and so on", "it is an Excel or OpenDocument workbook. Save it as CSV UTF-8"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git-LFS pointer"),
    "no header": (ROWS.encode(), "the header lacks the column 'id'"),
    "two texts": (b"id,sentence,transcript\nann_0,a,b\n", "the columns 'sentence', 'transcript' could all be text"),
    "nothing": (b"", "it is empty"),
    "a header": (HEADER.encode(), "recordings.csv holds a header and no recording"),
}


@pytest.mark.parametrize(("content", "told"), DOUBTS.values(), ids=DOUBTS)
def test_other_doubts_are_one_line(tmp_path, audio, content, told):
    with pytest.raises(DaisyError) as caught:
        placed(tmp_path, audio, content).answer()
    line = str(caught.value)
    assert told in line and "recordings.csv" in line and "\n" not in line, line


def test_audio_is_as_it_is(corpus):
    """Every fault of every file at once, each with what to do."""
    audio = corpus / "audio"
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, (8000, 2)).astype(np.float32)
    soundfile.write(audio / "ann_0.flac", noise, 44100)
    soundfile.write(audio / "ann_1.flac", noise, 44100)
    (audio / "ann_2.flac").unlink()
    (audio / "ann_3.flac").unlink()
    soundfile.write(audio / "ann_4.flac", noise[:7000, 0], 16000)
    (audio / "ann_5.flac").write_bytes(b"")
    (audio / "ann_6.flac").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (audio / "ann_7.flac").write_bytes(b"no audio at all")
    soundfile.write(audio / "bob_0.flac", noise[:399, 0], 16000)
    broken = (audio / "bob_1.flac").read_bytes()
    (audio / "bob_1.flac").write_bytes(broken[: len(broken) // 2])
    noise[9] = np.nan
    (audio / "bob_2.flac").unlink()
    soundfile.write(audio / "bob_2.wav", noise[:, 0], 16000, subtype="FLOAT")
    whole = check(corpus, decode=True)
    told = {fault.name: fault.problem for fault in whole.faults}
    assert sorted(told) == IDS[:11] and len(whole.recordings) == 13
    for name, part in {
        "ann_0": "44100 Hz and 2 channels",
        "ann_2": "audio/ann_2.flac of ann_2 is not there",
        "ann_4": "7000 samples, but the table says 8000",
        "ann_5": "an empty file",
        "ann_6": "Git-LFS pointer",
        "ann_7": "cannot be read",
        "bob_0": "399 samples, and HuBERT needs 400",
        "bob_1": "audio/bob_1.flac",
        "bob_2": "NaN",
    }.items():
        assert part in told[name]
    assert {fault.name for fault in check(corpus, decode=False).faults} == set(IDS[:10])
    with pytest.raises(DaisyError) as caught:
        whole.answer()
    assert "faults of 8 other kinds: `daisy data check` lists them" in str(caught.value)


def test_a_pipe_s_recording_is_read_to_its_end(corpus):
    """Its header knows no sizes."""
    path = corpus / "audio/ann_0.wav"
    (corpus / "audio/ann_0.flac").unlink()
    soundfile.write(path, np.full(8000, 0.1), 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    path.write_bytes(content)
    assert not check(corpus, decode=True).faults and not check(corpus, decode=False).faults
    path.write_bytes(content[:40] + (16000).to_bytes(4, "little") + content[44:900])
    assert [fault.name for fault in check(corpus, decode=True).faults] == ["ann_0"]


def test_a_compressed_recording_that_is_cut_short(corpus):
    """Its header looks whole, and its end tells without the rest."""
    path = corpus / "audio/ann_0.mp3"
    (corpus / "audio/ann_0.flac").unlink()
    soundfile.write(path, np.random.default_rng(1).uniform(-0.1, 0.1, 8000), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    for decode in (False, True):
        (fault,) = check(corpus, decode=decode).faults
        assert "ann_0.mp3: the recording is cut short or damaged: the last of its 8000" in fault.problem
    with pytest.raises(Unreadable, match=r"cut short: \d+ samples, but its header promises 8000"):
        count_samples(path)


def test_what_people_see(corpus, capsys):
    assert main(["data", "check", str(corpus)]) == 0
    assert "whole, 24 recordings, 3 speakers" in capsys.readouterr().out
    for name in IDS[:3]:
        (corpus / f"audio/{name}.flac").unlink()
    assert main(["data", "check", str(corpus), str(corpus / "nowhere")]) == 1
    said = capsys.readouterr().out
    assert "3 faults" in said and "ann_2.flac" in said and "nowhere holds no recordings.csv" in said


def test_few_stand_for_all_before_a_run(corpus):
    assert not check(corpus, decode=False, few=True).faults
    for path in (corpus / "audio").iterdir():
        soundfile.write(path, np.zeros(9000), 44100)
    assert len(check(corpus, decode=False, few=True).faults) == 20


def test_a_checked_corpus_is_a_corpus(corpus, tmp_path, capsys):
    """The stage changes nothing of the user's, and manifests lead to the audio where it lies."""
    shutil.copy(CASES / "flacid.csv", corpus / "recordings.csv")
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    out = tmp_path / "own-0123456789ab"
    command = ["--corpus", str(corpus / "recordings.csv"), "--table", str(out / "recordings.csv"), "--threads", "2"]
    for _ in range(2):
        prepared.main([*arguments({}), *command])
    assert "ids end as their files do, and are taken without that: 24" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before
    assert [item.id for item in read_table(out / "recordings.csv")] == IDS
    settings = {"task": "speech", "splits": {"seed": 1, "dev": 0.25, "test": 0.25}}
    outputs = {"out": tmp_path / "made", "summary": tmp_path / "made/summary.csv"}
    manifests.main(arguments(settings, corpus=out / "recordings.csv", **outputs))
    manifest = read_manifest(tmp_path / "made/train.tsv")
    assert len(manifest) == 12 and len(manifest.wave(0)) == 8000
    assert read_csv(tmp_path / "made/left_out.csv") == []


def test_mixtures_have_their_references(corpus):
    rows = "id,samples,speaker,text,split,source,references\nann_0,8000,a,,,,bob_0.flac\nann_1,8000,a,,,,gone.flac\n"
    soundfile.write(corpus / "audio/bob_1.flac", np.zeros(7000), 16000)
    (corpus / "recordings.csv").write_text(rows + "ann_2,8000,a,,,,bob_0.flac;bob_1.flac\n")
    told = {fault.name: fault.problem for fault in check(corpus, decode=False).faults}
    assert set(told) == {"ann_1", "ann_2"}
    assert "audio/gone.flac" in told["ann_1"] and "its reference bob_1.flac has 7000" in told["ann_2"]
    item = check(corpus, decode=False).recordings[0]
    assert prepared.placed(item).references == "own/bob_0.flac" and prepared.placed(item).file == "own/ann_0.flac"


def test_the_json_of_a_check(corpus, capsys):
    (corpus / "audio/ann_0.flac").unlink()
    assert main(["data", "check", str(corpus), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["own"]
    assert found[0]["faults"][0]["fix"] == "Restore the files, or remove their rows"


def test_a_table_that_names_its_files(tmp_path):
    path = tmp_path / "recordings.csv"
    path.write_text("id,samples,file\na,400,sub folder/ä b.wav\n")
    assert read_rows(path).recordings[0].path == "sub folder/ä b.wav"


def test_one_name_with_two_endings_is_two_recordings(tmp_path):
    for name in ("a.wav", "a.flac"):
        (tmp_path / "audio").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "audio" / name, np.zeros(800), 16_000)
    (tmp_path / "recordings.csv").write_text("id\na.wav\na.flac\n")
    found = check(tmp_path, decode=False)
    assert [fault.name for fault in found.faults] == ["a.flac"] and "one recording's name" in found.faults[0].problem
    assert len(found.recordings) == 1 and not any("separated" in line for line in found.notes.lines())


def test_a_file_is_one_recording_s(tmp_path):
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio/a.wav", np.zeros(800), 16_000)
    (tmp_path / "recordings.csv").write_text("id,file,split\na,a.wav,train\nb,a.wav,test\n")
    found = check(tmp_path, decode=False)
    assert [item.id for item in found.recordings] == ["a"]
    assert [fault.problem for fault in found.faults] == ["audio/a.wav is the recording of a and of b"]
