"""`daisy info`: what a checkpoint is."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from daisy.cli.heads import add_heads, heads
from daisy.exits.signals import ENTROPY

SUMMARY = "Say what a checkpoint holds: format, shape, branches, calibrations."
EXAMPLES = (
    "daisy info hubert_base_ls960.pt",
    "daisy info tiny",
    "daisy info --json results/mini/model/daisy.safetensors",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("checkpoint", type=Path, help="file, transformers folder, or tiny, which ships")
    add_heads(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def describe(path: Path, heads: int | None = None) -> dict[str, Any]:
    """What `path` holds, as plain types; `heads` for a file that does not tell its attention heads."""
    from daisy.library import shipped

    checkpoint = shipped.read(path, heads)
    config, branches = checkpoint.encoder.config, checkpoint.branches
    origin = dataclasses.asdict(shipped.origin(str(path))) if shipped.shipped(path) else None
    return {
        "format": checkpoint.format,
        "parameters": sum(value.numel() for value in checkpoint.encoder.parameters()),
        "layers": config.layers,
        "width": config.dim,
        "feed_forward": config.ffn_dim,
        "heads": config.heads,
        "norm": "before attention and feed-forward (Large)" if config.pre_norm else "after them (Base)",
        "front_end_norm": "layer" if config.layer_norm_front_end else "group",
        "normalises_features": config.feature_norm,
        "positional_convolutions": config.pos_depth,
        "attends_by_distance": config.buckets > 0,
        "normalises_waveform": config.normalize,
        "frame_seconds": config.hop / 16_000,
        "pretraining_classes": None if checkpoint.head is None else checkpoint.head.classes,
        "branches": None if branches is None else {"classes": branches.shape[1], "position": checkpoint.position},
        "calibrations": {
            task: {"rule": item.rule, "rho": sorted(item.counts), "signal": item.signal}
            for task, item in checkpoint.calibrations.items()
        },
        "exits_from": origin,
    }


def run(arguments: argparse.Namespace) -> None:
    """Print the description."""
    facts = describe(arguments.checkpoint, heads(arguments))
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return
    branches, calibrations = facts["branches"], facts["calibrations"]
    classes, count = facts["pretraining_classes"], facts["positional_convolutions"]
    lines = {
        "format": facts["format"],
        "encoder": f"{facts['layers']} layers of width {facts['width']}, feed-forward {facts['feed_forward']}, "
        f"{facts['heads']} heads, {facts['parameters']:,} parameters",
        "layer norm": facts["norm"],
        "front end": f"{facts['front_end_norm']} norm, one frame per {1000 * facts['frame_seconds']:g} ms"
        + ("" if facts["normalises_features"] else ", no norm before its projection (DistilHuBERT)"),
        "positions": ("one convolution" if count == 1 else f"{count} convolutions")
        + (", and attention by distance (WavLM)" if facts["attends_by_distance"] else ""),
        "waveform": "normalised to zero mean and unit variance" if facts["normalises_waveform"] else "as it is",
        "pre-training head": "none" if classes is None else f"{classes} classes",
        "exit branches": f"{branches['classes']} classes, {branches['position']}" if branches else "none",
        "calibrated for": "; ".join(
            f"{task} (rho {', '.join(f'{rho:g}' for rho in item['rho'])}"
            + (")" if item["signal"] == ENTROPY else f"; {item['signal']})")
            for task, item in calibrations.items()
        )
        or "no task",
    }
    if origin := facts["exits_from"]:
        targets = origin["config"]["targets"]
        made = ", ".join(f"{name} {targets[name]}" for name in ("kind", "layer", "clusters"))
        lines |= {"exits from": f"the run {origin['run']}; targets: {made}", "their licence": origin["licence"]}
    for name, value in lines.items():
        print(f"{name:18} {value}")
