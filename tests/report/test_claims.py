"""Claims: what holds, what does not, what cannot be told, and the table of it."""

from __future__ import annotations

import dataclasses

import pytest
from test_tables import row, write_run

from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import CandidateRow, EntropyRow, GridRow
from daisy.exits.method import Method
from daisy.noise.rows import NoiseExitRow, NoiseWerRow
from daisy.report import judge, tables
from daisy.report.choice import choose
from daisy.report.claim import ClaimRow
from daisy.report.claims import (
    Evidence,
    beats_fixed_exit,
    claims,
    entropy_falls,
    gains_over_input,
    keeps_quality,
    matches_task_exits,
    outlives_student,
    reaches_target,
    speed_follows_exits,
)
from daisy.report.grid import best_of, rows_of
from daisy.report.noise_claims import exits_later, withstands_noise

FULL, LAYER6 = row("full", 80.0, exit=12.0), row("layer6", 76.0, speed=1.4)
YES, NO, OPEN = "yes", "no", "cannot be told"


def daisy(value, **options):
    return row("daisy", value, rho=1.0, strategy=options.pop("strategy", "avg"), **options)


def kept(*cells, **evidence):
    return keeps_quality(Evidence(cells, **evidence), "sid", "accuracy")


def test_quality_is_kept():
    slow, fast = daisy(80.0, speed=1.1, exit=9.0, strategy="min-max"), daisy(78.5, speed=1.3)
    claim = kept(FULL, slow, fast)
    assert claim.holds == YES and "ρ 1.0, avg" in claim.numbers and "1.30×" in claim.numbers
    assert kept(FULL, daisy(77.9, speed=1.3)).reason == "No cell that costs less keeps the result."
    claim = kept(FULL, daisy(80.0, speed=0.9))
    assert claim.holds == NO and "saves 50% of the operations" in claim.reason
    assert kept(FULL).holds == OPEN
    errors = [dataclasses.replace(item, higher_is_better=False) for item in (FULL, daisy(81.5, speed=1.2))]
    assert kept(*errors).holds == YES
    errors[1] = dataclasses.replace(errors[1], value=82.5)
    assert kept(*errors).holds == NO


def test_verdicts_need_ground():
    def wer(method, value, **options):
        return dataclasses.replace(row(method, value, task="asr", metric="wer", higher=False, **options))

    cell = {"rho": 1.0, "strategy": "avg", "speed": 1.5}
    lost = Evidence([wer("full", 100.0, exit=12.0), wer("layer6", 99.0), wer("daisy", 100.0, **cell)])
    for claim in (keeps_quality(lost, "asr", "wer"), beats_fixed_exit(lost, "asr", "wer", Method("layer", layer=6))):
        assert claim.holds == OPEN and "not clearly better than one who writes nothing (100)" in claim.reason
    heard = Evidence([wer("full", 30.0, exit=12.0), wer("daisy", 31.0, **cell)])
    assert keeps_quality(heard, "asr", "wer").holds == YES
    wide = dataclasses.replace(heard.grid[0], ci_low=0.0, ci_high=70.0)
    claim = keeps_quality(Evidence([wide, heard.grid[1]]), "asr", "wer")
    assert claim.holds == OPEN and "reaches more than half of the way" in claim.reason
    guess = [dataclasses.replace(FULL, value=4.0, ci_low=2.0, ci_high=6.0), daisy(5.0, speed=1.5)]
    assert "a guess among 35 speakers" in kept(*guess, speakers={"sid": 35}).reason
    assert kept(FULL, daisy(80.0, speed=1.5), speakers={"sid": 35}).holds == YES


