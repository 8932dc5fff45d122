"""What a run reads and needs, looked at before the first job: all that is wrong at once, each with its fix.

No torch: `daisy plan` asks this before anything runs. What the config names wrongly, and a checkpoint that cannot be
read, lacks its head or is too shallow, is refused before (`daisy.workflow.context`).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from daisy.common import stage
from daisy.corpora.published.catalogue import settings_of
from daisy.errors import DaisyError

if TYPE_CHECKING:
    from daisy.workflow.workflow import Workflow


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        problem: What.
        fix: What to do.
        fatal: Whether the run cannot work with it; otherwise it depends.
    """

    problem: str
    fix: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'note'}: {self.problem}. {self.fix}."


def gpu_here() -> str | None:
    """The name of this machine's first GPU; empty for one whose name nobody tells, None if this process has none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return None
    program = shutil.which("nvidia-smi")
    if program:
        try:
            command = [program, "--query-gpu=name", "--format=csv,noheader"]
            told = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.splitlines()
        except (OSError, subprocess.SubprocessError):
            told = []
        if told and told[0].strip():
            return told[0].strip()
    return "" if any(Path("/dev").glob("nvidia[0-9]*")) else None


def inputs(flow: Workflow, rules: Collection[str], disk_mb: int) -> list[Fault]:
    """All that keeps the jobs of a run from working, as far as it can be seen without reading audio.

    Args:
        flow: The run.
        rules: Those whose jobs would run.
        disk_mb: What they write.
    """
    return [*_corpora(flow, rules), *_gpu(flow, rules), *_disk(flow, disk_mb)]


def _corpora(flow: Workflow, rules: Collection[str]) -> list[Fault]:
    """The published corpora that would be read and are not there, or lack files that their lists name.

    Headers and samples are for `daisy data check`, which takes minutes.
    """
    published = flow.config.data.published
    if "published_corpus" not in rules or published["download"]:
        return []
    from daisy.corpora.published.check import READERS, used_by

    faults = []
    for name in used_by(flow.context.values):
        reader = READERS[name]
        try:
            lacking = reader.read(stage.build(reader.settings, settings_of(name, published))).faults
        except DaisyError as error:
            problem = error.problem if error.file is None else f"{error.file}: {error.problem}"
            faults.append(Fault(f"{name}: {problem}", error.fix.rstrip(".")))
            continue
        if lacking:
            problem = f"{name}: {len(lacking)} faults, the first of them {lacking[0].id}: {lacking[0].reason}"
            fix = "`daisy data check` lists all; data.published.faults: leave-out goes on without them"
            faults.append(Fault(problem, fix, published["faults"] == "stop"))
    return faults


_COMPUTE = ("branches", "states", "entropies", "labels", "dump_features", "downstream", "evaluation", "task_exits")
"""Rules that use a GPU where there is one."""


def _gpu(flow: Workflow, rules: Collection[str]) -> list[Fault]:
    wanted = flow.config.compute.device == "cuda" and any(name in rules for name in _COMPUTE)
    if not wanted or gpu_here() is not None:
        return []
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    why = "CUDA_VISIBLE_DEVICES hides every GPU" if hidden else "this machine has no GPU"
    # Where sbatch is, this is likely the machine from which jobs are submitted, which needs none.
    fatal = shutil.which("sbatch") is None
    fix = "Set compute.device: auto, or run where there is one" + ("" if fatal else " (--profile slurm does)")
    return [Fault(f"compute.device is cuda, but {why}", fix, fatal)]


def _disk(flow: Workflow, disk_mb: int) -> list[Fault]:
    folder = Path(flow.config.cache).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e6
    if disk_mb <= free:
        return []
    problem = f"the jobs write about {disk_mb / 1000:.1f} GB, and {folder} has {free / 1000:.1f} GB free"
    return [Fault(problem, "Set cache to a larger disk, or keep fewer states (tasks.<name>.keep_states)")]
