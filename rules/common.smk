"""What all rules share: the checked config, the store, names of methods, and how a stage is called."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

from daisy import disk, status_checks
from daisy.code_digest import code_digests
from daisy.config import check_layers, resolve
from daisy.errors import DaisyError
from daisy.method import Method, rho_name
from daisy.orphans import end_orphans
from daisy.published.archives import archives_of
from daisy.published.catalogue import CORPORA as PUBLISHED, module_of, settings_of
from daisy.shape import shape_of
from daisy.store import Store
from daisy.tasks.registry import TASKS


@contextlib.contextmanager
def shown():
    """Show the project's errors as they are: as exceptions, Snakemake would add its own lines of code."""
    try:
        yield
    except DaisyError as error:
        raise SystemExit(f"error: {error}") from error


with shown():
    config = resolve(config)

# A job on another machine runs in the environment that submitted it, activated there or not.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

RUN = f"{config['results']}/{config['run']}"
CACHE = config["cache"]
SEED = config["seed"]
SEEDS = config["seeds"]
PARTS = ("train", "dev", "test")
STORE = f"{CACHE}/store"
store = Store(STORE)


@shown()
def stored(name, *modules, settings, **inputs):
    """Register a stage of the store; its folder."""
    return store.add(name, *modules, settings=settings, **inputs)


def results(path):
    """A path in the folder of the run."""
    return f"{RUN}/{path}"


def cache_path(path):
    """A path in the cache, which all runs share."""
    return f"{CACHE}/{path}"


def store_path(path):
    """A path in the store."""
    return f"{STORE}/{path}"


def of(name, path):
    """Input function: a file in the folder of the stage that this one knows as `name`; none if it has no such stage."""
    return lambda wildcards: (
        [f"{store[wildcards.key].inputs[name]}/{path}"] if name in store[wildcards.key].inputs else []
    )


def stored_settings(wildcards):
    """The config values of a stored stage, as one JSON text."""
    return store[wildcards.key].settings


def stored_code(wildcards):
    """The code of a stored stage: a digest per module."""
    return store[wildcards.key].code


def resource(path):
    """A path of the config: as it stands, or else in the project's own folder."""
    own = f"{workflow.basedir}/{path}"
    return own if os.path.exists(own) and not os.path.exists(path) else path


CHECKPOINT = resource(config["upstream"]["checkpoint"])
with shown():
    if not os.path.exists(CHECKPOINT):
        raise DaisyError(f"upstream.checkpoint: {CHECKPOINT} does not exist", fix="Correct the path")
    SHAPE = shape_of(Path(CHECKPOINT))
    if SHAPE is not None:
        check_layers(config, SHAPE.layers)
    if os.path.isdir(f"{RUN}/branches") and not os.path.islink(f"{RUN}/branches"):
        raise DaisyError(f"{RUN} was made by an older version", fix="Move it away, or give the run another name")


COMPUTE = config["compute"]
EXACT = {**COMPUTE, "precision": "float32"}
"""Where the tables' exits come from: rounding moves an entropy across a threshold now and then."""


RHOS = {rho_name(rho): rho for rho in config["thresholds"]["rho"]}
CHOSEN = [Method.parse(name) for name in config["downstream"]["methods"]]
DAISY = {f"daisy-{name}": Method("daisy", rho) for name, rho in RHOS.items()} if Method("daisy") in CHOSEN else {}
METHODS = DAISY | {method.name: method for method in CHOSEN if not method.by_entropy}


wildcard_constraints:
    key="[0-9a-f]{12}",
    published="|".join(PUBLISHED),
    task="|".join(TASKS),
    part="|".join(PARTS),
    seed=r"\d+",
    rho="|".join(RHOS).replace(".", r"\."),
    method="|".join(METHODS).replace(".", r"\."),


def settings(**values):
    """A stage's config values as one JSON text: Snakemake compares it whole, so that every change counts."""
    return json.dumps(values, sort_keys=True, default=dataclasses.asdict)


@shown()
def code(*modules, tasks=()):
    """A digest for every module that a stage runs."""
    return code_digests(*modules, tasks=tasks)


def task_code(module, task):
    """The code of a stage that runs a task's own module."""
    return code(module, tasks=[task])


def all_tasks_code(module):
    """The code of a stage that names and sorts the results of every task."""
    return code(module, tasks=config["tasks"])


def output_folder(wildcards, output):
    """Parameter function: where a stage with many outputs writes them."""
    return os.path.dirname(output[0])


def option(name):
    """Parameter function: `--name` with the stage's input of that name, or nothing where it has none."""

    def write(wildcards, input):
        return f"--{name} {input[name]}" if input[name] else ""

    return write


def curves(wildcards, output):
    """Parameter function: where TensorBoard finds an unfinished training of the run."""
    return results(f"tensorboard/{os.path.relpath(os.path.dirname(output.model), RUN)}")


def folder_of(file):
    """Parameter function: the folder of one of the stage's inputs."""
    return lambda wildcards: os.path.dirname(file)


def state(name, *parts):
    """Folder for the state of an unfinished training, of just these settings and this code."""
    return f"{RUN}/state/{name}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]}"


def stage(module, arguments, launcher="python"):
    """The command of a stage; what it says goes to the terminal and to the rule's log.

    A notice that the time is up reaches every process of a job. Who writes the log must outlive it, or the stage could
    not say that it saved its state.
    """
    log = "(trap '' TERM USR1; exec tee {log})"
    return f"{launcher} -m daisy.{module} --settings {{params.settings:q}} {arguments} 2>&1 | {log}"


def training(module, arguments):
    """The command of a training, by torch's launcher where several processes train together.

    The shell that runs it must outlive a notice too, or nobody would wait for the state to be saved.
    """
    alone = config["workers"] == 1
    launcher = f"python -m torch.distributed.run --standalone --nproc-per-node {config['workers']}"
    command = stage(module, arguments, "python" if alone else launcher)
    return f"trap : TERM USR1; {command}"
