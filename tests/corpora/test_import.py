"""`daisy data import`: corpora from recordings as people have them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daisy.cli.main import main
from daisy.corpora.headers import Unreadable
from daisy.corpora.incoming.bring import Brought, Options, bring
from daisy.corpora.incoming.convert import EARLY, LOUD, OPPOSED, SILENT, convert
from daisy.corpora.incoming.entries import Entry
from daisy.corpora.own import check
from daisy.corpora.settings import Splits
from daisy.errors import DaisyError

FORMATS = {
    "wav": (44100, 2, {}),
    "flac": (48000, 1, {}),
    "ogg": (22050, 1, {}),
    "mp3": (44100, 2, {}),
    "aiff": (8000, 1, {}),
    "au": (11025, 1, {}),
    "caf": (96000, 1, {}),
    "w64": (16000, 1, {}),
    "opus": (48000, 1, {"format": "OGG", "subtype": "OPUS"}),
    "sph": (16000, 1, {"format": "NIST"}),
    "voc": (16000, 1, {}),
}


def put(path: Path, rate: int = 16000, channels: int = 1, seconds: float = 0.1, **options: str) -> Path:
    """A file of some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(0).uniform(-0.2, 0.2, (round(seconds * rate), channels))
    soundfile.write(str(path), wave, rate, **options)
    return path


def brought(folder: Path, **options: object) -> Brought:
    """What the import makes of a folder, which stays as it is; the corpus passes the pipeline's own check."""
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    out = folder.with_name(f"{folder.name}-corpus")
    made = bring(folder, out, Options(threads=1, **options))
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before
    if made.written:
        found = check(out, decode=True, threads=1)
        # The pipeline's table has its recordings sorted, and so may be in another order.
        assert not found.faults
        assert {item.id: item.samples for item in found.recordings} == {r.id: r.samples for r in made.recordings}
    return made


def told(made: Brought) -> list[tuple[str, str, str, str]]:
    """Id, speaker, split and text of every recording."""
    return sorted((item.id, item.speaker, item.split, item.text) for item in made.recordings)


def test_every_format_and_rate_with_texts_beside(tmp_path):
    folder = tmp_path / "mine"
    for number, (ending, (rate, channels, options)) in enumerate(FORMATS.items()):
        for who in ("Ann Smith", "Zoé"):
            path = put(folder / who / f"été {number}.{ending}", rate, channels, **options)
            encoding = "latin-1" if number % 2 else "utf-8"
            path.with_suffix(".txt").write_text(f"Turn ON\nthe n°{number}", encoding=encoding)
    (folder / "Zoé/._été 1.wav").write_bytes(b"what a Mac leaves")
    made = brought(folder)
    assert made.written and not made.faults and len(made.recordings) == 2 * len(FORMATS)
    assert told(made)[0] == ("Ann_Smith/été_0", "Ann Smith", "", "turn on the n°0")
    assert {item.speaker for item in made.recordings} == {"Ann Smith", "Zoé"}
    assert all(abs(item.samples - 1600) <= 1 for item in made.recordings)


def test_samples_that_fit_stay_as_they_are(tmp_path):
    wave = np.random.default_rng(0).integers(-32768, 32767, 1600).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", wave, 16000)
    assert convert(Entry(tmp_path / "x.wav", ""), tmp_path / "x.flac").samples == 1600
    assert np.array_equal(soundfile.read(tmp_path / "x.flac", dtype="int16")[0], wave)


def test_a_tone_stays_a_tone(tmp_path):
    time = np.arange(44100) / 44100
    soundfile.write(tmp_path / "x.wav", np.stack([np.sin(880 * np.pi * time), 0 * time], 1) * 0.5, 44100)
    made = convert(Entry(tmp_path / "x.wav", "", start=0.25, end=0.75), tmp_path / "x.flac")
    wave, rate = soundfile.read(tmp_path / "x.flac")
    assert (made.samples, rate, wave.ndim) == (8000, 16000, 1)
    peak = np.abs(np.fft.rfft(wave * np.hanning(8000)))
    assert np.argmax(peak) * 2 == 440 and abs(np.abs(wave).max() - 0.25) < 0.01


