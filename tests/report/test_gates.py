"""Gates: each with numbers that pass, that are doubtful and that are wrong; and runs that have not ended."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from daisy.cli.main import main
from daisy.noise.rows import NoiseExitRow, NoiseWerRow
from daisy.report.gate_list import GATES
from daisy.report.gates import Finding, Limits, check, in_words, render
from daisy.report.known_results import KNOWN, SHIPPED, TEST_RECORDINGS
from daisy.report.run_folder import RunFolder

TASKS = ("sid", "asr", "se", "ss")
CONFIG = {
    "data": {"corpora": {"speech": "librispeech", "noise": "musan"}, "splits": {"share": 1.0}},
    "targets": {"kind": "head", "layer": 4},
    "downstream": {"methods": ["daisy", "full", "layer2"]},
    "tasks": dict.fromkeys(TASKS, {}),
    "noise": {"tasks": ["asr"]},
    "report": {"against_published": True},
}
CONFIG["data"]["corpora"] |= {task: corpus for task, (corpus, _) in TEST_RECORDINGS.items()}
METRICS = {
    ("sid", "accuracy"): 60.0, ("asr", "wer"): 10.0, ("se", "pesq"): 2.5, ("se", "stoi"): 93.5, ("ss", "si_sdri"): 8.5
}  # fmt: skip
GOOD: dict[str, Any] = {
    "config": CONFIG,
    "dropped": 0,
    "test": {task: count for task, (_, count) in TEST_RECORDINGS.items()},
    "classes": [90] * 495 + [0] * 5,
    "accuracy": [0.3, 0.4, 0.5, 0.6],
    "losses": [3.0] * 10 + [2.0] * 10,
    # As shares of the largest and smallest mean entropy together, which the shipped thresholds tell.
    "entropy": {task: [0.65, 0.55, 0.45, 0.35] for task in TASKS},
    "tau": 0.5,
    "exits": [10, 20, 30, 40],
    "looks": [2.0, 1.0],
    "full": METRICS,
    "daisy": METRICS,
    "input": 1.97,
    "clock": 1.0,
    "fixed": 1.5,
    "noisy_exit": 3,
    "noisy_wer": 30.0,
}
"""A run at the paper's scale with four layers."""


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_csv(path: Path, header: list[str], rows: list[dict[str, Any]]) -> None:
    """As the stages do, without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


def write_rows(path: Path, rows: list[Any]) -> None:
    write_csv(path, [field.name for field in dataclasses.fields(rows[0])], [dataclasses.asdict(row) for row in rows])


def evaluation_row(task: str, method: str, metric: str, value: float, **more: Any) -> dict[str, Any]:
    row = {"task": task, "method": method, "rho": None, "strategy": None, "metric": metric, "value": value, "seed": 1}
    row |= {"ci_low": value - 0.5, "ci_high": value + 0.5, "higher_is_better": metric != "wer", "n_utterances": 50}
    return row | {"mean_exit_layer": 4.0, "macs_per_second": 1e8, "rtf": 0.1, "speedup_vs_full": 1.0} | more


def write_task(folder: Path, given: dict[str, Any], task: str) -> None:
    """What a task's stages leave."""
    splits = [{"split": part, "recordings": given["test"][task], "speakers": 1251} for part in ("train", "dev", "test")]
    write_csv(folder / f"manifests/{task}/summary.csv", list(splits[0]), splits)
    means = [2 * SHIPPED[task].tau / SHIPPED[task].rho * share for share in given["entropy"][task]]
    tau = given["tau"] * (max(means) + min(means))
    write_json(
        folder / f"calibration/{task}/rho1.json",
        {"task": task, "rule": "midrange", "rho": 1.0, "tau": tau, "mean_entropy": means},
    )
    place = folder / f"downstream/{task}/seed1/daisy-rho1"
    write_json(place / "exits.json", {"task": task, "counts": given["exits"]})
    looks = [{"step": step, "loss": loss} for step, loss in enumerate(given["looks"], start=1)]
    write_csv(place / "history.csv", ["step", "loss"], looks)
    full, daisy, fixed = [], [], []
    for (owner, metric), value in given["full"].items():
        if owner == task:
            tested = {"n_utterances": given["test"][task]}
            full.append(evaluation_row(task, "full", metric, value, speedup_vs_full=given["clock"], **tested))
            cell = {"rho": 1.0, "strategy": "avg"}
            daisy.append(evaluation_row(task, "daisy", metric, given["daisy"][owner, metric], **cell))
            fixed.append(evaluation_row(task, "layer2", metric, value, speedup_vs_full=given["fixed"]))
            if metric == "pesq":
                full.append(evaluation_row(task, "input", metric, given["input"], **tested))
    for name, rows in (("full", full), ("daisy-rho1", daisy), ("layer2", fixed)):
        head = {"task": task, "method": rows[0]["method"], "rho": rows[0]["rho"], "exits": []}
        write_json(folder / f"evaluation/{task}/seed1/{name}.json", {**head, "rows": rows})


