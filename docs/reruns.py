"""What an edit reruns: the table of docs/reruns.md, which tests hold the project to.

Each edit is made to a finished nano run (config/test.yaml: all four tasks, rho 0.76 and 1.0), and names the rules
that must run again, no more and no less.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

CONFIG = {"resolved_config", "report_page"}
"""Every config value is kept with the run, and the report shows it."""

PAGES = {"tables", "claims", "figures", "noise_figures", "report_page"}
SCORES = {"evaluation", "links"} | PAGES
BUNDLE = {"bundle", "budget"}
"""The models' exits and what thresholds spend go into the bundle, and budgets are held against what test sets spend."""

HEADS = {"downstream"} | BUNDLE | SCORES
"""Training of downstream models, and what follows."""

OWN = {"task_exits", "task_thresholds"}
"""The exits that SID and ASR train for themselves, which no branch touches."""

AT_WORK = {"method_at_work"}
"""The figure of the method at work shows DAISY on ASR, at the largest scale."""

NOISE = {"noise_evaluation", "links", "noise_tables", "claims", "noise_figures", "report_page"} | AT_WORK
"""The noise study of the nano run is about ASR."""

WORDS = {"claims", "figures", "noise_figures", "report_page"} | AT_WORK
"""Where methods are written in words."""

PLAYED = {"examples"}
"""The report plays what SE and SS make of a recording."""

EXITS = {"entropies", "noise_entropies", "calibration"} | HEADS | NOISE | PLAYED
"""What follows from branches. The states of the frozen model do not, nor does what reads them alone."""

FEATURES = {"states", "entropies", "calibration"} | HEADS
"""What follows from the recordings of a task."""

ALL_FEATURES = {"noise_states", "noise_entropies"} | FEATURES | OWN | NOISE | PLAYED
BRANCHES = {"branches"} | EXITS
CLUSTERS = {"kmeans", "labels", "targets"} | BRANCHES
COMMANDS = {"manifests", "noisy_speech", "noise_states", "noise_entropies"} | FEATURES | OWN | NOISE
"""What follows from the recordings of ASR."""

MIXTURES = {"separation_mixtures", "manifests"} | FEATURES | PLAYED
RECORDINGS = {"command_speech", "noise_recordings", "enhancement_mixtures", "dump_features"}


OWN_FILES = CONFIG | PAGES | PLAYED | AT_WORK | BUNDLE | {"links", "noise_tables"}
"""What every run has of its own, whatever it shares: links, and what is made of evaluations in seconds."""


ABSOLUTE = {"asr": 0.5, "sid": 0.8, "se": {0.76: 1.2, 1.0: 1.6}, "ss": 1.1}
"""Thresholds in nats."""


SUPERB = yaml.safe_load((Path(__file__).parent.parent / "config/superb.yaml").read_text(encoding="utf-8"))["tasks"]
"""Keyword spotting on ASR's recordings, and phoneme recognition on their phones."""


