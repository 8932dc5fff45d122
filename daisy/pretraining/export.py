"""Export a pre-training checkpoint, fairseq's or of `daisy.pretraining.train`, as safetensors with a model card.

Only the weights and fairseq's configuration are kept; names and shapes stay fairseq's. Loss and masked
accuracy in the card come from fairseq's own log, or from the checkpoint where it holds them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.common.contents import digest
from daisy.common.files import write_text
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load
from daisy.hubert.formats.safetensors import CONFIG_KEY
from daisy.hubert.formats.source import open_source
from daisy.hubert.formats.tensors import TENSORS
from daisy.hubert.formats.writing import write_file
from daisy.pretraining.settings import CardSettings

CARD = """# {title}

A HuBERT with the depth of HuBERT Base in a small width, pre-trained for this project. It stands for HuBERT Base wherever the pipeline needs one, so that the whole reproduction runs without a
download. It is far too small to be of use for anything else.

| | |
|---|---|
| architecture | {layers} layers, width {dim}, feed-forward {ffn_dim}, {heads} heads; {conv} convolutions of {conv_width} channels |
| parameters of the encoder | {parameters:,} |
| training data | {recordings:,} recordings, {minutes:.0f} minutes: {data} |
| targets | {targets} |
| updates | {updates} of at most {seconds_per_batch:.0f} s of audio, {tool} |
| learning rate | {learning_rate}, linear warm-up over {warmup} updates, then linear decay |
| masking | probability {mask_prob}, length {mask_length} frames |
| seed | {seed} |
| masked prediction on unseen recordings | loss {valid_loss:.3f} bits, accuracy {valid_accuracy:.1%} over {classes} classes |
| the same at the last training updates | loss {train_loss:.3f} bits, accuracy {train_accuracy:.1%} |
| SHA-256 of the weights | `{digest}` |
| licence | {licence} |

Made by {made_by}.
"""


def fairseq_log(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The last training and validation records of a fairseq log in JSON format.

    Raises:
        DaisyError: if the log has none.
    """
    last: dict[str, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.search(r"\[(train_inner|valid)\]\[INFO\] - (\{.*\})\s*$", line)
        if match:
            record = json.loads(match[2])
            last[match[1]] = {key: float(value) for key, value in record.items() if _is_number(value)}
    if set(last) != {"train_inner", "valid"}:
        raise DaisyError("no training or validation record", file=path, fix="Train with common.log_format=json")
    return last["train_inner"], last["valid"]


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def results_of(training: dict[str, Any], log: Path | None) -> dict[str, float]:
    """Losses in bits and accuracies of masked frames, by the card's names.

    Raises:
        DaisyError: if they are neither in the checkpoint nor in a log.
    """
    if log is not None:
        train, valid = fairseq_log(log)
        losses, accuracies = ("loss_m_0", "valid_loss_m_0"), ("correct_m_0", "valid_correct_m_0")
        found, unit = {**train, **valid}, 1.0
    elif "results" in training:
        losses, accuracies = ("masked_loss", "valid_masked_loss"), ("masked_accuracy", "valid_masked_accuracy")
        found, unit = training["results"], 1 / math.log(2)  # nats there
    else:
        raise DaisyError("the checkpoint tells no losses", fix="Give fairseq's log with --log")
    names = ("train_loss", "valid_loss"), ("train_accuracy", "valid_accuracy")
    result = {name: found[key] * unit for name, key in zip(names[0], losses, strict=True)}
    return result | {name: found[key] for name, key in zip(names[1], accuracies, strict=True)}


def card(weights: Path, log: Path | None, manifest: Path, description: CardSettings) -> str:
    """The model card, from the checkpoint's own configuration and what its training told."""
    model = load(weights)
    config = model.encoder.config
    settings = model.fairseq_config["training"]
    data = read_manifest(manifest)
    assert model.head is not None
    return CARD.format(
        **dataclasses.asdict(description),
        **results_of(settings, log),
        layers=config.layers,
        dim=config.dim,
        ffn_dim=config.ffn_dim,
        heads=config.heads,
        conv=len(config.conv_layers),
        conv_width=config.conv_layers[0][0],
        parameters=sum(value.numel() for value in model.encoder.parameters()),
        recordings=len(data),
        minutes=data.seconds / 60,
        updates=int(settings["updates"]),
        seconds_per_batch=settings["max_tokens"] / 16_000,
        learning_rate=settings["learning_rate"],
        warmup=settings["warmup"],
        mask_prob=model.fairseq_config["model"]["mask_prob"],
        mask_length=model.fairseq_config["model"]["mask_length"],
        seed=settings["seed"],
        classes=int(settings["classes"]),
        digest=digest(weights),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="of fairseq, or like it")
    parser.add_argument("--log", type=Path, help="fairseq's log in JSON format")
    parser.add_argument("--manifest", type=Path, required=True, help="what it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="output: weights (.safetensors)")
    parser.add_argument("--card", type=Path, required=True, help="output: model card (.md)")
    arguments = parser.parse_args(argv)
    description = stage.settings(CardSettings, arguments.settings)
    content = open_source(arguments.checkpoint, TENSORS).content
    state, config = content["model"], content["cfg"]
    training = config.get("training") or {
        "updates": content["optimizer_history"][-1]["num_updates"],
        "max_tokens": config["dataset"]["max_tokens"],
        "learning_rate": config["optimization"]["lr"][0],
        "warmup": config["lr_scheduler"]["warmup_updates"],
        "seed": config["common"]["seed"],
        # fairseq's vocabulary begins with four special symbols, which are no clusters.
        "classes": len(state["label_embs_concat"]) - 4,
    }
    kept = {"model": config["model"], "task": _without_paths(config["task"]), "training": training}
    write_file(arguments.out, state, {CONFIG_KEY: kept})
    write_text(arguments.card, card(arguments.out, arguments.log, arguments.manifest, description))


def _without_paths(task: dict[str, Any]) -> dict[str, Any]:
    """fairseq's task configuration without the folders of the machine that trained."""
    return {key: value for key, value in task.items() if key not in ("data", "label_dir")}


if __name__ == "__main__":
    stage.run(main)