def test_kaldi(tmp_path):
    folder = tmp_path / "kaldi"
    for split in ("train", "dev", "test"):
        place = folder / f"data/{split}"
        put(folder / f"wav/{split}.wav", 8000, seconds=0.4)
        place.mkdir(parents=True)
        (place / "wav.scp").write_text(f"{split} /moved/since/wav/{split}.wav\n")
        (place / "segments").write_text(f"{split}-a {split} 0 0.2\n{split}-b {split} 0.2 0.401\n")
        (place / "text").write_text(f"{split}-a HELLO  WORLD\n{split}-b BYE\n{split}-c NOBODY\n")
        (place / "utt2spk").write_text(f"{split}-a ann\n{split}-b bob\n")
    made = brought(folder)
    assert made.layout.startswith("Kaldi") and made.written
    assert told(made)[:2] == [("dev-a", "ann", "dev", "hello world"), ("dev-b", "bob", "dev", "bye")]
    assert [item.samples for item in made.recordings] == [3200] * 6
    assert "lines of data/dev/text tell of no recording: 1 (dev-c)" in made.notes.lines()
    (folder / "data/dev/wav.scp").write_text("dev sox x.wav -t wav - |\n")
    made = brought(folder)
    assert not made.written and "is a command" in made.faults[0].problem and "Run its commands" in made.faults[0].fix


