"""The corpora: closed vocabulary, disjoint splits, and recordings dropped for a reason."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daisy.common.files import read_csv
from daisy.corpora import commands, embedded, manifests
from daisy.corpora.choice import choose, known_speakers, left_out
from daisy.corpora.manifests import summary
from daisy.corpora.partition import PARTS, Splits, partition
from daisy.corpora.settings import CommandsSettings, ManifestsSettings
from daisy.corpora.table import Recording, read_table, write_table
from daisy.errors import DaisyError

SETTINGS = CommandsSettings(seed=5, train=600, dev=60, test=90)


def test_plan_depends_on_the_seed_alone():
    assert commands.plan(SETTINGS) == commands.plan(SETTINGS)
    assert commands.plan(SETTINGS) != commands.plan(dataclasses.replace(SETTINGS, seed=6))


def test_more_sentences_than_the_grammar_has():
    with pytest.raises(DaisyError, match="the grammar has"):
        commands.plan(dataclasses.replace(SETTINGS, train=10**6))


def test_pico_speaks_deterministically(tmp_path):
    command = commands.Command("x", "test", "call anna at nine", "pico-gb", 1.05, 0.95)
    one, two = (commands.Synthesiser(tmp_path).speak(command) for _ in range(2))
    assert len(one) > 8000 and np.array_equal(one, two)


def test_missing_flite_is_one_clear_error(tmp_path):
    command = commands.Command("x", "test", "call anna at nine", "slt", 1.0, 1.0)
    with pytest.raises(DaisyError, match="flite is not there"):
        commands.Synthesiser(tmp_path).speak(command)


def recordings(counts: dict[str, int]) -> list[Recording]:
    return [Recording(f"{who}/{n:03d}", 16000, who) for who, count in counts.items() for n in range(count)]


def test_partition_is_disjoint_complete_and_seeded():
    settings = Splits(seed=1, dev=0.1, test=0.2)
    speech = recordings({"a": 50, "b": 20, "c": 5, "music-lover": 3})
    corpus = [*speech, *(Recording(f"x/{number}", 16000, "x", kind="music") for number in range(3))]
    parts = partition(corpus, settings)
    ids = [item.id for part in PARTS for item in parts[part]]
    assert sorted(ids) == sorted(item.id for item in speech)
    assert len([item for item in parts["test"] if item.speaker == "a"]) == 10
    assert known_speakers(parts, 20) == {"a", "b"}
    assert partition(corpus[::-1], settings) == parts, "the order of the table does not matter"
    assert partition(corpus, dataclasses.replace(settings, seed=2)) != parts


def test_a_speaker_has_at_most_so_many_recordings():
    corpus = recordings({"a": 50, "b": 20})
    parts = partition(corpus, Splits(seed=1, dev=0.1, test=0.2, max_per_speaker=30))
    assert [sum(item.speaker == "a" for item in parts[part]) for part in ("train", "dev", "test")] == [21, 3, 6]
    assert sum(item.speaker == "b" for part in PARTS for item in parts[part]) == 20


def test_speakers_need_recordings_in_every_part():
    parts = {part: [Recording(f"{part}/{n}", 16_000, "a") for n in range(4)] for part in PARTS}
    parts["train"] += [Recording(f"x/{n}", 16_000, "often") for n in range(30)]
    assert known_speakers(parts, 12) == {"a"} and known_speakers(parts, 13) == set()


def test_a_recording_of_just_the_bound_is_used():
    splits = Splits(seed=1, dev=0.1, test=0.2)
    parts = {part: [Recording(f"{part}/{n}", n, "a") for n in (63_999, 64_000, 64_001)] for part in PARTS}
    chosen = choose(parts, ManifestsSettings("asr", splits, max_seconds=4.0))
    assert [[item.samples for item in chosen[part]] for part in PARTS] == [[63_999, 64_000]] * 3


def test_a_share_of_a_task_is_drawn_by_seed():
    splits = Splits(seed=1, dev=0.1, test=0.2)
    every = {part: [Recording(f"{part}/{n:02d}", 16_000, f"s{n % 5}") for n in range(40)] for part in PARTS}

    def ids(share: float, seed: int = 1, few: int = 0) -> dict[str, list[str]]:
        settings = ManifestsSettings("asr", dataclasses.replace(splits, seed=seed), min_recordings=few, share=share)
        return {part: [item.id for item in items] for part, items in choose(every, settings).items()}

    tenth, half = ids(0.1), ids(0.5)
    assert [len(tenth[part]) for part in PARTS] == [4] * 3 and tenth == ids(0.1) and tenth != ids(0.1, seed=2)
    assert all(set(tenth[part]) < set(half[part]) and tenth[part] == sorted(tenth[part]) for part in PARTS)
    assert {name[-2:] for name in tenth["train"]} != {name[-2:] for name in tenth["dev"]}, "every part has its own draw"
    assert len(ids(0.01)["dev"]) == 1
    # Of speakers that must be known, some are drawn, and keep all of theirs; one could not be told from others.
    known = ids(0.1, few=3)
    assert len({int(name[-2:]) % 5 for items in known.values() for name in items}) == 2
    assert [len(known[part]) for part in PARTS] == [16] * 3
    settings = ManifestsSettings("asr", splits, max_seconds=0.5, share=0.5)
    parts = {"train": [Recording("long", 16_000, "a"), *(Recording(name, 8_000, "a") for name in "xyz")]}
    reasons = [why for _, why in left_out(parts, choose(parts, settings), settings)["train"]]
    assert sorted(reasons) == ["longer than 0.5 s", "not in the share of 0.5 that is used"]


def test_a_mixture_names_its_speakers():
    rows = [Recording("x", 480_000, "a+b"), Recording("y", 480_000, "b+c")]
    told = summary("ss", "test", rows, 3)
    assert told == {
        "corpus": "ss", "split": "test", "recordings": 2, "speakers": 3, "minutes": 1.0, "left_out": 3
    }  # fmt: skip


def test_table_round_trip_and_damage(tmp_path):
    path = tmp_path / "recordings.csv"
    write_table(path, recordings({"a": 3}))
    assert read_table(path) == recordings({"a": 3})
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(DaisyError, match="row 5, column id: 'a/000' is the id of row 2 too"):
        read_table(path)


def test_useless_recordings_are_dropped_with_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "sounds"
    waves = {
        "good": 0.1 * rng.standard_normal(16000),
        "same": None,
        "click": 0.1 * rng.standard_normal(1000),
        "quiet": 1e-4 * rng.standard_normal(16000),
        "silence/1": 0.1 * rng.standard_normal(16000),
        "beep": 0.1 * rng.standard_normal(16000),
    }
    waves["same"] = waves["good"]
    sources = []
    for name, wave in waves.items():
        file = root / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, wave, 16000)
        sources.append(embedded._Source(file, Path(f"{name}.wav"), "someone", "package"))
    (root / "broken.ogg").write_bytes(b"OggS no audio")
    sources.append(embedded._Source(root / "broken.ogg", Path("broken.ogg"), "someone", "package"))
    reasons = {source.file.stem: reason for source, _, reason in embedded.prepare(sources, tmp_path / "audio")}
    assert reasons["good"] is None
    for name, part in [
        ("same", "same recording as someone/good"),
        ("click", "shorter"),
        ("quiet", "quieter"),
        ("1", "silence"),
        ("beep", "no speech"),
        ("broken", "cannot be decoded"),
    ]:
        assert part in reasons[name]
    assert [path.name for path in (tmp_path / "audio" / "someone").iterdir()] == ["good.flac"]


def test_one_person_is_one_speaker():
    assert embedded.speaker_of("asterisk-core-sounds-en-g722", Path("a.g722")) == embedded.speaker_of(
        "asterisk-core-sounds-es-g722", Path("b.g722")
    )
    assert embedded.speaker_of("klettres-data", Path("de/alpha/a.ogg")) == "klettres-de"
    assert embedded.speaker_of("ktuberling-data", Path("sr@latin/a.ogg")) == "ktuberling-sr-latin"


def test_what_a_task_leaves_out_is_told(tmp_path, capsys):
    """Too long, without a text, of too few recordings: never less data without a word."""
    rows = [
        Recording(f"{who}/{number}", 16_000 * (9 if number == 0 else 1), who, "" if number == 1 else "a", split)
        for who, count in (("often", 9), ("also", 9), ("rare", 2))
        for number, split in zip(range(count), ("train", "train", "train", "dev", "test") * 2, strict=False)
    ]
    write_table(tmp_path / "recordings.csv", rows)
    settings = {"task": "x", "splits": {"seed": 1, "dev": 0.1, "test": 0.1}, "max_seconds": 5, "min_recordings": 3}
    command = ["--settings", json.dumps({**settings, "transcribed": True}), "--out", str(tmp_path / "out")]
    manifests.main([*command, "--corpus", str(tmp_path / "recordings.csv"), "--summary", str(tmp_path / "summary.csv")])
    told = {row["split"]: row["left_out"] for row in read_csv(tmp_path / "summary.csv")}
    # Of each common speaker one is too long and one has no text; both of the rare one's are left out.
    assert told == {"train": "6", "dev": "0", "test": "0"}
    said = capsys.readouterr().out
    assert "x train: 8 recordings, 6 left out (2 longer than 5 s: also/0, often/0; 2 without a text: also/1" in said
    assert "2 of speakers with under 3, or none in some split: rare)" in said
    listed = {row["id"]: row["reason"] for row in read_csv(tmp_path / "left_out.csv")}
    assert len(listed) == 6 and listed["often/1"] == "without a text"
