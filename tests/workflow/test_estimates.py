"""How long jobs would take: scaled from records of jobs like them, and unknown otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daisy.common import spent
from daisy.common.batches import seconds_per_step
from daisy.workflow import estimates
from daisy.workflow.estimates import Estimates, GpuPage, Measured, Ran, Rule, line, measured

STATES = {"view": {"pooled": False}, "compute": {"device": "auto", "precision": "float32"}}


def states(seconds: float, rate: float = 0.02, **others: Any) -> Measured:
    """A job of states that started for 4 s and passed over `seconds` of audio."""
    facts: dict[str, Any] = {"model": (12, 128), "device": "cpu", "settings": STATES} | others
    job = Ran("features.states", facts.pop("settings"), {"part": "train"}, 1)
    return Measured(job, 4 + rate * seconds, 4.0, {"s of audio": (seconds, rate * seconds)}, **facts)


def seconds(known: list[Measured], audio: float, gpu: str | None = None) -> float | None:
    return Estimates(known, (12, 128), gpu).seconds(
        Ran("features.states", STATES, {"part": "test"}, 1), {"s of audio": audio}
    )


def test_a_time_is_a_start_and_so_much_for_each_second():
    assert seconds([states(50)], 5000) == pytest.approx(104)
    assert seconds([states(5000)], 50) == pytest.approx(5)
    assert seconds([], 50) is None


@pytest.mark.parametrize(
    "other",
    [
        {"model": (12, 768)},
        {"device": "NVIDIA H200"},
        {"settings": {**STATES, "view": {"pooled": True}}},
        {"settings": {**STATES, "compute": {"device": "auto", "precision": "bfloat16"}}},
    ],
    ids=["model", "device", "view", "precision"],
)
def test_nothing_is_taken_over_from_jobs_that_are_unlike(other):
    assert seconds([states(50, **other)], 50) is None
    assert seconds([states(50, **other), states(50)], 50) == pytest.approx(5)


def test_a_student_is_not_measured_by_its_teacher():
    job = Ran("features.states", STATES, {"part": "test"}, 1, model=(2, 128))
    known = [states(50), states(50, 0.01, model=(2, 128))]
    assert Estimates(known, (12, 128), None).seconds(job, {"s of audio": 1000}) == pytest.approx(14)
    assert Estimates(known[:1], (12, 128), None).seconds(job, {"s of audio": 1000}) is None


def test_a_gpu_tells_of_itself_alone():
    known = [states(50, 0.02), states(50, 0.001, device="NVIDIA H200")]
    on_gpu = Estimates(known, (12, 128), "NVIDIA H200")
    job = Ran("features.states", STATES, {"part": "test"}, 1)
    assert on_gpu.seconds(job, {"s of audio": 1000}) == pytest.approx(5)
    assert Estimates(known, (12, 128), "").seconds(job, {"s of audio": 1000}) == pytest.approx(5), "whichever it is"


def test_a_start_and_a_rate_are_told_apart_by_jobs_of_different_lengths():
    assert line([(10, 1.2), (20, 1.4), (100, 3.0)], 1000) == pytest.approx(21)
    assert line([(10, 1.2)], 100) == pytest.approx(12), "one job tells a rate alone"
    assert line([(10, 3), (100, 2), (1000, 1)], 10) > 0, "no rate is negative"


def test_what_was_never_done_in_such_an_amount_is_unknown_for_k_means():
    job = Ran("targets.kmeans", {"clusters": 16}, {}, 2)
    known = [Measured(job, 6.0, 4.0, {estimates.CLUSTERED: (1e6, 2.0)}, None, None)]
    of = Estimates(known, (12, 128), None).seconds
    assert of(job, {estimates.CLUSTERED: 2e6}) == pytest.approx(8) and of(job, {estimates.CLUSTERED: 1e8}) is None


START, WARMUP = 4.0, 2.0


def ran(steps: float, rate: float) -> float:
    """Seconds of a made-up job: a start, a warm-up, and so much for each step."""
    return START + WARMUP + rate * steps


@pytest.mark.parametrize("times", [0.01, 0.1, 1, 10, 30])
@pytest.mark.parametrize("rate", [0.001, 0.02, 0.5, 10])
@pytest.mark.parametrize("steps", [2, 10, 1000])
def test_another_scale_is_predicted_from_one_job(tmp_path, steps, rate, times):
    """Within a factor of 1.5, up and down, whatever share of its time the first step, the start and the warm-up had."""
    settings = {"batch_seconds": 60.0, "position": "after-norm", "compute": {"precision": "float32"}}
    steps_spent = {"seconds": ran(steps, rate) - START, "first": {"amount": 1, "seconds": WARMUP + rate, "cpu": 0}}
    columns = {"s": str(ran(steps, rate)), "rule_name": "branches", "wildcards": "{'key': 'abc'}", "threads": "2"}
    columns["params"] = repr({"settings": json.dumps(settings)})
    (tmp_path / "branches-abc.tsv").write_text("\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n")
    facts = {"model": [12, 128], "device": "cpu", "seconds_per_step": 60.0}
    record = {"spent": {"parts": {"steps": {"amount": steps, **steps_spent}}, **facts}}
    (tmp_path / "abc.log.json").write_text(json.dumps(record))
    known = measured(tmp_path, {"branches": Rule("branches.train", lambda wildcards: f"{tmp_path}/abc.log")})
    job = Ran("branches.train", settings, {}, 2)
    predicted = Estimates(known, (12, 128), None).seconds(job, {"steps": times * steps * 60})
    assert predicted == pytest.approx(ran(times * steps, rate)), "the rate is that of the later steps"


def test_benchmarks_and_records_are_read_together(tmp_path):
    settings = {"steps": 6, "batch_seconds": 60.0, "position": "after-norm", "compute": {"precision": "float32"}}
    columns = {"s": "30.0", "rule_name": "branches", "wildcards": "{'key': 'abc'}", "threads": "2"}
    columns["params"] = repr({"settings": json.dumps(settings)})
    (tmp_path / "branches-abc.tsv").write_text("\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n")
    (tmp_path / "old.tsv").write_text("s\n3\n")
    rules = {"branches": Rule("branches.train", lambda wildcards: f"{tmp_path}/{wildcards['key']}.log")}
    assert not measured(tmp_path, rules), "a benchmark without a record tells nothing"
    steps = {"amount": 6, "seconds": 20.0, "cpu": 10.0, "first": {"amount": 1, "seconds": 10.0, "cpu": 5.0}}
    facts = {"model": [12, 128], "device": "cpu", "seconds_per_step": 45.0}  # few recordings do not fill a batch
    record = {"spent": {"seconds": 28, "cpu": 12, "parts": {"steps": steps}, **facts}}
    (tmp_path / "abc.log.json").write_text(json.dumps(record))
    (found,) = measured(tmp_path, rules)
    assert found.parts == {"steps": (6 * 45, 12.0)} and found.fixed == 18 and found.model == (12, 128)
    (by_cpu,) = measured(tmp_path, rules, "cpu")
    assert by_cpu.parts == {"steps": (6 * 45, 6.0)} and by_cpu.fixed == 6
    assert found.file == str(tmp_path / "branches-abc.tsv")


def test_the_page_of_a_gpu_is_used_for_the_shape_that_it_measured(tmp_path):
    folder = tmp_path / estimates.PAGE
    folder.mkdir(parents=True)
    (folder / "machines.csv").write_text("part,processor,layers,width\nstages,a GPU,12,768\n")
    (folder / "stages.csv").write_text("system,against,ratio\nextract all float32,real time,0.004\n")
    job = Ran("features.states", {**STATES, "compute": {"device": "cuda", "precision": "float32"}}, {}, 1)
    page = GpuPage(tmp_path, (12, 768))
    long, short = (page.seconds(job, {"s of audio": amount}) for amount in (20_000, 10_000))
    assert page.gpu == "a GPU" and long is not None and short is not None
    assert long - short == pytest.approx(40)
    assert GpuPage(tmp_path, (12, 128)).seconds(job, {"s of audio": 1.0}) is None
    assert GpuPage(Path(tmp_path / "none"), (12, 768)).gpu == ""


def test_parts_inside_others_count_once(monkeypatch):
    monkeypatch.setattr(spent, "_parts", {})
    monkeypatch.setattr(spent, "_first", {})
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(spent.time, "monotonic", lambda: float(next(ticks)))
    count = spent.Count("steps")
    with spent.part("dev frames", 5):
        pass
    count.add(1)
    count.add(1)
    parts = spent.told()["parts"]
    assert parts["dev frames"]["amount"] == 5 and parts["dev frames"]["seconds"] == 10
    assert parts["steps"]["amount"] == 2 and parts["steps"]["first"]["amount"] == 1
    assert parts["steps"]["seconds"] == 30, "40 s by the clock from the first look to the last, less the inner 10"


@pytest.mark.parametrize(("frames", "expected"), [(1.0, 1.0), (50.0, 32 * 50.0), (None, None)])
def test_a_step_weighs_its_frames_unless_a_recording_is_one_vector(frames, expected):
    facts = {} if frames is None else {"frames_per_recording": frames}
    assert estimates.weight(Ran("downstream.train", {"batch_size": 32}, {}, 1), "steps", facts) == expected


def test_a_step_of_branches_has_as_much_audio_as_its_batches():
    """Few recordings of different lengths fill no batch, since little of it may be padding."""
    assert seconds_per_step([16_000] * 100, 10) == pytest.approx(10)
    assert seconds_per_step([16_000, 32_000, 64_000], 10) == pytest.approx(7 / 3)
