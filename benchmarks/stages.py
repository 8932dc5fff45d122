"""The stages from FLAC files to their results, and what of it is not their start.

Table `stages`: a row per stage and precision. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`. Against `real time` the ratio is of
  seconds per second of audio, and `ms` of the audio's batch; against `step in memory` it is of the stage's steps and
  those of the part `downstream`, done in the same round.
- `precision`; `minutes`: the audio that makes the difference.

A stage runs in this process, on few recordings and on many, or with few steps and with many: what the many take longer
is what they cost, since both load the model and end alike. Recordings are cut from the golden ones at lengths of which
hardly two are alike, so that every batch has a shape that was not there before. Of a training, `first epoch` are steps
on such batches, and `later` steps on batches that it knows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clock import SPREAD, Taken, spread
from benchmarks.downstream import TASKS, steps_of
from benchmarks.model import random_model
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.branches import train as branches
from daisy.cli import main as cli
from daisy.common import audio
from daisy.common.batches import batches
from daisy.common.compute import Precision
from daisy.common.speed import take_turns
from daisy.corpora.utterances import Manifest, Utterance, write_manifest
from daisy.downstream import train as downstream
from daisy.features import states
from daisy.hubert.checkpoint import save
from daisy.targets import dump, label
from daisy.targets.km import write_labels

COLUMNS = (*SPREAD, "precision", "minutes")
GOLDEN = Path(__file__).parent.parent / "tests/golden"
LAYER = 9
ASR: tuple[Precision, ...] = ("float32", "bfloat16")
"""The precisions of downstream training."""

FEW_STEPS, MANY_STEPS = 4, 24
"""Steps of downstream training; those of branches follow from the batches."""


@dataclasses.dataclass(frozen=True)
class Data:
    """What the stages read.

    Attributes:
        folder: Of everything.
        manifests: By amount: `few` and `many` recordings, and `some`, of which states are kept.
        batch_seconds: Audio in a batch: the paper's 160 s, at recordings of 10 s.
    """

    folder: Path
    manifests: dict[str, Manifest]
    batch_seconds: float

    def file(self, amount: str) -> Path:
        """The manifest of an amount."""
        return self.folder / f"{amount}.tsv"

    def count(self, amount: str) -> int:
        """Batches of an amount."""
        return len(batches([item.samples for item in self.manifests[amount].utterances], self.batch_seconds))


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        data = write_data(Path(name), options)
        memory = steps_of("asr", TASKS["asr"][1], min(TASKS["asr"][0], options.count), options)
        step = {f"asr step in memory {precision}": memory[precision] for precision in ASR}
        # One after the other, so that what is ended early has the rows of those before; the last one reads what states
        # the second one keeps.
        yield from branch_rows(turns(branch_training(data, options), data, options), data, options)
        yield from reading_rows(turns(reading(data, options), data, options), data, options)
        yield from recognition_rows(turns(recognition(data, options), data, options, step))


def turns(
    commands: Iterable[Command], data: Data, options: Options, more: Mapping[str, Callable[[], object]] | None = None
) -> Taken:
    """Seconds of stages, and of more works, which take turns; what stages say is not shown."""
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing), contextlib.redirect_stdout(nothing):
        return take_turns({**works_of(commands, data), **(more or {})}, options.rounds("stages"))


def write_data(folder: Path, options: Options) -> Data:
    """Recordings, manifests, a model, centroids, labels and kept states."""
    many = options.count * (40 if options.device == "cuda" else 1)
    amounts = {"few": max(1, many // 16), "some": max(2, min(many, 8 * options.count)), "many": many}
    rng = np.random.default_rng(options.seed)
    speech = np.concatenate([audio.read(path).numpy() for path in sorted(GOLDEN.glob("*.wav"))])
    items = []
    for number in range(many):
        samples = round(rng.uniform(0.2, 1.7) * options.seconds * audio.SAMPLE_RATE)
        wave = np.resize(np.roll(speech, int(rng.integers(len(speech)))), samples)
        audio.write(folder / f"{number}.flac", wave)
        items.append(Utterance(f"{number}", f"{number}.flac", samples, "s", "a few words"))
    manifests = {amount: Manifest(folder, tuple(items[:count])) for amount, count in amounts.items()}
    for amount, manifest in manifests.items():
        write_manifest(folder / f"{amount}.tsv", folder, manifest.utterances)
        (folder / f"{amount}.list").write_text("".join(f"{folder / item.path}\n" for item in manifest.utterances))
    model, shape = random_model(options), options.shape
    save(folder / "model.safetensors", model.to("cpu"), "safetensors")
    centroids = rng.standard_normal((options.classes, shape.dim)).astype(np.float32)
    np.savez(folder / "centroids.npz", centroids=centroids)
    write_labels(folder / "many.km", [rng.integers(options.classes, size=shape.frames(item.samples)) for item in items])
    (folder / "dict.km.txt").write_text("".join(f"{number} 1\n" for number in range(options.classes)))
    return Data(folder, manifests, 16 * options.seconds)


Command = tuple[str, str, Callable[[list[str]], Any], list[object]]
"""A stage's name and amount, its `main`, and its command line."""