def test_lhotse(tmp_path):
    folder = tmp_path / "lhotse"
    put(folder / "a.wav", 16000, 2, seconds=0.4)
    source = {"type": "file", "channels": [0, 1], "source": "/elsewhere/a.wav"}
    recording = {"id": "a", "sources": [source], "sampling_rate": 16000, "num_samples": 6400, "duration": 0.4}
    spoken = [
        {
            "id": f"a-{n}",
            "recording_id": "a",
            "start": 0.2 * n,
            "duration": 0.2,
            "channel": n,
            "text": "x",
            "speaker": "s",
        }
        for n in (0, 1)
    ]
    (folder / "recordings_train.jsonl.gz").write_bytes(gzip.compress(json.dumps(recording).encode()))
    (folder / "supervisions_train.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, spoken)).encode()))
    made = brought(folder, splits=Splits(1, 0.1, 0.1))
    assert made.layout == "lhotse's manifests" and [item.samples for item in made.recordings] == [3200, 3200]
    assert [item.speaker for item in made.recordings] == ["s", "s"]
    cut = {"id": "c", "type": "MonoCut", "start": 0.1, "duration": 0.3, "channel": 1, "recording": recording}
    for path in folder.glob("*.gz"):
        path.unlink()
    (folder / "cuts.jsonl").write_text(json.dumps({**cut, "supervisions": spoken[:1]}))
    assert [(item.id, item.samples) for item in brought(folder).recordings] == [("c", 4800)]


def table(path: Path, rows: list[list[object]], delimiter: str = ",") -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def test_hugging_face(tmp_path):
    folder = tmp_path / "hf"
    for split in ("train", "validation", "test"):
        put(folder / split / "x.mp3", 44100)
        table(folder / split / "metadata.csv", [["file_name", "transcription"], ["x.mp3", "Hello, you"]])
    made = brought(folder, letters_only=True)
    assert [row[2:] for row in told(made)] == [("test", "hello you"), ("train", "hello you"), ("dev", "hello you")]
    lines = [{"file_name": "x.mp3", "text": "é", "speaker_id": 7, "split": "train"}]
    (folder / "train/metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "train/metadata.csv").unlink()
    made = bring(
        folder, tmp_path / "other", Options(tables=(folder / "train/metadata.jsonl",), splits=Splits(1, 0.5, 0))
    )
    assert told(made) == [("train/x", "7", "train", "é")]


def test_common_voice(tmp_path):
    """Tabs without quotation, tables by split, and a table of all beside them."""
    folder = tmp_path / "cv"
    for number in range(3):
        put(folder / f"clips/cv_{number}.mp3", 48000)
    for name, numbers in (("train", [0]), ("dev", [1]), ("test", [2]), ("validated", [0, 1, 2])):
        rows = [f'c{n}\tcv_{n}.mp3\t« Dit "oui\t2' for n in numbers]
        (folder / f"{name}.tsv").write_text("\n".join(["client_id\tpath\tsentence\tup_votes", *rows]))
    made = brought(folder)
    assert [row[1:3] for row in told(made)] == [("c0", "train"), ("c1", "dev"), ("c2", "test")]
    assert "validated.tsv" in "\n".join(made.notes.lines())


def test_lj_speech_and_librispeech(tmp_path):
    folder = tmp_path / "lj"
    for number in range(2):
        put(folder / f"wavs/LJ-{number}.wav", 22050)
    text = "".join(f"LJ-{n}|Printing, in 14{n}|Printing, in fourteen {n}\n" for n in range(2))
    (folder / "metadata.csv").write_text(text)
    assert [row[3] for row in told(brought(folder))] == ["printing, in fourteen 0", "printing, in fourteen 1"]
    folder = tmp_path / "ls"
    for split, who in (("train-clean-100", 19), ("dev-clean", 84), ("test-clean", 61)):
        put(folder / f"{split}/{who}/7/{who}-7-0.flac")
        (folder / f"{split}/{who}/7/{who}-7.trans.txt").write_text(f"{who}-7-0 GO DO YOU HEAR\n")
    assert told(brought(folder))[0] == ("dev-clean/84/7/84-7-0", "84", "dev", "go do you hear")


def test_other_manifests(tmp_path):
    """fairseq's, JSON in one piece, and tables that cut recordings."""
    folder = tmp_path / "fairseq"
    put(folder / "a.wav")
    for split in ("train", "valid", "test"):
        (folder / f"{split}.tsv").write_text("/moved/since\na.wav\t1600\n")
    (folder / "train.wrd").write_text("HELLO\n")
    assert told(brought(folder))[0][3] in ("", "hello")
    folder = tmp_path / "json"
    put(folder / "a.wav", seconds=0.4)
    (folder / "data.json").write_text(json.dumps([{"audio_filepath": "/x/a.wav", "text": "A", "duration": 0.4}]))
    assert told(brought(folder)) == [("a", "unknown", "", "a")]
    (folder / "data.json").write_text(json.dumps({"u1": {"wav": "{data}/a.wav", "words": "A"}}))
    assert [row[0] for row in told(brought(folder))] == ["u1"]
    (folder / "data.json").unlink()
    rows = [["file", "text", "offset", "duration"], ["a.wav", "one", 0, 0.1], ["a.wav", "two", 0.1, 0.3]]
    table(folder / "list.csv", rows)
    made = brought(folder)
    assert [(item.id, item.samples) for item in made.recordings] == [("a-0000000", 1600), ("a-0000100", 4800)]
    table(folder / "list.csv", [*rows, ["a.wav", "three", 0.2, 9]])
    assert "it is cut from 0.2 to 9.2 s, but lasts 0.4 s" in brought(folder).faults[0].problem


def test_texts_that_are_not_only_texts(tmp_path):
    folder = tmp_path / "timit"
    put(folder / "a.WAV", format="NIST")
    (folder / "a.TXT").write_text("0 1600 She had.\n")
    made = brought(folder)
    assert told(made)[0][3] == "she had." and "as TIMIT's do" in "\n".join(made.notes.lines())
    (folder / "a.TXT").unlink()
    (folder / "train.txt").write_text("a.WAV|3|hello\n")
    assert "'a.WAV|3|hello' has several columns, and the file no header" in brought(folder).faults[0].problem
    (folder / "train.txt").write_bytes("a привет\n".encode("cp1251"))
    assert "is not UTF-8" in brought(folder).faults[0].problem


def test_what_is_not_used_is_told(tmp_path):
    folder = tmp_path / "mine"
    put(folder / "a.wav")
    for name, content in (("notes.txt", "my notes"), ("stats.csv", "a,b\n1,2\n"), ("list.xlsx", "PK"), ("e.csv", "")):
        (folder / name).write_text(content)
    lines = "\n".join(brought(folder).notes.lines())
    assert all(name in lines for name in ("notes.txt", "stats.csv", "list.xlsx", "e.csv"))


def test_speakers_and_splits(tmp_path):
    folder = tmp_path / "mine"
    for name in ("ann", "bob"):
        for number in range(1, 5):
            put(folder / f"wav/{name}_{number}.wav")
    assert {item.speaker for item in brought(folder).recordings} == {"unknown"}
    made = brought(folder, speaker="name:^([a-z]+)_", splits=Splits(1, 0.25, 0.25))
    assert [row[1] for row in told(made)] == ["ann"] * 4 + ["bob"] * 4
    assert sorted(row[2] for row in told(made)) == ["dev"] * 2 + ["test"] * 2 + ["train"] * 4
    made = brought(folder, splits=Splits(1, 0.05, 0.5))
    assert not made.written and "no recording is drawn for dev" in made.faults[0].problem
    table(folder / "list.csv", [["path", "set"], *([f"ann_{n}", "training"] for n in (1, 2)), ["bob_1", "test"]])
    made = brought(folder)
    assert not made.written and "there are the splits test, train, but not dev" in made.faults[0].problem
    made = brought(folder, splits=Splits(1, 0.5, 0.5))
    assert sorted(row[2] for row in told(made)) == ["dev", "test", "train"]
    assert "audio files are in no table" in "\n".join(made.notes.lines())
    for wrong in ("who", "name:("):
        with pytest.raises(DaisyError, match="--speaker"):
            brought(folder, speaker=wrong)


def broken(folder: Path) -> None:
    """A folder with two good recordings, one of them odd, and all that can be wrong with others."""
    put(folder / "good.wav")
    put(folder / "short.wav", seconds=0.01)
    path = put(folder / "cut.wav")
    path.write_bytes(path.read_bytes()[:1500])
    path = put(folder / "half.flac")
    path.write_bytes(path.read_bytes()[:1500])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "pointer.flac").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (folder / "text.mp3").write_text("no audio")
    (folder / "phone.m4a").write_bytes(b"ftyp")
    soundfile.write(folder / "nan.wav", np.array([0.1, np.nan] * 800), 16000, subtype="FLOAT")
    wave = np.sin(np.arange(1600))
    soundfile.write(folder / "opposed.wav", np.stack([wave, -wave], 1) * 0.3, 16000)


def test_every_fault_at_once_and_what_is_done_is_kept(tmp_path, capsys):
    folder, out = tmp_path / "mine", tmp_path / "corpus"
    broken(folder)
    command = ["data", "import", str(folder), "--out", str(out)]
    assert main(command) == 1
    said = capsys.readouterr()
    bad = ("short.wav", "cut.wav", "half.flac", "empty.wav", "pointer.flac", "text.mp3", "phone.m4a", "nan.wav")
    assert all(f"- {name}: " in said.err for name in bad) and "good.wav: " not in said.err
    assert "8 faults, and 2 recordings are fine" in said.err and "Traceback" not in said.err
    assert not (out / "recordings.csv").exists()
    kept = (out / "audio/good.flac").stat().st_mtime_ns
    for name in bad:
        (folder / name).unlink()
    put(folder / "more.wav")
    assert main(command) == 0
    assert (out / "audio/good.flac").stat().st_mtime_ns == kept, "it was not made again"
    assert "recordings have channels that cancel each other out: 1 (opposed)" in capsys.readouterr().out
    (folder / "more.wav").unlink()
    assert main([*command, "--json"]) == 0 and not (out / "audio/more.flac").exists()
    assert [item["id"] for item in json.loads(capsys.readouterr().out)["recordings"]] == ["good", "opposed"]


def test_faulty_ones_are_left_out_if_asked(tmp_path, capsys):
    broken(tmp_path / "mine")
    assert main(["data", "import", str(tmp_path / "mine"), "--out", str(tmp_path / "out"), "--skip-bad"]) == 0
    assert "8 faulty ones are left out" in capsys.readouterr().out
    assert "nan.wav: it holds NaN" in (tmp_path / "out/dropped.csv").read_text()


def test_files_of_one_name(tmp_path):
    folder = tmp_path / "mine"
    for name in ("x.wav", "x.flac", "a b.wav", "a_b.wav", "Y.wav", "y.wav"):
        put(folder / name)
    made = brought(folder)
    assert [fault.name for fault in made.faults] == ["x.wav"] and "both called x" in made.faults[0].problem
    assert sorted(item.id for item in made.recordings) == ["Y", "a_b", "a_b-2", "x", "y-2"]


def test_what_is_odd_in_a_recording_is_told(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros((1600, 2)), 8000)
    assert convert(Entry(tmp_path / "x.wav", ""), tmp_path / "x.flac").notes == (SILENT,)
    soundfile.write(tmp_path / "x.wav", np.full(1600, 1.7), 8000, subtype="FLOAT")
    assert convert(Entry(tmp_path / "x.wav", ""), tmp_path / "x.flac").notes == (LOUD,)
    for entry in (Entry(tmp_path / "x.wav", "", channel=1), Entry(tmp_path / "x.wav", "", start=0, end=9)):
        with pytest.raises(Unreadable):
            convert(entry, tmp_path / "x.flac")
    assert OPPOSED != LOUD


def test_a_compressed_recording_that_ends_early_is_told(tmp_path):
    path = put(tmp_path / "mine/a.mp3", seconds=1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert any(line.startswith(EARLY) for line in brought(tmp_path / "mine").notes.lines())


def test_folders_that_cannot_be(tmp_path):
    put(tmp_path / "mine/x.wav")
    (tmp_path / "empty").mkdir()
    for folder, out, part in (
        ("mine", "mine", "the folder of the recordings itself"),
        ("mine", ".", "something else is in it"),
        ("nowhere", "out", "there is no such folder"),
        ("empty", "out", "it holds no recording"),
    ):
        with pytest.raises(DaisyError, match=part):
            bring(tmp_path / folder, tmp_path / out, Options())
    assert bring(tmp_path / "mine", tmp_path / "mine/corpus", Options()).written
    assert len(bring(tmp_path / "mine", tmp_path / "mine/corpus", Options()).recordings) == 1


def lines(*values: object) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


FILE = {"id": "a", "sources": [{"type": "file", "source": "a.wav"}]}
CUT = {"id": "a", "type": "MonoCut", "start": 0, "duration": 0.1, "recording": FILE, "supervisions": [{"text": 7}]}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("cuts.jsonl", lines({**CUT, "start": "x"}), "cuts.jsonl: line 1 is not as lhotse writes it"),
        ("cuts.jsonl", lines({key: CUT[key] for key in CUT if key != "duration"}), "line 1 lacks 'duration'"),
        ("cuts.jsonl", lines({**CUT, "recording": "a"}), "cuts.jsonl: line 1 is not"),
        ("cuts.jsonl", lines({**CUT, "supervisions": ["x"]}), "cuts.jsonl: line 1 is not"),
        ("recordings.jsonl", lines({**FILE, "sources": ["a.wav"]}), "recordings.jsonl: line 1 is not"),
        ("t.csv", "file,start,end\na.wav,nan,1\n", "row 2 has a start or an end that is no number of seconds"),
        ("t.csv", "file,start,end\na.wav,0,inf\n", "row 2 has a start or an end that is no number of seconds"),
        ("t.csv", f"file,id\na.wav,{'é' * 150}\n", "a.wav: its name is too long for a file"),
    ],
)
def test_values_of_another_kind_are_faults(tmp_path, name, content, told):
    put(tmp_path / "mine/a.wav")
    (tmp_path / "mine" / name).write_text(content)
    made = brought(tmp_path / "mine")
    assert not made.written and len(made.faults) == 1 and told in made.faults[0].problem


