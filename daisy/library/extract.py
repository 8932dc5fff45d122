"""Features of many recordings as shards: resumable, with an index and the exits as CSV.

A folder holds ``shard-00000.safetensors`` and so on, one tensor per recording named by its number in
``index.csv``; ``exits.csv``; and ``request.json``, what was asked for. A shard is written whole or not
at all, so that an interrupted extraction goes on with the first shard that is not there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import soundfile
import torch

from daisy.common.ahead import ahead
from daisy.common.audio import SAMPLE_RATE, read
from daisy.common.batches import batches
from daisy.common.beside import Beside
from daisy.common.files import atomic, read_csv, read_json, write_csv, write_json
from daisy.common.progress import Progress
from daisy.common.transfer import Fetched, Sent, located, reading
from daisy.errors import DaisyError
from daisy.library.model import Daisy

ENDINGS = (".wav", ".flac")

Details = list[tuple[int, list[float | None]]]
"""Exit layer and entropies of every recording of a shard."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A file and its length in samples."""

    path: Path
    samples: int


@dataclasses.dataclass(frozen=True)
class Request:
    """What decides the features.

    Attributes:
        checkpoint: Digest of the model's file.
        stopping: The keyword arguments of the model's call.
        states: ``all`` for (k + 1, T, D) per recording, ``last`` for (T, D).
        storage: Precision on disk.
        dtype: Precision of the computation.
        batch_seconds: Audio in a batch.
        shard_seconds: Audio in a shard.
    """

    checkpoint: str
    stopping: dict[str, Any]
    states: str
    storage: str
    dtype: str
    batch_seconds: float
    shard_seconds: float


def find_recordings(names: Sequence[str]) -> list[Recording]:
    """The recordings that `names` mean, folders searched, each checked by its header.

    Raises:
        DaisyError: if there are none, one is there twice, or one is no mono recording at 16 kHz.
    """
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
            if not inside:
                raise DaisyError("no WAV or FLAC file in the folder", file=path, fix="Give another folder")
            paths += inside
        else:
            paths.append(path)
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise DaisyError("named twice", file=path, fix="Name every recording once")
        seen.add(path.resolve())
    return [Recording(path, _samples(path)) for path in paths]


def _samples(path: Path) -> int:
    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError):
        return len(read(path))  # which says what is wrong with it
    if (header.samplerate, header.channels) != (SAMPLE_RATE, 1) or header.frames == 0:
        return len(read(path))
    return header.frames


def divide(recordings: Sequence[Recording], seconds: float) -> list[range]:
    """Consecutive recordings, at most `seconds` of audio together or one recording: the shards."""
    result: list[range] = []
    start, total = 0, 0
    for number, recording in enumerate(recordings):
        if number > start and (total + recording.samples) > seconds * SAMPLE_RATE:
            result.append(range(start, number))
            start, total = number, 0
        total += recording.samples
    return [*result, range(start, len(recordings))]


def write_shards(model: Daisy, recordings: Sequence[Recording], request: Request, out: Path) -> list[int]:
    """Extract what is not there yet.

    Returns:
        The exit layer of every recording.

    Raises:
        DaisyError: if `out` holds features of another request.
    """
    for recording in recordings:
        if model.config.frames(recording.samples) < 1:
            raise DaisyError(
                f"{recording.samples} samples, too short for one frame ({model.config.receptive_field})",
                file=recording.path,
                fix="Leave the recording out",
            )
    _check_folder(recordings, request, out)
    shards = divide(recordings, request.shard_seconds)
    progress = Progress("features", sum(item.samples for item in recordings) / SAMPLE_RATE, "s of audio")
    details: dict[str, Details] = {}
    # A shard's file is written while the next shard is computed.
    with Beside(_save, depth=1) as saving:
        for number, shard in enumerate(shards):
            file = out / f"shard-{number:05d}.safetensors"
            finished = _finished(file, len(shard))
            if finished is None:
                tensors, finished = _extract(model, [recordings[i] for i in shard], shard, request, progress)
                saving.put((file, tensors, finished))
                del tensors
            else:
                progress.resume_at(progress.done + sum(recordings[i].samples for i in shard) / SAMPLE_RATE)
            details[file.name] = finished
    return _write_tables(model, recordings, details, out)


