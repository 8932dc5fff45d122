"""What all rules share: the checked config, names of methods, and how a stage is called."""

import hashlib
import json
import os

from snakemake.exceptions import WorkflowError

from daisy.code_digest import code_digest
from daisy.config import check
from daisy.errors import DaisyError
from daisy.tasks.registry import TASKS

try:
    check(config)
except DaisyError as error:
    raise WorkflowError(str(error))

RUN = f"{config['results']}/{config['run']}"
CACHE = config["cache"]
SEED = config["seed"]
SEEDS = config["seeds"]
CORPORA = f"{CACHE}/corpora"
PARTS = ("train", "dev", "test")


def resource(path):
    """A path of the config: as it stands, or else in the project's own folder."""
    own = f"{workflow.basedir}/{path}"
    return own if os.path.exists(own) and not os.path.exists(path) else path


CHECKPOINT = resource(config["upstream"]["checkpoint"])


def rho_name(rho):
    """The one spelling of a rho in paths."""
    return f"rho{float(rho):g}"


RHOS = {rho_name(rho): rho for rho in config["thresholds"]["rho"]}
DAISY = [f"daisy-{name}" for name in RHOS] if "daisy" in config["downstream"]["methods"] else []
BASELINES = [name for name in config["downstream"]["methods"] if name != "daisy"]
METHODS = DAISY + BASELINES


wildcard_constraints:
    task="|".join(TASKS),
    part="|".join(PARTS),
    seed=r"\d+",
    rho="|".join(RHOS).replace(".", r"\."),
    method="|".join(METHODS).replace(".", r"\."),


def corpus(name):
    """The table of the corpus whose audio a manifest refers to: what reads audio needs it there."""
    own = {"asr": "commands", "se": "enhancement", "ss": "separation", "noise": "noise"}
    kind, embedded = (name, own[name]) if name in own else ("speech", "embedded")
    return f"{config['data']['corpora'].get(kind) or f'{CORPORA}/{embedded}'}/recordings.csv"


def settings(**values):
    """A stage's config values as one JSON text: Snakemake compares it whole, so that every change counts."""
    return json.dumps(values, sort_keys=True)


def task_code(module, task):
    """The digest of a stage that runs a task's own module."""
    return code_digest(module, TASKS[task].module)


def fixed_layer(method):
    """0 for exits by entropy; -1 for all layers; otherwise the layer of a fixed exit."""
    if method.startswith("daisy"):
        return 0
    return -1 if method == "full" else int(method.removeprefix("layer"))


def state(name, *parts):
    """Folder for the state of an unfinished training, of just these settings and this code."""
    return f"{RUN}/state/{name}-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:12]}"


def stage(module, arguments):
    """The command of a stage; what it says goes to the terminal and to the rule's log."""
    return f"python -m daisy.{module} --settings {{params.settings:q}} {arguments} 2>&1 | tee {{log}}"