def test_tables_and_texts_that_hold_little(tmp_path, capsys):
    put(tmp_path / "a.wav")
    (tmp_path / "x.json").write_text("5")
    assert brought(tmp_path, speaker="name:(x)?a").recordings[0].speaker == "unknown"
    (tmp_path / "t.csv").write_text("file,text\n")
    (tmp_path / "s.csv").symlink_to("nowhere")
    made = bring(tmp_path, tmp_path.with_name("other"), Options(threads=1))
    assert [fault.name for fault in made.faults] == ["s.csv", "t.csv"] and not made.written
    assert made.faults[1].problem == "t.csv holds a header and no recording"
    (tmp_path / "t.csv").unlink()
    (tmp_path / "s.csv").unlink()
    (tmp_path / "cuts.jsonl").write_text(lines(CUT))
    assert told(brought(tmp_path)) == [("a", "unknown", "", "7")]
    assert main(["data", "import", str(tmp_path), "--out", str(tmp_path / "x"), "--dev", "nan"]) == 1
    assert "--dev nan" in capsys.readouterr().err


def test_a_corpus_is_not_replaced_by_another(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / name / f"{name}.wav")
    bring(tmp_path / "one", tmp_path / "out", Options(threads=1))
    with pytest.raises(DaisyError, match="made of other recordings .*one.wav"):
        bring(tmp_path / "two", tmp_path / "out", Options(threads=1))
    with pytest.raises(DaisyError, match="the recordings lie in it"):
        bring(tmp_path / "out/audio", tmp_path / "out", Options(threads=1))
    assert check(tmp_path / "out", decode=True).recordings[0].id == "one"


