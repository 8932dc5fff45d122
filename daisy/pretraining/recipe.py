"""Make a HuBERT from synthetic speech in one command: speech, one training after the other, probes, weights and card.

Stages run one after the other, each marked when it is done; a second call goes on where the first was ended, inside a
training too, and does again what other settings change, with all that follows.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from daisy.common import stage
from daisy.common.contents import digest
from daisy.common.files import read_json, write_json, write_text
from daisy.common.numbers import read_yaml
from daisy.common.seeds import generator
from daisy.corpora.utterances import Utterance, read_manifest, write_manifest
from daisy.errors import DaisyError
from daisy.pretraining import phones, probe_table
from daisy.pretraining.ability import able
from daisy.pretraining.settings import IterationSettings, RecipeSettings, SpeechSettings, TrainSettings
from daisy.targets.km import read_lines
from daisy.targets.settings import DumpSettings, KMeansSettings, LabelSettings


def read_settings(path: Path, changes: Sequence[str] = ()) -> RecipeSettings:
    """The recipe in a YAML file, with `changes` of single values: ``iterations.0.train.steps=20``.

    Raises:
        DaisyError: if the file is missing or no YAML, or a value does not fit.
    """
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
        for change in changes:
            keys, _, value = change.partition("=")
            *way, last = (int(key) if key.isdigit() else key for key in keys.split("."))
            place: Any = values
            for key in way:
                place = place[key]
            place[last] = read_yaml(value)
    except FileNotFoundError:
        raise DaisyError("the recipe does not exist", file=path, fix="Use config/pretrain/phones.yaml") from None
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise DaisyError(f"not a recipe ({error})", file=path, fix="Correct the file, or what --set says") from None
    return stage.build(RecipeSettings, values, "recipe")


def join(manifests: Sequence[Path], out: Path, labels: Sequence[Path] = ()) -> None:
    """One manifest of several, in an order drawn once, so that a share of it is a share of each; and their labels."""
    items: list[Utterance] = []
    lines: list[str] = []
    for number, path in enumerate(manifests):
        manifest = read_manifest(path)
        for item in manifest.utterances:
            file = str((manifest.root / item.path).resolve())
            items.append(dataclasses.replace(item, id=f"{number}/{item.id}", path=file, references=()))
        if labels:
            lines += read_lines(labels[number], len(manifest))
    order = generator(0, "join").permutation(len(items))
    write_manifest(out, Path("/"), [items[index] for index in order])
    if labels:
        write_text(out.with_suffix(".km"), "".join(lines[index] + "\n" for index in order))


def run_stage(module: str, *arguments: str) -> None:
    """Run the stage ``daisy.<module>`` in this process, by its name, as rules do."""
    importlib.import_module(f"daisy.{module}").main(arguments)


class Recipe:
    """A recipe in a folder.

    Args:
        settings: The recipe.
        folder: Where everything lies.
        cache: Where packages lie.
        recordings: Manifests of real speech, which join the synthetic speech where targets are clusters.
        probes: A name, a manifest to train probes on and one to test them on, beside the synthetic speech.
        noise: The table of a corpus of noise, for augmentation.
        start: A HuBERT of the same shape that the first iteration starts from; None for fresh weights.
        threads: CPU threads.
    """

    def __init__(
        self,
        settings: RecipeSettings,
        folder: Path,
        cache: Path,
        recordings: Sequence[Path] = (),
        probes: Sequence[tuple[str, Path, Path]] = (),
        noise: Path | None = None,
        start: Path | None = None,
        threads: int = 1,
    ) -> None:
        self.settings, self.folder, self.cache, self.noise, self.start = settings, folder, cache, noise, start
        self.recordings = list(recordings)
        synthetic = ("synthetic", folder / "speech" / "train.tsv", folder / "speech" / "dev.tsv")
        self.probes = [synthetic, *probes]
        self.threads = ["--threads", str(threads)]
        self._before = ""
        self._heard_last = self.probes[0][1]  # the manifest of the last training

    def stage(self, name: str, settings: Any, inputs: Sequence[Path], output: Path, run: Callable[[], None]) -> None:
        """Run a stage unless it was done with the same settings and inputs, after the same stages."""
        mark = self.folder / "done" / f"{name}.json"
        known = [self._before, settings, [digest(path) for path in inputs]]
        self._before = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
        if mark.exists() and output.exists() and read_json(mark) == self._before:
            print(f"{name}: done before")
            return
        print(f"{name}: begins", flush=True)
        run()
        write_json(mark, self._before)

    def check(self) -> None:
        """See whether each iteration has what its targets are made of: before hours of those that come first.

        Raises:
            DaisyError: if one has not.
        """
        before = None
        for number, iteration in enumerate(self.settings.iterations, start=1):
            if iteration.layer and iteration.own:
                problem = f"iteration {number} is on clusters of layer {iteration.layer}, and `own` is for phones"
                raise DaisyError(problem, fix="Set one of them")
            if iteration.layer and number == 1 and self.start is None:
                raise DaisyError("the first iteration has no layer to cluster", fix="Set its layer to 0, for phones")
            if iteration.own and (before is None or before.layer):
                problem = f"iteration {number} is on phones of the one before, which knows none"
                raise DaisyError(problem, fix="Set `own` only after an iteration on phones")
            before = iteration

    def run(self) -> None:
        """Everything."""
        self.check()
        given = {"seed": self.settings.seed, **self.settings.speech}
        wanted = stage.build(SpeechSettings, given, "recipe.speech")
        arguments = ["--settings", stage.text(wanted), "--cache", str(self.cache), "--out", str(self.folder / "speech")]
        self.stage(
            "speech", given, [], self.probes[0][2], lambda: run_stage("pretraining.speech", *arguments, *self.threads)
        )
        previous = self.start
        for number, iteration in enumerate(self.settings.iterations, start=1):
            previous = self._iteration(number, iteration, previous)
        if previous is not None:
            self._export(previous)

    def _iteration(self, number: int, iteration: IterationSettings, previous: Path | None) -> Path:
        """Targets, training and probes of an iteration; its checkpoint."""
        folder, corpus = self.folder / str(number), self.folder / "speech"
        classes, parts = phones.CLASSES, {part: corpus / f"{part}.tsv" for part in ("train", "dev")}
        if iteration.layer:
            assert previous is not None
            classes, parts = iteration.clusters, {part: folder / f"{part}.tsv" for part in ("train", "dev")}
            given = dataclasses.asdict(dataclasses.replace(iteration, train={}))
            work = self._clusters(iteration, previous, folder)
            self.stage(f"clusters-{number}", given, self.recordings, folder / "dev.km", work)
        elif iteration.own:
            assert previous is not None
            parts = {**parts, "train": folder / "train.tsv"}
            work = self._heard(previous, folder)
            self.stage(f"heard-{number}", {"own": True}, self.recordings, folder / "train.km", work)
        self._heard_last = parts["train"]
        own = {"seed": self.settings.seed, "compute": dataclasses.asdict(self.settings.compute), "classes": classes}
        wanted = stage.build(TrainSettings, {**own, **iteration.train}, f"recipe.iterations[{number - 1}].train")
        out, start = folder / "checkpoint.pt", None if iteration.fresh else previous
        arguments = {
            "settings": stage.text(wanted),
            "model": stage.text(self.settings.model),
            **{"manifest": parts["train"], "labels": parts["train"].with_suffix(".km")},
            **{"dev-manifest": parts["dev"], "dev-labels": parts["dev"].with_suffix(".km")},
            **{"noise": self.noise, "checkpoint": start, "state": folder / "state"},
            **{"out": out, "history": folder / "history.csv"},
        }
        words = [word for name, value in arguments.items() if value is not None for word in (f"--{name}", str(value))]
        described = [dataclasses.asdict(wanted), dataclasses.asdict(self.settings.model)]
        others = [path for path in (self.noise, start) if path]
        self.stage(
            f"train-{number}", described, others, out, lambda: run_stage("pretraining.train", *words, *self.threads)
        )
        for name, first, second in self.probes if iteration.probed else ():
            self._probe(number, name, first, second, out)
        return out

    def _without_phones(self) -> list[Path]:
        """The manifests of recordings whose phones nobody tells, synthetic and real."""
        unlabelled = self.folder / "speech" / "unlabelled.tsv"
        return [*([unlabelled] if unlabelled.exists() else []), *self.recordings]

    def _heard(self, previous: Path, folder: Path) -> Callable[[], None]:
        """What joins recordings without phones to the others, with the phones that the previous model hears in them."""

        def run() -> None:
            train, others = self.folder / "speech" / "train.tsv", self._without_phones()
            labels = [train.with_suffix(".km")]
            for number, manifest in enumerate(others, start=1):
                labels.append(folder / f"heard-{number}.km")
                wanted = stage.text(LabelSettings("head", compute=able(self.settings.compute)))
                words = ["--manifest", str(manifest), "--checkpoint", str(previous), "--out", str(labels[-1])]
                run_stage("targets.label", "--settings", wanted, *words, *self.threads)
            join([train, *others], folder / "train.tsv", labels)

        return run

    def _clusters(self, iteration: IterationSettings, previous: Path, folder: Path) -> Callable[[], None]:
        """What makes labels of clusters of the previous model's layer, of synthetic and of real speech."""

        def run() -> None:
            corpus, compute, seed = self.folder / "speech", able(self.settings.compute), self.settings.seed
            join([corpus / "train.tsv", *self._without_phones()], folder / "train.tsv")
            join([corpus / "dev.tsv"], folder / "dev.tsv")
            model = ["--checkpoint", str(previous), *self.threads]
            draw = DumpSettings(iteration.layer, iteration.share, iteration.utterances, seed, compute=compute)
            frames, centroids = folder / "features", str(folder / "kmeans.npz")
            train_manifest = ["--manifest", str(folder / "train.tsv")]
            run_stage("targets.dump", "--settings", stage.text(draw), *train_manifest, *model, "--out", str(frames))
            clusters = stage.text(KMeansSettings(iteration.clusters, seed, iteration.layer))
            run_stage(
                "targets.kmeans",
                *("--settings", clusters, "--shards", str(frames / "train_0_1.npy"), "--out", centroids),
            )
            assign = ["--settings", stage.text(LabelSettings("kmeans", iteration.layer, compute=compute)), *model]
            for part in ("train", "dev"):
                paths = ["--manifest", str(folder / f"{part}.tsv"), "--out", str(folder / f"{part}.km")]
                run_stage("targets.label", *assign, *paths, "--centroids", centroids)

        return run

    def _probe(self, number: int, name: str, first: Path, second: Path, checkpoint: Path) -> None:
        wanted, out = self.settings.probe, self.folder / str(number) / f"probe-{name}.csv"
        words = ["--settings", stage.text(wanted), "--checkpoint", str(checkpoint), "--out", str(out)]
        manifests = ["--train", str(first), "--test", str(second), "--device", self.settings.compute.device]
        inputs = [] if name == "synthetic" else [first, second]
        work = lambda: run_stage("pretraining.probe", *words, *manifests, *self.threads)  # noqa: E731
        self.stage(f"probe-{number}-{name}", dataclasses.asdict(wanted), inputs, out, work)

    def _probing(self, manifest: Path) -> int:
        """How many recordings of a manifest a probe is trained on."""
        there = len(read_manifest(manifest))
        return min(there, self.settings.probe.recordings or there)

    def _export(self, checkpoint: Path) -> None:
        """Weights and card, with the probes of the last iteration."""
        described, out, text = self.settings.card, self.folder / "hubert.safetensors", self.folder / "hubert.md"

        def run() -> None:
            words = ["--checkpoint", str(checkpoint), "--manifest", str(self._heard_last)]
            run_stage(
                "pretraining.export",
                *("--settings", stage.text(described), *words, "--out", str(out), "--card", str(text)),
            )
            tables = []
            for name, first, _ in self.probes if self.settings.iterations[-1].probed else ():
                rows = probe_table.read(checkpoint.parent / f"probe-{name}.csv")
                tables.append(
                    f"\nLinear probes of each layer ({name}, trained on {self._probing(first):,} recordings):\n\n"
                    f"{probe_table.shown(rows)}"
                )
            write_text(text, text.read_text(encoding="utf-8") + "".join(tables))

        self.stage("export", dataclasses.asdict(described), [], out, run)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the recipe (YAML)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of single values")
    parser.add_argument("--folder", type=Path, required=True, help="output: everything, hubert.safetensors last")
    parser.add_argument("--cache", type=Path, default=Path(".cache/debian"), help="folder for downloaded packages")
    parser.add_argument("--recordings", type=Path, nargs="*", default=[], help="manifests of real speech")
    parser.add_argument("--probe", nargs=3, action="append", default=[], metavar=("NAME", "TRAIN", "TEST"))
    parser.add_argument("--noise", type=Path, help="table of a corpus of noise, for augmentation")
    parser.add_argument("--start", type=Path, help="HuBERT of the same shape to start from (default: fresh weights)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.config, arguments.set)
    probes = [(name, Path(first), Path(second)) for name, first, second in arguments.probe]
    folder, cache, noise, start = arguments.folder, arguments.cache, arguments.noise, arguments.start
    Recipe(settings, folder, cache, arguments.recordings, probes, noise, start, arguments.threads).run()


if __name__ == "__main__":
    stage.run(main)