def write_run(folder: Path, changes: dict[str, Any]) -> RunFolder:
    """The good run with changes; a change of a mapping changes the items that it names."""
    given = copy.deepcopy(GOOD)
    for name, value in changes.items():
        given[name] = {**given[name], **value} if isinstance(value, dict) else value
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(given["config"]))
    (folder / "store.csv").touch()
    for use in ("speech", "noise", *TASKS):
        lost = [{"id": str(number)} for number in range(given["dropped"])]
        write_csv(folder / f"corpora/{use}/recordings.csv", ["id"], [{"id": str(number)} for number in range(200)])
        write_csv(folder / f"corpora/{use}/dropped.csv", ["id"], lost)
    (folder / "targets").mkdir()
    lines = [f"{name} {count}\n" for name, count in enumerate(given["classes"])]
    (folder / "targets/dict.km.txt").write_text("".join(lines))
    accuracies = {f"accuracy_{k}": value for k, value in enumerate(given["accuracy"], start=1)}
    steps = [{"step": step, "loss": loss, **accuracies} for step, loss in enumerate(given["losses"], start=1)]
    write_csv(folder / "branches/history.csv", list(steps[0]), steps)
    for task in TASKS:
        write_task(folder, given, task)
    noise = folder / "noise/asr"
    exits = [("clean", None, 2), ("music", 20.0, 2), ("music", 0.0, given["noisy_exit"])]
    rows = [NoiseExitRow(kind, ratio, 1.0, "min-max", "u", layer) for kind, ratio, layer in exits]
    write_rows(noise / "daisy-rho1/exits.csv", rows)
    errors = [("clean", None, 10.0), ("music", 20.0, 20.0), ("music", 0.0, given["noisy_wer"])]
    wer = [NoiseWerRow(kind, ratio, "full", None, None, value, value, value) for kind, ratio, value in errors]
    write_rows(noise / "full/wer.csv", wer)
    return RunFolder(folder)


KMEANS = CONFIG | {"targets": {"kind": "kmeans", "layer": 1}}
A_TENTH = CONFIG | {"data": CONFIG["data"] | {"splits": {"share": 0.1}}}


def classes(shares: list[float]) -> list[int]:
    """500 classes: of the given shares, and the rest evenly."""
    rest = 500 - len(shares)
    return [round(10**7 * share) for share in shares] + [round(10**7 * (1 - sum(shares)) / rest)] * rest


