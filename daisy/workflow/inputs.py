"""What a run reads and needs, looked at before the first job: all that is wrong at once, each with its fix.

No torch: `daisy plan` and a run ask this while parsing. What the config names wrongly, and a checkpoint that cannot be
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

from daisy.corpora.published.archives import ARCHIVES, archives_of
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
    """The name of this machine's first GPU; empty if it has one without a name, None if it has none for this process."""
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


def inputs(flow: Workflow, rules: Collection[str], disk_mb: int, *, slurm: bool = False) -> list[Fault]:
    """All that keeps the jobs of a run from working, as far as it can be seen without reading audio.

    Args:
        flow: The run.
        rules: Those whose jobs would run.
        disk_mb: What they write.
        slurm: Whether jobs run elsewhere, so that this machine needs no GPU.
    """
    return [*_corpora(flow, rules), *_gpu(flow, rules, slurm), *_disk(flow, disk_mb)]


def _corpora(flow: Workflow, rules: Collection[str]) -> list[Fault]:
    """The published corpora that would be read and are not there, or not whole as far as folders tell.

    Their recordings are counted and decoded by `daisy data check`, which takes minutes.
    """
    published = flow.config.data.published
    if "published_corpus" not in rules or published["download"]:
        return []
    faults: dict[str, Fault] = {}
    for name in dict.fromkeys(filter(None, map(flow.corpora.name_of, flow.corpora.folders))):
        for corpus, archive in archives_of(name, published) if name in ARCHIVES else ():
            item, root = ARCHIVES[corpus][archive], Path(published[corpus]["root"]).expanduser()
            # What an archive is unpacked to begins with the corpus's own folder, where the root may have another name.
            inside = [part for part in Path(item.holds).parts]
            places = [root / item.holds, root.joinpath(*inside[1:]), root.parent / item.holds]
            if not any(place.exists() for place in places):
                fix = "Correct data.published, or set data.published.download: true; `daisy data check` says more"
                faults[f"{corpus}/{archive}"] = Fault(f"{corpus}: {archive} is not under {root}", fix)
    return list(faults.values())


_COMPUTE = ("branches", "states", "entropies", "labels", "dump_features", "downstream", "evaluation", "task_exits")
"""Rules that use a GPU where there is one."""


def _gpu(flow: Workflow, rules: Collection[str], slurm: bool) -> list[Fault]:
    wanted = flow.config.compute.device == "cuda" and any(name in rules for name in _COMPUTE)
    if not wanted or slurm or gpu_here() is not None:
        return []
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    why = "CUDA_VISIBLE_DEVICES hides all" if hidden else "this machine shows none"
    # Where sbatch is, this is likely the machine from which jobs are submitted, which needs none.
    fatal = shutil.which("sbatch") is None
    fix = "Set compute.device: auto, or run where there is one" + ("" if fatal else " (--profile slurm does)")
    return [Fault(f"compute.device is cuda, but {why} of the GPUs".replace("none of the GPUs", "no GPU"), fix, fatal)]


def _disk(flow: Workflow, disk_mb: int) -> list[Fault]:
    folder = Path(flow.config.cache).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e6
    if disk_mb <= free:
        return []
    problem = f"the jobs write about {disk_mb / 1000:.1f} GB, and {folder} has {free / 1000:.1f} GB free"
    return [Fault(problem, "Set cache to a larger disk, or keep fewer states (tasks.<name>.keep_states)")]


def refuse(faults: Collection[Fault]) -> None:
    """Stop at what cannot work.

    Raises:
        DaisyError: that names all of it at once.
    """
    fatal = [fault for fault in faults if fault.fatal]
    if fatal:
        listed = "; ".join(f"{fault.problem} ({fault.fix})" for fault in fatal)
        raise DaisyError(listed, fix="Mend these before the first job; `daisy plan` lists them")
