"""The report: complete, free of outside references, and safe with any text."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
import shutil

import pytest
from test_tables import write_exits, write_run

from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.report import figures, judge, tables
from daisy.report import page as report
from daisy.report.claim import ClaimRow

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "img", "br"}
FIGURES_OF = 2
"""Figures of the page that these tests write."""


def judged(folder):
    """The table of claims of a folder's tables."""
    judge.main(["--settings", "{}", "--tables", str(folder / "tables"), "--out", str(folder / "tables/claims.csv")])


class Page(html.parser.HTMLParser):
    """Collects text and references, and checks that every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.references, self.tags = [], [], [], []
        self.feed(page)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with tables and figures, made once."""
    folder = tmp_path_factory.mktemp("drawn")
    tables.main(write_run(folder))
    judged(folder)
    figures.main(["--settings", "{}", "--tables", str(folder / "tables"), "--out", str(folder / "figures")])
    return folder


@pytest.fixture
def arguments(tmp_path, drawn):
    for name in ("tables", "figures"):
        shutil.copytree(drawn / name, tmp_path / name)
    (tmp_path / "config.yaml").write_text(
        f'run: test\nnote: "{EVIL}"\nupstream: {{checkpoint: daisy/models/hubert_tiny.safetensors}}\n'
    )
    (tmp_path / "summary.csv").write_text(
        "corpus,split,recordings,speakers,minutes,left_out\nspeech,train,123,7,9.5,4\n"
    )
    (tmp_path / "dropped.csv").write_text(
        f"id,reason\na,silence\nb,silence\nc,the same recording as x\nd,the same recording as y\ne,{EVIL}\n"
    )
    (tmp_path / "history.csv").write_text("step,loss,accuracy_1,accuracy_2\n1,3.0,0.2,0.4\n2,2.0,0.4,0.6\n")
    for method, tau in (("daisy-rho0.7", 0.84), ("full", None)):
        path = tmp_path / "downstream" / "sid" / method / "exits.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"task": "sid", "method": method, "tau": tau, "counts": [0, 10, 30]}))
    names = ("tables", "figures", "config.yaml", "summary.csv", "dropped.csv", "history.csv")
    options = ("--tables", "--figures", "--config", "--summaries", "--dropped", "--history")
    pairs = [text for option, name in zip(options, names, strict=True) for text in (option, str(tmp_path / name))]
    histograms = [str(path) for path in sorted(tmp_path.glob("downstream/*/*/exits.json"))]
    out = ["--out", str(tmp_path / "report.html")]
    return ["--settings", '{"run": "test"}', *pairs, "--exits", *histograms, *out]


def test_everything_is_there(arguments, tmp_path):
    report.main(arguments)
    page = Page((tmp_path / "report.html").read_text())
    found = read_table(ClaimRow, tmp_path / "tables" / "claims.csv")
    for claim in found:
        assert claim.claim in page.text and claim.numbers in page.text and claim.group in page.text
    assert f"Of {len(found)} claims, {len(found)} hold" in (tmp_path / "report.html").read_text()
    assert f"{len(found)} hold" in page.text and "2 of 2 hold" in page.text
    assert page.text.index("Full model") < page.text.index("What holds, and what does not"), "the summary comes first"
    assert page.tags.count("img") == FIGURES_OF
    for text in ("accuracy", "80.0 [78.0, 82.0]", "DAISY ρ 1.0, min-max", "1.60×", "5, 6 (fallback)", "0.8400", "123"):
        assert text in page.text
    assert "5 recordings were left out" in page.text and "the same recording as … 2" in page.text
    assert "synthetic" in page.text and "inferred" in page.text and "no substitute" in page.text
    assert "mean over the last 2 of 2 updates" in page.text and "50.0" in page.text
    for name in ("torch", "snakemake", "scikit-learn", "daisy", "Python", "Processor", "Code revision"):
        assert name in page.text


def test_exits_of_the_task_and_the_oracle(arguments, tmp_path):
    """They are explained, shown with their exits, and no oracle is the best of anything."""
    made = write_run(tmp_path / "run", ("sid",))
    tables.main([*made[:3], *write_exits(tmp_path), *made[3:]])
    shutil.copytree(tmp_path / "run" / "tables", tmp_path / "tables", dirs_exist_ok=True)
    judged(tmp_path)
    path = tmp_path / "downstream" / "sid" / "task-ee" / "exits.json"
    path.parent.mkdir()
    scales = [{"rho": 0.7, "tau": 0.35, "counts": [0, 7, 0]}, {"rho": 1.0, "tau": 0.5, "counts": [7, 0, 0]}]
    path.write_text(json.dumps({"task": "sid", "scales": scales}))
    place = arguments.index("--exits") + 1
    given = [*arguments[:place], str(path), *arguments[place:]]
    report.main(given)
    raw = (tmp_path / "report.html").read_text()
    text = Page(raw).text
    assert "Task exits are early exit as other work has it" in text and "An oracle runs DAISY's model" in text
    assert "task exits ρ 0.7, min-max" in text and "oracle ρ 0.5" in text
    assert "layer 2: 7" in raw and "0.0700" in text
    best = re.findall(r'class="rank best"><span>([^<]*)<', raw)
    assert best and not any("90.0" in item for item in best) and any("80.5" in item for item in best)
    path.write_text(json.dumps({"task": "sid", "scales": [{"rho": 0.7, "counts": [0, 7, 0]}]}))
    with pytest.raises(DaisyError, match="no training exit histogram"):
        report.main(given)


