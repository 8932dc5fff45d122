"""The gates, in the order of the stages. A new one is a function that yields numbers, and an entry of `GATES`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from daisy.corpora.published.catalogue import CORPORA
from daisy.evaluation.rows import GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, Method
from daisy.noise.conditions import WHITE
from daisy.noise.rows import WER_TASK
from daisy.report.gates import Gate, Limits, Measured
from daisy.report.grid import daisy_of, input_of, row_of, rows_of
from daisy.report.known_results import KNOWN, NOISY_INPUT, SHIPPED, TEST_RECORDINGS
from daisy.report.noise_grid import kinds_of, mean_exit_of, shown_cell
from daisy.report.run_folder import RunFolder

OURS = "this project's own"


def left_out(run: RunFolder) -> Iterator[Measured]:
    """Per cent of a published corpus's recordings that are missing or damaged."""
    for use in ("speech", *run.tasks, "noise"):
        if run.corpus(use) in CORPORA:
            lost = run.dropped(use)
            yield Measured(use, None if lost is None else 100 * lost)


def tested(run: RunFolder) -> Iterator[Measured]:
    """Recordings in a task's test set over those that MiniSUPERB, or SUPERB, tests on."""
    for task, (corpus, count) in TEST_RECORDINGS.items():
        if task in run.tasks and run.corpus(task) == corpus:
            summary = run.summary(task)
            there = None if summary is None else int(summary["test"]["recordings"]) / (count * run.share)
            yield Measured(task, there, "all" if run.share == 1 else "a share")


def classes_in_use(run: RunFolder) -> Iterator[Measured]:
    """Per cent of the classes that some frame has."""
    counts = run.class_counts
    used = None if counts is None else 100 * sum(count > 0 for count in counts) / len(counts)
    yield Measured("", used, run.config["targets"]["kind"])


def evenness(run: RunFolder) -> Iterator[Measured]:
    """The classes' perplexity over their number."""
    counts = run.class_counts
    if counts is None:
        yield Measured("", None)
        return
    shares = [count / sum(counts) for count in counts if count]
    yield Measured("", math.exp(-sum(share * math.log(share) for share in shares)) / len(counts))


