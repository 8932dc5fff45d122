"""The models that come with the package: weights, and beside them the exits that a run of the pipeline gave them.

``models/hubert_NAME.safetensors`` is a frozen HuBERT as a run takes it; ``models/hubert_NAME.exits.safetensors`` holds
what a run adds, as its bundle does (`daisy.library.bundle`): the branches, and thresholds and training histograms of
every task. It says too to which weights it belongs, and from which run it is. A trained downstream
model of that run, ``models/hubert_NAME.head-TASK.safetensors``, is there for a task whose head can be exported.
`daisy.library.ship` writes all of these but the weights.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from daisy.common.contents import digest
from daisy.errors import DaisyError
from daisy.exits.calibration import from_plain
from daisy.hubert import checkpoint as checkpoints
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.config import Position
from daisy.hubert.formats.checks import json_object
from daisy.hubert.formats.content import EXTRAS_KEY
from daisy.hubert.formats.tensors import read_tensors

FOLDER = Path(__file__).parent.parent / "models"
SENTENCE = FOLDER / "pls-hold-while-try.flac"
"""A recording to look at: a telephone prompt of 3.3 s that no shipped model, branch or threshold has heard."""

PREFIX, ENDING = "hubert_", ".exits.safetensors"
AGAIN = "Make a run with these weights (make demo), then `make ship`"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where shipped exits are from.

    Attributes:
        weights: The SHA-256 of the weights that they belong to.
        run: The run's name.
        config: What its config says of targets, branches, thresholds and seeds.
        licence: Under which they may be used.
        sentence: (K,) what the run's own bundle makes of `SENTENCE`: every branch's entropy in nats.
        heads: The SHA-256 of the run's trained heads that ship too, by task.
    """

    weights: str
    run: str
    config: dict[str, Any]
    licence: str
    sentence: list[float]
    heads: dict[str, str] = dataclasses.field(default_factory=dict)


def names(folder: Path = FOLDER) -> list[str]:
    """What `daisy.load` knows by name."""
    return sorted(path.name[len(PREFIX) : -len(ENDING)] for path in folder.glob(f"{PREFIX}*{ENDING}"))


def shipped(given: str | Path, folder: Path = FOLDER) -> bool:
    """Whether a path is meant as the name of a model that ships; what lies at the path itself comes first.

    Raises:
        DaisyError: if it is a bare name, and there is neither.
    """
    path = Path(given)
    if path.exists() or len(path.parts) != 1 or path.suffix:
        return False
    if path.name not in names(folder):
        known = ", ".join(names(folder)) or "none"
        raise DaisyError(
            f"there is no file, no folder and no shipped model {path.name!r}",
            fix=f"Give a checkpoint's path, or the name of a model that ships ({known})",
        )
    return True


def files(name: str, folder: Path = FOLDER) -> tuple[Path, Path]:
    """The weights and the exits of a name."""
    return folder / f"{PREFIX}{name}.safetensors", folder / f"{PREFIX}{name}{ENDING}"


def head_file(name: str, task: str, folder: Path = FOLDER) -> Path:
    """Where the trained head of a task lies, if one ships."""
    return folder / f"{PREFIX}{name}.head-{task}.safetensors"


def heads(name: str, folder: Path = FOLDER) -> dict[str, Path]:
    """The trained heads that ship with the exits of a name, by task.

    Raises:
        DaisyError: if one of them is missing, or is that of another run.
    """
    found = {}
    for task, expected in origin(name, folder).heads.items():
        found[task] = head_file(name, task, folder)
        if not found[task].is_file() or digest(found[task]) != expected:
            raise DaisyError(f"the head of {task} is not that of the exits' run", file=found[task], fix=AGAIN)
    return found


def source(given: str | Path) -> Path:
    """The file or folder that tells one checkpoint from another: of a shipped model its exits, which name its weights.

    Raises:
        DaisyError: if there is none.
    """
    return files(str(given))[1] if shipped(given) else Path(given)


def read(given: str | Path, heads: int | None = None) -> Checkpoint:
    """A checkpoint by its path, or by the name of a model that ships; see `daisy.hubert.checkpoint.load`.

    Raises:
        DaisyError: if it cannot be read.
    """
    return read_shipped(str(given)) if shipped(given) else checkpoints.load(given, heads)


def read_shipped(name: str, folder: Path = FOLDER) -> Checkpoint:
    """A shipped model with its exits.

    Raises:
        DaisyError: if they belong to other weights.
    """
    weights, exits = files(name, folder)
    found = digest(weights)
    if found != (expected := origin(name, folder).weights):
        problem = f"these exits belong to the weights {expected[:12]}, and {weights.name} holds {found[:12]}"
        raise DaisyError(problem, file=exits, fix=AGAIN)
    checkpoint = checkpoints.load(weights)
    tensors, extras = _content(exits)
    checkpoint.branches = Branches(*tensors["weight"].shape)
    checkpoint.branches.load_state_dict(tensors)
    checkpoint.branches.eval().requires_grad_(False)
    position: Position = extras["position"]
    checkpoint.position, checkpoint.symbols = position, extras["symbols"]
    checkpoint.calibrations = from_plain(extras["calibrations"], checkpoint.encoder.config.layers)
    return checkpoint


def origin(name: str, folder: Path = FOLDER) -> Origin:
    """Where the exits of a shipped model are from."""
    return Origin(**_content(files(name, folder)[1])[1]["origin"])


def _content(exits: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors, and the rest as plain types."""
    tensors, header = read_tensors(exits)
    return tensors, json_object(header.get(EXTRAS_KEY, "{}"), exits, f"{EXTRAS_KEY} in its header")