def everywhere(shares: list[float]) -> dict[str, list[float]]:
    return dict.fromkeys(TASKS, shares)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "recordings of a published corpus that are left out, per cent": ({"dropped": 1}, {"dropped": 20}),
    "recordings in the test set over those of MiniSUPERB's, of KS and PR SUPERB's": (
        {"test": {"asr": 2_619}},
        {"test": {"asr": 1_000}},
    ),
    "classes that some frame has, per cent": (
        {"classes": [9] * 400 + [0] * 100},
        {"classes": [9] * 200 + [0] * 300},
    ),
    "evenness of the classes: their perplexity over their number": (
        {"classes": classes([0.3])},
        {"classes": classes([0.9])},
    ),
    "accuracy of the best layer's branch, from chance (0) to 1": (
        {"accuracy": [0.1, 0.11, 0.15, 0.2]},
        {"accuracy": [0.002, 0.003, 0.004, 0.03]},
    ),
    "accuracy of the worst layer's branch, from chance (0) to 1": (
        {"accuracy": [0.05, 0.4, 0.5, 0.6]},
        {"accuracy": [0.002, 0.4, 0.5, 0.6]},
    ),
    "accuracy of the last third of the layers over the first third, points": (
        {"accuracy": [0.6, 0.6, 0.6, 0.6]},
        {"accuracy": [0.6, 0.5, 0.5, 0.4]},
    ),
    "layers between the best branch and the clustered layer": ({"config": KMEANS}, None),
    "fall of the loss over the last tenth of the steps, per cent": (
        {"losses": [3.0] * 18 + [1.5] * 2},
        {"losses": [1.0] * 18 + [2.0] * 2},
    ),
    "highest mean entropy over ln C": ({"entropy": {"se": [1.73, 1, 0.9, 0.8]}}, {"entropy": {"se": [2, 1, 0.9, 0.8]}}),
    "lowest mean entropy over the first layer's": (
        {"entropy": everywhere([0.54, 0.5, 0.5, 0.46])},
        {"entropy": everywhere([0.5, 0.5, 0.5, 0.5])},
    ),
    "last layer's mean entropy over the lowest": (
        {"entropy": everywhere([0.65, 0.35, 0.4, 0.5])},
        {"entropy": everywhere([0.75, 0.25, 0.4, 0.6])},
    ),
    "threshold by midrange over the shipped one": (
        {"entropy": {"asr": [0.9, 0.7, 0.5, 0.4]}},
        {"entropy": {"asr": [1.9, 0.7, 0.5, 0.4]}},
    ),
    "threshold between the lowest (0) and the highest (1) mean entropy": ({"tau": 0.3}, {"tau": 0.1}),
    "training exits at one layer, per cent, in the model of which it is most": (
        {"exits": [5, 0, 0, 95]},
        {"exits": [0, 0, 0, 100]},
    ),
    "training loss at the last look over that at the first, the greatest of a task": (
        {"looks": [2.0, 2.1]},
        {"looks": [2.0, 3.0]},
    ),
    "the full model beside one that knows nothing": ({"full": {("asr", "wer"): 80}}, {"full": {("asr", "wer"): 100}}),
    "the full model beside known results": (
        {"full": {("sid", "accuracy"): 75.0}},
        {"full": {("sid", "accuracy"): 95.0}},
    ),
    "PESQ of the noisy test recordings as they are": ({"input": 1.92}, {"input": 2.3}),
    "DAISY's best cell under the full model, half widths of its interval": (
        {"daisy": {("ss", "si_sdri"): 7.5}},
        {"daisy": {("ss", "si_sdri"): 2.5}},
    ),
    "speed of the full model beside itself": ({"clock": 1.2}, {"clock": 2.0}),
    "speed of a fixed exit over the full model": ({"fixed": 1.05}, {"fixed": 0.8}),
    "mean exit at the worst ratio over clean speech, layers": ({"noisy_exit": 2}, {"noisy_exit": 1}),
    "word error rate at the worst ratio over clean speech": ({"noisy_wer": 10.0}, {"noisy_wer": 5.0}),
}
"""By gate, what makes it doubtful and what makes it wrong."""


def verdicts(findings: list[Finding], what: str) -> set[str]:
    found = {item.verdict for item in findings if item.what == what}
    assert found, what
    return found


