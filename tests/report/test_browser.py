"""The report in a real browser: nothing is cut off, nothing complains, and recordings play."""

from __future__ import annotations

import pytest
from chromium import started
from project import GOLDEN
from test_report import FIGURES_OF, arguments, drawn, with_examples  # noqa: F401

from daisy.common import audio
from daisy.report import page as report

MEASURE = """(() => {
  document.querySelectorAll('details').forEach(it => it.open = true);
  const wide = [...document.querySelectorAll('body *')].filter(it => {
    const box = it.getBoundingClientRect();
    return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
  }).map(it => it.tagName + ' ' + it.textContent.slice(0, 40));
  return {
    wide, scroll: document.documentElement.scrollWidth - innerWidth,
    images: [...document.images].map(it => it.naturalWidth),
    tables: document.querySelectorAll('table').length,
    headline: document.querySelector('.top').getBoundingClientRect().bottom,
  };
})()"""

PLAY = """Promise.all([...document.querySelectorAll('audio')].map(async it => {
  await it.play();
  await new Promise(done => it.currentTime > 0 ? done() : it.addEventListener('timeupdate', done, {once: true}));
  return it.error === null && it.duration > 0;
}))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    window = started(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


def test_the_report_as_readers_see_it(browser, arguments, tmp_path):  # noqa: F811
    sound = tmp_path / "sound.flac"
    audio.write(sound, audio.read(sorted(GOLDEN.glob("*.wav"))[0]).numpy())
    report.main([*arguments, *with_examples(tmp_path, sound.read_bytes())])
    for width in (1200, 390):
        browser.open(tmp_path / "report.html", width)
        seen = browser.evaluate(MEASURE)
        assert seen["wide"] == [] and seen["scroll"] <= 0, f"cut off at {width} pixels"
        assert seen["tables"] > 5 and len(seen["images"]) == FIGURES_OF and all(seen["images"])
        if width == 1200:
            assert seen["headline"] < 844, "the summary is the first screen"
    assert browser.evaluate(PLAY) == [True] * 5
    assert browser.complaints == []


def test_the_browser_sees_faults(browser, tmp_path):
    """The test above can fail: a wide table, a broken image and a script's error are found."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<html><body><div class='top'></div><p style='width:2000px'>wide</p><img src='data:image/png;base64,AAAA'>"
        "<script>console.error('bad')</script></body></html>"
    )
    browser.open(page, 390)
    seen = browser.evaluate(MEASURE)
    assert seen["scroll"] > 0 and any(item.startswith("P wide") for item in seen["wide"]) and seen["images"] == [0]
    assert len(browser.complaints) == 1 and "bad" in browser.complaints[0]
