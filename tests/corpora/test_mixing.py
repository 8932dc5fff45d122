"""Noise: exact ratios, no clipping, and a corpus whose parts share nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from daisy.common import audio
from daisy.common.seeds import generator
from daisy.corpora import noise as corpus
from daisy.corpora.mixing import PEAK, babble, excerpt, loop, mix, power, white
from daisy.corpora.table import Recording, read_table, write_table
from daisy.errors import DaisyError

RNG = np.random.default_rng(0)
SPEECH = (0.05 * RNG.standard_normal(20_000) * np.linspace(0, 1, 20_000)).astype(np.float32)
NOISE = (0.3 * RNG.standard_normal(20_000)).astype(np.float32)
SETTINGS = {"seed": 3, "kinds": ["music", "babble"], "tracks": 2, "seconds": 1.0, "voices": 3, "sid_min_recordings": 5}


def ratio(speech: np.ndarray, mixture: np.ndarray) -> float:
    rest = mixture.astype(np.float64) - speech
    return 10 * np.log10(power(speech) / power(rest))


@pytest.mark.parametrize("snr_db", [20, 10, 0, -5])
@pytest.mark.parametrize("samples", [20_000, 3_000])
def test_the_ratio_is_exact(snr_db, samples):
    made = mix(SPEECH, NOISE[:samples], snr_db)
    assert ratio(made.scale * SPEECH.astype(np.float64), made.wave) == pytest.approx(snr_db, abs=0.01)


def test_a_mixture_that_would_clip_is_scaled_whole():
    loud = SPEECH / np.abs(SPEECH).max()
    made = mix(loud, NOISE, 0)
    assert made.scale < 1 and np.abs(made.wave).max() == pytest.approx(PEAK, abs=1e-6)
    assert ratio(made.scale * loud.astype(np.float64), made.wave) == pytest.approx(0, abs=0.01)
    assert mix(SPEECH, NOISE, 10).scale == 1


@pytest.mark.parametrize(
    ("speech", "noise", "message"),
    [
        (np.zeros(100), NOISE[:100], "the speech is silent"),
        (SPEECH, np.zeros(100), "the noise is silent"),
        (SPEECH, np.full(100, np.nan), "the noise is silent"),
        (SPEECH[:100], NOISE, "20000 samples of noise for 100"),
    ],
)
def test_no_ratio_to_silence(speech, noise, message):
    with pytest.raises(DaisyError, match=message):
        mix(speech, noise, 10)


def test_excerpts_are_seeded_and_not_silent():
    wave = np.concatenate([np.zeros(100_000), NOISE]).astype(np.float32)
    for place in range(20):
        cut = excerpt(wave, 5_000, generator(1, place))
        assert power(cut) > 1e-4 * power(wave)
        assert np.array_equal(cut, excerpt(wave, 5_000, generator(1, place)))
    assert np.array_equal(excerpt(NOISE[:300], 1_000, generator(1)), loop(NOISE[:300], 1_000))


def test_of_quiet_excerpts_the_loudest_is_taken():
    wave = np.append(1e-5 * np.linspace(0, 1, 200_000), np.full(50, 1.0)).astype(np.float32)
    chance = generator(1, "quiet")
    starts = [int(chance.integers(len(wave) - 1_000 + 1)) for _ in range(16)]
    assert starts[0] != max(starts) < 199_000, "no draw meets the loud end, and a later one is the loudest"
    cut = excerpt(wave, 1_000, generator(1, "quiet"))
    assert np.array_equal(cut, wave[max(starts) :][:1_000])


def test_white_noise_is_flat_and_seeded():
    wave = white(160_000, generator(1))
    spectrum = np.square(np.abs(np.fft.rfft(wave))[1:]).reshape(8, -1).mean(axis=1)
    assert spectrum.max() < 1.1 * spectrum.min()
    assert np.array_equal(wave, white(160_000, generator(1)))


def test_voices_of_a_babble_are_equally_loud():
    times = np.arange(16_000) / 16_000
    low, high = np.sin(2 * np.pi * 100 * times), 0.01 * np.sin(2 * np.pi * 300 * times[:8_000])
    total = babble([low, high], 16_000)
    spectrum = np.abs(np.fft.rfft(total))
    assert spectrum[100] == pytest.approx(spectrum[300], rel=1e-3)
    assert np.abs(total).max() == pytest.approx(PEAK)
    for voices in ([], [low, np.zeros(10)]):
        with pytest.raises(DaisyError, match="babble"):
            babble(voices, 100)


@pytest.fixture
def embedded(tmp_path) -> Path:
    """A small corpus: five pieces of music, nine speakers with few recordings and one with many."""
    made = []
    counts = {f"few-{number}": 3 for number in range(9)} | {"many": 8} | {f"music-{n}": 1 for n in "abcde"}
    for speaker, count in counts.items():
        for number in range(count):
            kind = "music" if speaker.startswith("music-") else ""
            made.append(Recording(f"{speaker}/{number}", 4_000, speaker, kind=kind))
            audio.write(tmp_path / f"embedded/audio/{made[-1].id}.flac", 0.1 * RNG.standard_normal(4_000))
    write_table(tmp_path / "embedded/recordings.csv", made)
    return tmp_path / "embedded/recordings.csv"


def run(speech: Path, out: Path, **changes) -> list[Recording]:
    settings = json.dumps(SETTINGS | changes)
    options = ["--speech", str(speech), "--audio", str(out / "audio"), "--table", str(out / "recordings.csv")]
    corpus.main(["--settings", settings, *options])
    return read_table(out / "recordings.csv")


def test_the_corpus_is_divided(embedded, tmp_path):
    made = run(embedded, tmp_path / "noise")
    for item in made:
        assert audio.read(tmp_path / f"noise/audio/{item.id}.flac", samples=item.samples).abs().max() > 0.1
    for kind in ("music", "babble"):
        sources = {
            part: {name for item in made if (item.speaker, item.split) == (kind, part) for name in item.source.split()}
            for part in ("train", "dev", "test")
        }
        assert all(sources.values())
        assert sum(map(len, sources.values())) == len(set.union(*sources.values())), "a source in two splits"
        assert "many" not in set.union(*sources.values())
    music = [item.split for item in made if item.speaker == "music"]
    assert [music.count(part) for part in ("train", "dev", "test")] == [3, 1, 1]
    assert len([item for item in made if item.speaker == "babble"]) == 6


def test_the_corpus_repeats(embedded, tmp_path):
    def contents(name, **changes):
        made = run(embedded, tmp_path / name, **changes)
        return [
            (item, hashlib.sha256((tmp_path / name / f"audio/{item.id}.flac").read_bytes()).hexdigest())
            for item in made
        ]

    assert contents("one") == contents("two")
    assert contents("one") != contents("three", seed=4)


def test_a_corpus_too_small_to_divide(embedded, tmp_path):
    heard = {name for item in run(embedded, tmp_path / "eight", sid_min_recordings=8) for name in item.source.split()}
    assert "few-0" in heard and "many" not in heard, "a speaker with just enough recordings is tested on"
    for count in (1, 2):
        with pytest.raises(DaisyError, match=f"{count} things cannot be divided"):
            corpus.divide(["a", "b"][:count], 1, "things", "Add more")
    assert corpus.divide(["a", "b", "c"], 1, "things", "") != corpus.divide(["a", "b", "c"], 2, "things", "")
    with pytest.raises(DaisyError, match="0 speakers for babble.*data.noise.kinds"):
        run(embedded, tmp_path / "noise", sid_min_recordings=2)
    write_table(embedded, [item for item in read_table(embedded) if item.speech])
    with pytest.raises(DaisyError, match="0 pieces of music.*data.packages"):
        run(embedded, tmp_path / "noise")