BARE = ["daisy", "full", "layer6"]
"""The paper's methods."""


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edit, and what it must rerun.

    Attributes:
        what: In words, for the docs.
        rules: The rules that must run again.
        overlay: Config values that it changes.
        code: A file of the project, a text in it (its end if empty), and what takes its place.
        options: Options of Snakemake that it adds.
        touch: Files of the project whose time changes and nothing else; `**` for all.
        remove: What it removes, a pattern in the working directory.
    """

    what: str
    rules: set[str]
    overlay: dict[str, Any] = dataclasses.field(default_factory=dict)
    code: tuple[str, str, str] | None = None
    options: tuple[str, ...] = ()
    touch: str = ""
    remove: tuple[str, ...] = ()


EDITS = (
    Edit("nothing", set()),
    Edit("keys of a config file in another order", set(), {"noise": {"floors": [1, 6], "tasks": ["asr"]}}),
    Edit("another number of cores", set(), options=("--cores", "1")),
    Edit("another Slurm partition", set(), options=("--default-resources", "slurm_partition=gpu")),
    Edit("a file touched: the checkpoint", set(), touch="daisy/models/hubert_tiny.safetensors"),
    Edit("a git checkout: all files have new times", set(), touch="**"),
    Edit(
        "a comment in `daisy/exits/rule.py`",
        set(),
        code=(
            "daisy/exits/rule.py",
            "        for k in reversed(self.candidates[:-1]):\n",
            "        # The earliest has the last word.\n        for k in reversed(self.candidates[:-1]):\n",
        ),
    ),
    Edit(
        "a docstring in `daisy/hubert/encoder.py`",
        set(),
        code=("daisy/hubert/encoder.py", '"""', '"""Newly said. '),
    ),
    Edit(
        "the wording of a line of progress",
        set(),
        code=("daisy/targets/label.py", 'Progress("labels"', 'Progress("labelled"'),
    ),
    Edit("how progress is told", set(), code=("daisy/common/progress.py", "", "OTHER = 1\n")),
    Edit(
        "the wording of an error",
        set(),
        code=("daisy/targets/kmeans.py", "frames cannot make", "frames are too few for"),
    ),
    Edit("what a training says when it is told to end", set(), code=("daisy/training/notice.py", "", "OTHER = 1\n")),
    Edit("the help of an option", set(), code=("daisy/branches/train.py", 'help="', 'help="here: ')),
    Edit("how a method is written in figures", WORDS, code=("daisy/exits/method.py", '"full model"', '"whole model"')),
    Edit("`upgrades`", CONFIG, {"upgrades": "rerun"}),
    Edit("`run`: a run renamed", OWN_FILES, {"run": "renamed"}),
    Edit(
        "a second run with another report: `run`, `report.against_published`",
        OWN_FILES,
        {"run": "second", "report": {"against_published": True}},
    ),
    Edit("`data.commands.train`", CONFIG | {"command_speech"} | COMMANDS, {"data": {"commands": {"train": 26}}}),
    Edit(
        "`data.commands`: dev and test swapped",
        CONFIG | {"command_speech"} | COMMANDS,
        {"data": {"commands": {"dev": 8, "test": 6}}},
    ),
    Edit("`data.mixtures.separation.train`", CONFIG | MIXTURES, {"data": {"mixtures": {"separation": {"train": 9}}}}),
    Edit("`data.splits.max_seconds`", CONFIG | COMMANDS, {"data": {"splits": {"max_seconds": 3.5}}}),
    Edit("`data.splits.share`", CONFIG | COMMANDS | PLAYED, {"data": {"splits": {"share": 0.8}}}),
    Edit("`seed`", CONFIG | RECORDINGS | MIXTURES | COMMANDS | CLUSTERS, {"seed": 1}),
    Edit("`seeds`: a second one", CONFIG | OWN | HEADS - BUNDLE, {"seeds": [1337, 1]}),
    Edit("`targets.layer`", CONFIG | {"dump_features"} | CLUSTERS, {"targets": {"layer": 9}}),
    Edit("`targets.clusters`", CONFIG | CLUSTERS, {"targets": {"clusters": 20}}),
    Edit("`branches.steps`", CONFIG | BRANCHES, {"branches": {"steps": 8}}),
    Edit(
        "`thresholds.rho`: one more",
        CONFIG | {"calibration", "task_thresholds"} | HEADS | NOISE - AT_WORK,
        {"thresholds": {"rho": [0.76, 1.0, 0.5]}},
    ),
    Edit(
        "`thresholds.rule: absolute`, with a number per task",
        CONFIG | {"calibration"} | HEADS | NOISE | PLAYED,
        {
            "thresholds": {
                "rule": "absolute",
                "absolute": {"asr": 0.5, "sid": 0.8, "se": {0.76: 1.2, 1.0: 1.6}, "ss": 1.1},
            }
        },
    ),
    Edit(
        "`thresholds.rule: quantile`",
        CONFIG | {"calibration"} | HEADS | NOISE | PLAYED,
        {"thresholds": {"rule": "quantile"}},
    ),
    Edit("`thresholds.signal: margin`", CONFIG | EXITS, {"thresholds": {"signal": "margin"}}),
    Edit(
        "`downstream.baseline_states: s3prl`",
        CONFIG | {"states", "noise_states", "downstream"} | SCORES | NOISE - AT_WORK | PLAYED,
        {"downstream": {"baseline_states": "s3prl"}},
    ),
    Edit("`downstream.granularity: batch`", CONFIG | HEADS | NOISE | PLAYED, {"downstream": {"granularity": "batch"}}),
    Edit(
        "`thresholds.rho`: one less (a task's own exits are judged at all scales in one job)",
        CONFIG | BUNDLE | {"noise_tables", "task_thresholds"} | SCORES,
        {"thresholds": {"rho": [1.0]}},
    ),
    Edit("`downstream.methods`: task-ee left out", CONFIG | PAGES | {"links"}, {"downstream": {"methods": BARE}}),
    Edit(
        "`downstream.methods`: student",
        CONFIG | {"student", "states", "downstream"} | SCORES,
        {"downstream": {"methods": [*BARE, "task-ee", "student"]}},
    ),
    Edit("`student.steps`, without the method `student`", CONFIG, {"student": {"steps": 9}}),
    Edit("`tasks.asr.learning_rate`", CONFIG | HEADS | NOISE, {"tasks": {"asr": {"learning_rate": 0.001}}}),
    Edit("`tasks.asr.batches`", CONFIG | HEADS | OWN | NOISE, {"tasks": {"asr": {"batches": "fixed"}}}),
    Edit(
        "`tasks.asr.options.end_marks`",
        CONFIG | HEADS | OWN | NOISE,
        {"tasks": {"asr": {"options": {"end_marks": True}}}},
    ),
    Edit(
        "`tasks.asr.options.specaugment.masks_over`",
        CONFIG | HEADS | NOISE,
        {"tasks": {"asr": {"options": {"specaugment": {"masks_over": "batch"}}}}},
    ),
    Edit("`tasks.sid.options.projection`", CONFIG | HEADS, {"tasks": {"sid": {"options": {"projection": 64}}}}),
    Edit(
        "`tasks.sid.options.normalise`",
        CONFIG | {"states"} | HEADS | OWN,
        {"tasks": {"sid": {"options": {"normalise": "mean"}}}},
    ),
    Edit("`tasks.sid.task_exits.steps`", CONFIG | OWN | SCORES, {"tasks": {"sid": {"task_exits": {"steps": 14}}}}),
    Edit("`tasks.sid.q`", CONFIG | BUNDLE | SCORES, {"tasks": {"sid": {"q": 0.3}}}),
    Edit("`tasks.ss: null`: a task less", CONFIG | BUNDLE | PAGES | {"links"}, {"tasks": {"ss": None}}),
    Edit(
        "two tasks more: those of `config/superb.yaml`",
        CONFIG | FEATURES | OWN | {"manifests", "command_phones"},
        {"tasks": SUPERB},
    ),
    Edit(
        "only speaker identification: `tasks: {asr: null, se: null, ss: null}`, no noise study",
        CONFIG | BUNDLE | {"links"} | PAGES - {"noise_figures"},
        {"tasks": {"asr": None, "se": None, "ss": None}, "noise": {"tasks": []}, "ablation": {"tasks": ["sid"]}},
    ),
    Edit(
        "`evaluation.strategies`: one less",
        CONFIG | SCORES | NOISE - AT_WORK,
        {"evaluation": {"strategies": ["avg", "min-max"]}},
    ),
    Edit("`evaluation.oracle`: none", CONFIG | SCORES, {"evaluation": {"oracle": []}}),
    Edit(
        "`evaluation.bootstrap_draws`",
        CONFIG | SCORES | NOISE - AT_WORK | {"budget"},
        {"evaluation": {"bootstrap_draws": 60}},
    ),
    Edit(
        "`noise.snr_db`: one more",
        CONFIG | {"noisy_speech", "noise_states", "noise_entropies"} | NOISE,
        {"noise": {"snr_db": [10, 5]}},
    ),
    Edit("`report.beside`: a run that is not there yet", CONFIG, {"report": {"beside": ["other"]}}),
    Edit("`report.against_published`", CONFIG | PAGES, {"report": {"against_published": True}}),
    Edit("`report.examples.seconds`", CONFIG | PLAYED, {"report": {"examples": {"seconds": 3.0}}}),
    Edit("code of `daisy/targets/kmeans.py`", CLUSTERS, code=("daisy/targets/kmeans.py", "", "OTHER = 1\n")),
    Edit(
        "code of `daisy/hubert/branches.py`",
        {"dump_features", "states", "noise_states"} | OWN | CLUSTERS,
        code=("daisy/hubert/branches.py", "", "OTHER = 1\n"),
    ),
    Edit(
        "`compute.deterministic` (nothing, where `compute.device` is cpu)",
        CONFIG | {"dump_features", "states", "noise_states"} | OWN | CLUSTERS,
        {"compute": {"deterministic": True}},
    ),
    Edit(
        "code of `daisy/hubert/every_layer.py`, which branches train on too",
        BRANCHES | ALL_FEATURES,
        code=("daisy/hubert/every_layer.py", "", "OTHER = 1\n"),
    ),
    Edit("code of the signals, `daisy/hubert/signals.py`", EXITS, code=("daisy/hubert/signals.py", "", "OTHER = 1\n")),
    Edit(
        "code of the exit rule, `daisy/exits/rule.py`",
        OWN | HEADS | NOISE | PLAYED,
        code=("daisy/exits/rule.py", "", "OTHER = 1\n"),
    ),
    Edit(
        "code of the thresholds, `daisy/exits/thresholds.py`",
        {"calibration", "task_thresholds"} | HEADS | NOISE | PLAYED,
        code=("daisy/exits/thresholds.py", "", "OTHER = 1\n"),
    ),
    Edit(
        "code of the candidate layers, `daisy/exits/candidates.py`",
        SCORES | NOISE | PLAYED | {"budget"},
        code=("daisy/exits/candidates.py", "", "OTHER = 1\n"),
    ),
    Edit(
        "code of the distillation, without the method `student`",
        set(),
        code=("daisy/students/distil.py", "", "OTHER = 1\n"),
    ),
    Edit(
        "code of the early exit, `daisy/hubert/early_exit.py`",
        SCORES | PLAYED | BUNDLE,
        code=("daisy/hubert/early_exit.py", "if not any(stops)", "if not all(stops)"),
    ),
    Edit(
        "code of a task's own exits, `daisy/downstream/task_exits.py`",
        OWN | SCORES,
        code=("daisy/downstream/task_exits.py", "", "OTHER = 1\n"),
    ),
    Edit("code of `daisy/tasks/asr.py`", HEADS | OWN | NOISE, code=("daisy/tasks/asr.py", "", "OTHER = 1\n")),
    Edit(
        "a colour in `daisy/report/plots.py`",
        {"figures", "noise_figures", "budget", "report_page"} | AT_WORK,
        code=("daisy/report/plots.py", 'INK, FAINT, BAND = "#222222"', 'INK, FAINT, BAND = "#333333"'),
    ),
    Edit(
        "a limit in the noise study's part of the report",
        {"report_page"},
        code=("daisy/report/noise_section.py", "", "OTHER = 1\n"),
    ),
    Edit("code of `daisy/report/html.py`", {"report_page"}, code=("daisy/report/html.py", "", "OTHER = 1\n")),
    Edit("a figure deleted", {"figures", "report_page"}, remove=("results/nano/figures/fig2_entropy.png",)),
)

A_TASK_MORE = Edit(
    "a task more (here `ss`)",
    CONFIG | MIXTURES,
    remove=(".cache/store/*-ss-*", ".cache/store/separation-*", "results/nano/*/ss"),
)
"""Made to a run without the task."""
