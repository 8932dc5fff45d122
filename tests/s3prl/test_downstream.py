"""DAISY in the real s3prl: its runner trains and evaluates a downstream task, and its own featurizer agrees."""

from __future__ import annotations

import csv
import functools
import importlib.util
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import daisy
from daisy.common import audio
from daisy.downstream.fusion import LayerSum
from daisy.features.seen import normalise
from daisy.library.s3prl import DaisyFeaturizer, DaisyUpstream

from s3prl.upstream.interfaces import Featurizer  # isort: skip
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # isort: skip

GOLDEN = Path(__file__).parent.parent / "golden"
MODEL = GOLDEN / "daisy_tiny_after_norm.pt"
STEPS = 30
CONFIG = {
    "runner": {
        "total_steps": STEPS,
        "gradient_clipping": 1,
        "gradient_accumulate_steps": 1,
        "log_step": 1,
        "eval_step": STEPS,
        "save_step": STEPS,
        "max_keep": 1,
        "eval_dataloaders": ["dev"],
    },
    "optimizer": {"name": "TorchOptim", "torch_optim_name": "Adam", "lr": 0.02},
}
SLOTS = ("action", "object", "location")


@functools.cache
def recordings() -> dict[str, torch.Tensor]:
    return {path.stem: audio.read(path) for path in sorted(GOLDEN.glob("*.wav"))}


@functools.cache
def threshold() -> float:
    """One by which the recordings exit at several layers."""
    entropies = torch.tensor(daisy.load(MODEL).all_layers(list(recordings().values())).entropies)
    return entropies[:, :-1].min(1).values.median().item()


@pytest.fixture
def experiment(tmp_path) -> Path:
    """s3prl's intent classification (`fluent_commands`) on the golden recordings: a folder with its files."""
    (tmp_path / "data").mkdir()
    for name in recordings():
        shutil.copy(GOLDEN / f"{name}.wav", tmp_path)
    for split in ("train", "valid", "test"):
        with (tmp_path / "data" / f"{split}_data.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", *SLOTS])
            for number, name in enumerate(recordings()):
                table.writerow([f"{name}.wav", f"a{number % 3}", f"o{number % 2}", "l"])
    datarc = {"file_path": str(tmp_path), "num_workers": 0, "train_batch_size": 6, "eval_batch_size": 4}
    modelrc = {"projector_dim": 16, "select": "UtteranceLevel", "UtteranceLevel": {"pooling": "MeanPooling"}}
    config = {**CONFIG, "downstream_expert": {"datarc": datarc, "modelrc": modelrc}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def run(folder: Path, *command: str, path: Path | None = None) -> None:
    """A command in `folder`; `path` is where Python looks first."""
    places = [str(place) for place in (path, os.environ.get("PYTHONPATH")) if place]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    outcome = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout[-2000:] + outcome.stderr[-4000:]


def arguments(folder: Path, stopping: dict[str, float | str]) -> list[str]:
    """s3prl's, for a training in ``out``."""
    (folder / "stopping.yaml").write_text(yaml.safe_dump(stopping))
    given = ["-u", "daisy_local", "-k", str(MODEL), "-g", "stopping.yaml", "-d", "fluent_commands"]
    return ["-m", "train", *given, "-c", "config.yaml", "-p", "out", "--device", "cpu"]


def losses(folder: Path) -> list[float]:
    """The loss of every step, as s3prl's runner wrote it for TensorBoard."""
    events = EventAccumulator(str(folder / "out"))
    events.Reload()
    return [event.value for event in events.Scalars("fluent_commands/train-intent_loss")]


def trained(folder: Path, kind: str) -> tuple[LayerSum, dict[str, torch.Tensor]]:
    """What s3prl saved: the sum of states, and the weights of its downstream model. Nothing else was trained."""
    saved = torch.load(folder / f"out/states-{STEPS}.ckpt", weights_only=False)
    assert {"Featurizer", "Downstream"} <= set(saved) and "Upstream" not in saved
    fusion = LayerSum(6, kind)
    fusion.load_state_dict({name.removeprefix("fusion."): value for name, value in saved["Featurizer"].items()})
    return fusion, saved["Downstream"]


@pytest.mark.parametrize("kind", ["dynamic", "dynamic-s"])
def test_training_and_evaluation(experiment, kind):
    stopping = {"threshold": threshold(), "fusion": kind}
    run(experiment, "-m", "daisy.library.s3prl_run", *arguments(experiment, stopping))
    history = losses(experiment)
    assert len(history) == STEPS and all(map(math.isfinite, history)) and history[-1] < 0.8 * history[0]
    fusion, weights = trained(experiment, kind)
    out = daisy.load(MODEL)(list(recordings().values()), threshold=threshold())
    assert len(set(out.exit_layer)) > 1
    if kind == "dynamic":
        assert fusion.scalars[: max(out.exit_layer) + 1].all() and not fusion.scalars[max(out.exit_layer) + 1 :].any()
    else:
        for k, row in enumerate(fusion.scalars, start=1):
            assert row[: k + 1].any().item() == (k in out.exit_layer) and not row[k + 1 :].any()
    run(experiment, "-m", "daisy.library.s3prl_run", "-m", "evaluate", "-e", "out", "--device", "cpu")
    with (experiment / "out/test_predict.csv").open() as file:
        said = {row[0]: row[1:3] for row in csv.reader(file)}
    assert said.keys() == recordings().keys()
    for name, states, k in zip(recordings(), out.features, out.exit_layer, strict=True):
        features = fusion(normalise(states).transpose(0, 1)[None], torch.tensor([k]))[0]
        projected = torch.nn.functional.linear(features, weights["projector.weight"], weights["projector.bias"])
        logits = torch.nn.functional.linear(
            projected.mean(0), weights["model.post_net.linear.weight"], weights["model.post_net.linear.bias"]
        )
        assert said[name] == [f"a{logits[:3].argmax()}", f"o{logits[3:5].argmax()}"]


def test_found_by_s3prls_own_convention(experiment):
    """A folder of upstreams with a `hubconf.py`, and a line in `hub.py`: then s3prl's own script finds it."""
    (origin,) = importlib.util.find_spec("s3prl").submodule_search_locations
    copy = experiment / "copy/s3prl"
    shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "upstream/early_exit").mkdir()
    (copy / "upstream/early_exit/__init__.py").touch()
    (copy / "upstream/early_exit/hubconf.py").write_text("from daisy.library.s3prl_run import daisy_local\n")
    with (copy / "hub.py").open("a") as hub:
        hub.write("\nfrom s3prl.upstream.early_exit.hubconf import *\n")
    (experiment / "start.py").write_text(
        "from daisy.library.s3prl_run import complete, torchaudio\n"
        "complete(torchaudio)\n"
        "from s3prl import hub, run_downstream\n"
        "assert hub.__file__.startswith('COPY') and 'daisy_local' in hub.options()\n"
        "run_downstream.main()\n".replace("COPY", str(copy))
    )
    run(experiment, "start.py", *arguments(experiment, {"layer": 3}), path=copy.parent)
    history = losses(experiment)
    assert len(history) == STEPS and history[-1] < 0.8 * history[0]
    fusion, _ = trained(experiment, "dynamic")
    assert fusion.scalars[:4].all() and not fusion.scalars[4:].any()


