"""Evaluate one method on the noisy test set: every recording's exit, and the word error rate per condition.

Both come from the one forward pass of the feature stage. A prediction depends on the recording and its
exit layer alone, so cells that stop a recording at the same layer share it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daisy.common import spent, stage
from daisy.common.columns import read_table, write_table
from daisy.common.files import read_json
from daisy.corpora.utterances import read_manifest
from daisy.downstream.cells import exit_rules
from daisy.downstream.model import Downstream, load_downstream
from daisy.downstream.scoring import Judged, scores
from daisy.downstream.split import Split, load_split
from daisy.evaluation.bootstrap import interval
from daisy.exits.rule import ExitRule, all_candidates
from daisy.features.measured import load_measured
from daisy.features.streamed import open_features
from daisy.hubert.checkpoint import load
from daisy.noise.conditions import CLEAN, WHITE, ConditionRow
from daisy.noise.rows import ALL, NoiseExitRow, NoiseGuardRow, NoiseWerRow
from daisy.noise.settings import StudySettings
from daisy.tasks.base import Score, set_metric

Condition = tuple[str, float | None]


def conditions(rows: Sequence[ConditionRow]) -> dict[Condition, np.ndarray]:
    """The places in the manifest of every condition's recordings."""
    places_of: dict[Condition, list[int]] = {}
    for place, row in enumerate(rows):
        places_of.setdefault((row.kind, row.snr_db), []).append(place)
    return {condition: np.array(places) for condition, places in places_of.items()}


def exits_by_strategy(
    settings: StudySettings, trained: Mapping[str, Any], entropies: np.ndarray
) -> dict[str | None, np.ndarray]:
    """The exit layer of every noisy recording, by strategy, of which `ALL` is one; a fixed exit has none."""
    layers = entropies.shape[1]
    rules = exit_rules(settings.method, layers, settings.strategies, trained)
    if settings.method.by_entropy:
        rules[ALL] = ExitRule(all_candidates(settings.floor, layers), trained["tau"])
    return {strategy: rule.layers(entropies) for strategy, rule in rules.items()}


def exit_rows(
    settings: StudySettings, table: Sequence[ConditionRow], exits: Mapping[str | None, np.ndarray]
) -> list[NoiseExitRow]:
    """Where every recording of the manifest stops; a fixed exit needs no row to say so."""
    rho = settings.method.rho
    return [
        NoiseExitRow(row.kind, row.snr_db, rho, strategy, row.utterance, layer)
        for strategy, layers in exits.items()
        if strategy is not None and rho is not None
        for row, layer in zip(table, layers.tolist(), strict=True)
    ]


class Scorer:
    """Scores recordings at given exits, each recording and exit once.

    Args:
        model: The downstream model.
        split: The noisy test set; its own exits are not used.
    """

    def __init__(self, model: Downstream, split: Split) -> None:
        self.model, self.split = model, split
        self.known: Judged = {}

    def scores(self, places: Iterable[int], exits: np.ndarray) -> list[Score]:
        """The scores of the recordings at `places` if recording i stops at layer exits[i]."""
        split = dataclasses.replace(self.split, exits=exits)
        return scores(self.model, split, list(places), judged=self.known)

    def wer(self, places: Iterable[int], exits: np.ndarray, settings: StudySettings) -> tuple[float, float, float]:
        """The task's main metric of the recordings at `places`, and its confidence interval."""
        metric = self.model.task.metrics[0]
        scored = self.scores(places, exits)
        return set_metric(scored, metric), *interval(scored, metric, draws=settings.draws, seed=settings.seed)


def wer_rows(
    settings: StudySettings,
    scorer: Scorer,
    groups: dict[Condition, np.ndarray],
    exits: dict[str | None, np.ndarray],
) -> list[NoiseWerRow]:
    """The error rates of every cell of the method under every condition."""
    return [
        NoiseWerRow(
            *condition,
            settings.method.row,
            settings.method.rho,
            strategy,
            *scorer.wer(places.tolist(), layers, settings),
        )
        for strategy, layers in exits.items()
        for condition, places in groups.items()
    ]


def guard_rows(
    settings: StudySettings,
    scorer: Scorer,
    groups: dict[Condition, np.ndarray],
    entropies: np.ndarray,
    tau: float,
) -> list[NoiseGuardRow]:
    """What a floor under the exits does, on clean speech and under white noise."""
    assert settings.method.rho is not None
    rows = []
    for floor in settings.floors:
        exits = ExitRule(all_candidates(floor, entropies.shape[1]), tau).layers(entropies)
        for (kind, snr_db), places in groups.items():
            if kind in (CLEAN, WHITE):
                mean = float(exits[places].mean())
                wer = scorer.wer(places.tolist(), exits, settings)
                rows.append(NoiseGuardRow(kind, snr_db, settings.method.rho, floor, mean, *wer))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--manifest", type=Path, required=True, help="the noisy test set")
    parser.add_argument("--conditions", type=Path, required=True, help="its table of conditions")
    parser.add_argument("--states", type=Path, help="its states; made by the model where none are kept")
    parser.add_argument("--entropies", type=Path, help="its entropies (not needed for a fixed exit)")
    parser.add_argument("--exits", type=Path, required=True, help="the method's training exit histogram")
    parser.add_argument("--checkpoint", type=Path, help="HuBERT (not needed where states are kept)")
    parser.add_argument("--downstream", type=Path, help="the downstream model; without it, exits alone")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of exits.csv, wer.csv and guard.csv")
    arguments = parser.parse_args(argv)
    settings = stage.settings(StudySettings, arguments.settings)
    stage.use_threads(arguments.threads)
    table = read_table(ConditionRow, arguments.conditions)
    groups = conditions(table)
    manifest = read_manifest(arguments.manifest)
    trained = read_json(arguments.exits)
    fixed = np.empty((len(manifest), len(trained["counts"])))
    entropies = load_measured(arguments.entropies, len(manifest)).entropies if arguments.entropies else fixed
    exits = exits_by_strategy(settings, trained, entropies)
    wer, guard = [], []
    # Without a downstream model the entropies are enough.
    if arguments.downstream:
        device = settings.compute.place()
        model = load_downstream(arguments.downstream).to(device)
        encoder = load(arguments.checkpoint).to(device).encoder if arguments.checkpoint else None
        features = open_features(arguments.states, manifest, encoder, model.view)
        scorer = Scorer(model, load_split(model.task, manifest, features, np.full(len(manifest), model.layers)))
        with spent.part("test frames", float(features.frames.sum())):
            wer = wer_rows(settings, scorer, groups, exits)
            guard = guard_rows(settings, scorer, groups, entropies, trained["tau"]) if settings.floors else []
    write_table(NoiseExitRow, arguments.out / "exits.csv", exit_rows(settings, table, exits))
    write_table(NoiseWerRow, arguments.out / "wer.csv", wer)
    write_table(NoiseGuardRow, arguments.out / "guard.csv", guard)


if __name__ == "__main__":
    stage.run(main)