def test_a_good_run_passes_every_gate(tmp_path):
    findings = check(write_run(tmp_path / "run", {}), GATES)
    assert {item.verdict for item in findings} == {"pass"}, render([item for item in findings if item.cause])
    # The layer that was clustered is asked after where something was.
    assert {gate.what for gate in GATES} - {item.what for item in findings} == {
        "layers between the best branch and the clustered layer"
    }
    clustered = KMEANS | {"targets": {"kind": "kmeans", "layer": 3}}
    findings = check(write_run(tmp_path / "clustered", {"config": clustered, "classes": [90] * 500}), GATES)
    assert {item.verdict for item in findings} == {"pass"} and {item.what for item in findings} == {
        gate.what for gate in GATES
    }


def test_every_gate_is_tested():
    assert list(CASES) == [gate.what for gate in GATES]


@pytest.mark.parametrize("what", CASES)
def test_a_gate_tells_doubtful_from_wrong(tmp_path, what):
    for name, changes in zip(("doubtful", "wrong"), CASES[what], strict=True):
        if changes is not None:
            findings = check(write_run(tmp_path / name, changes), GATES)
            assert name in verdicts(findings, what) <= {name, "pass"}
            assert all(bool(item.cause) == (item.verdict in ("doubtful", "wrong")) for item in findings)


def test_only_the_paper_is_set_beside_what_is_published(tmp_path):
    """A run on a tenth of the tasks has its thresholds compared, but no results; the demo neither."""
    tenth = {"test": {task: round(count / 10) for task, (_, count) in TEST_RECORDINGS.items()}}
    pilot = check(write_run(tmp_path / "pilot", {"config": A_TENTH, **tenth}), GATES)
    assert {item.verdict for item in pilot} == {"pass"}
    assert not {item.what for item in pilot} & {
        "the full model beside known results",
        "PESQ of the noisy test recordings as they are",
    }
    embedded = {"data": {"corpora": {}, "splits": {}}, "report": {"against_published": False}}
    demo = {item.what for item in check(write_run(tmp_path / "demo", {"config": CONFIG | embedded}), GATES)}
    beside = ("shipped", "known", "published", "MiniSUPERB", "noisy test recordings", "clustered layer")
    assert {gate.what for gate in GATES} - demo == {
        gate.what for gate in GATES if any(word in gate.what for word in beside)
    }


def test_another_signal_is_not_held_against_entropies(tmp_path):
    """Neither the scale of ln C nor the shipped thresholds are a margin's."""
    other = CONFIG | {"thresholds": {"signal": "margin"}}
    entropy, margin = (
        {item.what for item in check(write_run(tmp_path / name, {"config": config}), GATES)}
        for name, config in (("entropy", CONFIG), ("margin", other))
    )
    lost = {"shipped", "known", "published", "MiniSUPERB", "noisy test recordings", "over ln C"}
    assert margin < entropy and all(any(word in what for word in lost) for what in entropy - margin)


