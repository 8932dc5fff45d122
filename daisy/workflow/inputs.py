"""What a run reads and needs, looked at before the first job: all that is wrong at once, each with its fix.

No torch: `daisy plan` and the start of every run ask this. What the config names wrongly, a folder that cannot be
written, and a checkpoint that cannot be read, lacks its head or is too shallow, is refused while Snakemake reads its
files, with what can be told already.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.common.gpus import visible
from daisy.corpora.own import TABLE
from daisy.corpora.published.catalogue import module_of, settings_of
from daisy.errors import DaisyError
from daisy.workflow.context import Context
from daisy.workflow.several import together

WRITING = ("published_corpus", "dump_features", "labels", "targets", "states", "noisy_speech", "noise_states")
"""Rules that say how much they write into the cache; the disk of other jobs is a cluster's own default."""


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

    @property
    def error(self) -> DaisyError:
        """The same as an error."""
        return DaisyError(self.problem, fix=self.fix)

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'note'}: {self.error}"


@dataclasses.dataclass(frozen=True)
class Needs:
    """What the jobs of a run need, beside what others of them make.

    Attributes:
        published: The published corpora that are read as they were unpacked.
        corpora: Folders of the store whose audio is read.
        gpu: Whether a GPU of this machine is asked for.
        disk_mb: What is written into the cache, beside what takes the place of something.
        downloads: The published corpora that archives are downloaded for, and how many MB each takes unpacked.
    """

    published: tuple[str, ...] = ()
    corpora: tuple[str, ...] = ()
    gpu: bool = False
    disk_mb: int = 0
    downloads: tuple[tuple[str, int], ...] = ()


def needs(workflow: Any, *, here: bool = True) -> Needs:
    """What the jobs of a run need.

    Args:
        workflow: Snakemake's, with the graph of its jobs.
        here: Whether they run on this machine.
    """
    dag = workflow.dag
    jobs = [job for job in dag.jobs if dag.needrun(job)]
    made = {str(file) for job in jobs for file in job.output}
    reading = [job for job in jobs if job.rule.name == "published_corpus" and made.isdisjoint(map(str, job.input))]
    tables = {str(file) for job in jobs for file in job.input if Path(file).name == TABLE} - made

    def fresh(*rules: str) -> list[Any]:
        return [job for job in jobs if job.rule.name in rules and not any(map(os.path.exists, job.output))]

    return Needs(
        tuple(sorted({str(job.wildcards.published) for job in reading})),
        tuple(sorted(str(Path(table).parent) for table in tables)),
        here and any(job.resources.get("gpu", 0) for job in jobs),
        sum(int(job.resources["disk_mb"]) for job in fresh(*WRITING)),
        tuple(sorted((str(job.wildcards.published), int(job.resources["disk_mb"])) for job in fresh("download"))),
    )


def inputs(context: Context, wanted: Needs, *, submits: bool) -> list[Fault]:
    """All that keeps the jobs of a run from working, as far as it can be seen without reading audio.

    Args:
        context: The run.
        wanted: What they need.
        submits: Whether this machine may send the jobs to a cluster, so that it can do without a GPU.
    """
    faults = [*_published(context, wanted.published), *_moved(wanted.corpora)]
    if wanted.gpu:
        faults += _gpu(context, submits)
    return [*faults, *_disk(context, wanted)]


def can_submit() -> bool:
    """Whether this is a machine from which jobs are sent to a cluster."""
    return shutil.which("sbatch") is not None


def foreseen(context: Context) -> list[DaisyError]:
    """What is wrong, as far as that shows before it is known which jobs would run."""
    from daisy.corpora.published.check import used_by

    published = context.config.data.published
    unread = []
    for name in [] if published["download"] else used_by(context.values):
        folder = context.store.add(name, module_of(name), settings=settings_of(name, published))
        unread += [] if Path(folder, TABLE).exists() else [name]
    faults = [*_published(context, unread), *_gpu(context, can_submit())]
    return [fault.error for fault in faults if fault.fatal]


def places(context: Context) -> list[DaisyError]:
    """What keeps the run from writing to its folders."""
    faults = []
    for key, given in (("results", context.config.results), ("cache", context.config.cache)):
        there = _standing(given)
        if not there.is_dir():
            faults.append(DaisyError(f"{key}: {there} is no folder", fix=f"Name another in {key}"))
        elif not os.access(there, os.W_OK | os.X_OK):
            fix = f"Let it be written, or name another in {key}"
            faults.append(DaisyError(f"{key}: {there} cannot be written", fix=fix))
    return faults


def _standing(given: str) -> Path:
    """A path, or of the folders above it the nearest one, that is there."""
    path = Path(given).absolute()
    return next(found for found in (path, *path.parents) if os.path.lexists(found))