def test_a_clock_that_contradicts_itself_tells_nothing():
    hasty = dataclasses.replace(FULL, speedup_vs_full=1.46)
    claim = kept(hasty, daisy(80.0, speed=1.5))
    assert claim.holds == OPEN and "1.46 times as fast as itself" in claim.reason
    cells = [hasty, daisy(80.0, exit=5.0, speed=1.5), daisy(80.0, exit=6.0, speed=1.3)]
    assert speed_follows_exits(Evidence(cells), "sid").holds == OPEN
    assert reaches_target(Evidence(cells)).holds == OPEN
    assert beats_fixed_exit(Evidence([*cells, LAYER6]), "sid", "accuracy", Method("layer", layer=6)).holds == YES


def test_fixed_exit():
    def ask(*cells):
        return beats_fixed_exit(Evidence([FULL, *cells]), "sid", "accuracy", Method("layer", layer=6))

    assert ask(LAYER6, daisy(76.0, exit=6.0)).holds == YES
    claim = ask(LAYER6, daisy(75.9, exit=5.0))
    assert claim.holds == OPEN and "inside the other's interval" in claim.reason
    assert ask(LAYER6, daisy(73.9, exit=5.0)).holds == NO
    assert "No cell costs as little" in ask(LAYER6, daisy(79.0, exit=7.0)).reason
    assert "layers above layer 6 add nothing" in ask(row("layer6", 79.0), daisy(70.0, exit=5.0)).reason
    assert ask(daisy(79.0)).holds == OPEN
    assert ask(LAYER6).holds == OPEN


def test_exits_trained_for_the_task():
    def ask(*cells):
        return matches_task_exits(Evidence([FULL, *cells]), "sid", "accuracy")

    own = row("task-ee", 78.0, rho=0.7, strategy="avg", exit=6.0)
    worse = row("task-ee", 70.0, rho=1.0, strategy="avg", exit=2.0)
    assert ask(own, worse, daisy(78.0, exit=6.0)).holds == YES, "the best of the task's own cells counts"
    claim = ask(own, worse, daisy(75.9, exit=6.0), daisy(79.0, exit=7.0, strategy="min-max"))
    assert claim.holds == NO and "task exits ρ 0.7, avg: 78.0 [76.0, 80.0] at 0.600 billion" in claim.numbers
    claim = ask(own, daisy(79.0, exit=7.0))
    assert claim.holds == NO and "No cell costs as little" in claim.reason
    assert ask(own).holds == OPEN
    groups = [claim.group for claim in claims(Evidence([FULL, own, daisy(78.0)]))]
    assert sum("exits trained for the task" in group for group in groups) == 1
    assert not any("exits trained for the task" in claim.group for claim in claims(Evidence([FULL, daisy(78.0)])))


@pytest.mark.parametrize(
    ("value", "layers", "holds", "told"),
    [
        (79.5, 2.0, NO, "distilled student 79.5 [77.5, 81.5] at 0.200 billion"),
        (78.0, 2.0, OPEN, "too few test utterances"),
        (70.0, 2.0, YES, "DAISY ρ 1.0, avg: 79.0 [77.0, 81.0] at 0.600 billion"),
        (79.5, 7.0, YES, "costs more"),
    ],
)
def test_a_student(value, layers, holds, told):
    student, cell = row("student", value, exit=layers), daisy(79.0, exit=6.0)
    (claim,) = [claim for claim in claims(Evidence([FULL, student, cell])) if "distilled student" in claim.group]
    assert claim.holds == holds and told in f"{claim.numbers} {claim.reason}"
    assert outlives_student(Evidence([FULL, cell]), "sid", "accuracy").holds == OPEN
    assert "keeps the full model's" in outlives_student(Evidence([FULL, student]), "sid", "accuracy").reason
    assert not any("student" in claim.group for claim in claims(Evidence([FULL, cell])))


