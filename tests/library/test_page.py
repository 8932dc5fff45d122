"""The page of `daisy page` in a real browser: its numbers are the library's, and it takes what visitors bring."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
import soundfile
import torch
from chromium import started
from project import GOLDEN, ROOT

import daisy
from daisy.cli.main import main
from daisy.common import audio
from daisy.common.torchaudio_shim import torchaudio
from daisy.corpora.mixing import loop, mix, power
from daisy.downstream.model import Downstream, save_downstream
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.features.seen import seen as seen_by
from daisy.library import page
from daisy.library.shipped import SENTENCE
from daisy.tasks.loading import task_class

WORDS = GOLDEN / "agent-pass.wav"

BIT = 4e-5
"""Chromium takes 32767 for full scale above zero, and the library 32768."""

SEEN = """(() => {
  const { sound, wave, rule, early, full, heard } = daisyResult;
  const bytes = new Uint8Array(wave.buffer, wave.byteOffset, wave.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return { sound, heard, wave: btoa(text), rule, stop: early.layer, early: early.entropies, full: full.entropies,
    words: document.getElementById('words').innerText,
    notes: document.getElementById('notes').innerText, headline: document.getElementById('headline').innerText };
})()"""

WIDE = """(() => [...document.querySelectorAll('body *')].filter(it => {
  const box = it.getBoundingClientRect();
  return box.width > 1 && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map(it => it.tagName + ' ' + it.textContent.slice(0, 40)))()"""

NAMELESS = """[...document.querySelectorAll('button, input, select, audio, svg, canvas')].filter(it =>
  it.checkVisibility() && !(it.labels?.length || it.ariaLabel || it.textContent.trim())).map(it => it.outerHTML)"""


@pytest.fixture(scope="module")
def model():
    """A random model of 6 layers, calibrated for two tasks."""
    made = daisy.load(GOLDEN / "daisy_tiny_after_norm.pt")
    counts = {1.0: (1, 1, 3, 3, 1, 1), 0.7: (0, 0, 0, 1, 1, 4)}
    made.checkpoint.calibrations = {
        task: Calibration("midrange", mean, None, 0.2, counts)
        for task, mean in (("asr", (4.3, 4.2, 4.1, 4.0, 3.9, 3.8)), ("sid", (3.9, 3.9, 3.8, 3.8, 3.6, 2.9)))
    }
    return made


@pytest.fixture(scope="module")
def heads(model):
    """Random models of two tasks, which hear more than one thing."""
    torch.manual_seed(11)
    options = {"projection": 16, "hidden": 8, "layers": 1, "dropout": 0.0, "stride": 2, "normalise": "frames"}
    made = {}
    for name, vocabulary in (("asr", " abcdef"), ("sid", ("allison", "carlo", "june"))):
        task = task_class(name)(options, list(vocabulary))
        made[name] = Downstream(task, model.layers, model.dim, "dynamic").eval()
        for weight in made[name].parameters():
            weight.data *= 4
    return made


@pytest.fixture(scope="module")
def written(model, heads, tmp_path_factory):
    """Its page."""
    folder = tmp_path_factory.mktemp("web")
    for name, head in heads.items():
        save_downstream(folder / name, head)
    told = page.write(model.checkpoint, folder / "page", "golden", [folder / name for name in heads])
    assert told.tasks == ("asr", "sid")
    return folder / "page"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A Chromium whose microphone hears a golden recording."""
    switches = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    window = started(tmp_path_factory.mktemp("profile"), *switches, f"--use-file-for-fake-audio-capture={WORDS}")
    yield window
    window.close()


@pytest.fixture
def visit(browser, written):
    """The page as it opens from the disk; at the end, nothing has complained and nothing was asked of a network."""
    browser.complaints.clear()
    browser.asked.clear()
    browser.open(written / "index.html", 1200)
    browser.until("document.body.dataset.state === 'ready'")
    yield browser
    assert browser.complaints == []
    assert browser.asked and all(address.startswith(("file:", "blob:", "data:")) for address in browser.asked)


def seen(browser):
    """What the page shows at last, with the samples that it ran."""
    browser.until("document.body.dataset.state === 'ready'")
    result = browser.evaluate(SEEN)
    result["wave"] = np.frombuffer(base64.b64decode(result["wave"]), "<f4")
    return result


def bring(browser, file):
    """Choose a file; what the page then shows, or the sentence that it refuses it with."""
    browser.evaluate("document.body.dataset.state = 'brought'; document.getElementById('message').hidden = true")
    browser.choose("#file", file)
    refused = "document.getElementById('message').hidden ? '' : document.getElementById('message').innerText"
    browser.until(f"document.body.dataset.state === 'ready' || ({refused})")
    return browser.evaluate(refused) or seen(browser)


def put(browser, **values):
    """Set controls of the form, as a visitor does."""
    for name, value in values.items():
        code = f"it.value = {json.dumps(str(value))}; it.dispatchEvent(new Event('input', {{bubbles: true}}))"
        browser.evaluate(f"(() => {{ const it = document.getElementById('{name}'); {code} }})()")
    return seen(browser)


def agrees(result, model, request):
    """Whether the page stopped where the library stops, at the same entropies."""
    candidates, tau = model.exits(**request)
    assert result["rule"]["candidates"] == list(candidates) and result["rule"]["tau"] == pytest.approx(tau)
    wave = result["wave"]
    assert result["stop"] == model([wave], **request).exit_layer[0]
    assert np.allclose(result["full"], model.all_layers([wave]).entropies[0], atol=1e-3)
    early = np.array(result["early"], float)  # None becomes NaN
    assert np.allclose(early, model([wave], **request).entropies[0], atol=1e-3, equal_nan=True)
    return result["stop"]


def heard(model, head, wave, layer):
    """What the library hears by the states 0 to `layer`."""
    viewed = seen_by(head.view, model([wave], layer=layer).features[0])
    frames = torch.tensor([len(viewed)])
    with torch.no_grad():
        output = head(viewed[None], torch.tensor([layer]), frames)
    (said,) = head.task.predict(output, frames)
    return said if head.task.name == "asr" else head.task.vocabulary[said]


def hears_too(result, model, heads):
    """Whether the page heard what the library hears, early and by all layers; the texts."""
    for item in result["heard"]:
        for which, layer in (("early", result["stop"]), ("full", model.layers)):
            assert item[which] == heard(model, heads[item["task"]], result["wave"], layer)
            assert " ".join(item[which].split()) in " ".join(result["words"].split())
    return {item["task"]: item["early"] for item in result["heard"]}


def test_the_numbers_are_the_librarys(visit, model, heads, waves):
    assert np.allclose(seen(visit)["wave"], audio.read(SENTENCE).numpy(), atol=BIT)
    assert hears_too(seen(visit), model, heads).keys() == {"sid"}, "first the task whose answer is known"
    stops, texts = set(), set()
    files = sorted(GOLDEN.glob("*.wav"))
    for number, (file, wave) in enumerate(zip(files, waves, strict=True)):
        assert np.allclose(bring(visit, file)["wave"], wave.numpy(), atol=BIT)
        task = ("asr", "sid")[number % 2]
        for rho in (1.0, 0.7):
            strategy = ("avg", "min-max", "threshold")[number % 3]
            result = put(visit, task=task, rho=f"{rho:g}", strategy=strategy)
            stops.add(agrees(result, model, {"rho": rho, "strategy": strategy, "task": task}))
            texts |= set(hears_too(result, model, heads).items())
    assert {task for task, _ in texts} == {"asr", "sid"} and len(texts) > 5
    middle = float(np.median(model.all_layers([waves[-1]]).entropies[0]))
    for threshold in (0.0, round(middle, 2) - 0.05, round(middle, 2) + 0.05):
        result = put(visit, task="", threshold=f"{threshold:.2f}")
        stops.add(agrees(result, model, {"threshold": float(f"{threshold:.2f}")}))
    assert hears_too(result, model, heads).keys() == {"asr", "sid"}
    assert len(stops) > 2 and f"layer {result['stop']} of 6" in result["headline"]


def test_noise_is_mixed_as_the_library_does(visit, model):
    clean = seen(visit)["wave"]
    for kind in page.NOISES:
        visit.evaluate(f"document.querySelector('[value={kind}]').click()")
        noise = loop(audio.read(page.SOUNDS / f"{kind}.flac").numpy(), len(clean))
        for value, decibel in ((31, 0), (21, 10)):
            result = put(visit, noise=value)
            assert np.allclose(result["wave"], mix(clean, noise, decibel).wave, atol=BIT)
        agrees(result, model, {"rho": 1.0, "strategy": "avg", "task": "sid"})
    visit.evaluate("document.querySelector('[value=white]').click()")
    added = put(visit, noise=26)["wave"] - clean
    assert 10 * np.log10(power(clean) / power(added)) == pytest.approx(5, abs=0.01)
    spectrum = np.abs(np.fft.rfft(added)[: len(added) // 32 * 16].reshape(16, -1)) ** 2
    assert np.allclose(spectrum.mean(1), spectrum.mean(), rtol=0.2), "white: all bands alike"
    assert np.array_equal(put(visit, noise=0)["wave"], clean)


def test_other_rates_and_channels_are_taken(visit, tmp_path, waves):
    for rate, ending, notes in ((8000, "wav", "Nothing above 4 kHz"), (44_100, "flac", "from 44.1 kHz")):
        other = torchaudio.functional.resample(waves[1], 16_000, rate).numpy()
        both = np.stack([other, 0.5 * other], 1)
        soundfile.write(tmp_path / f"other.{ending}", both, rate, subtype="PCM_16")
        read = soundfile.read(tmp_path / f"other.{ending}", dtype="float32")[0].mean(1)
        expected = torchaudio.functional.resample(torch.from_numpy(read), rate, 16_000).numpy()
        result = bring(visit, tmp_path / f"other.{ending}")
        assert notes in result["notes"] and "2 channels" in result["notes"]
        assert len(result["wave"]) == len(expected) and np.abs(result["wave"] - expected).max() < 1e-4
    soundfile.write(tmp_path / "speech.mp3", torchaudio.functional.resample(waves[1], 16_000, 44_100).numpy(), 44_100)
    result = bring(visit, tmp_path / "speech.mp3")
    assert "44.1 kHz" in result["notes"] and abs(len(result["wave"]) - len(waves[1])) < 4000


def test_what_is_no_recording_gets_a_sentence(visit, tmp_path, waves):
    before = seen(visit)["wave"]
    (tmp_path / "notes.wav").write_text("no audio at all")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "click.wav", waves[0].numpy()[:100], 16_000)
    for name, sentence in (
        ("notes.wav", "notes.wav is no recording that this browser can read"),
        ("empty.wav", "empty.wav is empty"),
        ("silent.wav", "silent.wav is silent throughout"),
        ("click.wav", "click.wav lasts 6 ms, and the model needs 25"),
    ):
        assert sentence in bring(visit, tmp_path / name)
        assert np.array_equal(visit.evaluate(SEEN)["wave"], base64.b64encode(before.tobytes()).decode()), "it stays"
    hour = tmp_path / "hour.wav"
    soundfile.write(hour, np.tile(waves[1].numpy(), 20)[: 31 * 16_000], 16_000)
    with open(hour, "r+b") as file:  # its end is a hole, which takes no place on the disk
        for place, size in ((4, 36), (40, 0)):
            file.seek(place)
            file.write((size + 2 * 3600 * 16_000).to_bytes(4, "little"))
        file.truncate(44 + 2 * 3600 * 16_000)
    visit.evaluate("document.querySelector('#task').value = 'asr'")
    result = bring(visit, hour)
    assert len(result["wave"]) == 30 * 16_000 and "60 minutes long; the first 30 seconds" in result["notes"]


def test_the_microphone_is_heard(visit):
    visit.evaluate("document.getElementById('record').click()")
    visit.until("/Stop .(2|3)/.test(document.getElementById('record').textContent)")
    visit.evaluate("document.getElementById('record').click()")
    visit.until("window.daisyResult.sound === 'Your recording'")
    result = seen(visit)
    assert 1.5 * 16_000 < len(result["wave"]) < 5 * 16_000 and power(result["wave"]) > 1e-5
    assert visit.evaluate("document.getElementById('record').getAttribute('aria-pressed')") == "true"


def test_it_plays_what_the_model_hears(visit):
    playing = "(async () => { const it = document.getElementById('player'); await it.play(); return it.duration })()"
    assert visit.evaluate(playing) == pytest.approx(len(audio.read(SENTENCE)) / 16_000, abs=0.01)
    visit.until("document.getElementById('player').currentTime > 0")


def test_the_keyboard_and_a_phone_do(visit, written):
    assert visit.evaluate(NAMELESS) == []
    visit.evaluate("document.getElementById('noise').focus()")
    visit.press("ArrowRight", "ArrowRight")
    visit.until("document.getElementById('level').textContent === '29 dB'")
    visit.press("Tab")
    assert visit.evaluate("document.activeElement.id") == "task"
    for width in (1200, 390):
        visit.open(written / "index.html", width)
        visit.until("document.body.dataset.state === 'ready'")
        visit.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
        assert visit.evaluate(WIDE) == [], f"cut off at {width} pixels"
        assert visit.evaluate("document.querySelectorAll('#chart .saved, #chart .asked, #chart .passed').length") == 5
        assert visit.evaluate("document.querySelectorAll('#numbers tbody tr').length") == 6


def test_a_static_server_serves_it(browser, written):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=written)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{server.server_port}/", 1200)
        browser.until("document.body.dataset.state === 'ready'")
        server.shutdown()


def test_what_ships_is_what_its_source_builds():
    told = json.loads((page.APP / "built.json").read_text())
    sources = [path for path in sorted((ROOT / "browser").rglob("*")) if path.is_file()]
    sources = [path for path in sources if "node_modules" not in path.parts and path.suffix not in (".py", ".pyc")]
    found = {str(path.relative_to(ROOT / "browser")): hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
    assert told["sources"] == found, "run `make browser`"
    for name, digest in told["made"].items():
        content = (page.APP / name).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        assert hashlib.sha256(content).hexdigest() == digest, f"{name}: run `make browser`"


def test_the_command(model, tmp_path, capsys):
    plain = tmp_path / "hubert.safetensors"
    assert main(["page", str(tmp_path / "page"), "--bundle", str(plain)]) == 1
    model_without = daisy.load(GOLDEN / "daisy_tiny_after_norm.pt").checkpoint
    model_without.branches = None
    with pytest.raises(DaisyError, match="no exit branches"):
        page.write(model_without, tmp_path / "page", "plain")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(DaisyError, match="there already"):
        page.write(model.checkpoint, tmp_path / "full", "full")