def test_verdicts_are_computed(arguments, tmp_path):
    path = tmp_path / "tables" / "grid.csv"
    grid = path.read_text()
    path.write_text(grid.replace(",1.6\n", ",1.1\n").replace(",1.5\n", ",1.1\n"))
    judged(tmp_path)
    report.main(arguments)
    text = Page((tmp_path / "report.html").read_text()).text
    assert "✗ no" in text and "✓ yes" in text and "?" not in text.split("How it was run")[0].replace("hold here?", "")


def test_a_timing_that_contradicts_itself_is_marked(arguments, tmp_path):
    path = tmp_path / "tables" / "grid.csv"
    path.write_text(path.read_text().replace(",1.0\n", ",1.46\n"))
    judged(tmp_path)
    report.main(arguments)
    text = Page((tmp_path / "report.html").read_text()).text
    assert "1.46× ?" in text and "1.60× ?" in text and "? cannot be told" in text
    assert "? The timing contradicts itself: the full model came out 1.46 times as fast as itself" in text


def test_nothing_is_loaded_from_outside(arguments, tmp_path):
    report.main(arguments)
    raw = (tmp_path / "report.html").read_text()
    page = Page(raw)
    assert page.references and all(item.startswith("data:image/svg+xml;base64,") for item in page.references)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "http:" not in raw and "https:" not in raw and "url(" not in raw and "@import" not in raw


def test_it_links_to_the_page_of_its_model_where_there_is_one(arguments, tmp_path):
    report.main(arguments)
    assert "make page" in (tmp_path / "report.html").read_text()
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").touch()
    report.main(arguments)
    page = Page((tmp_path / "report.html").read_text())
    assert "page/index.html" in page.references and "make page" not in page.text


def test_text_is_escaped(arguments, tmp_path):
    card = tmp_path / "card.txt"
    card.write_text(f"{EVIL} {{{{ 1 + 1 }}}}")
    report.main([*arguments, "--card", str(card)])
    raw = (tmp_path / "report.html").read_text()
    assert "<script" not in raw and "{{ 1 + 1 }}" in raw
    assert Page(raw).text.count(EVIL) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", "[1, 2", "not valid YAML"),
        ("config.yaml", "- 1", "not a YAML mapping"),
        ("history.csv", "step,loss,accuracy_1\n", "the history is empty"),
        ("history.csv", "step,loss,accuracy_1\n1,2.0,x\n", "an accuracy is no number"),
        ("summary.csv", "corpus,split\n", "'recordings' is missing"),
        ("figures/fig2_entropy.svg", "nothing", "not an SVG"),
        ("figures/fig3_tradeoff.svg", None, "does not exist"),
        ("tables/grid.csv", None, "does not exist"),
        ("downstream/sid/full/exits.json", '{"task": "sid", "counts": []}', "no training exit histogram"),
    ],
)
def test_damaged_input_is_named(arguments, tmp_path, name, content, message):
    path = tmp_path / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(DaisyError, match=message) as caught:
        report.main(arguments)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def with_examples(folder, sound=None):
    """Examples of one mixture of two voices; returns the arguments of the page."""
    examples = folder / "examples" / "ss"
    (examples / "audio").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (examples / "audio" / f"{name}.flac").write_bytes(sound or b"fLaC" + name.encode())
    files = {
        "Input": ["audio/a.flac"],
        "Reference": ["audio/b.flac", "audio/c.flac"],
        "Full model": ["audio/a.flac"] * 2,
    }
    item = {"id": "x", "speaker": "ann+ben", "files": files, "exit_layers": {"Full model": 12}}
    (examples / "examples.json").write_text(json.dumps({"task": "ss", "examples": [item]}))
    return ["--examples", str(examples / "examples.json")]


def test_examples_can_be_played(arguments, tmp_path):
    given = with_examples(tmp_path)
    report.main([*arguments, *given])
    page = Page((tmp_path / "report.html").read_text())
    assert page.tags.count("audio") == 5 and "ann and ben" in page.text and "exit at layer 12" in page.text
    assert sum(item.startswith("data:audio/flac;base64,") for item in page.references) == 5
    (tmp_path / "examples/ss/audio/c.flac").unlink()
    with pytest.raises(DaisyError, match="c.flac: the recording does not exist"):
        report.main([*arguments, *given])


@pytest.mark.parametrize(
    ("tasks", "own", "said"),
    [
        (("asr", "sid"), {}, "Speech recognition are synthetic speech; those of Speaker identification are recordings"),
        (("asr", "ks", "pr"), {}, "Speech recognition, Keyword spotting, Phoneme recognition are synthetic speech."),
        (("asr", "ks"), {"ks": "mine"}, "Speech recognition are synthetic speech; those of Keyword spotting are"),
        (
            ("asr", "ks", "pr"),
            {"asr": "mine"},
            "Phoneme recognition are synthetic speech; those of Speech recognition, ",
        ),
    ],
)
def test_whose_speech_is_synthetic(drawn, tasks, own, said):
    results = report.read_results(drawn / "tables")
    grid = [dataclasses.replace(row, task=task) for task in tasks for row in results.grid if row.task == "sid"]
    notes = report.notes({"data": {"corpora": own}}, dataclasses.replace(results, grid=grid))
    assert f"The data of {said}" in notes[0]