def featurizers(**stopping: float) -> tuple[DaisyUpstream, DaisyFeaturizer, Featurizer]:
    """DAISY's and s3prl's, with the same scalars."""
    upstream = DaisyUpstream(MODEL, **stopping)
    own, theirs = DaisyFeaturizer(upstream), Featurizer(upstream, upstream_device="cpu", normalize=True)
    scalars = torch.randn(7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own.fusion.scalars.copy_(scalars)
        theirs.weights.copy_(scalars)
    return upstream, own, theirs


def test_without_early_exit_it_is_s3prls_featurizer():
    upstream, own, theirs = featurizers()
    waves = list(recordings().values())
    result = upstream(waves)
    assert (own.output_dim, own.downsample_rate) == (theirs.output_dim, theirs.downsample_rate)
    for found, expected in zip(own(waves, result), theirs(waves, result), strict=True):
        assert 0 <= len(expected) - len(found) <= 1  # s3prl rounds up into the padding
        torch.testing.assert_close(found, expected[: len(found)], rtol=1e-4, atol=1e-5)


def test_with_early_exit_s3prls_featurizer_gives_weight_to_what_is_not_there():
    upstream, own, theirs = featurizers(threshold=threshold())
    waves = list(recordings().values())
    result = upstream(waves)
    shares = theirs.weights.softmax(0).cumsum(0)
    for found, expected, k in zip(own(waves, result), theirs(waves, result), result["exit_layer"], strict=True):
        torch.testing.assert_close(found * shares[k], expected[: len(found)], rtol=1e-4, atol=1e-5)
    assert min(result["exit_layer"]) < upstream.model.layers