def test_a_run_that_has_not_ended(tmp_path, capsys):
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs/resolved_config.log").touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"targets": {"kind": "kmeans", "layer": 4}}))
    findings = check(RunFolder(folder), GATES)
    assert {item.verdict for item in findings} == {"not yet"} and {item.what for item in findings} == set(CASES)
    given = copy.deepcopy(GOOD)
    write_task(folder, given, "asr")
    for name in (
        "evaluation/asr/seed1/layer6.json",
        "calibration/asr/rho2.json",
        "downstream/asr/seed1/full/exits.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(folder / "not made yet")
    some = check(RunFolder(folder), GATES)
    spread = {item.about: item.verdict for item in some if item.stage == "downstream" and "exits" in item.what}
    assert spread == {"asr, seed1/daisy-rho1": "pass", "sid": "not yet", "se": "not yet", "ss": "not yet"}
    assert main(["check", str(folder)]) == 0
    assert "not yet" in capsys.readouterr().out


def test_the_command_says_what_is_wrong_and_why(tmp_path, capsys):
    write_run(tmp_path / "run", {"full": {("asr", "wer"): 100.0}})
    assert main(["check", str(tmp_path / "run")]) == 4
    text = capsys.readouterr().out
    assert "wrong" in text and "CTC first gives blanks alone" in text and text.splitlines()[-1].endswith("0 not yet")
    assert main(["check", str(tmp_path / "run"), "--json"]) == 4
    wrong = [item for item in json.loads(capsys.readouterr().out) if item["verdict"] == "wrong"]
    assert {item["about"] for item in wrong} == {"asr, wer"} and wrong[0]["value"] == 100
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.yaml").write_text("a: 1\n")
    for folder in (tmp_path, tmp_path / "other"):
        assert main(["check", str(folder)]) == 1
        assert "no run is here" in capsys.readouterr().err


def test_a_copy_whose_links_lead_nowhere_is_told(tmp_path, capsys):
    folder, store = tmp_path / "results/run", tmp_path / "store"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs/resolved_config.log").touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "branches").symlink_to("../../store/branches-abc")
    assert main(["check", str(folder)]) == 1
    assert "its links lead to a store that is not there" in capsys.readouterr().err
    store.mkdir()
    assert main(["check", str(folder)]) == 0, "a stage that is still to come"


def test_an_exit_at_the_end_need_not_be_faster(tmp_path):
    methods = CONFIG["downstream"] | {"methods": [*CONFIG["downstream"]["methods"], "layer3", "layer4"]}
    folder = write_run(tmp_path / "run", {"config": CONFIG | {"downstream": methods}})
    about = {item.about for item in check(folder, GATES) if item.what.startswith("speed of a fixed exit")}
    assert {"asr, layer2", "asr, layer3"} <= about and "asr, layer4" not in about, sorted(about)


def test_bounds():
    limits = Limits((1, None), (0, None))
    assert [limits.verdict(value) for value in (None, 1, 0.5, -1, float("nan"))] == [
        "not yet", "pass", "doubtful", "wrong", "wrong"
    ]  # fmt: skip
    assert [in_words(bounds) for bounds in ((1, 1), (1, 2), (None, 2), (1, None), (None, None))] == [
        "1", "1 to 2", "at most 2", "at least 1", "any"
    ]  # fmt: skip
    # What is known lies where a gate passes it, or next to that: the best learning rate is not MiniSUPERB's.
    gate = next(gate for gate in GATES if gate.what == "the full model beside known results")
    assert [gate.limits[f"{item.task} {item.metric}"].verdict(item.value) for item in KNOWN] == [
        "pass", "doubtful", "pass", "pass", "pass", "pass", "pass", "pass"
    ]  # fmt: skip


def test_two_tasks_more_are_held_against_their_own_bounds(tmp_path, monkeypatch):
    more = {"ks": {"options": {"keywords": ["yes", "no"]}}, "pr": {}}
    run = write_run(tmp_path / "run", {"config": CONFIG | {"tasks": more}})
    given = GOOD | dict.fromkeys(("full", "daisy"), {("ks", "accuracy"): 96.0, ("pr", "per"): 17.0})
    for task in more:
        monkeypatch.setitem(SHIPPED, task, SHIPPED["asr"])
        write_task(tmp_path / "run", given | {"entropy": {task: GOOD["entropy"]["asr"]}}, task)
    found = {(item.what, item.about): item for item in check(run, GATES)}
    known, least = "the full model beside known results", "the full model beside one that knows nothing"
    assert found[known, "ks, accuracy"].verdict == "pass" and found[known, "pr, per"].verdict == "wrong"
    # Of four classes one is right by chance.
    assert found[least, "ks, accuracy"].value == pytest.approx((96 - 25) / 75)
    assert found[least, "pr, per"].verdict == "pass"