def look(workflow: Any) -> Iterator[str]:
    """Look at what a run needs before its first job starts; gives what there is to say of it.

    Args:
        workflow: Snakemake's, ready to run.

    Raises:
        DaisyError: that tells all that keeps the run from working.
    """
    if workflow.touch:
        return
    wanted = needs(workflow, here=workflow.local_exec)
    if wanted.published:
        yield f"Before the first job: are {', '.join(wanted.published)} there?"
    faults = inputs(workflow.globals["flow"].context, wanted, submits=False)
    if fatal := [fault.error for fault in faults if fault.fatal]:
        raise together(fatal)
    yield from map(str, faults)


def _published(context: Context, names: Iterable[str]) -> list[Fault]:
    """The published corpora that are not there, or lack files that their lists name.

    Headers and samples are for `daisy data check`, which takes minutes.
    """
    from daisy.corpora.published.check import READERS

    published, faults = context.config.data.published, []
    for name in names:
        reader = READERS[name]
        try:
            lacking = reader.read(stage.build(reader.settings, settings_of(name, published))).faults
        except DaisyError as error:
            problem = error.problem if error.file is None else f"{error.file}: {error.problem}"
            faults.append(Fault(f"{name}: {problem}", error.fix.rstrip(".")))
            continue
        except OSError as error:
            faults.append(Fault(f"{name}: {error.filename}: {error.strerror}", "Let it be read"))
            continue
        if lacking:
            problem = f"{name}: {len(lacking)} faults, the first of them {lacking[0].id}: {lacking[0].reason}"
            stops = published["faults"] == "stop"
            goes_on = "; data.published.faults: leave-out" if stops else ", and the run"
            faults.append(Fault(problem, f"`daisy data check` lists all{goes_on} goes on without them", stops))
    return faults


def _moved(folders: Iterable[str]) -> list[Fault]:
    """The corpora that were read and whose audio is no longer where it was then."""
    links = [link for folder in folders for link in sorted(Path(folder, "audio").glob("*")) if link.is_symlink()]
    fix = "Put it back, or leave a link there"
    return [
        Fault(f"{link.readlink()} is gone, where {link.parent.parent} has its audio", fix)
        for link in links
        if not link.exists()
    ]


def _gpu(context: Context, submits: bool) -> list[Fault]:
    config, there = context.config, visible()
    if config.compute.device == "cpu" or (submits and there):
        return []
    if there:
        faults = []
        if config.workers > len(there):
            problem = f"workers is {config.workers}, a GPU each, and {len(there)} can be seen here"
            faults.append(Fault(problem, f"Set workers to {len(there)}, or let more be seen"))
        if (version := importlib.metadata.version("torch")).endswith("+cpu"):
            problem = f"{len(there)} GPUs can be seen, and torch is built without CUDA ({version})"
            fix = "Install a build with CUDA, or set compute.device: cpu"
            faults.append(Fault(problem, fix, config.compute.device == "cuda"))
        return faults
    if config.compute.device != "cuda":
        return []
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    why = "CUDA_VISIBLE_DEVICES hides every GPU" if hidden else "this machine has no GPU"
    fix = "Set compute.device: auto, or run where there is one" + (" (--profile slurm does)" if submits else "")
    return [Fault(f"compute.device is cuda, but {why}", fix, not submits)]


def _disk(context: Context, wanted: Needs) -> Iterator[Fault]:
    """The disks on which there is too little room: what is downloaded and the cache may share one."""
    published = context.config.data.published
    sizes = {context.config.cache: [wanted.disk_mb]}
    for name, size in wanted.downloads:
        sizes.setdefault(published[name]["root"], []).append(size)
    disks: dict[int, list[str]] = {}
    for folder in sizes:
        disks.setdefault(_standing(folder).stat().st_dev, []).append(folder)
    for folders in disks.values():
        # An archive lies beside what it holds while it is unpacked.
        largest = max((max(sizes[folder]) for folder in folders if folder != context.config.cache), default=0)
        needed = (sum(sum(sizes[folder]) for folder in folders) + largest) / 1000
        free = shutil.disk_usage(_standing(folders[0])).free / 1e9
        if needed > free:
            problem = f"the jobs write about {needed:.1f} GB to {' and '.join(folders)}, with {free:.1f} GB free"
            fix = "Make room, or name larger disks in cache and data.published.<corpus>.root"
            if wanted.disk_mb and context.config.cache in folders:
                fix += "; fewer states take less (tasks.<name>.keep_states)"
            # A corpus that is read with its faults left out may be far from whole, and takes less then.
            yield Fault(problem, fix, published["faults"] == "stop")