@pytest.mark.parametrize("given", [False, True])
def test_a_column_of_files_with_a_name_of_another_language(tmp_path, given):
    """Its texts would be lost without a word."""
    folder = tmp_path / "recordings"
    for name in ("eins é", "zwei"):
        put(folder / f"{name}.wav")
    table = folder / "texte.csv"
    table.write_text("Datei;Text\neins é.wav;ja\nzwei.wav;nein\n")
    words = r"column 'datei' names recordings.*Call it file, file_name, filename, path or id"
    if given:
        with pytest.raises(DaisyError, match=words):
            bring(folder, tmp_path / "corpus", Options(threads=1, tables=(table,)))
    else:
        made = brought(folder)
        assert not made.written
        (fault,) = made.faults
        assert "column 'datei' names recordings" in fault.problem and fault.fix.startswith("Call it file")


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.csv", "file;Sprecher;Alter\na.wav;anna;30\n"), ("t.jsonl", '{"file": "a.wav", "Sprecher": "x", "Alter": 3}')],
)
def test_columns_of_other_names_are_told(tmp_path, name, content):
    put(tmp_path / "mine/a.wav")
    (tmp_path / "mine" / name).write_text(content)
    told = "\n".join(brought(tmp_path / "mine").notes.lines())
    assert f"{name}: columns not used: 'sprecher', 'alter' (those that are used: file, id, text, speaker," in told


def test_a_table_that_is_given_and_names_nothing(tmp_path):
    put(tmp_path / "recordings/a.wav")
    (tmp_path / "people.csv").write_text("speaker,age\nann,30\n")
    with pytest.raises(DaisyError, match=r"people\.csv.*no column for files or ids"):
        bring(tmp_path / "recordings", tmp_path / "corpus", Options(threads=1, tables=(tmp_path / "people.csv",)))


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "er sagte „März“"), ("cp850", "März"), ("cp850", "hör")])
def test_german_texts_that_are_not_utf8(tmp_path, encoding, text):
    """Windows's are read, their quotation marks too; those of DOS would be other letters."""
    folder = tmp_path / "recordings"
    put(folder / "a.wav")
    (folder / "texts.csv").write_text(f"file;text\na.wav;{text}\n", encoding=encoding)
    made = brought(folder)
    if encoding == "cp1252":
        assert [recording.text for recording in made.recordings] == [text.lower()]
    else:
        assert "not UTF-8" in made.faults[0].problem