def test_the_cell_comes_from_the_table_that_is_named():
    """Whatever the test set says: only the numbers are its own."""
    test = [FULL, daisy(80.0, speed=1.5, exit=5.0), daisy(79.0, speed=1.2, strategy="min-max")]
    dev = [FULL, daisy(70.0, speed=1.5, exit=5.0), daisy(79.0, speed=1.2, strategy="min-max")]
    assert choose(test).strategy == "avg" and choose(dev).strategy == "min-max"
    assert "79.0 at 1.20×" in kept(*test, choosing=dev).numbers and "80.0 at 1.50×" in kept(*test).numbers
    assert choose(test, within=row("layer1", 1.0, exit=1.0).cell) is None, "not among the rows"
    cheap = row("layer4", 50.0, exit=4.0)
    assert (
        choose([*test, cheap], within=cheap.cell) is None
        and choose([*test, LAYER6], within=LAYER6.cell).strategy == "avg"
    )
    assert choose([FULL]) is None and choose(test[1:]) is None
    dearer = [FULL, LAYER6, daisy(80.0, speed=1.5, exit=6.5)]
    claim = beats_fixed_exit(Evidence(dearer, choosing=[*test, LAYER6]), "sid", "accuracy", LAYER6.cell.method)
    assert claim.holds == NO and "not on the test set" in claim.reason


def test_an_oracle_takes_no_part_in_claims():
    cells = [FULL, LAYER6, daisy(76.0, exit=6.0)]
    oracle = row("oracle", 99.0, rho=1.0, exit=1.0, speed=9.0)
    assert claims(Evidence([*cells, oracle])) == claims(Evidence(cells))
    assert best_of(rows_of([*cells, oracle], "sid")) == 80.0


def test_entropy():
    def ask(*means, target_layer=None):
        rows = [EntropyRow("sid", layer, mean) for layer, mean in enumerate(means, start=1)]
        return entropy_falls(Evidence([FULL], rows, target_layer=target_layer), "sid")

    assert ask(1.5, 1.2, 1.0).holds == YES
    assert ask(1.5, 1.0, 1.04).holds == YES
    assert (ask(1.5, 1.0, 1.06).holds, ask(1.5, 1.0, 1.06).reason) == (NO, None)
    assert "clusters of that layer" in ask(1.5, 1.0, 1.06, target_layer=2).reason
    assert ask().holds == OPEN


def test_speed_follows_exits():
    def ask(*cells, candidates=()):
        return speed_follows_exits(Evidence(cells, candidates=candidates), "sid")

    cells = [daisy(80.0, exit=5.0, speed=1.5), daisy(80.0, exit=6.0, speed=1.3), daisy(80.0, exit=8.0, speed=1.2)]
    assert ask(*cells).holds == YES
    assert ask(*cells, daisy(80.0, exit=5.2, speed=1.6)).holds == YES
    claim = ask(*cells, daisy(80.0, exit=9.0, speed=1.25))
    assert claim.holds == NO and "5 of 6" in claim.numbers and "83%" in claim.numbers and claim.reason is None
    checked = [
        CandidateRow("sid", "daisy", 1.0, "min-max", "4 5 6", False),
        CandidateRow("sid", "daisy", 1.0, "avg", "6 7", False),
    ]
    claim = ask(daisy(80.0, exit=5.0, speed=1.1, strategy="min-max"), daisy(80.0, exit=6.5), candidates=checked)
    assert claim.holds == YES
    claim = ask(daisy(80.0, exit=5.0, speed=0.9, strategy="min-max"), daisy(80.0, exit=6.5), candidates=checked)
    assert claim.holds == NO and "all of the other 1 the earlier one has more candidate layers" in claim.reason
    assert ask(*cells[:1]).holds == OPEN


def test_target():
    assert reaches_target(Evidence([FULL, daisy(70.0, speed=1.2)])).holds == YES
    assert reaches_target(Evidence([FULL, daisy(80.0, speed=1.19)])).holds == NO
    assert reaches_target(Evidence([FULL, daisy(80.0, speed=1.5, strategy="min-max")])).holds == OPEN


