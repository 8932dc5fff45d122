"""Texts, phones and recordings of the synthetic speech; the synthesisers themselves are stood in for."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from daisy.corpora.grammar import sentences
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.pretraining import phones, speech, texts
from daisy.pretraining.settings import SpeechSettings
from daisy.targets.km import read_labels

SETTINGS = SpeechSettings(0.01, {"flite/slt": 2, "espeak/en-us": 1, "pico/us": 1}, shard=4, dev_every=3)
NOVELS = [f"text number {word}" for word in ("one", "two", "three", "four")]


class Readers:
    """Stands for `speech.Readers`: two tones, told as two phones; Pico tells none."""

    def __init__(self) -> None:
        self.count = 0

    def speak(self, readings):
        for item in readings:
            self.count += 1
            times = np.arange(round(16_000 * (1 + item.number % 3))) / 16_000
            wave = np.sin(2 * np.pi * 200 * item.shift * times).astype(np.float32)
            yield wave, None if item.engine == "pico" else [("aa", 0.5), ("s", len(times) / 16_000)]


def test_frames_take_the_phone_under_their_middle():
    samples = 16_000
    classes = phones.frame_classes([("pau", 0.2), ("aa", 0.4), ("s", 0.7)], samples)
    shape = HubertConfig()
    assert len(classes) == shape.frames(samples)
    for frame, found in enumerate(classes):
        time = (frame * shape.hop + shape.receptive_field / 2) / 16_000  # seconds
        name, begin, end = next(
            (name, begin, end)
            for name, begin, end in (("pau", 0, 0.2), ("aa", 0.2, 0.4), ("s", 0.4, 0.7), ("pau", 0.7, 99))
            if begin <= time < end
        )
        assert phones.PHONES[found // 2] == name
        assert found % 2 == (time >= (begin + end) / 2)


def test_espeak_symbols_become_phones_with_their_ends():
    begins = [("'O@", 0), ("t#", 400), ("_:", 500)]
    assert phones.of_espeak(begins, 1000, 1000.0) == [("ao", 0.2), ("r", 0.4), ("t", 0.5), ("pau", 1.0)]
    assert phones.of_espeak([("Q^", 0)], 1000, 1000.0) is None
    assert {phone for pair in phones.ESPEAK.values() for phone in pair} <= set(phones.PHONES)


def test_flites_phones():
    assert phones.of_flite("pau:0.2 ih:0.3 \n") == [("pau", 0.2), ("ih", 0.3)]
    assert phones.of_flite("pau:0.2 unknown:0.3") is None


def test_resampling_keeps_a_tone():
    rate = 22_050
    tone = np.sin(2 * np.pi * 441 * np.arange(rate) / rate)
    found = speech.resample(tone, rate)
    assert len(found) == 16_000
    assert np.allclose(found, np.sin(2 * np.pi * 441 * np.arange(16_000) / 16_000), atol=1e-3)


def test_lines_of_an_r_database():
    def text(value: bytes) -> bytes:
        return b"\x00\x04\x00\x09" + len(value).to_bytes(4, "big") + value

    objects = [text(b"EMMA") + text(b"") + text("It is \u201ctrue\u201d;".encode()), text(b"No 5 came")]
    database = b"".join(b"\x00\x00\x00\x09" + zlib.compress(content) for content in objects)
    assert texts.lines(database) == ["EMMA", "", "It is \u201ctrue\u201d;", "No 5 came"]
    with pytest.raises(DaisyError, match="cannot be read"):
        texts.lines(b"\x00\x00\x00\x09Zxz")


def test_texts_are_cut_evenly_and_without_digits():
    found = texts.pieces(["A b c d e", "f g. Don't go! In 1815 it ended; yes"], longest=4)
    assert found == ["a b c", "d e f g", "don't go"]


def test_shuffled_commands_are_no_commands():
    chance = np.random.default_rng(0)
    assert not {texts.shuffled_commands(chance) for _ in range(2000)} & set(sentences())


def made(out: Path, hours: float, readers: Readers, threads: int) -> dict[str, bytes]:
    settings = SpeechSettings(hours, SETTINGS.voices, shard=SETTINGS.shard, dev_every=SETTINGS.dev_every)
    rows = speech.make(settings, NOVELS, readers, out, threads)
    speech.write_corpus(rows, settings, out)
    return {path.name: path.read_bytes() for path in out.rglob("*.*") if path.suffix in (".flac", ".km", ".csv")}


def test_corpus_is_the_same_however_it_is_made(tmp_path):
    one = made(tmp_path / "one", 0.01, Readers(), 1)
    made(tmp_path / "two", 0.004, Readers(), 1)  # ended early
    readers = Readers()
    two = made(tmp_path / "two", 0.01, readers, 3)
    assert all(two[name] == content for name, content in one.items())
    rows = json.loads((tmp_path / "two/shards/00000.json").read_text())["rows"]
    assert readers.count < len(list((tmp_path / "two/audio").rglob("*.flac"))) and len(rows) == 4


def test_manifests_have_labels_of_their_length(tmp_path):
    made(tmp_path, 0.02, Readers(), 2)
    for part in ("train", "dev"):
        manifest = read_manifest(tmp_path / f"{part}.tsv")
        frames = [HubertConfig().frames(item.samples) for item in manifest.utterances]
        labels = read_labels(tmp_path / f"{part}.km", frames)
        assert all(
            set(item.tolist()) <= {2, 3, 2 * phones.PHONES.index("s"), 2 * phones.PHONES.index("s") + 1}
            for item in labels
        )
        assert all(manifest.wave(index).numel() for index in range(len(manifest)))
        assert all(item.text and not item.speaker.startswith("pico") for item in manifest.utterances)
    assert {item.speaker for item in read_manifest(tmp_path / "unlabelled.tsv").utterances} == {"pico-us"}


def test_the_test_voice_stays_unheard():
    with pytest.raises(DaisyError, match="pico/gb"):
        speech.check(SpeechSettings(1, {"flite/slt": 1, "pico/gb": 1}))
    speech.check(SpeechSettings(1, {"flite/slt": 1, "pico/us": 1}))


def test_what_espeaks_program_writes_is_read_back(tmp_path, monkeypatch):
    program = tmp_path / "espeak.py"
    program.write_text(
        "import json, sys\n"
        "for request in json.load(sys.stdin):\n"
        "    about = {'rate': 8000, 'samples': 8000, 'phones': [['s', 0], ['_:', 4000]]}\n"
        "    sys.stdout.buffer.write(json.dumps(about).encode() + b'\\n' + b'\\n\\0' * 8000)\n"
    )
    monkeypatch.setattr(speech, "ESPEAK_PROGRAM", program)
    reading = speech.Reading(0, "yes", "espeak", "en-us", 1.0, 1.0, 1.25)
    ((wave, known), (again, _)) = speech.Readers(tmp_path).speak([reading, reading])
    assert len(wave) == 12_800 and known == [("s", 0.4), ("pau", 0.8)]  # 1 s, a quarter faster
    assert np.array_equal(wave, again)


def test_a_synthesiser_that_fails_is_told(tmp_path):
    with pytest.raises(DaisyError, match="no voice xx"):
        speech._run([sys.executable, "-c", "import sys; sys.exit('no voice xx')"])
    assert speech._run([sys.executable, "-c", "print(1)"]) == b"1\n"