def works_of(commands: Iterable[Command], data: Data) -> dict[str, Callable[[], object]]:
    """Every stage with every amount."""

    def work(stage: Callable[[list[str]], Any], arguments: list[object]) -> None:
        for left in ("state", "features"):
            shutil.rmtree(data.folder / left, ignore_errors=True)
        stage(list(map(str, arguments)))

    return {f"{name}, {amount}": functools.partial(work, stage, given) for name, amount, stage, given in commands}


def reading(data: Data, options: Options) -> Iterator[Command]:
    """The stages that run the frozen model on recordings."""
    place, threads = data.folder, options.threads
    shared = {"layer": min(LAYER, options.shape.layers), "batch_seconds": data.batch_seconds}
    model = ["--checkpoint", place / "model.safetensors", "--threads", threads]
    for precision, amount in itertools.product(options.precisions, ("few", "many")):
        chosen = shared | {"compute": {"device": options.device, "precision": precision}}
        read = [*model, "--manifest", data.file(amount), "--settings"]
        drawn = json.dumps({**chosen, "share": 0.1, "utterances": 1.0, "seed": 0})
        yield f"dump {precision}", amount, dump.main, [*read, drawn, "--out", place / "shards"]
        labelled = ["--centroids", place / "centroids.npz", "--out", place / "new.km"]
        yield f"label {precision}", amount, label.main, [*read, json.dumps({**chosen, "kind": "kmeans"}), *labelled]
    for amount in ("few", "some"):
        for kept in ("all", "last"):
            asked = [place / "model.safetensors", f"@{place / amount}.list", "--device", options.device]
            asked += ["--layer", options.shape.layers, "--states", kept, "--batch-seconds", data.batch_seconds]
            yield f"extract {kept} float32", amount, run_cli, ["extract", *asked, "--out", place / "features"]
        exact = {"device": options.device, "precision": "float32"}
        view = {"view": {"states": "after-norm"}, "storage": "float16", "batch_seconds": data.batch_seconds}
        read = [*model, "--manifest", data.file(amount), "--settings", json.dumps({**view, "compute": exact})]
        yield "states float32", amount, states.main, [*read, "--out", place / amount / "states.npy"]


def branch_training(data: Data, options: Options) -> Iterator[Command]:
    """The training of branches."""
    for precision, (amount, steps) in itertools.product(options.precisions, branch_steps(data).items()):
        compute = {"device": options.device, "precision": precision}
        yield f"branches {precision}", amount, branches.main, branch_arguments(data, steps, compute, options)


def recognition(data: Data, options: Options) -> Iterator[Command]:
    """The training of speech recognition from kept states."""
    for precision, (amount, steps) in itertools.product(ASR, (("few", FEW_STEPS), ("many", MANY_STEPS))):
        compute = {"device": options.device, "precision": precision}
        yield f"asr {precision}", amount, downstream.main, asr_arguments(data, steps, compute, options)


def run_cli(arguments: list[str]) -> None:
    """The command `daisy`.

    Raises:
        RuntimeError: if it fails.
    """
    if cli.main(arguments):
        raise RuntimeError(f"daisy {' '.join(arguments)} failed")


def branch_steps(data: Data) -> dict[str, int]:
    """Steps of branch training: one, an epoch, and three."""
    epoch = max(2, data.count("many"))
    return {"one step": 1, "an epoch": epoch, "three": 3 * epoch}


