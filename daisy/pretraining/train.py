"""Train a HuBERT to predict classes of masked frames: HuBERT's own pre-training, in a loop of the project's.

It goes on where an earlier run was ended, to the bit: order, cuts, masks and augmentation follow from the seed and the
step's number; weights, optimiser and torch's random numbers are saved. It needs torch, numpy and soundfile alone,
unless it starts from a checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE
from daisy.common.contents import digest
from daisy.common.files import atomic, write_csv
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.pretraining.ability import able
from daisy.pretraining.data import Batch, Data, read_data
from daisy.pretraining.front_end import keep
from daisy.pretraining.masked import MEASURES, Pretrainer
from daisy.pretraining.settings import ModelSettings, TrainSettings
from daisy.training.loop import Loop, check_finite
from daisy.training.resume import Resumable
from daisy.training.schedule import rising_and_falling

EPSILON = 1e-6
"""Adam's."""


def rate_at(step: int, settings: TrainSettings) -> float:
    """The learning rate of a step, from 1."""
    return settings.learning_rate * rising_and_falling(step, settings.steps, settings.warmup)


@torch.no_grad()
def validate(model: Pretrainer, data: Data, device: torch.device) -> dict[str, float]:
    """`MEASURES` over all frames of the recordings as they are, under masks that are always the same."""
    model.eval()
    sums, count = torch.zeros(len(MEASURES)), 0
    for number, group in enumerate(data.groups("valid")):
        batch = data.batch(group, False, "valid", number).to(device)
        with able(data.settings.compute).autocast():
            _, means = model(batch.inputs, batch.labels, batch.mask)
        sums += means.cpu() * batch.labels.numel()
        count += batch.labels.numel()
    model.train()
    return dict(zip((f"valid_{name}" for name in MEASURES), (sums / count).tolist(), strict=True))


class Training:
    """A model in training.

    Args:
        model: The model, on its device.
        data: To train on.
        dev: To validate on.
    """

    def __init__(self, model: Pretrainer, data: Data, dev: Data) -> None:
        self.model, self.data, self.dev, self.settings = model, data, dev, data.settings
        self.compute = able(self.settings.compute)
        self.device = self.compute.place()
        parameters = [value for value in model.parameters() if value.requires_grad]
        rate, betas, decay = self.settings.learning_rate, self.settings.betas, self.settings.weight_decay
        # Not fused: torch's fused ones leave no mark on the weights that they change, and what `daisy.hubert.products`
        # keeps of them would be old at the next validation.
        self.optimizer = torch.optim.AdamW(parameters, rate, betas, EPSILON, decay)
        self.history: list[dict[str, float]] = []
        self.window: list[list[float]] = []

    def update(self, step: int, batch: Batch) -> tuple[dict[str, float], str]:
        """Do a step; what `daisy.training.loop.Loop` wants of it."""
        settings, batch = self.settings, batch.to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(step, settings)
            group["eps"] = EPSILON / math.sqrt(1 - settings.betas[1] ** step)  # fairseq's is not divided by that
        with self.compute.autocast():
            loss, means = self.model(batch.inputs, batch.labels, batch.mask)
        check_finite(loss.item(), step, "learning_rate")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimizer.step()
        values = dict(zip(("loss", *MEASURES), [loss.item(), *means.tolist()], strict=True))
        self.window.append(list(values.values()))
        if step % settings.log_every == 0 or step == settings.steps:
            self._log(step, list(values))
        return values, f"loss {loss.item():.3f}, of masked frames {values['masked_accuracy']:.1%} right"

    def _log(self, step: int, names: Sequence[str]) -> None:
        row = {"step": step, **dict(zip(names, np.mean(self.window, axis=0).tolist(), strict=True))}
        self.window = []
        due = step % self.settings.validate_every == 0 or step == self.settings.steps
        self.history.append({**row, **(validate(self.model, self.dev, self.device) if due else {})})

    def run(self, state: Path, fingerprint: dict[str, Any]) -> Resumable:
        """Train to the end; the saved state, to be removed once results are written."""
        settings = self.settings
        saved = Resumable(state, {"model": self.model, "optimizer": self.optimizer}, fingerprint)
        done, extra = saved.restore()
        self.history, self.window = extra.get("history", []), extra.get("window", [])
        self.model.train()
        Loop("pre-training", settings.steps, settings.save_every, "batch_seconds", saved).run(
            self.data.order(),
            lambda step, group: self.data.batch(group, True, step),
            lambda step, batch: functools.partial(self.update, step, batch),
            lambda: {"history": self.history, "window": self.window},
            done,
            (settings.ahead, settings.ahead),
        )
        return saved