def _write_tables(model: Daisy, recordings: Sequence[Recording], details: dict[str, Details], out: Path) -> list[int]:
    """Write the index and the exits, of what is known of each shard's recordings; returns the exit layers."""
    found = [(shard, *item) for shard, items in details.items() for item in items]
    rows: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for index, (recording, (shard, layer, entropies)) in enumerate(zip(recordings, found, strict=True)):
        seconds = round(recording.samples / SAMPLE_RATE, 4)
        frames = model.config.frames(recording.samples)
        rows.append({"number": index, "file": recording.path, "shard": shard, "key": str(index)})
        rows[-1] |= {"exit_layer": layer, "frames": frames, "seconds": seconds}
        values = {f"entropy_{k}": value for k, value in enumerate(entropies, start=1)}
        table.append({"file": recording.path, "seconds": seconds, "exit_layer": layer, **values})
    write_csv(out / "index.csv", list(rows[0]), rows)
    write_csv(out / "exits.csv", list(table[0]), table)
    return [layer for _, layer, _ in found]


def _check_folder(recordings: Sequence[Recording], request: Request, out: Path) -> None:
    listing = "\n".join(f"{item.path} {item.samples}" for item in recordings)
    asked = {**dataclasses.asdict(request), "recordings": hashlib.sha256(listing.encode()).hexdigest()}
    file = out / "request.json"
    if file.exists():
        before = read_json(file)
        different = [key for key in asked if before.get(key) != asked[key]]
        if different:
            raise DaisyError(
                f"the folder holds features made with another {different[0]}",
                file=file,
                fix="Choose a new folder, or delete this one",
            )
    elif out.exists() and any(out.iterdir()):
        raise DaisyError("the folder is not empty and holds no features", file=out, fix="Choose a new folder")
    else:
        write_json(file, asked)


def _finished(file: Path, count: int) -> Details | None:
    """Exits and entropies of a shard that is there; None if it is not, or is damaged."""
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            details = json.loads((content.metadata() or {})["exits"])
            whole = len(list(content.keys())) == len(details) == count
    except (OSError, safetensors.SafetensorError, KeyError, json.JSONDecodeError):
        return None
    return [(layer, entropies) for layer, entropies in details] if whole else None


def _extract(
    model: Daisy, recordings: Sequence[Recording], numbers: range, request: Request, progress: Progress
) -> tuple[dict[str, torch.Tensor], Details]:
    """The tensors of a shard by their names, on the CPU, and what its exits were."""
    tensors: dict[str, torch.Tensor] = {}
    details: dict[int, tuple[int, list[float | None]]] = {}
    device, storage = located(model.device), getattr(torch, request.storage)

    def waves(group: list[int]) -> tuple[list[int], Sent]:
        return group, Sent([read(recordings[i].path, samples=recordings[i].samples) for i in group], device)

    def keep(made: tuple[list[int], Fetched]) -> None:
        group, fetched = made
        # Copies: on a GPU they make room in the pinned buffers, and the last state holds on to no other.
        tensors.update(zip((str(numbers[i]) for i in group), map(torch.clone, fetched.arrived()), strict=True))

    groups = batches([item.samples for item in recordings], request.batch_seconds)
    with Beside(keep) as keeping, contextlib.closing(ahead(groups, waves, *reading(device))) as found:
        for group, sent in found:
            out = model(sent.arrived(), **request.stopping)
            chosen = out.features if request.states == "all" else [item[-1] for item in out.features]
            keeping.put((group, Fetched([item.to(storage) for item in chosen])))
            for i, layer, entropies in zip(group, out.exit_layer, out.entropies, strict=True):
                # JSON has no NaN: a branch that was not asked is null.
                details[i] = layer, [None if value != value else value for value in entropies]
                progress.add(recordings[i].samples / SAMPLE_RATE)
    return tensors, [details[i] for i in range(len(recordings))]


def _save(shard: tuple[Path, dict[str, torch.Tensor], Details]) -> None:
    file, tensors, details = shard
    with atomic(file) as temporary:
        safetensors.torch.save_file(tensors, temporary, {"exits": json.dumps(details)})


def read_features(folder: str | Path) -> Iterator[tuple[str, torch.Tensor, int]]:
    """Read extracted features back: for every recording its file, its features and its exit layer.

    Raises:
        DaisyError: if the folder has no index.
    """
    folder = Path(folder)
    opened: dict[str, Any] = {}
    for row in read_csv(folder / "index.csv", columns=("file", "shard", "key", "exit_layer")):
        name = row["shard"]
        if name not in opened:
            opened = {name: safetensors.safe_open(folder / name, framework="pt")}
        yield row["file"], opened[name].get_tensor(row["key"]), int(row["exit_layer"])