def branch_arguments(data: Data, steps: int, compute: Mapping[str, str], options: Options) -> list[object]:
    """The command line of branch training."""
    settings = {"position": "before-norm", "steps": steps, "batch_seconds": data.batch_seconds, "learning_rate": 0.001}
    settings |= {"seed": options.seed, "save_every": 10**9, "compute": compute}
    place = data.folder
    files = ["--checkpoint", place / "model.safetensors", "--manifest", data.file("many"), "--threads", options.threads]
    files += ["--labels", place / "many.km", "--dictionary", place / "dict.km.txt"]
    results = ["--state", place / "state", "--out", place / "daisy.pt", "--history", place / "history.csv"]
    return ["--settings", json.dumps(settings), *files, *results]


def asr_arguments(data: Data, steps: int, compute: Mapping[str, str], options: Options) -> list[object]:
    """The command line of a training of speech recognition from kept states; the dev set is one look at the few."""
    size, given = TASKS["asr"]
    if options.shape.dim < 128:
        given = given | {"hidden": 8, "layers": 1}
    settings = {"task": "asr", "options": given, "states": "after-norm", "steps": steps, "batch_size": size}
    settings |= {"optimizer": "adam", "learning_rate": 0.0001, "schedule": "constant", "clip": 1.0, "compute": compute}
    settings |= {"dev_every": 10**9, "seed": options.seed, "save_every": 10**9, "fusion": "dynamic"}
    settings |= {"method": {"kind": "full"}}
    place = data.folder
    arguments: list[object] = ["--settings", json.dumps(settings), "--threads", options.threads]
    for part, amount in (("train", "some"), ("dev", "few")):
        arguments += [f"--{part}-manifest", data.file(amount), f"--{part}-states", place / amount / "states.npy"]
    arguments += ["--state", place / "state", "--out", place / "model-asr.safetensors"]
    return [*arguments, "--exits", place / "exits.json", "--history", place / "history-asr.csv"]


def branch_rows(taken: Taken, data: Data, options: Options) -> Iterator[Row]:
    """The rows of the training of branches, from the seconds of every round."""
    many, steps = data.manifests["many"].seconds, branch_steps(data)
    for precision in options.precisions:
        for what, first, last in (("first epoch", "one step", "an epoch"), ("later", "an epoch", "three")):
            audio_seconds = (steps[last] - steps[first]) * many / max(1, data.count("many"))
            found = rate(taken, f"branches {precision}", (first, last), audio_seconds, data, precision)
            per_step = found["ms"] * audio_seconds / data.batch_seconds / (steps[last] - steps[first])
            yield found | {"system": f"branches {precision}, {what}", "ms": per_step}


def reading_rows(taken: Taken, data: Data, options: Options) -> Iterator[Row]:
    """The rows of the stages that run the frozen model."""
    seconds = {amount: manifest.seconds for amount, manifest in data.manifests.items()}
    for precision, stage in itertools.product(options.precisions, ("dump", "label")):
        audio_seconds = seconds["many"] - seconds["few"]
        yield rate(taken, f"{stage} {precision}", ("few", "many"), audio_seconds, data, precision)
    for name in ("extract all float32", "extract last float32", "states float32"):
        yield rate(taken, name, ("few", "some"), seconds["some"] - seconds["few"], data, "float32")


def recognition_rows(taken: Taken) -> Iterator[Row]:
    """The rows of the training of speech recognition."""
    for precision in ASR:
        pairs = zip(taken[f"asr {precision}, few"], taken[f"asr {precision}, many"], strict=True)
        stage_steps = [(many - few) / (MANY_STEPS - FEW_STEPS) for few, many in pairs]
        memory = taken[f"asr step in memory {precision}"]
        ratios = spread([one / other for one, other in zip(stage_steps, memory, strict=True)])
        values = (f"asr {precision}", "step in memory", *ratios, 1000 * statistics.median(stage_steps))
        yield {**dict(zip(SPREAD, values, strict=True)), "precision": precision}


def rate(
    taken: Taken, name: str, amounts: tuple[str, str], audio_seconds: float, data: Data, precision: Precision
) -> dict[str, Any]:
    """The row of a stage that takes so much longer for so many more seconds of audio."""
    few, many = (taken[f"{name}, {amount}"] for amount in amounts)
    ratios = spread([(more - less) / audio_seconds for less, more in zip(few, many, strict=True)])
    values = (name, "real time", *ratios, 1000 * ratios.median * data.batch_seconds)
    return {**dict(zip(SPREAD, values, strict=True)), "precision": precision, "minutes": audio_seconds / 60}