def test_gain_over_the_input():
    def ask(before, after, width=0.1):
        full = dataclasses.replace(
            row("full", after, metric="pesq", task="se"), ci_low=after - width, ci_high=after + width
        )
        return gains_over_input(
            Evidence([full, row("input", before, metric="pesq", task="se", exit=0.0)]), "se", "pesq"
        )

    assert ask(1.30, 1.46).holds == YES
    assert ask(1.30, 1.40, 0.04).holds == NO
    assert "no gain at all" in ask(1.30, 1.40, 0.2).reason
    same = gains_over_input(Evidence([row("full", 2.0), row("input", 2.0, exit=0.0)]), "sid", "accuracy")
    assert same is not None and same.holds == YES, "not to lower a result is enough where no gain is asked"
    assert gains_over_input(Evidence([FULL]), "sid", "accuracy") is None, "an input that cannot be scored has no claim"


def exits(*means):
    ratios = ((None, "clean"), (20.0, "music"), (10.0, "music"))
    return [
        NoiseExitRow(kind, snr_db, 1.0, "min-max", str(place), layer)
        for (snr_db, kind), layers in zip(ratios, means, strict=True)
        for place, layer in enumerate(layers)
    ]


def test_later_exits_under_noise():
    assert exits_later(exits([4, 6], [6, 6], [8, 6]), "sid", "music", 12).holds == YES
    assert exits_later(exits([5, 6], [6, 6], [6, 6]), "sid", "music", 12).holds == NO
    assert "not from each" in exits_later(exits([4, 6], [8, 8], [7, 7]), "sid", "music", 12).reason
    assert "no room" in exits_later(exits([12, 11], [12, 12], [12, 12]), "sid", "music", 12).reason
    assert exits_later([], "sid", "music", 12).holds == OPEN


def test_errors_under_noise():
    def ask(*pairs):
        rows = []
        for snr_db, (own, other) in zip((20.0, 10.0), pairs, strict=True):
            rows.append(NoiseWerRow("music", snr_db, "daisy", 1.0, "min-max", own, own - 3, own + 3))
            rows.append(NoiseWerRow("music", snr_db, "layer6", None, None, other, other - 3, other + 3))
        return withstands_noise(rows, "music", Method("layer", layer=6))

    assert ask((30.0, 31.0), (50.0, 50.0)).holds == YES
    assert ask((30.0, 31.0), (99.0, 95.0)).holds == YES, "where hardly a word is recognised nothing is compared"
    claim = ask((33.0, 31.0), (50.0, 50.0))
    assert claim.holds == OPEN and "At 20 dB it is worse, but inside" in claim.reason
    assert ask((35.0, 31.0), (50.0, 50.0)).holds == NO
    assert ask((95.0, 96.0), (99.0, 99.0)).holds == OPEN


def test_the_table_of_a_run(tmp_path):
    tables.main(write_run(tmp_path))
    summary = tmp_path / "summary.csv"
    summary.write_text("corpus,split,recordings,speakers,minutes,left_out\nsid,train,9,70,1,0\nsid,test,9,3,1,0\n")
    given = ["--settings", "{}", "--tables", str(tmp_path / "tables"), "--summaries", str(summary)]
    out = tmp_path / "claims.csv"
    judge.main([*given, "--out", str(out)])
    assert out.read_text().splitlines()[0] == "group,task,claim,holds,numbers,reason"
    grid = read_table(GridRow, tmp_path / "tables/grid.csv")
    entropy = read_table(EntropyRow, tmp_path / "tables/entropy.csv")
    candidates = read_table(CandidateRow, tmp_path / "tables/candidates.csv")
    found = read_table(ClaimRow, out)
    assert found == claims(Evidence(grid, entropy, candidates, speakers={"sid": 70}))
    assert len(found) == 9 and {claim.holds for claim in found} == {YES}
    summary.write_text("corpus,split,recordings,speakers,minutes,left_out\nsid,train,9,many,1,0\n")
    with pytest.raises(DaisyError, match="'many' speakers"):
        judge.main([*given, "--out", str(out)])