def _accuracies(run: RunFolder) -> list[float] | None:
    """Of every layer's branch, the mean over the last tenth of the steps, 0 to 1."""
    history = run.branch_history
    if history is None:
        return None
    last = history[-max(1, len(history) // 10) :]
    layers = sum(name.startswith("accuracy_") for name in history[0])
    return [sum(row[f"accuracy_{k}"] for row in last) / len(last) for k in range(1, layers + 1)]


def _above_chance(run: RunFolder, accuracy: float) -> float:
    counts = run.class_counts or [0, 1]
    chance = min(max(counts) / sum(counts), 0.999)
    return (accuracy - chance) / (1 - chance)


def best_branch(run: RunFolder) -> Iterator[Measured]:
    """The best layer's accuracy: 0 is always the most frequent class, 1 is never wrong."""
    found = _accuracies(run)
    yield Measured("", None if found is None else _above_chance(run, max(found)))


def worst_branch(run: RunFolder) -> Iterator[Measured]:
    """The worst layer's, by the same measure."""
    found = _accuracies(run)
    yield Measured("", None if found is None else _above_chance(run, min(found)))


def deep_over_early(run: RunFolder) -> Iterator[Measured]:
    """Mean accuracy of the last third of the layers less that of the first third, in points."""
    found = _accuracies(run)
    if found is None:
        yield Measured("", None)
    elif len(found) > 1:
        third = max(1, len(found) // 3)
        yield Measured("", 100 * (sum(found[-third:]) - sum(found[:third])) / third)


def peak(run: RunFolder) -> Iterator[Measured]:
    """Layers between the best branch and the layer whose features were clustered."""
    if run.config["targets"]["kind"] == "kmeans":
        found = _accuracies(run)
        best = None if found is None else found.index(max(found)) + 1
        yield Measured("", None if best is None else abs(best - run.config["targets"]["layer"]))


def settled(run: RunFolder) -> Iterator[Measured]:
    """By how many per cent the branches' loss fell from the last tenth but one of the steps to the last."""
    losses = [row["loss"] for row in run.branch_history or []]
    tenth = len(losses) // 10
    if run.branch_history is None:
        yield Measured("", None)
    elif tenth:
        before, after = sum(losses[-2 * tenth : -tenth]), sum(losses[-tenth:])
        yield Measured("", 100 * (before - after) / before)


def level(run: RunFolder) -> Iterator[Measured]:
    """The highest mean entropy of a layer over that of knowing nothing, ln C; other signals have no such scale."""
    for task in run.tasks if run.by_entropy else ():
        means, counts = run.mean_entropy(task), run.class_counts
        known = means is not None and counts is not None
        yield Measured(task, max(means) / math.log(max(2, len(counts))) if known and means and counts else None)


def fall(run: RunFolder) -> Iterator[Measured]:
    """The lowest mean entropy of a layer over the first layer's."""
    for task in run.tasks:
        means = run.mean_entropy(task)
        yield Measured(task, min(means) / means[0] if means else None)


def rise(run: RunFolder) -> Iterator[Measured]:
    """The last layer's mean entropy over the lowest."""
    for task in run.tasks:
        means = run.mean_entropy(task)
        yield Measured(task, means[-1] / min(means) if means else None)


def beside_shipped(run: RunFolder) -> Iterator[Measured]:
    """The midpoint of the mean entropies, at the shipped threshold's scale, over the shipped threshold."""
    if run.of_the_paper:
        for task, shipped in SHIPPED.items():
            if task in run.tasks:
                means = run.mean_entropy(task)
                own = shipped.rho * (max(means) + min(means)) / 2 if means else None
                yield Measured(task, None if own is None else own / shipped.tau, run.config["targets"]["kind"])


def reach(run: RunFolder) -> Iterator[Measured]:
    """Where a threshold lies between the lowest mean entropy of a layer (0) and the highest (1)."""
    for task in run.tasks:
        means, rows = run.mean_entropy(task), run.thresholds(task)
        if not means or not rows:
            yield Measured(task, None)
            continue
        for row in rows:
            span = max(max(means) - min(means), 1e-9)
            yield Measured(f"{task}, rho {row.rho:g}", (row.tau - min(means)) / span)


def spread(run: RunFolder) -> Iterator[Measured]:
    """Per cent of a task's training exits that are at one layer: the model of which it is most."""
    for task in run.tasks:
        found = {name: counts for name, (_, counts) in run.trainings(task).items() if "/daisy-" in name and any(counts)}
        shares = {name: 100 * max(counts) / sum(counts) for name, counts in found.items()}
        most = max(shares, key=lambda name: shares[name], default=None)
        yield Measured(task, None) if most is None else Measured(f"{task}, {most}", shares[most])


def learning(run: RunFolder) -> Iterator[Measured]:
    """A downstream model's training loss at its last look at the dev set over that at its first: the greatest."""
    for task in run.tasks:
        found = run.trainings(task)
        ratios = {
            name: float(rows[-1]["loss"]) / max(float(rows[0]["loss"]), 1e-9)
            for name, (rows, _) in found.items()
            if len(rows) > 1 and float(rows[0]["loss"]) > 0
        }
        most = max(ratios, key=lambda name: ratios[name], default=None)
        if most is not None:
            yield Measured(f"{task}, {most}", ratios[most])
        elif not found:
            yield Measured(task, None)


def _full(run: RunFolder, task: str, metric: str | None = None) -> GridRow | None:
    return row_of(rows_of(run.grid, task, metric), GridCell(FULL))


def topline(run: RunFolder) -> Iterator[Measured]:
    """What the full model scores beside a model that knows nothing."""
    for task in run.tasks:
        row, summary = _full(run, task), run.summary(task)
        if row is None:
            yield Measured(task, None, "wer")
        elif row.metric == "accuracy" and summary is not None:
            keywords = run.config["tasks"][task].get("options", {}).get("keywords")
            # Two classes are no keywords.
            chance = 100 / (len(keywords) + 2 if keywords else int(summary["train"]["speakers"]))
            yield Measured(f"{task}, accuracy", (row.value - chance) / (100 - chance), "accuracy")
        elif row.metric == "pesq" and (before := input_of(run.grid, task, row.metric)):
            yield Measured(f"{task}, gain in PESQ", row.value - before.value, "pesq")
        elif row.metric in ("wer", "per", "si_sdri"):
            yield Measured(f"{task}, {row.metric}", row.value, row.metric)


def _tests_as_published(run: RunFolder, row: GridRow | None, task: str) -> bool:
    """Whether a row, or one that is to come, is of the very test set that others test on."""
    whole = (
        run.of_the_paper and run.share == 1 and task in TEST_RECORDINGS and run.corpus(task) == TEST_RECORDINGS[task][0]
    )
    return whole and (row is None or row.n_utterances == TEST_RECORDINGS[task][1])


def beside_known(run: RunFolder) -> Iterator[Measured]:
    """The full model's scores, at the paper's scale."""
    for task, metric in dict.fromkeys((item.task, item.metric) for item in KNOWN):
        row = _full(run, task, metric)
        if task in run.tasks and _tests_as_published(run, row, task):
            yield Measured(f"{task}, {metric}", row.value if row else None, f"{task} {metric}")


def noisy_input(run: RunFolder) -> Iterator[Measured]:
    """The PESQ of the noisy test recordings as they are, at the paper's scale."""
    row = input_of(run.grid, NOISY_INPUT.task, NOISY_INPUT.metric)
    if NOISY_INPUT.task in run.tasks and _tests_as_published(run, row, NOISY_INPUT.task):
        yield Measured("", row.value if row else None)


def beside_full(run: RunFolder) -> Iterator[Measured]:
    """By how much DAISY's best cell is worse than the full model, in half widths of the full model's interval."""
    for task in run.tasks:
        full, cells = _full(run, task), daisy_of(rows_of(run.grid, task))
        if full is None or not cells:
            yield Measured(task, None)
            continue
        sign = 1 if full.higher_is_better else -1
        best = max(sign * row.value for row in cells)
        yield Measured(task, (sign * full.value - best) / max((full.ci_high - full.ci_low) / 2, 0.01))


def clock(run: RunFolder) -> Iterator[Measured]:
    """The full model's speed beside itself, each timed in turn."""
    for task in run.tasks:
        row = _full(run, task)
        yield Measured(task, row.speedup_vs_full if row else None)


DEEPEST = 0.75
"""The share of the layers up to which a fixed exit must be faster: behind it, there is too little left to save."""


def fixed_exit(run: RunFolder) -> Iterator[Measured]:
    """How many times as fast a fixed exit is as the full model."""
    fixed = {name: layer for name in run.config["downstream"]["methods"] if (layer := Method.parse(name).layer)}
    for task in run.tasks:
        speeds, full = {row.method: row.speedup_vs_full for row in rows_of(run.grid, task)}, _full(run, task)
        for name, layer in fixed.items():
            if full is None or layer <= DEEPEST * full.mean_exit_layer:
                yield Measured(f"{task}, {name}", speeds.get(name))


def exits_under_noise(run: RunFolder) -> Iterator[Measured]:
    """Layers by which the mean exit under recorded noise, at the worst ratio, lies above that on clean speech."""
    for task in run.config["noise"]["tasks"]:
        rows = run.noisy_exits(task)
        if not rows:
            yield Measured(task, None)
            continue
        cell, worst = shown_cell(rows), min(row.snr_db for row in rows if row.snr_db is not None)
        for kind in kinds_of(rows):
            clean, noisy = (mean_exit_of(rows, kind, ratio, *cell) for ratio in (None, worst))
            if kind != WHITE and clean is not None and noisy is not None:
                yield Measured(f"{task}, {kind}", noisy - clean)


def errors_under_noise(run: RunFolder) -> Iterator[Measured]:
    """The full model's word error rate at the worst ratio over that on clean speech."""
    if WER_TASK not in run.config["noise"]["tasks"]:
        return
    rows = run.noisy_errors(WER_TASK)
    clean = next((row.wer for row in rows if row.snr_db is None), None)
    if clean is None:
        yield Measured(WER_TASK, None)
        return
    worst = min(row.snr_db for row in rows if row.snr_db is not None)
    for row in rows:
        if row.snr_db == worst:
            yield Measured(f"{WER_TASK}, {row.kind}", row.wer / max(clean, 1e-9))


def _one(passes: Sequence[float | None], doubtful: Sequence[float | None]) -> dict[str, Limits]:
    return {"": Limits((passes[0], passes[1]), (doubtful[0], doubtful[1]))}


GATES = (
    Gate(
        "published_corpus",
        "recordings of a published corpus that are left out, per cent",
        _one((None, 0), (None, 1)),
        "its makers' counts",
        "a corpus is not whole; `daisy data check` names what is missing or damaged",
        left_out,
    ),
    Gate(
        "manifests",
        "recordings in the test set over those of MiniSUPERB's, of KS and PR SUPERB's",
        {"all": Limits((1, 1), (0.99, 1.01)), "a share": Limits((0.9, 1.1), (0.7, 1.3))},
        "MiniSUPERB's code and lists, s3prl's",
        "another list or subset, or recordings that are left out; results cannot be set beside published ones",
        tested,
    ),
    Gate(
        "targets",
        "classes that some frame has, per cent",
        {"kmeans": Limits((99, None), (90, None)), "head": Limits((90, None), (50, None))},
        f"{OURS}; the head's dictionary has four special symbols",
        "too few frames for so many clusters (targets.utterances, targets.share), or features that hardly differ",
        classes_in_use,
    ),
    Gate(
        "targets",
        "evenness of the classes: their perplexity over their number",
        _one((0.3, None), (0.1, None)),
        OURS,
        "clusters have collapsed, or most of the audio is silence: look at targets.layer, and at the recordings",
        evenness,
    ),
    Gate(
        "branches",
        "accuracy of the best layer's branch, from chance (0) to 1",
        _one((0.3, None), (0.05, None)),
        f"{OURS}: nobody has published a branch's accuracy",
        "labels of other recordings or of another checkpoint, too few steps, or a wrong branches.learning_rate",
        best_branch,
    ),
    Gate(
        "branches",
        "accuracy of the worst layer's branch, from chance (0) to 1",
        _one((0.1, None), (0.01, None)),
        f"{OURS}: nobody has published a branch's accuracy",
        "a layer's features are not what they should be (branches.position), or too few steps",
        worst_branch,
    ),
    Gate(
        "branches",
        "accuracy of the last third of the layers over the first third, points",
        _one((2, None), (-2, None)),
        "Fig. 2 of the paper: deeper layers are surer",
        "layers in the wrong order, another checkpoint than the targets', or targets of an early layer",
        deep_over_early,
    ),
    Gate(
        "branches",
        "layers between the best branch and the clustered layer",
        _one((None, 2), (None, None)),
        "the nearest centroid is a linear rule of that layer",
        "targets of another layer or checkpoint than the config says, or too few steps",
        peak,
    ),
    Gate(
        "branches",
        "fall of the loss over the last tenth of the steps, per cent",
        _one((-2, 10), (-10, None)),
        OURS,
        "above: it still learns, so raise branches.steps; below: branches.learning_rate is too high",
        settled,
    ),
    Gate(
        "calibration",
        "highest mean entropy over ln C",
        _one((0.02, 0.9), (0.005, 0.98)),
        "ln C is the entropy of knowing nothing",
        "branches that learnt nothing, or recordings unlike those that they were trained on (rate, loudness)",
        level,
    ),
    Gate(
        "calibration",
        "lowest mean entropy over the first layer's",
        _one((None, 0.8), (None, 0.95)),
        "Fig. 2 of the paper: entropy falls with depth",
        "entropies hardly fall, so that no threshold can tell layers apart: look at the branches' accuracies",
        fall,
    ),
    Gate(
        "calibration",
        "last layer's mean entropy over the lowest",
        _one((None, 1.05), (None, 2)),
        "Fig. 2 of the paper; with k-means targets it may rise above the clustered layer",
        "targets.layer is early: compare layers with `snakemake ablation`, or take targets.kind: head",
        rise,
    ),
    Gate(
        "calibration",
        "threshold by midrange over the shipped one",
        {"head": Limits((0.85, 1.15), (0.5, 2)), "kmeans": Limits((0.85, 1.15), (0.33, 3))},
        "the authors' shipped thresholds; that they are midpoints, and at which rho, is inferred",
        "with k-means targets entropies are of other classes than the authors'; otherwise another checkpoint, position "
        "or length of training",
        beside_shipped,
    ),
    Gate(
        "calibration",
        "threshold between the lowest (0) and the highest (1) mean entropy",
        _one((0, 1), (-0.5, 1.2)),
        "outside, the average recording stops at the last or the first layer",
        "thresholds.absolute of other branches, or a rho that suits entropies of another range",
        reach,
    ),
    Gate(
        "downstream",
        "training exits at one layer, per cent, in the model of which it is most",
        _one((None, 90), (None, 99.9)),
        OURS,
        "a threshold that all recordings pass at once, or none does: see the one before",
        spread,
    ),
    Gate(
        "downstream",
        "training loss at the last look over that at the first, the greatest of a task",
        _one((None, 1), (None, 1.1)),
        OURS,
        "a learning rate that is too high, or a batch of other recordings than the labels'",
        learning,
    ),
    Gate(
        "evaluation",
        "the full model beside one that knows nothing",
        {
            "accuracy": Limits((0.4, None), (0.1, None)),
            "wer": Limits((None, 50), (None, 90)),
            "per": Limits((None, 50), (None, 90)),
            "pesq": Limits((0, None), (-0.1, None)),
            "si_sdri": Limits((1, None), (0.01, None)),
        },
        f"{OURS}: accuracy from chance (0) to 1, errors of words or phones per cent, gains over the input",
        "too few steps (CTC first gives blanks alone: an error rate of 100), or transcripts, speakers or "
        "references of other recordings",
        topline,
    ),
    Gate(
        "evaluation",
        "the full model beside known results",
        {
            "asr wer": Limits((6.42, 20), (5, 35)),
            "sid accuracy": Limits((40, 70.1), (20, 81.5)),
            "ks accuracy": Limits((94, 97.5), (90, 99)),
            "pr per": Limits((4.8, 8), (4, 15)),
            "se pesq": Limits((2.2, 2.8), (1.97, 3)),
            "se stoi": Limits((92, 95), (90, 96)),
            "ss si_sdri": Limits((6, 11), (3, 13)),
        },
        "HuBERT Base in SUPERB and SUPERB-SG, on more data or with other heads; how far below them is ours",
        "better: test recordings were trained on; worse: downstream.baseline_states is not s3prl, or steps, learning "
        "rate or batches are not MiniSUPERB's",
        beside_known,
    ),
    Gate(
        "evaluation",
        "PESQ of the noisy test recordings as they are",
        _one((1.95, 1.99), (1.9, 2.05)),
        f"{NOISY_INPUT.value:g} in {NOISY_INPUT.source} and many since",
        "other recordings, another resampling from 48 kHz, or narrow-band PESQ",
        noisy_input,
    ),
    Gate(
        "evaluation",
        "DAISY's best cell under the full model, half widths of its interval",
        _one((None, 1), (None, 3)),
        "the paper: DAISY matches HuBERT",
        "exits that come too early (rho, thresholds), or downstream models that need more steps",
        beside_full,
    ),
    Gate(
        "evaluation",
        "speed of the full model beside itself",
        _one((0.9, 1.1), (0.75, 1.33)),
        "1 by definition: it is timed in turn with itself",
        "other jobs ran on the same cores or GPU: evaluate again alone, with `snakemake --forcerun evaluation`",
        clock,
    ),
    Gate(
        "evaluation",
        "speed of a fixed exit over the full model",
        _one((1.1, None), (1, None)),
        "fewer layers take less time",
        "the machine was busy, or starting kernels takes longer than they do: batch 1 on a fast GPU",
        fixed_exit,
    ),
    Gate(
        "noise_evaluation",
        "mean exit at the worst ratio over clean speech, layers",
        _one((0.5, None), (0, None)),
        "Fig. 4 of the paper: the noisier, the later",
        "branches that are as sure of noise as of speech (loudness, silence), or noise that is mixed too softly",
        exits_under_noise,
    ),
    Gate(
        "noise_evaluation",
        "word error rate at the worst ratio over clean speech",
        _one((1.05, None), (0.95, None)),
        "Fig. 5 of the paper: errors grow with noise",
        "noise that is mixed too softly or not at all",
        errors_under_noise,
    ),
)
"""All gates, by the stage after which they can be computed."""
