"""What all rules share: the run, and how a stage is called. What they compute is in `daisy.workflow`."""

import contextlib
import os
import shlex
import sys
from pathlib import Path

from daisy.workflow import slurm_status as status_checks, slurm_submissions as submissions
from daisy.errors import DaisyError
from daisy.workflow.slurm_orphans import end_orphans
from daisy.corpora.published.catalogue import CORPORA as PUBLISHED, module_of
from daisy.tasks.registry import TASKS
from daisy.workflow.inputs import look
from daisy.workflow.layers import check_keys
from daisy.workflow.noise import RESULTS as NOISE_RESULTS
from daisy.workflow.sections import PARTS
from daisy.workflow.several import tried
from daisy.workflow.upgrades import make_again, outdated, summary
from daisy.workflow.workflow import ENDINGS, FIGURES, Workflow


@contextlib.contextmanager
def shown():
    """Show the project's errors as they are: as exceptions, Snakemake would add its own lines of code."""
    try:
        yield
    except DaisyError as error:
        raise SystemExit(f"error: {error}") from error


with shown():
    # Snakemake read the files itself; its jobs need not look at them again.
    files = map(Path, workflow.configfiles if workflow.is_main_process else ())
    _, flow = tried(lambda: check_keys(files), lambda: Workflow(config, Path(workflow.basedir)))

# A job on another machine runs in the environment that submitted it, activated there or not.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

results, cache_path, store_path = flow.context.results, flow.context.cached, flow.context.store.path


wildcard_constraints:
    key="[0-9a-f]{12}",
    published="|".join(PUBLISHED),
    task="|".join(TASKS),
    part="|".join(PARTS),
    seed=r"\d+",
    rho="|".join(flow.scales).replace(".", r"\."),
    method="|".join(flow.methods).replace(".", r"\."),


def of(name, path=""):
    """Input function: a file in the folder that a stage knows as `name`, or `name` itself; none if it reads no such."""
    return lambda wildcards: flow.context.store[wildcards.key].file(name, path)


def stored_settings(wildcards):
    """The settings of a stored stage, as one JSON text."""
    return flow.context.store[wildcards.key].settings


def stored_code(wildcards):
    """The code of a stored stage: a digest per module."""
    return flow.context.store[wildcards.key].code


def hubert(wildcards):
    """Input function: the frozen model, where a stage reads it itself; it is old, whatever its time."""
    return ancient(of("hubert")(wildcards))


def reading(wildcards):
    """Input function: the model whose hidden states a stage reads, a student or the frozen one."""
    return of("student", "student.safetensors")(wildcards) or hubert(wildcards)


def running(wildcards):
    """Input function: the model that runs when a method is timed; the frozen one is old, whatever its time."""
    return of("upstream", "daisy.pt")(wildcards) or reading(wildcards)


def beside(wildcards):
    """Input function: the model that the full model runs on when a method is timed, where the method runs another."""
    return hubert(wildcards) if of("student")(wildcards) else []


def output_folder(wildcards, output):
    """Parameter function: where a stage with many outputs writes them."""
    return os.path.dirname(output[0])


def folder(name):
    """Parameter function: a folder of the run, where a stage reads or writes many files."""
    return lambda wildcards: results(name)


def option(name):
    """Parameter function: `--name` with the stage's input of that name, or nothing where it has none."""
    return lambda wildcards, input: f"--{name.replace('_', '-')} {shlex.quote(str(input[name]))}" if input[name] else ""


def gpus(workers=1):
    """The resource `gpu` of a job that runs the model or trains; the processes of a training have one each.

    With `device: auto` it counts where somebody says how many there are (`--resources gpu=8`); elsewhere it would ask a
    cluster for what it may not have.
    """
    device = flow.config.compute.device
    asked = device == "cuda" or (device == "auto" and "gpu" in workflow.resource_settings.resources)
    return workers if asked else 0


def stage(module, arguments, launcher="python"):
    """The command of a stage; what it says goes to the terminal and to the rule's log.

    A notice that the time is up reaches every process of a job. Who writes the log must outlive it, or the stage could
    not say that it saved its state.
    """
    log = "(trap '' TERM USR1; exec tee {log})"
    record = "--record {log}.json {output}"
    return f"{launcher} -m daisy.{module} --settings {{params.settings:q}} {arguments} {record} 2>&1 | {log}"


def training(module, arguments):
    """The command of a training, by a launcher where several processes train together.

    The shell that runs it must outlive a notice too, or nobody would wait for the state to be saved.
    """
    workers, device = flow.config.workers, flow.config.compute.device
    launcher = f"python -m daisy.training.launch --workers {workers} --device {device}" if workers > 1 else "python"
    return f"trap : TERM USR1; {stage(module, arguments, launcher)}"
