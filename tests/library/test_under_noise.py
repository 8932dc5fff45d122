"""One recording under noise: the noise that is generated, any recording, and what an exit costs."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from project import GOLDEN

import daisy
from daisy.common import audio
from daisy.common.seeds import generator
from daisy.corpora.mixing import power
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.library import under_noise

WAV = GOLDEN / "agent-pass.wav"


@pytest.fixture
def speech() -> np.ndarray:
    return audio.read(WAV).numpy()


def band(wave: np.ndarray, low: float, high: float) -> float:
    """The power of a band, in hertz."""
    powers = np.abs(np.fft.rfft(wave)) ** 2
    frequencies = np.fft.rfftfreq(len(wave), 1 / audio.SAMPLE_RATE)
    return float(powers[(low <= frequencies) & (frequencies < high)].sum())


def test_generated_noise(speech):
    made = {kind: under_noise.noise_for(kind, speech, generator(1, kind)) for kind in under_noise.GENERATED}
    for kind, wave in made.items():
        assert wave.shape == speech.shape and wave.dtype == np.float32
        assert np.array_equal(wave, under_noise.noise_for(kind, speech, generator(1, kind)))
        assert not np.array_equal(wave, under_noise.noise_for(kind, speech, generator(2, kind)))
    octaves = [(250, 500), (500, 1000), (1000, 2000), (2000, 4000)]
    rises = {kind: [band(wave, *octave) for octave in octaves] for kind, wave in made.items()}
    assert np.allclose(np.divide(rises["white"][1:], rises["white"][:-1]), 2, rtol=0.2), "every hertz alike"
    assert np.allclose(np.divide(rises["pink"][1:], rises["pink"][:-1]), 1, rtol=0.2), "every octave alike"
    like, own = (np.array([band(wave, *octave) for octave in octaves]) for wave in (made["speech-shaped"], speech))
    assert np.allclose(like / like.sum(), own / own.sum(), atol=0.1)


def test_ratios_and_exits(checkpoint, speech):
    model, rule = daisy.Daisy(checkpoint), ExitRule(tuple(range(1, 7)), 4.0)
    found = under_noise.heard(model, speech, rule, kind="white", snrs=(20, 0), seed=1)
    assert [(item.kind, item.snr_db) for item in found] == [("clean", None), ("white", 20), ("white", 0)]
    for item in found:
        assert item.stop == rule.layer(item.entropies) and item.share == under_noise.share(
            model, rule, len(speech), item.stop
        )
    assert len({tuple(item.entropies) for item in found}) == 3
    (alone,) = under_noise.heard(model, speech, rule, snrs=(), seed=1)
    assert np.array_equal(alone.entropies, found[0].entropies)


def test_another_signal_is_what_is_compared(checkpoint, speech):
    model, rule = daisy.Daisy(checkpoint), ExitRule(tuple(range(1, 7)), 0.3)
    for signal in ("margin", "divergence"):
        (found,) = under_noise.heard(model, speech, rule, snrs=(), seed=1, signal=signal)
        called = model([speech], threshold=0.0, signal=signal)
        assert found.entropies[:5] == pytest.approx(called.entropies[0][:5], abs=1e-5)
        assert found.stop == rule.layer(found.entropies)
        assert found.share == under_noise.share(model, rule, len(speech), found.stop, signal)
    with pytest.raises(DaisyError, match="the signal 'mood' is unknown"):
        under_noise.heard(model, speech, rule, snrs=(), seed=1, signal="mood")


def test_what_an_exit_costs(checkpoint):
    model = daisy.Daisy(checkpoint)
    fixed, every = ExitRule((3,)), ExitRule(tuple(range(1, 7)))
    whole, half = (model.config.macs(16_000, layers) for layers in (6, 3))
    assert under_noise.share(model, ExitRule((6,)), 16_000, 6) == 1
    assert under_noise.share(model, fixed, 16_000, 3) == half / whole
    _, classes, dim = checkpoint.branches.shape
    asked = 3 * model.config.frames(16_000) * classes * dim
    assert under_noise.share(model, every, 16_000, 3) == pytest.approx((half + asked) / whole)


def test_noise_from_a_file(tmp_path, speech):
    hum = np.sin(2 * np.pi * 1000 * np.arange(88_200) / 44_100)
    soundfile.write(tmp_path / "hum.wav", np.stack([hum, hum], 1) / 4, 44_100)
    made = under_noise.noise_for(str(tmp_path / "hum.wav"), speech, generator(1))
    assert len(made) == len(speech) and band(made, 950, 1050) > 0.99 * power(made) * len(made) ** 2 / 2
    with pytest.raises(DaisyError, match="no noise and no file: 'wite'.*white, pink, speech-shaped"):
        under_noise.noise_for("wite", speech, generator(1))


@pytest.mark.parametrize(("rate", "channels", "ending"), [(8000, 2, "wav"), (44_100, 1, "flac"), (48_000, 2, "ogg")])
def test_recordings_of_other_rates(tmp_path, rate, channels, ending):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 4
    soundfile.write(tmp_path / f"a.{ending}", np.stack([tone] * channels, 1), rate)
    wave, done = under_noise.recording(tmp_path / f"a.{ending}", 400)
    assert len(wave) == 16_000 and f"{rate} Hz" in done
    assert band(wave, 430, 450) > 0.99 * band(wave, 0, 8000)


def test_recordings_that_are_none(tmp_path):
    assert under_noise.recording(WAV, 400)[1] == ""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no recording\n")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "short.wav", np.zeros(200), 16_000)
    soundfile.write(tmp_path / "short8.wav", np.zeros(100), 8_000)
    soundfile.write(tmp_path / "none8.wav", np.zeros((0, 2)), 8_000)
    problems = {"gone": "does not exist", "empty": "an empty file", "text": "cannot be read", "none": "is empty"}
    problems |= {
        "none8": "is empty",
        "short": "200 samples, and the model needs 400",
        "short8": "200 samples at 16 kHz",
    }
    for name, problem in problems.items():
        with pytest.raises(DaisyError, match=rf"{name}\.wav: .*{problem}"):
            under_noise.recording(tmp_path / f"{name}.wav", 400)
