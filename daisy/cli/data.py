"""`daisy data check`: whether the published corpora that a config uses are there and whole."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from daisy.errors import DaisyError

SUMMARY = "Say whether the corpora of a config are there and whole, by their makers' counts."
EXAMPLES = (
    "daisy data check --configfile config/paper.yaml",
    "daisy data check --configfile config/paper.yaml my.yaml --decode",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("action", choices=["check"], help="what to do")
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help="files laid over config/config.yaml")
    parser.add_argument("--config-folder", type=Path, default=Path("config"), help="(default: config)")
    parser.add_argument("--decode", action="store_true", help="decode every sample, rather than read every header")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if anything is missing or damaged."""
    import dataclasses

    from daisy.corpora.published.check import check, render, used_by
    from daisy.workflow.config import read_layers

    config = read_layers(arguments.config_folder / "config.yaml", *arguments.configfile)
    names = used_by(config)
    if not names:
        raise DaisyError("the config uses no published corpus", fix="Name config/paper.yaml with --configfile")
    checked = []
    missing = []
    for name in names:
        try:
            checked.append(check(name, config["data"]["published"], decode=arguments.decode))
        except DaisyError as error:
            missing.append(f"{name}: {error}")
    if arguments.json:
        print(json.dumps({"found": [dataclasses.asdict(item) for item in checked], "missing": missing}, indent=2))
    else:
        print("\n".join([*([render(checked)] if checked else []), *missing]))
    return 1 if missing or any(item.faults for item in checked) else 0
