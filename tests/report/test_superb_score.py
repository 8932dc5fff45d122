"""The MiniSUPERB score: 0 at FBANK, 1000 at the best model, over four tasks, whatever the metrics' directions."""

from __future__ import annotations

import pytest
import yaml

from daisy.cli.main import main
from daisy.common.columns import write_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import GridRow
from daisy.report.superb_score import PUBLISHED, read_anchors, score

FBANK = {("asr", "wer"): 40.0, ("sid", "accuracy"): 20.0, ("se", "pesq"): 2.5, ("se", "stoi"): 90.0}
FBANK |= {("ss", "si_sdri"): 8.0}
BEST = {("asr", "wer"): 10.0, ("sid", "accuracy"): 90.0, ("se", "pesq"): 2.7, ("se", "stoi"): 95.0}
BEST |= {("ss", "si_sdri"): 12.0}


@pytest.fixture
def anchors(tmp_path):
    """A file of made-up anchors."""
    content: dict = {}
    for (task, metric), value in FBANK.items():
        content.setdefault(task, {})[metric] = {"fbank": value, "best": BEST[task, metric]}
    path = tmp_path / "anchors.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def row(task, metric, value, method="full", rho=None, strategy=None):
    return GridRow(task, method, rho, strategy, metric, value, value, value, metric != "wer", 9, 5.0, 1e9, 0.1, 1.0)


def test_the_scale(anchors):
    found = read_anchors(anchors)
    assert score(FBANK, found) == 0 and score(BEST, found) == 1000
    # Word errors halfway; two metrics of SE, half a task each; separation beyond the best; identification under FBANK.
    mixed = {("asr", "wer"): 25.0, ("sid", "accuracy"): 13.0, ("se", "pesq"): 2.6, ("se", "stoi"): 95.0}
    mixed |= {("ss", "si_sdri"): 13.0}
    assert score(mixed, found) == pytest.approx((500 - 100 + (500 + 1000) / 2 + 1250) / 4)


def test_a_run_beside_published_scores(anchors, tmp_path, capsys):
    grid = [row(*key, value) for key, value in BEST.items()]
    grid += [row(*key, value, "daisy", 0.7, "avg") for key, value in FBANK.items()]
    # What not every task has, has no score; a further task does not count.
    grid += [row("sid", "accuracy", 9.0, "layer6"), row("se", "pesq", 1.9, "input"), row("ks", "accuracy", 9.0)]
    write_table(GridRow, tmp_path / "run/tables/grid.csv", grid)
    command = ["score", str(tmp_path / "run"), "--anchors", str(anchors)]
    assert main(command) == 0
    lines = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    found = {name.strip(): int(value) for name, value in lines}
    assert found == {"full model (this run)": 1000, "DAISY ρ 0.7, avg (this run)": 0} | {
        f"{name} (published)": value for name, value in PUBLISHED.items()
    }
    write_table(GridRow, tmp_path / "run/tables/grid.csv", [item for item in grid if item.task not in ("se", "ss")])
    assert main(command) == 1 and "the run has no se and no ss" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("asr: {wer: {fbank: 40}}", "asr.wer.best is None, not a number"),
        ("asr: {wer: {fbank: 40, best: 40.0}}", "asr.wer: fbank and best are the same"),
        ("[", "the anchors cannot be read"),
    ],
)
def test_anchors_that_are_none(text, problem, tmp_path):
    (tmp_path / "anchors.yaml").write_text(text)
    with pytest.raises(DaisyError, match=problem):
        read_anchors(tmp_path / "anchors.yaml")
    with pytest.raises(DaisyError, match="the anchors cannot be read"):
        read_anchors(tmp_path / "none.yaml")
