"""What a plan says of time: shares of cores and GPUs, chains, and what nobody knows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from daisy.errors import DaisyError
from daisy.workflow import comparison
from daisy.workflow.comparison import Compared
from daisy.workflow.plan import Asked
from daisy.workflow.planned import Machine, Plan, Planned, elapsed, render


def job(seconds: float | None, rule: str = "states", threads: int = 1, gpus: int = 0) -> Planned:
    return Planned(rule, ("not made yet",), seconds, threads, gpus)


def test_jobs_share_cores():
    assert elapsed([job(10)] * 64, Machine(32)) == 20
    assert elapsed([job(10, threads=8)] * 4, Machine(4)) == 40


def test_jobs_on_gpus_share_those_and_not_the_cores():
    assert elapsed([job(10, gpus=1)] * 64, Machine(32, 8)) == 80
    assert elapsed([job(10, gpus=2)] * 64, Machine(32, 8)) == 160
    assert elapsed([job(10, threads=8, gpus=1)] * 64, Machine(16, 8)) == 320, "eight cores each are scarcer"
    assert elapsed([job(10, gpus=1)] * 8 + [job(10)] * 32, Machine(32, 8)) == 20


def test_nothing_is_faster_than_its_longest_job_or_chain():
    assert elapsed([job(100), job(10)], Machine(32)) == 100
    assert elapsed([job(100), job(10)], Machine(32), chain=110) == 110


def test_what_is_unknown_is_said_and_is_not_nothing():
    jobs = [job(90, threads=2), job(None, "download"), job(None, "pretrain_phones"), job(None, "own_corpus")]
    told = render(Plan(jobs, [], [], Machine(2)))
    assert "4 jobs, 3 of unknown time, the others about 2 min on 2 cores, hardly any disk\n" in told
    assert "1 download, 1 own_corpus, 1 pretrain_phones." in told
    assert [line.split()[:3] for line in told.splitlines() if line.startswith("download")] == [["download", "1", "?"]]
    nothing = render(Plan(jobs[1:], [], [], Machine(2)))
    assert "3 jobs, time unknown" in nothing and "about" not in nothing


def test_a_group_of_which_a_part_is_known_says_so():
    told = render(Plan([job(90), job(None)], [], [], Machine(1, 1)))
    assert "about 2 min+" in told and "2 jobs, 1 of unknown time, the others about 2 min on 1 core and 1 GPU," in told


@pytest.mark.parametrize(("predicted", "said"), [(12.0, ["1.20"]), (None, [])])
def test_predicted_and_taken_are_compared_rule_by_rule(predicted, said):
    told = comparison.render([Compared("states", "asr", predicted, 10.0), Compared("kmeans", "", 5.0, 10.0)], 3)
    rows = [line.split() for line in told.splitlines()]
    assert rows[1] == ["kmeans", "1", "5.0", "s", "10.0", "s", "0.50"]
    assert rows[2][-len(said) or None :] == said or rows[2] == ["states", "asr", "1", "?", "10.0", "s"]
    assert rows[3][-1] == ("0.85" if predicted else "0.50")
    assert told.endswith("Of 3 jobs 1 have not run, or ran with other code, settings or inputs.")
    part = [Compared("states", "asr", predicted, 10.0), Compared("states", "asr", 5.0, 10.0)]
    counted = (
        ["2", "17.0", "s", "20.0", "s", "0.85"] if predicted else ["1", "of", "2", "5.0", "s", "10.0", "s", "0.50"]
    )
    assert comparison.render(part, 2).splitlines()[1].split() == ["states", "asr", *counted]


def test_a_run_that_is_not_there_is_not_compared(tmp_path, monkeypatch):
    flow = SimpleNamespace(context=SimpleNamespace(home=str(tmp_path / "gone")))
    monkeypatch.setattr(comparison, "graph", lambda asked, machine, look: look(SimpleNamespace(globals={"flow": flow})))
    with pytest.raises(DaisyError, match="gone: no run is here"):
        comparison.compare(Asked(Path("Snakefile")), Machine(1), "seconds")
