"""Take branches, thresholds, histograms and heads of a finished run, and put them beside the weights that ship.

make ship RESULTS=results/mini, or: python -m daisy.library.ship results/mini
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from daisy.common import audio
from daisy.common.contents import digest
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.formats.content import EXTRAS_KEY
from daisy.hubert.formats.writing import write_file
from daisy.library.heads import of_run, read
from daisy.library.model import Daisy
from daisy.library.shipped import ENDING, FOLDER, PREFIX, SENTENCE, Origin, files, head_file, read_shipped

TOLD = ("targets", "branches", "thresholds", "seed", "seeds")
"""The parts of a run's config that say how its exits came about."""

LICENCE = "that of the weights, see their card"


def ship(run: Path, folder: Path = FOLDER) -> Path:
    """Write the exits of a finished run, and heads for its page, beside the weights that it ran on; the exits' file.

    The same run gives the same file, byte for byte.

    Args:
        run: Its folder of results.
        folder: Where the weights lie, and the exits go to.

    Raises:
        DaisyError: if the run is not finished, its HuBERT is none that ships, or it has heard the sentence that ships.
    """
    bundle, config = _bundle(run), _config(run)
    _check_sentence(run)
    weights, out = files(Path(config["upstream"]["checkpoint"]).stem.removeprefix(PREFIX), folder)
    if not weights.is_file() or not _same(load(weights), bundle):
        problem = f"the run's HuBERT, {config['upstream']['checkpoint']}, is none that lies in {folder}"
        raise DaisyError(problem, file=run, fix="Give a run of config/config.yaml made with the weights that ship")
    (entropies,) = Daisy(bundle).all_layers([audio.read(SENTENCE)]).entropies
    heads = _heads(run, bundle, weights, folder)
    told = {name: config[name] for name in TOLD}
    origin = Origin(digest(weights), str(config["run"]), told, LICENCE, entropies, heads)
    extras = {
        "position": bundle.position,
        "symbols": bundle.symbols,
        "calibrations": {task: item.plain() for task, item in bundle.calibrations.items()},
        "origin": dataclasses.asdict(origin),
    }
    assert bundle.branches is not None
    # One key: safetensors writes several in any order.
    write_file(out, bundle.branches.state_dict(), {EXTRAS_KEY: extras})
    return out


def _heads(run: Path, bundle: Checkpoint, weights: Path, folder: Path) -> dict[str, str]:
    """Put the run's heads in the place of those that lay there; their digests by task."""
    name, files = weights.stem.removeprefix(PREFIX), of_run(run)
    read(list(files.values()), bundle)
    for old in folder.glob(head_file(name, "*", folder).name):
        old.unlink()
    return {task: digest(Path(shutil.copyfile(file, head_file(name, task, folder)))) for task, file in files.items()}


def _check_sentence(run: Path) -> None:
    """Check that nothing of a run was trained on the sentence that shows it."""
    sentence = audio.read(SENTENCE)
    for path in sorted(run.glob("manifests/*/train.tsv")):
        manifest = read_manifest(path)
        for place, item in enumerate(manifest.utterances):
            if item.samples == len(sentence) and np.array_equal(manifest.wave(place), sentence):
                problem = f"the run was trained on {item.id}, which is the sentence that ships"
                raise DaisyError(problem, file=path, fix=f"Put another recording in the place of {SENTENCE.name}")


def _bundle(run: Path) -> Checkpoint:
    path = run / "model/daisy.safetensors"
    if not path.is_file():
        raise DaisyError("the run has no bundle", file=path, fix="Finish it first, for example by `make demo`")
    bundle = load(path)
    if bundle.branches is None or not bundle.calibrations:
        raise DaisyError("the bundle has no calibrated exits", file=path, fix="Give a run with the method daisy")
    return bundle


def _config(run: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"the run's config cannot be read ({error.strerror})"
        raise DaisyError(problem, file=run / "config.yaml", fix="Give a run's folder of results") from None
    return config


def _same(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two encoders are the same, to the bit."""
    first, second = one.encoder.state_dict(), other.encoder.state_dict()
    shaped = one.encoder.config == other.encoder.config
    return shaped and all(torch.equal(value, second[name]) for name, value in first.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of results of a finished run")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the weights (default: the package's)")
    arguments = parser.parse_args(argv)
    try:
        out = ship(arguments.run, arguments.folder)
        name = out.name.removeprefix(PREFIX).removesuffix(ENDING)
        tasks = ", ".join(sorted(read_shipped(name, arguments.folder).calibrations))
    except DaisyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB, calibrated for {tasks}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
