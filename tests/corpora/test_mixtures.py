"""The mixtures of SE and SS: exact ratios, references that add up, the same by seed, disjoint splits."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from daisy.common import audio
from daisy.corpora import enhancement, separation
from daisy.corpora.table import Recording, read_table, write_table
from daisy.errors import DaisyError

SPEAKERS = ("ann", "ben", "cat", "dan")
COMMON = {"seed": 3, "splits": {"seed": 3, "dev": 0.25, "test": 0.25}, "seconds": [0.5, 2.0]}
SETTINGS = {
    "enhancement": {
        **COMMON,
        "train": 9,
        "dev": 4,
        "test": 5,
        "speakers": ["ann", "ben"],
        "test_speakers": ["cat"],
        "snr_db": [0, 15],
        "test_snr_db": [5, 10],
    },
    "separation": {**COMMON, "train": 6, "dev": 3, "test": 4, "test_speakers": ["cat", "dan"]},
}
STAGES = {"enhancement": enhancement, "separation": separation}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Bursts of noise that stand for speech, and two kinds of noise."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    speech = [
        Recording(f"{who}/{number:02d}", int(rng.integers(9000, 30000)), who)
        for who in SPEAKERS
        for number in range(12)
    ]
    speech.append(Recording("ann/short", 4000, "ann"))
    noise = [
        Recording(f"{kind}/{part}-{number}", 40000, kind, split=part)
        for kind in ("babble", "music")
        for part in ("train", "dev", "test")
        for number in range(2)
    ]
    for name, items in (("speech", speech), ("noise", noise)):
        for item in items:
            level = 0.9 if item.id == "ann/00" else 0.1
            audio.write(folder / name / "audio" / f"{item.id}.flac", level * rng.uniform(-1, 1, item.samples))
        write_table(folder / name / "recordings.csv", items)
    return folder


def make(corpus, out, names=tuple(STAGES), **changes):
    for name in names:
        arguments = ["--settings", json.dumps({**SETTINGS[name], **changes})]
        arguments += ["--speech", str(corpus / "speech/recordings.csv"), "--table", str(out / name / "recordings.csv")]
        if name == "enhancement":
            arguments += ["--noise", str(corpus / "noise/recordings.csv")]
        STAGES[name].main(arguments)
    return {name: read_table(out / name / "recordings.csv") for name in names}


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    return out, make(corpus, out)


def read(out, name, item):
    folder = out / name / "audio"
    references = [audio.read(folder / file, samples=item.samples).double() for file in item.references.split(";")]
    return audio.read(folder / f"{item.id}.flac", samples=item.samples).double(), references


def test_counts(made):
    for name, items in made[1].items():
        counts = {part: sum(item.split == part for item in items) for part in ("train", "dev", "test")}
        assert counts == {part: SETTINGS[name][part] for part in counts}


def test_ratios_are_exact(made):
    out, tables = made
    kinds = set()
    for item in tables["enhancement"]:
        mixture, (clean,) = read(out, "enhancement", item)
        kind, wanted = item.id.split("/")[-1].split("-", 1)[1].removesuffix("dB").split("-")
        ratio = 10 * np.log10(float(clean.square().mean() / (mixture - clean).square().mean()))
        assert ratio == pytest.approx(float(wanted), abs=0.01)
        assert float(mixture.abs().max()) < 1
        kinds.add((kind, wanted, item.split == "test"))
    ratios = {True: ("5", "10"), False: ("0", "15")}
    assert kinds == {(kind, snr, test) for kind in ("music", "babble") for test in ratios for snr in ratios[test]}


def test_separated_signals_add_up(made):
    out, tables = made
    for item in tables["separation"]:
        mixture, references = read(out, "separation", item)
        assert len(references) == 2 and len(set(item.speaker.split("+"))) == 2
        assert float((mixture - sum(references)).abs().max()) < 1e-4


def test_same_seed_same_files(made, corpus, tmp_path):
    out, tables = made
    assert make(corpus, tmp_path) == tables
    for name in tables:
        for file in sorted((out / name / "audio").rglob("*.flac")):
            assert (tmp_path / name / file.relative_to(out / name)).read_bytes() == file.read_bytes()
    assert make(corpus, tmp_path / "other", seed=4) != tables


def test_a_larger_training_set_leaves_the_test_set_alone(made, corpus, tmp_path):
    changed = make(corpus, tmp_path, train=12)
    for name, items in made[1].items():
        assert [i for i in changed[name] if i.split == "test"] == [i for i in items if i.split == "test"]


def test_what_is_tested_is_heard_nowhere_else(made):
    for name, items in made[1].items():
        heard: dict[str, dict[str, set[str]]] = {"speaker": {}, "source": {}}
        for item in items:
            heard["speaker"].setdefault(item.split, set()).update(item.speaker.split("+"))
            heard["source"].setdefault(item.split, set()).update(item.source.split(" at ")[0].split(" + "))
        for kind, parts in heard.items():
            assert not parts["test"] & (parts["train"] | parts["dev"]), (name, kind)
        assert not heard["source"]["dev"] & heard["source"]["train"]
        assert heard["speaker"]["test"] <= set(SETTINGS[name]["test_speakers"])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("enhancement", {"seconds": [5.0, 6.0]}, "lasts 5 to 6 s"),
        ("separation", {"test_speakers": ["cat"]}, "1 speakers for test"),
        ("separation", {"test": 5000}, "hardly any new pair"),
    ],
)
def test_too_little_speech_is_one_clear_error(corpus, tmp_path, name, changes, message):
    with pytest.raises(DaisyError, match=message) as caught:
        make(corpus, tmp_path, (name,), **changes)
    assert "data.mixtures" in str(caught.value)
    shutil.rmtree(tmp_path)