def start(model: Pretrainer, path: Path) -> None:
    """Begin with the weights of a HuBERT.

    Raises:
        DaisyError: if it is not the model that is trained, in its shape or in what its weights are used for.
    """
    from daisy.hubert.checkpoint import load, state_dict

    checkpoint = load(path)
    own, given = (dataclasses.asdict(hubert.config) for hubert in (model.hubert, checkpoint.encoder))
    for name, value in own.items():
        if given[name] != value:
            raise DaisyError(
                f"{name} is {given[name]}, and {value} in the model that is trained",
                file=path,
                fix="Start from a HuBERT of the same kind, give the model its shape (--model), or start afresh",
            )
    model.start_from(state_dict(checkpoint))


def write_checkpoint(path: Path, model: Pretrainer, shape: ModelSettings, results: dict[str, float]) -> None:
    """Write a file like fairseq's, which everything here reads; `results` are the last row of the history."""
    settings = model.settings
    convolutions = f"[({shape.channels},10,5)] + [({shape.channels},3,2)] * 4 + [({shape.channels},2,2)] * 2"
    config = {
        "model": {
            "_name": "hubert",
            "label_rate": SAMPLE_RATE // HubertConfig().hop,
            "extractor_mode": "default",
            "conv_feature_layers": convolutions,
            "encoder_layers": shape.layers,
            "encoder_embed_dim": shape.dim,
            "encoder_ffn_embed_dim": shape.ffn_dim,
            "encoder_attention_heads": shape.heads,
            "final_dim": shape.final_dim,
            "untie_final_proj": True,
            "mask_prob": settings.mask_prob,
            "mask_length": settings.mask_length,
        },
        "task": {"_name": "hubert_pretraining", "sample_rate": SAMPLE_RATE, "normalize": False},
        "training": {
            "updates": settings.steps,
            "max_tokens": round(settings.batch_seconds * SAMPLE_RATE),
            "learning_rate": settings.learning_rate,
            "warmup": settings.warmup,
            "seed": settings.seed,
            "classes": settings.classes,
            "results": results,
        },
    }
    with atomic(path) as temporary:
        torch.save({"args": None, "cfg": config, "model": model.weights()}, temporary)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--model", default="{}", help="the model's shape, as one JSON object")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="a class per frame (.km)")
    parser.add_argument("--dev-manifest", type=Path, required=True)
    parser.add_argument("--dev-labels", type=Path, required=True)
    parser.add_argument("--noise", type=Path, help="table of a corpus of noise, for augmentation")
    parser.add_argument("--checkpoint", type=Path, help="HuBERT of the same shape to start from (default: fresh)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--out", type=Path, required=True, help="output: a checkpoint like fairseq's (.pt)")
    parser.add_argument("--history", type=Path, required=True, help="output: losses and accuracies")
    arguments = parser.parse_args(argv)
    settings = stage.settings(TrainSettings, arguments.settings)
    shape = stage.settings(ModelSettings, arguments.model)
    stage.use_threads(arguments.threads)
    torch.manual_seed(settings.seed)
    model = Pretrainer(shape, settings)
    if arguments.checkpoint:
        start(model, arguments.checkpoint)
    data = read_data(arguments.manifest, arguments.labels, settings, arguments.noise)
    dev = read_data(arguments.dev_manifest, arguments.dev_labels, settings)
    given = [arguments.manifest, arguments.labels, arguments.dev_labels, arguments.noise, arguments.checkpoint]
    inputs = [digest(path) for path in given if path]
    model.to(settings.compute.place())
    if settings.kept:
        data = keep(model, data, arguments.state, inputs)
    wanted = {"settings": dataclasses.asdict(settings), "model": dataclasses.asdict(shape), "inputs": inputs}
    training = Training(model, data, dev)
    saved = training.run(arguments.state, wanted)
    header = list(dict.fromkeys(name for row in training.history for name in row))
    write_csv(arguments.history, header, training.history)
    write_checkpoint(arguments.out, model, shape, training.history[-1])
    saved.finish()


if __name__ == "__main__":
    stage.run(main)
