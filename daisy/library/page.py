"""Write a page on which a model runs in the browser and really stops: it opens from the disk or any static server.

A folder holds ``index.html`` with its script and style, as `browser/` builds them, and in ``data/`` the model's
segments, sounds and ONNX Runtime's WebAssembly. Each of these is a script that hands over its content, packed by gzip
and written as letters: a page that is opened from a disk may load scripts, but fetch no files.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daisy.common import audio
from daisy.corpora.mixing import loop, mix
from daisy.downstream.model import Downstream
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.exits.candidates import STRATEGIES
from daisy.exits.request import cell
from daisy.exits.thresholds import midrange
from daisy.hubert.checkpoint import Checkpoint
from daisy.library import heads
from daisy.library.onnx_export import export, fresh, halve
from daisy.library.onnx_runtime import OnnxDaisy
from daisy.library.shipped import SENTENCE

PACKAGE = Path(__file__).parent.parent
APP, SOUNDS = PACKAGE / "page/app", PACKAGE / "page/sounds"
NOISES = ("music", "babble")

SPOKEN = {"sid": "allison"}
"""What is known of the shipped recording, by task; it comes without a transcript."""

LETTERS = 0x3400
"""The first of 2^15 characters that each stand for 15 bits. None needs an escape, and as UTF-16 they take 16 bits:
a fifteenth more than the bytes themselves, where base64 takes a third."""

HELD = 5e-4
"""In nats: weights of 16 bits are taken if they move no entropy by more, half of what the page may differ by."""


@dataclasses.dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        size: Bytes of the whole page.
        half: Whether weights have 16 bits.
        moved: By how much these would move, or move, the entropies of the shipped recording, in nats.
        tasks: The tasks whose heads the page hears with.
    """

    size: int
    half: bool
    moved: float
    tasks: tuple[str, ...]


def write(checkpoint: Checkpoint, out: Path, name: str, files: Sequence[Path] = ()) -> Written:
    """Write the page of a model.

    Args:
        checkpoint: A HuBERT with branches, as float32; with calibrations, or a threshold is offered alone.
        out: A new or empty folder.
        name: What the page calls the model.
        files: Trained downstream models, one per task, with which the page hears.

    Raises:
        DaisyError: if the model has no branches, `out` is not empty, a package is missing, or a downstream model is
            of another upstream or cannot be exported.
    """
    if checkpoint.branches is None:
        raise DaisyError("the model has no exit branches", fix="Give a run's bundle, model/daisy.safetensors")
    models = heads.read(files, checkpoint)
    with fresh(out) as folder, tempfile.TemporaryDirectory() as temporary:
        whole, half = Path(temporary) / "whole", Path(temporary) / "half"
        export(checkpoint, whole)
        for task, model in models.items():
            heads.export_head(model, whole / f"head-{task}.onnx")
        shutil.copytree(whole, half)
        for file in half.glob("*.onnx"):
            halve(file)
        expected = entropies(whole)
        moved = float(np.abs(entropies(half) - expected).max())
        kept = half if moved <= HELD else whole
        told = description(checkpoint, name, kept == half, expected[0], models)
        _fill(folder, kept, told)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Written(size, kept == half, moved, tuple(sorted(models)))


def entropies(folder: Path) -> np.ndarray:
    """(conditions, K - 1) of the shipped recording, clean and under noise at 0 dB; the last layer is never asked."""
    model = OnnxDaisy(folder)
    clean = audio.read(SENTENCE).numpy()
    noises = [loop(audio.read(SOUNDS / f"{kind}.flac").numpy(), len(clean)) for kind in NOISES]
    waves = [clean, *(mix(clean, noise, 0.0).wave for noise in noises)]
    return np.array([model(wave, threshold=0.0).entropies[:-1] for wave in waves])


def description(
    checkpoint: Checkpoint, name: str, half: bool, clean: np.ndarray, models: Mapping[str, Downstream]
) -> dict[str, Any]:
    """What the page has to know of the model; `clean` are the shipped recording's entropies."""
    assert checkpoint.branches is not None
    config = checkpoint.encoder.config
    return {
        "name": name,
        "layers": config.layers,
        "shortest": config.receptive_field,
        "exits": exits(checkpoint.calibrations),
        "threshold": round(midrange(clean.tolist(), 1.0), 2),
        "most": math.log(checkpoint.branches.weight.shape[1]),
        "half": half,
        "heads": {
            task: heads.description(model) | {"spoken": SPOKEN.get(task, "")} for task, model in sorted(models.items())
        },
    }


def exits(calibrations: Mapping[str, Calibration]) -> dict[str, Any]:
    """Candidates and threshold by task, rho and strategy, so that the page computes neither."""
    table: dict[str, Any] = {}
    for task, calibration in sorted(calibrations.items()):
        for rho in sorted(calibration.counts, reverse=True):
            for strategy in STRATEGIES:
                candidates, tau = cell(calibrations, task, rho, strategy)
                row = table.setdefault(task, {}).setdefault(f"{rho:g}", {})
                row[strategy] = {"candidates": candidates, "tau": tau}
    return table


def _fill(folder: Path, segments: Path, told: Mapping[str, Any]) -> None:
    data = folder / "data"
    data.mkdir()
    for name in ("index.html", "app.js", "style.css"):
        shutil.copyfile(APP / name, folder / name)
    _asset(data, "runtime", (APP / "runtime.wasm.gz").read_bytes())
    contents = {file.stem: file.read_bytes() for file in segments.glob("*.onnx")}
    contents |= {kind: (SOUNDS / f"{kind}.flac").read_bytes() for kind in NOISES}
    contents |= {"sentence": SENTENCE.read_bytes(), "model": json.dumps(told, sort_keys=True).encode()}
    for name, content in contents.items():
        _asset(data, name, gzip.compress(content, mtime=0))


def _asset(data: Path, name: str, packed: bytes) -> None:
    # A browser takes the mark at the beginning for the encoding, whatever a server says.
    text = f'\ufeffdaisyAsset("{name}", {len(packed)}, "{letters(packed)}");\n'
    (data / f"{name}.js").write_bytes(text.encode("utf-16-le"))


def letters(content: bytes) -> str:
    """Bytes as characters from `LETTERS` on, 15 bits each, the highest first; the last one is filled up with zeros."""
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    rows = np.pad(bits, (0, -len(bits) % 15)).reshape(-1, 15)
    values = np.packbits(np.pad(rows, ((0, 0), (1, 0))), axis=1).view(">u2")[:, 0]
    return (values + LETTERS).astype("<u2").tobytes().decode("utf-16-le")
