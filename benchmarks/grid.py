"""A task's whole evaluation grid from shared features, against one pass of the full model.

Table `grid`: a row per task. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `task`; `recordings`, `seconds`: how many, and of how much audio; `cells`: of the grid, baselines included.

Systems: `full pass` is the states of all layers (the stage of states), the full model's downstream
model on them, its scores and intervals; `grid` is the same, with a pass of its own for entropies, and from them nine
cells (three thresholds, three strategies), the fixed exit at half the depth, and the full model. Weights are random.
Left out: starting Python, and the speed measurement of an evaluation, which runs the real model on a sample and is
there to take time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.clock import SPREAD, row, total
from benchmarks.mixed import entropies_of, level
from benchmarks.model import mixed_recordings, random_model
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.common import audio
from daisy.common.speed import take_turns
from daisy.corpora.utterances import Manifest, Utterance
from daisy.downstream.cells import Cell, build_cells
from daisy.downstream.model import Downstream
from daisy.downstream.split import load_split
from daisy.evaluation.outcomes import run_cells
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.candidates import STRATEGIES
from daisy.exits.cell import GridCell
from daisy.exits.method import DAISY, FULL, Method
from daisy.exits.rule import ExitRule, all_candidates, histogram
from daisy.features import entropies as measuring
from daisy.features.kept import load_features
from daisy.features.settings import EntropiesSettings, StatesSettings, View
from daisy.features.states import write_states
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.tasks.loading import task_class

COLUMNS = (*SPREAD, "task", "recordings", "seconds", "cells")
LSTM = {"hidden": 256, "layers": 3, "dropout": 0.1}
HEADS: dict[str, dict[str, Any]] = {"asr": {"projection": 256, "stride": 1, **LSTM}, "se": LSTM}
"""MiniSUPERB's downstream models, of two tasks: one whose scores cost nothing, and one whose scores (PESQ) do."""

SHARES = (0.35, 0.5, 0.65)
"""Quantiles of the entropies that the three thresholds are, so that all cells differ."""


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    model = random_model(options)
    with tempfile.TemporaryDirectory() as folder:
        manifest = recordings(Path(folder), options)
        waves = [manifest.wave(index) for index in range(len(manifest))]
        states = [item.states[1:] for item in EarlyExitHubert(model).all_layers(waves)]
        assert model.branches is not None
        level(model.branches, states)
        entropies = entropies_of(model.branches, states)
        del states
        for task in HEADS:
            yield from one_task(task, model, manifest, entropies, options, Path(folder) / f"{task}.npy")


def recordings(folder: Path, options: Options) -> Manifest:
    """Synthetic recordings with a text, and each its own reference, on the disk."""
    items = []
    for number, wave in enumerate(mixed_recordings(options.count * 3 // 2, options, 0.25)):
        audio.write(folder / f"{number}.flac", wave.cpu().clamp(-1, 1).numpy())
        items.append(Utterance(f"{number}", f"{number}.flac", len(wave), "", "a few words", (f"{number}.flac",)))
    return Manifest(folder, tuple(items))


def one_task(
    name: str, model: Checkpoint, manifest: Manifest, entropies: np.ndarray, options: Options, out: Path
) -> Iterator[Row]:
    """The row of a task."""
    layers, dim = options.shape.layers, options.shape.dim
    kept = StatesSettings(View("after-norm"), "float32", 60.0, options.compute("float32"))
    asked = EntropiesSettings(60.0, options.compute("float32"))
    settings = EvaluationSettings(Method("daisy", 1.0), {}, 1000, 0, 0, options.seed, options.seed)
    torch.manual_seed(options.seed)
    task = task_class(name)(HEADS[name], list("abdefosw "))
    models = [Downstream(task, layers, dim, "dynamic").to(options.place).eval() for _ in range(5)]
    methods = methods_of(models, entropies)

    def features() -> None:
        write_states(model.encoder, manifest, kept, out)

    def measured() -> None:
        measuring.measure(model, manifest, asked, "entropies")

    def score(methods: list[dict[GridCell, Cell]]) -> None:
        split = load_split(task, manifest, load_features(out), np.full(len(manifest), layers))
        for cells in methods:
            run_cells(cells, split, entropies, settings, {}, options.threads)

    full, rest = methods[-1:], methods[:-1]
    features()
    works = {"features": features, "entropies": measured, "full": lambda: score(full), "rest": lambda: score(rest)}
    taken = take_turns(works, options.rounds("grid"))
    total(taken, "full pass", ["features", "full"])
    total(taken, "grid", ["features", "entropies", "full", "rest"])
    size = {"recordings": len(manifest), "seconds": manifest.seconds, "cells": sum(map(len, methods))}
    yield row(taken, "grid", "full pass", task=name, **size)


def methods_of(models: list[Downstream], entropies: np.ndarray) -> list[dict[GridCell, Cell]]:
    """The cells of every method: three thresholds, half the depth, all of it."""
    layers = entropies.shape[1]
    methods = []
    strategies: dict[str, float] = dict.fromkeys(STRATEGIES, 0.2)
    for model, share in zip(models, SHARES, strict=False):
        tau = float(np.quantile(entropies, share))
        counts = histogram(ExitRule(all_candidates(1, layers), tau).layers(entropies), layers)
        methods.append(build_cells(model, DAISY, strategies, {"counts": counts, "tau": tau}))
    half = Method("layer", layer=max(1, layers // 2))
    return methods + [build_cells(*pair, {}, {}) for pair in zip(models[-2:], (half, FULL), strict=True)]
