"""The command corpus: its grammar, who says what, and that the voices say the same thing every time."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from project import ROOT

from daisy.common import audio
from daisy.corpora import commands, debian, synthesis
from daisy.corpora.settings import CommandsSettings
from daisy.corpora.table import read_table
from daisy.errors import DaisyError

CACHE = ROOT / ".cache" / "debian"
NANO = CommandsSettings(seed=1337, train=24, dev=6, test=8)
SPLITS = ("train", "dev", "test")
REAL = CommandsSettings(seed=1337, train=1600, dev=100, test=240)


@pytest.fixture(scope="session")
def root() -> Path:
    try:
        return debian.fetch(("flite", "libflite1"), CACHE)
    except DaisyError as error:
        pytest.skip(f"flite cannot be had: {error}")


def command(voice: str, text: str = "call anna at eight", **changes: float) -> commands.Command:
    return commands.Command("x", "train", text, voice, changes.get("rate", 1.0), changes.get("pitch", 1.0))


def texts(plan: list[commands.Command], split: str) -> list[str]:
    return [item.text for item in plan if item.split == split]


def test_grammar():
    every = commands.sentences()
    assert len(every) == len(set(every)) >= 2400
    assert all(re.fullmatch("[a-z]+( [a-z]+){2,8}", text) for text in every)
    assert 40 <= len(commands.vocabulary(every)) <= 60


@pytest.mark.parametrize("settings", [NANO, REAL], ids=["nano", "real"])
def test_splits(settings):
    plan = commands.plan(settings)
    counts = collections.Counter(item.split for item in plan)
    assert counts == {"train": settings.train, "dev": settings.dev, "test": settings.test}
    assert len({item.text for item in plan}) == len({item.id for item in plan}) == len(plan)
    assert {item.text for item in plan} <= set(commands.sentences())


@pytest.mark.parametrize("seed", range(5))
def test_every_word_is_in_train(seed):
    plan = commands.plan(dataclasses.replace(NANO, seed=seed))
    assert commands.vocabulary(texts(plan, "train")) == commands.vocabulary(commands.sentences())


def test_train_too_small_for_the_vocabulary():
    plan = commands.plan(dataclasses.replace(NANO, train=2))
    assert len({item.text for item in plan}) == 16


def test_voices():
    plan = commands.plan(REAL)
    voices = {split: collections.Counter(item.voice for item in plan if item.split == split) for split in SPLITS}
    assert set(voices["train"]) == set(voices["dev"]) == set(commands.SEEN)
    assert set(voices["test"]) == {*commands.SEEN, commands.UNSEEN}
    assert voices["test"][commands.UNSEEN] == 240 / commands.UNSEEN_EVERY
    assert min(voices["train"].values()) > 0.15 * REAL.train


def test_seed():
    assert commands.plan(NANO) == commands.plan(NANO) != commands.plan(dataclasses.replace(NANO, seed=1))


def test_too_many_sentences():
    total = len(commands.sentences())
    assert len(commands.plan(CommandsSettings(1, total - 2, 1, 1))) == total
    with pytest.raises(DaisyError, match=f"{total + 1} sentences asked for, and the grammar has {total}"):
        commands.plan(CommandsSettings(1, total - 1, 1, 1))


@pytest.mark.parametrize("voice", [*commands.SEEN, commands.UNSEEN])
def test_voice_is_sound(root, voice):
    speak = commands.Synthesiser(root).speak
    wave = speak(command(voice))
    assert 0.8 < len(wave) / audio.SAMPLE_RATE < 2.5
    assert -35 < 10 * np.log10(np.mean(wave**2)) < -9
    assert np.abs(wave).max() < 0.999, "clipped"
    assert len(speak(command(voice, rate=0.9))) > len(wave) > len(speak(command(voice, rate=1.1)))
    # Flite's rms takes no pitch.
    assert np.array_equal(speak(command(voice, pitch=0.9)), speak(command(voice, pitch=1.1))) == (voice == "rms")


def test_pico_says_the_same_whatever_it_said_before(tmp_path):
    speak = commands.Synthesiser(tmp_path).speak
    spoken = [speak(command("pico-gb")) for _ in range(2)]
    speak(command("pico-us", "set the alarm for seven thirty today"))
    spoken += [speak(command("pico-gb")) for _ in range(3)]
    assert all(np.array_equal(spoken[0], wave) for wave in spoken)


def test_the_whole_stage_twice(root, tmp_path, capsys):
    settings = {"seed": 3, "train": 8, "dev": 2, "test": 3}
    for name in ("one", "two"):
        out = tmp_path / name
        arguments = ["--debian", CACHE, "--audio", out / "audio", "--table", out / "recordings.csv"]
        commands.main(["--settings", json.dumps(settings), *map(str, arguments)])
    assert "command speech: 13 recordings" in capsys.readouterr().out
    table = read_table(out / "recordings.csv")
    assert (tmp_path / "one/recordings.csv").read_bytes() == (out / "recordings.csv").read_bytes()
    assert len(table) == 13 and {item.split for item in table} == set(SPLITS)
    for item in table:
        one, two = (tmp_path / name / "audio" / f"{item.id}.flac" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert len(audio.read(one, samples=item.samples)) == item.samples
        assert item.source == ("py-nanotts" if item.speaker.startswith("pico") else "flite")
        assert re.fullmatch(rf"{item.speaker}/{item.split}-\d+", item.id)
        assert soundfile.info(one).samplerate == audio.SAMPLE_RATE


def test_flite_is_not_there(tmp_path):
    with pytest.raises(DaisyError, match="flite is not there"):
        commands.Synthesiser(tmp_path).speak(command("slt"))


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("#!/bin/sh\nexit 0\n", "the voice slt said 0 samples"),
        ("#!/bin/sh\necho broken >&2; exit 3\n", r"flite failed \(broken\).*Delete the cache"),
        (
            "#!/bin/sh\necho error while loading shared libraries: libasound.so.2 >&2; exit 127\n",
            r"flite failed .*Install the system library",
        ),
        ("\x7fELF no program", "flite cannot run"),
    ],
    ids=["silent", "fails", "library", "format"],
)
def test_flite_that_does_not_work(tmp_path, script, problem):
    flite = tmp_path / "usr/bin/flite"
    flite.parent.mkdir(parents=True)
    flite.write_text(script)
    flite.chmod(flite.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(DaisyError, match=problem):
        commands.Synthesiser(tmp_path).speak(command("slt"))


def test_pico_that_does_not_work(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "_PICO_PROGRAM", "raise ImportError('no lingware')")
    with pytest.raises(DaisyError, match=r"py-nanotts failed \(ImportError: no lingware\)"):
        commands.Synthesiser(tmp_path).speak(command("pico-us"))
